/* unpack_avx2.h: weights of eight GGUF rows at once, turned so that a lane of 32 bits holds four
 * consecutive columns of one row. But for Q8_0 the bytes come out unsigned; what must be taken off
 * each weight is the multiplication's business. */
#ifndef COMPUTE_CPU_UNPACK_AVX2_H
#define COMPUTE_CPU_UNPACK_AVX2_H

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

/* Eight rows of one block, `stride` bytes apart. */
struct octet {
	const uint8_t *bytes;
	size_t stride;
};

/* What the columns of a 256-block share, for each group of columns: lane r has that of row r. */
struct k_head {
	__m256 scale[16]; /* d * scale */
	__m256 min[8];    /* dmin * min */
	__m256i high[8];  /* Q5_K: fifth bits; bit g of a byte belongs to columns 32g on */
};

FORCE_INLINE __m128i load_128(const uint8_t *bytes)
{
	return _mm_loadu_si128((const void *)bytes);
}

/* 16 bytes of each row: out[i] has bytes 4i to 4i + 3 of row r in lane r. */
FORCE_INLINE void turn_16(struct octet octet, size_t offset, __m256i out[4])
{
	const uint8_t *p = octet.bytes + offset;
	__m256i v[4];
	UNROLL
	for (int i = 0; i < 4; i++)
		v[i] = _mm256_inserti128_si256(
			_mm256_castsi128_si256(load_128(p + i * octet.stride)),
			load_128(p + (i + 4) * octet.stride), 1);
	const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]);
	const __m256i b = _mm256_unpackhi_epi32(v[0], v[1]);
	const __m256i c = _mm256_unpacklo_epi32(v[2], v[3]);
	const __m256i d = _mm256_unpackhi_epi32(v[2], v[3]);
	out[0] = _mm256_unpacklo_epi64(a, c);
	out[1] = _mm256_unpackhi_epi64(a, c);
	out[2] = _mm256_unpacklo_epi64(b, d);
	out[3] = _mm256_unpackhi_epi64(b, d);
}

FORCE_INLINE void turn_32(struct octet octet, size_t offset, __m256i out[8])
{
	turn_16(octet, offset, out);
	turn_16(octet, offset + 16, out + 4);
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

/* ---- 32-blocks ---- */

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

/* Column 4c + i of a row has its fifth bit at 4c + i of the row's 32. */
FORCE_INLINE void add_fifth_bits(__m256i bits, __m256i w[8])
{
	const __m256i lower = _mm256_slli_epi32(bits, 4);
	const __m256i own = _mm256_set1_epi32((int)0x80402010);
	UNROLL
	for (int c = 0; c < 8; c++) {
		/* The byte with the four bits, four times; they in its upper half. */
		const __m256i copies = pick(c % 2 ? bits : lower, c / 2, c / 2, c / 2, c / 2);
		const __m256i bit =
			_mm256_min_epu8(_mm256_and_si256(copies, own), _mm256_set1_epi8(16));
		w[c] = _mm256_or_si256(w[c], bit);
	}
}

/* Bytes of one block; Q8_0 stays signed. Gives the scales. */
FORCE_INLINE __m256 unpack_32(uint32_t type, struct octet octet, __m256i w[8])
{
	__m256i first[4], packed[4];
	turn_16(octet, 0, first);
	if (type == TENSOR_Q8_0) {
		turn_32(octet, 2, w);
		return low_halves(first[0]);
	}
	turn_16(octet, type == TENSOR_Q4_0 ? 2 : 6, packed);
	UNROLL
	for (int c = 0; c < 4; c++) {
		w[c] = nibbles_low(packed[c]);
		w[c + 4] = nibbles_high(packed[c]);
	}
	if (type == TENSOR_Q5_0)
		add_fifth_bits(_mm256_or_si256(_mm256_srli_epi32(first[0], 16),
					       _mm256_slli_epi32(first[1], 16)),
			       w);
	return low_halves(first[0]);
}

/* ---- 256-blocks ---- */

/* Byte j of each lane, unsigned. */
FORCE_INLINE __m256 byte_float(__m256i v, int j)
{
	return _mm256_cvtepi32_ps(pick(v, j, -1, -1, -1));
}

FORCE_INLINE __m256 signed_byte_float(__m256i v, int j)
{
	return _mm256_cvtepi32_ps(_mm256_srai_epi32(pick(v, -1, -1, -1, j), 24));
}

/* Q4_K, Q5_K: d, dmin and twelve bytes of scales. */
FORCE_INLINE void unpack_head_45(struct octet octet, struct k_head *head)
{
	const __m256i six = _mm256_set1_epi8(63), four = _mm256_set1_epi8(15);
	const __m256i top = _mm256_set1_epi8(0x30);
	__m256i v[4];
	turn_16(octet, 0, v);
	const __m256 d = low_halves(v[0]), dmin = low_halves(_mm256_srli_epi32(v[0], 16));
	const __m256i scale[2] = {
		_mm256_and_si256(v[1], six),
		_mm256_or_si256(_mm256_and_si256(v[3], four),
				_mm256_and_si256(_mm256_srli_epi16(v[1], 2), top)),
	};
	const __m256i min[2] = {
		_mm256_and_si256(v[2], six),
		_mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(v[3], 4), four),
				_mm256_and_si256(_mm256_srli_epi16(v[2], 2), top)),
	};
	UNROLL
	for (int j = 0; j < 8; j++) {
		head->scale[j] = _mm256_mul_ps(d, byte_float(scale[j / 4], j % 4));
		head->min[j] = _mm256_mul_ps(dmin, byte_float(min[j / 4], j % 4));
	}
}

