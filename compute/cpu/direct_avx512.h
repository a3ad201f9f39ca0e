/* direct_avx512.h: products of quantised weights with one or two rows: weights of sixteen outputs
 * go from their file form through registers, segment after segment. What blocks do is the business
 * of who includes this. */
#ifndef COMPUTE_CPU_DIRECT_AVX512_H
#define COMPUTE_CPU_DIRECT_AVX512_H

#include "compute/cpu/avx512.h"
#include "compute/cpu/c.h"
#include "compute/cpu/fetch.h"
#include "compute/cpu/segments.h"
#include "compute/cpu/steps_avx512.h"
#include "compute/cpu/traits_avx512.h"

#define ROWS_MAX 2

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

/* Asks for what `columns` of sixteen rows take. */
FORCE_INLINE void fetch_columns(uint32_t type, struct fetch *fetch, uint32_t columns)
{
	fetch_next(fetch,
		   (size_t)PANEL_OUTPUTS * traits[type].bytes * columns / traits[type].columns);
}

/* Keeps the compiler from working out a group elsewhere than where memory is asked for. */
#define IN_PLACE(vector) __asm__ volatile("" : "+v"(vector))

/* `n` blocks of the weights, those of PANEL_COLUMNS columns or fewer, join the sums; `block` is the
 * first of them. Defined by who includes this. */
FORCE_INLINE void add_blocks(uint32_t type, struct sixteen weights, struct fetch *fetch,
			     const struct meeting *rows, uint32_t block, uint32_t n,
			     __m512 sums[ROWS_MAX]);

/* ---- rows of blocks ---- */

/* The sums of those segments that are done, `n`; the one at work ends before block `border`. */
struct segments {
	__m512 done[SEGMENTS][ROWS_MAX];
	uint32_t n, border;
};

/* Ends the segments that end before `block`, of which some may be empty: `sums` are done, and
 * become zero. */
FORCE_INLINE void end_segments(struct segments *segments, int rows, struct cut cut, uint32_t block,
			       __m512 *sums)
{
	while (segments->n < SEGMENTS && segments->border == block) {
		for (int r = 0; r < rows; r++) {
			segments->done[segments->n][r] = sums[r];
			sums[r] = _mm512_setzero_ps();
		}
		segments->n++;
		segments->border = segment_first(segments->n + 1, cut);
	}
}

/* The sum of all of them is in done[0] then. */
FORCE_INLINE void add_segments(struct segments *segments, int rows)
{
	for (uint32_t step = 1; step < SEGMENTS; step *= 2)
		for (uint32_t s = 0; s < SEGMENTS; s += 2 * step)
			for (int r = 0; r < rows; r++)
				segments->done[s][r] = _mm512_add_ps(segments->done[s][r],
								     segments->done[s + step][r]);
}

/* One loop for all blocks: within one for the segments, the compiler would work out sixteen rows'
 * addresses anew for each. */
FORCE_INLINE void direct_sixteen(uint32_t type, struct sixteen weights, struct fetch *fetch,
				 const struct meeting *rows, struct cut cut,
				 struct segments *segments)
{
	const uint32_t most = PANEL_COLUMNS / traits[type].columns;
	__m512 sums[ROWS_MAX];
	uint32_t n;
	for (int r = 0; r < rows->n; r++)
		sums[r] = _mm512_setzero_ps();
	segments->n = 0;
	segments->border = segment_first(1, cut);
	end_segments(segments, rows->n, cut, 0, sums);
	for (uint32_t b = 0; b < cut.n_held; b += n) {
		n = segments->border - b < most ? segments->border - b : most;
		const size_t from = (size_t)b * traits[type].bytes;
		const struct sixteen at = { weights.bytes + from, weights.stride };
		add_blocks(type, at, fetch, rows, b, n, sums);
		end_segments(segments, rows->n, cut, b + n, sums);
	}
	add_segments(segments, rows->n);
}

/* Outputs from `first` on; sixteen that would go beyond `end` begin so much lower. `n`: rows. */
FORCE_INLINE void direct_run(uint32_t type, const struct matmul *product, int n, uint32_t first,
			     uint32_t end)
{
	const struct meeting rows = { inputs_of(product), n, packing_of(type).offset };
	const size_t stride = weight_row_bytes(type, product->n_in);
	const struct cut cut = cut_of(product, traits[type].columns);
	struct fetch fetch = fetch_after(product->weights + first * stride, PANEL_OUTPUTS * stride);
	for (uint32_t o = first; o < end; o += PANEL_OUTPUTS) {
		const uint32_t at = o + PANEL_OUTPUTS <= end ? o : end - PANEL_OUTPUTS;
		const __mmask16 own = (__mmask16)(0xffffu << (o - at));
		const struct sixteen weights = { product->weights + at * stride, stride };
		struct segments segments;
		direct_sixteen(type, weights, &fetch, &rows, cut, &segments);
		for (int r = 0; r < n; r++)
			_mm512_mask_storeu_ps(product->out + (size_t)r * product->out_stride + at,
					      own, segments.done[0][r]);
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

typedef void direct_fn(const struct matmul *product, uint32_t first, uint32_t end);

/* Fewer than sixteen outputs in all are the reference's. */
static inline void direct_or_c(direct_fn *direct, const struct matmul *product, uint32_t first,
			       uint32_t end)
{
	if (end < PANEL_OUTPUTS)
		c_matmul(product, first, end);
	else
		direct(product, first, end);
}

#endif
