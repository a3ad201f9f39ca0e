/* Products of quantised weights: columns of 32 outputs are unpacked into two panels, which meet all
 * rows of activations. Panels stay in the first cache. */
#include "compute/cpu/avx512.h"
#include "compute/cpu/c.h"
#include "compute/cpu/multiply_avx512.h"
#include "compute/cpu/segments.h"

/* Activation rows that share one unpacking. */
#define ROWS_AT_ONCE  128u
#define STRIP_OUTPUTS (PANELS * PANEL_OUTPUTS)
#define STREAMS       (PANELS + 1)

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
	sums_row sums[SEGMENTS][ROWS_AT_ONCE];
};

/* Asks for a share of the next strip's weights, as large as what is unpacked now, in STREAMS parts:
 * `part` of as many. The processor's own prefetching follows each stream, but stops at the end of a
 * page: several keep more on its way from memory than one. */
static void fetch_ahead(const struct strip *strip, size_t offset, size_t bytes, uint32_t part)
{
	const size_t step = STRIP_OUTPUTS * strip->outputs[0].stride / STREAMS;
	const size_t share = STRIP_OUTPUTS * bytes / STREAMS, piece = share / STREAMS;
	const uint8_t *ahead = strip->outputs[0].bytes + STREAMS * step +
			       STRIP_OUTPUTS * offset / STREAMS + part * piece;
	for (size_t i = 0; i < piece; i += 64)
		for (size_t s = 0; s < STREAMS; s++)
			_mm_prefetch((const char *)ahead + s * step + i, _MM_HINT_T1);
}

static void strip_columns(struct strip *strip, uint32_t block, uint32_t n, sums_row *sums)
{
	const struct format *format = strip->format;
	const uint32_t small = format->size / 32;
	const struct columns columns = { strip->panels, block * small, n * small,
					 strip->packing.offset };
	const size_t offset = (size_t)block * format->bytes;
	for (uint32_t p = 0; p < PANELS; p++) {
		const struct sixteen rows = { strip->outputs[p].bytes + offset,
					      strip->outputs[p].stride };
		fetch_ahead(strip, offset, (size_t)n * format->bytes, p);
		strip->packing.fill(format, rows, n, &strip->panels[p]);
	}
	fetch_ahead(strip, offset, (size_t)n * format->bytes, PANELS);
	strip->multiply(&columns, strip->in, strip->n_rows, sums);
}

static void strip_segment(struct strip *strip, uint32_t segment)
{
	const uint32_t step = PANEL_COLUMNS / strip->format->size;
	const uint32_t end = segment_first(segment + 1, strip->cut);
	sums_row *sums = strip->sums[segment];
	for (uint32_t r = 0; r < strip->n_rows; r++)
		for (int p = 0; p < PANELS; p++)
			sums[r][p] = _mm512_setzero_ps();
	for (uint32_t b = segment_first(segment, strip->cut); b < end; b += step)
		strip_columns(strip, b, end - b < step ? end - b : step, sums);
}

static __m512 tree(const struct strip *strip, uint32_t r, int p)
{
	__m512 pairs[SEGMENTS / 2];
	for (uint32_t i = 0; i < SEGMENTS / 2; i++)
		pairs[i] = _mm512_add_ps(strip->sums[2 * i][r][p], strip->sums[2 * i + 1][r][p]);
	return _mm512_add_ps(_mm512_add_ps(pairs[0], pairs[1]), _mm512_add_ps(pairs[2], pairs[3]));
}

/* `out`: of the first row. */
static void strip_run(struct strip *strip, float *out, size_t out_stride)
{
	for (uint32_t s = 0; s < SEGMENTS; s++)
		strip_segment(strip, s);
	for (uint32_t r = 0; r < strip->n_rows; r++, out += out_stride)
		for (int p = 0; p < PANELS; p++)
			_mm512_mask_storeu_ps(out + strip->place[p], strip->own[p],
					      tree(strip, r, p));
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
