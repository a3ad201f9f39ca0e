/* avx2.h: the variant for processors with AVX2, FMA and F16C. Each function as its namesake in
 * struct kernels. A lane is one of eight neighbouring outputs, positions or columns, so that each
 * keeps the order of operations of the C reference. */
#ifndef COMPUTE_CPU_AVX2_H
#define COMPUTE_CPU_AVX2_H

#include "compute/cpu/kernels.h"

#define AVX2_LANES 8u

extern const struct kernels kernels_avx2;

void avx2_quantize_row(enum row_format format, const float *x, uint32_t n, void *row);
void avx2_matmul(const struct matmul *product, uint32_t first, uint32_t end);
/* For whole groups of AVX2_LANES outputs. Quantised weights, one or two rows: */
void avx2_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end);
/* Quantised weights, any number of rows: */
void avx2_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end);
/* F32, F16 and BF16: */
void avx2_matmul_float(const struct matmul *product, uint32_t first, uint32_t end);
void avx2_rms_norm(float *out, const float *x, const float *weight, uint32_t n, float eps);
void avx2_rope(float *heads, uint32_t n_heads, uint32_t width, uint32_t n_rot,
	       enum rope_pairing pairing, const float *table);
void avx2_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
			 uint32_t n_rows, uint32_t position, float *out, size_t out_stride);
void avx2_attention_tile(const struct attention *attention, const float *q, uint32_t position,
			 uint32_t tile, float *partial);
void avx2_attention_join(const struct attention *attention, const float *partials, uint32_t n_tiles,
			 float *out);
void avx2_activate(enum activation_kind kind, float *gate, const float *up, uint32_t n);
void avx2_add(float *x, const float *y, uint32_t n);
void avx2_add_scaled(float *x, const float *y, float factor, uint32_t n);
void avx2_scale(float *x, float factor, uint32_t n);
void avx2_soft_cap(float *x, float cap, uint32_t n);
void avx2_delta_steps(const struct delta_step *steps, uint32_t n, uint32_t width,
		      const float *before, float *s);
void avx2_convolve(float *out, const float *const *inputs, uint32_t taps, const float *weights,
		   uint32_t n);
void avx2_to_f16(uint16_t *out, const float *x, uint32_t n);

#endif
