/* What the two halves of the embedded store share. */
#ifndef NOMPD_STORE_SQLITE_INT_H
#define NOMPD_STORE_SQLITE_INT_H

#include <sqlite3.h>
#include <sys/types.h>

#include "sqlite_kept.h"
#include "store_int.h"

/*
 * path is the file, links resolved; lease_fd is -1 before the first try; file
 * and device say which file it was when it was opened for reading; own_version
 * is the one that this run has raised, or 0; layout is that of the file.
 */
struct store_sqlite {
	struct store base;
	sqlite3	    *db;
	struct sqlite_kept kept; /* what is read with */
	char	    *path;
	dev_t	     device;
	ino_t	     file;
	int	     lease_fd;
	int64_t	     own_version;
	int64_t	     layout;
	enum store_mode mode;
	int64_t	     shown; /* what a reader sees without a view; 0: all */
};

/* The layout that this program writes (PRAGMA user_version); it reads those
 * before it. */
#define SCHEMA_VERSION 2
/* The first one with former states, seals and JSON hashes. */
#define SCHEMA_STATES 2

/* The former states; of the second layout. */
extern const char store_sqlite_schema_states[];
/* The index that the old state of a run is read from, and its digests (printf
 * format: the collection's name twice). */
#define SQLITE_STATE_INDEX "CREATE INDEX \"%s_State\" ON \"%s\"" \
	" (BusinessKey, IsDeleted, ContentHash, Version, JsonHash);"

/* All tables of an empty store; those of a collection beside the five. */
int store_sqlite_make_tables(struct store_sqlite *store, struct error *err);
int store_sqlite_make_collection(struct store_sqlite *store, const char *name,
    struct error *err);

int store_sqlite_versions_get(struct store *base, struct store_versions *out,
    struct error *err);
int store_sqlite_extras_get(struct store *base, char ***out,
    struct error *err);
int store_sqlite_state_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err);
int store_sqlite_state_next(struct store_cursor *base,
    struct store_state *state, struct error *err);
int store_sqlite_records_open(struct store *base, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err);
int store_sqlite_record_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out,
    struct error *err);
int store_sqlite_record_next(struct store_cursor *base,
    struct store_record *record, struct error *err);
int store_sqlite_changes_open(struct store *base, const char *collection,
    int64_t since, bool with_deleted, struct store_cursor **out,
    struct error *err);
int store_sqlite_states_open(struct store *base, const char *collection,
    const char *key, size_t len, struct store_cursor **out,
    struct error *err);
int store_sqlite_outline_open(struct store *base, const char *collection,
    struct store_cursor **out, struct error *err);
int store_sqlite_outline_next(struct store_cursor *base,
    struct store_outline *outline, struct error *err);
int store_sqlite_run_first(struct store *base, int64_t after_ms,
    int64_t until_ms, struct store_run *out, struct error *err);
int store_sqlite_run_find(struct store *base, int64_t version, int64_t at_ms,
    struct store_run *out, struct error *err);
int store_sqlite_seal_get(struct store *base, int64_t version, uint8_t **seal,
    size_t *len, struct error *err);
int store_sqlite_counts_get(struct store *base, const char *collection,
    struct store_counts *out, struct error *err);
int store_sqlite_history_open(struct store *base, int64_t limit,
    struct store_cursor **out, struct error *err);
int store_sqlite_history_next(struct store_cursor *base,
    struct store_history *entry, struct error *err);
int store_sqlite_history_keys_open(struct store *base, int64_t version,
    const char *collection, const char *act, struct store_cursor **out,
    struct error *err);
int store_sqlite_history_parts_open(struct store *base,
    struct store_cursor **out, struct error *err);
int store_sqlite_history_keys_next(struct store_cursor *base,
    struct store_history_keys *keys, struct error *err);
int store_sqlite_writer_open(struct store *base, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err);
int store_sqlite_writer_put(struct store_writer *base,
    const struct store_record *record, bool is_new, struct error *err);
int store_sqlite_writer_delete(struct store_writer *base, const char *key,
    size_t len, struct error *err);
int store_sqlite_writer_state(struct store_writer *base,
    const struct store_record *state, struct error *err);
int store_sqlite_writer_hashes(struct store_writer *base, const char *key,
    size_t len, const char *hash, const char *json_hash, struct error *err);
void store_sqlite_writer_abort(struct store_writer *base);
int store_sqlite_writer_close(struct store_writer *base, struct error *err);
int store_sqlite_history_put(struct store *base,
    const struct store_history *entry, struct error *err);
int store_sqlite_history_keys_put(struct store *base,
    const struct store_history_keys *keys, struct error *err);
int store_sqlite_note_put(struct store *base, const char *id,
    const uint8_t *data, size_t len, struct error *err);
int store_sqlite_notes_open(struct store *base, const char *first,
    const char *end, struct store_cursor **out, struct error *err);
int store_sqlite_notes_next(struct store_cursor *base,
    struct store_note *note, struct error *err);
int store_sqlite_notes_delete(struct store *base, const char *first,
    const char *end, struct error *err);
/* store_sqlite_prune.c */
int store_sqlite_prune(struct store *base, const struct store_prune *what,
    struct store_pruned *out, struct error *err);
int store_sqlite_upgrade_begin(struct store *base, struct error *err);
int store_sqlite_upgrade_end(struct store *base, struct error *err);
/* store_sqlite_check.c */
int store_sqlite_check(struct store *base, bool mends, finding_fn fn, void *ctx,
    struct error *err);
void store_sqlite_cursor_close(struct store_cursor *base);

#endif
