/*
 * The store: the only door to the records, their versions and the history.
 * Which kind of store stands behind it is decided by its URI and known to
 * nobody above this line.  What is in it: nompd-store(7).
 *
 * Life of a run:
 *
 *	store_open, lease_take,
 *	store_notes_open ..., store_note_put	what outlives a run that dies
 *	store_begin,				reads see one state from here
 *	store_undo,				that of the last finished run
 *	store_version_raise,
 *	store_collection_make ...		where it may not be there
 *	store_writer_open, _put, _delete, _close	once a collection
 *	store_history_keys_put ..., store_history_put,
 *	store_publish				visible from here
 *	store_notes_delete			when they are of no use any more
 *	store_close				frees the lease
 *
 * A copy (copy.h) is made in several of these rounds, without a version of its
 * own: store_versions_set and store_writer_copy instead of store_version_raise,
 * _put and _delete.
 *
 * A run that ends before store_publish leaves no finished version; store_close
 * undoes what the kind of store can undo.
 */
#ifndef NOMPD_STORE_H
#define NOMPD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "finding.h"
#include "hash.h"

/* Bytes of a text that names a lease's holder, its NUL included. */
#define MAX_HOLDER_TEXT 256
/* Collections of records in a store.  FHIR has fewer types than that. */
#define MAX_COLLECTIONS 512
/* Bytes of a note's id, and of the note as BSON. */
#define MAX_NOTE_ID 1024
#define MAX_NOTE_BYTES (8 * 1024 * 1024)

struct store;
struct store_place;

enum store_mode {
	STORE_WRITE,	/* made when it is not there */
	STORE_UPDATE,	/* written; an error when it is not there */
	STORE_READ,	/* an error when it is not there */
	STORE_DRY,	/* read as a run would; one that is not there reads as
			 * empty */
	STORE_PEEK,	/* read as a run would; an error when it is not
			 * there */
	STORE_RAW,	/* read as it is, with what unfinished runs have left;
			 * an error when it is not there */
};

/*
 * Opens the store at place.  -1 (STATUS_STORE): it cannot be made or read, is
 * not a store of ours, or has a newer schema; STATUS_USAGE: a URI of an unknown
 * kind, or with options that are none; STATUS_REFUSED: the user or password is
 * wrong.  Nothing is changed in a store that is refused.
 */
int store_open(const struct store_place *place, enum store_mode mode,
    struct store **out, struct error *err);
/* Undoes a run that was not published, frees the lease; NULL is fine. */
void store_close(struct store *store);
/* The store's name for messages, without secrets; borrowed. */
const char *store_name(const struct store *store);

/*
 * Tries to become the one run of this store, until store_close() or the end of
 * the process, however it comes.  1 = taken, 0 = another has it, -1 = failed;
 * for the first two holder says who has it, in the same words to everybody.
 */
int store_lease_try(struct store *store, char holder[MAX_HOLDER_TEXT],
    struct error *err);

/* Is the lease still this store's?  -1 (STATUS_STORE): it is not, or that
 * cannot be found out. */
int store_lease_check(struct store *store, struct error *err);

/*
 * From here on all reads see one state, and writes may follow.  Who reads
 * (not STORE_RAW) sees the last finished version exactly, also in the middle of
 * a run and after one that died; only in a store whose states_from is above
 * that version may records be newer, never older.
 */
int store_begin(struct store *store, struct error *err);
/*
 * In a run, after store_begin() and before anything is read: what runs that
 * died after the last finished one have left becomes what it was before them.
 * What cannot be undone, in a store that had no finished run when former states
 * came, or whose states_from is above its last finished version, and what has
 * an unfinished version below that one, is left to store_version_raise().  A
 * store that was opened to be read is left as it is.
 */
int store_undo(struct store *store, struct error *err);
/*
 * For a store that is only read and stays open: lets the state of
 * store_begin() go, when no cursor is open any more.  The next store_begin()
 * sees what has been published since.
 */
int store_end(struct store *store, struct error *err);
/*
 * True when the store's place holds another one by now, or none (it was
 * restored from a backup, or removed): it has to be opened anew.
 */
bool store_is_replaced(struct store *store);

