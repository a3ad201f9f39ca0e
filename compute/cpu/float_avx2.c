#include "compute/cpu/avx2.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/unpack_avx2.h"

/* Groups of eight outputs that one row of activations meets at once: as many chains of additions
 * as hide their latency. */
#define GROUPS 4
/* Rows of activations multiplied at once by a panel. */
#define TILE         8
#define ROWS_AT_ONCE 64
/* Columns of a panel; a multiple of FLOAT_BLOCK. */
#define PANEL_COLUMNS 128

struct inputs {
	const float *rows;
	size_t stride; /* floats */
};

FORCE_INLINE uint32_t column_bytes(uint32_t type)
{
	return type == TENSOR_F32 ? 4 : 2;
}

/* Two columns that lie in the halves of each lane. */
FORCE_INLINE void split_pair(uint32_t type, __m256i pair, __m256 out[2])
{
	if (type == TENSOR_F16) {
		split_halves(pair, out);
		return;
	}
	out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
	out[1] = _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xffff0000)));
}

/* FLOAT_BLOCK columns: w[c] has column c of eight rows. */
FORCE_INLINE void unpack_floats(uint32_t type, struct octet octet, size_t column, __m256 w[8])
{
	__m256i turned[8];
	const size_t offset = column * column_bytes(type);
	turn_16(octet, offset, turned);
	if (type == TENSOR_F32)
		turn_16(octet, offset + 16, turned + 4);
	UNROLL
	for (int c = 0; c < 8; c++) {
		if (type == TENSOR_F32)
			w[c] = _mm256_castsi256_ps(turned[c]);
		else if (c % 2 == 0)
			split_pair(type, turned[c / 2], w + c);
	}
}

/* The last, short block of a row. */
static void unpack_last(uint32_t type, struct octet octet, uint32_t column, uint32_t n, __m256 w[8])
{
	for (uint32_t c = 0; c < n; c++) {
		float lanes[8];
		for (uint32_t r = 0; r < 8; r++)
			lanes[r] = format_float(type, octet.bytes + r * octet.stride, column + c);
		w[c] = _mm256_loadu_ps(lanes);
	}
}

/* ---- one row: weights go from their file form through registers ---- */

/* Takes `blocks` blocks of a group before the next group's: rows that lie a power of two apart
 * share few places in the cache, so what is fetched is used up at once. */
FORCE_INLINE void direct_blocks(uint32_t type, struct octet octet, const float *x, uint32_t column,
				int groups, uint32_t blocks, __m256 *sums)
{
	UNROLL
	for (int g = 0; g < groups; g++) {
		const struct octet at = { octet.bytes + 8 * (size_t)g * octet.stride,
					  octet.stride };
		__m256 sum = sums[g];
		for (uint32_t b = 0; b < blocks; b++) {
			const uint32_t from = column + b * FLOAT_BLOCK;
			__m256 w[8];
			unpack_floats(type, at, from, w);
			UNROLL
			for (int c = 0; c < 8; c++)
				sum = _mm256_fmadd_ps(w[c], _mm256_set1_ps(x[from + c]), sum);
		}
		sums[g] = sum;
	}
}

static void direct_last(uint32_t type, struct octet octet, const float *x, uint32_t column,
			uint32_t n, int groups, __m256 *sums)
{
	for (int g = 0; g < groups; g++) {
		__m256 w[8];
		const struct octet at = { octet.bytes + 8 * (size_t)g * octet.stride,
					  octet.stride };
		unpack_last(type, at, column, n, w);
		for (uint32_t c = 0; c < n; c++)
			sums[g] = _mm256_fmadd_ps(w[c], _mm256_set1_ps(x[column + c]), sums[g]);
	}
}

/* Asks for a share of the next rows, as large as the block now at work. */
FORCE_INLINE void fetch_ahead(uint32_t type, struct octet octet, uint32_t column, int groups,
			      uint32_t blocks)
{
	const size_t bytes = 8 * (size_t)groups * blocks * FLOAT_BLOCK * column_bytes(type);
	const uint8_t *ahead = octet.bytes + 8 * (size_t)groups * octet.stride +
			       8 * (size_t)groups * column * column_bytes(type);
	UNROLL
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)ahead + i, _MM_HINT_T1);
}

FORCE_INLINE void direct_groups(uint32_t type, struct octet octet, const float *x, uint32_t n_in,
				struct cut cut, int groups, float *out)
{
	__m256 levels[SEGMENT_LEVELS + 1][GROUPS];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, cut);
		__m256 sums[GROUPS];
		UNROLL
		for (int g = 0; g < groups; g++)
			sums[g] = _mm256_setzero_ps();
		const uint32_t step = 64 / (FLOAT_BLOCK * column_bytes(type));
		uint32_t b = segment_first(s, cut);
		for (; b + step <= end && (b + step) * FLOAT_BLOCK <= n_in; b += step) {
			fetch_ahead(type, octet, b * FLOAT_BLOCK, groups, step);
			direct_blocks(type, octet, x, b * FLOAT_BLOCK, groups, step, sums);
		}
		for (; b < end && (b + 1) * FLOAT_BLOCK <= n_in; b++)
			direct_blocks(type, octet, x, b * FLOAT_BLOCK, groups, 1, sums);
		if (b < end)
			direct_last(type, octet, x, b * FLOAT_BLOCK, n_in - b * FLOAT_BLOCK, groups,
				    sums);
		for (int g = 0; g < groups; g++)
			tree_add(&levels[0][g], GROUPS, s, sums[g]);
	}
	for (int g = 0; g < groups; g++)
		_mm256_storeu_ps(out + 8 * g, levels[SEGMENT_LEVELS][g]);
}

