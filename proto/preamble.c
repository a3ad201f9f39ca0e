#include "proto/preamble.h"

#include "base/buf.h"

#include <sodium.h>
#include <string.h>

#define AT_MAJOR 4
#define AT_KIND 5
#define AT_FLAGS 6
#define AT_RANDOM 8
#define NONCE_BYTES 4
#define HINT_BYTES 4

static const char magic[4] = { 'P', 'R', 'M', 'D' };

static void put_head(uint8_t preamble[PREAMBLE_BYTES], enum connection_kind kind)
{
	memcpy(preamble, magic, sizeof(magic));
	preamble[AT_MAJOR] = PROTOCOL_MAJOR;
	preamble[AT_KIND] = (uint8_t)kind;
	store_u16le(preamble + AT_FLAGS, 0);
}

void preamble_make(uint8_t preamble[PREAMBLE_BYTES], enum connection_kind kind)
{
	put_head(preamble, kind);
	randombytes_buf(preamble + AT_RANDOM, PREAMBLE_BYTES - AT_RANDOM);
}

static void hint_of(uint8_t hint[HINT_BYTES], const uint8_t nonce[NONCE_BYTES],
		    const uint8_t home[HOME_ID_BYTES], const struct device_id *id)
{
	uint8_t hash[crypto_generichash_BYTES_MIN];
	crypto_generichash_state state;
	crypto_generichash_init(&state, home, HOME_ID_BYTES, sizeof(hash));
	crypto_generichash_update(&state, nonce, NONCE_BYTES);
	crypto_generichash_update(&state, id->bytes, ID_BYTES);
	crypto_generichash_final(&state, hash, sizeof(hash));
	memcpy(hint, hash, HINT_BYTES);
}

void preamble_answer(uint8_t preamble[PREAMBLE_BYTES], enum connection_kind kind,
		     const uint8_t home[HOME_ID_BYTES], const struct device_id *self)
{
	uint8_t *nonce = preamble + AT_RANDOM;
	put_head(preamble, kind);
	randombytes_buf(nonce, NONCE_BYTES);
	hint_of(nonce + NONCE_BYTES, nonce, home, self);
}

bool preamble_hints(const uint8_t preamble[PREAMBLE_BYTES], const uint8_t home[HOME_ID_BYTES],
		    const struct device_id *id)
{
	const uint8_t *nonce = preamble + AT_RANDOM;
	uint8_t hint[HINT_BYTES];
	hint_of(hint, nonce, home, id);
	return memcmp(hint, nonce + NONCE_BYTES, HINT_BYTES) == 0;
}

int preamble_check(const uint8_t preamble[PREAMBLE_BYTES], struct fail *fail)
{
	const uint8_t major = preamble[AT_MAJOR];
	const uint8_t kind = preamble[AT_KIND];
	if (memcmp(preamble, magic, sizeof(magic)) != 0)
		return fail_set(fail, FAIL_INVALID, "what answers there is not primad");
	if (major != PROTOCOL_MAJOR)
		return fail_set(fail, FAIL_VERSION,
				"the other device speaks protocol version %u, this one version %u; "
				"upgrade the older of the two",
				major, PROTOCOL_MAJOR);
	if (kind < CONNECTION_CONTROL || kind > CONNECTION_PAIR ||
	    load_u16le(preamble + AT_FLAGS) != 0)
		return fail_set(fail, FAIL_INVALID,
				"the other device asks for a kind of connection unknown here");
	return kind;
}
