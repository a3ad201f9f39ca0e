/* unpack_iq_avx2.h: formats with blocks of 256 weights that are looked up in a grid. Each row's
 * entries are loaded one by one; signs, scales and the rest are made for eight rows at once. */
#ifndef COMPUTE_CPU_UNPACK_IQ_AVX2_H
#define COMPUTE_CPU_UNPACK_IQ_AVX2_H

#include "compute/cpu/grids.h"
#include "compute/cpu/traits_avx2.h"

FORCE_INLINE bool is_iq3(uint32_t type)
{
	return type == TENSOR_IQ3_XXS || type == TENSOR_IQ3_S;
}

FORCE_INLINE bool is_iq1(uint32_t type)
{
	return type == TENSOR_IQ1_S || type == TENSOR_IQ1_M;
}

/* True for the formats of this file. */
FORCE_INLINE bool is_iq(uint32_t type)
{
	return is_iq3(type) || is_iq1(type) || type == TENSOR_IQ2_XXS || type == TENSOR_IQ2_XS ||
	       type == TENSOR_IQ2_S;
}

/* ---- scales ---- */

/* Bit `from` of the lanes moved to bit `to`, what lies around it with it. */
FORCE_INLINE __m256i move_bit(__m256i v, int from, int to)
{
	return from < to ? _mm256_slli_epi32(v, to - from) : _mm256_srli_epi32(v, from - to);
}

/* 2s + 1 times d, where s are the bits from `from` on that `mask` leaves of the lanes. */
FORCE_INLINE __m256 odd_scale(__m256 d, __m256i bits, int from, int mask)
{
	const __m256i twice =
		_mm256_and_si256(move_bit(bits, from, 1), _mm256_set1_epi32(2 * mask));
	const __m256i odd = _mm256_or_si256(twice, _mm256_set1_epi32(1));
	return _mm256_mul_ps(d, _mm256_cvtepi32_ps(odd));
}

/* Scales of four bits, eight in each word. */
FORCE_INLINE void nibble_scales(struct octet octet, size_t offset, int words, __m256 d,
				__m256 *scale)
{
	UNROLL
	for (int i = 0; i < words; i++) {
		const __m256i v = load_words(octet, offset + 4 * (size_t)i);
		UNROLL
		for (int j = 0; j < 8; j++)
			scale[8 * i + j] = odd_scale(d, v, 4 * j, 15);
	}
}

/* ---- signs ---- */

/* The eighth sign of each byte makes the count of the negative ones even. */
FORCE_INLINE __m256i add_even(__m256i bytes)
{
	static const int8_t odd[16] = { 0,    -128, -128, 0,    -128, 0,    0,    -128,
					-128, 0,    0,    -128, 0,    -128, -128, 0 };
	const __m256i folded = _mm256_xor_si256(bytes, _mm256_srli_epi16(bytes, 4));
	return _mm256_or_si256(bytes, look_up(odd, nibbles_low(folded)));
}

/* Four times seven bits of a word. */
FORCE_INLINE __m256i signs_of_word(__m256i v)
{
	const __m256i low = _mm256_and_si256(v, _mm256_set1_epi32(0x3fff));
	const __m256i high =
		_mm256_and_si256(_mm256_slli_epi32(v, 2), _mm256_set1_epi32(0x3fff0000));
	const __m256i pairs = _mm256_or_si256(low, high);
	const __m256i upper = _mm256_and_si256(pairs, _mm256_set1_epi16(0x3f80));
	return add_even(_mm256_add_epi16(pairs, upper));
}

/* All bits of columns 4c to 4c + 3 where bit 4c + i of the row is set. */
FORCE_INLINE __m256i negative(__m256i bits, int c)
{
	const __m256i own = _mm256_set1_epi32(c % 2 ? (int)0x80402010 : 0x08040201);
	const __m256i copies = pick(bits, c / 2, c / 2, c / 2, c / 2);
	return _mm256_cmpeq_epi8(_mm256_and_si256(copies, own), own);
}

