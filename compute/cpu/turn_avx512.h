/* turn_avx512.h: bytes of sixteen GGUF rows at once, turned so that a lane of 32 bits holds
 * neighbouring bytes of one row. */
#ifndef COMPUTE_CPU_TURN_AVX512_H
#define COMPUTE_CPU_TURN_AVX512_H

#include "compute/cpu/panel_avx512.h"

#define FORCE_INLINE static inline __attribute__((always_inline))

/* Before a loop whose counter must become a constant in each turn. */
#if defined(__clang__) /* the two compilers spell it differently */
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

FORCE_INLINE __m128i load_128(const uint8_t *bytes)
{
	return _mm_loadu_si128((const void *)bytes);
}

/* 4 x 4 numbers of 32 bits within each 128: out[i] has number i of v[0] to v[3]. */
FORCE_INLINE void turn_quarters(const __m512i v[4], __m512i out[4])
{
	const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]);
	const __m512i b = _mm512_unpackhi_epi32(v[0], v[1]);
	const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]);
	const __m512i d = _mm512_unpackhi_epi32(v[2], v[3]);
	out[0] = _mm512_unpacklo_epi64(a, c);
	out[1] = _mm512_unpackhi_epi64(a, c);
	out[2] = _mm512_unpacklo_epi64(b, d);
	out[3] = _mm512_unpackhi_epi64(b, d);
}

/* 16 bytes of each row: out[i] has bytes 4i to 4i + 3 of row r in lane r. */
FORCE_INLINE void turn_16(struct sixteen rows, size_t offset, __m512i out[4])
{
	const uint8_t *p = rows.bytes + offset;
	__m512i v[4];
	UNROLL
	for (size_t i = 0; i < 4; i++) {
		v[i] = _mm512_castsi128_si512(load_128(p + i * rows.stride));
		v[i] = _mm512_inserti32x4(v[i], load_128(p + (i + 4) * rows.stride), 1);
		v[i] = _mm512_inserti32x4(v[i], load_128(p + (i + 8) * rows.stride), 2);
		v[i] = _mm512_inserti32x4(v[i], load_128(p + (i + 12) * rows.stride), 3);
	}
	turn_quarters(v, out);
}

/* 32 bytes of each row; cheaper than twice 16. */
FORCE_INLINE void turn_32(struct sixteen rows, size_t offset, __m512i out[8])
{
	const uint8_t *p = rows.bytes + offset;
	__m512i v[8], half[8];
	UNROLL
	for (size_t i = 0; i < 8; i++) {
		const uint8_t *row = p + (i / 4 * 8 + i % 4) * rows.stride;
		v[i] = _mm512_inserti64x4(
			_mm512_castsi256_si512(_mm256_loadu_si256((const void *)row)),
			_mm256_loadu_si256((const void *)(row + 4 * rows.stride)), 1);
	}
	turn_quarters(v, half);
	turn_quarters(v + 4, half + 4);
	UNROLL
	for (int i = 0; i < 4; i++) {
		out[i] = _mm512_shuffle_i32x4(half[i], half[i + 4], 0x88);
		out[i + 4] = _mm512_shuffle_i32x4(half[i], half[i + 4], 0xdd);
	}
}

#endif
