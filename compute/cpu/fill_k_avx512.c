/* Panels from formats with blocks of 256 columns. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_avx512.h"

/* factor times each of the four bytes of each lane, which are no larger than 127. A byte need not
 * move to the lane's low end: powers of two are taken off the factor, which is exact. */
FORCE_INLINE void multiply_bytes(__m512i bytes, __m512 factor, __m512 out[4])
{
	UNROLL
	for (int i = 0; i < 4; i++) {
		const __m512i byte = _mm512_and_si512(bytes, _mm512_set1_epi32(0xff << 8 * i));
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

/* Bit `bit` of each byte at bit 4; the others are of no meaning. */
FORCE_INLINE __m512i to_fifth(__m512i v, int bit)
{
	return bit < 4 ? _mm512_slli_epi16(v, (unsigned)(4 - bit))
		       : _mm512_srli_epi16(v, (unsigned)(bit - 4));
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
			w[c] = or_masked(nibbles_low(packed[c]), to_fifth(high[c], 2 * g), fifth);
			w[8 + c] = or_masked(nibbles_high(packed[c]), to_fifth(high[c], 2 * g + 1),
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
