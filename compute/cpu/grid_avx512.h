/* grid_avx512.h: formats with blocks of 256 weights that are looked up in a grid, one block of
 * sixteen outputs at a time. A grid's codes (grids.h) are bytes, of which one instruction looks up
 * 64 among 128 in registers; weights are made of the codes' fields where they are multiplied, by an
 * affine map of bits for each field.
 *
 * Vectors hold sixteen bytes of each of four outputs: set j has outputs j, j + 4, j + 8, j + 12.
 * Sums of four sets then turn into the order of the outputs within quarters of the vectors. */
#ifndef COMPUTE_CPU_GRID_AVX512_H
#define COMPUTE_CPU_GRID_AVX512_H

#include "compute/cpu/grids.h"
#include "compute/cpu/unpack_avx512.h"
#include "compute/gguf.h"

#define SETS   4u
#define CHUNKS 8u

/* Each byte its own number. */
#define EACH_BYTE 0x0706050403020100

#define AFFINE(v, map, more) _mm512_gf2p8affine_epi64_epi8(v, _mm512_set1_epi64(map), more)

/* A block of sixteen outputs, looked up, in chunks: the columns of eight entries, 64 or with
 * entries of four 32. A byte of codes has `fields` weights, and byte m of an output has columns m *
 * fields on. */
struct found {
	__m512i codes[SETS][CHUNKS];
	__m512i signs[SETS][CHUNKS]; /* beside each byte of codes the signs of eight columns */
};

/* Weights in a byte of codes. */
FORCE_INLINE int fields_of(uint32_t type)
{
	return type == TENSOR_IQ3_XXS || type == TENSOR_IQ3_S ? 2 : 4;
}

FORCE_INLINE bool is_iq1(uint32_t type)
{
	return type == TENSOR_IQ1_S || type == TENSOR_IQ1_M;
}

/* ---- four rows ---- */

/* Four weight rows, `stride` bytes apart. */
struct four_rows {
	const uint8_t *bytes;
	size_t stride;
};

/* 32 bytes of each of four rows, two rows in a vector. */
struct four {
	__m512i v[2];
};

/* What a format says of its entries: a byte for each. IQ3 has twice as many indexes as the others,
 * the second half of them in low[1] and high[1]. */
struct raw {
	struct four low[2];  /* the low bytes of the indexes */
	struct four high[2]; /* what is above them, in the lowest bits */
	struct four signs;   /* of eight columns a byte; IQ1: all bits where an eighth is more */
};

FORCE_INLINE __m512i join(__m256i low, __m256i high)
{
	return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

FORCE_INLINE __m256i load_256(const uint8_t *bytes)
{
	return _mm256_loadu_si256((const void *)bytes);
}

/* Row `r` of four from byte `at` on. */
FORCE_INLINE const uint8_t *row_at(struct four_rows rows, size_t r, size_t at)
{
	return rows.bytes + r * rows.stride + at;
}

FORCE_INLINE struct four load_four(struct four_rows rows, size_t at)
{
	struct four four;
	UNROLL
	for (size_t i = 0; i < 2; i++)
		four.v[i] = join(load_256(row_at(rows, 2 * i, at)),
				 load_256(row_at(rows, 2 * i + 1, at)));
	return four;
}

/* 16 bytes of two rows. */
FORCE_INLINE __m256i load_pair(struct four_rows rows, size_t r, size_t at)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(load_128(row_at(rows, r, at))),
				       load_128(row_at(rows, r + 1, at)), 1);
}

/* Eight bits from eight places of each 64, a byte of `places` for each. */
FORCE_INLINE __m512i bits_at(__m512i v, uint64_t places)
{
	return _mm512_multishift_epi64_epi8(_mm512_set1_epi64((int64_t)places), v);
}

/* From every `step`th place. */
FORCE_INLINE __m512i bits_each(__m512i v, uint64_t step)
{
	return bits_at(v, EACH_BYTE * step);
}

