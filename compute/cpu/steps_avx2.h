/* steps_avx2.h: what both ways of multiplying quantised weights share: where activations lie, the
 * step of a group. */
#ifndef COMPUTE_CPU_STEPS_AVX2_H
#define COMPUTE_CPU_STEPS_AVX2_H

#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/unpack_256_avx2.h"
#include "compute/cpu/unpack_32_avx2.h"

/* ---- activations ---- */

/* Some rows of activations. */
struct inputs {
	const uint8_t *rows;
	size_t stride;                         /* bytes */
	size_t scales, weighted, sums, narrow; /* offsets in a row: see rows.h */
};

static inline struct inputs inputs_of(const struct matmul *product)
{
	return (struct inputs){
		.rows = product->rows,
		.stride = row_bytes(ROW_I8, product->n_in),
		.scales = row_scale_offset(product->n_in),
		.weighted = row_weighted_offset(product->n_in),
		.sums = row_sum_offset(product->n_in),
		.narrow = row_narrow_offset(product->n_in),
	};
}

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

/* Number `index` of a part of a row. */
FORCE_INLINE __m256 input_float(const struct inputs *in, size_t part, int row, uint32_t index)
{
	const float *floats = (const void *)(input_row(in, row) + part);
	return _mm256_broadcast_ss(floats + index);
}

FORCE_INLINE __m256i input_int(const struct inputs *in, size_t part, int row, uint32_t index)
{
	return repeat_32(input_row(in, row) + part + 4 * (size_t)index);
}

/* The scale of a group's columns times their sum. */
FORCE_INLINE __m256 input_weighted(const struct inputs *in, bool narrow, int row, uint32_t group)
{
	if (!narrow)
		return input_float(in, in->weighted, row, group);
	return _mm256_mul_ps(input_float(in, in->scales, row, group / 2),
			     _mm256_cvtepi32_ps(input_int(in, in->narrow, row, group)));
}

/* ---- the step ---- */

/* Group `group` of a row, counted from the row's beginning, joins the sum. */
FORCE_INLINE __m256 step_signed(uint32_t type, __m256i products, __m256 scale, __m256 min,
				const struct inputs *in, int row, uint32_t group, __m256 sum)
{
	const bool narrow = group_width(type) == 16;
	const uint32_t block = narrow ? group / 2 : group;
	const __m256 factor = _mm256_mul_ps(scale, input_float(in, in->scales, row, block));
	sum = _mm256_fmadd_ps(factor, _mm256_cvtepi32_ps(products), sum);
	if (has_minima(type))
		sum = _mm256_fnmadd_ps(min, input_weighted(in, narrow, row, group), sum);
	return sum;
}

/* The same, with products of unsigned weights. */
FORCE_INLINE __m256 step(uint32_t type, __m256i products, __m256 scale, __m256 min,
			 const struct inputs *in, int row, uint32_t group, __m256 sum)
{
	if (weight_shift(type)) {
		const size_t sums = group_width(type) == 16 ? in->narrow : in->sums;
		const __m256i plain = input_int(in, sums, row, group);
		products = _mm256_sub_epi32(products, _mm256_slli_epi32(plain, weight_shift(type)));
	}
	return step_signed(type, products, scale, min, in, row, group, sum);
}

#endif
