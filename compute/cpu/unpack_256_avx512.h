/* unpack_256_avx512.h: formats with blocks of 256 weights, but those with a grid: what their groups
 * share, and columns by fours, part after part. */
#ifndef COMPUTE_CPU_UNPACK_256_AVX512_H
#define COMPUTE_CPU_UNPACK_256_AVX512_H

#include "compute/cpu/traits_avx512.h"
#include "compute/cpu/unpack_avx512.h"

/* ---- what groups share ---- */

/* d * scale and -(dmin * min) of each group. */
struct k_scales {
	__m512 scale[PANEL_GROUPS], minimum[PANEL_GROUPS];
};

/* factor times each of the four bytes of each lane, which are no larger than 127. A byte need not
 * move to the lane's low end: powers of two are taken off the factor, which is exact. */
FORCE_INLINE void multiply_bytes(__m512i bytes, __m512 factor, __m512 out[4])
{
	UNROLL
	for (int i = 0; i < 4; i++) {
		const __m512i byte =
			_mm512_and_si512(bytes, _mm512_set1_epi32((int)(0xffu << 8 * i)));
		const __m512 part =
			_mm512_mul_ps(factor, _mm512_set1_ps(1.0f / (float)(1u << 8 * i)));
		out[i] = _mm512_mul_ps(part, _mm512_cvtepi32_ps(byte));
	}
}

/* factor times each of the four signed bytes of each lane. */
FORCE_INLINE void multiply_signed(__m512i bytes, __m512 factor, __m512 out[4])
{
	const __m512 part = _mm512_mul_ps(factor, _mm512_set1_ps(0x1p-24f));
	const __m512i top = _mm512_set1_epi32((int)0xff000000);
	UNROLL
	for (int i = 0; i < 4; i++) {
		const __m512i moved = _mm512_slli_epi32(bytes, (unsigned)(24 - 8 * i));
		out[i] = _mm512_mul_ps(part, _mm512_cvtepi32_ps(_mm512_and_si512(moved, top)));
	}
}

FORCE_INLINE __m512 minus_high_halves(__m512i pairs)
{
	return _mm512_xor_ps(low_halves(_mm512_srli_epi32(pairs, 16)), _mm512_set1_ps(-0.0f));
}

/* Q4_K, Q5_K: d, dmin and eight pairs of six bits in twelve bytes. */
FORCE_INLINE void scales_45(struct sixteen rows, struct k_scales *scales)
{
	const __m512i six = _mm512_set1_epi8(63), four = _mm512_set1_epi8(15);
	const __m512i top = _mm512_set1_epi8(0x30);
	__m512i v[4];
	turn_16(rows, 0, v);
	const __m512 d = low_halves(v[0]), dmin = minus_high_halves(v[0]);
	multiply_bytes(_mm512_and_si512(v[1], six), d, scales->scale);
	multiply_bytes(_mm512_and_si512(v[2], six), dmin, scales->minimum);
	multiply_bytes(or_masked(_mm512_and_si512(v[3], four), _mm512_srli_epi16(v[1], 2), top), d,
		       scales->scale + 4);
	multiply_bytes(or_masked(_mm512_and_si512(_mm512_srli_epi16(v[3], 4), four),
				 _mm512_srli_epi16(v[2], 2), top),
		       dmin, scales->minimum + 4);
}

FORCE_INLINE void scales_6(struct sixteen rows, struct k_scales *scales)
{
	__m512i v[4];
	turn_16(rows, 192, v);
	const __m512 d = low_halves(_mm512_srli_epi32(words_before(rows, 210), 16));
	UNROLL
	for (int i = 0; i < 4; i++)
		multiply_signed(v[i], d, scales->scale + 4 * i);
}

FORCE_INLINE void scales_2(struct sixteen rows, struct k_scales *scales)
{
	const __m512i halves = words_before(rows, 84);
	const __m512 d = low_halves(halves), dmin = minus_high_halves(halves);
	__m512i v[4];
	turn_16(rows, 0, v);
	UNROLL
	for (int i = 0; i < 4; i++) {
		multiply_bytes(nibbles_low(v[i]), d, scales->scale + 4 * i);
		multiply_bytes(nibbles_high(v[i]), dmin, scales->minimum + 4 * i);
	}
}

/* Bits 2q and 2q + 1 of each byte at bits 4 and 5. */
FORCE_INLINE __m512i to_top(__m512i v, int q)
{
	return q < 2 ? _mm512_slli_epi16(v, (unsigned)(4 - 2 * q))
		     : _mm512_srli_epi16(v, (unsigned)(2 * q - 4));
}

/* The twelve bytes of scales lie between two bytes of weights and d: turned, they begin in the
 * upper half of a lane. */
FORCE_INLINE void scales_3(struct sixteen rows, struct k_scales *scales)
{
	const __m512i top = _mm512_set1_epi8(0x30), less = _mm512_set1_epi8(32);
	__m512i v[4], packed[3];
	turn_16(rows, 94, v);
	const __m512 d = low_halves(_mm512_srli_epi32(v[3], 16));
	UNROLL
	for (int i = 0; i < 3; i++)
		packed[i] = _mm512_or_si512(_mm512_srli_epi32(v[i], 16),
					    _mm512_slli_epi32(v[i + 1], 16));
	UNROLL
	for (int i = 0; i < 4; i++) {
		const __m512i low = i < 2 ? nibbles_low(packed[i]) : nibbles_high(packed[i - 2]);
		const __m512i six = or_masked(low, to_top(packed[2], i), top);
		multiply_signed(_mm512_sub_epi8(six, less), d, scales->scale + 4 * i);
	}
}

