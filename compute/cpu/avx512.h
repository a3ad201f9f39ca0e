/* avx512.h: the variant for processors with AVX-512 F, BW, VL, DQ and VNNI: products of quantised
 * weights. What gains nothing from wider vectors is the AVX2 variant's. */
#ifndef COMPUTE_CPU_AVX512_H
#define COMPUTE_CPU_AVX512_H

#include "compute/cpu/kernels.h"

extern const struct kernels kernels_avx512;

/* As its namesake in struct kernels, for integer weight formats. */
void avx512_matmul_integer(const struct matmul *product, uint32_t first, uint32_t end);

#endif