/* Signs in seven bits: the eighth makes the count of the negative ones even. */
FORCE_INLINE __m512i even_signs(__m512i seven)
{
	static const uint8_t odd[16] = { 0,   128, 128, 0,   128, 0,   0,   128,
					 128, 0,   0,   128, 0,   128, 128, 0 };
	const __m512i bytes = _mm512_and_si512(seven, _mm512_set1_epi8(127));
	const __m512i folded = _mm512_xor_si512(bytes, _mm512_srli_epi16(bytes, 4));
	return _mm512_or_si512(bytes, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load_128(odd)),
							  nibbles_low(folded)));
}

/* ---- what a format says ---- */

FORCE_INLINE void read_iq2_xxs(struct four_rows rows, struct raw *raw)
{
	const __m512i even =
		_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	UNROLL
	for (size_t i = 0; i < 2; i++) {
		__m512i v[2];
		UNROLL
		for (size_t k = 0; k < 2; k++) /* four indexes, then four times seven signs */
			v[k] = bits_at(_mm512_loadu_si512(row_at(rows, 2 * i + k, 2)),
				       0x352e272018100800);
		raw->low[0].v[i] = _mm512_permutex2var_epi32(v[0], even, v[1]);
		raw->signs.v[i] = even_signs(_mm512_permutex2var_epi32(v[0], odd, v[1]));
	}
}

FORCE_INLINE void read_iq2_xs(struct four_rows rows, struct raw *raw)
{
	UNROLL
	for (size_t i = 0; i < 2; i++) {
		__m256i low[2], high[2], signs[2];
		UNROLL
		for (size_t k = 0; k < 2; k++) {
			const __m512i words = _mm512_loadu_si512(row_at(rows, 2 * i + k, 2));
			low[k] = _mm512_cvtepi16_epi8(words);
			high[k] = _mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 8));
			signs[k] = _mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 9));
		}
		raw->low[0].v[i] = join(low[0], low[1]);
		raw->high[0].v[i] = join(high[0], high[1]);
		raw->signs.v[i] = even_signs(join(signs[0], signs[1]));
	}
}

FORCE_INLINE void read_iq2_s(struct four_rows rows, struct raw *raw)
{
	raw->low[0] = load_four(rows, 2);
	raw->signs = load_four(rows, 34);
	UNROLL
	for (size_t i = 0; i < 2; i++) {
		const __m128i first = _mm_loadl_epi64((const void *)row_at(rows, 2 * i, 66));
		const __m128i next = _mm_loadl_epi64((const void *)row_at(rows, 2 * i + 1, 66));
		raw->high[0].v[i] =
			bits_each(_mm512_cvtepu16_epi64(_mm_unpacklo_epi64(first, next)), 2);
	}
}

FORCE_INLINE void read_iq3_xxs(struct four_rows rows, struct raw *raw)
{
	raw->low[0] = load_four(rows, 2);
	raw->low[1] = load_four(rows, 34);
	raw->signs = load_four(rows, 66);
	UNROLL
	for (size_t i = 0; i < 2; i++) /* of each word four times seven bits */
		raw->signs.v[i] = even_signs(bits_at(raw->signs.v[i], 0x352e2720150e0700));
}

