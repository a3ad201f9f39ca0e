/* scores_avx2.c: queries times the keys of a tile; a lane is a position. */
#include "compute/cpu/attention_avx2.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/unpack_avx2.h"

/* ---- F16 and F32 ---- */

/* Keys as they are met: [head_k, ATTENTION_TILE] halves or floats as the cache has them, or turned
 * to floats in panels [ATTENTION_TILE / PANEL, head_k, PANEL]. Each of a panel's columns lies in
 * the next line: 64 positions side by side would crowd a quarter of a small cache's sets. */
struct keys {
	const uint8_t *bytes;
	bool halves, panels;
	uintptr_t ahead; /* of the tile; 0 where the keys are no longer the cache's */
};

#define PANEL 16

FORCE_INLINE size_t key_bytes(struct keys keys)
{
	return keys.halves ? sizeof(uint16_t) : sizeof(float);
}

FORCE_INLINE const uint8_t *key_address(struct keys keys, size_t at)
{
	return keys.bytes + at * key_bytes(keys);
}

FORCE_INLINE __m256 key_8(struct keys keys, size_t at)
{
	if (keys.halves)
		return _mm256_cvtph_ps(load_128(key_address(keys, at)));
	return _mm256_load_ps((const void *)key_address(keys, at));
}

/* Scores of `n` queries from `first` on with 8 * `vectors` positions from `at` on. */
FORCE_INLINE void score_some(struct tile *tile, struct keys keys, uint32_t first, int n,
			     uint32_t at, int vectors)
{
	__m256 sums[6][8];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			sums[q][v] = _mm256_setzero_ps();
	}
	const uint32_t head_k = tile->attention->head_k;
	const size_t step = keys.panels ? PANEL : ATTENTION_TILE;
	size_t from = keys.panels ? (size_t)at * head_k : at;
	const uint8_t *ask = key_address(keys, (size_t)at * head_k);
	for (uint32_t i = 0; i < head_k; i += 2) { /* of halves a line is asked for each time */
		if (first == 0 && keys.ahead)
			tile_ask(ask, i / 2, 16 * (size_t)vectors * key_bytes(keys), keys.ahead);
		UNROLL
		for (uint32_t c = i; c < i + 2; c++, from += step) {
			__m256 k[8];
			UNROLL
			for (int v = 0; v < vectors; v++)
				k[v] = key_8(keys, from + 8 * (uint32_t)v);
			UNROLL
			for (int q = 0; q < n; q++) {
				const __m256 x =
					_mm256_set1_ps(tile->queries[first + (uint32_t)q].x[c]);
				UNROLL
				for (int v = 0; v < vectors; v++)
					sums[q][v] = _mm256_fmadd_ps(x, k[v], sums[q][v]);
			}
		}
	}
	const __m256 scale = _mm256_set1_ps(tile->attention->scale);
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			_mm256_store_ps(tile->weights[first + (uint32_t)q] + at + 8 * v,
					_mm256_mul_ps(sums[q][v], scale));
	}
}

/* All positions: as many chains of additions at once as the registers hold. */
FORCE_INLINE void score_rest(struct tile *tile, struct keys keys, uint32_t first, int n,
			     int vectors)
{
	for (uint32_t at = 0; at < ATTENTION_TILE; at += 8 * (uint32_t)vectors)
		score_some(tile, keys, first, n, at, vectors);
}

FORCE_INLINE void score_floats(struct tile *tile, struct keys keys)
{
	const uint32_t n = tile->n, whole = n / 6 * 6;
	for (uint32_t at = 0; at < ATTENTION_TILE && whole > 0; at += 16)
		for (uint32_t q = 0; q < whole; q += 6)
			score_some(tile, keys, q, 6, at, 2);
	if (n - whole == 5)
		score_rest(tile, keys, whole, 5, 2);
	else if (n - whole == 4)
		score_rest(tile, keys, whole, 4, 2);
	else if (n - whole == 3)
		score_rest(tile, keys, whole, 3, keys.panels ? 2 : 4);
	else if (n - whole == 2)
		score_rest(tile, keys, whole, 2, keys.panels ? 2 : 4);
	else if (n - whole == 1)
		score_rest(tile, keys, whole, 1, keys.panels ? 2 : 8);
}

static void widen_keys(struct tile *tile)
{
	const uint32_t head_k = tile->attention->head_k;
	const struct keys keys = { tile->keys, true, false, 0 };
	for (uint32_t i = 0; i < head_k; i++) {
		tile_ask(tile->keys, i, ATTENTION_TILE * sizeof(uint16_t), tile->ahead);
		for (uint32_t at = 0; at < ATTENTION_TILE; at += 8)
			_mm256_store_ps(tile->floats + (size_t)(at / PANEL) * PANEL * head_k +
						(size_t)i * PANEL + at % PANEL,
					key_8(keys, (size_t)i * ATTENTION_TILE + at));
	}
}

