/* bench.h: measures what the planner needs, with the kernels that will do the work. */
#ifndef COMPUTE_BENCH_H
#define COMPUTE_BENCH_H

#include "base/fail.h"
#include "compute/backend.h"

#include <stdint.h>

/* Weights passed per second by one product of random blocks of `type`, [out, in] x [rows, in],
 * on all of the backend's threads; about `budget_ms` of work, best of several. Blocks. 0 when the
 * type is not supported. The buffer is larger than the caches where `out` * `in` allows. */
double bench_product(struct backend *backend, uint32_t type, uint32_t out, uint32_t in,
		     uint32_t rows, int64_t budget_ms);

/* Seconds per layer beside its products (norms, RoPE, barriers), for a layer `n_embd` wide. */
double bench_layer_overhead(struct backend *backend, uint32_t n_embd, int64_t budget_ms);

/* Bytes of F16 K and V read per second by attention over a long context. */
double bench_attention(struct backend *backend, uint32_t head_width, int64_t budget_ms);

/* Bytes per second of reads in a folder: a temporary file, read around the page cache where the
 * system allows; removed afterwards. 0 and a reason when it cannot be measured. */
double bench_disk(const char *folder, int64_t budget_ms, struct fail *fail);

#endif
