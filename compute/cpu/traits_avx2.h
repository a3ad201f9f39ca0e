/* traits_avx2.h: the weight formats as constants of the compiler, for code that is made once for
 * each type. */
#ifndef COMPUTE_CPU_TRAITS_AVX2_H
#define COMPUTE_CPU_TRAITS_AVX2_H

#include "compute/cpu/unpack_avx2.h"

struct trait {
	uint16_t columns, bytes; /* of a block */
	uint8_t group;           /* columns that share a scale */
	bool minima;
	uint8_t shift;    /* unsigned weights are 2^shift too large; 0: they are not */
	uint8_t together; /* vectors of products that fit in 16 bits: with the largest unsigned
			   * weight u, 2 * 127 * u of each. 0: not even one is sure to fit */
};

static const struct trait traits[] = {
	[TENSOR_Q4_0] = { 32, 18, 32, false, 3, 8 },
	[TENSOR_Q4_1] = { 32, 20, 32, true, 0, 8 },
	[TENSOR_Q5_0] = { 32, 22, 32, false, 4, 4 },
	[TENSOR_Q5_1] = { 32, 24, 32, true, 0, 4 },
	[TENSOR_Q8_0] = { 32, 34, 32, false, 7, 0 },
	[TENSOR_Q2_K] = { 256, 84, 16, true, 0, 4 },
	[TENSOR_Q3_K] = { 256, 110, 16, false, 2, 4 },
	[TENSOR_Q4_K] = { 256, 144, 32, true, 0, 8 },
	[TENSOR_Q5_K] = { 256, 176, 32, true, 0, 4 },
	[TENSOR_Q6_K] = { 256, 210, 16, false, 5, 2 },
	[TENSOR_IQ2_XXS] = { 256, 66, 32, false, 6, 1 },
	[TENSOR_IQ2_XS] = { 256, 74, 16, false, 6, 1 },
	[TENSOR_IQ3_XXS] = { 256, 98, 32, false, 5, 2 },
	[TENSOR_IQ1_S] = { 256, 50, 32, false, 4, 4 },
	[TENSOR_IQ4_NL] = { 32, 18, 32, false, 7, 0 },
	[TENSOR_IQ3_S] = { 256, 110, 32, false, 4, 4 },
	[TENSOR_IQ2_S] = { 256, 82, 16, false, 6, 1 },
	[TENSOR_IQ4_XS] = { 256, 136, 32, false, 7, 0 },
	[TENSOR_IQ1_M] = { 256, 56, 16, false, 4, 4 },
	[TENSOR_MXFP4] = { 32, 17, 32, false, 4, 4 },
};

FORCE_INLINE bool is_256(uint32_t type)
{
	return traits[type].columns == 256;
}

FORCE_INLINE uint32_t block_bytes(uint32_t type)
{
	return traits[type].bytes;
}

FORCE_INLINE int group_width(uint32_t type)
{
	return traits[type].group;
}

FORCE_INLINE bool has_minima(uint32_t type)
{
	return traits[type].minima;
}

/* ---- what the variants differ in, each in its products_*.h ---- */

/* Whether weights are left signed, since unsigned ones would be too large for the products. */
FORCE_INLINE bool is_wide(uint32_t type);
/* How many vectors of products add_products may add to one vector of narrow sums, from zero on. */
FORCE_INLINE int vectors_together(uint32_t type);
/* The same for IQ2 and IQ3 where their activations take the signs and weights are small. */
FORCE_INLINE int turned_together(uint32_t type);
/* Products of unsigned weights, four columns in each lane; the same, added to others. */
FORCE_INLINE __m256i products_of(__m256i w, __m256i x);
FORCE_INLINE __m256i add_products(__m256i narrow, __m256i w, __m256i x);
/* Adds sums of products. */
FORCE_INLINE __m256i narrow_add(__m256i a, __m256i b);
/* Narrow sums join sums of 32 bits. */
FORCE_INLINE __m256i add_sums(__m256i sums, __m256i narrow);

FORCE_INLINE int weight_shift(uint32_t type)
{
	return is_wide(type) ? 0 : traits[type].shift;
}

/* What lies in a file as signed bytes, as the products take it. */
FORCE_INLINE __m256i from_signed(uint32_t type, __m256i w)
{
	return is_wide(type) ? w : _mm256_xor_si256(w, _mm256_set1_epi8(-128));
}

#endif