/* The same of columns 8k to 8k + 7, of the rows of entries_8. */
FORCE_INLINE __m256i negative_8(__m256i bits, int k, int side)
{
	const int64_t first = (8 * side + k) * 0x0101010101010101;
	const __m256i order = _mm256_setr_epi64x(first, first + 0x0404040404040404, first,
						 first + 0x0404040404040404);
	const __m256i own = _mm256_set1_epi64x((int64_t)0x8040201008040201);
	const __m256i copies = _mm256_shuffle_epi8(bits, order);
	return _mm256_cmpeq_epi8(_mm256_and_si256(copies, own), own);
}

/* Makes columns negative by their bits, and adds 2^shift. */
FORCE_INLINE void put_signs(__m256i bits, int shift, __m256i w[8])
{
	const __m256i more = _mm256_set1_epi8((char)(1 << shift));
	UNROLL
	for (int c = 0; c < 8; c++) {
		const __m256i mask = negative(bits, c);
		w[c] = _mm256_add_epi8(_mm256_xor_si256(w[c], mask), _mm256_sub_epi8(more, mask));
	}
}

/* ---- indexes ---- */

/* Bytes 2k and 2k + 1 of the lanes as two indexes, whose upper bits begin at bits `first` and
 * `second` of `high`. */
FORCE_INLINE __m256i join_index(__m256i low, int k, __m256i high, int first, int second, int mask)
{
	const __m256i one =
		_mm256_and_si256(move_bit(high, first, 8), _mm256_set1_epi32(mask << 8));
	const __m256i two =
		_mm256_and_si256(move_bit(high, second, 24), _mm256_set1_epi32(mask << 24));
	return _mm256_or_si256(pick(low, 2 * k, -1, 2 * k + 1, -1), _mm256_or_si256(one, two));
}

/* Indexes of one byte and `bits` more, those of consecutive entries `step` bits from each other and
 * all in order in `high`, `per_word` entries in a word. `n` entries. */
FORCE_INLINE void join_indexes(struct octet octet, size_t offset, int n, const __m256i *high,
			       int per_word, int step, int bits, __m256i *index)
{
	UNROLL
	for (int i = 0; i < n / 16; i++) {
		__m256i low[4];
		turn_16(octet, offset + 16 * (size_t)i, low);
		UNROLL
		for (int k = 0; k < 8; k++) {
			const int entry = 16 * i + 2 * k, at = entry % per_word * step;
			index[8 * i + k] = join_index(low[k / 2], k % 2, high[entry / per_word], at,
						      at + step, (1 << bits) - 1);
		}
	}
}

/* Those are of IQ1; of IQ2 and IQ3 head->index[4r] on has the indexes of row r, in their order. */

/* 32 indexes of a byte and what lies above them. Both have their middle quarters exchanged. */
FORCE_INLINE void store_indexes(__m256i low, __m256i high, __m256i index[2])
{
	index[0] = _mm256_unpacklo_epi8(low, high);
	index[1] = _mm256_unpackhi_epi8(low, high);
}

FORCE_INLINE __m256i exchange_quarters(__m256i v)
{
	return _mm256_permute4x64_epi64(v, 0xd8);
}

/* The block's own bytes: those of IQ2_XXS stand between its words. */
FORCE_INLINE void row_indexes_xxs(const uint8_t *block, __m256i index[4])
{
	index[0] = load_256(block + 2);
	index[1] = load_256(block + 34);
}

FORCE_INLINE void row_indexes_iq2_xs(const uint8_t *block, __m256i index[4])
{
	UNROLL
	for (int i = 0; i < 2; i++)
		index[i] = _mm256_and_si256(load_256(block + 2 + 32 * (size_t)i),
					    _mm256_set1_epi16(511));
}

/* Two bits above each byte. */
FORCE_INLINE void row_indexes_iq2_s(const uint8_t *block, __m256i index[4])
{
	const __m128i four = _mm_shufflelo_epi16(load_128(block + 66), 0xd8);
	const __m128i two = _mm_unpacklo_epi8(four, _mm_srli_epi16(four, 2));
	const __m128i other = _mm_srli_epi16(two, 4);
	const __m256i high =
		_mm256_set_m128i(_mm_unpackhi_epi16(two, other), _mm_unpacklo_epi16(two, other));
	store_indexes(exchange_quarters(load_256(block + 2)),
		      _mm256_and_si256(high, _mm256_set1_epi8(3)), index);
}

