#include "compute/cpu/avx2.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/unpack_avx2.h"

/* Activation rows that share one unpacking of a panel. */
#define ROWS_AT_ONCE 64
/* Activation rows multiplied at once, as many as registers hold. */
#define TILE 4
/* Up to so many rows weights go from their file form through registers, without a panel. */
#define DIRECT_MAX 2
/* 32-blocks in a panel. */
#define PANEL_BLOCKS 8

/* Some rows of activations, from one column block on. */
struct inputs {
	const uint8_t *rows;
	size_t stride; /* bytes */
	size_t scales, sums, wide_sums; /* offsets in a row: see rows.h */
};

/* 256 columns of eight weight rows, unpacked. */
struct panel {
	__m256i w[64]; /* w[i]: columns 4i to 4i + 3 */
	__m256i twice[16], pair[8]; /* 256-blocks: scales as the multiplication takes them */
	__m256 d[PANEL_BLOCKS], dmin;
};

FORCE_INLINE __m256i repeat_32(const void *bytes)
{
	int32_t value;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return _mm256_set1_epi32(value);
}

FORCE_INLINE const uint8_t *input_row(const struct inputs *in, int row)
{
	return in->rows + (size_t)row * in->stride;
}

FORCE_INLINE __m256 input_scale(const struct inputs *in, int row, uint32_t block)
{
	const float *scales = (const void *)(input_row(in, row) + in->scales);
	return _mm256_set1_ps(scales[block]);
}

/* Sums of two neighbouring groups of columns, from the `pair`th pair of the row on. */
FORCE_INLINE __m256i input_sums(const struct inputs *in, size_t part, int row, uint32_t pair)
{
	return repeat_32(input_row(in, row) + part + 4 * (size_t)pair);
}

/* Products of `n` vectors of weights with the columns from `x` on, added in 16 bits: the caller
 * sees to it that they fit. */
FORCE_INLINE __m256i narrow_sum(const __m256i *w, int n, const uint8_t *x)
{
	__m256i sum = _mm256_maddubs_epi16(w[0], repeat_32(x));
	UNROLL
	for (int c = 1; c < n; c++)
		sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[c], repeat_32(x + 4 * c)));
	return sum;
}

/* ---- 32-blocks ---- */

FORCE_INLINE __m256i signed_products(const __m256i w[8], const uint8_t *x)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i sum = _mm256_setzero_si256();
	UNROLL
	for (int c = 0; c < 8; c++) {
		const __m256i y = _mm256_sign_epi8(repeat_32(x + 4 * c), w[c]);
		const __m256i narrow = _mm256_maddubs_epi16(_mm256_abs_epi8(w[c]), y);
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, ones));
	}
	return sum;
}

/* 15 * 127 * 2 * 8 and 31 * 127 * 2 * 4 fit in 16 bits. */
FORCE_INLINE __m256i block_products(uint32_t type, const __m256i w[8], const struct inputs *in,
				    int row, uint32_t block)
{
	const __m256i ones = _mm256_set1_epi16(1);
	const uint8_t *x = input_row(in, row) + 32 * (size_t)block;
	if (type == TENSOR_Q8_0)
		return signed_products(w, x);
	const int16_t *sums = (const void *)(input_row(in, row) + in->sums);
	const __m256i plain = _mm256_set1_epi32(sums[block]);
	if (type == TENSOR_Q4_0)
		return _mm256_sub_epi32(_mm256_madd_epi16(narrow_sum(w, 8, x), ones),
					_mm256_slli_epi32(plain, 3));
	const __m256i a = _mm256_madd_epi16(narrow_sum(w, 4, x), ones);
	const __m256i b = _mm256_madd_epi16(narrow_sum(w + 4, 4, x + 16), ones);
	return _mm256_sub_epi32(_mm256_add_epi32(a, b), _mm256_slli_epi32(plain, 4));
}

FORCE_INLINE __m256 block_step(__m256i products, __m256 d, __m256 scale, __m256 sum)
{
	return _mm256_fmadd_ps(scale, _mm256_mul_ps(d, _mm256_cvtepi32_ps(products)), sum);
}

