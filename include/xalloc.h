/*
 * Memory or the end: each of these gives memory or, when there is none, prints
 * a line and ends the program with status 71 (EX_OSERR).  A run that ends so
 * has published nothing: the store rolls back.
 */
#ifndef NOMPD_XALLOC_H
#define NOMPD_XALLOC_H

#include <stdarg.h>
#include <stddef.h>

/* For a library that gave NULL: says so and ends the program. */
void xalloc_end(void) __attribute__((noreturn));

/* Zeroed memory for one object of size bytes; the caller frees it. */
void *xcalloc(size_t count, size_t size)
    __attribute__((returns_nonnull));
/* ptr (or NULL) resized to size bytes; the caller frees the result. */
void *xrealloc(void *ptr, size_t size) __attribute__((returns_nonnull));
/* A copy of text; the caller frees it. */
char *xstrdup(const char *text) __attribute__((returns_nonnull));
/* A NUL-terminated copy of the len bytes at text; the caller frees it. */
char *xstrndup(const char *text, size_t len)
    __attribute__((returns_nonnull));
/* Formatted text; the caller frees it. */
char *xasprintf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), returns_nonnull));
char *xvasprintf(const char *fmt, va_list ap)
    __attribute__((format(printf, 1, 0), returns_nonnull));

/*
 * The two functions for a library that keeps secrets in memory of its own
 * (json_set_alloc_funcs()): what is freed is overwritten with zeros first.
 * The memory is that of malloc(): where free() gets it, it is only not wiped.
 */
void *xalloc_wiped(size_t size);
/* NULL is fine. */
void xfree_wiped(void *ptr);

#endif
