/* products_avxvnni.h: products of unsigned weights and signed activations, added up with AVX-VNNI:
 * vpdpbusd adds four of them to a sum in 32 bits, where there is room for a whole group. */
#ifndef COMPUTE_CPU_PRODUCTS_AVXVNNI_H
#define COMPUTE_CPU_PRODUCTS_AVXVNNI_H

#include "compute/cpu/traits_avx2.h"

FORCE_INLINE bool is_wide(uint32_t type)
{
	(void)type;
	return false;
}

FORCE_INLINE int vectors_together(uint32_t type)
{
	return group_width(type) / 4;
}

FORCE_INLINE int turned_together(uint32_t type)
{
	return vectors_together(type);
}

FORCE_INLINE __m256i products_of(__m256i w, __m256i x)
{
	return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, x);
}

FORCE_INLINE __m256i add_products(__m256i narrow, __m256i w, __m256i x)
{
	return _mm256_dpbusd_avx_epi32(narrow, w, x);
}

FORCE_INLINE __m256i narrow_add(__m256i a, __m256i b)
{
	return _mm256_add_epi32(a, b);
}

FORCE_INLINE __m256i add_sums(__m256i sums, __m256i narrow)
{
	return _mm256_add_epi32(sums, narrow);
}

#endif
