#include "compute/cpu/avx2.h"
#include "compute/cpu/avxvnni.h"
#include "compute/cpu/c.h"

/* Outputs beyond the last whole group of lanes are the reference's. */
static void matmul(const struct matmul *product, uint32_t first, uint32_t end)
{
	const uint32_t whole = first + (end - first) / AVX2_LANES * AVX2_LANES;
	if (row_format_of(product->type) == ROW_F32)
		avx2_matmul_float(product, first, whole);
	else if (product->n_rows <= 2)
		avxvnni_matmul_direct(product, first, whole);
	else
		avxvnni_matmul_panels(product, first, whole);
	c_matmul(product, whole, end);
}

const struct kernels kernels_avxvnni = {
	.name = "avxvnni",
	.quantize_row = avx2_quantize_row,
	.dequantize_row = c_dequantize_row,
	.matmul = matmul,
	.rms_norm = avx2_rms_norm,
	.rope = avx2_rope,
	.attention_rows = avx2_attention_rows,
	.attention_tile = avx2_attention_tile,
	.attention_join = avx2_attention_join,
	.activate = avx2_activate,
	.add = avx2_add,
	.add_scaled = avx2_add_scaled,
	.scale = avx2_scale,
	.soft_cap = avx2_soft_cap,
	.delta_steps = avx2_delta_steps,
	.convolve = avx2_convolve,
	.to_f16 = avx2_to_f16,
};
