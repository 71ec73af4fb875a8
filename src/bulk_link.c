/*
 * Which file a link leads to.  Files have no names, and a manifest that is read
 * again may have renewed links, or the files in another order.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bulk_export_int.h"
#include "xalloc.h"

static int
compare(const void *one, const void *other)
{
	return memcmp(one, other, HASH_BYTES);
}

void
bulk_link_digest(const char *url, bool has_query, uint8_t digest[HASH_BYTES])
{
	(void)crypto_generichash(digest, HASH_BYTES, (const uint8_t *)url,
	    has_query ? strlen(url) : strcspn(url, "?"), NULL, 0);
}

/* The digests of all links, in the files' order; the caller frees them. */
static uint8_t *
digest_all(const struct bulk_manifest *manifest, bool has_query, size_t *n)
{
	enum bulk_list list;
	uint8_t	      *digests, *next;
	size_t	       i;

	*n = 0;
	for (list = 0; list < BULK_LIST__MAX; list++)
		*n += manifest->lists[list].n;
	next = digests = xcalloc(*n + 1, HASH_BYTES);
	for (list = 0; list < BULK_LIST__MAX; list++) {
		for (i = 0; i < manifest->lists[list].n; i++) {
			bulk_link_digest(manifest->lists[list].files[i].url,
			    has_query, next);
			next += HASH_BYTES;
		}
	}
	return digests;
}

bool
bulk_links_want_query(const struct bulk_manifest *manifest)
{
	uint8_t *digests;
	size_t	 n, i;
	bool	 is_wanted = false;

	digests = digest_all(manifest, false, &n);
	qsort(digests, n, HASH_BYTES, compare);
	for (i = 1; i < n && !is_wanted; i++)
		is_wanted = compare(digests + (i - 1) * HASH_BYTES,
		    digests + i * HASH_BYTES) == 0;
	free(digests);
	return is_wanted;
}

bool
bulk_links_moved(const struct bulk_manifest *one,
    const struct bulk_manifest *other)
{
	uint8_t *from, *to, *sorted, *link;
	size_t	 n, n_to, i;
	bool	 has_query = bulk_links_want_query(one), is_moved = false;

	from = digest_all(one, has_query, &n);
	sorted = digest_all(one, has_query, &n);
	to = digest_all(other, has_query, &n_to);
	qsort(sorted, n, HASH_BYTES, compare);
	for (i = 0; i < n && i < n_to && !is_moved; i++) {
		link = to + i * HASH_BYTES;
		is_moved = compare(from + i * HASH_BYTES, link) != 0 &&
		    bsearch(link, sorted, n, HASH_BYTES, compare) != NULL;
	}
	free(from);
	free(sorted);
	free(to);
	return is_moved;
}
