#include "compute/cpu/multiply_avx512.h"

#include "compute/cpu/steps_avx512.h"

/* Rows of a tile: with two panels, integers and sums of so many fill the registers. */
#define TILE_ROWS 6

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

FORCE_INLINE void starts_set(struct kind kind, const struct columns *columns,
			     const struct inputs *in, int rows, struct starts *starts)
{
	UNROLL
	for (int r = 0; r < rows; r++)
		_mm512_store_si512(starts->group[r], starts_of(kind, in, r, columns->block,
							       columns->n, columns->offset));
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

/* The float step of a group. */
FORCE_INLINE void add_group(struct kind kind, const struct panel *panels, uint32_t group,
			    const struct inputs *in, uint32_t block, int rows,
			    const struct integers *integers, struct tile *tile)
{
	UNROLL
	for (int r = 0; r < rows; r++) {
		const struct group_inputs at = group_inputs(kind, in, r, block, group);
		UNROLL
		for (int p = 0; p < PANELS; p++)
			tile->v[r][p] = step(kind, integers->v[r][p], panels[p].scale[group],
					     panels[p].minimum[group], &at, tile->v[r][p]);
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
			tile.v[r][p] = columns->begin ? _mm512_setzero_ps() : sums[r][p];
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
				uint32_t n_rows, sums_row *sums, struct ahead *ahead)
{
	for (; n_rows >= TILE_ROWS; n_rows -= TILE_ROWS) {
		ahead_ask(ahead);
		tile_run(kind, columns, &in, TILE_ROWS, sums);
		in.rows += TILE_ROWS * in.stride;
		sums += TILE_ROWS;
	}
	ahead_ask(ahead);
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

uint32_t multiply_tiles(uint32_t n_rows)
{
	return n_rows / TILE_ROWS + 1;
}

#define MULTIPLY_FUNCTION(name, fine, minimum)                                                     \
	static void name(const struct columns *columns, struct inputs in, uint32_t n_rows,         \
			 sums_row *sums, struct ahead *ahead)                                      \
	{                                                                                          \
		multiply_rows((struct kind){ fine, minimum }, columns, in, n_rows, sums, ahead);   \
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