/* ---- 256-blocks ---- */

/* 16 columns (Q6_K) or 32 (Q4_K, Q5_K) that share a scale. 63 * 127 * 2 * 2 fits in 16 bits. */
FORCE_INLINE __m256i group_products(uint32_t type, const __m256i *w, const uint8_t *x,
				    __m256i scale)
{
	if (type == TENSOR_Q4_K)
		return _mm256_madd_epi16(narrow_sum(w, 8, x), scale);
	const int half = type == TENSOR_Q5_K ? 4 : 2;
	return _mm256_add_epi32(_mm256_madd_epi16(narrow_sum(w, half, x), scale),
				_mm256_madd_epi16(narrow_sum(w + half, half, x + 4 * half), scale));
}

/* Pairs of minima (Q4_K, Q5_K) or of scales (Q6_K) with the sums of the columns they belong to. */
FORCE_INLINE __m256i pair_products(uint32_t type, const __m256i *pairs, const struct inputs *in,
				   int row, uint32_t block)
{
	const int n = type == TENSOR_Q6_K ? 8 : 4;
	const size_t part = type == TENSOR_Q6_K ? in->sums : in->wide_sums;
	__m256i sum = _mm256_setzero_si256();
	UNROLL
	for (int p = 0; p < n; p++) {
		const __m256i sums = input_sums(in, part, row, block * (uint32_t)n + (uint32_t)p);
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs[p], sums));
	}
	return sum;
}

FORCE_INLINE void make_pairs(uint32_t type, const struct k_head *head, __m256i pairs[8])
{
	const int n = type == TENSOR_Q6_K ? 8 : 4;
	UNROLL
	for (int p = 0; p < n; p++)
		pairs[p] = scale_pair(type, type == TENSOR_Q6_K ? head->scale : head->min, 2 * p);
}

FORCE_INLINE __m256 k_step(uint32_t type, __m256i products, __m256i pairs, __m256 d, __m256 dmin,
			   __m256 scale, __m256 sum)
{
	if (type == TENSOR_Q6_K)
		return block_step(_mm256_sub_epi32(products, _mm256_slli_epi32(pairs, 5)), d, scale,
				  sum);
	const __m256 value = _mm256_mul_ps(d, _mm256_cvtepi32_ps(products));
	return _mm256_fmadd_ps(scale, _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(pairs), value),
			       sum);
}

/* First column of the `part`th set of 64 and of its group `g`. */
FORCE_INLINE int group_column(uint32_t type, int part, int g)
{
	return type == TENSOR_Q6_K ? 128 * (part / 2) + 16 * (part % 2) + 32 * g :
				     64 * part + 32 * g;
}

FORCE_INLINE void unpack_64(uint32_t type, struct octet octet, const struct k_head *head, int part,
			    __m256i w[16])
{
	if (type == TENSOR_Q6_K)
		unpack_64_6(octet, part / 2, part % 2, w);
	else
		unpack_64_45(type, octet, head, part, w);
}

FORCE_INLINE int group_width(uint32_t type)
{
	return type == TENSOR_Q6_K ? 16 : 32;
}

/* ---- few rows: unpack and multiply at once ---- */

/* 64 columns of a 256-block. */
FORCE_INLINE void direct_64(uint32_t type, struct octet octet, const struct k_head *head, int part,
			    const struct inputs *in, int rows, uint32_t block, __m256i *products)
{
	const int width = group_width(type), groups = type == TENSOR_Q6_K ? 4 : 2;
	__m256i w[16];
	unpack_64(type, octet, head, part, w);
	UNROLL
	for (int g = 0; g < groups; g++) {
		const int column = group_column(type, part, g);
		const __m256i scale = scale_twice(type, head->scale, column / width);
		UNROLL
		for (int r = 0; r < rows; r++) {
			const uint8_t *x = input_row(in, r) + 256 * (size_t)block + column;
			products[r] = _mm256_add_epi32(
				products[r], group_products(type, w + g * width / 4, x, scale));
		}
	}
}