/* The version of the last finished run and the last one raised; 0 = none. */
struct store_versions {
	int64_t finished;
	int64_t finished_at_ms; /* its SyncedAt; 0 when there is none */
	int64_t raised;
	int64_t raised_at_ms; /* LastSyncAt; 0 when there is none */
	/* The oldest version that store_view() can show; STORE_NO_STATES: none
	 * yet (a store that an older program has made). */
	int64_t states_from;
	/* Changes since a lower version are not complete: tombstones were
	 * pruned.  0: all are there. */
	int64_t horizon;
};
#define STORE_NO_STATES INT64_MAX
int store_versions_get(struct store *store, struct store_versions *out,
    struct error *err);

/*
 * Raises the version by one, in one atomic step.  now_ms is written as
 * LastSyncAt.
 */
int store_version_raise(struct store *store, int64_t now_ms, int64_t *version,
    struct error *err);
/*
 * How many records of runs that died, which store_undo() had to leave, have
 * been given this run's version, as they are.  Some of them may be written by
 * this run as well.
 */
uint64_t store_adopted(const struct store *store);
/* Makes raised, raised_at_ms, states_from and horizon those of the store; the
 * other two come with its history. */
int store_versions_set(struct store *store,
    const struct store_versions *versions, struct error *err);

/*
 * What the cursors of records and changes that are opened from here on show,
 * and what is counted: the state of the store as the finished run of a version
 * has left it (at least states_from, at most finished); 0: that of
 * store_begin() or, in a run, what the run has made of it.
 */
void store_view(struct store *store, int64_t version);

/* A finished run. */
struct store_run {
	int64_t version;
	int64_t synced_at_ms;
};
/* The newest one whose version is at most version, and which was published at
 * at_ms or before (INT64_MAX: any).  1 = found, 0 = none, -1 = failed. */
int store_run_find(struct store *store, int64_t version, int64_t at_ms,
    struct store_run *out, struct error *err);
/* The oldest one that was published after after_ms, and at until_ms or before
 * (INT64_MAX: any).  1 = found, 0 = none, -1 = failed. */
int store_run_first(struct store *store, int64_t after_ms, int64_t until_ms,
    struct store_run *out, struct error *err);

/*
 * The names of all collections of records in the store: the five, which are
 * always there, then the others (collection.h) in byte order.  *out is a
 * NULL-terminated array for words_free().
 */
int store_collections_get(struct store *store, char ***out,
    struct error *err);
/*
 * Makes a collection (collection_is_extra()) when it is not there; in a run,
 * after store_begin().  What of it a run that is not published leaves is empty.
 * -1 (STATUS_STORE): another one differs from it in case alone, there are
 * MAX_COLLECTIONS, or what is there under that name is none of the store's.
 */
int store_collection_make(struct store *store, const char *name,
    struct error *err);

/*
 * A collection that is not there reads as an empty one below, and nothing can
 * be written to it.
 *
 * The old state of a collection, tombstones included, in ascending byte order
 * of the keys (a cursor that is not ascending fails with STATUS_STORE).  A hash
 * of zeros is that of no document: what the record holds is not known to be
 * whole, as where an unfinished run has left it.
 */
struct store_state {
	const char *key;  /* NUL-terminated; borrowed until the next call */
	size_t	    len;
	uint8_t	    hash[HASH_BYTES];
	bool	    is_deleted;
};
struct store_cursor;
int store_state_open(struct store *store, const char *collection,
    struct store_cursor **out, struct error *err);
/* 1 = *state filled, 0 = end, -1 = failed. */
int store_state_next(struct store_cursor *cursor, struct store_state *state,
    struct error *err);

/* A record; everything is borrowed until the next call. */
struct store_record {
	const char    *key;
	size_t	       len;
	const uint8_t *data; /* BSON */
	size_t	       data_len;
	int64_t	       version;
	int64_t	       updated_at_ms;
	bool	       is_deleted;
	char	       hash[HASH_TEXT_BYTES];
	/* SHA-256 of the canonical JSON of data (RFC 8785); empty where
	 * consumers do not get the collection, and for data that has none. */
	char	       json_hash[HASH_TEXT_BYTES];
	/* Of a former state: the version that has replaced it; else 0. */
	int64_t	       replaced_in;
};
/* The records of a collection in ascending byte order of their keys;
 * with_deleted: the tombstones too. */
int store_records_open(struct store *store, const char *collection,
    bool with_deleted, struct store_cursor **out, struct error *err);
/* One record by its key, live or not: a cursor that gives one or none. */
int store_record_open(struct store *store, const char *collection,
    const char *key, size_t len, struct store_cursor **out, struct error *err);
