#include "proto/cpace.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define BLOCK_BYTES 128 /* SHA-512's, the draft's s_in_bytes */

static const char dsi[] = "CPaceRistretto255";
static const char dsi_isk[] = "CPaceRistretto255_ISK";

_Static_assert(CPACE_POINT_BYTES == crypto_core_ristretto255_BYTES, "points");
_Static_assert(CPACE_SCALAR_BYTES == crypto_core_ristretto255_SCALARBYTES, "scalars");
_Static_assert(CPACE_ISK_BYTES == crypto_hash_sha512_BYTES, "keys");

/* prepend_len's head: gives how many bytes it took, one or two. */
static size_t leb128(uint8_t head[2], size_t size)
{
	assert(size < 1u << 14);
	if (size < 128) {
		head[0] = (uint8_t)size;
		return 1;
	}
	head[0] = (uint8_t)(size | 0x80);
	head[1] = (uint8_t)(size >> 7);
	return 2;
}

uint8_t *cpace_lv(uint8_t *to, const void *bytes, size_t size)
{
	to += leb128(to, size);
	memcpy(to, bytes, size);
	return to + size;
}

static void hash_lv(crypto_hash_sha512_state *state, const void *bytes, size_t size)
{
	uint8_t head[2];
	crypto_hash_sha512_update(state, head, leb128(head, size));
	crypto_hash_sha512_update(state, bytes, size);
}

/* Fills the first block up, so that CI and sid are hashed in blocks free of the secret:
 * len_zpad = max(0, s_in_bytes - 1 - |lv(PRS)| - |lv(DSI)|). */
static void hash_padding(crypto_hash_sha512_state *state, size_t prs_size)
{
	static const uint8_t zeros[BLOCK_BYTES];
	uint8_t head[2];
	const size_t used = 1 + leb128(head, prs_size) + prs_size + 1 + sizeof(dsi) - 1;
	hash_lv(state, zeros, used < BLOCK_BYTES ? BLOCK_BYTES - used : 0);
}

void cpace_generator(uint8_t g[CPACE_POINT_BYTES], struct cpace_bytes prs, struct cpace_bytes ci,
		     struct cpace_bytes sid)
{
	uint8_t hash[crypto_hash_sha512_BYTES];
	crypto_hash_sha512_state state;
	crypto_hash_sha512_init(&state);
	hash_lv(&state, dsi, sizeof(dsi) - 1);
	hash_lv(&state, prs.bytes, prs.size);
	hash_padding(&state, prs.size);
	hash_lv(&state, ci.bytes, ci.size);
	hash_lv(&state, sid.bytes, sid.size);
	crypto_hash_sha512_final(&state, hash);
	crypto_core_ristretto255_from_hash(g, hash);
	sodium_memzero(hash, sizeof(hash));
	sodium_memzero(&state, sizeof(state));
}

void cpace_scalar(uint8_t y[CPACE_SCALAR_BYTES])
{
	crypto_core_ristretto255_scalar_random(y);
}

bool cpace_share(uint8_t share[CPACE_POINT_BYTES], const uint8_t y[CPACE_SCALAR_BYTES],
		 const uint8_t g[CPACE_POINT_BYTES])
{
	return crypto_scalarmult_ristretto255(share, y, g) == 0;
}

bool cpace_key(uint8_t isk[CPACE_ISK_BYTES], const uint8_t y[CPACE_SCALAR_BYTES],
	       const uint8_t theirs[CPACE_POINT_BYTES], const struct cpace_run *run)
{
	uint8_t k[CPACE_POINT_BYTES];
	if (crypto_scalarmult_ristretto255(k, y, theirs) != 0)
		return false;
	crypto_hash_sha512_state state;
	crypto_hash_sha512_init(&state);
	hash_lv(&state, dsi_isk, sizeof(dsi_isk) - 1);
	hash_lv(&state, run->sid.bytes, run->sid.size);
	hash_lv(&state, k, sizeof(k));
	hash_lv(&state, run->ya, CPACE_POINT_BYTES);
	hash_lv(&state, run->ada.bytes, run->ada.size);
	hash_lv(&state, run->yb, CPACE_POINT_BYTES);
	hash_lv(&state, run->adb.bytes, run->adb.size);
	crypto_hash_sha512_final(&state, isk);
	sodium_memzero(k, sizeof(k));
	sodium_memzero(&state, sizeof(state));
	return true;
}