FORCE_INLINE void direct_256(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			     uint32_t block, __m256 *sums)
{
	struct k_head head;
	__m256i products[DIRECT_MAX], pairs[8];
	unpack_head(type, octet, &head);
	UNROLL
	for (int r = 0; r < rows; r++)
		products[r] = _mm256_setzero_si256();
	direct_64(type, octet, &head, 0, in, rows, block, products);
	direct_64(type, octet, &head, 1, in, rows, block, products);
	direct_64(type, octet, &head, 2, in, rows, block, products);
	direct_64(type, octet, &head, 3, in, rows, block, products);
	make_pairs(type, &head, pairs);
	UNROLL
	for (int r = 0; r < rows; r++)
		sums[r] = k_step(type, products[r], pair_products(type, pairs, in, r, block),
				 head.d, head.dmin, input_scale(in, r, block), sums[r]);
}

FORCE_INLINE void direct_32(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			    uint32_t block, __m256 *sums)
{
	__m256i w[8];
	const __m256 d = unpack_32(type, octet, w);
	UNROLL
	for (int r = 0; r < rows; r++)
		sums[r] = block_step(block_products(type, w, in, r, block), d,
				     input_scale(in, r, block), sums[r]);
}

/* The sum of a segment joins the tree: what lies at a level waits for its neighbour. */
FORCE_INLINE void tree_add(__m256 *levels, size_t step, uint32_t segment, __m256 sum)
{
	uint32_t level = 0;
	for (; segment >> level & 1; level++)
		sum = _mm256_add_ps(levels[level * step], sum);
	levels[level * step] = sum;
}

FORCE_INLINE bool is_k(uint32_t type)
{
	return type == TENSOR_Q4_K || type == TENSOR_Q5_K || type == TENSOR_Q6_K;
}

FORCE_INLINE uint32_t block_bytes(uint32_t type)
{
	switch (type) {
	case TENSOR_Q4_0:
		return 18;
	case TENSOR_Q5_0:
		return 22;
	case TENSOR_Q8_0:
		return 34;
	case TENSOR_Q4_K:
		return 144;
	case TENSOR_Q5_K:
		return 176;
	default:
		return 210;
	}
}

/* Asks for a share of the next eight rows, as large as the block now at work: the processor's own
 * prefetching does not follow eight short rows at once. */
FORCE_INLINE void fetch_ahead(struct octet octet, uint32_t block, size_t bytes)
{
	const uint8_t *ahead = octet.bytes + 8 * octet.stride + 8 * block * bytes;
	UNROLL
	for (size_t i = 0; i < 8 * bytes; i += 64)
		_mm_prefetch((const char *)ahead + i, _MM_HINT_T1);
}

/* Eight outputs of 1 to DIRECT_MAX rows. */
FORCE_INLINE void direct_octet(uint32_t type, struct octet octet, const struct inputs *in, int rows,
			       uint32_t n_blocks, float *out, size_t out_stride)
{
	__m256 levels[SEGMENT_LEVELS + 1][DIRECT_MAX];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, n_blocks);
		__m256 sums[DIRECT_MAX];
		UNROLL
		for (int r = 0; r < rows; r++)
			sums[r] = _mm256_setzero_ps();
		for (uint32_t b = segment_first(s, n_blocks); b < end; b++) {
			const struct octet at = { octet.bytes + (size_t)b * block_bytes(type),
						  octet.stride };
			fetch_ahead(octet, b, block_bytes(type));
			if (is_k(type))
				direct_256(type, at, in, rows, b, sums);
			else
				direct_32(type, at, in, rows, b, sums);
		}
		UNROLL
		for (int r = 0; r < rows; r++)
			tree_add(&levels[0][r], DIRECT_MAX, s, sums[r]);
	}
	UNROLL
	for (int r = 0; r < rows; r++)
		_mm256_storeu_ps(out + (size_t)r * out_stride, levels[SEGMENT_LEVELS][r]);
}

/* ---- many rows: unpack a panel, then multiply it with all of them ---- */

FORCE_INLINE void fill_64(uint32_t type, struct octet octet, const struct k_head *head, int part,
			  struct panel *panel)
{
	const int vectors = group_width(type) / 4;
	__m256i w[16];
	unpack_64(type, octet, head, part, w);
	UNROLL
	for (int i = 0; i < 16; i++)
		panel->w[group_column(type, part, i / vectors) / 4 + i % vectors] = w[i];
}

