/* unpack_avx2.h: weights of eight GGUF rows at once, turned so that a lane of 32 bits holds four
 * consecutive columns of one row. The bytes come out unsigned, and what must be taken off each
 * weight is the multiplication's business; but those of wide types (products_avx2.h) are signed.
 * Here are the means; unpack_32_avx2.h and unpack_256_avx2.h unpack the formats. */
#ifndef COMPUTE_CPU_UNPACK_AVX2_H
#define COMPUTE_CPU_UNPACK_AVX2_H

#include "compute/cpu/formats.h"
#include "compute/gguf.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define FORCE_INLINE static inline __attribute__((always_inline))

/* Before a loop whose counter must become a constant in each turn. */
#if defined(__clang__) /* the two compilers spell it differently */
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Keeps the compiler from adding up in another order: it would first multiply all, in more vectors
 * than there are registers. */
#define IN_ORDER(vector) __asm__("" : "+x"(vector))

/* Eight rows of one block, `stride` bytes apart. */
struct octet {
	const uint8_t *bytes;
	size_t stride;
};

/* What the columns of a 256-block share, for each group of columns: lane r has that of row r. */
struct k_head {
	__m256 scale[16];  /* d * scale */
	__m256 min[16];    /* dmin * min */
	__m256i high[8];   /* Q5_K, Q3_K: top bits; bit g of a byte belongs to columns 32g on.
			    * IQ2, IQ3: signs of columns 32g to 32g + 31. IQ1: see there */
	__m256i index[32]; /* grids of more than 256 entries: indexes of 16 bits */
};

FORCE_INLINE __m128i load_128(const uint8_t *bytes)
{
	return _mm_loadu_si128((const void *)bytes);
}

FORCE_INLINE __m256i load_256(const uint8_t *bytes)
{
	return _mm256_loadu_si256((const void *)bytes);
}

/* 16 bytes of each row: out[i] has bytes 4i to 4i + 3 of row r in lane r. */
FORCE_INLINE void turn_rows(const __m128i rows[8], __m256i out[4])
{
	__m256i v[4];
	UNROLL
	for (int i = 0; i < 4; i++)
		v[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(rows[i]), rows[i + 4], 1);
	const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]);
	const __m256i b = _mm256_unpackhi_epi32(v[0], v[1]);
	const __m256i c = _mm256_unpacklo_epi32(v[2], v[3]);
	const __m256i d = _mm256_unpackhi_epi32(v[2], v[3]);
	out[0] = _mm256_unpacklo_epi64(a, c);
	out[1] = _mm256_unpackhi_epi64(a, c);
	out[2] = _mm256_unpacklo_epi64(b, d);
	out[3] = _mm256_unpackhi_epi64(b, d);
}

/* The same of 16 bytes at `offset`. */
FORCE_INLINE void turn_16(struct octet octet, size_t offset, __m256i out[4])
{
	__m128i rows[8];
	UNROLL
	for (int r = 0; r < 8; r++)
		rows[r] = load_128(octet.bytes + offset + (size_t)r * octet.stride);
	turn_rows(rows, out);
}

FORCE_INLINE void turn_32(struct octet octet, size_t offset, __m256i out[8])
{
	turn_16(octet, offset, out);
	turn_16(octet, offset + 16, out + 4);
}

FORCE_INLINE __m256i repeat_32(const void *bytes)
{
	int32_t value;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return _mm256_set1_epi32(value);
}

FORCE_INLINE __m256i repeat_64(const void *bytes)
{
	int64_t value;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return _mm256_set1_epi64x(value);
}

/* The low halves of the lanes as F16. vcvtph2ps gives the bits of base/half.h (kernels test). */
FORCE_INLINE __m256 low_halves(__m256i lanes)
{
	const __m256i low = _mm256_and_si256(lanes, _mm256_set1_epi32(0xffff));
	const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
	return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

/* Both F16 halves of the lanes. */
FORCE_INLINE void split_halves(__m256i pairs, __m256 out[2])
{
	const __m256i order =
		_mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
				 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
	const __m256i sorted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(pairs, order), 0xd8);
	out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
	out[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
}

FORCE_INLINE __m256i nibbles_low(__m256i v)
{
	return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

FORCE_INLINE __m256i nibbles_high(__m256i v)
{
	return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* Bytes b0 to b3 of each lane; -1 gives zero. */
FORCE_INLINE __m256i pick(__m256i v, int b0, int b1, int b2, int b3)
{
	int32_t lanes[4];
	UNROLL
	for (int i = 0; i < 4; i++) {
		const uint32_t k0 = b0 < 0 ? 128u : (uint32_t)(b0 + 4 * i);
		const uint32_t k1 = b1 < 0 ? 128u : (uint32_t)(b1 + 4 * i);
		const uint32_t k2 = b2 < 0 ? 128u : (uint32_t)(b2 + 4 * i);
		const uint32_t k3 = b3 < 0 ? 128u : (uint32_t)(b3 + 4 * i);
		lanes[i] = (int32_t)(k0 | k1 << 8 | k2 << 16 | k3 << 24);
	}
	return _mm256_shuffle_epi8(v, _mm256_setr_epi32(lanes[0], lanes[1], lanes[2], lanes[3],
							lanes[0], lanes[1], lanes[2], lanes[3]));
}

/* Byte j of each lane, unsigned. */
FORCE_INLINE __m256 byte_float(__m256i v, int j)
{
	return _mm256_cvtepi32_ps(pick(v, j, -1, -1, -1));
}

/* The same of signed ones, times 2^24. */
FORCE_INLINE __m256 signed_byte_float(__m256i v, int j)
{
	return _mm256_cvtepi32_ps(pick(v, -1, -1, -1, j));
}

/* The F16 at `offset` of each row. */
FORCE_INLINE __m256 load_halves(struct octet octet, size_t offset)
{
	uint16_t d[8];
	UNROLL
	for (int r = 0; r < 8; r++)
		__builtin_memcpy(&d[r], octet.bytes + r * octet.stride + offset, 2);
	return _mm256_cvtph_ps(_mm_setr_epi16((short)d[0], (short)d[1], (short)d[2], (short)d[3],
					      (short)d[4], (short)d[5], (short)d[6], (short)d[7]));
}

/* The 32 bits at `offset` of each row. */
FORCE_INLINE __m256i load_words(struct octet octet, size_t offset)
{
	int32_t v[8];
	UNROLL
	for (int r = 0; r < 8; r++)
		__builtin_memcpy(&v[r], octet.bytes + r * octet.stride + offset, 4);
	return _mm256_setr_epi32(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
}

FORCE_INLINE __m256i load_table(const int8_t table[16])
{
	return _mm256_broadcastsi128_si256(load_128((const uint8_t *)table));
}

/* What the low nibbles stand for. */
FORCE_INLINE __m256i look_up(const int8_t table[16], __m256i nibbles)
{
	return _mm256_shuffle_epi8(load_table(table), nibbles);
}

#endif
