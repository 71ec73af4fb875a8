/* Which files in a folder are those of an earlier export. */
#ifndef NOMPD_EXPORT_CHECK_H
#define NOMPD_EXPORT_CHECK_H

#include "error.h"

/* The file that tells of the others. */
#define EXPORT_INDEX "export.json"

/* The name of a collection's file; the caller frees it. */
char *export_file_name(const char *collection);
/*
 * Whether an export of these collections (NULL-terminated) may replace what is
 * in the folder.  Each of its files is not there yet, or is a plain file (no
 * link) that is empty or an export's: an index as a whole; the file of a
 * collection when such an index names it, or when it begins as a record of ours
 * does.  -1 (STATUS_USAGE): one is another, which somebody needs.  path is the
 * folder's, for messages.
 */
int export_check(int folder, const char *path, char *const *collections,
    struct error *err);

#endif