FORCE_INLINE void fill_256(uint32_t type, struct octet octet, struct panel *panel)
{
	const int groups = type == TENSOR_Q6_K ? 16 : 8;
	struct k_head head;
	unpack_head(type, octet, &head);
	fill_64(type, octet, &head, 0, panel);
	fill_64(type, octet, &head, 1, panel);
	fill_64(type, octet, &head, 2, panel);
	fill_64(type, octet, &head, 3, panel);
	UNROLL
	for (int j = 0; j < groups; j++)
		panel->twice[j] = scale_twice(type, head.scale, j);
	make_pairs(type, &head, panel->pair);
	panel->d[0] = head.d;
	if (type != TENSOR_Q6_K)
		panel->dmin = head.dmin;
}

FORCE_INLINE void multiply_256(uint32_t type, const struct panel *panel, const struct inputs *in,
			       int rows, uint32_t block, __m256 *sums)
{
	const int width = group_width(type), groups = type == TENSOR_Q6_K ? 16 : 8;
	__m256i products[TILE];
	UNROLL
	for (int r = 0; r < rows; r++)
		products[r] = _mm256_setzero_si256();
	for (int g = 0; g < groups; g++)
		UNROLL
		for (int r = 0; r < rows; r++)
			products[r] = _mm256_add_epi32(
				products[r], group_products(type, panel->w + g * width / 4,
							    input_row(in, r) + 256 * (size_t)block +
								    g * width,
							    panel->twice[g]));
	UNROLL
	for (int r = 0; r < rows; r++)
		sums[r] = k_step(type, products[r], pair_products(type, panel->pair, in, r, block),
				 panel->d[0], panel->dmin, input_scale(in, r, block), sums[r]);
}

FORCE_INLINE void fill_32(uint32_t type, struct octet octet, uint32_t n, struct panel *panel)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct octet at = { octet.bytes + i * block_bytes(type), octet.stride };
		panel->d[i] = unpack_32(type, at, panel->w + 8 * i);
	}
}

FORCE_INLINE void multiply_32(uint32_t type, const struct panel *panel, const struct inputs *in,
			      int rows, uint32_t block, uint32_t n, __m256 *sums)
{
	for (uint32_t i = 0; i < n; i++)
		UNROLL
		for (int r = 0; r < rows; r++)
			sums[r] = block_step(
				block_products(type, panel->w + 8 * i, in, r, block + i),
				panel->d[i], input_scale(in, r, block + i), sums[r]);
}

FORCE_INLINE void multiply_tile(uint32_t type, const struct panel *panel, const struct inputs *in,
				int rows, uint32_t block, uint32_t n, __m256 *sums)
{
	__m256 local[TILE];
	UNROLL
	for (int r = 0; r < rows; r++)
		local[r] = sums[r];
	if (is_k(type))
		multiply_256(type, panel, in, rows, block, local);
	else
		multiply_32(type, panel, in, rows, block, n, local);
	UNROLL
	for (int r = 0; r < rows; r++)
		sums[r] = local[r];
}

/* A panel times all rows, in tiles. */
FORCE_INLINE void multiply_panel(uint32_t type, const struct panel *panel, struct inputs in,
				 uint32_t n_rows, uint32_t block, uint32_t n, __m256 *sums)
{
	for (; n_rows >= TILE; n_rows -= TILE, sums += TILE, in.rows += TILE * in.stride)
		multiply_tile(type, panel, &in, TILE, block, n, sums);
	if (n_rows == 3)
		multiply_tile(type, panel, &in, 3, block, n, sums);
	else if (n_rows == 2)
		multiply_tile(type, panel, &in, 2, block, n, sums);
	else if (n_rows == 1)
		multiply_tile(type, panel, &in, 1, block, n, sums);
}