FORCE_INLINE __m256 load_halves(struct octet octet, size_t offset)
{
	uint16_t d[8];
	UNROLL
	for (int r = 0; r < 8; r++)
		__builtin_memcpy(&d[r], octet.bytes + r * octet.stride + offset, 2);
	return _mm256_cvtph_ps(_mm_setr_epi16((short)d[0], (short)d[1], (short)d[2], (short)d[3],
					      (short)d[4], (short)d[5], (short)d[6], (short)d[7]));
}

FORCE_INLINE void unpack_head_6(struct octet octet, struct k_head *head)
{
	const __m256 d = load_halves(octet, 208);
	__m256i v[4];
	turn_16(octet, 192, v);
	UNROLL
	for (int j = 0; j < 16; j++)
		head->scale[j] = _mm256_mul_ps(d, signed_byte_float(v[j / 4], j % 4));
}

FORCE_INLINE void unpack_head(uint32_t type, struct octet octet, struct k_head *head)
{
	if (type == TENSOR_Q6_K)
		unpack_head_6(octet, head);
	else
		unpack_head_45(octet, head);
	if (type == TENSOR_Q5_K)
		turn_32(octet, 16, head->high);
}

/* Bit `bit` of each byte, moved to bit 4. */
FORCE_INLINE __m256i fifth_bit(__m256i v, int bit)
{
	const __m256i moved =
		bit < 4 ? _mm256_slli_epi16(v, 4 - bit) : _mm256_srli_epi16(v, bit - 4);
	return _mm256_and_si256(moved, _mm256_set1_epi8(16));
}

/* Bits 2q and 2q + 1 of each byte, moved to bits 4 and 5. */
FORCE_INLINE __m256i top_bits(__m256i v, int q)
{
	const __m256i moved =
		q < 2 ? _mm256_slli_epi16(v, 4 - 2 * q) : _mm256_srli_epi16(v, 2 * q - 4);
	return _mm256_and_si256(moved, _mm256_set1_epi8(0x30));
}

/* Columns 64 * part to 64 * part + 63 of Q4_K or Q5_K: w[c] has columns 4c of them on. */
FORCE_INLINE void unpack_64_45(uint32_t type, struct octet octet, const struct k_head *head,
			       int part, __m256i w[16])
{
	__m256i packed[8];
	turn_32(octet, (type == TENSOR_Q5_K ? 48 : 16) + 32 * (size_t)part, packed);
	UNROLL
	for (int c = 0; c < 8; c++) {
		w[c] = nibbles_low(packed[c]);
		w[c + 8] = nibbles_high(packed[c]);
		if (type != TENSOR_Q5_K)
			continue;
		w[c] = _mm256_or_si256(w[c], fifth_bit(head->high[c], 2 * part));
		w[c + 8] = _mm256_or_si256(w[c + 8], fifth_bit(head->high[c], 2 * part + 1));
	}
}

/* Columns 128 * half + 16 * piece (of 2) + 32 * q + 4c of Q6_K in w[4q + c]. */
FORCE_INLINE void unpack_64_6(struct octet octet, int half, int piece, __m256i w[16])
{
	__m256i a[4], b[4], high[4];
	turn_16(octet, 64 * (size_t)half + 16 * (size_t)piece, a);
	turn_16(octet, 64 * (size_t)half + 16 * (size_t)piece + 32, b);
	turn_16(octet, 128 + 32 * (size_t)half + 16 * (size_t)piece, high);
	UNROLL
	for (int c = 0; c < 4; c++) {
		w[c] = _mm256_or_si256(nibbles_low(a[c]), top_bits(high[c], 0));
		w[4 + c] = _mm256_or_si256(nibbles_low(b[c]), top_bits(high[c], 1));
		w[8 + c] = _mm256_or_si256(nibbles_high(a[c]), top_bits(high[c], 2));
		w[12 + c] = _mm256_or_si256(nibbles_high(b[c]), top_bits(high[c], 3));
	}
}

#endif
