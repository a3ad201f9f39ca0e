/* Panels from formats with blocks of 256 columns that are looked up in a grid. Entries are loaded
 * and stored one by one; signs and scales are made for sixteen rows at once. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/grids.h"
#include "compute/cpu/unpack_avx512.h"

#define GROUPS 8 /* of 32 columns */

/* What the grid has for sixteen rows, without signs. */
struct entries {
	uint8_t q[PANEL_OUTPUTS][PANEL_COLUMNS] __attribute__((aligned(64)));
};

/* Volatile, or compilers gather into vectors, which is slower. */
FORCE_INLINE void put_8(struct entries *entries, uint32_t row, uint32_t index, uint64_t entry)
{
	*(volatile uint64_t *)(void *)&entries->q[row][8 * index] = entry;
}

FORCE_INLINE void put_4(struct entries *entries, uint32_t row, uint32_t index, uint32_t entry)
{
	*(volatile uint32_t *)(void *)&entries->q[row][4 * index] = entry;
}

FORCE_INLINE uint32_t load_16(const uint8_t *bytes)
{
	uint16_t number;
	memcpy(&number, bytes, sizeof(number));
	return number;
}

FORCE_INLINE void turn_entries(const struct entries *entries, int group, __m512i w[8])
{
	const struct sixteen flat = { entries->q[0], PANEL_COLUMNS };
	turn_32(flat, 32 * (size_t)group, w);
}

/* ---- scales ---- */

/* 2s + 1 for the four bits from `bit` on, times d. */
FORCE_INLINE __m512 odd_scale(__m512 d, __m512i v, unsigned bit, int mask)
{
	const __m512i s = _mm512_and_si512(_mm512_srli_epi32(v, bit), _mm512_set1_epi32(mask));
	const __m512i odd = _mm512_add_epi32(_mm512_add_epi32(s, s), _mm512_set1_epi32(1));
	return _mm512_mul_ps(d, _mm512_cvtepi32_ps(odd));
}

/* Scales of four bits, eight in each word. */
FORCE_INLINE void set_nibble_scales(const struct column_32 *words, int n, __m512 d,
				    struct panel *panel)
{
	for (int i = 0; i < n; i++) {
		const __m512i v = _mm512_load_si512(words[i].lanes);
		UNROLL
		for (int j = 0; j < 8; j++)
			panel->scale[8 * i + j] = odd_scale(d, v, (unsigned)(4 * j), 15);
	}
}

FORCE_INLINE __m512 times(const struct column_16 *d, float factor)
{
	return _mm512_mul_ps(column_floats(d), _mm512_set1_ps(factor));
}

/* ---- signs ---- */

/* Seven bits of each lane, from `from` on, moved to byte `byte`. */
FORCE_INLINE __m512i seven_bits(__m512i v, int from, int byte)
{
	const int left = 8 * byte - from;
	const __m512i moved = left >= 0 ? _mm512_slli_epi32(v, (unsigned)left)
					: _mm512_srli_epi32(v, (unsigned)-left);
	return _mm512_and_si512(moved, _mm512_set1_epi32(127 << 8 * byte));
}

/* The eighth sign of each byte makes the count of the negative ones even. */
FORCE_INLINE __m512i add_even(__m512i bytes)
{
	static const uint8_t odd[16] = { 0,   128, 128, 0,   128, 0,   0,   128,
					 128, 0,   0,   128, 0,   128, 128, 0 };
	const __m512i table = _mm512_broadcast_i32x4(load_128(odd));
	const __m512i folded = _mm512_xor_si512(bytes, _mm512_srli_epi16(bytes, 4));
	return _mm512_or_si512(bytes, _mm512_shuffle_epi8(table, nibbles_low(folded)));
}

FORCE_INLINE __m512i or_four(__m512i a, __m512i b, __m512i c, __m512i d)
{
	return _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
}

/* Four times seven bits of a word. */
FORCE_INLINE __m512i signs_of_word(__m512i v)
{
	return add_even(or_four(seven_bits(v, 0, 0), seven_bits(v, 7, 1), seven_bits(v, 14, 2),
				seven_bits(v, 21, 3)));
}

/* The upper seven bits of four halves of words. */
FORCE_INLINE __m512i signs_of_halves(__m512i first, __m512i next)
{
	return add_even(or_four(seven_bits(first, 9, 0), seven_bits(first, 25, 1),
				seven_bits(next, 9, 2), seven_bits(next, 25, 3)));
}

