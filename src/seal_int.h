/* What the parts of the seal share: the names of its members, and the
 * digest of key lists. */
#ifndef NOMPD_SEAL_INT_H
#define NOMPD_SEAL_INT_H

#include "seal.h"

#define SEAL_COLLECTIONS "Collections"
#define SEAL_LIVE	 "Live"
#define SEAL_DELETED	 "Deleted"
#define SEAL_RECORDS	 "Digest"
#define SEAL_DATA	 "Data"
#define SEAL_UNPROVEN	 "Unproven"
#define SEAL_KEYS	 "Keys"
#define SEAL_PREVIOUS	 "Previous"
#define SEAL_FETCHED_AT	 "FetchedAt"
#define SEAL_KEY_ID	 "KeyId"
#define SEAL_DIGEST	 "Digest"
#define SEAL_SIGNATURE	 "Signature"

struct store_history_keys;
struct crypto_hash_sha256_state;

/* Adds a further part of a key list to the digest of the parts of an entry,
 * which are in ascending order of collection, act (byte order) and part. */
void seal_feed_part(struct crypto_hash_sha256_state *state,
    const struct store_history_keys *part);

#endif
