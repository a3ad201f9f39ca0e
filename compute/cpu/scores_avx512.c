/* scores_avx512.c: queries times the keys of a tile; a lane is a position. */
#include "compute/cpu/attention_avx512.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/unpack_avx2.h"

#define VECTORS (ATTENTION_TILE / 16)

/* ---- F16 and F32 ---- */

/* Keys [head_k, ATTENTION_TILE] as they are met: halves, or floats. */
struct keys {
	const uint8_t *bytes;
	bool halves;
	uintptr_t ahead; /* of the tile; 0 where the keys are no longer the cache's */
};

FORCE_INLINE size_t key_bytes(struct keys keys)
{
	return keys.halves ? sizeof(uint16_t) : sizeof(float);
}

FORCE_INLINE const void *key_address(struct keys keys, size_t at)
{
	return keys.bytes + at * key_bytes(keys);
}

FORCE_INLINE __m512 key_16(struct keys keys, size_t at)
{
	if (keys.halves)
		return _mm512_cvtph_ps(_mm256_load_si256(key_address(keys, at)));
	return _mm512_load_ps(key_address(keys, at));
}

/* Scores of `n` queries from `first` on with all positions. */
FORCE_INLINE void score_some(struct tile *tile, struct keys keys, uint32_t first, int n)
{
	__m512 sums[6][VECTORS];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (uint32_t v = 0; v < VECTORS; v++)
			sums[q][v] = _mm512_setzero_ps();
	}
	for (uint32_t i = 0; i < tile->attention->head_k; i++) {
		__m512 k[VECTORS];
		UNROLL
		for (uint32_t v = 0; v < VECTORS; v++)
			k[v] = key_16(keys, (size_t)i * ATTENTION_TILE + 16 * (size_t)v);
		if (first == 0 && keys.ahead)
			tile_ask(keys.bytes, i, ATTENTION_TILE * key_bytes(keys), keys.ahead);
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m512 x = _mm512_set1_ps(tile->queries[first + (uint32_t)q].x[i]);
			UNROLL
			for (uint32_t v = 0; v < VECTORS; v++)
				sums[q][v] = _mm512_fmadd_ps(x, k[v], sums[q][v]);
		}
	}
	const __m512 scale = _mm512_set1_ps(tile->attention->scale);
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (uint32_t v = 0; v < VECTORS; v++)
			_mm512_store_ps(tile->weights[first + (uint32_t)q] + 16 * v,
					_mm512_mul_ps(sums[q][v], scale));
	}
}

FORCE_INLINE void score_floats(struct tile *tile, struct keys keys)
{
	uint32_t q = 0;
	for (; q + 6 <= tile->n; q += 6)
		score_some(tile, keys, q, 6);
	if (tile->n - q == 5)
		score_some(tile, keys, q, 5);
	else if (tile->n - q == 4)
		score_some(tile, keys, q, 4);
	else if (tile->n - q == 3)
		score_some(tile, keys, q, 3);
	else if (tile->n - q == 2)
		score_some(tile, keys, q, 2);
	else if (tile->n - q == 1)
		score_some(tile, keys, q, 1);
}

static void widen_keys(struct tile *tile)
{
	const size_t n = (size_t)tile->attention->head_k * ATTENTION_TILE;
	const struct keys keys = { tile->keys, true, 0 };
	for (size_t at = 0; at < n; at += 16) {
		_mm512_store_ps(tile->floats + at, key_16(keys, at));
		tile_ask(tile->keys, at / 16, 16 * sizeof(uint16_t), tile->ahead);
	}
}

/* ---- Q8_0 ---- */

FORCE_INLINE __m512i query_4(const int8_t *q)
{
	int32_t four;
	__builtin_memcpy(&four, q, sizeof(four));
	return _mm512_set1_epi32(four);
}

/* One block of columns: integer sums of `n` queries with all positions. The product takes keys
 * without a sign: 128 is added to each, and 128 times the sum of the query taken off. */