/* One bit above each byte. */
FORCE_INLINE void row_indexes_iq3_s(const uint8_t *block, __m256i index[4])
{
	const __m256i order =
		_mm256_setr_epi64x(0, 0x0202020202020202, 0x0101010101010101, 0x0303030303030303);
	const __m256i own = _mm256_set1_epi64x((int64_t)0x8040201008040201);
	UNROLL
	for (int i = 0; i < 2; i++) {
		const __m256i word = repeat_32(block + 66 + 4 * i);
		const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(word, order), own);
		store_indexes(exchange_quarters(load_256(block + 2 + 32 * i)),
			      _mm256_min_epu8(bits, _mm256_set1_epi8(1)), index + 2 * i);
	}
}

FORCE_INLINE void row_indexes(uint32_t type, struct octet octet, __m256i *index)
{
	for (int r = 0; r < 8; r++) {
		const uint8_t *block = octet.bytes + (size_t)r * octet.stride;
		if (type == TENSOR_IQ2_XXS || type == TENSOR_IQ3_XXS)
			row_indexes_xxs(block, index + 4 * r);
		else if (type == TENSOR_IQ2_XS)
			row_indexes_iq2_xs(block, index + 4 * r);
		else if (type == TENSOR_IQ2_S)
			row_indexes_iq2_s(block, index + 4 * r);
		else
			row_indexes_iq3_s(block, index + 4 * r);
	}
}

/* ---- what groups share ---- */

/* In all of them head->high[g] has the signs of columns 32g to 32g + 31, but in IQ1. */

FORCE_INLINE void unpack_head_iq2_xxs(struct octet octet, __m256 d, struct k_head *head)
{
	row_indexes(TENSOR_IQ2_XXS, octet, head->index);
	UNROLL
	for (int i = 0; i < 4; i++) {
		__m256i v[4];
		turn_16(octet, 2 + 16 * (size_t)i, v);
		UNROLL
		for (int k = 0; k < 2; k++) {
			const __m256i word = v[2 * k + 1];
			head->high[2 * i + k] = signs_of_word(word);
			head->scale[2 * i + k] = odd_scale(d, word, 28, 15);
		}
	}
}

/* Signs of a row of IQ2_XS: the upper seven bits of its words. */
FORCE_INLINE __m256i row_signs_iq2_xs(const uint8_t *block)
{
	const __m256i first = _mm256_srli_epi16(load_256(block + 2), 9);
	const __m256i next = _mm256_srli_epi16(load_256(block + 34), 9);
	return add_even(exchange_quarters(_mm256_packus_epi16(first, next)));
}

FORCE_INLINE void unpack_head_iq2_xs(struct octet octet, __m256 d, struct k_head *head)
{
	__m256i signs[8];
	for (int r = 0; r < 8; r++)
		signs[r] = row_signs_iq2_xs(octet.bytes + (size_t)r * octet.stride);
	turn_32((struct octet){ (const uint8_t *)signs, sizeof(signs[0]) }, 0, head->high);
	nibble_scales(octet, 66, 2, d, head->scale);
	row_indexes(TENSOR_IQ2_XS, octet, head->index);
}

FORCE_INLINE void unpack_head_iq2_s(struct octet octet, __m256 d, struct k_head *head)
{
	turn_32(octet, 34, head->high);
	nibble_scales(octet, 74, 2, d, head->scale);
	row_indexes(TENSOR_IQ2_S, octet, head->index);
}

FORCE_INLINE void unpack_head_iq3_s(struct octet octet, __m256 d, struct k_head *head)
{
	turn_32(octet, 74, head->high);
	nibble_scales(octet, 106, 1, d, head->scale);
	row_indexes(TENSOR_IQ3_S, octet, head->index);
}

FORCE_INLINE void unpack_head_iq3_xxs(struct octet octet, __m256 d, struct k_head *head)
{
	__m256i v[8];
	row_indexes(TENSOR_IQ3_XXS, octet, head->index);
	turn_32(octet, 66, v);
	UNROLL
	for (int g = 0; g < 8; g++) {
		head->high[g] = signs_of_word(v[g]);
		head->scale[g] = odd_scale(d, v[g], 28, 15);
	}
}

