#include "compute/cpu/attention_avx2.h"

#include "compute/cpu/avx2.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/unpack_avx2.h"

#include <math.h>

#define POSITION_VECTORS (ATTENTION_TILE / 8)

/* ---- queries ---- */

/* The bits of the largest magnitude of 32 values. */
static uint32_t largest_bits(const __m256 x[4])
{
	const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
	__m256i top = _mm256_setzero_si256();
	for (int v = 0; v < 4; v++)
		top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(x[v]), magnitude));
	__m128i half = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
	half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
	half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(half);
}

static void quantise_block(const __m256 x[4], float inverse, int8_t *q)
{
	__m256i whole[4];
	for (int v = 0; v < 4; v++)
		whole[v] = _mm256_cvtps_epi32(_mm256_mul_ps(x[v], _mm256_set1_ps(inverse)));
	const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]),
						 _mm256_packs_epi32(whole[2], whole[3]));
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	_mm256_storeu_si256((void *)q, _mm256_permutevar8x32_epi32(bytes, order));
}

/* A block that cache_quantise would treat apart is left to it. */
void avx2_quantise_query(const float *x, uint32_t n, int8_t *q, float *scales)
{
	for (uint32_t i = 0; i < n; i += KV_SCALE_BLOCK) {
		__m256 v[4];
		for (int k = 0; k < 4; k++)
			v[k] = _mm256_loadu_ps(x + i + 8 * k);
		const uint32_t bits = largest_bits(v);
		float largest;
		__builtin_memcpy(&largest, &bits, sizeof(largest));
		if (bits >= 0x7f800000 || largest < CACHE_LARGEST_MIN) {
			cache_quantise(x + i, KV_SCALE_BLOCK, q + i, scales + i / KV_SCALE_BLOCK);
			continue;
		}
		quantise_block(v, 127.0f / largest, q + i);
		scales[i / KV_SCALE_BLOCK] = largest / 127.0f;
	}
}

/* ---- weights ---- */

/* All bits set in the lanes of vector v whose positions are seen. */
static __m256 seen_lanes(struct seen seen, uint32_t v)
{
	const __m256i at = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
					    _mm256_set1_epi32((int)(8 * v)));
	const __m256i from = _mm256_cmpgt_epi32(at, _mm256_set1_epi32((int)seen.first - 1));
	const __m256i to = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)seen.end), at);
	return _mm256_castsi256_ps(_mm256_and_si256(from, to));
}

void avx2_cap_scores(float cap, float *scores)
{
	const __m256 factor = _mm256_set1_ps(cap), inverse = _mm256_set1_ps(1.0f / cap);
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const __m256 x = _mm256_mul_ps(_mm256_load_ps(scores + 8 * v), inverse);
		_mm256_store_ps(scores + 8 * v, _mm256_mul_ps(factor, lanes_tanh(x)));
	}
}

/* `whole`: every position is seen. */
FORCE_INLINE void weigh(struct seen seen, bool whole, float *weights, float *largest, float *sum)
{
	const __m256 lowest = _mm256_set1_ps(-INFINITY);
	__m256 tops = lowest, sums[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		__m256 scores = _mm256_load_ps(weights + 8 * v);
		if (!whole)
			scores = _mm256_blendv_ps(lowest, scores, seen_lanes(seen, v));
		tops = _mm256_max_ps(scores, tops); /* the second operand where a score is NaN */
	}
	const float top = lanes_max(tops);
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const __m256 scores = _mm256_load_ps(weights + 8 * v);
		__m256 weight = lanes_exp(_mm256_sub_ps(scores, _mm256_set1_ps(top)));
		if (!whole)
			weight = _mm256_and_ps(weight, seen_lanes(seen, v));
		_mm256_store_ps(weights + 8 * v, weight);
		sums[v % 2] = _mm256_add_ps(sums[v % 2], weight);
	}
	*largest = top + 0.0f;
	*sum = lanes_sum(_mm256_add_ps(sums[0], sums[1]));
}

void avx2_weigh(struct seen seen, float *weights, float *largest, float *sum)
{
	if (seen.first == 0 && seen.end == ATTENTION_TILE)
		weigh(seen, true, weights, largest, sum);
	else
		weigh(seen, false, weights, largest, sum);
}

/* ---- joining ---- */

void avx2_exp(float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 8)
		_mm256_storeu_ps(x + i, lanes_exp(_mm256_loadu_ps(x + i)));
}

void avx2_join(uint32_t head_v, float *all, const float *next, float keep, float take)
{
	const __m256 keeps = _mm256_set1_ps(keep), takes = _mm256_set1_ps(take);
	for (uint32_t i = 0; i < head_v; i += 8) {
		const __m256 add = _mm256_mul_ps(_mm256_loadu_ps(next + i), takes);
		_mm256_storeu_ps(all + i, _mm256_fmadd_ps(_mm256_loadu_ps(all + i), keeps, add));
	}
}

void avx2_finish(const struct attention *attention, uint32_t head, const float *all, float *out)
{
	const __m256 factor = _mm256_set1_ps(attention_factor(attention, head, all));
	for (uint32_t i = 0; i < attention->head_v; i += 8)
		_mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(all + i), factor));
}

/* ---- whole calls ---- */

static const struct tile_steps steps = {
	.quantise = avx2_quantise_query,
	.score = avx2_score_tile,
	.cap = avx2_cap_scores,
	.weigh = avx2_weigh,
	.add_values = avx2_add_values,
	.exp = avx2_exp,
	.join = avx2_join,
	.finish = avx2_finish,
};

void avx2_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
			 uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	tiles_rows(&steps, attention, q, q_stride, n_rows, position, out, out_stride);
}

void avx2_attention_tile(const struct attention *attention, const float *q, uint32_t position,
			 uint32_t tile, float *partial)
{
	tiles_one(&steps, attention, q, position, tile, partial);
}

void avx2_attention_join(const struct attention *attention, const float *partials, uint32_t n_tiles,
			 float *out)
{
	tiles_join(&steps, attention, partials, n_tiles, out);
}
