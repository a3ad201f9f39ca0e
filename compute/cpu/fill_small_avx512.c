/* Panels from formats with blocks of 32 columns. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_avx512.h"

#define BLOCKS 8 /* of a panel */

FORCE_INLINE void set_scales(const struct column_16 *columns, uint32_t n, struct panel *panel)
{
	for (uint32_t i = 0; i < n; i++)
		panel->scale[i] = column_floats(&columns[i]);
}

void fill_q4_0(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_16 d[BLOCKS];
	for (uint32_t i = 0; i < n; i++, rows.bytes += 18) {
		__m512i packed[4];
		collect_16(rows, 0, &d[i]);
		turn_16(rows, 2, packed);
		UNROLL
		for (int c = 0; c < 4; c++) {
			panel->w[8 * i + c] = nibbles_low(packed[c]);
			panel->w[8 * i + 4 + c] = nibbles_high(packed[c]);
		}
	}
	set_scales(d, n, panel);
}

/* Byte `index` of each lane, four times. */
FORCE_INLINE __m512i repeat_byte(__m512i v, int index)
{
	const __m512i first = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
	return _mm512_shuffle_epi8(v, _mm512_add_epi8(first, _mm512_set1_epi8((char)index)));
}

/* Column 4c + i of a row has its fifth bit at 4c + i of the row's 32. */
FORCE_INLINE void add_fifth_bits(__m512i bits, __m512i w[8])
{
	const __m512i sixteen = _mm512_set1_epi8(16);
	UNROLL
	for (int c = 0; c < 8; c++) {
		const __m512i own = _mm512_set1_epi32(c % 2 ? (int)0x80402010 : 0x08040201);
		const __mmask64 set = _mm512_test_epi8_mask(repeat_byte(bits, c / 2), own);
		w[c] = _mm512_mask_add_epi8(w[c], set, w[c], sixteen);
	}
}

void fill_q5_0(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_16 d[BLOCKS];
	struct column_32 high[2];
	collect_32(rows, 2, &high[0]);
	for (uint32_t i = 0; i < n; i++, rows.bytes += 22) {
		__m512i packed[4], *w = panel->w + 8 * i;
		collect_16(rows, 0, &d[i]);
		turn_16(rows, 6, packed);
		if (i + 1 < n)
			collect_32(rows, 22 + 2, &high[(i + 1) % 2]);
		UNROLL
		for (int c = 0; c < 4; c++) {
			w[c] = nibbles_low(packed[c]);
			w[4 + c] = nibbles_high(packed[c]);
		}
		add_fifth_bits(_mm512_load_si512(high[i % 2].lanes), w);
	}
	set_scales(d, n, panel);
}

void fill_q8_0(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	const __m512i top = _mm512_set1_epi8((char)0x80);
	struct column_16 d[BLOCKS];
	for (uint32_t i = 0; i < n; i++, rows.bytes += 34) {
		__m512i packed[8];
		collect_16(rows, 0, &d[i]);
		turn_32(rows, 2, packed);
		UNROLL
		for (int c = 0; c < 8; c++)
			panel->w[8 * i + c] = _mm512_xor_si512(packed[c], top);
	}
	set_scales(d, n, panel);
}
