/* engine: tokens per second of one device on a GGUF model: a prompt in one go, then generation one
 * token at a time from an empty context (the two figures of llama-bench, pp and tg).
 *
 *   bench_engine [-t THREADS] [-k VARIANT] [-c CACHE] [-p PROMPT] [-n GENERATE] [-d DEPTH]
 *                [-r ROUNDS] MODEL
 *
 * CACHE is f16, q8_0 or f32. DEPTH tokens of context come before, computed once and not counted.
 * Loading time and memory are printed too. The best and the middle round are printed: other load
 * makes rounds slower, never faster. */
#include "base/clock.h"
#include "compute/compute.h"
#include "tests/tools/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUNDS_MAX 100u
#define CHUNK      512u /* rows that DEPTH goes in */

struct options {
	uint32_t threads, prompt, generate, depth, rounds;
	enum kv_kind cache;
	const char *cpu, *path;
};

struct bench {
	struct options options;
	const struct model_shape *shape;
	struct slice *slice;
	struct work_row *rows; /* [prompt or 1] */
	float *hidden, *logits;
};

static bool parse_cache(const char *name, enum kv_kind *kind)
{
	for (*kind = 0; *kind < KV_KINDS; ++*kind)
		if (strcmp(name, kv_kind_name(*kind)) == 0)
			return true;
	return false;
}

