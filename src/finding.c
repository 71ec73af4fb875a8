#include "finding.h"

static const char *const advice[FINDING__MAX] = {
	[FINDING_HASH] = "nompd-sync verify --repair makes it again from Data",
	[FINDING_OUTPUT] = "nompd-sync verify --repair makes it again from the"
	    " raw records",
	[FINDING_INDEX] = "nompd-sync verify --repair makes it again",
	[FINDING_STRANGER] = "remove it, and the next run makes it again",
	[FINDING_UNFINISHED] = "the next run mends what an unfinished one has"
	    " left",
	[FINDING_STATE] = "restore the store from a backup, or prune former"
	    " states up to it",
	[FINDING_HISTORY] = "restore the store from a backup, and find out"
	    " who has changed its history",
	[FINDING_DATA] = "restore the store from a backup",
};

const char *
finding_advice(enum finding_kind kind)
{
	return advice[kind];
}
