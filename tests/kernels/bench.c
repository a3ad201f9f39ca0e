#include "bench.h"

#include "sample.h"

#include "base/clock.h"
#include "compute/cpu/matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS  2048u
#define OUTPUTS  16384u /* 16 to 36 MB of quantised weights: larger than a core's caches */
#define ROUND_US 150000

/* Microseconds of one product, best of many. */
static int64_t best_us(struct pool *pool, const struct kernels *kernels,
		       const struct matmul *product)
{
	int64_t best = INT64_MAX;
	for (int64_t spent = 0; spent < ROUND_US;) {
		const int64_t start = clock_us();
		matmul_run(pool, kernels, product, 1);
		const int64_t us = clock_us() - start + 1;
		best = us < best ? us : best;
		spent += us;
	}
	return best;
}

static void measure(const struct kernels *kernels, uint32_t type, uint32_t threads, uint32_t rows)
{
	uint64_t state = 3;
	const enum row_format format = row_format_of(type);
	const size_t stride = row_bytes(format, COLUMNS);
	const size_t weight_bytes = weight_row_bytes(type, COLUMNS) * OUTPUTS;
	uint8_t *weights = sample_alloc(weight_bytes);
	uint8_t *activations = sample_alloc(stride * rows);
	float *x = sample_alloc(COLUMNS * sizeof(float));
	float *out = sample_alloc((size_t)OUTPUTS * rows * sizeof(float));
	struct pool *pool = pool_create(threads, NULL);
	sample_weights(&state, type, SAMPLE_PLAIN, weights, (size_t)COLUMNS * OUTPUTS);
	for (uint32_t r = 0; r < rows; r++) {
		sample_floats(&state, x, COLUMNS, -1.0f, 1.0f);
		kernels->quantize_row(format, x, COLUMNS, activations + r * stride);
	}
	const struct matmul product = { type,    COLUMNS,     OUTPUTS, rows,
					weights, activations, out,     OUTPUTS };
	const double seconds = (double)best_us(pool, kernels, &product) * 1e-6;
	printf("  %7.1f %7.1f", (double)weight_bytes / seconds * 1e-9,
	       (double)COLUMNS * OUTPUTS * rows / seconds * 1e-9);
	fflush(stdout);
	pool_destroy(pool);
	free(weights);
	free(activations);
	free(x);
	free(out);
}

static void measure_type(const struct kernels *kernels, uint32_t type, uint32_t threads)
{
	printf("%-5s %u  ", tensor_type_name(type), threads);
	measure(kernels, type, threads, 1);
	measure(kernels, type, threads, 4);
	measure(kernels, type, threads, 64);
	printf("\n");
}

int bench_products(int argc, char **argv)
{
	const struct kernels *kernels = kernels_select(getenv("KERNELS"), NULL);
	if (!kernels) {
		fprintf(stderr, "no such kernels\n");
		return 1;
	}
	printf("%s, [%u, %u]: GB/s of weights and GMAC/s, best of many\n", kernels->name, OUTPUTS,
	       COLUMNS);
	printf("type  threads  1 row          4 rows           64 rows\n");
	for (size_t t = 0; t < sample_type_count; t++) {
		bool wanted = argc == 0;
		for (int i = 0; i < argc; i++)
			wanted |= strcmp(argv[i], tensor_type_name(sample_types[t])) == 0;
		for (uint32_t threads = 1; wanted && threads <= 2; threads++)
			measure_type(kernels, sample_types[t], threads);
	}
	return 0;
}
