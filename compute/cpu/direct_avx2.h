/* direct_avx2.h: products of quantised weights with one or two rows: weights go from their file
 * form through registers, eight outputs at a time. Included by direct_avx2.c and direct_avxvnni.c
 * alone, each after the products_*.h of its variant. */
#ifndef COMPUTE_CPU_DIRECT_AVX2_H
#define COMPUTE_CPU_DIRECT_AVX2_H

#include "compute/cpu/avx2.h"
#include "compute/cpu/fetch_avx2.h"
#include "compute/cpu/joined_avx2.h"
#include "compute/cpu/steps_avx2.h"

#define ROWS_MAX 2

/* ---- products ---- */

/* Weights of eight rows, of which each vector is made when its products are. */
struct source {
	uint32_t type;
	const __m256i *w; /* those that are there; NULL: from these: */
	const struct packed_64 *packed;
	const struct k_head *head;
	int part;
};

FORCE_INLINE __m256i source_weights(const struct source *source, int i)
{
	if (source->w)
		return source->w[i];
	return weights_of_64(source->type, source->packed, source->head, source->part, i);
}

/* Products of signed weights; their sums of two in 16 bits leave no room for more. */
FORCE_INLINE void add_signed(__m256i w, const struct inputs *in, int rows, size_t column,
			     __m256i *products)
{
	const __m256i ones = _mm256_set1_epi16(1), size = _mm256_abs_epi8(w);
	UNROLL
	for (int r = 0; r < rows; r++) {
		const __m256i x = repeat_32(input_row(in, r) + column);
		const __m256i narrow = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
		products[r] = _mm256_add_epi32(products[r], _mm256_madd_epi16(narrow, ones));
		IN_ORDER(products[r]);
	}
}

/* The products of a group of columns, from `column` of the rows on: vectors `first` on. */
FORCE_INLINE void group_products(const struct source *source, int first, const struct inputs *in,
				 int rows, size_t column, __m256i *products)
{
	const uint32_t type = source->type;
	const int vectors = group_width(type) / 4, n = is_wide(type) ? 1 : vectors_together(type);
	UNROLL
	for (int r = 0; r < rows; r++)
		products[r] = _mm256_setzero_si256();
	UNROLL
	for (int c = 0; c < vectors; c += n) {
		__m256i narrow[ROWS_MAX];
		if (is_wide(type)) {
			add_signed(source_weights(source, first + c), in, rows,
				   column + 4 * (size_t)c, products);
			continue;
		}
		UNROLL
		for (int k = c; k < c + n; k++) {
			const __m256i w = source_weights(source, first + k);
			UNROLL
			for (int r = 0; r < rows; r++) {
				const uint8_t *x = input_row(in, r) + column + 4 * (size_t)k;
				narrow[r] = k == c ? products_of(w, repeat_32(x))
						   : add_products(narrow[r], w, repeat_32(x));
				IN_ORDER(narrow[r]);
			}
		}
		UNROLL
		for (int r = 0; r < rows; r++)
			products[r] = add_sums(products[r], narrow[r]);
	}
}

/* ---- 32-blocks ---- */

FORCE_INLINE void block_32(uint32_t type, struct octet octet, struct fetch *fetch,
			   const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	__m256i w[8], products[ROWS_MAX];
	__m256 min;
	fetch_32(type, fetch);
	const __m256 d = unpack_32(type, octet, w, &min);
	const struct source source = { .type = type, .w = w };
	group_products(&source, 0, in, rows, 32 * (size_t)block, products);
	group_step(type, products, d, min, in, rows, block, false, sums);
}

/* ---- 256-blocks ---- */

/* The products of 64 columns join the sums, group after group. */
FORCE_INLINE void part_256(uint32_t type, struct octet octet, struct fetch *fetch,
			   const struct k_head *head, int part, const struct inputs *in, int rows,
			   uint32_t block, __m256 *sums)
{
	const int width = group_width(type);
	struct packed_64 packed;
	const struct source source = { type, NULL, &packed, head, part };
	pack_64(type, octet, part, &packed);
	UNROLL
	for (int g = 0; g < 64 / width; g++) {
		const int column = 64 * part + width * g, group = column / width;
		__m256i products[ROWS_MAX];
		fetch_32(type, fetch);
		group_products(&source, g * width / 4, in, rows,
			       256 * (size_t)block + (size_t)column, products);
		group_step(type, products, head->scale[group], head->min[group], in, rows,
			   (size_t)(256 / width) * block + (size_t)group, false, sums);
	}
}

