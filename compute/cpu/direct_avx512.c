/* Products of quantised weights with one or two rows: weights of sixteen outputs go from their file
 * form through registers. */
#include "compute/cpu/avx512.h"
#include "compute/cpu/c.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/steps_avx512.h"
#include "compute/cpu/unpack_256_avx512.h"
#include "compute/cpu/unpack_32_avx512.h"

#define ROWS_MAX        2
#define FETCH_BYTES_MIN (12u << 10)

FORCE_INLINE struct kind kind_of(uint32_t type)
{
	return (struct kind){ traits[type].group == 16, traits[type].minima };
}

/* Where integers start, one number a group: read one by one. */
struct starts {
	int32_t group[PANEL_GROUPS] __attribute__((aligned(64)));
};

FORCE_INLINE __m512i first_integers(struct kind kind, const struct starts *starts, uint32_t group)
{
	return kind.minimum ? _mm512_setzero_si512() : _mm512_set1_epi32(starts->group[group]);
}

/* Rows to come, as those at work lie now: `bytes` from `from` on are at work. */
struct ahead {
	struct sixteen rows;
	size_t from, bytes;
};

/* Asks for share `index` of `shares` of what comes: few lines at a time, for what a processor
 * cannot ask for at once, it may leave; and of each row what is at work now, so that its own
 * prefetching sees as many even streams as there are rows. */
FORCE_INLINE void fetch(const struct ahead *ahead, uint32_t index, uint32_t shares)
{
	const uint32_t begin = index * PANEL_OUTPUTS / shares;
	const uint32_t end = (index + 1) * PANEL_OUTPUTS / shares;
	const size_t first = (ahead->from + 63) & ~(size_t)63;
	for (size_t i = first; i < ahead->from + ahead->bytes; i += 64)
		for (uint32_t r = begin; r < end; r++)
			_mm_prefetch((const char *)ahead->rows.bytes + r * ahead->rows.stride + i,
				     _MM_HINT_T1);
}

/* Sixteen rows of weights meet `n` rows of activations. */
struct meeting {
	struct inputs in;
	int n;
	int32_t offset; /* what weights are too large by */
};

FORCE_INLINE void set_starts(struct kind kind, const struct meeting *rows, uint32_t block,
			     uint32_t n, struct starts starts[ROWS_MAX])
{
	if (kind.minimum)
		return;
	UNROLL
	for (int r = 0; r < rows->n; r++)
		_mm512_store_si512(starts[r].group,
				   starts_of(kind, &rows->in, r, block, n, rows->offset));
}

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
FORCE_INLINE void block_256(uint32_t type, struct sixteen weights, const struct ahead *ahead,
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
			fetch(ahead, (uint32_t)g, 256 / traits[type].group);
			UNROLL
			for (int i = 0; i < vectors; i++)
				add_products(rows, part_columns(type, &part, p, vectors * k + i),
					     column + 4 * (size_t)i, integers);
			UNROLL
			for (int r = 0; r < rows->n; r++) {
				const struct group_inputs at = group_inputs(
					kind, &rows->in, r, (uint32_t)(column / 32), (uint32_t)g);
				sums[r] = step(kind, integers[r], scales.scale[g],
					       scales.minimum[g], &at, sums[r]);
			}
		}
	}
}

/* `n` blocks, no more than SMALL_BLOCKS, from `block` on. */
FORCE_INLINE void blocks_32(uint32_t type, struct sixteen weights, const struct ahead *ahead,
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
		fetch(ahead, b, n);
		turn_small(type, weights, &beside, b, &part);
		UNROLL
		for (int i = 0; i < 8; i++)
			add_products(rows, small_columns(type, &part, i),
				     32 * (size_t)(block + b) + 4 * (size_t)i, integers);
		UNROLL
		for (int r = 0; r < rows->n; r++) {
			const struct group_inputs at =
				group_inputs(kind, &rows->in, r, block + b, 0);
			sums[r] = step(kind, integers[r], scale, minimum, &at, sums[r]);
		}
	}
}

/* ---- rows of blocks ---- */