FORCE_INLINE void panel_segment(uint32_t type, struct octet octet, const struct inputs *in,
				uint32_t n_rows, uint32_t first, uint32_t end, __m256 *sums)
{
	const uint32_t step = is_k(type) ? 1 : PANEL_BLOCKS;
	struct panel panel;
	for (uint32_t b = first; b < end; b += step) {
		const struct octet at = { octet.bytes + (size_t)b * block_bytes(type),
					  octet.stride };
		const uint32_t n = end - b < step ? end - b : step;
		if (is_k(type))
			fill_256(type, at, &panel);
		else
			fill_32(type, at, n, &panel);
		multiply_panel(type, &panel, *in, n_rows, b, n, sums);
	}
}

/* Eight outputs of up to ROWS_AT_ONCE rows. */
FORCE_INLINE void panel_octet(uint32_t type, struct octet octet, const struct inputs *in,
			      uint32_t n_rows, uint32_t n_blocks, float *out, size_t out_stride)
{
	__m256 levels[SEGMENT_LEVELS + 1][ROWS_AT_ONCE], sums[ROWS_AT_ONCE];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		for (uint32_t r = 0; r < n_rows; r++)
			sums[r] = _mm256_setzero_ps();
		panel_segment(type, octet, in, n_rows, segment_first(s, n_blocks),
			      segment_first(s + 1, n_blocks), sums);
		for (uint32_t r = 0; r < n_rows; r++)
			tree_add(&levels[0][r], ROWS_AT_ONCE, s, sums[r]);
	}
	for (uint32_t r = 0; r < n_rows; r++)
		_mm256_storeu_ps(out + r * out_stride, levels[SEGMENT_LEVELS][r]);
}

/* ---- one function a type ---- */

typedef void octet_fn(struct octet octet, const struct inputs *in, uint32_t n_rows,
		      uint32_t n_blocks, float *out, size_t out_stride);

#define OCTET_FUNCTION(name, type)                                                                 \
	static void name(struct octet octet, const struct inputs *in, uint32_t n_rows,             \
			 uint32_t n_blocks, float *out, size_t out_stride)                         \
	{                                                                                          \
		if (n_rows == 1)                                                                   \
			direct_octet(type, octet, in, 1, n_blocks, out, out_stride);               \
		else if (n_rows == 2)                                                              \
			direct_octet(type, octet, in, 2, n_blocks, out, out_stride);               \
		else                                                                               \
			panel_octet(type, octet, in, n_rows, n_blocks, out, out_stride);           \
	}

OCTET_FUNCTION(octet_q4_0, TENSOR_Q4_0)
OCTET_FUNCTION(octet_q5_0, TENSOR_Q5_0)
OCTET_FUNCTION(octet_q8_0, TENSOR_Q8_0)
OCTET_FUNCTION(octet_q4_k, TENSOR_Q4_K)
OCTET_FUNCTION(octet_q5_k, TENSOR_Q5_K)
OCTET_FUNCTION(octet_q6_k, TENSOR_Q6_K)

static octet_fn *const octet_functions[] = {
	[TENSOR_Q4_0] = octet_q4_0, [TENSOR_Q5_0] = octet_q5_0, [TENSOR_Q8_0] = octet_q8_0,
	[TENSOR_Q4_K] = octet_q4_k, [TENSOR_Q5_K] = octet_q5_k, [TENSOR_Q6_K] = octet_q6_k,
};

void avx2_matmul_integer(const struct matmul *product, uint32_t first, uint32_t end)
{
	const enum row_format format = row_format_of(product->type);
	const uint32_t n_blocks = product->n_in / row_block(format);
	const size_t weight_stride = weight_row_bytes(product->type, product->n_in);
	struct inputs in = {
		.stride = row_bytes(format, product->n_in),
		.scales = row_scale_offset(product->n_in),
		.sums = row_sum_offset(format, product->n_in),
		.wide_sums = row_wide_sum_offset(product->n_in),
	};
	for (uint32_t o = first; o < end; o += AVX2_LANES) {
		const struct octet octet = { product->weights + o * weight_stride, weight_stride };
		for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
			const uint32_t left = product->n_rows - r;
			in.rows = product->rows + r * in.stride;
			octet_functions[product->type](
				octet, &in, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE, n_blocks,
				product->out + r * product->out_stride + o, product->out_stride);
		}
	}
}