FORCE_INLINE void block_256(uint32_t type, struct octet octet, struct fetch *fetch,
			    const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	struct k_head head;
	unpack_head(type, octet, &head);
	UNROLL
	for (int part = 0; part < 4; part++)
		part_256(type, octet, fetch, &head, part, in, rows, block, sums);
}

/* Q6_K: products of 64 columns whose groups do not follow one another: [8][rows]. */
FORCE_INLINE void products_6(struct octet octet, struct fetch *fetch, int part,
			     const struct inputs *in, int rows, uint32_t block,
			     __m256i products[][ROWS_MAX])
{
	struct packed_64 packed;
	const struct source source = { TENSOR_Q6_K, NULL, &packed, NULL, part };
	pack_64(TENSOR_Q6_K, octet, part, &packed);
	UNROLL
	for (int g = 0; g < 4; g++) {
		const int column = group_column(TENSOR_Q6_K, part, g);
		if (g % 2 == 0)
			fetch_32(TENSOR_Q6_K, fetch);
		group_products(&source, 4 * g, in, rows, 256 * (size_t)block + (size_t)column,
			       products[column / 16 % 8]);
	}
}

FORCE_INLINE void block_6(struct octet octet, struct fetch *fetch, const struct inputs *in,
			  int rows, uint32_t block, __m256 *sums)
{
	struct k_head head;
	unpack_head(TENSOR_Q6_K, octet, &head);
	UNROLL
	for (int half = 0; half < 2; half++) {
		__m256i products[8][ROWS_MAX];
		products_6(octet, fetch, 2 * half, in, rows, block, products);
		products_6(octet, fetch, 2 * half + 1, in, rows, block, products);
		UNROLL
		for (int g = 0; g < 8; g++) {
			const int group = 8 * half + g;
			group_step(TENSOR_Q6_K, products[g], head.scale[group], head.min[group], in,
				   rows, 16 * (size_t)block + (size_t)group, false, sums);
		}
	}
}

/* What a block of Q2_K or Q3_K is multiplied with. */
struct low_work {
	uint32_t type;
	struct octet octet;
	const struct k_head *head;
	const struct inputs *in;
	int rows;
	uint32_t block;
};

FORCE_INLINE void step_low(const struct low_work *work, const __m256i *products, int group,
			   __m256 *sums)
{
	group_step(work->type, products, work->head->scale[group], work->head->min[group], work->in,
		   work->rows, 16 * (size_t)work->block + (size_t)group, false, sums);
}

/* Products of 16 bytes of half a block, which have a group in each bit pair, 32 columns from each
 * other: every other one of [8][rows]. `before`: those of the half before, whose steps wait for one
 * another and are thus taken among the products of the second half. */
FORCE_INLINE void products_low(const struct low_work *work, struct fetch *fetch, int half,
			       int piece, __m256i products[][ROWS_MAX], __m256i before[][ROWS_MAX],
			       __m256 *sums)
{
	const uint32_t type = work->type;
	const size_t at = 32 * (size_t)half + 16 * (size_t)piece;
	__m256i packed[4];
	struct low_bytes bytes[4];
	turn_16(work->octet, low_offset(type) + at, packed);
	UNROLL
	for (int c = 0; c < 4; c++)
		bytes[c] = low_bytes(type, packed[c],
				     top_of_half(type, work->head, 4 * piece + c, half));
	UNROLL
	for (int q = 0; q < 4; q++) {
		const int group = 8 * half + 2 * q + piece;
		__m256i w[4];
		UNROLL
		for (int c = 0; c < 4; c++)
			w[c] = low_weights(type, &bytes[c], q);
		const struct source source = { .type = type, .w = w };
		if (q % 2 == 0)
			fetch_32(type, fetch);
		group_products(&source, 0, work->in, work->rows,
			       256 * (size_t)work->block + 16 * (size_t)group,
			       products[2 * q + piece]);
		if (half)
			step_low(work, before[4 * piece + q], 4 * piece + q, sums);
	}
}

