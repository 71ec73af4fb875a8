/* What the kinds of store implement; the promises are in store.h.
 * record_next serves the cursors of changes and of states as well. */
#ifndef NOMPD_STORE_INT_H
#define NOMPD_STORE_INT_H

#include "store.h"

struct json_canonical;

/* A kind of store: a row of functions, each as its namesake in store.h. */
struct store_ops {
	int (*open)(const struct store_place *place, enum store_mode mode,
	    struct store **out, struct error *err);
	void (*close)(struct store *store);
	int (*lease_try)(struct store *store, char holder[MAX_HOLDER_TEXT],
	    struct error *err);
	int (*lease_check)(struct store *store, struct error *err);
	int (*begin)(struct store *store, struct error *err);
	int (*end)(struct store *store, struct error *err);
	int (*undo)(struct store *store, struct error *err);
	bool (*is_replaced)(struct store *store);
	int (*versions_get)(struct store *store, struct store_versions *out,
	    struct error *err);
	int (*version_raise)(struct store *store, int64_t now_ms,
	    int64_t *version, struct error *err);
	int (*versions_set)(struct store *store,
	    const struct store_versions *versions, struct error *err);
	int (*run_find)(struct store *store, int64_t version, int64_t at_ms,
	    struct store_run *out, struct error *err);
	int (*run_first)(struct store *store, int64_t after_ms,
	    int64_t until_ms, struct store_run *out, struct error *err);
	/* Brings the layout up to date, under the lease: 0 = it is, 1 = begun.
	 * Then the front fills in json_hash, and upgrade_end follows. */
	int (*upgrade_begin)(struct store *store, struct error *err);
	int (*upgrade_end)(struct store *store, struct error *err);
	/* Beside the five, in any order; what cannot be one is left out by the
	 * front. */
	int (*extras_get)(struct store *store, char ***out,
	    struct error *err);
	/* Asked only for one that is not there. */
	int (*collection_make)(struct store *store, const char *name,
	    struct error *err);
	int (*state_open)(struct store *store, const char *collection,
	    struct store_cursor **out, struct error *err);
	int (*state_next)(struct store_cursor *cursor,
	    struct store_state *state, struct error *err);
	int (*records_open)(struct store *store, const char *collection,
	    bool with_deleted, struct store_cursor **out, struct error *err);
	int (*record_open)(struct store *store, const char *collection,
	    const char *key, size_t len, struct store_cursor **out,
	    struct error *err);
	int (*record_next)(struct store_cursor *cursor,
	    struct store_record *record, struct error *err);
	int (*changes_open)(struct store *store, const char *collection,
	    int64_t since, bool with_deleted, struct store_cursor **out,
	    struct error *err);
	/* key NULL: of all. */
	int (*states_open)(struct store *store, const char *collection,
	    const char *key, size_t len, struct store_cursor **out,
	    struct error *err);
	int (*outline_open)(struct store *store, const char *collection,
	    struct store_cursor **out, struct error *err);
	int (*outline_next)(struct store_cursor *cursor,
	    struct store_outline *outline, struct error *err);
	int (*counts_get)(struct store *store, const char *collection,
	    struct store_counts *out, struct error *err);
	int (*writer_open)(struct store *store, const char *collection,
	    int64_t version, int64_t now_ms, struct store_writer **out,
	    struct error *err);
	/* Serves copies as well; the front fills in version and time. */
	int (*writer_put)(struct store_writer *writer,
	    const struct store_record *record, bool is_new,
	    struct error *err);
	int (*writer_delete)(struct store_writer *writer, const char *key,
	    size_t len, struct error *err);
	int (*writer_state)(struct store_writer *writer,
	    const struct store_record *state, struct error *err);
	/* hash as text. */
	int (*writer_hashes)(struct store_writer *writer, const char *key,
	    size_t len, const char *hash, const char *json_hash,
	    struct error *err);
	int (*writer_close)(struct store_writer *writer, struct error *err);
	void (*writer_abort)(struct store_writer *writer);
	int (*history_put)(struct store *store,
	    const struct store_history *entry, struct error *err);
	int (*history_keys_put)(struct store *store,
	    const struct store_history_keys *keys, struct error *err);
	int (*history_open)(struct store *store, int64_t limit,
	    struct store_cursor **out, struct error *err);
	int (*history_next)(struct store_cursor *cursor,
	    struct store_history *entry, struct error *err);
	int (*seal_get)(struct store *store, int64_t version, uint8_t **seal,
	    size_t *len, struct error *err);
	int (*history_keys_open)(struct store *store, int64_t version,
	    const char *collection, const char *act,
	    struct store_cursor **out, struct error *err);
	int (*history_parts_open)(struct store *store,
	    struct store_cursor **out, struct error *err);
	int (*history_keys_next)(struct store_cursor *cursor,
	    struct store_history_keys *keys, struct error *err);
	int (*note_put)(struct store *store, const char *id,
	    const uint8_t *data, size_t len, struct error *err);
	/* Of the ids from first on to before end.  *out NULL: none can be
	 * there. */
	int (*notes_open)(struct store *store, const char *first,
	    const char *end, struct store_cursor **out, struct error *err);
	int (*notes_next)(struct store_cursor *cursor,
	    struct store_note *note, struct error *err);
	int (*notes_delete)(struct store *store, const char *first,
	    const char *end, struct error *err);
	int (*prune)(struct store *store, const struct store_prune *what,
	    struct store_pruned *out, struct error *err);
	int (*check)(struct store *store, bool mends, finding_fn found,
	    void *ctx, struct error *err);
	void (*cursor_close)(struct store_cursor *cursor);
	int (*publish)(struct store *store, struct error *err);
};

