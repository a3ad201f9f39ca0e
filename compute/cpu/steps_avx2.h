/* steps_avx2.h: what both ways of multiplying quantised weights share: how a format is cut into
 * groups, where activations lie, the step of a group. */
#ifndef COMPUTE_CPU_STEPS_AVX2_H
#define COMPUTE_CPU_STEPS_AVX2_H

#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/unpack_avx2.h"

/* ---- formats, as constants of the compiler ---- */

FORCE_INLINE bool is_k(uint32_t type)
{
	return type == TENSOR_Q4_K || type == TENSOR_Q5_K || type == TENSOR_Q6_K;
}

/* Known to the compiler, unlike weight_row_bytes. */
FORCE_INLINE uint32_t block_bytes(uint32_t type)
{
	switch (type) {
	case TENSOR_Q4_0:
		return 18;
	case TENSOR_Q5_0:
		return 22;
	case TENSOR_Q8_0:
		return 34;
	case TENSOR_Q4_K:
		return 144;
	case TENSOR_Q5_K:
		return 176;
	default:
		return 210;
	}
}

/* Columns that share a scale. */
FORCE_INLINE int group_width(uint32_t type)
{
	return type == TENSOR_Q6_K ? 16 : 32;
}

FORCE_INLINE bool has_minima(uint32_t type)
{
	return type == TENSOR_Q4_K || type == TENSOR_Q5_K;
}

/* Unsigned weights are 2^shift too large; 0: they are not. */
FORCE_INLINE int weight_shift(uint32_t type)
{
	return type == TENSOR_Q4_0 ? 3 : type == TENSOR_Q5_0 ? 4 : type == TENSOR_Q6_K ? 5 : 0;
}

/* Vectors of products that fit in 16 bits together: 15 * 127 * 2 * 8, 31 * 127 * 2 * 4,
 * 63 * 127 * 2 * 2. */
FORCE_INLINE int vectors_in_16_bits(uint32_t type)
{
	return type == TENSOR_Q5_K || type == TENSOR_Q5_0 ? 4 : type == TENSOR_Q6_K ? 2 : 8;
}

/* First column of the `part`th set of 64 as unpack_64 gives them, and of its group `g`. */
FORCE_INLINE int group_column(uint32_t type, int part, int g)
{
	return type == TENSOR_Q6_K ? 128 * (part / 2) + 16 * (part % 2) + 32 * g
				   : 64 * part + 32 * g;
}

FORCE_INLINE void unpack_64(uint32_t type, struct octet octet, const struct k_head *head, int part,
			    __m256i w[16])
{
	if (type == TENSOR_Q6_K)
		unpack_64_6(octet, part / 2, part % 2, w);
	else
		unpack_64_45(type, octet, head, part, w);
}

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

/* ---- the step ---- */

/* Group `group` of a row, counted from the row's beginning, joins the sum. `products` are those of
 * unsigned weights. */
FORCE_INLINE __m256 step(uint32_t type, __m256i products, __m256 scale, __m256 min,
			 const struct inputs *in, int row, uint32_t group, __m256 sum)
{
	const bool narrow = group_width(type) == 16;
	const uint32_t block = narrow ? group / 2 : group;
	if (weight_shift(type)) {
		const __m256i plain = input_int(in, narrow ? in->narrow : in->sums, row, group);
		products = _mm256_sub_epi32(products, _mm256_slli_epi32(plain, weight_shift(type)));
	}
	const __m256 factor = _mm256_mul_ps(scale, input_float(in, in->scales, row, block));
	sum = _mm256_fmadd_ps(factor, _mm256_cvtepi32_ps(products), sum);
	if (has_minima(type))
		sum = _mm256_fnmadd_ps(min, input_float(in, in->weighted, row, block), sum);
	return sum;
}

#endif