/* ---- more rows: turn a panel once for all of them ---- */

FORCE_INLINE void multiply_tile(const __m256 *panel, const float *x, size_t stride, int rows,
				uint32_t n, __m256 *sums)
{
	__m256 tile[TILE];
	UNROLL
	for (int r = 0; r < rows; r++)
		tile[r] = sums[r];
	for (uint32_t c = 0; c < n; c++) {
		UNROLL
		for (int r = 0; r < rows; r++)
			tile[r] = _mm256_fmadd_ps(
				panel[c], _mm256_set1_ps(x[(size_t)r * stride + c]), tile[r]);
	}
	UNROLL
	for (int r = 0; r < rows; r++)
		sums[r] = tile[r];
}

static void multiply_panel(const __m256 *panel, const struct inputs *in, uint32_t n_rows,
			   uint32_t column, uint32_t n, __m256 *sums)
{
	const float *x = in->rows + column;
	uint32_t r = 0;
	for (; r + 8 <= n_rows; r += 8)
		multiply_tile(panel, x + r * in->stride, in->stride, 8, n, sums + r);
	for (; r + 4 <= n_rows; r += 4)
		multiply_tile(panel, x + r * in->stride, in->stride, 4, n, sums + r);
	for (; r + 2 <= n_rows; r += 2)
		multiply_tile(panel, x + r * in->stride, in->stride, 2, n, sums + r);
	if (r < n_rows)
		multiply_tile(panel, x + r * in->stride, in->stride, 1, n, sums + r);
}

FORCE_INLINE void panel_segment(uint32_t type, struct octet octet, const struct inputs *in,
				uint32_t n_rows, uint32_t first, uint32_t end, __m256 *sums)
{
	__m256 panel[PANEL_COLUMNS];
	for (uint32_t column = first; column < end; column += PANEL_COLUMNS) {
		const uint32_t left = end - column;
		const uint32_t n = left < PANEL_COLUMNS ? left : PANEL_COLUMNS;
		uint32_t c = 0;
		for (; c + FLOAT_BLOCK <= n; c += FLOAT_BLOCK)
			unpack_floats(type, octet, column + c, panel + c);
		unpack_last(type, octet, column + c, n - c, panel + c);
		multiply_panel(panel, in, n_rows, column, n, sums);
	}
}

FORCE_INLINE void panel_octet(uint32_t type, struct octet octet, const struct inputs *in,
			      uint32_t n_rows, uint32_t n_in, struct cut cut, float *out,
			      size_t out_stride)
{
	__m256 levels[SEGMENT_LEVELS + 1][ROWS_AT_ONCE], sums[ROWS_AT_ONCE];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, cut) * FLOAT_BLOCK;
		for (uint32_t r = 0; r < n_rows; r++)
			sums[r] = _mm256_setzero_ps();
		panel_segment(type, octet, in, n_rows, segment_first(s, cut) * FLOAT_BLOCK,
			      end < n_in ? end : n_in, sums);
		for (uint32_t r = 0; r < n_rows; r++)
			tree_add(&levels[0][r], ROWS_AT_ONCE, s, sums[r]);
	}
	for (uint32_t r = 0; r < n_rows; r++)
		_mm256_storeu_ps(out + r * out_stride, levels[SEGMENT_LEVELS][r]);
}

/* ---- all outputs of a call ---- */

FORCE_INLINE void one_row(uint32_t type, const struct matmul *product, uint32_t first, uint32_t end)
{
	const size_t stride = weight_row_bytes(type, product->n_in);
	const struct cut cut = cut_of(product, FLOAT_BLOCK);
	const float *x = (const void *)product->rows;
	uint32_t o = first;
	for (; o + 8 * GROUPS <= end; o += 8 * GROUPS) {
		const struct octet octet = { product->weights + o * stride, stride };
		direct_groups(type, octet, x, product->n_in, cut, GROUPS, product->out + o);
	}
	for (; o < end; o += 8) {
		const struct octet octet = { product->weights + o * stride, stride };
		direct_groups(type, octet, x, product->n_in, cut, 1, product->out + o);
	}
}

FORCE_INLINE void many_rows(uint32_t type, const struct matmul *product, uint32_t first,
			    uint32_t end)
{
	const size_t stride = weight_row_bytes(type, product->n_in);
	const struct cut cut = cut_of(product, FLOAT_BLOCK);
	struct inputs in = { .stride = row_bytes(ROW_F32, product->n_in) / sizeof(float) };
	for (uint32_t o = first; o < end; o += 8) {
		const struct octet octet = { product->weights + o * stride, stride };
		for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
			const uint32_t left = product->n_rows - r;
			in.rows = (const float *)(const void *)product->rows + r * in.stride;
			panel_octet(type, octet, &in, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE,
				    product->n_in, cut, product->out + r * product->out_stride + o,
				    product->out_stride);
		}
	}
}

#define FLOAT_FUNCTION(name, type)                                                                 \
	static void name(const struct matmul *product, uint32_t first, uint32_t end)               \
	{                                                                                          \
		if (product->n_rows == 1)                                                          \
			one_row(type, product, first, end);                                        \
		else                                                                               \
			many_rows(type, product, first, end);                                      \
	}

FLOAT_FUNCTION(matmul_f32, TENSOR_F32)
FLOAT_FUNCTION(matmul_f16, TENSOR_F16)
FLOAT_FUNCTION(matmul_bf16, TENSOR_BF16)

void avx2_matmul_float(const struct matmul *product, uint32_t first, uint32_t end)
{
	if (product->type == TENSOR_F32)
		matmul_f32(product, first, end);
	else if (product->type == TENSOR_F16)
		matmul_f16(product, first, end);
	else
		matmul_bf16(product, first, end);
}
