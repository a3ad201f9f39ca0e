/* The specification's SymmetricState lives in struct noise as ck, h and `cipher`; section numbers
 * are those of revision 34. */
#include "proto/noise.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define BLOCK_BYTES 128 /* BLAKE2b's, for HMAC */

const struct noise_pattern noise_ik = {
	.name = "Noise_IK_25519_ChaChaPoly_BLAKE2b",
	.knows_responder = true,
	.n_messages = 2,
	.messages = { { NOISE_E, NOISE_ES, NOISE_S, NOISE_SS }, { NOISE_E, NOISE_EE, NOISE_SE } },
};

/* ---- hashing (4.3, 5.1) ---- */

static void hash_pair(uint8_t out[NOISE_HASH_BYTES], const uint8_t *block,
		      const void *first, size_t first_size, const void *second, size_t second_size)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
	crypto_generichash_update(&state, block, BLOCK_BYTES);
	crypto_generichash_update(&state, first, first_size);
	crypto_generichash_update(&state, second, second_size);
	crypto_generichash_final(&state, out, NOISE_HASH_BYTES);
	sodium_memzero(&state, sizeof(state));
}

void noise_hmac(uint8_t out[NOISE_HASH_BYTES], const uint8_t key[NOISE_HASH_BYTES],
		const void *first, size_t first_size, const void *second, size_t second_size)
{
	uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES], digest[NOISE_HASH_BYTES];
	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (int i = 0; i < NOISE_HASH_BYTES; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	hash_pair(digest, inner, first, first_size, second, second_size);
	hash_pair(out, outer, digest, sizeof(digest), NULL, 0);
	sodium_memzero(inner, sizeof(inner));
	sodium_memzero(outer, sizeof(outer));
	sodium_memzero(digest, sizeof(digest));
}

void noise_hkdf(const uint8_t ck[NOISE_HASH_BYTES], const void *input, size_t size,
		uint8_t first[NOISE_HASH_BYTES], uint8_t second[NOISE_HASH_BYTES], uint8_t *third)
{
	static const uint8_t number[3] = { 1, 2, 3 };
	uint8_t temporary[NOISE_HASH_BYTES], one[NOISE_HASH_BYTES], two[NOISE_HASH_BYTES];
	noise_hmac(temporary, ck, input, size, NULL, 0);
	noise_hmac(one, temporary, number, 1, NULL, 0);
	noise_hmac(two, temporary, one, sizeof(one), number + 1, 1);
	if (third)
		noise_hmac(third, temporary, two, sizeof(two), number + 2, 1);
	memcpy(first, one, sizeof(one)); /* last, because `first` may be `ck` */
	memcpy(second, two, sizeof(two));
	sodium_memzero(temporary, sizeof(temporary));
	sodium_memzero(one, sizeof(one));
	sodium_memzero(two, sizeof(two));
}

static void mix_hash(struct noise *noise, const void *bytes, size_t size)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
	crypto_generichash_update(&state, noise->h, NOISE_HASH_BYTES);
	crypto_generichash_update(&state, bytes, size);
	crypto_generichash_final(&state, noise->h, NOISE_HASH_BYTES);
}

static void set_key(struct noise_cipher *cipher, const uint8_t *key)
{
	memcpy(cipher->key, key, NOISE_KEY_BYTES);
	cipher->counter = 0;
	cipher->keyed = true;
}

static void mix_key(struct noise *noise, const void *input, size_t size)
{
	uint8_t key[NOISE_HASH_BYTES];
	noise_hkdf(noise->ck, input, size, noise->ck, key, NULL);
	set_key(&noise->cipher, key);
	sodium_memzero(key, sizeof(key));
}

static void mix_key_and_hash(struct noise *noise, const uint8_t psk[NOISE_KEY_BYTES])
{
	uint8_t hash[NOISE_HASH_BYTES], key[NOISE_HASH_BYTES];
	noise_hkdf(noise->ck, psk, NOISE_KEY_BYTES, noise->ck, hash, key);
	mix_hash(noise, hash, sizeof(hash));
	set_key(&noise->cipher, key);
	sodium_memzero(hash, sizeof(hash));
	sodium_memzero(key, sizeof(key));
}

/* ---- cipher (5.1, 12.3) ---- */

static void nonce_of(uint64_t counter, uint8_t nonce[12])
{
	memset(nonce, 0, 4);
	store_u64le(nonce + 4, counter);
}

