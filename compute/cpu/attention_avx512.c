#include "compute/cpu/attention_avx512.h"

#include "compute/cpu/attention_avx2.h"
#include "compute/cpu/avx512.h"

static const struct tile_steps steps = {
	.quantise = avx2_quantise_query,
	.score = avx512_score_tile,
	.cap = avx2_cap_scores,
	.weigh = avx2_weigh,
	.add_values = avx512_add_values,
	.join = avx2_join,
	.finish = avx2_finish,
};

void avx512_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
			   uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	tiles_rows(&steps, attention, q, q_stride, n_rows, position, out, out_stride);
}

void avx512_attention_tile(const struct attention *attention, const float *q, uint32_t position,
			   uint32_t tile, float *partial)
{
	tiles_one(&steps, attention, q, position, tile, partial);
}
