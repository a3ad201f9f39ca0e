/* unpack_avx512.h: what the formats' ways into a panel share. */
#ifndef COMPUTE_CPU_UNPACK_AVX512_H
#define COMPUTE_CPU_UNPACK_AVX512_H

#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/formats_decode.h"
#include "compute/cpu/panel_avx512.h"
#include "compute/cpu/turn_avx512.h"

#include <string.h>

FORCE_INLINE __m512i nibbles_low(__m512i v)
{
	return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

FORCE_INLINE __m512i nibbles_high(__m512i v)
{
	return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

/* v | (bits & mask) */
FORCE_INLINE __m512i or_masked(__m512i v, __m512i bits, __m512i mask)
{
	return _mm512_ternarylogic_epi32(v, bits, mask, 0xf8);
}

/* Byte `index` of each lane, four times. */
FORCE_INLINE __m512i repeat_byte(__m512i v, int index)
{
	const __m512i first = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
	return _mm512_shuffle_epi8(v, _mm512_add_epi8(first, _mm512_set1_epi8((char)index)));
}

/* Bit 4c + i of each lane belongs to byte i of the lane. */
FORCE_INLINE __mmask64 bits_of_columns(__m512i bits, int c)
{
	const __m512i own = _mm512_set1_epi32(c % 2 ? (int)0x80402010 : 0x08040201);
	return _mm512_test_epi8_mask(repeat_byte(bits, c / 2), own);
}

/* The F16 in the low halves of the lanes. vcvtph2ps gives the bits of base/half.h (tests). */
FORCE_INLINE __m512 low_halves(__m512i lanes)
{
	return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(lanes));
}

/* Columns of one number each are collected through memory: loads and stores have time to spare,
 * shuffles have none. What was stored in small pieces is not to be loaded whole at once. */
struct column_16 {
	uint16_t lanes[PANEL_OUTPUTS] __attribute__((aligned(32)));
};

struct column_32 {
	uint32_t lanes[PANEL_OUTPUTS] __attribute__((aligned(64)));
};

/* Volatile, or compilers build vectors by shuffles. */
FORCE_INLINE void collect_16(struct sixteen rows, size_t offset, struct column_16 *column)
{
	volatile uint16_t *lanes = column->lanes;
	UNROLL
	for (size_t r = 0; r < PANEL_OUTPUTS; r++) {
		uint16_t number;
		memcpy(&number, rows.bytes + r * rows.stride + offset, sizeof(number));
		lanes[r] = number;
	}
}

/* Single bytes, widened. */
FORCE_INLINE void collect_8(struct sixteen rows, size_t offset, struct column_16 *column)
{
	volatile uint16_t *lanes = column->lanes;
	UNROLL
	for (size_t r = 0; r < PANEL_OUTPUTS; r++)
		lanes[r] = rows.bytes[r * rows.stride + offset];
}

FORCE_INLINE void collect_32(struct sixteen rows, size_t offset, struct column_32 *column)
{
	volatile uint32_t *lanes = column->lanes;
	UNROLL
	for (size_t r = 0; r < PANEL_OUTPUTS; r++) {
		uint32_t number;
		memcpy(&number, rows.bytes + r * rows.stride + offset, sizeof(number));
		lanes[r] = number;
	}
}

FORCE_INLINE __m512 column_floats(const struct column_16 *column)
{
	return _mm512_cvtph_ps(_mm256_load_si256((const void *)column->lanes));
}

/* The four bytes before `end`, which are at the end of a block: fewer loads than one for each row.
 */
FORCE_INLINE __m512i words_before(struct sixteen rows, size_t end)
{
	__m512i v[4];
	turn_16(rows, end - 16, v);
	return v[3];
}

/* Values of IQ4_NL and IQ4_XS, made unsigned by OFFSET_ANY. */
FORCE_INLINE __m512i iq4_values(void)
{
	const __m128i values = load_128((const uint8_t *)decode_iq4_values);
	return _mm512_broadcast_i32x4(_mm_xor_si128(values, _mm_set1_epi8((char)OFFSET_ANY)));
}

#endif