/* Eight scales of six bits, less 32: their upper two in the high half of one lane, the lower four
 * in nibbles of the next. */
FORCE_INLINE void scales_iq4(struct sixteen rows, struct k_scales *scales)
{
	const __m512i four = _mm512_set1_epi32(15), top = _mm512_set1_epi32(0x30);
	__m512i v[4];
	turn_16(rows, 0, v);
	const __m512 d = low_halves(v[0]);
	UNROLL
	for (int j = 0; j < 8; j++) {
		const __m512i low =
			_mm512_and_si512(_mm512_srli_epi32(v[1], (unsigned)(4 * j)), four);
		const __m512i six =
			or_masked(low, _mm512_srli_epi32(v[0], (unsigned)(12 + 2 * j)), top);
		scales->scale[j] = _mm512_mul_ps(
			d, _mm512_cvtepi32_ps(_mm512_sub_epi32(six, _mm512_set1_epi32(32))));
	}
}

FORCE_INLINE void unpack_scales(uint32_t type, struct sixteen rows, struct k_scales *scales)
{
	switch (type) {
	case TENSOR_Q2_K:
		scales_2(rows, scales);
		break;
	case TENSOR_Q3_K:
		scales_3(rows, scales);
		break;
	case TENSOR_Q6_K:
		scales_6(rows, scales);
		break;
	case TENSOR_IQ4_XS:
		scales_iq4(rows, scales);
		break;
	default:
		scales_45(rows, scales);
	}
}

/* ---- columns ---- */

/* Bytes of a part of sixteen rows, turned, and those that lend bits to it. */
struct k_part {
	__m512i low[16], high[8];
};

/* What all parts of a block share. */
FORCE_INLINE void turn_shared(uint32_t type, struct sixteen rows, struct k_part *part)
{
	if (type == TENSOR_Q5_K)
		turn_32(rows, 16, part->high);
	if (type == TENSOR_Q3_K)
		turn_32(rows, 0, part->high);
}

FORCE_INLINE void turn_part(uint32_t type, struct sixteen rows, size_t index, struct k_part *part)
{
	static const size_t first[] = {
		[TENSOR_Q2_K] = 16, [TENSOR_Q3_K] = 32,  [TENSOR_Q4_K] = 16,
		[TENSOR_Q5_K] = 48, [TENSOR_IQ4_XS] = 8,
	};
	if (type != TENSOR_Q6_K) {
		turn_32(rows, first[type] + 32 * index, part->low);
		return;
	}
	turn_32(rows, 64 * index, part->low);
	turn_32(rows, 64 * index + 32, part->low + 8);
	turn_32(rows, 128 + 32 * index, part->high);
}

FORCE_INLINE __m512i nibbles(__m512i v, int which)
{
	return which ? nibbles_high(v) : nibbles_low(v);
}

/* Bit `bit` of each byte at bit `to`; the others are of no meaning. */
FORCE_INLINE __m512i bit_to(__m512i v, int bit, int to)
{
	return bit < to ? _mm512_slli_epi16(v, (unsigned)(to - bit))
			: _mm512_srli_epi16(v, (unsigned)(bit - to));
}

/* Bits 2j and 2j + 1 of each byte, at the bottom. */
FORCE_INLINE __m512i two_bits(__m512i v, int j)
{
	return _mm512_and_si512(_mm512_srli_epi16(v, (unsigned)(2 * j)), _mm512_set1_epi8(3));
}

/* Columns 4i to 4i + 3 of part `index`. */
FORCE_INLINE __m512i part_columns(uint32_t type, const struct k_part *part, int index, int i)
{
	const __m512i high = part->high[i % 8];
	switch (type) {
	case TENSOR_Q2_K:
		return two_bits(part->low[i % 8], i / 8);
	case TENSOR_Q3_K:
		return or_masked(two_bits(part->low[i % 8], i / 8),
				 bit_to(high, 4 * index + i / 8, 2), _mm512_set1_epi8(4));
	case TENSOR_Q5_K:
		return or_masked(nibbles(part->low[i % 8], i / 8),
				 bit_to(high, 2 * index + i / 8, 4), _mm512_set1_epi8(16));
	case TENSOR_Q6_K:
		return or_masked(nibbles(part->low[i % 16], i / 16), to_top(high, i / 8),
				 _mm512_set1_epi8(0x30));
	case TENSOR_IQ4_XS:
		return _mm512_shuffle_epi8(iq4_values(),
					   nibbles(part->low[i / 8 * 4 + i % 4], i / 4 % 2));
	default:
		return nibbles(part->low[i % 8], i / 8);
	}
}

/* The bits that columns 4i to 4i + 3 need not be shifted by: products of them all are a power of
 * two too large, which one shift of their sum takes off. For formats with minima, and no offset. */
FORCE_INLINE unsigned scaled_bits(uint32_t type, int i)
{
	switch (type) {
	case TENSOR_Q2_K:
		return (unsigned)(2 * (i / 8));
	case TENSOR_Q4_K:
		return (unsigned)(4 * (i / 8));
	default:
		return 0;
	}
}

/* As part_columns, times 1 << scaled_bits. */
FORCE_INLINE __m512i scaled_columns(uint32_t type, const struct k_part *part, int index, int i)
{
	const int mask = type == TENSOR_Q2_K ? 3 : 15;
	if (type != TENSOR_Q2_K && type != TENSOR_Q4_K)
		return part_columns(type, part, index, i);
	return _mm512_and_si512(part->low[i % 8],
				_mm512_set1_epi8((char)(mask << scaled_bits(type, i))));
}

#endif
