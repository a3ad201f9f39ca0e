/* c.h: the reference variant, for its table and for the parts of others that need no speed. */
#ifndef COMPUTE_CPU_C_H
#define COMPUTE_CPU_C_H

#include "compute/cpu/kernels.h"

extern const struct kernels kernels_c;

/* Each as its namesake in struct kernels. */
void c_quantize_row(enum row_format format, const float *x, uint32_t n, void *row);
void c_dequantize_row(uint32_t type, const uint8_t *weights, uint32_t n, float *out);
void c_matmul(const struct matmul *product, uint32_t first, uint32_t end);
void c_rms_norm(float *out, const float *x, const float *weight, uint32_t n, float eps);
void c_rope(float *heads, uint32_t n_heads, uint32_t width, uint32_t n_rot,
	    enum rope_pairing pairing, const float *table);
void c_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
		      uint32_t n_rows, uint32_t position, float *out, size_t out_stride);
void c_attention_tile(const struct attention *attention, const float *q, uint32_t position,
		      uint32_t tile, float *partial);
void c_attention_join(const struct attention *attention, const float *partials, uint32_t n_tiles,
		      float *out);
void c_activate(enum activation_kind kind, float *gate, const float *up, uint32_t n);
void c_add(float *x, const float *y, uint32_t n);
void c_add_scaled(float *x, const float *y, float factor, uint32_t n);
void c_scale(float *x, float factor, uint32_t n);
void c_soft_cap(float *x, float cap, uint32_t n);
void c_delta_steps(const struct delta_step *steps, uint32_t n, uint32_t width, const float *before,
		   float *s);
void c_convolve(float *out, const float *const *inputs, uint32_t taps, const float *weights,
		uint32_t n);
void c_to_f16(uint16_t *out, const float *x, uint32_t n);

#endif
