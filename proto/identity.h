/* identity.h: who this device is, for ever: one seed, a key to sign with, a key to open sessions.
 *
 * A 32-byte random seed gives, through two crypto_kdf contexts, an Ed25519 key pair (statements,
 * facts, pairing) and an X25519 key pair (handshakes): one key never serves two algorithms. The
 * device id is BLAKE2b-256("primad-id-v1" || ed_pk || x_pk).
 *
 * What is signed is never the bytes alone: Ed25519 signs domain || 0x00 || BLAKE2b-512(bytes), so
 * that a signature given for one purpose means nothing for another and signing needs no memory. */
#ifndef PROTO_IDENTITY_H
#define PROTO_IDENTITY_H

#include "base/fail.h"
#include "proto/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32
#define SIGNATURE_BYTES 64
#define SIGN_DOMAIN_MAX 32 /* characters of a domain name */

/* The public half: what others know of a device. `id` always follows from the two keys. */
struct device_keys {
	uint8_t ed_pk[KEY_BYTES];
	uint8_t x_pk[KEY_BYTES];
	struct device_id id;
};

/* Lives in locked memory that is wiped when it is destroyed. Treat as read-only. */
struct identity {
	struct device_keys keys;
	uint8_t seed[KEY_BYTES];
	uint8_t ed_sk[64];
	uint8_t x_sk[KEY_BYTES];
};

struct identity *identity_create(struct fail *fail); /* gives; random */
struct identity *identity_from_seed(const uint8_t seed[KEY_BYTES], struct fail *fail); /* gives */
void identity_destroy(struct identity *identity); /* takes; wipes; accepts NULL */

/* Reads the state file of an identity. NULL with FAIL_NOT_FOUND when there is none, FAIL_DENIED
 * when it belongs to another user or others may read it, FAIL_CORRUPT or FAIL_VERSION as
 * state_file_read says. A damaged identity is never replaced by a fresh one: that would silently
 * make this device a stranger to its home. */
struct identity *identity_load(const char *path, struct fail *fail); /* gives */
int identity_save(const struct identity *identity, const char *path, struct fail *fail);

/* Fills `keys` from the two public keys. */
void device_keys_set(struct device_keys *keys, const uint8_t ed_pk[KEY_BYTES],
		     const uint8_t x_pk[KEY_BYTES]);

/* `domain`: at most SIGN_DOMAIN_MAX characters, one per purpose, for example "primad-stmt-v1". */
void identity_sign(const struct identity *identity, const char *domain, const void *bytes,
		   size_t size, uint8_t signature[SIGNATURE_BYTES]);
bool identity_verify(const uint8_t ed_pk[KEY_BYTES], const char *domain, const void *bytes,
		     size_t size, const uint8_t signature[SIGNATURE_BYTES]);

#endif
