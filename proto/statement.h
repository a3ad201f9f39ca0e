/* statement.h: one signed sentence about who belongs to a home: "A adds B" or "A removes B".
 *
 * Fixed binary form, STATEMENT_BYTES long, little-endian, one encoding per meaning (padding is
 * zero, so equal statements are equal bytes):
 *
 *   0  u8  version (1)      4  home id [16]           148  author ed_pk [32]   228  cut hash [32]
 *   1  u8  kind            20  subject ed_pk [32]     180  counter u64         260  signature [64]
 *   2  u8  role            52  subject x_pk [32]      188  previous [32]
 *   3  u8  0               84  subject name [64]      220  cut counter u64
 *
 * The signature covers bytes 0 to 259 under "primad-stmt-v1". An author's statements form a chain:
 * counter counts from 1, `previous` is the statement_hash of the author's statement before.
 *
 * The root of a home is its founder's ADD of itself: counter 1, role admin, and `previous` holds a
 * random nonce instead. The home id is made of the founder's keys and that nonce, so anybody who
 * knows the home id can tell the root from a forgery.
 *
 * Which statements count, and what they amount to, is discovery/roster.h. */
#ifndef PROTO_STATEMENT_H
#define PROTO_STATEMENT_H

#include "base/fail.h"
#include "proto/id.h"
#include "proto/identity.h"

#include <stdbool.h>
#include <stdint.h>

#define STATEMENT_BYTES 324
#define STATEMENT_HASH_BYTES 32

enum statement_kind { STATEMENT_ADD = 1, STATEMENT_REMOVE };

struct statement {
	uint8_t kind; /* enum statement_kind */
	uint8_t role; /* enum device_role (messages.h) of the subject; 0 in a REMOVE */
	uint8_t home[HOME_ID_BYTES];
	struct device_keys subject;
	char name[DEVICE_NAME_BYTES]; /* the subject's; "" in a REMOVE */
	uint8_t author[KEY_BYTES];    /* ed_pk */
	uint64_t counter;             /* the author's, from 1 */
	uint8_t previous[STATEMENT_HASH_BYTES];
	/* REMOVE: the subject's last statement that still counts (0 and zeros: none of them does),
	 * so that a removed admin cannot back-date new ones. Zero in an ADD. */
	uint64_t cut_counter;
	uint8_t cut_hash[STATEMENT_HASH_BYTES];
	uint8_t signature[SIGNATURE_BYTES];
};

/* Fills author and signature; every other field must be set. */
void statement_sign(struct statement *statement, const struct identity *author);

void statement_encode(const struct statement *statement, uint8_t bytes[STATEMENT_BYTES]);

/* Checks form, not truth: FAIL_INVALID for anything out of range, FAIL_VERSION for a version this
 * build does not read. `statement_verify` tells whether the signature is the author's. */
int statement_decode(struct statement *statement, const uint8_t bytes[STATEMENT_BYTES],
		     struct fail *fail);
bool statement_verify(const struct statement *statement);

/* BLAKE2b-256 of the encoded statement, signature included. */
void statement_hash(const uint8_t bytes[STATEMENT_BYTES], uint8_t hash[STATEMENT_HASH_BYTES]);

/* Founds a home: a random nonce, its home id, and the signed root statement. */
void statement_found(struct statement *root, const struct identity *founder, const char *name);

/* True when this is the founder's own ADD from which its home id follows (signature not checked).
 */
bool statement_is_root(const struct statement *statement);

#endif
