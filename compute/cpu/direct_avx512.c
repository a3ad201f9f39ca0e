/* Products of quantised weights with one or two rows: weights of sixteen outputs go from their file
 * form through registers. */
#include "compute/cpu/direct_avx512.h"
#include "compute/cpu/unpack_256_avx512.h"
#include "compute/cpu/unpack_32_avx512.h"

/* Four columns from `column` on join the integers. */
FORCE_INLINE void add_products(const struct meeting *rows, __m512i w, size_t column,
			       __m512i integers[ROWS_MAX])
{
	UNROLL
	for (int r = 0; r < rows->n; r++)
		integers[r] = _mm512_dpbusd_epi32(
			integers[r], w,
			repeat_32(rows->in.rows + (size_t)r * rows->in.stride + column));
}

/* Block `block` of the weights joins the sums. */
FORCE_INLINE void block_256(uint32_t type, struct sixteen weights, struct fetch *fetch,
			    const struct meeting *rows, uint32_t block, __m512 sums[ROWS_MAX])
{
	const struct kind kind = kind_of(type);
	const int vectors = traits[type].group / 4, groups = traits[type].part / traits[type].group;
	struct k_scales scales;
	struct k_part part;
	struct starts starts[ROWS_MAX];
	set_starts(kind, rows, 8 * block, 8, starts);
	unpack_scales(type, weights, &scales);
	turn_shared(type, weights, &part);
	UNROLL
	for (int p = 0; p < 256 / traits[type].part; p++) {
		turn_part(type, weights, (size_t)p, &part);
		UNROLL
		for (int k = 0; k < groups; k++) {
			const int g = groups * p + k;
			const size_t column = 256 * (size_t)block + 4 * (size_t)(vectors * g);
			__m512i integers[ROWS_MAX];
			UNROLL
			for (int r = 0; r < rows->n; r++)
				integers[r] = first_integers(kind, &starts[r], (uint32_t)g);
			fetch_columns(type, fetch, traits[type].group);
			UNROLL
			for (int i = 0; i < vectors; i++)
				add_products(rows, scaled_columns(type, &part, p, vectors * k + i),
					     column + 4 * (size_t)i, integers);
			UNROLL
			for (int r = 0; r < rows->n; r++) {
				const struct group_inputs at = group_inputs(
					kind, &rows->in, r, (uint32_t)(column / 32), (uint32_t)g);
				IN_PLACE(integers[r]);
				/* gcc does not leave out a shift by nothing */
				const unsigned bits = scaled_bits(type, vectors * k);
				const __m512i sum =
					bits ? _mm512_srai_epi32(integers[r], bits) : integers[r];
				sums[r] = step(kind, sum, scales.scale[g], scales.minimum[g], &at,
					       sums[r]);
			}
		}
	}
}

/* `n` blocks, no more than SMALL_BLOCKS, from `block` on. */
FORCE_INLINE void blocks_32(uint32_t type, struct sixteen weights, struct fetch *fetch,
			    const struct meeting *rows, uint32_t block, uint32_t n,
			    __m512 sums[ROWS_MAX])
{
	const struct kind kind = kind_of(type);
	struct beside beside;
	struct starts starts[ROWS_MAX];
	set_starts(kind, rows, block, n, starts);
	collect_beside(type, weights, n, &beside);
	for (uint32_t b = 0; b < n; b++, weights.bytes += traits[type].bytes) {
		const __m512 scale = small_scale(type, &beside, b);
		const __m512 minimum = kind.minimum ? small_minimum(&beside, b) : scale;
		__m512i integers[ROWS_MAX];
		struct small_part part;
		UNROLL
		for (int r = 0; r < rows->n; r++)
			integers[r] = first_integers(kind, &starts[r], b);
		fetch_columns(type, fetch, 32);
		turn_small(type, weights, &beside, b, &part);
		UNROLL
		for (int i = 0; i < 8; i++)
			add_products(rows, small_columns(type, &part, i),
				     32 * (size_t)(block + b) + 4 * (size_t)i, integers);
		UNROLL
		for (int r = 0; r < rows->n; r++) {
			const struct group_inputs at =
				group_inputs(kind, &rows->in, r, block + b, 0);
			IN_PLACE(integers[r]);
			sums[r] = step(kind, integers[r], scale, minimum, &at, sums[r]);
		}
	}
}

FORCE_INLINE void add_blocks(uint32_t type, struct sixteen weights, struct fetch *fetch,
			     const struct meeting *rows, uint32_t block, uint32_t n,
			     __m512 sums[ROWS_MAX])
{
	if (traits[type].columns == 256)
		block_256(type, weights, fetch, rows, block, sums);
	else
		blocks_32(type, weights, fetch, rows, block, n, sums);
}

DIRECT_FUNCTION(direct_q4_0, TENSOR_Q4_0)
DIRECT_FUNCTION(direct_q4_1, TENSOR_Q4_1)
DIRECT_FUNCTION(direct_q5_0, TENSOR_Q5_0)
DIRECT_FUNCTION(direct_q5_1, TENSOR_Q5_1)
DIRECT_FUNCTION(direct_q8_0, TENSOR_Q8_0)
DIRECT_FUNCTION(direct_iq4_nl, TENSOR_IQ4_NL)
DIRECT_FUNCTION(direct_mxfp4, TENSOR_MXFP4)
DIRECT_FUNCTION(direct_q2_k, TENSOR_Q2_K)
DIRECT_FUNCTION(direct_q3_k, TENSOR_Q3_K)
DIRECT_FUNCTION(direct_q4_k, TENSOR_Q4_K)
DIRECT_FUNCTION(direct_q5_k, TENSOR_Q5_K)
DIRECT_FUNCTION(direct_q6_k, TENSOR_Q6_K)
DIRECT_FUNCTION(direct_iq4_xs, TENSOR_IQ4_XS)

static direct_fn *const functions[] = {
	[TENSOR_Q4_0] = direct_q4_0,     [TENSOR_Q4_1] = direct_q4_1,
	[TENSOR_Q5_0] = direct_q5_0,     [TENSOR_Q5_1] = direct_q5_1,
	[TENSOR_Q8_0] = direct_q8_0,     [TENSOR_Q2_K] = direct_q2_k,
	[TENSOR_Q3_K] = direct_q3_k,     [TENSOR_Q4_K] = direct_q4_k,
	[TENSOR_Q5_K] = direct_q5_k,     [TENSOR_Q6_K] = direct_q6_k,
	[TENSOR_IQ4_NL] = direct_iq4_nl, [TENSOR_IQ4_XS] = direct_iq4_xs,
	[TENSOR_MXFP4] = direct_mxfp4,
};

void avx512_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end)
{
	direct_or_c(functions[product->type], product, first, end);
}
