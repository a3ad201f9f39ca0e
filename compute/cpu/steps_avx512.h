/* steps_avx512.h: what both ways of multiplying quantised weights share: where activations lie, the
 * step of a group. */
#ifndef COMPUTE_CPU_STEPS_AVX512_H
#define COMPUTE_CPU_STEPS_AVX512_H

#include "compute/cpu/rows.h"
#include "compute/cpu/turn_avx512.h"

/* What the products of a format look like, known to the compiler. */
struct kind {
	bool fine;    /* 16 columns share a scale, not 32 */
	bool minimum; /* the format has minima, and no offset */
};

/* Rows of activations: ROW_I8 of rows.h. */
struct inputs {
	const uint8_t *rows;
	size_t stride;                       /* bytes */
	size_t scale, weighted, sum, narrow; /* offsets in a row */
};

static inline struct inputs inputs_of(const struct matmul *product)
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

/* Where the integers of up to sixteen groups start, those of `n` 32-blocks from `block` on: what
 * their weights are too large by is taken off in advance. */
FORCE_INLINE __m512i starts_of(struct kind kind, const struct inputs *in, int row, uint32_t block,
			       uint32_t n, int32_t offset)
{
	const uint32_t groups = kind.fine ? 2 : 1;
	const __mmask16 mask = (__mmask16)((1u << (n * groups)) - 1);
	const uint8_t *bytes = in->rows + (size_t)row * in->stride;
	const int32_t *sums = (const void *)(bytes + (kind.fine ? in->narrow : in->sum));
	return _mm512_mullo_epi32(_mm512_maskz_loadu_epi32(mask, sums + block * groups),
				  _mm512_set1_epi32(-offset));
}

/* What a group of a row's columns brings to its step. */
struct group_inputs {
	__m512 scale;
	__m512 weighted; /* meets the minima: the scale times the sum of the columns */
};

/* Of a group in 32-block `block` of the row; `group` is even in the block's first half. */
FORCE_INLINE struct group_inputs group_inputs(struct kind kind, const struct inputs *in, int row,
					      uint32_t block, uint32_t group)
{
	struct group_inputs at = { .scale = input_float(in, in->scale, row, block) };
	if (!kind.minimum)
		return at;
	if (!kind.fine) {
		at.weighted = input_float(in, in->weighted, row, block);
		return at;
	}
	const int32_t *sums = (const void *)(in->rows + (size_t)row * in->stride + in->narrow);
	at.weighted = _mm512_mul_ps(
		at.scale, _mm512_cvtepi32_ps(_mm512_set1_epi32(sums[2 * block + group % 2])));
	return at;
}

/* A group joins the sum; `minimum` is negative. */
FORCE_INLINE __m512 step(struct kind kind, __m512i integers, __m512 scale, __m512 minimum,
			 const struct group_inputs *at, __m512 sum)
{
	sum = _mm512_fmadd_ps(_mm512_mul_ps(scale, at->scale), _mm512_cvtepi32_ps(integers), sum);
	return kind.minimum ? _mm512_fmadd_ps(minimum, at->weighted, sum) : sum;
}

#endif
