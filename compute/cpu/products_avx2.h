/* products_avx2.h: products of unsigned weights and signed activations, added up with AVX2:
 * vpmaddubsw gives sums of two in 16 bits, which take in as many more as have room. */
#ifndef COMPUTE_CPU_PRODUCTS_AVX2_H
#define COMPUTE_CPU_PRODUCTS_AVX2_H

#include "compute/cpu/traits_avx2.h"

FORCE_INLINE bool is_wide(uint32_t type)
{
	return traits[type].together == 0;
}

FORCE_INLINE int vectors_together(uint32_t type)
{
	return traits[type].together;
}

/* 2 * 127 * 15 * 8, 2 * 127 * 31 * 4 and 2 * 127 * 43 * 2 fit in 16 bits. */
FORCE_INLINE int turned_together(uint32_t type)
{
	return type == TENSOR_IQ3_S ? 8 : type == TENSOR_IQ3_XXS ? 4 : 2;
}

FORCE_INLINE __m256i products_of(__m256i w, __m256i x)
{
	return _mm256_maddubs_epi16(w, x);
}

/* The compiler would put the sum into another register and copy it back, a seventh of a tile's
 * instructions; and it would first multiply all, in more vectors than there are registers. */
FORCE_INLINE __m256i add_products(__m256i narrow, __m256i w, __m256i x)
{
	__asm__("vpaddw %1, %0, %0" : "+x"(narrow) : "x"(products_of(w, x)));
	return narrow;
}

FORCE_INLINE __m256i narrow_add(__m256i a, __m256i b)
{
	return _mm256_add_epi16(a, b);
}

FORCE_INLINE __m256i add_sums(__m256i sums, __m256i narrow)
{
	return _mm256_add_epi32(sums, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
}

#endif
