/* emulated_vnni.h: the one instruction of AVX-VNNI that kernels use, made of AVX2's, so that those
 * kernels are tested on processors without it. Included before each of their files by the build. */
#ifndef TESTS_KERNELS_EMULATED_VNNI_H
#define TESTS_KERNELS_EMULATED_VNNI_H

#include <immintrin.h>

/* vpdpbusd: four products of unsigned and signed bytes join each lane of 32 bits. */
static inline __m256i emulated_dpbusd(__m256i sums, __m256i bytes, __m256i signed_bytes)
{
	const __m256i even = _mm256_and_si256(bytes, _mm256_set1_epi16(255));
	const __m256i odd = _mm256_srli_epi16(bytes, 8);
	const __m256i signed_even = _mm256_srai_epi16(_mm256_slli_epi16(signed_bytes, 8), 8);
	const __m256i signed_odd = _mm256_srai_epi16(signed_bytes, 8);
	const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even, signed_even),
						  _mm256_madd_epi16(odd, signed_odd));
	return _mm256_add_epi32(sums, products);
}

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd

#endif