void noise_seal(struct noise_cipher *cipher, const void *ad, size_t ad_size, uint8_t *bytes,
		size_t size)
{
	uint8_t nonce[12];
	assert(cipher->keyed);
	nonce_of(cipher->counter++, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(bytes, bytes + size, NULL, bytes, size,
							   ad, ad_size, NULL, nonce, cipher->key);
}

bool noise_open(struct noise_cipher *cipher, const void *ad, size_t ad_size, uint8_t *bytes,
		size_t size)
{
	uint8_t nonce[12];
	assert(cipher->keyed);
	nonce_of(cipher->counter++, nonce);
	return crypto_aead_chacha20poly1305_ietf_decrypt_detached(
		       bytes, NULL, bytes, size, bytes + size, ad, ad_size, nonce, cipher->key) == 0;
}

void noise_rekey(struct noise_cipher *cipher)
{
	uint8_t nonce[12], fresh[NOISE_KEY_BYTES + NOISE_TAG_BYTES] = { 0 };
	nonce_of(UINT64_MAX, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt_detached(fresh, fresh + NOISE_KEY_BYTES, NULL,
							   fresh, NOISE_KEY_BYTES, NULL, 0, NULL,
							   nonce, cipher->key);
	memcpy(cipher->key, fresh, NOISE_KEY_BYTES);
	sodium_memzero(fresh, sizeof(fresh));
}

/* EncryptAndHash: `bytes` has room for a tag. Gives the size on the wire. */
static size_t encrypt_and_hash(struct noise *noise, uint8_t *bytes, size_t size)
{
	size_t sealed = size;
	if (noise->cipher.keyed) {
		noise_seal(&noise->cipher, noise->h, NOISE_HASH_BYTES, bytes, size);
		sealed += NOISE_TAG_BYTES;
	}
	mix_hash(noise, bytes, sealed);
	return sealed;
}

/* DecryptAndHash: reads `sealed` bytes at `from`, writes the plaintext to `to`. */
static bool decrypt_and_hash(struct noise *noise, const uint8_t *from, size_t sealed, uint8_t *to)
{
	uint8_t nonce[12];
	bool good = true;
	if (noise->cipher.keyed) {
		const size_t size = sealed - NOISE_TAG_BYTES;
		nonce_of(noise->cipher.counter++, nonce);
		good = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
			       to, NULL, from, size, from + size, noise->h, NOISE_HASH_BYTES, nonce,
			       noise->cipher.key) == 0;
	} else if (sealed > 0) {
		memcpy(to, from, sealed);
	}
	mix_hash(noise, from, sealed);
	return good;
}

/* ---- handshake (5.3) ---- */

static void premessages(struct noise *noise)
{
	const struct noise_pattern *pattern = noise->pattern;
	if (pattern->knows_initiator)
		mix_hash(noise, noise->initiator ? noise->s_pk : noise->rs, NOISE_KEY_BYTES);
	if (pattern->knows_responder)
		mix_hash(noise, noise->initiator ? noise->rs : noise->s_pk, NOISE_KEY_BYTES);
}

void noise_init(struct noise *noise, const struct noise_config *config)
{
	const size_t length = strlen(config->pattern->name);
	assert(length <= NOISE_HASH_BYTES);
	memset(noise, 0, sizeof(*noise));
	noise->pattern = config->pattern;
	noise->initiator = config->initiator;
	noise->psk = config->psk;
	memcpy(noise->h, config->pattern->name, length);
	memcpy(noise->ck, noise->h, NOISE_HASH_BYTES);
	mix_hash(noise, config->prologue, config->prologue_size);
	if (config->s_sk) {
		memcpy(noise->s_sk, config->s_sk, NOISE_KEY_BYTES);
		crypto_scalarmult_base(noise->s_pk, noise->s_sk);
	}
	if (config->e_sk)
		memcpy(noise->e_sk, config->e_sk, NOISE_KEY_BYTES);
	else
		randombytes_buf(noise->e_sk, NOISE_KEY_BYTES);
	crypto_scalarmult_base(noise->e_pk, noise->e_sk);
	if (config->rs)
		memcpy(noise->rs, config->rs, NOISE_KEY_BYTES);
	premessages(noise);
}

void noise_finish(struct noise *noise)
{
	sodium_memzero(noise, sizeof(*noise));
}

bool noise_done(const struct noise *noise)
{
	return noise->at == noise->pattern->n_messages;
}

size_t noise_overhead(const struct noise *noise)
{
	const uint8_t *tokens = noise->pattern->messages[noise->at];
	bool keyed = noise->cipher.keyed;
	size_t size = 0;
	for (int i = 0; i < NOISE_TOKENS_MAX && tokens[i] != NOISE_END; i++) {
		if (tokens[i] == NOISE_E || tokens[i] == NOISE_S)
			size += NOISE_KEY_BYTES;
		if (tokens[i] == NOISE_S && keyed)
			size += NOISE_TAG_BYTES;
		if (tokens[i] != NOISE_S && (tokens[i] != NOISE_E || noise->pattern->has_psk))
			keyed = true;
	}
	return size + (keyed ? NOISE_TAG_BYTES : 0);
}

/* MixKey of a Diffie-Hellman result; false for a remote key that leads to zero. */
static bool mix_dh(struct noise *noise, enum noise_token token)
{
	const bool first = noise->initiator;
	const bool own_e = token == NOISE_EE || token == (first ? NOISE_ES : NOISE_SE);
	const bool their_e = token == NOISE_EE || token == (first ? NOISE_SE : NOISE_ES);
	uint8_t shared[NOISE_KEY_BYTES];
	if (crypto_scalarmult(shared, own_e ? noise->e_sk : noise->s_sk,
			      their_e ? noise->re : noise->rs) != 0)
		return false;
	mix_key(noise, shared, sizeof(shared));
	sodium_memzero(shared, sizeof(shared));
	return true;
}

/* An ephemeral key is hashed; with a psk in the pattern it is mixed into the key as well (9.2). */
static void mix_ephemeral(struct noise *noise, const uint8_t *key)
{
	mix_hash(noise, key, NOISE_KEY_BYTES);
	if (noise->pattern->has_psk)
		mix_key(noise, key, NOISE_KEY_BYTES);
}

/* Tokens that carry no bytes. */
static bool mix_token(struct noise *noise, enum noise_token token)
{
	if (token != NOISE_PSK)
		return mix_dh(noise, token);
	mix_key_and_hash(noise, noise->psk);
	return true;
}

static bool write_token(struct noise *noise, enum noise_token token, uint8_t **at)
{
	if (token == NOISE_E) {
		memcpy(*at, noise->e_pk, NOISE_KEY_BYTES);
		mix_ephemeral(noise, *at);
		*at += NOISE_KEY_BYTES;
		return true;
	}
	if (token == NOISE_S) {
		memcpy(*at, noise->s_pk, NOISE_KEY_BYTES);
		*at += encrypt_and_hash(noise, *at, NOISE_KEY_BYTES);
		return true;
	}
	return mix_token(noise, token);
}

int noise_write(struct noise *noise, const void *payload, size_t size, struct buf *out,
		struct fail *fail)
{
	const uint8_t *tokens = noise->pattern->messages[noise->at];
	const size_t before = out->size;
	uint8_t *at = buf_extend(out, noise_overhead(noise) + size);
	if (!at)
		return fail_set(fail, FAIL_MEMORY, "no memory for a handshake");
	for (int i = 0; i < NOISE_TOKENS_MAX && tokens[i] != NOISE_END; i++) {
		if (!write_token(noise, tokens[i], &at)) {
			out->size = before;
			return fail_set(fail, FAIL_INVALID, "the other device's key is no key");
		}
	}
	if (size > 0)
		memcpy(at, payload, size);
	encrypt_and_hash(noise, at, size);
	noise->at++;
	return 0;
}

static bool read_token(struct noise *noise, enum noise_token token, struct reader *reader)
{
	if (token == NOISE_E) {
		if (!reader_copy(reader, noise->re, NOISE_KEY_BYTES))
			return false;
		mix_ephemeral(noise, noise->re);
		return true;
	}
	if (token == NOISE_S) {
		const size_t n = NOISE_KEY_BYTES + (noise->cipher.keyed ? NOISE_TAG_BYTES : 0);
		const uint8_t *from = reader_take(reader, n);
		return from && decrypt_and_hash(noise, from, n, noise->rs);
	}
	return mix_token(noise, token);
}

int noise_read(struct noise *noise, const uint8_t *message, size_t size, uint8_t *payload,
	       struct fail *fail)
{
	const uint8_t *tokens = noise->pattern->messages[noise->at];
	struct reader reader;
	if (size < noise_overhead(noise))
		return fail_set(fail, FAIL_INVALID, "a handshake message is too short");
	reader_init(&reader, message, size);
	for (int i = 0; i < NOISE_TOKENS_MAX && tokens[i] != NOISE_END; i++)
		if (!read_token(noise, tokens[i], &reader))
			return fail_set(fail, FAIL_DENIED, "a handshake message does not verify");
	if (!decrypt_and_hash(noise, reader.next, reader_left(&reader), payload))
		return fail_set(fail, FAIL_DENIED, "a handshake message does not verify");
	noise->at++;
	return 0;
}

void noise_split(const struct noise *noise, struct noise_cipher *send, struct noise_cipher *receive)
{
	uint8_t first[NOISE_HASH_BYTES], second[NOISE_HASH_BYTES];
	assert(noise_done(noise));
	noise_hkdf(noise->ck, NULL, 0, first, second, NULL);
	set_key(send, noise->initiator ? first : second);
	set_key(receive, noise->initiator ? second : first);
	sodium_memzero(first, sizeof(first));
	sodium_memzero(second, sizeof(second));
}