/* high[g]: what is added to the columns of a group, an eighth more or less and the 16. */
FORCE_INLINE void unpack_head_iq1_s(struct octet octet, __m256 d, struct k_head *head)
{
	__m256i v[4], low[8];
	turn_16(octet, 34, v);
	turn_32(octet, 2, low);
	UNROLL
	for (int g = 0; g < 8; g++) {
		const __m256i word = g % 2 ? v[g / 2] : _mm256_slli_epi32(v[g / 2], 16);
		const __m256i less = _mm256_srai_epi32(word, 31);
		head->scale[g] = odd_scale(d, word, 28, 7);
		head->index[2 * g] = join_index(low[g], 0, word, 16, 19, 7);
		head->index[2 * g + 1] = join_index(low[g], 1, word, 22, 25, 7);
		head->high[g] = _mm256_add_epi8(_mm256_set1_epi8(17), _mm256_add_epi8(less, less));
	}
}

/* high[p]: four bits for each eight columns of the `p`th 64, of which the upper one says which way
 * the eighth goes. The scale's half float lies in the top nibbles of the words of scales. */
FORCE_INLINE void unpack_head_iq1_m(struct octet octet, struct k_head *head)
{
	const __m256i words[2] = { load_words(octet, 48), load_words(octet, 52) };
	__m256i bits = _mm256_setzero_si256();
	UNROLL
	for (int i = 0; i < 4; i++) {
		const int from = 16 * (i % 2) + 12 - 4 * i;
		const __m256i v = words[i / 2];
		const __m256i moved =
			from >= 0 ? _mm256_srli_epi32(v, from) : _mm256_slli_epi32(v, -from);
		bits = _mm256_or_si256(bits,
				       _mm256_and_si256(moved, _mm256_set1_epi32(15 << 4 * i)));
	}
	const __m256 d = _mm256_mul_ps(low_halves(bits), _mm256_set1_ps(0.125f));
	UNROLL
	for (int j = 0; j < 16; j++)
		head->scale[j] = odd_scale(d, words[j / 8], 16 * (j / 4 % 2) + 3 * (j % 4), 7);
	turn_16(octet, 32, head->high);
	join_indexes(octet, 0, 32, head->high, 8, 4, 3, head->index);
}

/* d, but of IQ1_M; the formats' halves and the like are taken into it. */
FORCE_INLINE __m256 iq_factor(uint32_t type, struct octet octet)
{
	const float unit = type == TENSOR_IQ3_S ? 1.0f : type == TENSOR_IQ3_XXS ? 0.5f : 0.125f;
	return _mm256_mul_ps(load_halves(octet, 0), _mm256_set1_ps(unit));
}

FORCE_INLINE void unpack_head_iq(uint32_t type, struct octet octet, struct k_head *head)
{
	if (type == TENSOR_IQ1_M) {
		unpack_head_iq1_m(octet, head);
		return;
	}
	const __m256 d = iq_factor(type, octet);
	if (type == TENSOR_IQ2_XXS)
		unpack_head_iq2_xxs(octet, d, head);
	if (type == TENSOR_IQ2_XS)
		unpack_head_iq2_xs(octet, d, head);
	if (type == TENSOR_IQ3_XXS)
		unpack_head_iq3_xxs(octet, d, head);
	if (type == TENSOR_IQ1_S)
		unpack_head_iq1_s(octet, d, head);
	if (type == TENSOR_IQ2_S)
		unpack_head_iq2_s(octet, d, head);
	if (type == TENSOR_IQ3_S)
		unpack_head_iq3_s(octet, d, head);
}

/* ---- entries ---- */

/* The `k`th index of row r among those of columns 32g to 32g + 31. */
FORCE_INLINE uint32_t index_of(uint32_t type, const struct k_head *head, int r, int g, int k)
{
	if (type == TENSOR_IQ2_XXS || type == TENSOR_IQ3_XXS)
		return ((const uint8_t *)&head->index[4 * r])[8 * g + k];
	if (is_iq1(type))
		return ((const uint16_t *)&head->index[2 * g + k / 2])[2 * r + k % 2];
	return ((const uint16_t *)&head->index[4 * r])[(is_iq3(type) ? 8 : 4) * g + k];
}

