#include "compute/cpu/c.h"
#include "compute/cpu/neon.h"

typedef void range_fn(const struct matmul *product, uint32_t first, uint32_t end);

/* Floats, and outputs beyond the last whole group, are the reference's. */
static void multiply(const struct matmul *product, uint32_t first, uint32_t end, range_fn *panels)
{
	const bool floats = row_format_of(product->type) == ROW_F32;
	const uint32_t whole = floats ? first : first + (end - first) / NEON_OUTPUTS * NEON_OUTPUTS;
	if (product->n_rows <= NEON_DIRECT_ROWS)
		neon_matmul_direct(product, first, whole);
	else
		panels(product, first, whole);
	c_matmul(product, whole, end);
}

static void neon_matmul(const struct matmul *product, uint32_t first, uint32_t end)
{
	multiply(product, first, end, neon_matmul_panels);
}

static void i8mm_matmul(const struct matmul *product, uint32_t first, uint32_t end)
{
	multiply(product, first, end, i8mm_matmul_panels);
}

/* clang-format off */
#define TABLE(its_name, its_matmul)                                                                \
	{                                                                                          \
		.name = its_name,                                                                  \
		.quantize_row = neon_quantize_row,                                                 \
		.dequantize_row = c_dequantize_row,                                                \
		.matmul = its_matmul,                                                              \
		.rms_norm = c_rms_norm,                                                            \
		.rope = c_rope,                                                                    \
		.attention_rows = c_attention_rows,                                                \
		.attention_tile = c_attention_tile,                                                \
		.attention_join = c_attention_join,                                                \
		.activate = c_activate,                                                            \
		.add = c_add,                                                                      \
		.add_scaled = c_add_scaled,                                                        \
		.scale = c_scale,                                                                  \
		.soft_cap = c_soft_cap,                                                            \
		.delta_steps = c_delta_steps,                                                      \
		.convolve = c_convolve,                                                            \
		.to_f16 = c_to_f16,                                                                \
	}
/* clang-format on */

const struct kernels kernels_neon = TABLE("neon", neon_matmul);
const struct kernels kernels_i8mm = TABLE("i8mm", i8mm_matmul);
