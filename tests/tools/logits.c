/* logits: passes tokens through a model on this machine and writes what comes out, for comparison
 * with an oracle.
 *
 *   logits [-c CHUNK] [-t THREADS] [-k c|avx2|avxvnni|avx512] [-H HIDDEN] [-l LOGITS]
 *          [-f FIRST] [-g COUNT] MODEL TOKENS
 *
 * TOKENS: ids with commas between them, or @FILE of such. HIDDEN gets f32 [layers + 1, tokens,
 * n_embd], the states at every layer border; LOGITS gets f32 [tokens - FIRST, n_vocab], those of
 * the tokens from FIRST on. -g goes on greedily for COUNT tokens and prints them. Without files the
 * most likely next tokens are printed. */
#include "base/buf.h"
#include "base/file.h"
#include "compute/compute.h"
#include "tests/tools/drive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKENS_TEXT_MAX (16u << 20)

struct options {
	uint32_t chunk, threads, count, first;
	const char *cpu, *hidden_path, *logits_path, *model_path;
	const char *tokens; /* text, terminated */
};

struct job {
	struct options options;
	struct buf text;
	struct work_row *rows;
	uint32_t n_rows;
	struct account account;
	struct model *model;
	struct backend *backend;
	struct slice *slice;
	FILE *logits_file;
	float *hidden; /* [n_layers + 1, n_rows, model_row_floats] */
	float *logits; /* [chunk, n_vocab] */
};

static int usage(void)
{
	fputs("usage: logits [-c CHUNK] [-t THREADS] [-k c|avx2|avxvnni|avx512] [-H HIDDEN] "
	      "[-l LOGITS] [-f FIRST] [-g COUNT] MODEL TOKENS|@FILE\n",
	      stderr);
	return 2;
}

static bool parse_options(struct job *job, int argc, char **argv)
{
	struct options *options = &job->options;
	struct fail fail;
	int option;
	*options = (struct options){ .chunk = 512 };
	while ((option = getopt(argc, argv, "c:t:k:H:l:f:g:")) != -1) {
		switch (option) {
		case 'c': options->chunk = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 't': options->threads = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'g': options->count = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': options->first = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'k': options->cpu = optarg; break;
		case 'H': options->hidden_path = optarg; break;
		case 'l': options->logits_path = optarg; break;
		default: return false;
		}
	}
	if (argc - optind != 2 || options->chunk == 0)
		return false;
	options->model_path = argv[optind];
	options->tokens = argv[optind + 1];
	if (options->tokens[0] != '@')
		return true;
	if (file_read(options->tokens + 1, TOKENS_TEXT_MAX, &job->text, &fail) < 0) {
		fprintf(stderr, "%s\n", fail.text);
		return false;
	}
	buf_u8(&job->text, 0);
	options->tokens = (const char *)job->text.data;
	return !job->text.failed;
}

static bool parse_tokens(struct job *job)
{
	const char *at = job->options.tokens;
	job->rows = calloc(strlen(at) + job->options.count + 1, sizeof(*job->rows));
	while (job->rows && *at) {
		char *end;
		errno = 0;
		const unsigned long token = strtoul(at, &end, 10);
		if (end == at || errno || token > UINT32_MAX) {
			fprintf(stderr, "'%.20s' is no token\n", at);
			return false;
		}
		job->rows[job->n_rows] = (struct work_row){
			.position = job->n_rows, .token = (uint32_t)token, .want = true
		};
		job->n_rows++;
		at = end + strspn(end, ", \n");
	}
	return job->n_rows > job->options.first;
}

static bool open_all(struct job *job, struct fail *fail)
{
	const struct options *options = &job->options;
	account_init(&job->account, UINT64_MAX);
	const struct backend_config config = {
		.threads = options->threads, .account = &job->account, .cpu = options->cpu
	};
	job->model = model_open(options->model_path, fail);
	if (!job->model)
		return false;
	job->backend = backend_cpu_create(&config, fail);
	if (!job->backend)
		return false;
	job->slice = drive_whole(job->backend, job->model, job->n_rows + options->count,
				 options->chunk, fail);
	if (!job->slice)
		return false;
	const struct model_shape *shape = model_shape(job->model);
	job->hidden = calloc((size_t)(shape->n_layers + 1) * (job->n_rows + 1),
			     model_row_floats(shape) * sizeof(float));
	job->logits = calloc((size_t)options->chunk * shape->n_vocab, sizeof(float));
	if (!job->hidden || !job->logits) {
		fail_set(fail, FAIL_MEMORY, "no memory for so many tokens");
		return false;
	}
	if (options->logits_path)
		job->logits_file = fopen(options->logits_path, "wb");
	if (options->logits_path && !job->logits_file) {
		fail_errno(fail, errno, "cannot write %s", options->logits_path);
		return false;
	}
	return drive_sequence(job->slice, WORK_OPEN, 0, 0, 0) == FAIL_NONE;
}

