#include "fault.h"

static const char *const advice[FAULT__MAX] = {
	[FAULT_HASH] = "nompd-sync verify --repair makes it again from Data",
	[FAULT_OUTPUT] = "nompd-sync verify --repair makes it again from the"
	    " raw records",
	[FAULT_INDEX] = "nompd-sync verify --repair makes it again",
	[FAULT_STRANGER] = "remove it, and the next run makes it again",
	[FAULT_UNFINISHED] = "the next run mends what an unfinished one has"
	    " left",
	[FAULT_STATE] = "restore the store from a backup, or prune former"
	    " states up to it",
	[FAULT_HISTORY] = "restore the store from a backup, and find out"
	    " who has changed its history",
	[FAULT_DATA] = "restore the store from a backup",
};

const char *
fault_advice(enum fault_kind kind)
{
	return advice[kind];
}