/* 1 = *record filled, 0 = end, -1 = failed.  For both of the above. */
int store_record_next(struct store_cursor *cursor, struct store_record *record,
    struct error *err);
/*
 * What changed in a collection: the records whose version is above since, in
 * ascending order of version, then of key (byte order); with_deleted: the
 * tombstones too.  since 0 gives all there ever were.
 */
int store_changes_open(struct store *store, const char *collection,
    int64_t since, bool with_deleted, struct store_cursor **out,
    struct error *err);
/* 1 = *record filled, 0 = end, -1 = failed (also: the order is another). */
int store_changes_next(struct store_cursor *cursor,
    struct store_record *record, struct error *err);

/*
 * The former states of the record with that key or, key NULL, of all records
 * of a collection: what they were before a run rewrote or deleted them.  In
 * ascending order of key (byte order), then of version.
 */
int store_states_open(struct store *store, const char *collection,
    const char *key, size_t len, struct store_cursor **out,
    struct error *err);
/* 1 = *record filled, 0 = end, -1 = failed (also: the order is another). */
int store_states_next(struct store_cursor *cursor,
    struct store_record *record, struct error *err);

/*
 * All records of a collection without their data, tombstones included, in
 * ascending byte order of their keys: what digests are made of.  It shows what
 * is there, whatever the view.
 */
struct store_outline {
	const char *key; /* NUL-terminated; borrowed until the next call */
	size_t	    len;
	int64_t	    version;
	bool	    is_deleted;
	char	    hash[HASH_TEXT_BYTES];
	char	    json_hash[HASH_TEXT_BYTES];
};
int store_outline_open(struct store *store, const char *collection,
    struct store_cursor **out, struct error *err);
/* 1 = *outline filled, 0 = end, -1 = failed. */
int store_outline_next(struct store_cursor *cursor,
    struct store_outline *outline, struct error *err);

/* How many records a collection has. */
struct store_counts {
	int64_t live;
	int64_t deleted; /* tombstones */
};
int store_counts_get(struct store *store, const char *collection,
    struct store_counts *out, struct error *err);

/*
 * Writes to one collection; every record written gets version and now_ms.  What
 * a finished run had left in its place is kept as a former state, which is
 * there before the record is another.
 */
struct store_writer;
struct store_put {
	const char    *key;
	size_t	       len;
	const uint8_t *data; /* BSON */
	size_t	       data_len;
	const uint8_t *hash; /* HASH_BYTES */
	bool	       is_new; /* there is no record, no tombstone either */
};
/* collection is borrowed until the writer is closed. */
int store_writer_open(struct store *store, const char *collection,
    int64_t version, int64_t now_ms, struct store_writer **out,
    struct error *err);
/* Inserts the record, or replaces the one with its key; it is live then. */
int store_writer_put(struct store_writer *writer, const struct store_put *put,
    struct error *err);
/* Makes the record with that key a tombstone; Data stays. */
int store_writer_delete(struct store_writer *writer, const char *key,
    size_t len, struct error *err);
/* Writes a record as it is, with its own version and time. */
int store_writer_copy(struct store_writer *writer,
    const struct store_record *record, bool is_new, struct error *err);
/* Writes a former state as it is, or replaces the one of that key and
 * version. */
int store_writer_state(struct store_writer *writer,
    const struct store_record *state, struct error *err);
/* Gives a record other hashes (json_hash: text as in struct store_record), and
 * leaves the rest of it as it is, also its version. */
int store_writer_hashes(struct store_writer *writer, const char *key,
    size_t len, const uint8_t hash[HASH_BYTES], const char *json_hash,
    struct error *err);
/* Brings out what is not written yet.  Frees writer in any case.  -1
 * (STATUS_UNBALANCED): the store has written more or fewer records than it was
 * given. */
int store_writer_close(struct store_writer *writer, struct error *err);
/* Frees a writer after an error, and writes nothing more. */
void store_writer_abort(struct store_writer *writer);

/*
 * The history entry of a run.  tallies is a BSON document: a member for each
 * collection with its counts and key lists.
 */
struct store_history {
	int64_t	       version;
	int64_t	       synced_at_ms;
	int64_t	       duration_ms;
	const uint8_t *tallies;
	size_t	       tallies_len;
	const uint8_t *seal; /* BSON (seal.h); NULL: it has none */
	size_t	       seal_len;
};
/* -1 (STATUS_UNBALANCED), here and below: it was not written just once. */
int store_history_put(struct store *store, const struct store_history *entry,
    struct error *err);
