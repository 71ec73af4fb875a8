/*
 * The back end that the conformance tests run on: the server that
 * NOMPD_TEST_MONGODB_URI names, or SQLite where there is none.
 */
#ifndef NOMPD_BACKENDLIB_H
#define NOMPD_BACKENDLIB_H

#include "mongodblib.h"
#include "sqlitelib.h"

/* What each kind of store does in its own way. */
struct backend {
	void (*set_up)(void);
	void (*tear_down)(void);
	/* The store at the place is that of a newer program. */
	void (*make_newer)(void);
	/* At the place is what is none of ours; it is as it was; nothing. */
	void (*make_foreign)(void);
	void (*check_foreign)(void);
	void (*check_nothing)(void);
	/* Lets the time of a lease pass whose process is dead. */
	void (*age_lease)(void);
	/* Takes from the store what layout 1 has not. */
	void (*make_old)(void);
	/* Closing a store undoes what was not published. */
	bool has_undo;
};

static const struct backend backends[] = {
	{ sqlite_set_up, sqlite_tear_down, sqlite_make_newer,
	    sqlite_make_foreign, sqlite_check_foreign, sqlite_check_nothing,
	    sqlite_age_lease, sqlite_make_old, true },
	{ mongodb_set_up, mongodb_tear_down, mongodb_make_newer,
	    mongodb_make_foreign, mongodb_check_foreign, mongodb_check_nothing,
	    mongodb_age_lease, mongodb_make_old, false },
};

static inline const struct backend *
backend(void)
{
	return &backends[mongodb_server() != NULL];
}

static inline void
set_up(void)
{
	backend()->set_up();
}

static inline void
tear_down(void)
{
	backend()->tear_down();
}

/* A suite with one case, whose tests may take their time. */
#define BACKEND_TIMEOUT_S 300

static inline Suite *
backend_suite(const char *name, TCase **tests)
{
	Suite *suite = suite_create(name);

	*tests = tcase_create(name);
	tcase_add_checked_fixture(*tests, set_up, tear_down);
	tcase_set_timeout(*tests, BACKEND_TIMEOUT_S);
	suite_add_tcase(suite, *tests);
	return suite;
}

#endif
