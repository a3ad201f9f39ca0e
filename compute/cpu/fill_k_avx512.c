/* Panels from formats with blocks of 256 columns. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_avx512.h"

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

/* Q4_K, Q5_K: d, dmin and eight pairs of six bits in twelve bytes. */
FORCE_INLINE void fill_scales(struct sixteen rows, struct panel *panel)
{
	const __m512i six = _mm512_set1_epi8(63), four = _mm512_set1_epi8(15);
	const __m512i top = _mm512_set1_epi8(0x30);
	__m512i v[4];
	turn_16(rows, 0, v);
	const __m512 d = low_halves(v[0]);
	const __m512 dmin =
		_mm512_xor_ps(low_halves(_mm512_srli_epi32(v[0], 16)), _mm512_set1_ps(-0.0f));
	multiply_bytes(_mm512_and_si512(v[1], six), d, panel->scale);
	multiply_bytes(_mm512_and_si512(v[2], six), dmin, panel->minimum);
	multiply_bytes(or_masked(_mm512_and_si512(v[3], four), _mm512_srli_epi16(v[1], 2), top), d,
		       panel->scale + 4);
	multiply_bytes(or_masked(_mm512_and_si512(_mm512_srli_epi16(v[3], 4), four),
				 _mm512_srli_epi16(v[2], 2), top),
		       dmin, panel->minimum + 4);
}

void fill_q4_k(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	fill_scales(rows, panel);
	UNROLL
	for (int g = 0; g < 4; g++) {
		__m512i packed[8];
		turn_32(rows, 16 + 32 * (size_t)g, packed);
		UNROLL
		for (int c = 0; c < 8; c++) {
			panel->w[16 * g + c] = nibbles_low(packed[c]);
			panel->w[16 * g + 8 + c] = nibbles_high(packed[c]);
		}
	}
}

/* Bit `bit` of each byte at bit `to`; the others are of no meaning. */
FORCE_INLINE __m512i bit_to(__m512i v, int bit, int to)
{
	return bit < to ? _mm512_slli_epi16(v, (unsigned)(to - bit))
			: _mm512_srli_epi16(v, (unsigned)(bit - to));
}

void fill_q5_k(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	const __m512i fifth = _mm512_set1_epi8(16);
	__m512i high[8];
	fill_scales(rows, panel);
	turn_32(rows, 16, high);
	UNROLL
	for (int g = 0; g < 4; g++) {
		__m512i packed[8], *w = panel->w + 16 * g;
		turn_32(rows, 48 + 32 * (size_t)g, packed);
		UNROLL
		for (int c = 0; c < 8; c++) {
			w[c] = or_masked(nibbles_low(packed[c]), bit_to(high[c], 2 * g, 4), fifth);
			w[8 + c] = or_masked(nibbles_high(packed[c]), bit_to(high[c], 2 * g + 1, 4),
					     fifth);
		}
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

/* Bits 2q and 2q + 1 of each byte at bits 4 and 5. */
FORCE_INLINE __m512i to_top(__m512i v, int q)
{
	return q < 2 ? _mm512_slli_epi16(v, (unsigned)(4 - 2 * q))
		     : _mm512_srli_epi16(v, (unsigned)(2 * q - 4));
}

FORCE_INLINE void fill_half_q6_k(struct sixteen rows, int half, __m512i *w)
{
	const __m512i top = _mm512_set1_epi8(0x30);
	__m512i a[8], b[8], high[8];
	turn_32(rows, 64 * (size_t)half, a);
	turn_32(rows, 64 * (size_t)half + 32, b);
	turn_32(rows, 128 + 32 * (size_t)half, high);
	UNROLL
	for (int c = 0; c < 8; c++) {
		w[c] = or_masked(nibbles_low(a[c]), to_top(high[c], 0), top);
		w[8 + c] = or_masked(nibbles_low(b[c]), to_top(high[c], 1), top);
		w[16 + c] = or_masked(nibbles_high(a[c]), to_top(high[c], 2), top);
		w[24 + c] = or_masked(nibbles_high(b[c]), to_top(high[c], 3), top);
	}
}

void fill_q6_k(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_16 d;
	__m512i scales[4];
	collect_16(rows, 208, &d);
	fill_half_q6_k(rows, 0, panel->w);
	fill_half_q6_k(rows, 1, panel->w + 32);
	turn_16(rows, 192, scales);
	UNROLL
	for (int i = 0; i < 4; i++)
		multiply_signed(scales[i], column_floats(&d), panel->scale + 4 * i);
}

/* Bits 2j and 2j + 1 of each byte, at the bottom. */
FORCE_INLINE __m512i two_bits(__m512i v, int j)
{
	return _mm512_and_si512(_mm512_srli_epi16(v, (unsigned)(2 * j)), _mm512_set1_epi8(3));
}

void fill_q2_k(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct column_32 pair;
	__m512i scales[4];
	collect_32(rows, 80, &pair);
	UNROLL
	for (int h = 0; h < 2; h++) {
		__m512i packed[8], *w = panel->w + 32 * h;
		turn_32(rows, 16 + 32 * (size_t)h, packed);
		UNROLL
		for (int c = 0; c < 8; c++) {
			UNROLL
			for (int j = 0; j < 4; j++)
				w[8 * j + c] = two_bits(packed[c], j);
		}
	}
	turn_16(rows, 0, scales);
	const __m512i halves = _mm512_load_si512(pair.lanes);
	const __m512 d = low_halves(halves);
	const __m512 dmin =
		_mm512_xor_ps(low_halves(_mm512_srli_epi32(halves, 16)), _mm512_set1_ps(-0.0f));
	UNROLL
	for (int i = 0; i < 4; i++) {
		multiply_bytes(nibbles_low(scales[i]), d, panel->scale + 4 * i);
		multiply_bytes(nibbles_high(scales[i]), dmin, panel->minimum + 4 * i);
	}
}

/* The twelve bytes of scales lie between two bytes of weights and d: turned, they begin in the
 * upper half of a lane. */
FORCE_INLINE void fill_scales_q3_k(struct sixteen rows, struct panel *panel)
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
		const __m512i scales = or_masked(low, to_top(packed[2], i), top);
		multiply_signed(_mm512_sub_epi8(scales, less), d, panel->scale + 4 * i);
	}
}