/* Columns whose sign is set become negative; signs[j] has a bit for each of group j. */
FORCE_INLINE void set_signed(const struct entries *entries, const __m512i signs[GROUPS],
			     struct panel *panel)
{
	const __m512i offset = _mm512_set1_epi8(GRID_OFFSET);
	for (int j = 0; j < GROUPS; j++) {
		__m512i *w = panel->w + 8 * j, v[8];
		turn_entries(entries, j, v);
		UNROLL
		for (int c = 0; c < 8; c++) {
			const __mmask64 negative = bits_of_columns(signs[j], c);
			w[c] = _mm512_mask_sub_epi8(_mm512_add_epi8(v[c], offset), negative, offset,
						    v[c]);
		}
	}
}

/* ---- IQ2, IQ3 ---- */

void fill_iq2_xxs(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	struct column_16 d;
	__m512i v[16], signs[GROUPS];
	collect_16(rows, 0, &d);
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *grid = rows.bytes + r * rows.stride + 2;
		for (uint32_t j = 0; j < GROUPS; j++) {
			UNROLL
			for (uint32_t i = 0; i < 4; i++)
				put_8(&entries, r, 4 * j + i, grid_iq2_xxs[grid[8 * j + i]]);
		}
	}
	turn_32(rows, 2, v);
	turn_32(rows, 34, v + 8);
	for (int j = 0; j < GROUPS; j++) {
		const __m512i word = v[2 * j + 1];
		signs[j] = signs_of_word(word);
		panel->scale[j] = odd_scale(times(&d, 0.125f), word, 28, 15);
	}
	set_signed(&entries, signs, panel);
}

void fill_iq2_xs(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	struct column_16 d;
	struct column_32 scales[2];
	__m512i v[16], signs[GROUPS];
	collect_16(rows, 0, &d);
	collect_32(rows, 66, &scales[0]);
	collect_32(rows, 70, &scales[1]);
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *words = rows.bytes + r * rows.stride + 2;
		UNROLL
		for (uint32_t i = 0; i < 32; i++)
			put_8(&entries, r, i, grid_iq2_xs[load_16(words + 2 * i) & 511]);
	}
	turn_32(rows, 2, v);
	turn_32(rows, 34, v + 8);
	for (int j = 0; j < GROUPS; j++)
		signs[j] = signs_of_halves(v[2 * j], v[2 * j + 1]);
	set_signed(&entries, signs, panel);
	set_nibble_scales(scales, 2, times(&d, 0.125f), panel);
}

void fill_iq2_s(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	struct column_16 d;
	struct column_32 scales[2];
	__m512i signs[GROUPS];
	collect_16(rows, 0, &d);
	collect_32(rows, 74, &scales[0]);
	collect_32(rows, 78, &scales[1]);
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *low = rows.bytes + r * rows.stride + 2, *high = low + 64;
		for (uint32_t j = 0; j < GROUPS; j++) {
			const uint32_t top = (uint32_t)high[j] << 8;
			UNROLL
			for (uint32_t i = 0; i < 4; i++)
				put_8(&entries, r, 4 * j + i,
				      grid_iq2_s[low[4 * j + i] | (top >> 2 * i & 0x300)]);
		}
	}
	turn_32(rows, 34, signs);
	set_signed(&entries, signs, panel);
	set_nibble_scales(scales, 2, times(&d, 0.125f), panel);
}

void fill_iq3_xxs(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	struct column_16 d;
	__m512i words[GROUPS], signs[GROUPS];
	collect_16(rows, 0, &d);
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *grid = rows.bytes + r * rows.stride + 2;
		UNROLL
		for (uint32_t i = 0; i < 64; i++)
			put_4(&entries, r, i, grid_iq3_xxs[grid[i]]);
	}
	turn_32(rows, 66, words);
	for (int j = 0; j < GROUPS; j++) {
		signs[j] = signs_of_word(words[j]);
		panel->scale[j] = odd_scale(times(&d, 0.5f), words[j], 28, 15);
	}
	set_signed(&entries, signs, panel);
}

