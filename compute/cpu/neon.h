/* neon.h: the variants for ARM processors: `neon` with the dot product instructions (ARMv8.2
 * DotProd), `i8mm` with the matrix multiplication ones (I8MM) for many rows besides. Each function
 * as its namesake in struct kernels. What is not named here is the C reference's, which the
 * compiler turns into vectors well enough. */
#ifndef COMPUTE_CPU_NEON_H
#define COMPUTE_CPU_NEON_H

#include "compute/cpu/kernels.h"

/* Outputs that are multiplied together. */
#define NEON_OUTPUTS 8u
/* Up to so many rows go without a panel. */
#define NEON_DIRECT_ROWS 2u

extern const struct kernels kernels_neon;
extern const struct kernels kernels_i8mm;

void neon_quantize_row(enum row_format format, const float *x, uint32_t n, void *row);
/* For whole groups of NEON_OUTPUTS outputs. Quantised weights, up to NEON_DIRECT_ROWS rows: */
void neon_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end);
/* Quantised weights, any number of rows: */
void neon_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end);
void i8mm_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end);

#endif
