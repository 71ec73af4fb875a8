/*
 * Files that hold secrets: nobody else may change them, and none but their
 * owner, and a group if that is wanted, may read them.
 */
#ifndef NOMPD_PRIVATE_FILE_H
#define NOMPD_PRIVATE_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "error.h"

/*
 * Opens the file at path for reading and fills *info.  The descriptor, which
 * the caller closes, or -1 with that status: it cannot be opened, is no plain
 * file, is open to others (a group may read it), or has more than max bytes.
 * The sentence does not name the file.
 */
int private_file_open(const char *path, long max, enum status status,
    struct stat *info, struct error *err);
/* Reads to the end of fd, at most size bytes; how many, or -1 (errno). */
ssize_t private_file_read(int fd, void *data, size_t size);
/* Writes all of it to fd; 0, or -1 (errno). */
int private_file_write(int fd, const void *data, size_t len);

/*
 * Makes a file of that mode, whatever the umask, with that content, and brings
 * it to the disk.  It never overwrites: STATUS_USAGE when there is something at
 * path already, else STATUS_STORE, and there is no such file then.
 */
int private_file_make(const char *path, mode_t mode, const void *data,
    size_t len, struct error *err);

#endif
