/* unpack_256_avx2.h: formats with blocks of 256 weights: first what their groups share, then 64
 * columns at a time. */
#ifndef COMPUTE_CPU_UNPACK_256_AVX2_H
#define COMPUTE_CPU_UNPACK_256_AVX2_H

#include "compute/cpu/formats_decode.h"
#include "compute/cpu/traits_avx2.h"
#include "compute/cpu/unpack_iq_avx2.h"

/* ---- what groups share ---- */

/* What scales of K formats are made from, each when it is wanted: byte j % 4 of vector j / 4
 * belongs to group j. */
struct k_scales {
	__m256 d, dmin;
	__m256i scale[4], min[4];
};

/* Q2_K: four bits of scale, four of minimum. */
FORCE_INLINE void load_scales_2(struct octet octet, struct k_scales *scales)
{
	const __m256i both = load_words(octet, 80);
	__m256i v[4];
	scales->d = low_halves(both);
	scales->dmin = low_halves(_mm256_srli_epi32(both, 16));
	turn_16(octet, 0, v);
	UNROLL
	for (int i = 0; i < 4; i++) {
		scales->scale[i] = nibbles_low(v[i]);
		scales->min[i] = nibbles_high(v[i]);
	}
}

/* Bits 2q and 2q + 1 of each byte, moved to bits 4 and 5. */
FORCE_INLINE __m256i top_bits(__m256i v, int q)
{
	const __m256i moved =
		q < 2 ? _mm256_slli_epi16(v, 4 - 2 * q) : _mm256_srli_epi16(v, 2 * q - 4);
	return _mm256_and_si256(moved, _mm256_set1_epi8(0x30));
}

/* Bytes 2 and 3 of one vector's lanes, then 0 and 1 of the next one's. */
FORCE_INLINE __m256i join_halves(__m256i first, __m256i next)
{
	return _mm256_or_si256(_mm256_srli_epi32(first, 16), _mm256_slli_epi32(next, 16));
}

/* Q3_K: see decode_q3_k. The last sixteen bytes of the block are read, two more than needed. */
FORCE_INLINE void load_scales_3(struct octet octet, struct k_scales *scales)
{
	__m256i v[4];
	turn_16(octet, 94, v);
	scales->d = low_halves(_mm256_srli_epi32(v[3], 16));
	const __m256i low[2] = { join_halves(v[0], v[1]), join_halves(v[1], v[2]) };
	const __m256i high = join_halves(v[2], v[3]);
	UNROLL
	for (int k = 0; k < 4; k++) {
		const __m256i four = k < 2 ? nibbles_low(low[k]) : nibbles_high(low[k - 2]);
		scales->scale[k] = _mm256_sub_epi8(_mm256_or_si256(four, top_bits(high, k)),
						   _mm256_set1_epi8(32));
	}
}

/* Q4_K, Q5_K: d, dmin and twelve bytes of scales. */
FORCE_INLINE void load_scales_45(struct octet octet, struct k_scales *scales)
{
	const __m256i six = _mm256_set1_epi8(63), four = _mm256_set1_epi8(15);
	const __m256i top = _mm256_set1_epi8(0x30);
	__m256i v[4];
	turn_16(octet, 0, v);
	scales->d = low_halves(v[0]);
	scales->dmin = low_halves(_mm256_srli_epi32(v[0], 16));
	scales->scale[0] = _mm256_and_si256(v[1], six);
	scales->scale[1] = _mm256_or_si256(_mm256_and_si256(v[3], four),
					   _mm256_and_si256(_mm256_srli_epi16(v[1], 2), top));
	scales->min[0] = _mm256_and_si256(v[2], six);
	scales->min[1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(v[3], 4), four),
					 _mm256_and_si256(_mm256_srli_epi16(v[2], 2), top));
}

FORCE_INLINE void load_scales(uint32_t type, struct octet octet, struct k_scales *scales)
{
	if (type == TENSOR_Q2_K) {
		load_scales_2(octet, scales);
	} else if (type == TENSOR_Q3_K) {
		load_scales_3(octet, scales);
	} else if (type == TENSOR_Q6_K) {
		scales->d = load_halves(octet, 208);
		turn_16(octet, 192, scales->scale);
	} else {
		load_scales_45(octet, scales);
	}
	if (!has_minima(type)) /* signed scales come times 2^24 */
		scales->d = _mm256_mul_ps(scales->d, _mm256_set1_ps(0x1p-24f));
}

/* d * scale */
FORCE_INLINE __m256 group_scale(uint32_t type, const struct k_scales *scales, int group)
{
	const __m256i bytes = scales->scale[group / 4];
	return _mm256_mul_ps(scales->d, has_minima(type) ? byte_float(bytes, group % 4)
							 : signed_byte_float(bytes, group % 4));
}

