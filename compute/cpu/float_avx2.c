#include "compute/cpu/avx2.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/unpack_avx2.h"

/* Products of F32, F16 and BF16 weights: columns of some outputs are turned into a panel in the
 * first cache, and the panel meets all rows of activations in tiles that live in registers.
 *
 * One row meets many outputs, for as many chains of additions as hide their latency, and takes one
 * line of memory of each at a time: rows that lie a power of two apart share few places in the
 * cache, so what is fetched must be used up at once. */

/* Vectors of eight outputs in a panel. */
#define VECTORS_ONE  4
#define VECTORS_MANY 2
/* Rows of activations multiplied at once by a panel. */
#define TILE         6
#define ROWS_AT_ONCE 126
/* Columns of a panel for many rows; a multiple of FLOAT_BLOCK. */
#define PANEL_COLUMNS 128
#define PANEL_SIZE    (PANEL_COLUMNS * VECTORS_MANY)

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

/* Numbers of `bits` bits of the pairs a[0] and a[1], a[2] and a[3] and so on, one of each in turn.
 */
FORCE_INLINE void interleave(int bits, const __m256i a[8], __m256i out[8])
{
	UNROLL
	for (int i = 0; i < 8; i += 2) {
		out[i] = bits == 16   ? _mm256_unpacklo_epi16(a[i], a[i + 1])
			 : bits == 32 ? _mm256_unpacklo_epi32(a[i], a[i + 1])
				      : _mm256_unpacklo_epi64(a[i], a[i + 1]);
		out[i + 1] = bits == 16   ? _mm256_unpackhi_epi16(a[i], a[i + 1])
			     : bits == 32 ? _mm256_unpackhi_epi32(a[i], a[i + 1])
					  : _mm256_unpackhi_epi64(a[i], a[i + 1]);
	}
}

/* The same of twice as many columns of F16, by numbers of 16 bits, which is cheaper: half of a
 * vector has column c, the other column c + 8. */