void fill_q3_k(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	const __m512i third = _mm512_set1_epi8(4);
	__m512i high[8];
	turn_32(rows, 0, high);
	fill_scales_q3_k(rows, panel);
	UNROLL
	for (int h = 0; h < 2; h++) {
		__m512i packed[8], *w = panel->w + 32 * h;
		turn_32(rows, 32 + 32 * (size_t)h, packed);
		UNROLL
		for (int c = 0; c < 8; c++) {
			UNROLL
			for (int j = 0; j < 4; j++)
				w[8 * j + c] = or_masked(two_bits(packed[c], j),
							 bit_to(high[c], 4 * h + j, 2), third);
		}
	}
}

/* Eight scales of six bits, less 32: their upper two in the high half of one lane, the lower four
 * in nibbles of the next. */
FORCE_INLINE void fill_scales_iq4_xs(struct sixteen rows, struct panel *panel)
{
	const __m512i four = _mm512_set1_epi32(15), top = _mm512_set1_epi32(0x30);
	__m512i v[4];
	turn_16(rows, 0, v);
	const __m512 d = low_halves(v[0]);
	UNROLL
	for (int j = 0; j < 8; j++) {
		const __m512i low =
			_mm512_and_si512(_mm512_srli_epi32(v[1], (unsigned)(4 * j)), four);
		const __m512i scale =
			or_masked(low, _mm512_srli_epi32(v[0], (unsigned)(12 + 2 * j)), top);
		panel->scale[j] = _mm512_mul_ps(
			d, _mm512_cvtepi32_ps(_mm512_sub_epi32(scale, _mm512_set1_epi32(32))));
	}
}

void fill_iq4_xs(const struct format *format, struct sixteen rows, uint32_t n, struct panel *panel)
{
	const __m512i table = iq4_values();
	fill_scales_iq4_xs(rows, panel);
	UNROLL
	for (int g = 0; g < 4; g++) {
		__m512i packed[8], *w = panel->w + 16 * g;
		turn_32(rows, 8 + 32 * (size_t)g, packed);
		UNROLL
		for (int i = 0; i < 8; i++) {
			const int at = i / 4 * 8 + i % 4;
			w[at] = _mm512_shuffle_epi8(table, nibbles_low(packed[i]));
			w[at + 4] = _mm512_shuffle_epi8(table, nibbles_high(packed[i]));
		}
	}
}