/* ---- Q8_0 ---- */

/* Adds products of four columns: `k` of eight positions, `q` the same in all lanes; no sum of two
 * products leaves 16 bits, because no value is below -127. */
FORCE_INLINE __m256i add_products(__m256i sum, __m256i k, __m256i magnitude, __m256i q)
{
	const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(q, k));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

FORCE_INLINE __m256i query_4(const int8_t *q)
{
	int32_t four;
	__builtin_memcpy(&four, q, sizeof(four));
	return _mm256_set1_epi32(four);
}

/* One block of columns: integer sums of `n` queries with eight positions, as floats. */
FORCE_INLINE void products_8(const struct tile *tile, uint32_t first, int n, uint32_t block,
			     uint32_t at, __m256 out[4])
{
	const uint8_t *keys =
		tile->keys + ((size_t)block * KV_SCALE_BLOCK * ATTENTION_TILE) + 4 * (size_t)at;
	__m256i sums[4];
	UNROLL
	for (int q = 0; q < n; q++)
		sums[q] = _mm256_setzero_si256();
	UNROLL
	for (uint32_t c = 0; c < KV_SCALE_BLOCK / 4; c++) {
		const __m256i k =
			_mm256_load_si256((const void *)(keys + (size_t)c * 4 * ATTENTION_TILE));
		const __m256i magnitude = _mm256_abs_epi8(k);
		UNROLL
		for (int q = 0; q < n; q++)
			sums[q] = add_products(sums[q], k, magnitude,
					       query_4(tile->queries[first + (uint32_t)q].q +
						       block * KV_SCALE_BLOCK + 4 * c));
	}
	UNROLL
	for (int q = 0; q < n; q++)
		out[q] = _mm256_cvtepi32_ps(sums[q]);
}

FORCE_INLINE void score_bytes_some(struct tile *tile, uint32_t first, int n)
{
	const uint32_t blocks = tile->attention->head_k / KV_SCALE_BLOCK;
	const uint8_t *scales = (const void *)cache_scales(tile->keys, tile->attention->head_k);
	for (uint32_t at = 0; at < ATTENTION_TILE; at += 8) {
		__m256 sums[4], products[4];
		UNROLL
		for (int q = 0; q < n; q++)
			sums[q] = _mm256_setzero_ps();
		for (uint32_t block = 0; block < blocks; block++) {
			const __m256 k_scale = _mm256_cvtph_ps(
				load_128(scales + 2 * ((size_t)block * ATTENTION_TILE + at)));
			products_8(tile, first, n, block, at, products);
			if (first == 0 && tile->ahead)
				tile_ask(tile->keys, at / 8 * blocks + block,
					 8 * (KV_SCALE_BLOCK + sizeof(uint16_t)), tile->ahead);
			UNROLL
			for (int q = 0; q < n; q++) {
				const __m256 scale = _mm256_mul_ps(
					_mm256_set1_ps(
						tile->queries[first + (uint32_t)q].scales[block]),
					k_scale);
				sums[q] = _mm256_fmadd_ps(scale, products[q], sums[q]);
			}
		}
		UNROLL
		for (int q = 0; q < n; q++)
			_mm256_store_ps(
				tile->weights[first + (uint32_t)q] + at,
				_mm256_mul_ps(sums[q], _mm256_set1_ps(tile->attention->scale)));
	}
}

static void score_bytes(struct tile *tile)
{
	uint32_t q = 0;
	for (; q + 4 <= tile->n; q += 4)
		score_bytes_some(tile, q, 4);
	for (; q + 2 <= tile->n; q += 2)
		score_bytes_some(tile, q, 2);
	if (q < tile->n)
		score_bytes_some(tile, q, 1);
}

void avx2_score_tile(struct tile *tile)
{
	const enum kv_kind kind = tile->attention->kind;
	if (kind == KV_Q8_0) {
		score_bytes(tile);
	} else if (kind == KV_F16 && tile->n < TILE_MANY) {
		score_floats(tile, (struct keys){ tile->keys, true, false, tile->ahead });
	} else if (kind == KV_F16) {
		widen_keys(tile);
		score_floats(tile, (struct keys){ (const void *)tile->floats, false, true, 0 });
	} else {
		score_floats(tile, (struct keys){ tile->keys, false, false, tile->ahead });
	}
}
