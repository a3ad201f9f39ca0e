/* The KV cache under a whole model: each kind gives the same bits by C kernels, a token at a time,
 * and by the fastest ones in chunks, with sliding layers that keep a window only; sequences that
 * share a prefix go on together in one flight, each at its own position, as they do alone.
 * Argument: a model. */
#include "tests/tools/drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POSITIONS 512u
#define ROWS_MAX  48u
#define TEXT      230u /* several windows and pages */
#define PREFIX    150u

static const char *tested;

struct engine {
	struct account account;
	struct model *model;
	const struct model_shape *shape;
	struct backend *backend;
	struct slice *slice;
	float *hidden; /* [ROWS_MAX, model_row_floats] */
};

/* False when the kind cannot hold this model's heads, with a sentence. */
static bool engine_open(struct engine *engine, const char *cpu, uint32_t threads, enum kv_kind kind,
			uint32_t sequences)
{
	struct fail fail = { 0 };
	account_init(&engine->account, 1ull << 32);
	const struct backend_config config = { .threads = threads,
					       .account = &engine->account,
					       .cpu = cpu };
	engine->model = model_open(tested, &fail);
	assert_non_null(engine->model);
	engine->shape = model_shape(engine->model);
	engine->backend = backend_cpu_create(&config, &fail);
	assert_non_null(engine->backend);
	const struct layer_range all = { 0, engine->shape->n_layers };
	const struct slice_config slice = { .ranges = &all,
					    .n_ranges = 1,
					    .head = true,
					    .kv_kind = kind,
					    .kv_positions = POSITIONS,
					    .kv_sequences = sequences,
					    .rows_max = ROWS_MAX };
	engine->slice = slice_create(engine->backend, engine->model, &slice, &fail);
	engine->hidden = calloc((size_t)ROWS_MAX * model_row_floats(engine->shape), sizeof(float));
	if (!engine->slice)
		assert_int_equal(fail.code, FAIL_UNSUPPORTED);
	return engine->slice != NULL;
}

static void engine_close(struct engine *engine)
{
	slice_destroy(engine->slice);
	backend_destroy(engine->backend);
	model_close(engine->model);
	free(engine->hidden);
	assert_int_equal(atomic_load(&engine->account.used_bytes), 0);
}

static struct work_row row_of(const struct engine *engine, uint32_t sequence, uint32_t text,
			      uint32_t position)
{
	const uint32_t own = position < PREFIX ? 0 : text; /* all texts begin alike */
	return (struct work_row){ .sequence = sequence,
				  .position = position,
				  .token =
					  (position * position * 7 + position * 31 + own * 97 + 5) %
					  engine->shape->n_vocab,
				  .want = true };
}

/* Logits [n_rows, n_vocab]. */
static void run_rows(struct engine *engine, const struct work_row *rows, uint32_t n_rows,
		     float *logits)
{
	assert_int_equal(drive_embed(engine->slice, rows, n_rows, engine->hidden), FAIL_NONE);
	assert_int_equal(drive_layers(engine->slice, 0, engine->shape->n_layers, rows, n_rows,
				      engine->hidden),
			 FAIL_NONE);
	assert_int_equal(drive_output(engine->slice, rows, n_rows, engine->hidden, logits),
			 FAIL_NONE);
}

static float *logits_alloc(const struct engine *engine)
{
	float *logits = calloc((size_t)TEXT * engine->shape->n_vocab, sizeof(float));
	assert_non_null(logits);
	return logits;
}

/* Positions [first, end) of a text, in chunks, to their place in logits [TEXT, n_vocab]. */
static void run_text(struct engine *engine, uint32_t sequence, uint32_t text, uint32_t first,
		     uint32_t end, uint32_t chunk, float *logits)
{
	struct work_row rows[ROWS_MAX];
	for (uint32_t at = first; at < end;) {
		const uint32_t n = end - at < chunk ? end - at : chunk;
		for (uint32_t i = 0; i < n; i++)
			rows[i] = row_of(engine, sequence, text, at + i);
		run_rows(engine, rows, n, logits + (size_t)at * engine->shape->n_vocab);
		at += n;
	}
}

