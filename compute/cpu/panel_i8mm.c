#include "compute/cpu/panel_neon.h"

/* Eight columns of two outputs make a vector; the four pairs of outputs lie together. */
FORCE_INLINE void panel_place(struct panel *panel, uint32_t output, uint32_t column,
			      const int8_t *q, uint32_t n)
{
	int8_t *to = panel->bytes + column * NEON_OUTPUTS + 8 * output;
	for (uint32_t c = 0; c < n; c += 8, to += 8 * NEON_OUTPUTS)
		memcpy(to, q + c, 8);
}

/* smmla: two outputs by two rows, so that a vector has {o0 r0, o0 r1, o1 r0, o1 r1}. */
FORCE_INLINE void tile_products(const struct panel *panel, uint32_t width, uint32_t column,
				const int8_t *const x[TILE_ROWS], int32x4_t products[TILE_ROWS][2])
{
	int32x4_t sums[TILE_ROWS / 2][4];
	for (uint32_t r = 0; r < TILE_ROWS / 2; r++)
		for (uint32_t p = 0; p < 4; p++)
			sums[r][p] = vdupq_n_s32(0);
	for (uint32_t c = 0; c < width; c += 8) {
		const int8_t *w = panel->bytes + (column + c) * NEON_OUTPUTS;
		for (uint32_t r = 0; r < TILE_ROWS / 2; r++) {
			const int8x16_t v =
				vcombine_s8(vld1_s8(x[2 * r] + c), vld1_s8(x[2 * r + 1] + c));
			for (uint32_t p = 0; p < 4; p++)
				sums[r][p] = vmmlaq_s32(sums[r][p], vld1q_s8(w + 16 * p), v);
		}
	}
	for (uint32_t r = 0; r < TILE_ROWS / 2; r++)
		for (uint32_t h = 0; h < 2; h++) {
			const int32x4_t a = sums[r][2 * h], b = sums[r][2 * h + 1];
			products[2 * r][h] = vuzp1q_s32(a, b);
			products[2 * r + 1][h] = vuzp2q_s32(a, b);
		}
}

void i8mm_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end)
{
	panels_run(product, first, end);
}