/* dmin * min; nothing where there are none. */
FORCE_INLINE __m256 group_min(uint32_t type, const struct k_scales *scales, int group)
{
	if (!has_minima(type))
		return _mm256_setzero_ps();
	return _mm256_mul_ps(scales->dmin, byte_float(scales->min[group / 4], group % 4));
}

FORCE_INLINE void unpack_scales(uint32_t type, struct octet octet, struct k_head *head)
{
	struct k_scales scales;
	load_scales(type, octet, &scales);
	UNROLL
	for (int j = 0; j < 256 / group_width(type); j++) {
		head->scale[j] = group_scale(type, &scales, j);
		head->min[j] = group_min(type, &scales, j);
	}
}

/* IQ4_XS: two bits of each scale after d, four in the next bytes. */
FORCE_INLINE void unpack_head_iq4(struct octet octet, struct k_head *head)
{
	const __m256i first = load_words(octet, 0), low = load_words(octet, 4);
	const __m256 d = low_halves(first);
	UNROLL
	for (int j = 0; j < 8; j++) {
		const __m256i four =
			_mm256_and_si256(_mm256_srli_epi32(low, 4 * j), _mm256_set1_epi32(15));
		const __m256i two = _mm256_and_si256(_mm256_srli_epi32(first, 12 + 2 * j),
						     _mm256_set1_epi32(0x30));
		const __m256i scale =
			_mm256_sub_epi32(_mm256_or_si256(four, two), _mm256_set1_epi32(32));
		head->scale[j] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale));
	}
}

FORCE_INLINE void unpack_head(uint32_t type, struct octet octet, struct k_head *head)
{
	switch (type) {
	case TENSOR_Q3_K:
		turn_32(octet, 0, head->high);
		unpack_scales(type, octet, head);
		break;
	case TENSOR_Q5_K:
		turn_32(octet, 16, head->high);
		unpack_scales(type, octet, head);
		break;
	case TENSOR_Q2_K:
	case TENSOR_Q4_K:
	case TENSOR_Q6_K:
		unpack_scales(type, octet, head);
		break;
	case TENSOR_IQ4_XS:
		unpack_head_iq4(octet, head);
		break;
	default:
		unpack_head_iq(type, octet, head);
	}
}

/* ---- columns ---- */

/* Bit `bit` of each byte, moved to bit 4. */
FORCE_INLINE __m256i fifth_bit(__m256i v, int bit)
{
	const __m256i moved =
		bit < 4 ? _mm256_slli_epi16(v, 4 - bit) : _mm256_srli_epi16(v, bit - 4);
	return _mm256_and_si256(moved, _mm256_set1_epi8(16));
}

/* Bytes of 64 columns, turned: from them each of their vectors of weights can be made by itself,
 * when it is wanted, which takes fewer registers than all at once. */
struct packed_64 {
	__m256i v[12];
};

/* Columns 64 * part to 64 * part + 63 of Q4_K or Q5_K. */
FORCE_INLINE void pack_64_45(uint32_t type, struct octet octet, int part, struct packed_64 *packed)
{
	turn_32(octet, (type == TENSOR_Q5_K ? 48 : 16) + 32 * (size_t)part, packed->v);
}

/* Those from column 4i of them on. */
FORCE_INLINE __m256i weights_45(uint32_t type, const struct packed_64 *packed,
				const struct k_head *head, int part, int i)
{
	const __m256i both = packed->v[i % 8];
	const __m256i w = i < 8 ? nibbles_low(both) : nibbles_high(both);
	if (type != TENSOR_Q5_K)
		return w;
	return _mm256_or_si256(w, fifth_bit(head->high[i % 8], 2 * part + i / 8));
}

/* Q6_K: columns 128 * half + 16 * piece (of 2) + 32 * q + 4c are vector 4q + c. */
FORCE_INLINE void pack_64_6(struct octet octet, int half, int piece, struct packed_64 *packed)
{
	const size_t low = 64 * (size_t)half + 16 * (size_t)piece;
	turn_16(octet, low, packed->v);
	turn_16(octet, low + 32, packed->v + 4);
	turn_16(octet, 128 + 32 * (size_t)half + 16 * (size_t)piece, packed->v + 8);
}

FORCE_INLINE __m256i weights_6(const struct packed_64 *packed, int i)
{
	const __m256i low = i < 8 ? nibbles_low(packed->v[i]) : nibbles_high(packed->v[i - 8]);
	return _mm256_or_si256(low, top_bits(packed->v[8 + i % 4], i / 4));
}

/* Bytes of Q2_K or Q3_K, each with a weight of four columns 32 apart. Q3_K: as nibbles, first those
 * of columns 0 and 64, then those of 32 and 96. */
struct low_bytes {
	__m256i v[2];
};

