/* What the parts of the stage share. */
#ifndef NOMPD_STAGE_INT_H
#define NOMPD_STAGE_INT_H

#include <sqlite3.h>

#include "buf.h"
#include "stage.h"

struct stage_list {
	uint64_t      added;
	sqlite3_stmt *add;
	sqlite3_stmt *data;
	sqlite3_stmt *find; /* once it is finished */
	sqlite3_stmt *plan;
};
struct stage {
	sqlite3		 *db;
	sqlite3_stmt	 *see;
	int		  count;
	struct stage_list lists[MAX_LISTS];
};

/*
 * A cursor over a list reads one row ahead, to see where a key's rows end:
 * ahead is true while statement stands on a row that was not given yet.
 */
struct stage_cursor {
	sqlite3_stmt *statement;
	bool	      is_ahead;
	bool	      is_started;
	struct buf    key;
};

/* Puts what failed before err: the stage, and where to look. */
int stage_fail(struct error *err);

#endif
