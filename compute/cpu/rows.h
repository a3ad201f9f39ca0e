/* rows.h: where the parts of a quantised activation row lie.
 *
 * A row of n columns is its int8 values, then the f32 scale of each block, then sums of the values:
 * of ROW_I8X32 one per 32, as f32; of ROW_I8X256 one per 16 and then one per 32, as int16. Each
 * part begins at a multiple of ROW_ALIGN. */
#ifndef COMPUTE_CPU_ROWS_H
#define COMPUTE_CPU_ROWS_H

#include "compute/cpu/kernels.h"

/* Blocks whose largest value is below this are taken as zero: 127 / largest would overflow. */
#define ROW_LARGEST_MIN 0x1p-100f

static inline size_t row_round(size_t bytes)
{
	return (bytes + ROW_ALIGN - 1) & ~(size_t)(ROW_ALIGN - 1);
}

static inline uint32_t row_block(enum row_format format)
{
	return format == ROW_I8X256 ? 256 : 32;
}

static inline size_t row_scale_offset(uint32_t n)
{
	return row_round(n);
}

static inline size_t row_sum_offset(enum row_format format, uint32_t n)
{
	return row_scale_offset(n) + row_round(n / row_block(format) * sizeof(float));
}

/* Of ROW_I8X256: the sums of 32. */
static inline size_t row_wide_sum_offset(uint32_t n)
{
	return row_sum_offset(ROW_I8X256, n) + row_round(n / 16 * sizeof(int16_t));
}

#endif