extern const struct store_ops store_sqlite_ops;
/* Of the module nompd-mongodb.so. */
extern const struct store_ops store_mongodb_ops;

/*
 * What is called symbol in a module: a file beside the program or in the folder
 * it is installed to.  NULL: there is none (STATUS_USAGE).  What a module needs
 * beside its own libraries it finds in the program.
 */
const void *store_module_get(const char *file, const char *symbol,
    struct error *err);
/* The module of the kind of store at MongoDB. */
#define MONGODB_MODULE "nompd-mongodb.so"

/*
 * Each kind's own structs begin with these.  The front fills ops, trace,
 * is_writer and the last key; the kinds fill name (heap; freed by their close)
 * and count: written are the records, entries and parts of the history that
 * were written; of records by what the database says, not by what was asked
 * for; adopted as in store_adopted().
 */
struct store_trace {
	bool	 is_logging; /* NOMPD_STORE_TRACE */
	uint64_t kill_at;    /* NOMPD_STORE_KILL_AT; 0 = never */
	uint64_t stop_at;    /* NOMPD_STORE_STOP_AT; 0 = never */
	uint64_t lose_at;    /* NOMPD_STORE_LOSE_AT; 0 = never */
	uint64_t steps;
};
struct store {
	const struct store_ops *ops;
	char		       *name;
	struct store_trace	trace;
	bool			is_writer; /* may be brought up to date */
	int64_t			view; /* of store_view() */
	uint64_t		written;
	uint64_t		adopted;
};
struct store_cursor {
	struct store *store;
	bool	      is_empty; /* the front's own, over nothing */
	char	     *last_key; /* to see that keys ascend */
	size_t	      last_len;
	size_t	      last_cap;
	int64_t	      last_version; /* of a cursor of changes */
};
struct store_writer {
	struct store *store;
	int64_t	      version; /* of what is written ... */
	int64_t	      now_ms;  /* ... and its time */
	const char   *collection; /* borrowed from who opened it */
	uint64_t      asked;	  /* records given to it */
	uint64_t      before;	  /* the store's count when it was opened */
	struct json_canonical *canonical; /* NULL: no JSON hash is wanted */
};

/* The store's name goes before each of its errors, in the front and only
 * there; rc is given on. */
int store_named(const struct store *store, int rc, struct error *err);
/* A cursor that was opened (rc is not -1) gets what all cursors have; 0 or -1.
 */
int store_opened(struct store *store, int rc, struct store_cursor **out,
    struct error *err);
/* Keys must ascend: a wrong order is a failure, not a wrong answer.  1 = they
 * do. */
int store_check_ascending(struct store_cursor *cursor, const char *key,
    size_t len, struct error *err);
/* The SHA-256 of the canonical JSON of data as text; empty when canonical is
 * NULL, and for data that has none. */
void store_json_hash(struct json_canonical *canonical, const uint8_t *data,
    size_t len, char text[HASH_TEXT_BYTES]);
/* store_collections_get(), its error not yet named. */
int store_collections_read(struct store *store, char ***out,
    struct error *err);
/* Is there no such collection?  1 = there is none, 0 = there is, -1 = failed
 * (not yet named). */
int store_is_missing(struct store *store, const char *collection,
    struct error *err);
/* The same question; for 1 *out is a cursor over nothing. */
int store_open_missing(struct store *store, const char *collection,
    struct store_cursor **out, struct error *err);
/* A cursor over nothing. */
struct store_cursor *store_cursor_empty(struct store *store);

/* Take a hash as a store has it, be it sound or not: of a state one that is
 * none equals none, so that its record is written anew. */
void store_state_set_hash(struct store_state *state, const char *text,
    size_t len);
void store_set_hash_text(char hash[HASH_TEXT_BYTES], const char *text,
    size_t len);

/* Under the lease: brings an older layout up to date, once. */
int store_upgrade(struct store *store, struct error *err);

/* Reads the test switches from the environment. */
void store_trace_init(struct store_trace *trace);
/*
 * A step of the store is about to happen: logs it, or kills or stops the
 * process here when that was asked for.
 */
void store_trace_step(struct store *store, const char *what, const char *on);
/* Is the write of the last step to be lost, as if the store had done it? */
bool store_trace_loses(const struct store *store);

#endif
