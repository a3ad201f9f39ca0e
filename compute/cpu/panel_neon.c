#include "compute/cpu/panel_neon.h"

/* Four columns of all eight outputs lie together. */
FORCE_INLINE void panel_place(struct panel *panel, uint32_t output, uint32_t column,
			      const int8_t *q, uint32_t n)
{
	int8_t *to = panel->bytes + column * NEON_OUTPUTS + 4 * output;
	for (uint32_t c = 0; c < n; c += 4, to += 4 * NEON_OUTPUTS)
		memcpy(to, q + c, 4);
}

/* Four columns: lane `lane` of each row's 16. */
#define ADD_LANE(lane)                                                                             \
	do {                                                                                       \
		const int8x16_t low = vld1q_s8(w + 32 * (lane));                                   \
		const int8x16_t high = vld1q_s8(w + 32 * (lane) + 16);                             \
		for (uint32_t r = 0; r < TILE_ROWS; r++) {                                         \
			products[r][0] = vdotq_laneq_s32(products[r][0], low, v[r], lane);         \
			products[r][1] = vdotq_laneq_s32(products[r][1], high, v[r], lane);        \
		}                                                                                  \
	} while (0)

FORCE_INLINE void tile_products(const struct panel *panel, uint32_t width, uint32_t column,
				const int8_t *const x[TILE_ROWS], int32x4_t products[TILE_ROWS][2])
{
	for (uint32_t r = 0; r < TILE_ROWS; r++)
		products[r][0] = products[r][1] = vdupq_n_s32(0);
	for (uint32_t c = 0; c < width; c += 16) {
		const int8_t *w = panel->bytes + (column + c) * NEON_OUTPUTS;
		int8x16_t v[TILE_ROWS];
		for (uint32_t r = 0; r < TILE_ROWS; r++)
			v[r] = vld1q_s8(x[r] + c);
		ADD_LANE(0);
		ADD_LANE(1);
		ADD_LANE(2);
		ADD_LANE(3);
	}
}

void neon_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end)
{
	panels_run(product, first, end);
}
