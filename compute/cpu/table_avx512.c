#include "compute/cpu/avx2.h"
#include "compute/cpu/avx512.h"
#include "compute/cpu/c.h"
#include "compute/cpu/panel_avx512.h"
#include "compute/cpu/platform.h"

static bool is_for_avx2(const struct matmul *product)
{
	const struct packing packing = packing_of(product->type);
	return row_format_of(product->type) == ROW_F32 || (packing.slow && product->n_rows <= 2) ||
	       (packing.has_grid && !platform_has_avx512_grids());
}

static void matmul(const struct matmul *product, uint32_t first, uint32_t end)
{
	if (is_for_avx2(product))
		avx2_matmul(product, first, end);
	else if (product->n_rows > 2)
		avx512_matmul_integer(product, first, end);
	else if (packing_of(product->type).has_grid)
		avx512_matmul_grid(product, first, end);
	else
		avx512_matmul_direct(product, first, end);
}

const struct kernels kernels_avx512 = {
	.name = "avx512",
	.quantize_row = avx2_quantize_row,
	.dequantize_row = c_dequantize_row,
	.matmul = matmul,
	.rms_norm = avx2_rms_norm,
	.rope = avx2_rope,
	.attention_rows = avx512_attention_rows,
	.attention_tile = avx512_attention_tile,
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