FORCE_INLINE void unpack_halves(struct octet octet, size_t column, __m256 w[16])
{
	const uint8_t *low = octet.bytes + 2 * column, *high = low + 4 * octet.stride;
	const size_t stride = octet.stride;
	__m256i a[8], b[8];
	UNROLL
	for (size_t r = 0; r < 4; r++) {
		a[r] = _mm256_loadu_si256((const void *)(low + r * stride));
		a[r + 4] = _mm256_loadu_si256((const void *)(high + r * stride));
	}
	interleave(16, a, b);
	const __m256i fours[8] = { b[0], b[2], b[1], b[3], b[4], b[6], b[5], b[7] };
	interleave(32, fours, a);
	const __m256i eights[8] = { a[0], a[4], a[1], a[5], a[2], a[6], a[3], a[7] };
	interleave(64, eights, b);
	UNROLL
	for (int c = 0; c < 8; c++) {
		w[c] = _mm256_cvtph_ps(_mm256_castsi256_si128(b[c]));
		w[c + 8] = _mm256_cvtph_ps(_mm256_extracti128_si256(b[c], 1));
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

/* ---- a panel: [columns, vectors] ---- */

/* Columns of eight outputs to every `vectors`th place of a panel. */
FORCE_INLINE void fill_eight(uint32_t type, struct octet octet, uint32_t column, uint32_t n,
			     int vectors, __m256 *panel)
{
	__m256 w[2 * FLOAT_BLOCK];
	const uint32_t end = column + n;
	for (; type == TENSOR_F16 && column + 2 * FLOAT_BLOCK <= end; column += 2 * FLOAT_BLOCK) {
		unpack_halves(octet, column, w);
		UNROLL
		for (int i = 0; i < 2 * (int)FLOAT_BLOCK; i++, panel += vectors)
			*panel = w[i];
	}
	for (; column + FLOAT_BLOCK <= end; column += FLOAT_BLOCK) {
		unpack_floats(type, octet, column, w);
		UNROLL
		for (int i = 0; i < (int)FLOAT_BLOCK; i++, panel += vectors)
			*panel = w[i];
	}
	if (column == end)
		return;
	unpack_last(type, octet, column, end - column, w);
	for (uint32_t i = 0; column + i < end; i++, panel += vectors)
		*panel = w[i];
}

FORCE_INLINE void fill_panel(uint32_t type, struct octet octet, uint32_t column, uint32_t n,
			     int vectors, __m256 *panel)
{
	for (int v = 0; v < vectors; v++) {
		const size_t row = 8 * (size_t)v;
		const struct octet eight = { octet.bytes + row * octet.stride, octet.stride };
		fill_eight(type, eight, column, n, vectors, panel + v);
	}
}

/* sums [rows, vectors] */
FORCE_INLINE void multiply_tile(const __m256 *panel, const float *x, size_t stride, int rows,
				int vectors, uint32_t n, __m256 *sums)
{
	__m256 tile[TILE * VECTORS_MANY];
	UNROLL
	for (int i = 0; i < rows * vectors; i++)
		tile[i] = sums[i];
	for (uint32_t c = 0; c < n; c++, panel += vectors) {
		UNROLL
		for (int r = 0; r < rows; r++) {
			const __m256 y = _mm256_set1_ps(x[(size_t)r * stride + c]);
			UNROLL
			for (int v = 0; v < vectors; v++)
				tile[r * vectors + v] =
					_mm256_fmadd_ps(panel[v], y, tile[r * vectors + v]);
		}
	}
	UNROLL
	for (int i = 0; i < rows * vectors; i++)
		sums[i] = tile[i];
}

FORCE_INLINE void multiply_panel(const __m256 *panel, const struct inputs *in, uint32_t n_rows,
				 uint32_t column, uint32_t n, int vectors, __m256 *sums)
{
	const float *x = in->rows + column;
	const size_t stride = in->stride;
	uint32_t r = 0;
	for (; r + TILE <= n_rows; r += TILE, sums += TILE * vectors)
		multiply_tile(panel, x + r * stride, stride, TILE, vectors, n, sums);
	if (r + 4 <= n_rows) {
		multiply_tile(panel, x + r * stride, stride, 4, vectors, n, sums);
		r += 4;
		sums += 4 * vectors;
	}
	if (r + 2 <= n_rows) {
		multiply_tile(panel, x + r * stride, stride, 2, vectors, n, sums);
		r += 2;
		sums += 2 * vectors;
	}
	if (r < n_rows)
		multiply_tile(panel, x + r * stride, stride, 1, vectors, n, sums);
}

/* ---- one row ---- */

/* Asks for a share of the next outputs, as large as what is turned now. */
FORCE_INLINE void fetch_ahead(uint32_t type, struct octet octet, uint32_t column, uint32_t n,
			      int vectors)
{
	const size_t outputs = 8 * (size_t)vectors, bytes = outputs * n * column_bytes(type);
	const uint8_t *ahead =
		octet.bytes + outputs * octet.stride + outputs * column * column_bytes(type);
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)ahead + i, _MM_HINT_T1);
}

FORCE_INLINE void one_segment(uint32_t type, struct octet octet, const float *x, uint32_t first,
			      uint32_t end, int vectors, __m256 *sums)
{
	__m256 panel[PANEL_SIZE];
	const uint32_t line = 64 / column_bytes(type);
	for (uint32_t column = first; column < end;) {
		/* the first may end a line that the segment before began */
		const uint32_t room = line - column % line, left = end - column;
		const uint32_t n = left < room ? left : room;
		fetch_ahead(type, octet, column, n, vectors);
		fill_panel(type, octet, column, n, vectors, panel);
		multiply_tile(panel, x + column, 0, 1, vectors, n, sums);
		column += n;
	}
}

FORCE_INLINE void one_row(uint32_t type, const struct matmul *product, struct octet octet,
			  int vectors, float *out)
{
	const struct cut cut = cut_of(product, FLOAT_BLOCK);
	const uint32_t n_in = product->n_in;
	__m256 levels[SEGMENT_LEVELS + 1][VECTORS_ONE], sums[VECTORS_ONE];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, cut) * FLOAT_BLOCK;
		for (int v = 0; v < vectors; v++)
			sums[v] = _mm256_setzero_ps();
		one_segment(type, octet, (const void *)product->rows,
			    segment_first(s, cut) * FLOAT_BLOCK, end < n_in ? end : n_in, vectors,
			    sums);
		for (int v = 0; v < vectors; v++)
			tree_add(&levels[0][v], VECTORS_ONE, s, sums[v]);
	}
	for (int v = 0; v < vectors; v++)
		_mm256_storeu_ps(out + 8 * v, levels[SEGMENT_LEVELS][v]);
}

