/* panel_avx512.h: weights of sixteen outputs as the multiplication wants them, whatever their
 * format in the file. */
#ifndef COMPUTE_CPU_PANEL_AVX512_H
#define COMPUTE_CPU_PANEL_AVX512_H

#include "compute/cpu/formats.h"

#include <immintrin.h>
#include <stddef.h>

#define PANEL_OUTPUTS 16u
#define PANEL_COLUMNS 256u
#define PANEL_GROUPS  16 /* at most, of 16 columns each */

/* Sixteen weight rows, `stride` bytes apart. */
struct sixteen {
	const uint8_t *bytes;
	size_t stride;
};

/* Up to PANEL_COLUMNS columns; lane r of each vector belongs to output r. */
struct panel {
	/* Columns 4i to 4i + 3 in w[i]: unsigned, each too large by the packing's offset. */
	__m512i w[PANEL_COLUMNS / 4];
	__m512 scale[PANEL_GROUPS];   /* d * scale of each group of columns */
	__m512 minimum[PANEL_GROUPS]; /* -(dmin * min); of formats with minima */
};

/* Fills a panel with `n` whole blocks, PANEL_COLUMNS columns or fewer. */
typedef void panel_fill(const struct format *format, struct sixteen rows, uint32_t n,
			struct panel *panel);

/* How a format becomes panels. */
struct packing {
	panel_fill *fill;
	int32_t offset; /* 0 for formats with minima */
	bool has_grid;  /* weights are looked up in one, with VBMI and GFNI */
	bool slow;      /* to look up: one or two rows of activations are quicker with AVX2 */
};

/* Of any type that format_of knows. */
struct packing packing_of(uint32_t tensor_type);

#endif