static void open_sequence(const struct engine *engine, uint32_t sequence)
{
	assert_int_equal(drive_sequence(engine->slice, WORK_OPEN, sequence, 0, 0), FAIL_NONE);
}

/* One text by C kernels, a token at a time, every layer keeping everything. Gives; NULL: the kind
 * does not fit. */
static float *reference_of(enum kv_kind kind, uint32_t text)
{
	struct engine engine;
	float *logits = NULL;
	if (engine_open(&engine, "c", 1, kind, 0)) {
		logits = logits_alloc(&engine);
		open_sequence(&engine, 1);
		run_text(&engine, 1, text, 0, TEXT, 1, logits);
	}
	engine_close(&engine);
	return logits;
}

static void kinds_give_the_same_bits_everywhere(void **unused)
{
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++) {
		struct engine engine;
		float *expected = reference_of(kind, 1);
		if (!expected)
			continue;
		for (uint32_t threads = 1; threads <= 3; threads += 2) {
			assert_true(engine_open(&engine, NULL, threads, kind, 1));
			float *logits = logits_alloc(&engine);
			const size_t size = (size_t)TEXT * engine.shape->n_vocab * sizeof(float);
			open_sequence(&engine, 1);
			run_text(&engine, 1, 1, 0, TEXT, threads == 1 ? 1 : 37, logits);
			assert_memory_equal(logits, expected, size);
			free(logits);
			engine_close(&engine);
		}
		free(expected);
	}
}

/* Three sequences, forked from one prefix, in one flight; their rows lie mixed, and each has come
 * another way. */
static void one_flight_for_all(struct engine *engine, float *const expected[3])
{
	static const uint32_t turn[] = { 0, 1, 1, 2, 0, 2, 2, 1, 0, 0, 2, 1, 0, 1, 2, 2 };
	const size_t n_vocab = engine->shape->n_vocab;
	uint32_t next[3] = { PREFIX, PREFIX + 5, PREFIX + 20 };
	struct work_row rows[16];
	float *logits = calloc(16 * n_vocab, sizeof(float));
	for (int again = 0; again < 3; again++) {
		for (uint32_t i = 0; i < 16; i++) {
			const uint32_t s = turn[i];
			rows[i] = row_of(engine, 1 + s, s, next[s]++);
		}
		run_rows(engine, rows, 16, logits);
		for (uint32_t i = 0; i < 16; i++)
			assert_memory_equal(logits + i * n_vocab,
					    expected[turn[i]] + rows[i].position * n_vocab,
					    n_vocab * sizeof(float));
	}
	free(logits);
}

static void sequences_with_one_prefix_share_a_flight(void **unused)
{
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++) {
		struct engine engine;
		struct slice_usage usage;
		float *expected[3] = { NULL };
		if (!(expected[0] = reference_of(kind, 0)))
			continue;
		for (uint32_t text = 1; text < 3; text++)
			expected[text] = reference_of(kind, text);
		assert_true(engine_open(&engine, NULL, 2, kind, 3));
		float *scrap = logits_alloc(&engine);
		open_sequence(&engine, 1);
		run_text(&engine, 1, 0, 0, PREFIX, 48, scrap);
		assert_int_equal(drive_sequence(engine.slice, WORK_FORK, 1, 2, 0), FAIL_NONE);
		assert_int_equal(drive_sequence(engine.slice, WORK_FORK, 1, 3, 0), FAIL_NONE);
		slice_usage(engine.slice, &usage);
		assert_int_equal(usage.pages_used, 3); /* of 150 positions, once */
		run_text(&engine, 2, 1, PREFIX, PREFIX + 5, 5, scrap);
		run_text(&engine, 3, 2, PREFIX, PREFIX + 20, 7, scrap);
		slice_usage(engine.slice, &usage);
		assert_int_equal(usage.pages_used, 5); /* the last page of two was copied */
		one_flight_for_all(&engine, expected);
		free(scrap);
		engine_close(&engine);
		for (uint32_t text = 0; text < 3; text++)
			free(expected[text]);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_give_the_same_bits_everywhere),
		cmocka_unit_test(sequences_with_one_prefix_share_a_flight),
	};
	if (argc != 2)
		return 2;
	tested = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