static uint32_t most_likely(const float *logits, uint32_t n)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < n; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

/* What comes out for the rows of a chunk that are wanted; row i's logits lie at index i. */
static bool output_chunk(struct job *job, uint32_t first, uint32_t n_rows, float *hidden)
{
	const struct model_shape *shape = model_shape(job->model);
	const uint32_t wanted = job->options.first;
	const uint32_t skipped = first < wanted ? wanted - first : 0;
	if (skipped >= n_rows)
		return true;
	n_rows -= skipped;
	float *logits = job->logits + (size_t)skipped * shape->n_vocab;
	if (drive_output(job->slice, job->rows + first + skipped, n_rows,
			 hidden + (size_t)skipped * model_row_floats(shape), logits))
		return false;
	for (uint32_t i = 0; i < n_rows && !job->logits_file; i++)
		printf("%u ", most_likely(logits + (size_t)i * shape->n_vocab, shape->n_vocab));
	const size_t values = (size_t)n_rows * shape->n_vocab;
	return !job->logits_file ||
	       fwrite(logits, sizeof(float), values, job->logits_file) == values;
}

/* One chunk through all layers, one at a time, keeping the states at each border. */
static bool run_chunk(struct job *job, uint32_t first, uint32_t n_rows)
{
	const struct model_shape *shape = model_shape(job->model);
	const size_t row = model_row_floats(shape), border = job->n_rows * row;
	const struct work_row *rows = job->rows + first;
	float *hidden = job->hidden + first * row;
	if (drive_embed(job->slice, rows, n_rows, hidden))
		return false;
	for (uint32_t i = 0; i < shape->n_layers; i++, hidden += border) {
		memcpy(hidden + border, hidden, n_rows * row * sizeof(float));
		if (drive_layers(job->slice, i, i + 1, rows, n_rows, hidden + border))
			return false;
	}
	return output_chunk(job, first, n_rows, hidden);
}

static bool go_on(struct job *job, uint32_t last)
{
	const struct model_shape *shape = model_shape(job->model);
	const float *logits = job->logits + (size_t)last * shape->n_vocab;
	for (uint32_t i = 0; i < job->options.count; i++) {
		const struct work_row row = {
			.position = job->n_rows + i,
			.token = most_likely(logits, shape->n_vocab),
			.want = true,
		};
		printf("%u%s", row.token, i + 1 < job->options.count ? "," : "\n");
		if (drive_embed(job->slice, &row, 1, job->hidden) ||
		    drive_layers(job->slice, 0, shape->n_layers, &row, 1, job->hidden) ||
		    drive_output(job->slice, &row, 1, job->hidden, job->logits))
			return false;
		logits = job->logits;
	}
	return true;
}

static bool write_hidden(const struct job *job)
{
	const struct model_shape *shape = model_shape(job->model);
	const size_t rows = (size_t)(shape->n_layers + 1) * job->n_rows;
	bool written = true;
	if (!job->options.hidden_path)
		return true;
	FILE *file = fopen(job->options.hidden_path, "wb");
	if (!file)
		return false;
	for (size_t i = 0; i < rows && written; i++)
		written = fwrite(job->hidden + i * model_row_floats(shape), sizeof(float),
				 shape->n_embd, file) == shape->n_embd;
	return fclose(file) == 0 && written;
}

static bool run(struct job *job, struct fail *fail)
{
	if (!open_all(job, fail))
		return false;
	uint32_t n_rows = 0;
	fail_set(fail, FAIL_INVALID, "the engine refused a piece of the work, or a file is full");
	for (uint32_t at = 0; at < job->n_rows; at += n_rows) {
		n_rows = job->n_rows - at;
		if (n_rows > job->options.chunk)
			n_rows = job->options.chunk;
		if (!run_chunk(job, at, n_rows))
			return false;
	}
	if (!job->logits_file)
		printf("\n");
	return write_hidden(job) && go_on(job, n_rows - 1);
}

int main(int argc, char **argv)
{
	struct job job = { 0 };
	struct fail fail = { 0 };
	if (!parse_options(&job, argc, argv) || !parse_tokens(&job))
		return usage();
	bool good = run(&job, &fail);
	if (job.logits_file && fclose(job.logits_file) != 0)
		good = false;
	if (!good)
		fprintf(stderr, "%s\n", fail.text);
	slice_destroy(job.slice);
	backend_destroy(job.backend);
	model_close(job.model);
	free(job.rows);
	free(job.hidden);
	free(job.logits);
	buf_finish(&job.text);
	return good ? 0 : 1;
}
