/*
 * The spool: a private folder for the files of an export until the run that
 * fetched them is published.  Each file is written aside, and gets its name
 * when it is whole.
 */
#ifndef NOMPD_BULK_SPOOL_H
#define NOMPD_BULK_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "hash.h"
#include "options.h"

struct bulk_spool;

/*
 * The folder of --spool or, without it, one beside the embedded store, else one
 * in TMPDIR or /var/tmp that is named after store_name; of a dry run one of its
 * own in TMPDIR or /var/tmp.  -1: it cannot be made, or is open to other users
 * (STATUS_STORE), or another run has it (STATUS_BUSY).
 */
int bulk_spool_open(const struct options *opts, const char *store_name,
    struct bulk_spool **out, struct error *err);
/* Removes the files. */
void bulk_spool_clear(struct bulk_spool *spool);
/* Removes them and the folder, unless --spool named it. */
void bulk_spool_remove(struct bulk_spool *spool);
/* Frees it, and leaves the files; NULL is fine. */
void bulk_spool_close(struct bulk_spool *spool);

/* A file being written, or none when it is zeroed but for fd -1. */
struct bulk_spool_file {
	int	 fd;
	unsigned number; /* from 1 */
	uint64_t bytes;
	void	*digest; /* of what was written */
};
/* Begins the file of that number, and drops what was there of it. */
int bulk_spool_begin(struct bulk_spool *spool, unsigned number,
    struct bulk_spool_file *file, struct error *err);
int bulk_spool_write(struct bulk_spool *spool, struct bulk_spool_file *file,
    const uint8_t *data, size_t len, struct error *err);
/* The last bytes of the file, up to size of them, into out: how many. */
ssize_t bulk_spool_tail(const struct bulk_spool_file *file, uint8_t *out,
    size_t size);
/* The file is whole. */
int bulk_spool_end(struct bulk_spool *spool, struct bulk_spool_file *file,
    uint8_t digest[HASH_BYTES], struct error *err);
/* Drops a file that is being written; none is fine. */
void bulk_spool_abort(struct bulk_spool_file *file);

/* Is the file there, with these bytes and this digest? */
bool bulk_spool_has(struct bulk_spool *spool, unsigned number, uint64_t bytes,
    const uint8_t digest[HASH_BYTES]);
/* Gives a whole file's bytes to fn, in pieces; -1 ends it. */
int bulk_spool_read(struct bulk_spool *spool, unsigned number,
    int (*fn)(void *ctx, const uint8_t *data, size_t len, struct error *err),
    void *ctx, struct error *err);

#endif
