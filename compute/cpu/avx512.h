/* avx512.h: the variant for processors with AVX-512 F, BW, VL, DQ and VNNI: products of quantised
 * weights, and attention. What gains nothing from wider vectors is the AVX2 variant's. */
#ifndef COMPUTE_CPU_AVX512_H
#define COMPUTE_CPU_AVX512_H

#include "compute/cpu/kernels.h"

extern const struct kernels kernels_avx512;

/* As its namesake in struct kernels, for integer weight formats. */
void avx512_matmul_integer(const struct matmul *product, uint32_t first, uint32_t end);
/* The same for one or two rows, of the types without a grid and of those with one,
 * but IQ1. */
void avx512_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end);
void avx512_matmul_grid(const struct matmul *product, uint32_t first, uint32_t end);
void avx512_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
			   uint32_t n_rows, uint32_t position, float *out, size_t out_stride);
void avx512_attention_tile(const struct attention *attention, const float *q, uint32_t position,
			   uint32_t tile, float *partial);

#endif
