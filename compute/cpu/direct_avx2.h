/* direct_avx2.h: products of quantised weights with one or two rows: weights go from their file
 * form through registers, eight outputs at a time. Included by direct_avx2.c and direct_avxvnni.c
 * alone, each after the products_*.h of its variant. */
#ifndef COMPUTE_CPU_DIRECT_AVX2_H
#define COMPUTE_CPU_DIRECT_AVX2_H

#include "compute/cpu/avx2.h"
#include "compute/cpu/steps_avx2.h"

#define ROWS_MAX        2
#define FETCH_BYTES_MIN (12u << 10)

/* Products of `n` vectors of weights, no more than may be added up, with the columns from `x`
 * on. */
FORCE_INLINE __m256i narrow_sum(const __m256i *w, int n, const uint8_t *x)
{
	__m256i sum = _mm256_setzero_si256();
	UNROLL
	for (int c = 0; c < n; c++)
		sum = add_products(sum, w[c], repeat_32(x + 4 * c));
	return sum;
}

/* ---- 32-blocks ---- */

FORCE_INLINE __m256i signed_products(const __m256i *w, int n, const uint8_t *x)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i sum = _mm256_setzero_si256();
	UNROLL
	for (int c = 0; c < n; c++) {
		const __m256i y = _mm256_sign_epi8(repeat_32(x + 4 * c), w[c]);
		const __m256i narrow = _mm256_maddubs_epi16(_mm256_abs_epi8(w[c]), y);
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, ones));
	}
	return sum;
}

/* Products of a group of columns. */
FORCE_INLINE __m256i group_products(uint32_t type, const __m256i *w, const uint8_t *x)
{
	const int vectors = group_width(type) / 4, n = vectors_together(type);
	__m256i sum = _mm256_setzero_si256();
	if (is_wide(type))
		return signed_products(w, vectors, x);
	UNROLL
	for (int c = 0; c < vectors; c += n)
		sum = add_sums(sum, narrow_sum(w + c, n, x + 4 * c));
	return sum;
}

FORCE_INLINE void block_32(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			   uint32_t block, __m256 *sums)
{
	__m256i w[8];
	__m256 min;
	const __m256 d = unpack_32(type, octet, w, &min);
	UNROLL
	for (int r = 0; r < rows; r++) {
		const uint8_t *row = input_row(in, r);
		const struct group_inputs at = group_inputs(type, in, row, block);
		sums[r] = step(type, group_products(type, w, row + 32 * (size_t)block), d, min, &at,
			       sums[r]);
	}
}

/* ---- 256-blocks ---- */

/* The products of 64 columns join the sums, group after group. */
FORCE_INLINE void part_256(uint32_t type, struct octet octet, const struct k_head *head, int part,
			   const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	const int width = group_width(type);
	__m256i w[16];
	unpack_64(type, octet, head, part, w);
	UNROLL
	for (int g = 0; g < 64 / width; g++) {
		const int column = 64 * part + width * g, group = column / width;
		UNROLL
		for (int r = 0; r < rows; r++) {
			const uint8_t *row = input_row(in, r);
			const __m256i products = group_products(type, w + g * width / 4,
								row + 256 * (size_t)block + column);
			const struct group_inputs at = group_inputs(
				type, in, row, (uint32_t)(256 / width) * block + (uint32_t)group);
			sums[r] = step(type, products, head->scale[group], head->min[group], &at,
				       sums[r]);
		}
	}
}

FORCE_INLINE void block_256(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			    uint32_t block, __m256 *sums)
{
	struct k_head head;
	unpack_head(type, octet, &head);
	UNROLL
	for (int part = 0; part < 4; part++)
		part_256(type, octet, &head, part, in, rows, block, sums);
}

/* Q6_K: products of 64 columns whose groups do not follow one another: [16][rows]. */
FORCE_INLINE void products_6(struct octet octet, int part, const struct inputs *in, int rows,
			     uint32_t block, __m256i products[][ROWS_MAX])
{
	__m256i w[16];
	unpack_64(TENSOR_Q6_K, octet, NULL, part, w);
	UNROLL
	for (int g = 0; g < 4; g++) {
		const int column = group_column(TENSOR_Q6_K, part, g);
		UNROLL
		for (int r = 0; r < rows; r++)
			products[column / 16 % 8][r] =
				group_products(TENSOR_Q6_K, w + 4 * g,
					       input_row(in, r) + 256 * (size_t)block + column);
	}
}