FORCE_INLINE void products(const struct tile *tile, uint32_t first, int n, uint32_t block,
			   __m512i sums[4][VECTORS])
{
	const uint8_t *keys = tile->keys + (size_t)block * KV_SCALE_BLOCK * ATTENTION_TILE;
	const bool ask = first == 0 && tile->ahead;
	const __m512i flip = _mm512_set1_epi8(-128);
	UNROLL
	for (int q = 0; q < n; q++) {
		const int32_t off = -128 * tile->queries[first + (uint32_t)q].sums[block];
		UNROLL
		for (uint32_t v = 0; v < VECTORS; v++)
			sums[q][v] = _mm512_set1_epi32(off);
	}
	UNROLL
	for (uint32_t c = 0; c < KV_SCALE_BLOCK / 4; c++) {
		__m512i k[VECTORS];
		UNROLL
		for (uint32_t v = 0; v < VECTORS; v++)
			k[v] = _mm512_xor_si512(
				_mm512_load_si512(keys + ((size_t)c * VECTORS + v) * 64), flip);
		if (ask)
			tile_ask(keys, c, 4 * ATTENTION_TILE, tile->ahead);
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m512i x = query_4(tile->queries[first + (uint32_t)q].q +
						  block * KV_SCALE_BLOCK + 4 * c);
			UNROLL
			for (uint32_t v = 0; v < VECTORS; v++)
				sums[q][v] = _mm512_dpbusd_epi32(sums[q][v], k[v], x);
		}
	}
}

/* Float sums lie in the weights between blocks: the registers are full of integers. */
FORCE_INLINE void score_block(struct tile *tile, uint32_t first, int n, uint32_t block)
{
	const uint16_t *scales =
		cache_scales(tile->keys, tile->attention->head_k) + (size_t)block * ATTENTION_TILE;
	__m512i sums[4][VECTORS];
	products(tile, first, n, block, sums);
	tile_ask(scales, 0, ATTENTION_TILE * sizeof(*scales), tile->ahead);
	UNROLL
	for (uint32_t v = 0; v < VECTORS; v++) {
		const __m512 k_scale =
			_mm512_cvtph_ps(_mm256_load_si256((const void *)(scales + 16 * v)));
		UNROLL
		for (int q = 0; q < n; q++) {
			const float q_scale = tile->queries[first + (uint32_t)q].scales[block];
			float *weights = tile->weights[first + (uint32_t)q] + 16 * v;
			const __m512 before =
				block == 0 ? _mm512_setzero_ps() : _mm512_load_ps(weights);
			_mm512_store_ps(
				weights,
				_mm512_fmadd_ps(_mm512_mul_ps(_mm512_set1_ps(q_scale), k_scale),
						_mm512_cvtepi32_ps(sums[q][v]), before));
		}
	}
}

FORCE_INLINE void score_bytes_some(struct tile *tile, uint32_t first, int n)
{
	const __m512 scale = _mm512_set1_ps(tile->attention->scale);
	for (uint32_t block = 0; block < tile->attention->head_k / KV_SCALE_BLOCK; block++)
		score_block(tile, first, n, block);
	for (uint32_t q = first; q < first + (uint32_t)n; q++)
		for (uint32_t at = 0; at < ATTENTION_TILE; at += 16)
			_mm512_store_ps(
				tile->weights[q] + at,
				_mm512_mul_ps(_mm512_load_ps(tile->weights[q] + at), scale));
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

void avx512_score_tile(struct tile *tile)
{
	const enum kv_kind kind = tile->attention->kind;
	if (kind == KV_Q8_0) {
		score_bytes(tile);
	} else if (kind == KV_F16 && tile->n < TILE_MANY) {
		score_floats(tile, (struct keys){ tile->keys, true, tile->ahead });
	} else if (kind == KV_F16) {
		widen_keys(tile);
		score_floats(tile, (struct keys){ (const void *)tile->floats, false, 0 });
	} else {
		score_floats(tile, (struct keys){ tile->keys, false, tile->ahead });
	}
}