/* A further part of a key list that is too long for the entry: keys is a BSON
 * array of texts.  Parts count from 1. */
struct store_history_keys {
	int64_t	       version;
	const char    *collection;
	const char    *act; /* "Added", "Updated" or "Deleted" */
	int64_t	       part;
	const uint8_t *keys;
	size_t	       keys_len;
};
int store_history_keys_put(struct store *store,
    const struct store_history_keys *keys, struct error *err);

/* The newest limit entries, newest first; in a run its own as well. */
int store_history_open(struct store *store, int64_t limit,
    struct store_cursor **out, struct error *err);
/* 1 = *entry filled (borrowed until the next call), 0 = end, -1 = failed. */
int store_history_next(struct store_cursor *cursor,
    struct store_history *entry, struct error *err);
/* The seal of the entry of a version, without the rest of it: heap, for the
 * caller to free; NULL when it has none.  1 = there is that entry, 0 = not. */
int store_seal_get(struct store *store, int64_t version, uint8_t **seal,
    size_t *len, struct error *err);
/* The further parts of one key list, in order. */
int store_history_keys_open(struct store *store, int64_t version,
    const char *collection, const char *act, struct store_cursor **out,
    struct error *err);
/* All of them, ascending by version, collection, act and part. */
int store_history_parts_open(struct store *store, struct store_cursor **out,
    struct error *err);
/* 1 = *keys filled (borrowed until the next call), 0 = end, -1 = failed.  For
 * both of the above. */
int store_history_keys_next(struct store_cursor *cursor,
    struct store_history_keys *keys, struct error *err);

/*
 * Notes: small BSON documents under ids of ASCII characters, which a run keeps
 * for the next one.  They are written at once, whatever becomes of the run, so
 * that store_note_put() and store_notes_delete() need the lease and must not
 * stand between store_begin() and store_publish(), where SQLite would make them
 * a part of the run.
 */
struct store_note {
	const char    *id;
	const uint8_t *data; /* BSON */
	size_t	       len;
};
/* Writes a note, or replaces the one with its id; it is on disk then.  -1
 * (STATUS_STORE): also when id or note is too long. */
int store_note_put(struct store *store, const char *id, const uint8_t *data,
    size_t len, struct error *err);
/* The notes whose ids begin with prefix, in ascending byte order of their
 * ids.  No note may be written or deleted while the cursor is open. */
int store_notes_open(struct store *store, const char *prefix,
    struct store_cursor **out, struct error *err);
/* 1 = *note filled (borrowed until the next call), 0 = end, -1 = failed. */
int store_notes_next(struct store_cursor *cursor, struct store_note *note,
    struct error *err);
/* Deletes them; it is no error when there is none. */
int store_notes_delete(struct store *store, const char *prefix,
    struct error *err);

/*
 * Takes away what is old, in a run or right after it was published: tombstones
 * of versions up to tombstones_to, former states that versions up to states_to
 * have replaced, history entries, with their key lists, of versions up to
 * history_to.  0: nothing of that.  Before anything goes, horizon and
 * states_from are raised as far as that wants: to the version of the newest
 * tombstone that goes; to states_to and to the oldest entry that stays.
 * is_dry: only counts.
 */
struct store_prune {
	int64_t tombstones_to;
	int64_t states_to;
	int64_t history_to;
	bool	is_dry;
};
struct store_pruned {
	int64_t tombstones;
	int64_t states;
	int64_t entries;
	int64_t horizon;     /* as it is now, or would be */
	int64_t states_from; /* the same */
};
int store_prune(struct store *store, const struct store_prune *what,
    struct store_pruned *out, struct error *err);

/*
 * What is of the kind of store: that its file is sound, its tables and indexes
 * are there as they must be, and members have their types.  Each finding goes
 * to found.  mends (of a run that may write): indexes that are faulty are made
 * again, and only these are given.  -1 (STATUS_STORE): also when an older
 * program has made the store, and no run has brought it up to date.
 */
int store_check(struct store *store, bool mends, finding_fn found, void *ctx,
    struct error *err);

/* Closes a cursor of any kind; NULL is fine. */
void store_cursor_close(struct store_cursor *cursor);

/* The run is visible as a whole from here on.  -1 (STATUS_UNBALANCED): it has
 * raised the version, and put no history entry of it. */
int store_publish(struct store *store, struct error *err);

#endif
