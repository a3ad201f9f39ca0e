/* lanes_avx2.h: small things over eight floats, in the order of operations of the C reference. */
#ifndef COMPUTE_CPU_LANES_AVX2_H
#define COMPUTE_CPU_LANES_AVX2_H

#include "compute/cpu/maths.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* Lane i + lane i + 4, then + 2, then + 1. */
static inline float lanes_sum(__m256 v)
{
	__m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	half = _mm_add_ps(half, _mm_movehl_ps(half, half));
	return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* For lanes without NaN. */
static inline float lanes_max(__m256 v)
{
	__m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	half = _mm_max_ps(half, _mm_movehl_ps(half, half));
	return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

static inline __m256 lanes_power_of_two(__m256i exponent)
{
	const __m256i biased = _mm256_add_epi32(exponent, _mm256_set1_epi32(127));
	return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

/* The steps of maths_exp. */
static inline __m256 lanes_exp(__m256 x)
{
	const __m256 round = _mm256_set1_ps(EXP_ROUND);
	x = _mm256_max_ps(_mm256_set1_ps(-EXP_LIMIT), x); /* the second operand where NaN */
	x = _mm256_min_ps(_mm256_set1_ps(EXP_LIMIT), x);
	const __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), round);
	const __m256 whole = _mm256_sub_ps(t, round);
	__m256 r = _mm256_fmadd_ps(whole, _mm256_set1_ps(-EXP_LN2_HIGH), x);
	r = _mm256_fmadd_ps(whole, _mm256_set1_ps(-EXP_LN2_LOW), r);
	__m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C7), r, _mm256_set1_ps(EXP_C6));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
	p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0f));
	const __m256i k = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(round));
	const __m256i half = _mm256_srai_epi32(k, 1);
	p = _mm256_mul_ps(p, lanes_power_of_two(half));
	return _mm256_mul_ps(p, lanes_power_of_two(_mm256_sub_epi32(k, half)));
}

/* The steps of maths_tanh. */
static inline __m256 lanes_tanh(__m256 x)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	const __m256 e = _mm256_add_ps(lanes_exp(_mm256_add_ps(x, x)), one);
	return _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0f), e));
}

/* The sum of a segment joins the tree: what lies at a level waits for its neighbour. The last
 * segment leaves the whole at level SEGMENT_LEVELS. */
static inline void tree_add(__m256 *levels, size_t step, uint32_t segment, __m256 sum)
{
	uint32_t level = 0;
	for (; segment >> level & 1; level++)
		sum = _mm256_add_ps(levels[level * step], sum);
	levels[level * step] = sum;
}

#endif
