/* matmul.h: products shared out among the threads of a pool. */
#ifndef COMPUTE_CPU_MATMUL_H
#define COMPUTE_CPU_MATMUL_H

#include "compute/cpu/kernels.h"
#include "compute/cpu/pool.h"

/* Piece borders are multiples of it (but for the last one of a matrix). */
#define MATMUL_ROWS 32u
#define MATMUL_MAX  64u

/* Runs up to MATMUL_MAX products in one go (q, k and v; gate and up of many experts), so that the
 * threads meet once. Their outputs must not overlap. Called by the pool's leader. */
void matmul_run(struct pool *pool, const struct kernels *kernels, const struct matmul *products,
		uint32_t n_products);

#endif
