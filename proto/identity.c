#include "proto/identity.h"

#include "base/file.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define FILE_MAGIC "PRMDIDEN"
#define FILE_VERSION 1

_Static_assert(KEY_BYTES == crypto_kdf_KEYBYTES && KEY_BYTES == crypto_sign_SEEDBYTES, "seeds");
_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "signatures");

void device_keys_set(struct device_keys *keys, const uint8_t ed_pk[KEY_BYTES],
		     const uint8_t x_pk[KEY_BYTES])
{
	static const char domain[] = "primad-id-v1";
	memmove(keys->ed_pk, ed_pk, KEY_BYTES);
	memmove(keys->x_pk, x_pk, KEY_BYTES);
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, ID_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain));
	crypto_generichash_update(&state, keys->ed_pk, KEY_BYTES);
	crypto_generichash_update(&state, keys->x_pk, KEY_BYTES);
	crypto_generichash_final(&state, keys->id.bytes, ID_BYTES);
}

static void derive(struct identity *identity, const uint8_t seed[KEY_BYTES])
{
	uint8_t ed_seed[crypto_sign_SEEDBYTES], ed_pk[KEY_BYTES], x_pk[KEY_BYTES];
	memcpy(identity->seed, seed, KEY_BYTES);
	crypto_kdf_derive_from_key(ed_seed, sizeof(ed_seed), 1, "prmdsign", seed);
	crypto_kdf_derive_from_key(identity->x_sk, KEY_BYTES, 1, "prmdsess", seed);
	crypto_sign_seed_keypair(ed_pk, identity->ed_sk, ed_seed);
	crypto_scalarmult_base(x_pk, identity->x_sk);
	device_keys_set(&identity->keys, ed_pk, x_pk);
	sodium_memzero(ed_seed, sizeof(ed_seed));
}

struct identity *identity_from_seed(const uint8_t seed[KEY_BYTES], struct fail *fail)
{
	struct identity *identity = NULL;
	if (sodium_init() >= 0)
		identity = sodium_malloc(sizeof(*identity));
	if (!identity) {
		fail_set(fail, FAIL_MEMORY, "no locked memory for the device's keys");
		return NULL;
	}
	derive(identity, seed);
	sodium_mprotect_readonly(identity);
	return identity;
}

struct identity *identity_create(struct fail *fail)
{
	uint8_t seed[KEY_BYTES];
	if (sodium_init() < 0) {
		fail_set(fail, FAIL_IO, "the system gives no random numbers");
		return NULL;
	}
	randombytes_buf(seed, sizeof(seed));
	struct identity *identity = identity_from_seed(seed, fail);
	sodium_memzero(seed, sizeof(seed));
	return identity;
}

void identity_destroy(struct identity *identity)
{
	sodium_free(identity); /* wipes */
}

static struct identity *from_payload(const struct buf *payload, const char *path, struct fail *fail)
{
	if (payload->size == KEY_BYTES)
		return identity_from_seed(payload->data, fail);
	fail_set(fail, FAIL_CORRUPT, "%s holds no device key; restore it from a backup", path);
	return NULL;
}

struct identity *identity_load(const char *path, struct fail *fail)
{
	if (file_check_private(path, fail) < 0)
		return NULL;
	struct identity *identity = NULL;
	struct buf payload;
	uint32_t version;
	buf_init(&payload);
	if (state_file_read(path, FILE_MAGIC, FILE_VERSION, &version, &payload, fail) == 0)
		identity = from_payload(&payload, path, fail);
	if (payload.data)
		sodium_memzero(payload.data, payload.capacity);
	buf_finish(&payload);
	return identity;
}

int identity_save(const struct identity *identity, const char *path, struct fail *fail)
{
	return state_file_write(path, FILE_MAGIC, FILE_VERSION, identity->seed, KEY_BYTES, fail);
}

#define SIGNED_MAX (SIGN_DOMAIN_MAX + 1 + 64)

/* domain || 0x00 || BLAKE2b-512(bytes); gives its size. */
static size_t signed_form(uint8_t form[SIGNED_MAX], const char *domain, const void *bytes,
			  size_t size)
{
	const size_t length = strlen(domain);
	assert(length <= SIGN_DOMAIN_MAX);
	memcpy(form, domain, length + 1);
	crypto_generichash(form + length + 1, 64, bytes, size, NULL, 0);
	return length + 1 + 64;
}

void identity_sign(const struct identity *identity, const char *domain, const void *bytes,
		   size_t size, uint8_t signature[SIGNATURE_BYTES])
{
	uint8_t form[SIGNED_MAX];
	const size_t n = signed_form(form, domain, bytes, size);
	crypto_sign_detached(signature, NULL, form, n, identity->ed_sk);
}

bool identity_verify(const uint8_t ed_pk[KEY_BYTES], const char *domain, const void *bytes,
		     size_t size, const uint8_t signature[SIGNATURE_BYTES])
{
	uint8_t form[SIGNED_MAX];
	const size_t n = signed_form(form, domain, bytes, size);
	return crypto_sign_verify_detached(signature, form, n, ed_pk) == 0;
}