FORCE_INLINE const uint64_t *grid_8(uint32_t type)
{
	switch (type) {
	case TENSOR_IQ2_XXS:
		return grid_iq2_xxs;
	case TENSOR_IQ2_XS:
		return grid_iq2_xs;
	case TENSOR_IQ2_S:
		return grid_iq2_s;
	default:
		return grid_iq1;
	}
}

/* Eight columns of two rows, whose entries are `first` and `next`. */
FORCE_INLINE __m128i look_up_8(uint32_t type, uint32_t first, uint32_t next)
{
	const uint64_t *grid = grid_8(type);
	const __m128 low = _mm_castsi128_ps(_mm_loadl_epi64((const void *)&grid[first]));
	return _mm_castps_si128(_mm_loadh_pi(low, (const void *)&grid[next]));
}

/* Columns 32g + 4k to 32g + 4k + 3 of IQ3, lane r of row r. */
FORCE_INLINE __m256i entries_4(uint32_t type, const struct k_head *head, int g, int k)
{
	const uint32_t *grid = type == TENSOR_IQ3_S ? grid_iq3_s : grid_iq3_xxs;
	int32_t v[8];
	UNROLL
	for (int r = 0; r < 8; r++)
		v[r] = (int32_t)grid[index_of(type, head, r, g, k)];
	return _mm256_setr_epi32(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
}

/* Columns 32g + 8k to 32g + 8k + 7 of IQ1 or IQ2, of rows 0, 1, 4 and 5 (side 0) or of 2, 3, 6
 * and 7.
 */
FORCE_INLINE __m256i entries_8(uint32_t type, const struct k_head *head, int g, int k, int side)
{
	uint32_t index[4];
	UNROLL
	for (int i = 0; i < 4; i++)
		index[i] = index_of(type, head, 2 * side + 4 * (i / 2) + i % 2, g, k);
	return _mm256_set_m128i(look_up_8(type, index[2], index[3]),
				look_up_8(type, index[0], index[1]));
}

/* Both sides of that: the first four columns of the eight rows, or the last. */
FORCE_INLINE __m256i join_sides(__m256i a, __m256i b, int last)
{
	const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
	return _mm256_castps_si256(last ? _mm256_shuffle_ps(x, y, 0xdd)
					: _mm256_shuffle_ps(x, y, 0x88));
}

/* IQ1: eighths more or less, and 16. */
FORCE_INLINE void add_eighths(uint32_t type, const struct k_head *head, int g, __m256i w[8])
{
	const __m256i nibbles =
		g % 2 ? head->high[g / 2] : _mm256_slli_epi32(head->high[g / 2], 16);
	UNROLL
	for (int c = 0; c < 8; c++) {
		const __m256i less =
			_mm256_srai_epi32(_mm256_slli_epi32(nibbles, 12 - 4 * (c / 2)), 31);
		const __m256i more = type == TENSOR_IQ1_S
					     ? head->high[g]
					     : _mm256_add_epi8(_mm256_set1_epi8(17),
							       _mm256_add_epi8(less, less));
		w[c] = _mm256_add_epi8(w[c], more);
	}
}

/* Columns 32g to 32g + 31 without their signs, which IQ1 does not have. */
FORCE_INLINE void unpack_unsigned(uint32_t type, const struct k_head *head, int g, __m256i w[8])
{
	UNROLL
	for (int c = 0; c < 8; c++)
		if (is_iq3(type))
			w[c] = entries_4(type, head, g, c);
	UNROLL
	for (int k = 0; k < 4; k++) {
		if (is_iq3(type))
			continue;
		const __m256i a = entries_8(type, head, g, k, 0);
		const __m256i b = entries_8(type, head, g, k, 1);
		w[2 * k] = join_sides(a, b, 0);
		w[2 * k + 1] = join_sides(a, b, 1);
	}
	if (is_iq1(type))
		add_eighths(type, head, g, w);
}

FORCE_INLINE void unpack_64_iq(uint32_t type, const struct k_head *head, int part, __m256i w[16])
{
	UNROLL
	for (int k = 0; k < 2; k++) {
		unpack_unsigned(type, head, 2 * part + k, w + 8 * k);
		if (!is_iq1(type))
			put_signs(head->high[2 * part + k], weight_shift(type), w + 8 * k);
	}
}

#endif