void fill_iq3_s(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	struct column_16 d;
	struct column_32 scales;
	__m512i signs[GROUPS];
	collect_16(rows, 0, &d);
	collect_32(rows, 106, &scales);
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *low = rows.bytes + r * rows.stride + 2, *high = low + 64;
		for (uint32_t j = 0; j < GROUPS; j++) {
			const uint32_t top = (uint32_t)high[j] << 8;
			UNROLL
			for (uint32_t i = 0; i < 8; i++)
				put_4(&entries, r, 8 * j + i,
				      grid_iq3_s[low[8 * j + i] | (top >> i & 0x100)]);
		}
	}
	turn_32(rows, 74, signs);
	set_signed(&entries, signs, panel);
	set_nibble_scales(&scales, 1, times(&d, 1.0f), panel);
}

/* ---- IQ1: each weight is one eighth more than the grid has, or one less ---- */

/* Lanes that have bit `bit` get less. */
FORCE_INLINE __m512i eighths(__m512i v, unsigned bit)
{
	const __mmask16 less = _mm512_test_epi32_mask(v, _mm512_set1_epi32((int)(1u << bit)));
	return _mm512_mask_blend_epi32(less, _mm512_set1_epi8(GRID_OFFSET + 1),
				       _mm512_set1_epi8(GRID_OFFSET - 1));
}

/* Half `index` of the words in v is the one of group `index`. */
void fill_iq1_s(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	struct column_16 d;
	__m512i v[4];
	collect_16(rows, 0, &d);
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *low = rows.bytes + r * rows.stride + 2;
		for (uint32_t j = 0; j < GROUPS; j++) {
			const uint32_t top = load_16(low + 32 + 2 * j) << 8;
			UNROLL
			for (uint32_t i = 0; i < 4; i++)
				put_8(&entries, r, 4 * j + i,
				      grid_iq1[low[4 * j + i] | (top >> 3 * i & 0x700)]);
		}
	}
	turn_16(rows, 34, v);
	for (int j = 0; j < GROUPS; j++) {
		const unsigned half = 16 * (unsigned)(j % 2);
		const __m512i more = eighths(v[j / 2], half + 15);
		__m512i *w = panel->w + 8 * j;
		turn_entries(&entries, j, w);
		for (int c = 0; c < 8; c++)
			w[c] = _mm512_add_epi8(w[c], more);
		panel->scale[j] = odd_scale(times(&d, 0.125f), v[j / 2], half + 12, 7);
	}
}

/* The four words of scales, the last two of v, have the half float in their top nibbles. */
FORCE_INLINE __m512 scale_iq1_m(const __m512i v[4])
{
	const __m512i first = _mm512_and_si512(_mm512_srli_epi32(v[2], 12), _mm512_set1_epi32(0xf));
	const __m512i second =
		_mm512_and_si512(_mm512_srli_epi32(v[2], 24), _mm512_set1_epi32(0xf0));
	const __m512i third =
		_mm512_and_si512(_mm512_srli_epi32(v[3], 4), _mm512_set1_epi32(0xf00));
	const __m512i fourth =
		_mm512_and_si512(_mm512_srli_epi32(v[3], 16), _mm512_set1_epi32(0xf000));
	return _mm512_mul_ps(low_halves(or_four(first, second, third, fourth)),
			     _mm512_set1_ps(0.125f));
}

void fill_iq1_m(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct entries entries;
	__m512i high[4], v[4];
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++) {
		const uint8_t *low = rows.bytes + r * rows.stride, *top = low + 32;
		for (uint32_t i = 0; i < 32; i += 2) {
			const uint32_t pair = (uint32_t)top[i / 2] << 8;
			put_8(&entries, r, i, grid_iq1[low[i] | (pair & 0x700)]);
			put_8(&entries, r, i + 1, grid_iq1[low[i + 1] | (pair >> 4 & 0x700)]);
		}
	}
	turn_16(rows, 32, high);
	turn_16(rows, 40, v);
	for (int j = 0; j < GROUPS; j++) {
		__m512i *w = panel->w + 8 * j;
		turn_entries(&entries, j, w);
		for (int c = 0; c < 8; c++)
			w[c] = _mm512_add_epi8(
				w[c],
				eighths(high[j / 2], (unsigned)(16 * (j % 2) + 4 * (c / 2) + 3)));
	}
	const __m512 d = scale_iq1_m(v);
	for (unsigned j = 0; j < 16; j++)
		panel->scale[j] = odd_scale(d, v[2 + j / 8], j / 4 % 2 * 16 + j % 4 * 3, 7);
}