static bool parse(struct options *options, int argc, char **argv)
{
	int option;
	*options = (struct options){ .prompt = 512, .generate = 64, .rounds = 5 };
	while ((option = getopt(argc, argv, "t:k:c:p:n:d:r:")) != -1) {
		const uint32_t number = optarg ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
		switch (option) {
		case 't':
			options->threads = number;
			break;
		case 'k':
			options->cpu = optarg;
			break;
		case 'c':
			if (!parse_cache(optarg, &options->cache))
				return false;
			break;
		case 'p':
			options->prompt = number;
			break;
		case 'n':
			options->generate = number;
			break;
		case 'd':
			options->depth = number;
			break;
		case 'r':
			options->rounds = number;
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 1 || options->rounds == 0 || options->rounds > ROUNDS_MAX)
		return false;
	options->path = argv[optind];
	return true;
}

/* DEPTH tokens, and what is measured, which begins as a fork of the first. */
enum { SEQUENCE_BEFORE, SEQUENCE_MEASURED };

/* Rows at [position, position + n), logits of the last one. */
static bool pass(struct bench *bench, uint32_t sequence, uint32_t position, uint32_t n_rows)
{
	for (uint32_t i = 0; i < n_rows; i++)
		bench->rows[i] = (struct work_row){
			.sequence = sequence,
			.position = position + i,
			.token = (position + i) * 7919 % bench->shape->n_vocab,
			.want = i + 1 == n_rows,
		};
	return !drive_embed(bench->slice, bench->rows, n_rows, bench->hidden) &&
	       !drive_layers(bench->slice, 0, bench->shape->n_layers, bench->rows, n_rows,
			     bench->hidden) &&
	       !drive_output(bench->slice, bench->rows, n_rows, bench->hidden, bench->logits);
}

static bool pass_all(struct bench *bench, uint32_t sequence, uint32_t first, uint32_t end,
		     uint32_t rows)
{
	for (uint32_t at = first; at < end; at += rows)
		if (!pass(bench, sequence, at, end - at < rows ? end - at : rows))
			return false;
	return true;
}

/* Seconds for n tokens after DEPTH others, `rows` at a time; negative when refused. */
static double measure(struct bench *bench, uint32_t n, uint32_t rows)
{
	const uint32_t depth = bench->options.depth;
	if (drive_sequence(bench->slice, WORK_FORK, SEQUENCE_BEFORE, SEQUENCE_MEASURED, 0))
		return -1;
	const int64_t begin_us = clock_us();
	if (!pass_all(bench, SEQUENCE_MEASURED, depth, depth + n, rows))
		return -1;
	const int64_t end_us = clock_us();
	drive_sequence(bench->slice, WORK_DROP, SEQUENCE_MEASURED, 0, 0);
	return (double)(end_us - begin_us) / 1e6;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static bool report(struct bench *bench, const char *name, uint32_t n, uint32_t rows)
{
	double seconds[ROUNDS_MAX];
	if (n == 0)
		return true;
	for (uint32_t i = 0; i < bench->options.rounds; i++) {
		seconds[i] = measure(bench, n, rows);
		if (seconds[i] <= 0)
			return false;
	}
	qsort(seconds, bench->options.rounds, sizeof(double), by_size);
	printf("%s%-5u %8.2f tokens/s at best, %8.2f in the middle\n", name, n, n / seconds[0],
	       n / seconds[bench->options.rounds / 2]);
	return true;
}

static void report_memory(const struct bench *bench)
{
	struct slice_usage usage;
	struct rusage resident;
	slice_usage(bench->slice, &usage);
	if (getrusage(RUSAGE_SELF, &resident) == 0)
		printf("resident %.0f MiB at most; weights %.0f (%.0f in large pages), KV %.0f, "
		       "buffers %.0f\n",
		       (double)resident.ru_maxrss / 1024, (double)usage.weight_bytes * 0x1p-20,
		       (double)slice_large_bytes(bench->slice) * 0x1p-20,
		       (double)usage.kv_bytes * 0x1p-20, (double)usage.buffer_bytes * 0x1p-20);
}

/* Room for both sequences, and for the page that a fork in the middle of it copies. */
static struct slice *slice_of(const struct bench *bench, struct backend *backend,
			      const struct model *model, uint32_t n, uint32_t rows,
			      struct fail *fail)
{
	const struct layer_range range = { 0, bench->shape->n_layers };
	const struct slice_config config = {
		.ranges = &range,
		.n_ranges = 1,
		.head = true,
		.kv_kind = bench->options.cache,
		.kv_positions = bench->options.depth + n + KV_PAGE_POSITIONS,
		.rows_max = rows,
	};
	return slice_create(backend, model, &config, fail);
}

static bool run(struct bench *bench, struct backend *backend, const struct model *model,
		struct fail *fail)
{
	const uint32_t n = bench->options.prompt > bench->options.generate
				   ? bench->options.prompt
				   : bench->options.generate;
	const uint32_t rows = n > CHUNK ? n + 1 : CHUNK;
	bench->shape = model_shape(model);
	bench->rows = calloc(rows, sizeof(*bench->rows));
	bench->hidden = calloc((size_t)rows * model_row_floats(bench->shape), sizeof(float));
	bench->logits = calloc(bench->shape->n_vocab, sizeof(float));
	const int64_t begin_us = clock_us();
	bench->slice = slice_of(bench, backend, model, n, rows, fail);
	const double seconds = (double)(clock_us() - begin_us) / 1e6;
	if (!bench->slice || !bench->rows || !bench->hidden || !bench->logits)
		return false;
	printf("%s, %s, loaded in %.2f s\n", bench->options.path, backend_name(backend), seconds);
	fail_set(fail, FAIL_INVALID, "the engine refused the work");
	const bool good = !drive_sequence(bench->slice, WORK_OPEN, SEQUENCE_BEFORE, 0, 0) &&
			  pass_all(bench, SEQUENCE_BEFORE, 0, bench->options.depth, CHUNK) &&
			  /* As llama-bench does. */
			  measure(bench, bench->options.prompt, bench->options.prompt) >= 0 &&
			  report(bench, "pp", bench->options.prompt, bench->options.prompt) &&
			  report(bench, "tg", bench->options.generate, 1);
	if (good)
		report_memory(bench);
	return good;
}

int main(int argc, char **argv)
{
	struct bench bench = { 0 };
	struct fail fail = { .text = "no memory" };
	struct account account;
	if (!parse(&bench.options, argc, argv)) {
		fputs("usage: bench_engine [-t THREADS] [-k VARIANT] [-c CACHE] [-p PROMPT] [-n "
		      "GENERATE] "
		      "[-d DEPTH] [-r ROUNDS] MODEL\n",
		      stderr);
		return 2;
	}
	account_init(&account, UINT64_MAX);
	const struct backend_config config = { .threads = bench.options.threads,
					       .account = &account,
					       .cpu = bench.options.cpu };
	struct model *model = model_open(bench.options.path, &fail);
	struct backend *backend = model ? backend_cpu_create(&config, &fail) : NULL;
	const bool good = backend && run(&bench, backend, model, &fail);
	if (!good)
		fprintf(stderr, "%s\n", fail.text);
	slice_destroy(bench.slice);
	backend_destroy(backend);
	model_close(model);
	free(bench.rows);
	free(bench.hidden);
	free(bench.logits);
	return good ? 0 : 1;
}
