/* avxvnni.h: the variant for processors with AVX2 and AVX-VNNI: products of quantised weights. All
 * else is the AVX2 variant's. */
#ifndef COMPUTE_CPU_AVXVNNI_H
#define COMPUTE_CPU_AVXVNNI_H

#include "compute/cpu/kernels.h"

extern const struct kernels kernels_avxvnni;

/* As their namesakes in avx2.h. */
void avxvnni_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end);
void avxvnni_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end);

#endif
