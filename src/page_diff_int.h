/* What the parts of page_diff() share: the question, and whether there is an
 * answer to it. */
#ifndef NOMPD_PAGE_DIFF_INT_H
#define NOMPD_PAGE_DIFF_INT_H

#include "service.h"

struct question {
	const char *collection;
	const char *tag;       /* that ETags have for it */
	bool	    has_since; /* false: every live record */
	int64_t	    since;
	bool	    has_as_of; /* false: as it is now */
	int64_t	    as_of;
};

/* The finished run whose state an answer shows. */
struct shown {
	int64_t version; /* 0: the state before the first of them */
	int64_t at_ms;	 /* when it was published */
	int64_t view;	 /* for store_view() */
};

/* What the query asks for, but for the collection; it is noted for the log as
 * well.  1 = understood, 0 = refused, and answered so. */
int page_question_read(struct exchange *exchange, struct question *question);
/*
 * The last finished run or, as of a version, the newest one up to that.  1 =
 * *out is filled, 0 = refused, and answered so: there is no such version yet,
 * or what was asked for is not kept any more; -1.
 */
int page_question_find(struct exchange *exchange, struct store *store,
    const struct question *question, struct shown *out, struct error *err);
/* The entity tag, without its quotes. */
void page_question_etag(const struct question *question,
    const struct shown *shown, char opaque[MAX_ETAG_TEXT]);

#endif