/* ---- more rows ---- */

FORCE_INLINE void many_segment(uint32_t type, struct octet octet, const struct inputs *in,
			       uint32_t n_rows, uint32_t first, uint32_t end, int vectors,
			       __m256 *sums)
{
	__m256 panel[PANEL_SIZE];
	for (uint32_t column = first; column < end; column += PANEL_COLUMNS) {
		const uint32_t left = end - column;
		const uint32_t n = left < PANEL_COLUMNS ? left : PANEL_COLUMNS;
		fill_panel(type, octet, column, n, vectors, panel);
		multiply_panel(panel, in, n_rows, column, n, vectors, sums);
	}
}

FORCE_INLINE void many_rows(uint32_t type, const struct matmul *product, struct octet octet,
			    const struct inputs *in, uint32_t n_rows, int vectors, float *out)
{
	const struct cut cut = cut_of(product, FLOAT_BLOCK);
	const uint32_t n_in = product->n_in, n_sums = n_rows * (uint32_t)vectors;
	__m256 levels[SEGMENT_LEVELS + 1][ROWS_AT_ONCE * VECTORS_MANY];
	__m256 sums[ROWS_AT_ONCE * VECTORS_MANY];
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, cut) * FLOAT_BLOCK;
		for (uint32_t i = 0; i < n_sums; i++)
			sums[i] = _mm256_setzero_ps();
		many_segment(type, octet, in, n_rows, segment_first(s, cut) * FLOAT_BLOCK,
			     end < n_in ? end : n_in, vectors, sums);
		for (uint32_t i = 0; i < n_sums; i++)
			tree_add(&levels[0][i], ROWS_AT_ONCE * VECTORS_MANY, s, sums[i]);
	}
	for (uint32_t i = 0; i < n_sums; i++)
		_mm256_storeu_ps(out + i / (uint32_t)vectors * product->out_stride +
					 8 * (i % (uint32_t)vectors),
				 levels[SEGMENT_LEVELS][i]);
}

/* ---- all outputs of a call ---- */

FORCE_INLINE void some_outputs(uint32_t type, const struct matmul *product, uint32_t at,
			       int vectors)
{
	const size_t stride = weight_row_bytes(type, product->n_in);
	const struct octet octet = { product->weights + at * stride, stride };
	struct inputs in = { .stride = row_bytes(ROW_F32, product->n_in) / sizeof(float) };
	for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
		const uint32_t left = product->n_rows - r;
		in.rows = (const float *)(const void *)product->rows + r * in.stride;
		many_rows(type, product, octet, &in, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE,
			  vectors, product->out + r * product->out_stride + at);
	}
}

FORCE_INLINE void multiply(uint32_t type, const struct matmul *product, uint32_t first,
			   uint32_t end)
{
	const size_t stride = weight_row_bytes(type, product->n_in);
	uint32_t o = first;
	for (; product->n_rows == 1 && o + 8 * VECTORS_ONE <= end; o += 8 * VECTORS_ONE)
		one_row(type, product, (struct octet){ product->weights + o * stride, stride },
			VECTORS_ONE, product->out + o);
	for (; o + 8 * VECTORS_MANY <= end; o += 8 * VECTORS_MANY)
		some_outputs(type, product, o, VECTORS_MANY);
	for (; o < end; o += 8)
		some_outputs(type, product, o, 1);
}

void avx2_matmul_float(const struct matmul *product, uint32_t first, uint32_t end)
{
	if (product->type == TENSOR_F32)
		multiply(TENSOR_F32, product, first, end);
	else if (product->type == TENSOR_F16)
		multiply(TENSOR_F16, product, first, end);
	else
		multiply(TENSOR_BF16, product, first, end);
}