FORCE_INLINE void block_low(uint32_t type, struct octet octet, struct fetch *fetch,
			    const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	struct k_head head;
	const struct low_work work = { type, octet, &head, in, rows, block };
	__m256i first[8][ROWS_MAX], second[8][ROWS_MAX];
	unpack_head(type, octet, &head);
	UNROLL
	for (int piece = 0; piece < 2; piece++)
		products_low(&work, fetch, 0, piece, first, first, sums);
	UNROLL
	for (int piece = 0; piece < 2; piece++)
		products_low(&work, fetch, 1, piece, second, first, sums);
	UNROLL
	for (int g = 0; g < 8; g++)
		step_low(&work, second[g], 8 + g, sums);
}

/* Products of 32 columns of IQ3 without their signs, which the activations take. */
FORCE_INLINE void turned_products(uint32_t type, const struct k_head *head, int g,
				  const struct inputs *in, int rows, size_t column,
				  __m256i *products)
{
	const int n = turned_together(type);
	UNROLL
	for (int r = 0; r < rows; r++)
		products[r] = _mm256_setzero_si256();
	UNROLL
	for (int c = 0; c < 8; c += n) {
		__m256i narrow[ROWS_MAX];
		UNROLL
		for (int k = c; k < c + n; k++) {
			const __m256i w = entries_4(type, head, g, k);
			const __m256i mask = negative(head->high[g], k);
			UNROLL
			for (int r = 0; r < rows; r++) {
				const __m256i x =
					repeat_32(input_row(in, r) + column + 4 * (size_t)k);
				const __m256i turned =
					_mm256_sub_epi8(_mm256_xor_si256(x, mask), mask);
				narrow[r] = k == c ? products_of(w, turned)
						   : add_products(narrow[r], w, turned);
				IN_ORDER(narrow[r]);
			}
		}
		UNROLL
		for (int r = 0; r < rows; r++)
			products[r] = add_sums(products[r], narrow[r]);
	}
}

/* Eight columns of four rows of weights join the narrow sums, or begin them. `mask`: signs. */
FORCE_INLINE void eight_products(__m256i w, __m256i mask, const struct inputs *in, int rows,
				 size_t column, bool begins, __m256i *narrow)
{
	UNROLL
	for (int r = 0; r < rows; r++) {
		const __m256i x = repeat_64(input_row(in, r) + column);
		const __m256i negated = _mm256_sub_epi8(_mm256_setzero_si256(), x);
		const __m256i turned = _mm256_blendv_epi8(x, negated, mask);
		narrow[r] = begins ? products_of(w, turned) : add_products(narrow[r], w, turned);
		IN_ORDER(narrow[r]);
	}
}

/* The same for IQ2, whose weights stand in pieces of eight columns: `eights` of them from the
 * `first` of columns 32g on. */
FORCE_INLINE void eights_products(uint32_t type, const struct k_head *head, int g, int first,
				  int eights, const struct inputs *in, int rows, size_t column,
				  __m256i *products)
{
	const int n = turned_together(type) < eights ? turned_together(type) : eights;
	__m256i sides[2][ROWS_MAX], narrow[2][ROWS_MAX];
	UNROLL
	for (int i = 0; i < 2 * eights; i++) {
		const int k = i / 2, side = i % 2;
		eight_products(entries_8(type, head, g, first + k, side),
			       negative_8(head->high[g], first + k, side), in, rows,
			       column + 8 * (size_t)k, k % n == 0, narrow[side]);
		if (k % n < n - 1)
			continue;
		UNROLL
		for (int r = 0; r < rows; r++)
			sides[side][r] = add_sums(k < n ? _mm256_setzero_si256() : sides[side][r],
						  narrow[side][r]);
	}
	UNROLL
	for (int r = 0; r < rows; r++)
		products[r] = _mm256_add_epi32(join_sides(sides[0][r], sides[1][r], 0),
					       join_sides(sides[0][r], sides[1][r], 1));
}