FORCE_INLINE uint64_t load_word(const uint8_t *bytes)
{
	uint32_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

FORCE_INLINE void read_iq3_s(struct four_rows rows, struct raw *raw)
{
	raw->low[0] = load_four(rows, 2);
	raw->low[1] = load_four(rows, 34);
	raw->signs = load_four(rows, 74);
	UNROLL
	for (size_t half = 0; half < 2; half++) {
		UNROLL
		for (size_t i = 0; i < 2; i++)
			raw->high[half].v[i] = _mm512_movm_epi8(
				load_word(row_at(rows, 2 * i, 66 + 4 * half)) |
				load_word(row_at(rows, 2 * i + 1, 66 + 4 * half)) << 32);
	}
}

/* A word for 32 columns: four times three bits, the scale, which way the eighths go. */
FORCE_INLINE void read_iq1_s(struct four_rows rows, struct raw *raw)
{
	raw->low[0] = load_four(rows, 2);
	UNROLL
	for (size_t i = 0; i < 2; i++) {
		const __m512i words = _mm512_cvtepu16_epi32(load_pair(rows, 2 * i, 34));
		raw->high[0].v[i] = bits_at(words, 0x2926232009060300);
		raw->signs.v[i] = ~(_mm512_srai_epi32(_mm512_slli_epi32(words, 16), 31));
	}
}

FORCE_INLINE void read_iq1_m(struct four_rows rows, struct raw *raw)
{
	raw->low[0] = load_four(rows, 0);
	UNROLL
	for (size_t i = 0; i < 2; i++) {
		const __m512i nibbles =
			bits_each(_mm512_cvtepu32_epi64(load_pair(rows, 2 * i, 32)), 4);
		raw->high[0].v[i] = nibbles;
		raw->signs.v[i] =
			_mm512_movm_epi8(_mm512_testn_epi8_mask(nibbles, _mm512_set1_epi8(8)));
	}
}

FORCE_INLINE void read_raw(uint32_t type, struct four_rows rows, struct raw *raw)
{
	if (type == TENSOR_IQ2_XXS)
		read_iq2_xxs(rows, raw);
	if (type == TENSOR_IQ2_XS)
		read_iq2_xs(rows, raw);
	if (type == TENSOR_IQ2_S)
		read_iq2_s(rows, raw);
	if (type == TENSOR_IQ3_XXS)
		read_iq3_xxs(rows, raw);
	if (type == TENSOR_IQ3_S)
		read_iq3_s(rows, raw);
	if (type == TENSOR_IQ1_S)
		read_iq1_s(rows, raw);
	if (type == TENSOR_IQ1_M)
		read_iq1_m(rows, raw);
}

/* ---- looking up ---- */

struct grid {
	const uint8_t *codes; /* [2, entries] */
	int entries;
};

FORCE_INLINE struct grid grid_of(uint32_t type)
{
	switch (type) {
	case TENSOR_IQ2_XXS:
		return (struct grid){ grid_codes_iq2_xxs[0], 256 };
	case TENSOR_IQ2_XS:
		return (struct grid){ grid_codes_iq2_xs[0], 512 };
	case TENSOR_IQ2_S:
		return (struct grid){ grid_codes_iq2_s[0], 1024 };
	case TENSOR_IQ3_XXS:
		return (struct grid){ grid_codes_iq3_xxs[0], 256 };
	case TENSOR_IQ3_S:
		return (struct grid){ grid_codes_iq3_s[0], 512 };
	default:
		return (struct grid){ grid_codes_iq1[0], 2048 };
	}
}

/* Bytes of `entries` at 64 indexes: bits 0 to 6 of each in `low`, bit 7 + i in top[i]. */
FORCE_INLINE __m512i find_bytes(const uint8_t *bytes, int entries, __m512i low,
				const __mmask64 top[4])
{
	__m512i v[16];
	UNROLL
	for (int i = 0; i < entries / 128; i++)
		v[i] = _mm512_permutex2var_epi8(_mm512_load_si512(bytes + 128 * i), low,
						_mm512_load_si512(bytes + 128 * i + 64));
	UNROLL
	for (int bit = 0; bit < 4; bit++) {
		UNROLL
		for (int i = 0; i < entries / 128 >> (bit + 1); i++)
			v[i] = _mm512_mask_blend_epi8(top[bit], v[2 * i], v[2 * i + 1]);
	}
	return v[0];
}

/* Bytes 16n to 16n + 15 of each of four rows, a row in each quarter. */
FORCE_INLINE __m512i quarters(const struct four *four, int n)
{
	return n ? _mm512_shuffle_i64x2(four->v[0], four->v[1], 0xdd)
		 : _mm512_shuffle_i64x2(four->v[0], four->v[1], 0x88);
}

/* Codes of two chunks: of the `n`th sixteen indexes of each row. */
FORCE_INLINE void find_codes(uint32_t type, const struct raw *raw, int n, __m512i codes[2])
{
	const struct grid grid = grid_of(type);
	const __m512i low = quarters(&raw->low[n / 2], n % 2);
	__mmask64 top[4] = { _mm512_movepi8_mask(low) };
	if (grid.entries > 256) {
		const __m512i high = quarters(&raw->high[n / 2], n % 2);
		UNROLL
		for (int i = 1; i < 4; i++)
			top[i] =
				_mm512_test_epi8_mask(high, _mm512_set1_epi8((char)(1 << (i - 1))));
	}
	const __m512i a = find_bytes(grid.codes, grid.entries, low, top);
	const __m512i b = find_bytes(grid.codes + grid.entries, grid.entries, low, top);
	codes[0] = _mm512_unpacklo_epi8(a, b);
	codes[1] = _mm512_unpackhi_epi8(a, b);
}

/* Signs of the chunks in the `half`th 128 columns. */
FORCE_INLINE void spread_signs(uint32_t type, const struct raw *raw, int half, __m512i *signs)
{
	const __m512i v = quarters(&raw->signs, half);
	if (fields_of(type) == 4) {
		signs[0] = _mm512_unpacklo_epi8(v, v);
		signs[1] = _mm512_unpackhi_epi8(v, v);
		return;
	}
	const __m512i first =
		_mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x01010101, 0x02020202, 0x03030303));
	UNROLL
	for (int i = 0; i < 4; i++)
		signs[i] = _mm512_shuffle_epi8(
			v, _mm512_add_epi8(first, _mm512_set1_epi8((char)(4 * i))));
}

