#include "compute/cpu/avx2.h"
#include "compute/cpu/c.h"
#include "compute/cpu/rows.h"

#include <immintrin.h>
#include <string.h>

/* The bits of the largest magnitude among `n` floats, a multiple of 8. */
static uint32_t largest_bits(const float *x, uint32_t n)
{
	const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
	__m256i largest = _mm256_setzero_si256();
	for (uint32_t i = 0; i < n; i += 8) {
		const __m256i bits = _mm256_loadu_si256((const void *)(x + i));
		largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
	}
	__m128i half = _mm_max_epi32(_mm256_castsi256_si128(largest),
				     _mm256_extracti128_si256(largest, 1));
	half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
	half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(half);
}

static __m256i rounded(const float *x, __m256 inverse)
{
	return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}

/* 32 values, in order. */
static __m256i round_32(const float *x, __m256 inverse)
{
	const __m256i a = _mm256_packs_epi32(rounded(x, inverse), rounded(x + 8, inverse));
	const __m256i b = _mm256_packs_epi32(rounded(x + 16, inverse), rounded(x + 24, inverse));
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
}

/* Sums of both halves of 32 values. */
static void sum_halves(__m256i q, int32_t sums[2])
{
	const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
	__m256i v = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
	v = _mm256_add_epi32(v, _mm256_shuffle_epi32(v, 0x4e));
	v = _mm256_add_epi32(v, _mm256_shuffle_epi32(v, 0xb1));
	sums[0] = _mm256_extract_epi32(v, 0);
	sums[1] = _mm256_extract_epi32(v, 4);
}

/* Gives the scale; the cases of the reference. */
static float quantize_block(const float *x, uint32_t n, int8_t *q)
{
	const uint32_t bits = largest_bits(x, n);
	float largest;
	memcpy(&largest, &bits, sizeof(largest));
	if (bits >= 0x7f800000 || largest < ROW_LARGEST_MIN) {
		memset(q, 0, n);
		return bits >= 0x7f800000 ? __builtin_nanf("") : 0.0f;
	}
	const __m256 inverse = _mm256_set1_ps(127.0f / largest);
	for (uint32_t i = 0; i < n; i += 32)
		_mm256_storeu_si256((void *)(q + i), round_32(x + i, inverse));
	return largest / 127.0f;
}

void avx2_quantize_row(enum row_format format, const float *x, uint32_t n, void *row)
{
	if (format == ROW_F32) {
		c_quantize_row(format, x, n, row);
		return;
	}
	uint8_t *bytes = row;
	float *scales = (void *)(bytes + row_scale_offset(n));
	float *weighted = (void *)(bytes + row_weighted_offset(n));
	int32_t *sums = (void *)(bytes + row_sum_offset(n));
	int32_t *narrow = (void *)(bytes + row_narrow_offset(n));
	for (uint32_t i = 0; i < n / ROW_BLOCK; i++) {
		int8_t *q = (int8_t *)bytes + i * ROW_BLOCK;
		scales[i] = quantize_block(x + i * ROW_BLOCK, ROW_BLOCK, q);
		sum_halves(_mm256_loadu_si256((const void *)q), narrow + 2 * i);
		sums[i] = narrow[2 * i] + narrow[2 * i + 1];
		weighted[i] = scales[i] * (float)sums[i];
	}
}
