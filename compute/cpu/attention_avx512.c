#include "compute/cpu/attention_avx512.h"

#include "compute/cpu/attention_avx2.h"
#include "compute/cpu/avx512.h"
#include "compute/cpu/lanes_avx2.h"

#include <immintrin.h>
#include <math.h>

#define POSITION_VECTORS (ATTENTION_TILE / 16)

static inline __m512 power_of_two(__m512i exponent)
{
	const __m512i biased = _mm512_add_epi32(exponent, _mm512_set1_epi32(127));
	return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

/* The steps of maths_exp. */
static inline __m512 exp_16(__m512 x)
{
	const __m512 round = _mm512_set1_ps(EXP_ROUND);
	x = _mm512_max_ps(_mm512_set1_ps(-EXP_LIMIT), x); /* the second operand where NaN */
	x = _mm512_min_ps(_mm512_set1_ps(EXP_LIMIT), x);
	const __m512 t = _mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E), round);
	const __m512 whole = _mm512_sub_ps(t, round);
	__m512 r = _mm512_fmadd_ps(whole, _mm512_set1_ps(-EXP_LN2_HIGH), x);
	r = _mm512_fmadd_ps(whole, _mm512_set1_ps(-EXP_LN2_LOW), r);
	__m512 p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C7), r, _mm512_set1_ps(EXP_C6));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C5));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
	p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
	const __m512i k = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(round));
	const __m512i half = _mm512_srai_epi32(k, 1);
	p = _mm512_mul_ps(p, power_of_two(half));
	return _mm512_mul_ps(p, power_of_two(_mm512_sub_epi32(k, half)));
}

/* Lanes of vector v whose positions are seen. */
static inline __mmask16 seen_lanes(struct seen seen, uint32_t v)
{
	const uint64_t from = UINT64_MAX << seen.first;
	const uint64_t to = UINT64_MAX >> (ATTENTION_TILE - seen.end);
	return (__mmask16)((from & to) >> (16 * v));
}

static void weigh(struct seen seen, float *weights, float *largest, float *sum)
{
	__m512 tops = _mm512_set1_ps(-INFINITY), sums = _mm512_setzero_ps();
	for (uint32_t v = 0; v < POSITION_VECTORS; v++)
		/* the second operand where a score is NaN */
		tops = _mm512_mask_max_ps(tops, seen_lanes(seen, v),
					  _mm512_load_ps(weights + 16 * v), tops);
	const float top = _mm512_reduce_max_ps(tops);
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const __m512 scores = _mm512_load_ps(weights + 16 * v);
		const __m512 weight = _mm512_maskz_mov_ps(
			seen_lanes(seen, v), exp_16(_mm512_sub_ps(scores, _mm512_set1_ps(top))));
		_mm512_store_ps(weights + 16 * v, weight);
		sums = _mm512_add_ps(sums, weight);
	}
	*largest = top + 0.0f;
	*sum = lanes_sum(
		_mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1)));
}

static const struct tile_steps steps = {
	.quantise = avx2_quantise_query,
	.score = avx512_score_tile,
	.cap = avx2_cap_scores,
	.weigh = weigh,
	.add_values = avx512_add_values,
	.exp = avx2_exp,
	.join = avx2_join,
	.finish = avx2_finish,
};

void avx512_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
			   uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	tiles_rows(&steps, attention, q, q_stride, n_rows, position, out, out_stride);
}

void avx512_attention_tile(const struct attention *attention, const float *q, uint32_t position,
			   uint32_t tile, float *partial)
{
	tiles_one(&steps, attention, q, position, tile, partial);
}