FORCE_INLINE void find_block(uint32_t type, struct sixteen rows, struct found *found)
{
	const int chunks = 16 / fields_of(type);
	for (size_t j = 0; j < SETS; j++) {
		const struct four_rows four = { rows.bytes + j * rows.stride, SETS * rows.stride };
		struct raw raw;
		read_raw(type, four, &raw);
		UNROLL
		for (int n = 0; n < chunks / 2; n++)
			find_codes(type, &raw, n, &found->codes[j][2 * n]);
		spread_signs(type, &raw, 0, &found->signs[j][0]);
		spread_signs(type, &raw, 1, &found->signs[j][chunks / 2]);
	}
}

/* ---- weights ---- */

/* What a field of two or four bits stands for, as an affine map over bits: of the eighth byte on
 * each tells which bits are added up to the next bit of the result, from bit 0 on. */
FORCE_INLINE __m512i field_weights(uint32_t type, __m512i codes, int field)
{
	if (is_iq1(type)) /* eighths, eight too large: 8f */
		return AFFINE(codes, 0x0000000102000000 << 2 * field, 0);
	if (type == TENSOR_IQ3_S) /* 2f + 1 */
		return AFFINE(codes, 0x0001020400000000 << 4 * field, 1);
	if (type == TENSOR_IQ3_XXS) /* 4 (f & 7) + 2 + (f >> 3) */
		return AFFINE(codes, 0x0800010204000000 << 4 * field, 2);
	/* 8, 25 and 43 are 8, 8 ^ 17 and 8 ^ 35 */
	return AFFINE(codes, 0x0302000001020000 << 2 * field, 8);
}

/* Which of them are negative. */
FORCE_INLINE __mmask64 field_signs(uint32_t type, __m512i signs, int field)
{
	const int own = fields_of(type) == 4 ? 0x10011001 : 0x40100401;
	return _mm512_test_epi8_mask(signs, _mm512_set1_epi32((int)((uint32_t)own << field)));
}

/* IQ1: an eighth more or less; eighths are nine too large then. */
FORCE_INLINE __m512i add_eighths(__m512i weights, __m512i more)
{
	return or_masked(weights, more, _mm512_set1_epi8(2));
}

/* ---- scales ---- */

/* Numbers beside the entries: they are collected first, and read when they have come to rest. */
struct grid_numbers {
	struct column_16 d;
	struct column_32 words[2];
};

FORCE_INLINE void collect_numbers(uint32_t type, struct sixteen rows, struct grid_numbers *numbers)
{
	const size_t at = type == TENSOR_IQ2_XS  ? 66
			  : type == TENSOR_IQ2_S ? 74
			  : type == TENSOR_IQ3_S ? 106
						 : 48;
	if (type != TENSOR_IQ1_M)
		collect_16(rows, 0, &numbers->d);
	if (type == TENSOR_IQ2_XXS || type == TENSOR_IQ3_XXS || type == TENSOR_IQ1_S)
		return;
	collect_32(rows, at, &numbers->words[0]);
	if (type != TENSOR_IQ3_S)
		collect_32(rows, at + 4, &numbers->words[1]);
}