/* Pairs of bits in half a block; `top`: Q3_K's third bits, of that half in the low nibbles. */
FORCE_INLINE struct low_bytes low_bytes(uint32_t type, __m256i pairs, __m256i top)
{
	static const int8_t even[16] = { 0, 4, 0, 4, 64, 68, 64, 68, 0, 4, 0, 4, 64, 68, 64, 68 };
	static const int8_t odd[16] = { 0, 0, 4, 4, 0, 0, 4, 4, 64, 64, 68, 68, 64, 64, 68, 68 };
	const __m256i mask = _mm256_set1_epi8(0x33);
	if (type == TENSOR_Q2_K)
		return (struct low_bytes){ { pairs } };
	const __m256i first = _mm256_and_si256(pairs, mask);
	const __m256i next = _mm256_and_si256(_mm256_srli_epi16(pairs, 2), mask);
	return (struct low_bytes){ { _mm256_or_si256(first, look_up(even, top)),
				     _mm256_or_si256(next, look_up(odd, top)) } };
}

FORCE_INLINE __m256i low_weights(uint32_t type, const struct low_bytes *bytes, int q)
{
	if (type == TENSOR_Q2_K)
		return _mm256_and_si256(_mm256_srli_epi16(bytes->v[0], 2 * q), _mm256_set1_epi8(3));
	return q < 2 ? nibbles_low(bytes->v[q]) : nibbles_high(bytes->v[q - 2]);
}

/* The third bits of half a block, from those of the whole; Q2_K has none. */
FORCE_INLINE __m256i top_of_half(uint32_t type, const struct k_head *head, int c, int half)
{
	if (type == TENSOR_Q2_K)
		return _mm256_setzero_si256();
	return half ? nibbles_high(head->high[c]) : nibbles_low(head->high[c]);
}

FORCE_INLINE size_t low_offset(uint32_t type)
{
	return type == TENSOR_Q2_K ? 16 : 32;
}

/* Q2_K and Q3_K, in the order of unpack_64_6. */
FORCE_INLINE void unpack_64_23(uint32_t type, struct octet octet, const struct k_head *head,
			       int half, int piece, __m256i w[16])
{
	__m256i packed[4];
	turn_16(octet, low_offset(type) + 32 * (size_t)half + 16 * (size_t)piece, packed);
	UNROLL
	for (int c = 0; c < 4; c++) {
		const struct low_bytes bytes =
			low_bytes(type, packed[c], top_of_half(type, head, 4 * piece + c, half));
		UNROLL
		for (int q = 0; q < 4; q++)
			w[4 * q + c] = low_weights(type, &bytes, q);
	}
}

/* IQ4_XS: columns 64 * part to 64 * part + 63. */
FORCE_INLINE __m256i weights_iq4(const struct packed_64 *packed, int i)
{
	const __m256i values = from_signed(TENSOR_IQ4_XS, load_table(decode_iq4_values));
	const __m256i v = packed->v[i / 8 * 4 + i % 4];
	return _mm256_shuffle_epi8(values, i / 4 % 2 ? nibbles_high(v) : nibbles_low(v));
}

FORCE_INLINE void pack_64(uint32_t type, struct octet octet, int part, struct packed_64 *packed)
{
	if (type == TENSOR_Q6_K)
		pack_64_6(octet, part / 2, part % 2, packed);
	else if (type == TENSOR_IQ4_XS)
		turn_32(octet, 8 + 32 * (size_t)part, packed->v);
	else
		pack_64_45(type, octet, part, packed);
}

/* Vector `i` of the `part`th set of 64 columns, of Q4_K, Q5_K, Q6_K or IQ4_XS. */
FORCE_INLINE __m256i weights_of_64(uint32_t type, const struct packed_64 *packed,
				   const struct k_head *head, int part, int i)
{
	if (type == TENSOR_Q6_K)
		return weights_6(packed, i);
	if (type == TENSOR_IQ4_XS)
		return weights_iq4(packed, i);
	return weights_45(type, packed, head, part, i);
}

/* The columns of the `part`th set of 64: see group_column. */
FORCE_INLINE void unpack_64(uint32_t type, struct octet octet, const struct k_head *head, int part,
			    __m256i w[16])
{
	struct packed_64 packed;
	if (is_iq(type)) {
		unpack_64_iq(type, head, part, w);
		return;
	}
	if (type == TENSOR_Q2_K || type == TENSOR_Q3_K) {
		unpack_64_23(type, octet, head, part / 2, part % 2, w);
		return;
	}
	pack_64(type, octet, part, &packed);
	UNROLL
	for (int i = 0; i < 16; i++)
		w[i] = weights_of_64(type, &packed, head, part, i);
}

/* First column of the `part`th set of 64 and of its group `g`. */
FORCE_INLINE int group_column(uint32_t type, int part, int g)
{
	if (type == TENSOR_Q2_K || type == TENSOR_Q3_K || type == TENSOR_Q6_K)
		return 128 * (part / 2) + 16 * (part % 2) + 32 * g;
	return 64 * part + group_width(type) * g;
}

#endif
