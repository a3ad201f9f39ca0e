/* multiply_avx512.h: two panels of weights times rows of activations. */
#ifndef COMPUTE_CPU_MULTIPLY_AVX512_H
#define COMPUTE_CPU_MULTIPLY_AVX512_H

#include "compute/cpu/ahead.h"
#include "compute/cpu/kernels.h"
#include "compute/cpu/panel_avx512.h"
#include "compute/cpu/steps_avx512.h"

#define PANELS 2

/* The same columns of PANELS times sixteen outputs. */
struct columns {
	const struct panel *panels; /* [PANELS] */
	uint32_t block, n;          /* the first and their number, in 32-blocks of a row */
	int32_t offset;             /* what weights are too large by */
	bool begin;                 /* their segment; the sums so far are nothing */
};

/* The sums of a row so far. */
typedef __m512 sums_row[PANELS];

/* Tiles that so many rows are cut into. */
uint32_t multiply_tiles(uint32_t n_rows);

/* The products of the columns join the sums of `n_rows` rows; each tile asks for a share of what
 * lies ahead. */
typedef void multiply_fn(const struct columns *columns, struct inputs in, uint32_t n_rows,
			 sums_row *sums, struct ahead *ahead);

multiply_fn *multiply_of(const struct format *format);

#endif
