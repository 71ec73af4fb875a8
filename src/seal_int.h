/* What the parts of the seal share: the names of its members. */
#ifndef NOMPD_SEAL_INT_H
#define NOMPD_SEAL_INT_H

#include "seal.h"

#define SEAL_COLLECTIONS "Collections"
#define SEAL_LIVE	 "Live"
#define SEAL_DELETED	 "Deleted"
#define SEAL_RECORDS	 "Digest"
#define SEAL_DATA	 "Data"
#define SEAL_KEYS	 "Keys"
#define SEAL_PREVIOUS	 "Previous"
#define SEAL_DIGEST	 "Digest"
#define SEAL_KEY_ID	 "KeyId"
#define SEAL_SIGNATURE	 "Signature"

#endif