/* The products of the `k`th group of columns 32g to 32g + 31 join the sums. */
FORCE_INLINE void group_iq(uint32_t type, const __m256i *w, const struct k_head *head, int g, int k,
			   const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	const int width = group_width(type), group = 32 / width * g + k;
	const size_t place = (size_t)(256 / width) * block + (size_t)group;
	const size_t column = (size_t)width * place;
	const __m256 scale = head->scale[group];
	const struct source source = { .type = type, .w = w };
	__m256i products[ROWS_MAX];
	if (is_iq1(type)) {
		group_products(&source, width / 4 * k, in, rows, column, products);
		group_step(type, products, scale, scale, in, rows, place, false, sums);
		return;
	}
	if (is_iq3(type))
		turned_products(type, head, g, in, rows, column, products);
	else
		eights_products(type, head, g, width / 8 * k, width / 8, in, rows, column,
				products);
	group_step(type, products, scale, scale, in, rows, place, true, sums);
}

FORCE_INLINE void block_iq(uint32_t type, struct octet octet, struct fetch *fetch,
			   const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	struct k_head head;
	unpack_head(type, octet, &head);
	for (int g = 0; g < 8; g++) {
		__m256i w[8];
		fetch_32(type, fetch);
		if (is_iq1(type))
			unpack_unsigned(type, &head, g, w);
		UNROLL
		for (int k = 0; k < 32 / group_width(type); k++)
			group_iq(type, w, &head, g, k, in, rows, block, sums);
	}
}

FORCE_INLINE void block_any(uint32_t type, struct octet octet, struct fetch *fetch,
			    const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	if (rows == 1 && is_joined(type))
		sums[0] = joined_block(type, octet, fetch, in, block, sums[0]);
	else if (is_iq(type))
		block_iq(type, octet, fetch, in, rows, block, sums);
	else if (type == TENSOR_Q2_K || type == TENSOR_Q3_K)
		block_low(type, octet, fetch, in, rows, block, sums);
	else if (type == TENSOR_Q6_K)
		block_6(octet, fetch, in, rows, block, sums);
	else if (is_256(type))
		block_256(type, octet, fetch, in, rows, block, sums);
	else
		block_32(type, octet, fetch, in, rows, block, sums);
}

/* ---- rows of blocks ---- */

/* The sums of those segments that are done, `n`; the one at work ends before block `border`. */
struct segments {
	__m256 levels[SEGMENT_LEVELS + 1][ROWS_MAX];
	uint32_t n, border;
};

/* Ends the segments that end before `block`, of which some may be empty: `sums` join the tree and
 * become zero. */
FORCE_INLINE void end_segments(struct segments *segments, int rows, struct cut cut, uint32_t block,
			       __m256 *sums)
{
	while (segments->n < SEGMENTS && segments->border == block) {
		for (int r = 0; r < rows; r++) {
			tree_add(&segments->levels[0][r], ROWS_MAX, segments->n, sums[r]);
			sums[r] = _mm256_setzero_ps();
		}
		segments->n++;
		segments->border = segment_first(segments->n + 1, cut);
	}
}

/* Blocks of 256 are taken one by one: within a loop for each segment, which often has one or two,
 * the compiler would work out the rows' addresses anew for each. */
FORCE_INLINE void direct_octet(uint32_t type, struct octet octet, struct fetch *fetch,
			       const struct inputs *in, int rows, struct cut cut, float *out,
			       size_t out_stride)
{
	struct segments segments = { .n = 0, .border = segment_first(1, cut) };
	__m256 sums[ROWS_MAX];
	for (int r = 0; r < rows; r++)
		sums[r] = _mm256_setzero_ps();
	end_segments(&segments, rows, cut, 0, sums);
	for (uint32_t b = 0; b < cut.n_held;) {
		const uint32_t end = is_256(type) ? b + 1 : segments.border;
		for (; b < end; b++) {
			const size_t from = (size_t)b * block_bytes(type);
			const struct octet at = { octet.bytes + from, octet.stride };
			block_any(type, at, fetch, in, rows, b, sums);
		}
		end_segments(&segments, rows, cut, b, sums);
	}
	for (int r = 0; r < rows; r++)
		_mm256_storeu_ps(out + (size_t)r * out_stride, segments.levels[SEGMENT_LEVELS][r]);
}

