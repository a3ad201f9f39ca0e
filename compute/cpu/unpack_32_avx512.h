/* unpack_32_avx512.h: formats with blocks of 32 weights: what lies beside the weights of some
 * blocks, and columns by fours. */
#ifndef COMPUTE_CPU_UNPACK_32_AVX512_H
#define COMPUTE_CPU_UNPACK_32_AVX512_H

#include "compute/cpu/traits_avx512.h"
#include "compute/cpu/unpack_avx512.h"

#define SMALL_BLOCKS (PANEL_COLUMNS / 32) /* that are collected together */

/* What nibbles stand for, made unsigned by its packing's offset. */
static const uint8_t fp4_values[16] = { FP4_OFFSET,     FP4_OFFSET + 1,  FP4_OFFSET + 2,
					FP4_OFFSET + 3, FP4_OFFSET + 4,  FP4_OFFSET + 6,
					FP4_OFFSET + 8, FP4_OFFSET + 12, FP4_OFFSET,
					FP4_OFFSET - 1, FP4_OFFSET - 2,  FP4_OFFSET - 3,
					FP4_OFFSET - 4, FP4_OFFSET - 6,  FP4_OFFSET - 8,
					FP4_OFFSET - 12 };

/* ---- beside the weights ---- */

struct beside {
	struct column_16 d[SMALL_BLOCKS];     /* MXFP4: the exponent */
	struct column_32 pairs[SMALL_BLOCKS]; /* with minima, d and what is added */
	struct column_32 fifth[SMALL_BLOCKS]; /* Q5_0, Q5_1: bit c belongs to column c */
};

FORCE_INLINE void collect_beside(uint32_t type, struct sixteen rows, uint32_t n,
				 struct beside *beside)
{
	for (uint32_t i = 0; i < n; i++, rows.bytes += traits[type].bytes) {
		if (type == TENSOR_MXFP4)
			collect_8(rows, 0, &beside->d[i]);
		else if (traits[type].minima)
			collect_32(rows, 0, &beside->pairs[i]);
		else
			collect_16(rows, 0, &beside->d[i]);
		if (type == TENSOR_Q5_0 || type == TENSOR_Q5_1)
			collect_32(rows, type == TENSOR_Q5_0 ? 2 : 4, &beside->fifth[i]);
	}
}

/* 2^(e - 128); the smallest two are denormal. */
FORCE_INLINE __m512 power_of_two(const struct column_16 *column)
{
	const __m512i e = _mm512_cvtepu16_epi32(_mm256_load_si256((const void *)column->lanes));
	const __mmask16 denormal = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
	const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
	return _mm512_castsi512_ps(
		_mm512_mask_sllv_epi32(normal, denormal, _mm512_set1_epi32(0x00200000), e));
}

FORCE_INLINE __m512 small_scale(uint32_t type, const struct beside *beside, uint32_t block)
{
	if (type == TENSOR_MXFP4)
		return power_of_two(&beside->d[block]);
	if (traits[type].minima)
		return low_halves(_mm512_load_si512(beside->pairs[block].lanes));
	return column_floats(&beside->d[block]);
}

/* What is added, which the contract takes as a negative minimum. */
FORCE_INLINE __m512 small_minimum(const struct beside *beside, uint32_t block)
{
	return low_halves(_mm512_srli_epi32(_mm512_load_si512(beside->pairs[block].lanes), 16));
}

/* ---- columns ---- */

/* Bytes of a block of sixteen rows, turned. */
struct small_part {
	__m512i low[8];
	__m512i fifth;
};

FORCE_INLINE void turn_small(uint32_t type, struct sixteen rows, const struct beside *beside,
			     uint32_t block, struct small_part *part)
{
	static const size_t first[] = {
		[TENSOR_Q4_0] = 2, [TENSOR_Q4_1] = 4,   [TENSOR_Q5_0] = 6,
		[TENSOR_Q5_1] = 8, [TENSOR_IQ4_NL] = 2, [TENSOR_MXFP4] = 1,
	};
	if (type == TENSOR_Q8_0) {
		turn_32(rows, 2, part->low);
		return;
	}
	turn_16(rows, first[type], part->low);
	if (type == TENSOR_Q5_0 || type == TENSOR_Q5_1)
		part->fifth = _mm512_load_si512(beside->fifth[block].lanes);
}

/* Columns 4i to 4i + 3. */
FORCE_INLINE __m512i small_columns(uint32_t type, const struct small_part *part, int i)
{
	if (type == TENSOR_Q8_0)
		return _mm512_xor_si512(part->low[i], _mm512_set1_epi8((char)OFFSET_ANY));
	const __m512i v = part->low[i % 4];
	const __m512i nibbles = i / 4 ? nibbles_high(v) : nibbles_low(v);
	switch (type) {
	case TENSOR_Q5_0:
	case TENSOR_Q5_1:
		return _mm512_mask_add_epi8(nibbles, bits_of_columns(part->fifth, i), nibbles,
					    _mm512_set1_epi8(16));
	case TENSOR_IQ4_NL:
		return _mm512_shuffle_epi8(iq4_values(), nibbles);
	case TENSOR_MXFP4:
		return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load_128(fp4_values)), nibbles);
	default:
		return nibbles;
	}
}

#endif