FORCE_INLINE void block_6(struct octet octet, const struct inputs *in, int rows, uint32_t block,
			  __m256 *sums)
{
	struct k_head head;
	unpack_head(TENSOR_Q6_K, octet, &head);
	UNROLL
	for (int half = 0; half < 2; half++) {
		__m256i products[8][ROWS_MAX];
		products_6(octet, 2 * half, in, rows, block, products);
		products_6(octet, 2 * half + 1, in, rows, block, products);
		UNROLL
		for (int g = 0; g < 8; g++) {
			const int group = 8 * half + g;
			UNROLL
			for (int r = 0; r < rows; r++) {
				const struct group_inputs at =
					group_inputs(TENSOR_Q6_K, in, input_row(in, r),
						     16 * block + (uint32_t)group);
				sums[r] = step(TENSOR_Q6_K, products[g][r], head.scale[group],
					       head.min[group], &at, sums[r]);
			}
		}
	}
}

/* Q2_K, Q3_K: columns of half a block in their order, two groups from each bit pair of the bytes.
 */
FORCE_INLINE void half_low(uint32_t type, struct octet octet, const struct k_head *head, int half,
			   const struct inputs *in, int rows, uint32_t block, __m256 *sums)
{
	__m256i packed[8];
	struct low_bytes bytes[8];
	turn_32(octet, low_offset(type) + 32 * (size_t)half, packed);
	UNROLL
	for (int c = 0; c < 8; c++)
		bytes[c] = low_bytes(type, packed[c], top_of_half(type, head, c, half));
	UNROLL
	for (int g = 0; g < 8; g++) {
		const int group = 8 * half + g;
		__m256i w[4];
		UNROLL
		for (int c = 0; c < 4; c++)
			w[c] = low_weights(type, &bytes[4 * (g % 2) + c], g / 2);
		UNROLL
		for (int r = 0; r < rows; r++) {
			const uint8_t *row = input_row(in, r);
			const struct group_inputs at =
				group_inputs(type, in, row, 16 * block + (uint32_t)group);
			sums[r] = step(
				type,
				group_products(type, w, row + 256 * (size_t)block + 16 * group),
				head->scale[group], head->min[group], &at, sums[r]);
		}
	}
}

FORCE_INLINE void block_low(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			    uint32_t block, __m256 *sums)
{
	struct k_head head;
	unpack_head(type, octet, &head);
	half_low(type, octet, &head, 0, in, rows, block, sums);
	half_low(type, octet, &head, 1, in, rows, block, sums);
}

/* Products of `n` vectors of weights without signs: the activations take them. Those from vector
 * `first` of a group of 32 columns on. */
FORCE_INLINE __m256i turned_products(uint32_t type, const __m256i *w, __m256i signs, int first,
				     int n, const uint8_t *x)
{
	const int together = turned_together(type);
	__m256i sum = _mm256_setzero_si256();
	UNROLL
	for (int c = first; c < first + n; c += together) {
		__m256i narrow = _mm256_setzero_si256();
		UNROLL
		for (int k = c; k < c + together; k++) {
			const __m256i mask = negative(signs, k);
			const __m256i y =
				_mm256_sub_epi8(_mm256_xor_si256(repeat_32(x + 4 * k), mask), mask);
			narrow = add_products(narrow, w[k], y);
		}
		sum = add_sums(sum, narrow);
	}
	return sum;
}

/* Columns 32g to 32g + 31 of a block that was looked up in a grid. */
FORCE_INLINE __m256 group_iq(uint32_t type, const __m256i w[8], const struct k_head *head, int g,
			     const struct inputs *in, int row, uint32_t block, __m256 sum)
{
	const int vectors = group_width(type) / 4, groups = 8 / vectors;
	const uint8_t *x = input_row(in, row) + 256 * (size_t)block + 32 * g;
	UNROLL
	for (int k = 0; k < groups; k++) {
		const int group = groups * g + k;
		const uint32_t place = (uint32_t)(8 * groups) * block + (uint32_t)group;
		const __m256 scale = head->scale[group];
		const struct group_inputs at = group_inputs(type, in, input_row(in, row), place);
		if (is_iq1(type))
			sum = step(type, group_products(type, w + vectors * k, x + 16 * k), scale,
				   scale, &at, sum);
		else
			sum = step_signed(
				type,
				turned_products(type, w, head->high[g], vectors * k, vectors, x),
				scale, scale, &at, sum);
	}
	return sum;
}

