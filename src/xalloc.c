#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xalloc.h"

/* EX_OSERR of sysexits: the machine, not the upstream or the store. */
#define EXIT_NO_MEMORY 71

void
xalloc_end(void)
{
	static const char text[] = "nompd: out of memory\n";

	(void)fwrite(text, 1, sizeof(text) - 1, stderr);
	exit(EXIT_NO_MEMORY);
}

static void *
memory_or_end(void *ptr)
{
	if (ptr == NULL)
		xalloc_end();
	return ptr;
}

void *
xcalloc(size_t count, size_t size)
{
	if (count == 0 || size == 0)
		count = size = 1;
	return memory_or_end(calloc(count, size));
}

void *
xrealloc(void *ptr, size_t size)
{
	return memory_or_end(realloc(ptr, size > 0 ? size : 1));
}

char *
xstrdup(const char *text)
{
	return memory_or_end(strdup(text));
}

char *
xstrndup(const char *text, size_t len)
{
	char *copy;

	copy = memory_or_end(malloc(len + 1));
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *
xvasprintf(const char *fmt, va_list ap)
{
	char *text;

	return vasprintf(&text, fmt, ap) < 0 ? memory_or_end(NULL) : text;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char   *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return text;
}

void *
xalloc_wiped(size_t size)
{
	return memory_or_end(malloc(size > 0 ? size : 1));
}

void
xfree_wiped(void *ptr)
{
	if (ptr != NULL)
		explicit_bzero(ptr, malloc_usable_size(ptr));
	free(ptr);
}
