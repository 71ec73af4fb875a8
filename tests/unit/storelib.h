/* A store in a folder that each test has for itself, and runs that fill it. */
#ifndef NOMPD_STORELIB_H
#define NOMPD_STORELIB_H

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "collection.h"
#include "hash.h"
#include "store.h"
#include "store_place.h"
#include "testlib.h"

#define CHECK(call) ck_assert_msg((call) != -1, "%s", err.text)

static char	    folder[] = "/tmp/nompd-test-XXXXXX";
static char	    uri[64];
static struct store_place place = { uri, NULL };
static struct error err;

static inline void
set_up(void)
{
	memset(folder + strlen(folder) - 6, 'X', 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(uri, sizeof(uri), "sqlite:%s/store.db", folder);
}

static inline void
tear_down(void)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-lease",
		"-old", "-old-wal", "-old-shm" };
	char			 path[96];
	int			 i;

	for (i = 0; i < LENGTH_OF(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s/store.db%s", folder,
		    suffixes[i]);
		(void)unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

static inline struct store *
open_store(enum store_mode mode)
{
	struct store *store;

	CHECK(store_open(&place, mode, &store, &err));
	return store;
}

static inline void
put(struct store_writer *writer, const char *key, uint8_t fill)
{
	uint8_t		 hash[HASH_BYTES];
	bson_t		 doc = BSON_INITIALIZER;
	struct store_put record = {
		.key = key,
		.len = strlen(key),
		.hash = hash,
	};

	memset(hash, fill, sizeof(hash));
	BSON_APPEND_INT32(&doc, "n", fill);
	record.data = bson_get_data(&doc);
	record.data_len = doc.len;
	CHECK(store_writer_put(writer, &record, &err));
	bson_destroy(&doc);
}

/* A run that puts and deletes; published or not. */
static inline void
write_run(const char *const *puts, const char *const *deletes, uint8_t fill,
    bool is_published)
{
	struct store	    *store = open_store(STORE_WRITE);
	struct store_writer *writer;
	struct store_history entry = { .tallies = NULL };
	char		     holder[MAX_HOLDER_TEXT];
	bson_t		     doc = BSON_INITIALIZER;

	ck_assert_int_eq(store_lease_try(store, holder, &err), 1);
	CHECK(store_begin(store, &err));
	CHECK(store_version_raise(store, 1000, &entry.version, &err));
	CHECK(store_writer_open(store, "PlanDefinitions", entry.version,
	    fill * 1000, &writer, &err));
	for (; puts != NULL && *puts != NULL; puts++)
		put(writer, *puts, fill);
	for (; deletes != NULL && *deletes != NULL; deletes++)
		CHECK(store_writer_delete(writer, *deletes, strlen(*deletes),
		    &err));
	CHECK(store_writer_close(writer, &err));
	entry.tallies = bson_get_data(&doc);
	entry.tallies_len = doc.len;
	CHECK(store_history_put(store, &entry, &err));
	if (is_published)
		CHECK(store_publish(store, &err));
	bson_destroy(&doc);
	store_close(store);
}

/* Changes the file behind the store's back. */
static inline void
damage(const char *sql)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(uri + strlen("sqlite:"), &db),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* The record c, which run 2 made a tombstone. */
static inline void
check_deleted(const struct store_record *record)
{
	bson_t doc;

	ck_assert_str_eq(record->key, "c");
	ck_assert_int_eq(record->version, 2);
	ck_assert_int_eq(record->updated_at_ms, 2000);
	ck_assert(record->is_deleted);
	ck_assert_str_eq(record->hash, "01010101010101010101010101010101"
	    "01010101010101010101010101010101");
	/* A tombstone keeps its last data. */
	ck_assert(bson_init_static(&doc, record->data, record->data_len));
	test_json_is(&doc, "{'n':1}");
}

#endif
