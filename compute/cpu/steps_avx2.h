/* steps_avx2.h: what both ways of multiplying quantised weights share: where activations lie, the
 * step of a block. */
#ifndef COMPUTE_CPU_STEPS_AVX2_H
#define COMPUTE_CPU_STEPS_AVX2_H

#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/unpack_avx2.h"

/* Some rows of activations. */
struct inputs {
	const uint8_t *rows;
	size_t stride;                  /* bytes */
	size_t scales, sums, wide_sums; /* offsets in a row: see rows.h */
};

static inline struct inputs inputs_of(const struct matmul *product)
{
	const enum row_format format = row_format_of(product->type);
	return (struct inputs){
		.rows = product->rows,
		.stride = row_bytes(format, product->n_in),
		.scales = row_scale_offset(product->n_in),
		.sums = row_sum_offset(format, product->n_in),
		.wide_sums = row_wide_sum_offset(product->n_in),
	};
}

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

/* Columns of a 256-block that share a scale. */
FORCE_INLINE int group_width(uint32_t type)
{
	return type == TENSOR_Q6_K ? 16 : 32;
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

FORCE_INLINE __m256 input_float(const struct inputs *in, size_t part, int row, uint32_t block)
{
	const float *floats = (const void *)(input_row(in, row) + part);
	return _mm256_set1_ps(floats[block]);
}

/* ---- steps ---- */

/* A 32-block: `products` of unsigned weights, each of which is `offset` too large. All integers
 * here are below 2^24, so that floats hold them exactly. */
FORCE_INLINE __m256 step_32(__m256i products, float offset, __m256 d, const struct inputs *in,
			    int row, uint32_t block, __m256 sum)
{
	__m256 value = _mm256_cvtepi32_ps(products);
	if (offset != 0.0f)
		value = _mm256_fnmadd_ps(_mm256_set1_ps(offset),
					 input_float(in, in->sums, row, block), value);
	return _mm256_fmadd_ps(input_float(in, in->scales, row, block), _mm256_mul_ps(d, value),
			       sum);
}

/* Pairs of minima (Q4_K, Q5_K) or of scales (Q6_K), for pair_products. */
FORCE_INLINE void make_pairs(uint32_t type, const struct k_head *head, __m256i pairs[8])
{
	const int n = type == TENSOR_Q6_K ? 8 : 4;
	UNROLL
	for (int p = 0; p < n; p++)
		pairs[p] = scale_pair(type, type == TENSOR_Q6_K ? head->scale : head->min, 2 * p);
}

/* The pairs times the sums of the activations that they belong to. */
FORCE_INLINE __m256i pair_products(uint32_t type, const __m256i *pairs, const struct inputs *in,
				   int row, uint32_t block)
{
	const int n = type == TENSOR_Q6_K ? 8 : 4;
	const size_t part = type == TENSOR_Q6_K ? in->sums : in->wide_sums;
	const uint8_t *sums = input_row(in, row) + part + 4 * (size_t)n * block;
	__m256i sum = _mm256_madd_epi16(pairs[0], repeat_32(sums));
	UNROLL
	for (int p = 1; p < n; p++)
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs[p], repeat_32(sums + 4 * p)));
	return sum;
}

/* A 256-block. Weights of Q6_K are 32 too large. */
FORCE_INLINE __m256 step_256(uint32_t type, __m256i products, __m256i pairs, __m256 d, __m256 dmin,
			     __m256 scale, __m256 sum)
{
	if (type == TENSOR_Q6_K)
		products = _mm256_sub_epi32(products, _mm256_slli_epi32(pairs, 5));
	__m256 value = _mm256_mul_ps(d, _mm256_cvtepi32_ps(products));
	if (type != TENSOR_Q6_K)
		value = _mm256_fnmadd_ps(dmin, _mm256_cvtepi32_ps(pairs), value);
	return _mm256_fmadd_ps(scale, value, sum);
}

#endif
