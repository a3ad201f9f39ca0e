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

FORCE_INLINE const uint8_t *input_row(const struct inputs *in, int row)
{
	return in->rows + (size_t)row * in->stride;
}

/* ---- the step ---- */

/* What a group of a row's columns brings to its step. */
struct group_inputs {
	__m256 scale, weighted; /* the latter for formats with minima */
	__m256i excess;         /* of products whose weights are 2^shift too large */
};

FORCE_INLINE __m256 repeat_float(const uint8_t *bytes)
{
	return _mm256_broadcast_ss((const float *)(const void *)bytes);
}

/* Group `group` of the row that begins at `row`, counted from there. */
FORCE_INLINE struct group_inputs group_inputs(uint32_t type, const struct inputs *in,
					      const uint8_t *row, uint32_t group)
{
	const bool narrow = group_width(type) == 16;
	const size_t block = 4 * (size_t)(narrow ? group / 2 : group), own = 4 * (size_t)group;
	struct group_inputs at = { .scale = repeat_float(row + in->scales + block) };
	if (has_minima(type) && narrow)
		at.weighted = _mm256_mul_ps(at.scale,
					    _mm256_cvtepi32_ps(repeat_32(row + in->narrow + own)));
	else if (has_minima(type))
		at.weighted = repeat_float(row + in->weighted + own);
	if (weight_shift(type))
		at.excess =
			_mm256_slli_epi32(repeat_32(row + (narrow ? in->narrow : in->sums) + own),
					  weight_shift(type));
	return at;
}

/* A group joins the sum; its weights are signed. */
FORCE_INLINE __m256 step_signed(uint32_t type, __m256i products, __m256 scale, __m256 min,
				const struct group_inputs *at, __m256 sum)
{
	const __m256 factor = _mm256_mul_ps(scale, at->scale);
	sum = _mm256_fmadd_ps(factor, _mm256_cvtepi32_ps(products), sum);
	return has_minima(type) ? _mm256_fnmadd_ps(min, at->weighted, sum) : sum;
}

/* The same, with products of unsigned weights. */
FORCE_INLINE __m256 step(uint32_t type, __m256i products, __m256 scale, __m256 min,
			 const struct group_inputs *at, __m256 sum)
{
	if (weight_shift(type))
		products = _mm256_sub_epi32(products, at->excess);
	return step_signed(type, products, scale, min, at, sum);
}

/* The step of group `group`, counted from the rows' beginning; `turned`: the products have the
 * weights' signs, which the activations took. */
FORCE_INLINE void group_step(uint32_t type, const __m256i *products, __m256 scale, __m256 min,
			     const struct inputs *in, int rows, size_t group, bool turned,
			     __m256 *sums)
{
	UNROLL
	for (int r = 0; r < rows; r++) {
		const struct group_inputs at =
			group_inputs(type, in, input_row(in, r), (uint32_t)group);
		sums[r] = turned ? step_signed(type, products[r], scale, min, &at, sums[r])
				 : step(type, products[r], scale, min, &at, sums[r]);
	}
}

#endif
