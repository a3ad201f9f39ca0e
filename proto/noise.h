/* noise.h: the Noise protocol framework (revision 34) for 25519_ChaChaPoly_BLAKE2b, driven by a
 * table.
 *
 * A pattern is data: what each side knows before, and the tokens of each message. The daemon runs
 * noise_ik only (handshake.h); the tests run other patterns through the same code against published
 * vectors. Words and symbols (ck, h, e, s, re, rs) are those of the specification's section 5. */
#ifndef PROTO_NOISE_H
#define PROTO_NOISE_H

#include "base/buf.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_KEY_BYTES 32
#define NOISE_HASH_BYTES 64
#define NOISE_TAG_BYTES 16
#define NOISE_MESSAGES_MAX 4
#define NOISE_TOKENS_MAX 8

enum noise_token { NOISE_END, NOISE_E, NOISE_S, NOISE_EE, NOISE_ES, NOISE_SE, NOISE_SS, NOISE_PSK };

struct noise_pattern {
	const char *name; /* "Noise_IK_25519_ChaChaPoly_BLAKE2b" */
	bool knows_initiator;  /* pre-message -> s */
	bool knows_responder;  /* pre-message <- s */
	bool has_psk;
	uint8_t n_messages;
	uint8_t messages[NOISE_MESSAGES_MAX][NOISE_TOKENS_MAX]; /* enum noise_token, to NOISE_END */
};

extern const struct noise_pattern noise_ik;

struct noise_cipher { /* CipherState */
	uint8_t key[NOISE_KEY_BYTES];
	uint64_t counter;
	bool keyed;
};

/* HandshakeState with its SymmetricState. Holds secrets: end with noise_finish. */
struct noise {
	const struct noise_pattern *pattern;
	bool initiator;
	uint8_t at; /* index of the next message */
	uint8_t ck[NOISE_HASH_BYTES];
	uint8_t h[NOISE_HASH_BYTES];
	struct noise_cipher cipher;
	uint8_t s_sk[NOISE_KEY_BYTES], s_pk[NOISE_KEY_BYTES];
	uint8_t e_sk[NOISE_KEY_BYTES], e_pk[NOISE_KEY_BYTES];
	uint8_t rs[NOISE_KEY_BYTES], re[NOISE_KEY_BYTES];
	const uint8_t *psk; /* borrowed, one for every psk token */
};

/* What a run begins with. Keys that a pattern does not use may be NULL; `e_sk` NULL (always,
 * outside tests) makes a random one. Borrowed for the call, but `psk` until noise_finish. */
struct noise_config {
	const struct noise_pattern *pattern;
	bool initiator;
	const void *prologue;
	size_t prologue_size;
	const uint8_t *s_sk;
	const uint8_t *e_sk;
	const uint8_t *rs;
	const uint8_t *psk;
};

void noise_init(struct noise *noise, const struct noise_config *config);
void noise_finish(struct noise *noise); /* wipes */

/* Bytes that the next message is longer than its payload. */
size_t noise_overhead(const struct noise *noise);

/* Appends the next message with this payload to `out`. FAIL_INVALID when a remote key is bad. */
int noise_write(struct noise *noise, const void *payload, size_t size, struct buf *out,
		struct fail *fail);

/* Reads the peer's next message; its payload, size - noise_overhead() bytes, goes to `payload`.
 * Failure is final. */
int noise_read(struct noise *noise, const uint8_t *message, size_t size, uint8_t *payload,
	       struct fail *fail);

bool noise_done(const struct noise *noise);

/* After the last message: Split(). The handshake hash is `h`. */
void noise_split(const struct noise *noise, struct noise_cipher *send,
		 struct noise_cipher *receive);

/* In place: bytes [size + NOISE_TAG_BYTES]; the tag stands at the end. `ad` may be NULL. Each call
 * uses one nonce; an unkeyed cipher must not be used. */
void noise_seal(struct noise_cipher *cipher, const void *ad, size_t ad_size, uint8_t *bytes,
		size_t size);
bool noise_open(struct noise_cipher *cipher, const void *ad, size_t ad_size, uint8_t *bytes,
		size_t size);

/* REKEY(): the first 32 bytes of zeros encrypted under nonce 2^64 - 1. Keeps the counter. */
void noise_rekey(struct noise_cipher *cipher);

/* HMAC-BLAKE2b (block 128; keyed BLAKE2b is something else) and the framework's HKDF of two or
 * three outputs; `third` may be NULL. */
void noise_hmac(uint8_t out[NOISE_HASH_BYTES], const uint8_t key[NOISE_HASH_BYTES],
		const void *first, size_t first_size, const void *second, size_t second_size);
void noise_hkdf(const uint8_t ck[NOISE_HASH_BYTES], const void *input, size_t size,
		uint8_t first[NOISE_HASH_BYTES], uint8_t second[NOISE_HASH_BYTES],
		uint8_t *third);

#endif