FORCE_INLINE void direct_segment(uint32_t type, struct sixteen weights, struct sixteen ahead,
				 const struct meeting *rows, uint32_t first, uint32_t end,
				 __m512 sums[ROWS_MAX])
{
	const uint32_t step = PANEL_COLUMNS / traits[type].columns;
	UNROLL
	for (int r = 0; r < rows->n; r++)
		sums[r] = _mm512_setzero_ps();
	for (uint32_t b = first; b < end; b += step) {
		const uint32_t n = end - b < step ? end - b : step;
		const size_t from = (size_t)b * traits[type].bytes;
		const struct sixteen at = { weights.bytes + from, weights.stride };
		const struct ahead next = { ahead, from, (size_t)n * traits[type].bytes };
		if (traits[type].columns == 256)
			block_256(type, at, &next, rows, b, sums);
		else
			blocks_32(type, at, &next, rows, b, n, sums);
	}
}

/* Gives the sums in sums[0]. */
FORCE_INLINE void direct_sixteen(uint32_t type, struct sixteen weights, struct sixteen ahead,
				 const struct meeting *rows, struct cut cut,
				 __m512 sums[SEGMENTS][ROWS_MAX])
{
	for (uint32_t s = 0; s < SEGMENTS; s++)
		direct_segment(type, weights, ahead, rows, segment_first(s, cut),
			       segment_first(s + 1, cut), sums[s]);
	for (uint32_t step = 1; step < SEGMENTS; step *= 2)
		for (uint32_t s = 0; s < SEGMENTS; s += 2 * step)
			for (int r = 0; r < rows->n; r++)
				sums[s][r] = _mm512_add_ps(sums[s][r], sums[s + step][r]);
}

/* Outputs from `first` on; sixteen that would go beyond `end` begin so much lower. `n`: rows. */
FORCE_INLINE void direct_run(uint32_t type, const struct matmul *product, int n, uint32_t first,
			     uint32_t end)
{
	const struct meeting rows = { inputs_of(product), n, packing_of(type).offset };
	const size_t stride = weight_row_bytes(type, product->n_in);
	const size_t whole = PANEL_OUTPUTS * stride;
	const size_t distance = (FETCH_BYTES_MIN + whole - 1) / whole * whole;
	const struct cut cut = cut_of(product, traits[type].columns);
	for (uint32_t o = first; o < end; o += PANEL_OUTPUTS) {
		const uint32_t at = o + PANEL_OUTPUTS <= end ? o : end - PANEL_OUTPUTS;
		const __mmask16 own = (__mmask16)(0xffffu << (o - at));
		const struct sixteen weights = { product->weights + at * stride, stride };
		const struct sixteen ahead = { weights.bytes + distance, stride };
		__m512 sums[SEGMENTS][ROWS_MAX];
		direct_sixteen(type, weights, ahead, &rows, cut, sums);
		for (int r = 0; r < n; r++)
			_mm512_mask_storeu_ps(product->out + (size_t)r * product->out_stride + at,
					      own, sums[0][r]);
	}
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define DIRECT_FUNCTION(name, type)                                                                \
	static void name(const struct matmul *product, uint32_t first, uint32_t end)               \
	{                                                                                          \
		if (product->n_rows == 1)                                                          \
			direct_run(type, product, 1, first, end);                                  \
		else                                                                               \
			direct_run(type, product, 2, first, end);                                  \
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

typedef void direct_fn(const struct matmul *product, uint32_t first, uint32_t end);

static direct_fn *const functions[] = {
	[TENSOR_Q4_0] = direct_q4_0,     [TENSOR_Q4_1] = direct_q4_1,
	[TENSOR_Q5_0] = direct_q5_0,     [TENSOR_Q5_1] = direct_q5_1,
	[TENSOR_Q8_0] = direct_q8_0,     [TENSOR_Q2_K] = direct_q2_k,
	[TENSOR_Q3_K] = direct_q3_k,     [TENSOR_Q4_K] = direct_q4_k,
	[TENSOR_Q5_K] = direct_q5_k,     [TENSOR_Q6_K] = direct_q6_k,
	[TENSOR_IQ4_NL] = direct_iq4_nl, [TENSOR_IQ4_XS] = direct_iq4_xs,
	[TENSOR_MXFP4] = direct_mxfp4,
};

bool avx512_has_direct(uint32_t type)
{
	return type < sizeof(functions) / sizeof(functions[0]) && functions[type];
}

/* Fewer than sixteen outputs in all are the reference's. */
void avx512_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end)
{
	if (end < PANEL_OUTPUTS)
		c_matmul(product, first, end);
	else
		functions[product->type](product, first, end);
}
