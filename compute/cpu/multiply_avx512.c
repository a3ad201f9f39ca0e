#include "compute/cpu/multiply_avx512.h"

#include "compute/cpu/rows.h"
#include "compute/cpu/turn_avx512.h"

/* Rows of a tile: with two panels, integers and sums of so many fill the registers. */
#define TILE_ROWS 6

/* What the products of a format look like, known to the compiler. */
struct kind {
	bool fine;    /* 16 columns share a scale, not 32 */
	bool minimum; /* the format has minima, and no offset */
};

/* Where the integers of each group start: what weights are too large by is taken off in advance. */
struct starts {
	int32_t group[TILE_ROWS][PANEL_GROUPS] __attribute__((aligned(64)));
};

/* The sums of one group. */
struct integers {
	__m512i v[TILE_ROWS][PANELS];
};

struct tile {
	__m512 v[TILE_ROWS][PANELS];
};

struct inputs inputs_of(const struct matmul *product)
{
	return (struct inputs){
		.rows = product->rows,
		.stride = row_bytes(ROW_I8, product->n_in),
		.scale = row_scale_offset(product->n_in),
		.weighted = row_weighted_offset(product->n_in),
		.sum = row_sum_offset(product->n_in),
		.narrow = row_narrow_offset(product->n_in),
	};
}

FORCE_INLINE void starts_set(struct kind kind, const struct columns *columns,
			     const struct inputs *in, int rows, struct starts *starts)
{
	const __m512i factor = _mm512_set1_epi32(-columns->offset);
	const uint32_t scale = kind.fine ? 2 : 1;
	const __mmask16 mask = (__mmask16)((1u << (columns->n * scale)) - 1);
	UNROLL
	for (int r = 0; r < rows; r++) {
		const uint8_t *row = in->rows + (size_t)r * in->stride;
		const int32_t *sums = (const void *)(row + (kind.fine ? in->narrow : in->sum));
		const __m512i v = _mm512_maskz_loadu_epi32(mask, sums + columns->block * scale);
		_mm512_store_si512(starts->group[r], _mm512_mullo_epi32(v, factor));
	}
}

FORCE_INLINE __m512i repeat_32(const uint8_t *bytes)
{
	int32_t value;
	__builtin_memcpy(&value, bytes, sizeof(value));
	return _mm512_set1_epi32(value);
}

FORCE_INLINE __m512 input_float(const struct inputs *in, size_t part, int row, uint32_t block)
{
	const float *floats = (const void *)(in->rows + (size_t)row * in->stride + part);
	return _mm512_set1_ps(floats[block]);
}

/* `vectors` times four columns, from vector w of each panel and x of the first row on. */
FORCE_INLINE void add_products(const struct panel *panels, uint32_t w, int vectors,
			       const uint8_t *x, size_t stride, int rows, struct integers *sums)
{
	UNROLL
	for (int c = 0; c < vectors; c++) {
		UNROLL
		for (int r = 0; r < rows; r++) {
			const __m512i y = repeat_32(x + (size_t)r * stride + 4 * c);
			UNROLL
			for (int p = 0; p < PANELS; p++)
				sums->v[r][p] = _mm512_dpbusd_epi32(
					sums->v[r][p], panels[p].w[w + (uint32_t)c], y);
		}
	}
}

/* What meets the minima: the scale times the sum of the group's columns. */
FORCE_INLINE __m512 input_weighted(struct kind kind, const struct inputs *in, int row,
				   uint32_t block, uint32_t group)
{
	if (!kind.fine)
		return input_float(in, in->weighted, row, block);
	const int32_t *sums = (const void *)(in->rows + (size_t)row * in->stride + in->narrow);
	const uint32_t first = 2 * block + group % 2;
	return _mm512_mul_ps(input_float(in, in->scale, row, block),
			     _mm512_cvtepi32_ps(_mm512_set1_epi32(sums[first])));
}

