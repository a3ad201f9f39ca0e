/* Products of quantised weights with one row: weights of sixteen outputs go from their file form
 * through registers. */
#include "compute/cpu/avx512.h"
#include "compute/cpu/c.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/steps_avx512.h"
#include "compute/cpu/unpack_256_avx512.h"
#include "compute/cpu/unpack_32_avx512.h"

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

/* Block `block` of sixteen rows joins their sums. */
FORCE_INLINE __m512 block_256(uint32_t type, struct sixteen rows, const struct ahead *ahead,
			      const struct inputs *in, uint32_t block, int32_t offset, __m512 sum)
{
	const struct kind kind = kind_of(type);
	const int vectors = traits[type].group / 4, groups = traits[type].part / traits[type].group;
	struct k_scales scales;
	struct k_part part;
	struct starts starts;
	if (!kind.minimum)
		_mm512_store_si512(starts.group, starts_of(kind, in, 0, 8 * block, 8, offset));
	unpack_scales(type, rows, &scales);
	turn_shared(type, rows, &part);
	UNROLL
	for (int p = 0; p < 256 / traits[type].part; p++) {
		turn_part(type, rows, (size_t)p, &part);
		UNROLL
		for (int k = 0; k < groups; k++) {
			const int g = groups * p + k;
			const uint8_t *x = in->rows + 256 * (size_t)block + 4 * vectors * g;
			const uint32_t small = 8 * block + (uint32_t)(g / (kind.fine ? 2 : 1));
			const struct group_inputs at =
				group_inputs(kind, in, 0, small, (uint32_t)g);
			__m512i integers = first_integers(kind, &starts, (uint32_t)g);
			fetch(ahead, (uint32_t)g, 256 / traits[type].group);
			UNROLL
			for (int i = 0; i < vectors; i++)
				integers = _mm512_dpbusd_epi32(
					integers, part_columns(type, &part, p, vectors * k + i),
					repeat_32(x + 4 * i));
			sum = step(kind, integers, scales.scale[g], scales.minimum[g], &at, sum);
		}
	}
	return sum;
}

/* `n` blocks, no more than SMALL_BLOCKS, from `block` on. */
FORCE_INLINE __m512 blocks_32(uint32_t type, struct sixteen rows, const struct ahead *ahead,
			      const struct inputs *in, uint32_t block, uint32_t n, int32_t offset,
			      __m512 sum)
{
	const struct kind kind = kind_of(type);
	struct beside beside;
	struct starts starts;
	if (!kind.minimum)
		_mm512_store_si512(starts.group, starts_of(kind, in, 0, block, n, offset));
	collect_beside(type, rows, n, &beside);
	for (uint32_t b = 0; b < n; b++, rows.bytes += traits[type].bytes) {
		const uint8_t *x = in->rows + 32 * (size_t)(block + b);
		const struct group_inputs at = group_inputs(kind, in, 0, block + b, 0);
		const __m512 scale = small_scale(type, &beside, b);
		const __m512 minimum = kind.minimum ? small_minimum(&beside, b) : scale;
		__m512i integers = first_integers(kind, &starts, b);
		struct small_part part;
		fetch(ahead, b, n);
		turn_small(type, rows, &beside, b, &part);
		UNROLL
		for (int i = 0; i < 8; i++)
			integers = _mm512_dpbusd_epi32(integers, small_columns(type, &part, i),
						       repeat_32(x + 4 * i));
		sum = step(kind, integers, scale, minimum, &at, sum);
	}
	return sum;
}

/* ---- rows of blocks ---- */

FORCE_INLINE __m512 direct_segment(uint32_t type, struct sixteen rows, struct sixteen ahead,
				   const struct inputs *in, uint32_t first, uint32_t end,
				   int32_t offset)
{
	const uint32_t step = PANEL_COLUMNS / traits[type].columns;
	__m512 sum = _mm512_setzero_ps();
	for (uint32_t b = first; b < end; b += step) {
		const uint32_t n = end - b < step ? end - b : step;
		const size_t from = (size_t)b * traits[type].bytes;
		const struct sixteen at = { rows.bytes + from, rows.stride };
		const struct ahead next = { ahead, from, (size_t)n * traits[type].bytes };
		sum = traits[type].columns == 256
			      ? block_256(type, at, &next, in, b, offset, sum)
			      : blocks_32(type, at, &next, in, b, n, offset, sum);
	}
	return sum;
}

FORCE_INLINE __m512 direct_sixteen(uint32_t type, struct sixteen rows, struct sixteen ahead,
				   const struct inputs *in, struct cut cut, int32_t offset)
{
	__m512 sums[SEGMENTS];
	for (uint32_t s = 0; s < SEGMENTS; s++)
		sums[s] = direct_segment(type, rows, ahead, in, segment_first(s, cut),
					 segment_first(s + 1, cut), offset);
	for (uint32_t step = 1; step < SEGMENTS; step *= 2)
		for (uint32_t s = 0; s < SEGMENTS; s += 2 * step)
			sums[s] = _mm512_add_ps(sums[s], sums[s + step]);
	return sums[0];
}

/* Outputs from `first` on; sixteen that would go beyond `end` begin so much lower. */
FORCE_INLINE void direct_run(uint32_t type, const struct matmul *product, uint32_t first,
			     uint32_t end)
{
	const struct inputs in = inputs_of(product);
	const size_t stride = weight_row_bytes(type, product->n_in);
	const size_t whole = PANEL_OUTPUTS * stride;
	const size_t distance = (FETCH_BYTES_MIN + whole - 1) / whole * whole;
	const struct cut cut = cut_of(product, traits[type].columns);
	const int32_t offset = packing_of(type).offset;
	for (uint32_t o = first; o < end; o += PANEL_OUTPUTS) {
		const uint32_t at = o + PANEL_OUTPUTS <= end ? o : end - PANEL_OUTPUTS;
		const __mmask16 own = (__mmask16)(0xffffu << (o - at));
		const struct sixteen rows = { product->weights + at * stride, stride };
		const struct sixteen ahead = { rows.bytes + distance, stride };
		_mm512_mask_storeu_ps(product->out + at, own,
				      direct_sixteen(type, rows, ahead, &in, cut, offset));
	}
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define DIRECT_FUNCTION(name, type)                                                                \
	static void name(const struct matmul *product, uint32_t first, uint32_t end)               \
	{                                                                                          \
		direct_run(type, product, first, end);                                             \
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
