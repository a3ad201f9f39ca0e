/* Panels from formats with blocks of 32 columns. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_avx512.h"

#define BLOCKS 8 /* of a panel */

/* What nibbles stand for, made unsigned by its packing's offset. */
static const uint8_t fp4_values[16] = { FP4_OFFSET,     FP4_OFFSET + 1,  FP4_OFFSET + 2,
					FP4_OFFSET + 3, FP4_OFFSET + 4,  FP4_OFFSET + 6,
					FP4_OFFSET + 8, FP4_OFFSET + 12, FP4_OFFSET,
					FP4_OFFSET - 1, FP4_OFFSET - 2,  FP4_OFFSET - 3,
					FP4_OFFSET - 4, FP4_OFFSET - 6,  FP4_OFFSET - 8,
					FP4_OFFSET - 12 };

/* 16 bytes of pairs to 32 columns. */
FORCE_INLINE void put_nibbles(struct sixteen rows, size_t offset, __m512i w[8])
{
	__m512i packed[4];
	turn_16(rows, offset, packed);
	UNROLL
	for (int c = 0; c < 4; c++) {
		w[c] = nibbles_low(packed[c]);
		w[4 + c] = nibbles_high(packed[c]);
	}
}

FORCE_INLINE void put_looked_up(struct sixteen rows, size_t offset, __m512i table, __m512i w[8])
{
	put_nibbles(rows, offset, w);
	UNROLL
	for (int c = 0; c < 8; c++)
		w[c] = _mm512_shuffle_epi8(table, w[c]);
}

FORCE_INLINE void set_scales(const struct column_16 *columns, uint32_t n, struct panel *panel)
{
	for (uint32_t i = 0; i < n; i++)
		panel->scale[i] = column_floats(&columns[i]);
}

void fill_q4_0(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_16 d[BLOCKS];
	for (uint32_t i = 0; i < n; i++, rows.bytes += 18) {
		collect_16(rows, 0, &d[i]);
		put_nibbles(rows, 2, panel->w + 8 * i);
	}
	set_scales(d, n, panel);
}

/* Column 4c + i of a row has its fifth bit at 4c + i of the row's 32. */
FORCE_INLINE void add_fifth_bits(__m512i bits, __m512i w[8])
{
	const __m512i sixteen = _mm512_set1_epi8(16);
	UNROLL
	for (int c = 0; c < 8; c++)
		w[c] = _mm512_mask_add_epi8(w[c], bits_of_columns(bits, c), w[c], sixteen);
}

void fill_q5_0(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_16 d[BLOCKS];
	struct column_32 high[2];
	collect_32(rows, 2, &high[0]);
	for (uint32_t i = 0; i < n; i++, rows.bytes += 22) {
		__m512i *w = panel->w + 8 * i;
		collect_16(rows, 0, &d[i]);
		put_nibbles(rows, 6, w);
		if (i + 1 < n)
			collect_32(rows, 22 + 2, &high[(i + 1) % 2]);
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

/* d and what is added, which the contract takes as a negative minimum. */
FORCE_INLINE void set_pairs(const struct column_32 *columns, uint32_t n, struct panel *panel)
{
	for (uint32_t i = 0; i < n; i++) {
		const __m512i pair = _mm512_load_si512(columns[i].lanes);
		panel->scale[i] = low_halves(pair);
		panel->minimum[i] = low_halves(_mm512_srli_epi32(pair, 16));
	}
}

void fill_q4_1(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_32 pairs[BLOCKS];
	for (uint32_t i = 0; i < n; i++, rows.bytes += 20) {
		collect_32(rows, 0, &pairs[i]);
		put_nibbles(rows, 4, panel->w + 8 * i);
	}
	set_pairs(pairs, n, panel);
}

void fill_q5_1(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_32 pairs[BLOCKS], high[2];
	collect_32(rows, 4, &high[0]);
	for (uint32_t i = 0; i < n; i++, rows.bytes += 24) {
		__m512i *w = panel->w + 8 * i;
		collect_32(rows, 0, &pairs[i]);
		put_nibbles(rows, 8, w);
		if (i + 1 < n)
			collect_32(rows, 24 + 4, &high[(i + 1) % 2]);
		add_fifth_bits(_mm512_load_si512(high[i % 2].lanes), w);
	}
	set_pairs(pairs, n, panel);
}

void fill_iq4_nl(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	const __m512i table = iq4_values();
	struct column_16 d[BLOCKS];
	for (uint32_t i = 0; i < n; i++, rows.bytes += 18) {
		collect_16(rows, 0, &d[i]);
		put_looked_up(rows, 2, table, panel->w + 8 * i);
	}
	set_scales(d, n, panel);
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

void fill_mxfp4(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	const __m512i table = _mm512_broadcast_i32x4(load_128(fp4_values));
	struct column_16 e[BLOCKS];
	for (uint32_t i = 0; i < n; i++, rows.bytes += 17) {
		collect_8(rows, 0, &e[i]);
		put_looked_up(rows, 1, table, panel->w + 8 * i);
	}
	for (uint32_t i = 0; i < n; i++)
		panel->scale[i] = power_of_two(&e[i]);
}
