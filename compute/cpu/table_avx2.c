#include "compute/cpu/avx2.h"
#include "compute/cpu/c.h"

/* Outputs beyond the last whole group of lanes are the reference's. */
void avx2_matmul(const struct matmul *product, uint32_t first, uint32_t end)
{
	const uint32_t whole = first + (end - first) / AVX2_LANES * AVX2_LANES;
	if (row_format_of(product->type) == ROW_F32)
		c_matmul(product, first, whole);
	else
		avx2_matmul_integer(product, first, whole);
	c_matmul(product, whole, end);
}

const struct kernels kernels_avx2 = {
	.name = "avx2",
	.quantize_row = c_quantize_row,
	.dequantize_row = c_dequantize_row,
	.matmul = avx2_matmul,
	.rms_norm = c_rms_norm,
	.rope = c_rope,
	.attention_rows = c_attention_rows,
	.attention_tile = c_attention_tile,
	.attention_join = c_attention_join,
	.activate = c_activate,
	.add = c_add,
	.scale = c_scale,
	.to_f16 = c_to_f16,
};