/* 2s + 1 for the bits of `mask` from `bit` on, times d. */
FORCE_INLINE __m512 odd_scale(__m512 d, __m512i v, int bit, int mask)
{
	const __m512i doubled =
		bit ? _mm512_srli_epi32(v, (unsigned)bit - 1) : _mm512_add_epi32(v, v);
	const __m512i odd = or_masked(_mm512_set1_epi32(1), doubled, _mm512_set1_epi32(2 * mask));
	return _mm512_mul_ps(d, _mm512_cvtepi32_ps(odd));
}

/* In the top bits of a word for 32 columns, after four times seven signs. */
FORCE_INLINE void top_scales(uint32_t type, struct sixteen rows, __m512 d, __m512 *scale)
{
	__m512i v[16];
	const int step = type == TENSOR_IQ2_XXS ? 2 : 1;
	turn_32(rows, type == TENSOR_IQ2_XXS ? 2 : 66, v);
	if (type == TENSOR_IQ2_XXS)
		turn_32(rows, 34, v + 8);
	UNROLL
	for (int g = 0; g < 8; g++)
		scale[g] = odd_scale(d, v[step * g + step - 1], 28, 15);
}

FORCE_INLINE void nibble_scales(const struct column_32 *words, int n, __m512 d, __m512 *scale)
{
	UNROLL
	for (int i = 0; i < n; i++) {
		const __m512i v = _mm512_load_si512(words[i / 8].lanes);
		scale[i] = odd_scale(d, v, 4 * (i % 8), 15);
	}
}

FORCE_INLINE void word_scales(struct sixteen rows, __m512 d, __m512 *scale)
{
	__m512i v[4];
	turn_16(rows, 34, v);
	UNROLL
	for (int g = 0; g < 8; g++)
		scale[g] = odd_scale(d, v[g / 2], 16 * (g % 2) + 12, 7);
}

/* IQ1_M: the top nibbles of four words of scales make the half float. */
FORCE_INLINE void iq1_m_scales(const struct column_32 words[2], __m512 *scale)
{
	const __m512i low = _mm512_load_si512(words[0].lanes);
	const __m512i high = _mm512_load_si512(words[1].lanes);
	__m512i half = _mm512_and_si512(_mm512_srli_epi32(low, 12), _mm512_set1_epi32(0xf));
	half = or_masked(half, _mm512_srli_epi32(low, 24), _mm512_set1_epi32(0xf0));
	half = or_masked(half, _mm512_srli_epi32(high, 4), _mm512_set1_epi32(0xf00));
	half = or_masked(half, _mm512_srli_epi32(high, 16), _mm512_set1_epi32(0xf000));
	const __m512 d = _mm512_mul_ps(low_halves(half), _mm512_set1_ps(0.125f));
	UNROLL
	for (int g = 0; g < 16; g++)
		scale[g] = odd_scale(d, g < 8 ? low : high, 16 * (g / 4 % 2) + 3 * (g % 4), 7);
}

/* Those of each group of columns. */
FORCE_INLINE void make_scales(uint32_t type, struct sixteen rows,
			      const struct grid_numbers *numbers, __m512 *scale)
{
	const float unit = type == TENSOR_IQ3_S ? 1.0f : type == TENSOR_IQ3_XXS ? 0.5f : 0.125f;
	if (type == TENSOR_IQ1_M) {
		iq1_m_scales(numbers->words, scale);
		return;
	}
	const __m512 d = _mm512_mul_ps(column_floats(&numbers->d), _mm512_set1_ps(unit));
	if (type == TENSOR_IQ2_XXS || type == TENSOR_IQ3_XXS)
		top_scales(type, rows, d, scale);
	else if (type == TENSOR_IQ1_S)
		word_scales(rows, d, scale);
	else
		nibble_scales(numbers->words, type == TENSOR_IQ3_S ? 8 : 16, d, scale);
}

#endif
