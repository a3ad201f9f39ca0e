/* Products of quantised weights with one or two rows: four outputs at a time, each block decoded
 * once. Bytes of one output lie in a row, so the sums of four outputs are folded together. */
#include "compute/cpu/steps_neon.h"

#define OUTPUTS 4

/* Four outputs of one block. */
struct quad {
	struct block blocks[OUTPUTS];
	float scale[BLOCK_GROUPS_MAX][OUTPUTS], min[BLOCK_GROUPS_MAX][OUTPUTS];
};

FORCE_INLINE void quad_fill(struct quad *quad, decode_fn *decode, const uint8_t *weights,
			    size_t stride, uint32_t groups, bool minimum)
{
	for (int o = 0; o < OUTPUTS; o++) {
		struct block *block = &quad->blocks[o];
		decode(weights + (size_t)o * stride, block);
		for (uint32_t g = 0; g < groups; g++) {
			quad->scale[g][o] = block->d * (float)block->scale[g];
			if (minimum)
				quad->min[g][o] = block->dmin * (float)block->min[g];
		}
	}
}

FORCE_INLINE int32x4_t group_products(const struct quad *quad, uint32_t width, uint32_t column,
				      const int8_t *x)
{
	int32x4_t sums[OUTPUTS];
	for (int o = 0; o < OUTPUTS; o++) {
		const int8_t *w = quad->blocks[o].q + column;
		sums[o] = vdotq_s32(vdupq_n_s32(0), vld1q_s8(w), vld1q_s8(x));
		if (width == 32)
			sums[o] = vdotq_s32(sums[o], vld1q_s8(w + 16), vld1q_s8(x + 16));
	}
	return vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
}

/* Four outputs of all rows. */
FORCE_INLINE void direct_quad(struct grouping grouping, const struct format *format,
			      decode_fn *decode, const struct matmul *product, uint32_t output)
{
	const size_t stride = weight_row_bytes(product->type, product->n_in);
	const size_t row_stride = row_bytes(ROW_I8, product->n_in);
	const uint8_t *weights = product->weights + output * stride;
	const struct cut cut = cut_of(product, format->size);
	const uint32_t groups = format->size / grouping.width;
	float sums[NEON_DIRECT_ROWS][SEGMENTS][OUTPUTS] = { 0 };
	struct quad quad;
	for (uint32_t s = 0; s < SEGMENTS; s++) {
		const uint32_t end = segment_first(s + 1, cut);
		for (uint32_t b = segment_first(s, cut); b < end; b++) {
			quad_fill(&quad, decode, weights + (size_t)b * format->bytes, stride,
				  groups, grouping.minimum);
			for (uint32_t r = 0; r < product->n_rows; r++) {
				const struct input in =
					input_of(product->rows + r * row_stride, product->n_in);
				float32x4_t sum = vld1q_f32(sums[r][s]);
				for (uint32_t g = 0; g < groups; g++) {
					const uint32_t at = g * grouping.width;
					sum = step(grouping,
						   group_products(&quad, grouping.width, at,
								  in.q + b * format->size + at),
						   quad.scale[g], quad.min[g], &in, b * groups + g,
						   sum);
				}
				vst1q_f32(sums[r][s], sum);
			}
		}
	}
	for (uint32_t r = 0; r < product->n_rows; r++)
		vst1q_f32(product->out + r * product->out_stride + output,
			  tree(sums[r][0], OUTPUTS));
}

void neon_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end)
{
	const struct format *format = format_of(product->type);
	decode_fn *decode = first < end ? neon_decoder(product->type) : NULL;
	for (uint32_t o = first; o < end; o += OUTPUTS) {
		if (format->group == 16 && format->minimum)
			direct_quad((struct grouping){ 16, true }, format, decode, product, o);
		else if (format->group == 16)
			direct_quad((struct grouping){ 16, false }, format, decode, product, o);
		else if (format->minimum)
			direct_quad((struct grouping){ 32, true }, format, decode, product, o);
		else
			direct_quad((struct grouping){ 32, false }, format, decode, product, o);
	}
}
