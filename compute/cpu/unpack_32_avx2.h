/* unpack_32_avx2.h: formats with blocks of 32 weights. */
#ifndef COMPUTE_CPU_UNPACK_32_AVX2_H
#define COMPUTE_CPU_UNPACK_32_AVX2_H

#include "compute/cpu/formats_decode.h"
#include "compute/cpu/traits_avx2.h"

/* Column 4c + i of a row has its fifth bit at 4c + i of the row's 32. */
FORCE_INLINE void add_fifth_bits(__m256i bits, __m256i w[8])
{
	const __m256i lower = _mm256_slli_epi32(bits, 4);
	const __m256i own = _mm256_set1_epi32((int)0x80402010);
	UNROLL
	for (int c = 0; c < 8; c++) {
		/* The byte with the four bits, four times; they in its upper half. */
		const __m256i copies = pick(c % 2 ? bits : lower, c / 2, c / 2, c / 2, c / 2);
		const __m256i bit =
			_mm256_min_epu8(_mm256_and_si256(copies, own), _mm256_set1_epi8(16));
		w[c] = _mm256_or_si256(w[c], bit);
	}
}

/* Pairs of nibbles to columns 0 to 15 and 16 to 31. */
FORCE_INLINE void split_nibbles(const __m256i packed[4], __m256i w[8])
{
	UNROLL
	for (int c = 0; c < 4; c++) {
		w[c] = nibbles_low(packed[c]);
		w[c + 4] = nibbles_high(packed[c]);
	}
}

FORCE_INLINE void look_up_all(__m256i table, __m256i w[8])
{
	UNROLL
	for (int c = 0; c < 8; c++)
		w[c] = _mm256_shuffle_epi8(table, w[c]);
}

/* Q4_0 and IQ4_NL; or Q5_0, which has fifth bits between. */
FORCE_INLINE __m256 unpack_plain(uint32_t type, struct octet octet, __m256i w[8])
{
	__m256i first[4], packed[4];
	turn_16(octet, 0, first);
	turn_16(octet, type == TENSOR_Q5_0 ? 6 : 2, packed);
	split_nibbles(packed, w);
	if (type == TENSOR_Q5_0)
		add_fifth_bits(_mm256_or_si256(_mm256_srli_epi32(first[0], 16),
					       _mm256_slli_epi32(first[1], 16)),
			       w);
	if (type == TENSOR_IQ4_NL)
		look_up_all(from_signed(type, load_table(decode_iq4_values)), w);
	return low_halves(first[0]);
}

/* Q4_1, Q5_1: what they add is a minimum below zero. */
FORCE_INLINE __m256 unpack_1(uint32_t type, struct octet octet, __m256i w[8], __m256 *min)
{
	__m256i first[4], packed[4];
	turn_16(octet, 0, first);
	turn_16(octet, type == TENSOR_Q4_1 ? 4 : 8, packed);
	split_nibbles(packed, w);
	if (type == TENSOR_Q5_1)
		add_fifth_bits(first[1], w);
	*min = _mm256_xor_ps(low_halves(_mm256_srli_epi32(first[0], 16)), _mm256_set1_ps(-0.0f));
	return low_halves(first[0]);
}

/* The eight bits before the nibbles are a power of two, see decode_mxfp4. Weights are 16 too
 * large. */
FORCE_INLINE __m256 unpack_mxfp4(struct octet octet, __m256i w[8])
{
	static const int8_t table[16] = { 16, 17, 18, 19, 20, 22, 24, 28,
					  16, 15, 14, 13, 12, 10, 8,  4 };
	__m256i packed[4];
	turn_16(octet, 1, packed);
	split_nibbles(packed, w);
	look_up_all(load_table(table), w);
	const __m256i e = _mm256_and_si256(load_words(octet, 0), _mm256_set1_epi32(255));
	const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
	const __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
	return _mm256_castsi256_ps(
		_mm256_blendv_epi8(normal, small, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
}

FORCE_INLINE __m256 unpack_8(struct octet octet, __m256i w[8])
{
	turn_32(octet, 2, w);
	UNROLL
	for (int c = 0; c < 8; c++)
		w[c] = from_signed(TENSOR_Q8_0, w[c]);
	return load_halves(octet, 0);
}

/* Bytes of one block. Gives the scales; `min` where the format has minima. */
FORCE_INLINE __m256 unpack_32(uint32_t type, struct octet octet, __m256i w[8], __m256 *min)
{
	*min = _mm256_setzero_ps();
	if (type == TENSOR_Q8_0)
		return unpack_8(octet, w);
	if (type == TENSOR_MXFP4)
		return unpack_mxfp4(octet, w);
	if (type == TENSOR_Q4_1 || type == TENSOR_Q5_1)
		return unpack_1(type, octet, w, min);
	return unpack_plain(type, octet, w);
}

#endif