FORCE_INLINE void direct_run(uint32_t type, const struct matmul *product, uint32_t first,
			     uint32_t end)
{
	const struct inputs in = inputs_of(product);
	const size_t stride = weight_row_bytes(type, product->n_in);
	const struct cut cut = cut_of(product, traits[type].columns);
	struct fetch fetch = fetch_after(product->weights + first * stride, AVX2_LANES * stride);
	for (uint32_t o = first; o < end; o += AVX2_LANES) {
		const struct octet octet = { product->weights + o * stride, stride };
		if (product->n_rows == 1)
			direct_octet(type, octet, &fetch, &in, 1, cut, product->out + o, 0);
		else
			direct_octet(type, octet, &fetch, &in, 2, cut, product->out + o,
				     product->out_stride);
	}
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define DIRECT_FUNCTION(name, type)                                                                \
	static void name(const struct matmul *product, uint32_t first, uint32_t end)               \
	{                                                                                          \
		direct_run(type, product, first, end);                                             \
	}

DIRECT_FUNCTION(direct_q4_0, TENSOR_Q4_0)
DIRECT_FUNCTION(direct_q4_1, TENSOR_Q4_1)
DIRECT_FUNCTION(direct_q5_0, TENSOR_Q5_0)
DIRECT_FUNCTION(direct_q5_1, TENSOR_Q5_1)
DIRECT_FUNCTION(direct_q8_0, TENSOR_Q8_0)
DIRECT_FUNCTION(direct_q2_k, TENSOR_Q2_K)
DIRECT_FUNCTION(direct_q3_k, TENSOR_Q3_K)
DIRECT_FUNCTION(direct_q4_k, TENSOR_Q4_K)
DIRECT_FUNCTION(direct_q5_k, TENSOR_Q5_K)
DIRECT_FUNCTION(direct_q6_k, TENSOR_Q6_K)
DIRECT_FUNCTION(direct_iq2_xxs, TENSOR_IQ2_XXS)
DIRECT_FUNCTION(direct_iq2_xs, TENSOR_IQ2_XS)
DIRECT_FUNCTION(direct_iq2_s, TENSOR_IQ2_S)
DIRECT_FUNCTION(direct_iq3_xxs, TENSOR_IQ3_XXS)
DIRECT_FUNCTION(direct_iq3_s, TENSOR_IQ3_S)
DIRECT_FUNCTION(direct_iq1_s, TENSOR_IQ1_S)
DIRECT_FUNCTION(direct_iq1_m, TENSOR_IQ1_M)
DIRECT_FUNCTION(direct_iq4_nl, TENSOR_IQ4_NL)
DIRECT_FUNCTION(direct_iq4_xs, TENSOR_IQ4_XS)
DIRECT_FUNCTION(direct_mxfp4, TENSOR_MXFP4)

typedef void direct_fn(const struct matmul *product, uint32_t first, uint32_t end);

static direct_fn *const functions[] = {
	[TENSOR_Q4_0] = direct_q4_0,       [TENSOR_Q4_1] = direct_q4_1,
	[TENSOR_Q5_0] = direct_q5_0,       [TENSOR_Q5_1] = direct_q5_1,
	[TENSOR_Q8_0] = direct_q8_0,       [TENSOR_Q2_K] = direct_q2_k,
	[TENSOR_Q3_K] = direct_q3_k,       [TENSOR_Q4_K] = direct_q4_k,
	[TENSOR_Q5_K] = direct_q5_k,       [TENSOR_Q6_K] = direct_q6_k,
	[TENSOR_IQ2_XXS] = direct_iq2_xxs, [TENSOR_IQ2_XS] = direct_iq2_xs,
	[TENSOR_IQ2_S] = direct_iq2_s,     [TENSOR_IQ3_XXS] = direct_iq3_xxs,
	[TENSOR_IQ3_S] = direct_iq3_s,     [TENSOR_IQ1_S] = direct_iq1_s,
	[TENSOR_IQ1_M] = direct_iq1_m,     [TENSOR_IQ4_NL] = direct_iq4_nl,
	[TENSOR_IQ4_XS] = direct_iq4_xs,   [TENSOR_MXFP4] = direct_mxfp4,
};

#endif
