/* The attention part alone: one thread, its own processor time. `bench_attention [VARIANT [WIDTH
 * [QUERIES [HEADS]]]]`; by default the fastest variant and the shape of an 8B llama: heads of 128,
 * 4 query heads for each of 8 key-value heads. For each kind of cache and context: one row (a
 * generated token), as bytes of cache read a second beside a plain read of the same bytes, and 512
 * rows (a prompt's chunk behind that context), as floating-point operations a second. */
#include "compute/cpu/cache.h"
#include "compute/cpu/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPAN_ROWS 16u /* as forward_inside.h */
#define ROWS      512u
#define LEAST_S   0.4

struct bench {
	const struct kernels *kernels;
	uint32_t width, n_q, n_heads;
	enum kv_kind kind;
	uint32_t positions; /* of the context, this row or these rows included */
	uint32_t n_rows, n_pages;
	size_t page_bytes;
	uint8_t *memory;
	const uint8_t **pages;
	float *q, *out;
};

static double cpu_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static float noise(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static void *take(size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!memory) {
		fprintf(stderr, "no memory for %zu MiB\n", bytes >> 20);
		exit(1);
	}
	return memory;
}

static void fill_page(const struct bench *b, uint8_t *page, const float *values)
{
	const size_t head = kv_head_bytes(b->kind, b->width);
	for (uint32_t h = 0; h < b->n_heads; h++) {
		cache_put_keys(b->kernels, b->kind, page + 2 * h * head, 0, ATTENTION_TILE,
			       values + h, b->width, b->width);
		cache_put_values(b->kernels, b->kind, page + (2 * h + 1) * head, 0, ATTENTION_TILE,
				 values + h, b->width, b->width);
	}
}

static void begin(struct bench *b)
{
	uint32_t state = 1;
	const size_t n_values = (size_t)(ATTENTION_TILE + 1) * b->width;
	const size_t n_q = (size_t)ROWS * b->n_heads * b->n_q * b->width;
	float *values = take(n_values * sizeof(float));
	b->n_pages = (b->positions + ATTENTION_TILE - 1) / ATTENTION_TILE;
	b->page_bytes = 2 * b->n_heads * kv_head_bytes(b->kind, b->width);
	b->memory = take(b->n_pages * b->page_bytes);
	b->pages = take(b->n_pages * sizeof(*b->pages));
	b->q = take(n_q * sizeof(float));
	b->out = take(n_q * sizeof(float));
	for (size_t i = 0; i < n_values; i++)
		values[i] = noise(&state);
	for (size_t i = 0; i < n_q; i++)
		b->q[i] = noise(&state);
	for (uint32_t i = 0; i < b->n_pages; i++) {
		b->pages[i] = b->memory + i * b->page_bytes;
		fill_page(b, b->memory + i * b->page_bytes, values);
	}
	free(values);
}

static void end(struct bench *b)
{
	free(b->memory);
	free(b->pages);
	free(b->q);
	free(b->out);
}

static void attend(const struct bench *b)
{
	const size_t head = kv_head_bytes(b->kind, b->width);
	const size_t stride = (size_t)b->n_heads * b->n_q * b->width;
	for (uint32_t row = 0; row < b->n_rows; row += SPAN_ROWS) {
		const uint32_t left = b->n_rows - row, n = left < SPAN_ROWS ? left : SPAN_ROWS;
		const struct attention attention = { .head_k = b->width,
						     .head_v = b->width,
						     .n_q = b->n_q,
						     .n_kv = b->n_heads,
						     .scale = 0.05f,
						     .kind = b->kind,
						     .pages = b->pages,
						     .value_offset = head,
						     .head_bytes = 2 * head };
		b->kernels->attention_rows(&attention, b->q + row * stride, stride, n,
					   b->positions - b->n_rows + row, b->out + row * stride,
					   stride);
	}
}

static uint64_t sink;

/* Reading the cache once, and no more. */
static void read_all(const struct bench *b)
{
	const size_t n = b->n_pages * b->page_bytes / sizeof(uint64_t);
	const uint64_t *words = (const void *)b->memory;
	uint64_t sums[8] = { 0 };
	for (size_t i = 0; i + 8 <= n; i += 8)
		for (int k = 0; k < 8; k++)
			sums[k] ^= words[i + k];
	for (int k = 0; k < 8; k++)
		sink ^= sums[k];
}

static double best_s(const struct bench *b, void (*work)(const struct bench *))
{
	double best = 1e9, all = 0;
	for (int i = 0; i < 3 || all < LEAST_S; i++) {
		const double before = cpu_s();
		work(b);
		const double took = cpu_s() - before;
		best = took < best ? took : best;
		all += took;
	}
	return best;
}

static void measure(struct bench *b, uint32_t context)
{
	b->positions = context + ROWS;
	begin(b);
	b->positions = context;
	b->n_rows = 1;
	const double row_s = best_s(b, attend), read_s = best_s(b, read_all);
	const double bytes = (double)(context / ATTENTION_TILE) * (double)b->page_bytes;
	const double all = (double)b->n_pages * (double)b->page_bytes;
	b->positions = context + ROWS;
	b->n_rows = ROWS;
	const double rows_s = best_s(b, attend);
	const double seen = (double)ROWS * context + (double)ROWS * (ROWS + 1) / 2;
	const double operations = 4.0 * seen * b->width * b->n_q * b->n_heads;
	printf("%-6s %6u %10.3f %8.1f %8.1f %10.1f %8.1f\n", kv_kind_name(b->kind), context,
	       row_s * 1e3, bytes / row_s / 1e9, all / read_s / 1e9, rows_s * 1e3,
	       operations / rows_s / 1e9);
	fflush(stdout);
	end(b);
}

static uint32_t number(int argc, char **argv, int i, uint32_t otherwise)
{
	return argc > i ? (uint32_t)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	static const uint32_t contexts[] = { 4096, 8192, 32768 };
	struct fail fail = { 0 };
	struct bench bench = { .kernels = kernels_select(argc > 1 ? argv[1] : NULL, &fail),
			       .width = number(argc, argv, 2, 128),
			       .n_q = number(argc, argv, 3, 4),
			       .n_heads = number(argc, argv, 4, 8) };
	if (!bench.kernels || bench.width % KV_SCALE_BLOCK || bench.width > ATTENTION_WIDTH_MAX ||
	    bench.width == 0 || bench.n_q == 0 || bench.n_heads == 0) {
		fprintf(stderr, "%s\n",
			bench.kernels ? "heads are multiples of 32 up to 512 wide" : fail.text);
		return 2;
	}
	kernels_prepare_thread();
	printf("%s: width %u, %u query heads for each of %u key-value heads, one layer\n",
	       bench.kernels->name, bench.width, bench.n_q, bench.n_heads);
	printf("%-6s %6s %10s %8s %8s %10s %8s\n", "cache", "before", "1 row, ms", "GB/s", "read",
	       "512 rows", "GFLOP/s");
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++) {
		bench.kind = kind;
		for (size_t i = 0; i < sizeof(contexts) / sizeof(contexts[0]); i++)
			measure(&bench, contexts[i]);
	}
	return 0;
}
