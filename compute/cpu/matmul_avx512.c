/* Products of quantised weights: columns of 32 outputs are unpacked into two panels, which meet all
 * rows of activations. Panels stay in the first cache. */
#include "compute/cpu/avx512.h"
#include "compute/cpu/c.h"
#include "compute/cpu/multiply_avx512.h"
#include "compute/cpu/segments.h"

#include <string.h>

/* Activation rows that share one unpacking. */
#define ROWS_AT_ONCE  128u
#define STRIP_OUTPUTS (PANELS * PANEL_OUTPUTS)

/* Some outputs, some rows. */
struct strip {
	const struct format *format;
	struct packing packing;
	multiply_fn *multiply;
	struct cut cut;
	struct sixteen outputs[PANELS];
	uint32_t place[PANELS]; /* in the product, of the first of sixteen outputs */
	__mmask16 own[PANELS];  /* those of them that are this strip's */
	struct inputs in;
	uint32_t n_rows;
	struct panel panels[PANELS];
	/* Sums that wait for their neighbours in the tree, and last those of a segment that joins
	 * others as soon as it is whole. */
	sums_row levels[SEGMENT_LEVELS + 1][ROWS_AT_ONCE];
};

/* A share of the next strip's weights, as large as what is unpacked now. */
static struct ahead next_weights(const struct strip *strip, size_t offset, size_t bytes)
{
	const size_t whole = STRIP_OUTPUTS * strip->outputs[0].stride;
	return ahead_of(strip->outputs[0].bytes + whole, whole, STRIP_OUTPUTS * offset,
			STRIP_OUTPUTS * bytes, PANELS + multiply_tiles(strip->n_rows));
}

/* Of a segment that begins or goes on. */
static void strip_columns(struct strip *strip, uint32_t block, uint32_t n, bool begin,
			  sums_row *sums)
{
	const struct format *format = strip->format;
	const uint32_t small = format->size / 32;
	const struct columns columns = { strip->panels, block * small, n * small,
					 strip->packing.offset, begin };
	const size_t offset = (size_t)block * format->bytes;
	struct ahead ahead = next_weights(strip, offset, (size_t)n * format->bytes);
	for (uint32_t p = 0; p < PANELS; p++) {
		const struct sixteen rows = { strip->outputs[p].bytes + offset,
					      strip->outputs[p].stride };
		ahead_ask(&ahead);
		strip->packing.fill(format, rows, n, &strip->panels[p]);
	}
	strip->multiply(&columns, strip->in, strip->n_rows, sums, &ahead);
}

/* The newest sums join those that wait at the lowest `joins` levels, and wait above them. */
FORCE_INLINE void strip_join(struct strip *strip, uint32_t joins)
{
	for (uint32_t r = 0; r < strip->n_rows; r++) {
		UNROLL
		for (int p = 0; p < PANELS; p++) {
			__m512 sum = strip->levels[SEGMENT_LEVELS][r][p];
			UNROLL
			for (uint32_t level = 0; level < joins; level++)
				sum = _mm512_add_ps(strip->levels[level][r][p], sum);
			strip->levels[joins][r][p] = sum;
		}
	}
}

/* The sums of an odd segment join the tree; those of an even one wait where they were made. */
static void strip_tree(struct strip *strip, uint32_t segment)
{
	if (segment % 8 == 7)
		strip_join(strip, 3);
	else if (segment % 4 == 3)
		strip_join(strip, 2);
	else if (segment % 2 == 1)
		strip_join(strip, 1);
}

static void strip_segment(struct strip *strip, uint32_t segment)
{
	const uint32_t step = PANEL_COLUMNS / strip->format->size;
	const uint32_t first = segment_first(segment, strip->cut);
	const uint32_t end = segment_first(segment + 1, strip->cut);
	sums_row *sums = strip->levels[segment % 2 ? SEGMENT_LEVELS : 0];
	if (first == end)
		memset(sums, 0, strip->n_rows * sizeof(*sums));
	for (uint32_t b = first; b < end; b += step)
		strip_columns(strip, b, end - b < step ? end - b : step, b == first, sums);
	strip_tree(strip, segment);
}

/* `out`: of the first row. */
static void strip_run(struct strip *strip, float *out, size_t out_stride)
{
	for (uint32_t s = 0; s < SEGMENTS; s++)
		strip_segment(strip, s);
	for (uint32_t r = 0; r < strip->n_rows; r++, out += out_stride)
		for (int p = 0; p < PANELS; p++)
			_mm512_mask_storeu_ps(out + strip->place[p], strip->own[p],
					      strip->levels[SEGMENT_LEVELS][r][p]);
}

/* Outputs from `first` on. Sixteen that would go beyond `end`, which is no less than sixteen, lie
 * so much lower. */
static void strip_place(struct strip *strip, const struct matmul *product, uint32_t first,
			uint32_t end)
{
	const size_t stride = weight_row_bytes(product->type, product->n_in);
	for (uint32_t p = 0; p < PANELS; p++) {
		const uint32_t from = first + p * PANEL_OUTPUTS;
		const uint32_t last = end - PANEL_OUTPUTS;
		strip->place[p] = from < last ? from : last;
		const uint32_t back = from - strip->place[p];
		strip->own[p] = (__mmask16)(back < PANEL_OUTPUTS ? 0xffffu << back : 0);
		strip->outputs[p].bytes = product->weights + strip->place[p] * stride;
		strip->outputs[p].stride = stride;
	}
}

/* Fewer than sixteen outputs in all are the reference's. */
void avx512_matmul_integer(const struct matmul *product, uint32_t first, uint32_t end)
{
	if (end < PANEL_OUTPUTS) {
		c_matmul(product, first, end);
		return;
	}
	struct strip strip;
	strip.format = format_of(product->type);
	strip.packing = packing_of(product->type);
	strip.multiply = multiply_of(strip.format);
	strip.cut = cut_of(product, strip.format->size);
	strip.in = inputs_of(product);
	for (uint32_t o = first; o < end; o += STRIP_OUTPUTS) {
		strip_place(&strip, product, o, end);
		for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
			const uint32_t left = product->n_rows - r;
			strip.in.rows = product->rows + r * strip.in.stride;
			strip.n_rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
			strip_run(&strip, product->out + r * product->out_stride,
				  product->out_stride);
		}
	}
}
