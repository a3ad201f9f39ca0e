/* rows.h: where the parts of a quantised activation row lie.
 *
 * ROW_I8, for every integer weight format: a row of n columns (a multiple of 32) is
 *   int8   q[n]
 *   f32    scale[n / 32]     column c stands for scale[c / 32] * q[c]
 *   f32    weighted[n / 32]  scale times the sum of its 32 q, rounded once: meets the minima
 *   int32  sum[n / 32]       sums of 32 q: take off what unsigned weights are too large
 *   int32  narrow[n / 16]    sums of 16 q
 * Each part begins at a multiple of ROW_ALIGN. */
#ifndef COMPUTE_CPU_ROWS_H
#define COMPUTE_CPU_ROWS_H

#include "compute/cpu/kernels.h"

/* Columns that share a scale. */
#define ROW_BLOCK 32u
/* Blocks whose largest value is below this are taken as zero: 127 / largest would overflow. */
#define ROW_LARGEST_MIN 0x1p-100f

static inline size_t row_round(size_t bytes)
{
	return (bytes + ROW_ALIGN - 1) & ~(size_t)(ROW_ALIGN - 1);
}

/* Bytes of one number for each block. */
static inline size_t row_part_bytes(uint32_t n)
{
	return row_round(n / ROW_BLOCK * sizeof(float));
}

static inline size_t row_scale_offset(uint32_t n)
{
	return row_round(n);
}

static inline size_t row_weighted_offset(uint32_t n)
{
	return row_scale_offset(n) + row_part_bytes(n);
}

static inline size_t row_sum_offset(uint32_t n)
{
	return row_weighted_offset(n) + row_part_bytes(n);
}

static inline size_t row_narrow_offset(uint32_t n)
{
	return row_sum_offset(n) + row_part_bytes(n);
}

static inline size_t row_end(uint32_t n)
{
	return row_narrow_offset(n) + row_round(n / 16 * sizeof(int32_t));
}

#endif