/* The float step of a group. */
FORCE_INLINE void add_group(struct kind kind, const struct panel *panels, uint32_t group,
			    const struct inputs *in, uint32_t block, int rows,
			    const struct integers *integers, struct tile *tile)
{
	UNROLL
	for (int r = 0; r < rows; r++) {
		const __m512 scale = input_float(in, in->scale, r, block);
		const __m512 weighted =
			kind.minimum ? input_weighted(kind, in, r, block, group) : scale;
		UNROLL
		for (int p = 0; p < PANELS; p++) {
			__m512 *sum = &tile->v[r][p];
			*sum = _mm512_fmadd_ps(_mm512_mul_ps(panels[p].scale[group], scale),
					       _mm512_cvtepi32_ps(integers->v[r][p]), *sum);
			if (kind.minimum)
				*sum = _mm512_fmadd_ps(panels[p].minimum[group], weighted, *sum);
		}
	}
}

FORCE_INLINE void tile_groups(struct kind kind, const struct columns *columns,
			      const struct inputs *in, int rows, struct tile *tile)
{
	const uint32_t vectors = kind.fine ? 4 : 8, groups = columns->n * (kind.fine ? 2 : 1);
	const uint8_t *x = in->rows + ROW_BLOCK * (size_t)columns->block;
	struct starts starts;
	if (!kind.minimum)
		starts_set(kind, columns, in, rows, &starts);
	for (uint32_t g = 0; g < groups; g++, x += 4 * vectors) {
		struct integers integers;
		UNROLL
		for (int r = 0; r < rows; r++) {
			UNROLL
			for (int p = 0; p < PANELS; p++)
				integers.v[r][p] = kind.minimum
							   ? _mm512_setzero_si512()
							   : _mm512_set1_epi32(starts.group[r][g]);
		}
		add_products(columns->panels, g * vectors, (int)vectors, x, in->stride, rows,
			     &integers);
		add_group(kind, columns->panels, g, in, columns->block + g / (kind.fine ? 2 : 1),
			  rows, &integers, tile);
	}
}

FORCE_INLINE void tile_run(struct kind kind, const struct columns *columns, const struct inputs *in,
			   int rows, sums_row *sums)
{
	struct tile tile;
	UNROLL
	for (int r = 0; r < rows; r++) {
		UNROLL
		for (int p = 0; p < PANELS; p++)
			tile.v[r][p] = sums[r][p];
	}
	tile_groups(kind, columns, in, rows, &tile);
	UNROLL
	for (int r = 0; r < rows; r++) {
		UNROLL
		for (int p = 0; p < PANELS; p++)
			sums[r][p] = tile.v[r][p];
	}
}

FORCE_INLINE void multiply_rows(struct kind kind, const struct columns *columns, struct inputs in,
				uint32_t n_rows, sums_row *sums)
{
	for (; n_rows >= TILE_ROWS; n_rows -= TILE_ROWS) {
		tile_run(kind, columns, &in, TILE_ROWS, sums);
		in.rows += TILE_ROWS * in.stride;
		sums += TILE_ROWS;
	}
	if (n_rows == 5)
		tile_run(kind, columns, &in, 5, sums);
	else if (n_rows == 4)
		tile_run(kind, columns, &in, 4, sums);
	else if (n_rows == 3)
		tile_run(kind, columns, &in, 3, sums);
	else if (n_rows == 2)
		tile_run(kind, columns, &in, 2, sums);
	else if (n_rows == 1)
		tile_run(kind, columns, &in, 1, sums);
}

#define MULTIPLY_FUNCTION(name, fine, minimum)                                                     \
	static void name(const struct columns *columns, struct inputs in, uint32_t n_rows,         \
			 sums_row *sums)                                                           \
	{                                                                                          \
		multiply_rows((struct kind){ fine, minimum }, columns, in, n_rows, sums);          \
	}

MULTIPLY_FUNCTION(multiply_32, false, false)
MULTIPLY_FUNCTION(multiply_32_minimum, false, true)
MULTIPLY_FUNCTION(multiply_16, true, false)
MULTIPLY_FUNCTION(multiply_16_minimum, true, true)

multiply_fn *multiply_of(const struct format *format)
{
	static multiply_fn *const functions[2][2] = {
		{ multiply_32, multiply_32_minimum },
		{ multiply_16, multiply_16_minimum },
	};
	return functions[format->group == 16][format->minimum];
}
