#include "compute/cpu/c.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"

#include <string.h>

/* Activation rows that share one decoding of a weight block. */
#define ROWS_AT_ONCE 64u

/* What an output row of a product reads, for up to ROWS_AT_ONCE activation rows. */
struct strip {
	const struct format *format; /* NULL: floats */
	uint32_t type, n_in;
	struct cut cut;
	uint32_t n_rows;
	const uint8_t *weights;
	const uint8_t *rows;
	size_t row_stride;
};

/* A block of weights joins the sum of one activation row: one step for each group of columns that
 * share a scale, one more where the format has minima. `row` and `column`: where the block begins.
 */
static float block_add(const struct format *format, const struct block *block, const uint8_t *row,
		       uint32_t n_in, uint32_t column, float sum)
{
	const int8_t *x = (const int8_t *)row + column;
	const float *scales = (const void *)(row + row_scale_offset(n_in));
	for (uint32_t g = 0; g < format->size / format->group; g++) {
		const float scale = scales[(column + g * format->group) / ROW_BLOCK];
		int32_t products = 0, plain = 0;
		for (uint32_t c = g * format->group; c < (g + 1) * format->group; c++) {
			products += block->q[c] * x[c];
			plain += x[c];
		}
		const float factor = block->d * (float)block->scale[g] * scale;
		sum = __builtin_fmaf(factor, (float)products, sum);
		if (format->minimum)
			sum = __builtin_fmaf(-(block->dmin * (float)block->min[g]),
					     scale * (float)plain, sum);
	}
	return sum;
}

static void integer_block(const struct strip *strip, uint32_t index, float sums[ROWS_AT_ONCE])
{
	const struct format *format = strip->format;
	struct block block;
	format->decode(strip->weights + (size_t)index * format->bytes, &block);
	for (uint32_t r = 0; r < strip->n_rows; r++)
		sums[r] = block_add(format, &block, strip->rows + r * strip->row_stride,
				    strip->n_in, index * format->size, sums[r]);
}

static void float_block(const struct strip *strip, uint32_t index, float sums[ROWS_AT_ONCE])
{
	const uint32_t first = index * FLOAT_BLOCK;
	const uint32_t left = strip->n_in - first;
	const uint32_t end = first + (left < FLOAT_BLOCK ? left : FLOAT_BLOCK);
	for (uint32_t c = first; c < end; c++) {
		const float weight = format_float(strip->type, strip->weights, c);
		for (uint32_t r = 0; r < strip->n_rows; r++) {
			const float *x = (const void *)(strip->rows + r * strip->row_stride);
			sums[r] = __builtin_fmaf(weight, x[c], sums[r]);
		}
	}
}

static float tree(const float sums[SEGMENTS][ROWS_AT_ONCE], uint32_t r)
{
	return ((sums[0][r] + sums[1][r]) + (sums[2][r] + sums[3][r])) +
	       ((sums[4][r] + sums[5][r]) + (sums[6][r] + sums[7][r]));
}

static void strip_run(const struct strip *strip, float *out, size_t out_stride)
{
	float sums[SEGMENTS][ROWS_AT_ONCE];
	memset(sums, 0, sizeof(sums));
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, strip->cut);
		for (uint32_t b = segment_first(s, strip->cut); b < end; b++) {
			if (strip->format)
				integer_block(strip, b, sums[s]);
			else
				float_block(strip, b, sums[s]);
		}
	}
	for (uint32_t r = 0; r < strip->n_rows; r++)
		out[r * out_stride] = tree(sums, r);
}

void c_matmul(const struct matmul *product, uint32_t first, uint32_t end)
{
	const struct format *format = format_of(product->type);
	const size_t weight_stride = weight_row_bytes(product->type, product->n_in);
	struct strip strip = {
		.format = format,
		.type = product->type,
		.n_in = product->n_in,
		.cut = cut_of(product, format ? format->size : FLOAT_BLOCK),
		.row_stride = row_bytes(row_format_of(product->type), product->n_in),
	};
	for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
		const uint32_t left = product->n_rows - r;
		strip.n_rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
		strip.rows = product->rows + r * strip.row_stride;
		for (uint32_t o = first; o < end; o++) {
			strip.weights = product->weights + o * weight_stride;
			strip_run(&strip, product->out + r * product->out_stride + o,
				  product->out_stride);
		}
	}
}
