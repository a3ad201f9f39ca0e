/* bandwidth: bytes per second that threads read from memory, each its own part of a buffer that no
 * cache holds: what a generation is measured against.
 *
 *   bench_bandwidth [THREADS [MIB]]
 *
 * The best of several rounds: other load only makes them slower. */
#include "base/clock.h"
#include "compute/cpu/pool.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS      12
#define PIECE_BYTES (1u << 20)
#define LANES       32u

struct reader {
	const uint64_t *words;
	uint64_t sums[POOL_THREADS_MAX][8]; /* a cache line each */
};

static void read_piece(void *context, uint32_t piece, uint32_t thread)
{
	struct reader *reader = context;
	const uint64_t *words = reader->words + piece * (size_t)(PIECE_BYTES / sizeof(uint64_t));
	uint64_t lanes[LANES] = { 0 };
	for (size_t i = 0; i < PIECE_BYTES / sizeof(uint64_t); i += LANES)
		for (size_t k = 0; k < LANES; k++)
			lanes[k] ^= words[i + k];
	for (size_t k = 0; k < LANES; k++)
		reader->sums[thread][0] ^= lanes[k];
}

int main(int argc, char **argv)
{
	const uint32_t threads = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
	const uint32_t pieces = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1024;
	const size_t bytes = (size_t)pieces * PIECE_BYTES;
	struct pool *pool = threads ? pool_create(threads, NULL) : NULL;
	struct reader *reader = calloc(1, sizeof(*reader));
	uint64_t *words = pieces ? aligned_alloc(PIECE_BYTES, bytes) : NULL;
	int64_t best = INT64_MAX;
	if (!pool || !reader || !words) {
		fputs("usage: bench_bandwidth [THREADS [MIB]]\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = i;
	reader->words = words;
	for (int i = 0; i < ROUNDS; i++) {
		const int64_t start = clock_us();
		pool_run(pool, read_piece, reader, pieces);
		const int64_t us = clock_us() - start + 1;
		best = us < best ? us : best;
	}
	printf("%.2f GB/s read by %u threads (check %llx)\n", (double)bytes / (double)best * 1e-3,
	       threads, (unsigned long long)reader->sums[0][0]);
	free(words);
	free(reader);
	pool_destroy(pool);
	return 0;
}