FORCE_INLINE void block_iq(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			   uint32_t block, __m256 *sums)
{
	struct k_head head;
	unpack_head(type, octet, &head);
	for (int g = 0; g < 8; g++) {
		__m256i w[8];
		unpack_unsigned(type, octet, &head, g, w);
		UNROLL
		for (int r = 0; r < rows; r++)
			sums[r] = group_iq(type, w, &head, g, in, r, block, sums[r]);
	}
}

FORCE_INLINE void block_any(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			    uint32_t block, __m256 *sums)
{
	if (is_iq(type))
		block_iq(type, octet, in, rows, block, sums);
	else if (type == TENSOR_Q2_K || type == TENSOR_Q3_K)
		block_low(type, octet, in, rows, block, sums);
	else if (type == TENSOR_Q6_K)
		block_6(octet, in, rows, block, sums);
	else if (is_256(type))
		block_256(type, octet, in, rows, block, sums);
	else
		block_32(type, octet, in, rows, block, sums);
}

/* ---- rows of blocks ---- */

/* Bytes from the eight rows at work to those that are asked for: whole sets of eight rows, far
 * enough ahead for slow memory. */
static size_t fetch_distance(size_t stride)
{
	const size_t octet_bytes = 8 * stride;
	return (FETCH_BYTES_MIN + octet_bytes - 1) / octet_bytes * octet_bytes;
}

/* Asks of eight rows to come for what is at work of those before them: `bytes` from `from` on. The
 * lines of a row follow one another, and few are asked for at once: of many a processor leaves
 * some. */
FORCE_INLINE void fetch_ahead(struct octet ahead, size_t from, size_t bytes)
{
	for (size_t i = (from + 63) & ~(size_t)63; i < from + bytes; i += 64) {
		UNROLL
		for (size_t r = 0; r < AVX2_LANES; r++)
			_mm_prefetch((const char *)ahead.bytes + r * ahead.stride + i, _MM_HINT_T1);
	}
}

FORCE_INLINE void direct_octet(uint32_t type, struct octet octet, struct octet ahead,
			       const struct inputs *in, int rows, struct cut cut, float *out,
			       size_t out_stride)
{
	__m256 levels[SEGMENT_LEVELS + 1][ROWS_MAX];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, cut);
		__m256 sums[ROWS_MAX];
		for (int r = 0; r < rows; r++)
			sums[r] = _mm256_setzero_ps();
		for (uint32_t b = segment_first(s, cut); b < end; b++) {
			const size_t from = (size_t)b * block_bytes(type);
			const struct octet at = { octet.bytes + from, octet.stride };
			fetch_ahead(ahead, from, block_bytes(type));
			block_any(type, at, in, rows, b, sums);
		}
		for (int r = 0; r < rows; r++)
			tree_add(&levels[0][r], ROWS_MAX, s, sums[r]);
	}
	for (int r = 0; r < rows; r++)
		_mm256_storeu_ps(out + (size_t)r * out_stride, levels[SEGMENT_LEVELS][r]);
}

FORCE_INLINE void direct_run(uint32_t type, const struct matmul *product, uint32_t first,
			     uint32_t end)
{
	const struct inputs in = inputs_of(product);
	const size_t stride = weight_row_bytes(type, product->n_in);
	const size_t distance = fetch_distance(stride);
	const struct cut cut = cut_of(product, traits[type].columns);
	for (uint32_t o = first; o < end; o += AVX2_LANES) {
		const struct octet octet = { product->weights + o * stride, stride };
		const struct octet ahead = { octet.bytes + distance, stride };
		if (product->n_rows == 1)
			direct_octet(type, octet, ahead, &in, 1, cut, product->out + o, 0);
		else
			direct_octet(type, octet, ahead, &in, 2, cut, product->out + o,
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
