/* panel_neon.h: products of quantised weights with many rows: up to 256 columns of eight outputs
 * are decoded into a panel once, and the panel meets all rows. The two ARM variants differ in how
 * the panel's bytes lie and in the instruction that multiplies them. Included by panel_neon.c and
 * panel_i8mm.c alone, each of which gives before:
 *   void panel_place(struct panel *panel, uint32_t output, uint32_t column, const int8_t *q,
 * uint32_t n) puts n bytes, a multiple of 16, of one output where the multiplication wants them;
 *   void tile_products(const struct panel *panel, uint32_t width, uint32_t column,
 *                      const int8_t *const x[TILE_ROWS], int32x4_t products[TILE_ROWS][2])
 *     width columns from `column` on by TILE_ROWS rows: eight outputs of each. */
#ifndef COMPUTE_CPU_PANEL_NEON_H
#define COMPUTE_CPU_PANEL_NEON_H

#include "compute/cpu/steps_neon.h"

#include <string.h>

/* Activation rows that share one decoding. */
#define ROWS_AT_ONCE 64u
#define TILE_ROWS    4u
#define COLUMNS      256u

struct panel {
	int8_t bytes[COLUMNS * NEON_OUTPUTS] __attribute__((aligned(64)));
	float scale[16][NEON_OUTPUTS], min[16][NEON_OUTPUTS]; /* of each group of columns */
};

FORCE_INLINE void panel_place(struct panel *panel, uint32_t output, uint32_t column,
			      const int8_t *q, uint32_t n);
FORCE_INLINE void tile_products(const struct panel *panel, uint32_t width, uint32_t column,
				const int8_t *const x[TILE_ROWS], int32x4_t products[TILE_ROWS][2]);

/* Some outputs, some rows. */
struct strip {
	const struct format *format;
	decode_fn *decode;
	const uint8_t *weights; /* of the first output */
	size_t weight_stride;
	const uint8_t *rows;
	size_t row_stride;
	uint32_t n_rows, n_in;
	struct cut cut;
	struct panel panel;
	float sums[SEGMENTS][ROWS_AT_ONCE][NEON_OUTPUTS];
};

static void panel_fill(struct strip *strip, uint32_t block, uint32_t n_blocks)
{
	const struct format *format = strip->format;
	const uint32_t groups = format->size / format->group;
	struct panel *panel = &strip->panel;
	for (uint32_t o = 0; o < NEON_OUTPUTS; o++) {
		const uint8_t *bytes =
			strip->weights + o * strip->weight_stride + (size_t)block * format->bytes;
		for (uint32_t b = 0; b < n_blocks; b++, bytes += format->bytes) {
			struct block decoded;
			strip->decode(bytes, &decoded);
			panel_place(panel, o, b * format->size, decoded.q, format->size);
			for (uint32_t g = 0; g < groups; g++) {
				panel->scale[b * groups + g][o] =
					decoded.d * (float)decoded.scale[g];
				if (format->minimum)
					panel->min[b * groups + g][o] =
						decoded.dmin * (float)decoded.min[g];
			}
		}
	}
}

/* `n_groups` groups from group `first` of the row on, which are the panel's, by up to TILE_ROWS
 * rows; missing ones repeat the last and are not kept. */
FORCE_INLINE void tile_run(struct grouping grouping, struct strip *strip, uint32_t segment,
			   uint32_t row, uint32_t first, uint32_t n_groups)
{
	struct input in[TILE_ROWS];
	float32x4_t sums[TILE_ROWS][2];
	const uint32_t left = strip->n_rows - row, n = left < TILE_ROWS ? left : TILE_ROWS;
	for (uint32_t r = 0; r < TILE_ROWS; r++) {
		const uint32_t at = row + (r < n ? r : n - 1);
		in[r] = input_of(strip->rows + at * strip->row_stride, strip->n_in);
		sums[r][0] = vld1q_f32(strip->sums[segment][at]);
		sums[r][1] = vld1q_f32(strip->sums[segment][at] + 4);
	}
	for (uint32_t g = 0; g < n_groups; g++) {
		const int8_t *x[TILE_ROWS];
		int32x4_t products[TILE_ROWS][2];
		for (uint32_t r = 0; r < TILE_ROWS; r++)
			x[r] = in[r].q + (size_t)(first + g) * grouping.width;
		tile_products(&strip->panel, grouping.width, g * grouping.width, x, products);
		for (uint32_t r = 0; r < TILE_ROWS; r++)
			for (uint32_t h = 0; h < 2; h++)
				sums[r][h] = step(
					grouping, products[r][h], strip->panel.scale[g] + 4 * h,
					strip->panel.min[g] + 4 * h, &in[r], first + g, sums[r][h]);
	}
	for (uint32_t r = 0; r < n; r++) {
		vst1q_f32(strip->sums[segment][row + r], sums[r][0]);
		vst1q_f32(strip->sums[segment][row + r] + 4, sums[r][1]);
	}
}

FORCE_INLINE void strip_segment(struct grouping grouping, struct strip *strip, uint32_t segment)
{
	const uint32_t groups = strip->format->size / grouping.width;
	const uint32_t step_blocks = COLUMNS / strip->format->size;
	const uint32_t end = segment_first(segment + 1, strip->cut);
	for (uint32_t b = segment_first(segment, strip->cut); b < end; b += step_blocks) {
		const uint32_t n = end - b < step_blocks ? end - b : step_blocks;
		panel_fill(strip, b, n);
		for (uint32_t r = 0; r < strip->n_rows; r += TILE_ROWS)
			tile_run(grouping, strip, segment, r, b * groups, n * groups);
	}
}

static void strip_run(struct strip *strip, float *out, size_t out_stride)
{
	const struct format *format = strip->format;
	memset(strip->sums, 0, sizeof(strip->sums));
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		if (format->group == 16 && format->minimum)
			strip_segment((struct grouping){ 16, true }, strip, s);
		else if (format->group == 16)
			strip_segment((struct grouping){ 16, false }, strip, s);
		else if (format->minimum)
			strip_segment((struct grouping){ 32, true }, strip, s);
		else
			strip_segment((struct grouping){ 32, false }, strip, s);
	}
	for (uint32_t r = 0; r < strip->n_rows; r++)
		for (uint32_t h = 0; h < 2; h++)
			vst1q_f32(out + r * out_stride + 4 * h,
				  tree(&strip->sums[0][r][4 * h], ROWS_AT_ONCE * NEON_OUTPUTS));
}

FORCE_INLINE void panels_run(const struct matmul *product, uint32_t first, uint32_t end)
{
	struct strip strip;
	if (first == end)
		return;
	strip.format = format_of(product->type);
	strip.decode = neon_decoder(product->type);
	strip.weight_stride = weight_row_bytes(product->type, product->n_in);
	strip.row_stride = row_bytes(ROW_I8, product->n_in);
	strip.n_in = product->n_in;
	strip.cut = cut_of(product, strip.format->size);
	for (uint32_t o = first; o < end; o += NEON_OUTPUTS) {
		strip.weights = product->weights + o * strip.weight_stride;
		for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
			const uint32_t left = product->n_rows - r;
			strip.n_rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
			strip.rows = product->rows + r * strip.row_stride;
			strip_run(&strip, product->out + r * product->out_stride + o,
				  product->out_stride);
		}
	}
}

#endif
