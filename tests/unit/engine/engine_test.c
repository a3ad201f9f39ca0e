/* The promise of the engine, by memcmp: hidden states and logits do not depend on how a prompt is
 * cut, on threads, kernels, slices, or on what else is in a batch. engine_test MODEL... */
#include "compute/compute.h"
#include "tests/tools/drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_TOKENS     135u /* three pages, the last one in part */
#define ROWS_MAX     160u
#define KV_POSITIONS 512u
#define LONG_TEXT    1200u /* more tiles than one thread joins */
#define SLICES_MAX   12u

static const char *tested;

/* What a prompt gives, row by row. */
struct trace {
	float *hidden; /* [n_layers + 1, N_TOKENS, model_row_floats] */
	float *logits; /* [N_TOKENS, n_vocab] */
};

struct engine {
	struct account account;
	struct model *model;
	const struct model_shape *shape;
	struct backend *backend;
	struct slice *slice;
};

static struct trace reference; /* token by token, one thread, C kernels */

/* ---- making things ---- */

static void engine_open(struct engine *engine, const char *cpu, uint32_t threads)
{
	struct fail fail = { 0 };
	account_init(&engine->account, 1ull << 32);
	const struct backend_config config = { .threads = threads,
					       .account = &engine->account,
					       .cpu = cpu };
	engine->model = model_open(tested, &fail);
	if (!engine->model)
		fail_msg("%s", fail.text);
	engine->shape = model_shape(engine->model);
	engine->backend = backend_cpu_create(&config, &fail);
	if (!engine->backend)
		fail_msg("%s", fail.text);
	engine->slice = drive_whole(engine->backend, engine->model, KV_POSITIONS, ROWS_MAX, &fail);
	if (!engine->slice)
		fail_msg("%s", fail.text);
}

static void engine_close(struct engine *engine)
{
	slice_destroy(engine->slice);
	backend_destroy(engine->backend);
	model_close(engine->model);
	assert_int_equal(atomic_load(&engine->account.used_bytes), 0);
}

static int set_up(void **given)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	engine_open(engine, NULL, 2);
	*given = engine;
	return 0;
}

static int tear_down(void **given)
{
	engine_close(*given);
	free(*given);
	return 0;
}

static size_t row_bytes(const struct model_shape *shape)
{
	return model_row_floats(shape) * sizeof(float);
}

static void trace_init(struct trace *trace, const struct model_shape *shape)
{
	trace->hidden = calloc((size_t)(shape->n_layers + 1) * N_TOKENS, row_bytes(shape));
	trace->logits = calloc((size_t)N_TOKENS * shape->n_vocab, sizeof(float));
	assert_non_null(trace->hidden);
	assert_non_null(trace->logits);
}

static void trace_finish(struct trace *trace)
{
	free(trace->hidden);
	free(trace->logits);
}

static uint32_t token_at(uint32_t text, uint32_t position, const struct model_shape *shape)
{
	return (position * position * 7 + position * 31 + text * 97 + 5) % shape->n_vocab;
}

static void fill_rows(struct work_row *rows, uint32_t sequence, uint32_t text, uint32_t first,
		      uint32_t n_rows, const struct model_shape *shape)
{
	for (uint32_t i = 0; i < n_rows; i++)
		rows[i] = (struct work_row){
			.sequence = sequence,
			.position = first + i,
			.token = token_at(text, first + i, shape),
			.want = true,
		};
}

static float *border(const struct trace *trace, const struct model_shape *shape, uint32_t layer,
		     uint32_t position)
{
	return trace->hidden + ((size_t)layer * N_TOKENS + position) * model_row_floats(shape);
}

static void open_sequence(const struct engine *engine, uint32_t sequence)
{
	assert_int_equal(drive_sequence(engine->slice, WORK_OPEN, sequence, 0, 0), FAIL_NONE);
}

/* ---- running ---- */

/* Rows [first, first + n) of text 0 through every layer on its own, kept at every border. */
static void trace_rows(const struct engine *engine, struct trace *trace, uint32_t sequence,
		       uint32_t first, uint32_t n_rows)
{
	const struct model_shape *shape = engine->shape;
	struct work_row rows[ROWS_MAX];
	float *hidden = border(trace, shape, 0, first);
	fill_rows(rows, sequence, 0, first, n_rows, shape);
	assert_int_equal(drive_embed(engine->slice, rows, n_rows, hidden), FAIL_NONE);
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		float *next = border(trace, shape, i + 1, first);
		memcpy(next, hidden, n_rows * row_bytes(shape));
		assert_int_equal(drive_layers(engine->slice, i, i + 1, rows, n_rows, next),
				 FAIL_NONE);
		hidden = next;
	}
	assert_int_equal(drive_output(engine->slice, rows, n_rows, hidden,
				      trace->logits + (size_t)first * shape->n_vocab),
			 FAIL_NONE);
}

static void trace_text(const struct engine *engine, struct trace *trace, uint32_t chunk)
{
	open_sequence(engine, 1);
	for (uint32_t at = 0; at < N_TOKENS; at += chunk)
		trace_rows(engine, trace, 1, at, N_TOKENS - at < chunk ? N_TOKENS - at : chunk);
	assert_int_equal(drive_sequence(engine->slice, WORK_DROP, 1, 0, 0), FAIL_NONE);
}

static void assert_same(const struct trace *trace, const struct model_shape *shape)
{
	const size_t states = (size_t)(shape->n_layers + 1) * N_TOKENS;
	assert_memory_equal(trace->hidden, reference.hidden, states * row_bytes(shape));
	assert_memory_equal(trace->logits, reference.logits,
			    (size_t)N_TOKENS * shape->n_vocab * sizeof(float));
}

static void check_chunks(const char *cpu, uint32_t threads, uint32_t chunk)
{
	struct engine engine;
	struct trace trace;
	engine_open(&engine, cpu, threads);
	trace_init(&trace, engine.shape);
	trace_text(&engine, &trace, chunk);
	assert_same(&trace, engine.shape);
	trace_finish(&trace);
	engine_close(&engine);
}

/* Last layer's states and logits of one batch, all layers at once. */
static enum fail_code run_rows(const struct engine *engine, const struct work_row *rows,
			       uint32_t n_rows, float *hidden, float *logits)
{
	enum fail_code code = drive_embed(engine->slice, rows, n_rows, hidden);
	if (!code)
		code = drive_layers(engine->slice, 0, engine->shape->n_layers, rows, n_rows,
				    hidden);
	if (!code)
		code = drive_output(engine->slice, rows, n_rows, hidden, logits);
	return code;
}

/* Appends rows of a text to a sequence and compares the logits with a fresh sequence's. */
struct run {
	struct work_row rows[ROWS_MAX];
	float *hidden, *logits;
};

static void run_init(struct run *run, const struct model_shape *shape)
{
	run->hidden = calloc(ROWS_MAX, row_bytes(shape));
	run->logits = calloc((size_t)ROWS_MAX * shape->n_vocab, sizeof(float));
	assert_non_null(run->hidden);
	assert_non_null(run->logits);
}

static void run_finish(struct run *run)
{
	free(run->hidden);
	free(run->logits);
}

static enum fail_code append(const struct engine *engine, struct run *run, uint32_t sequence,
			     uint32_t text, uint32_t first, uint32_t n_rows)
{
	fill_rows(run->rows, sequence, text, first, n_rows, engine->shape);
	return run_rows(engine, run->rows, n_rows, run->hidden, run->logits);
}

/* The logits that text 0 has at positions [first, first + n) are those just computed. */
static void assert_reference_logits(const struct engine *engine, const struct run *run,
				    uint32_t first, uint32_t n_rows)
{
	const size_t n_vocab = engine->shape->n_vocab;
	assert_memory_equal(run->logits, reference.logits + first * n_vocab,
			    n_rows * n_vocab * sizeof(float));
}

static uint32_t pages_used(const struct engine *engine)
{
	struct slice_usage usage;
	slice_usage(engine->slice, &usage);
	return usage.pages_used;
}

/* ---- tests ---- */

static void test_logits_have_sense(void **given)
{
	const struct engine *engine = *given;
	float low = reference.logits[0], high = low;
	for (size_t i = 0; i < (size_t)N_TOKENS * engine->shape->n_vocab; i++) {
		low = reference.logits[i] < low ? reference.logits[i] : low;
		high = reference.logits[i] > high ? reference.logits[i] : high;
	}
	assert_true(high - low > 1 && high - low < 1000); /* false for NaN too */
}

static void test_chunks(void **given)
{
	static const uint32_t chunks[] = { 2, 16, 63, 64, 65, N_TOKENS };
	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
		check_chunks(NULL, 2, chunks[i]);
}

static void test_threads(void **given)
{
	for (uint32_t threads = 1; threads <= 4; threads++) {
		check_chunks(NULL, threads, 1);
		check_chunks(NULL, threads, 48);
	}
}

static void test_c_kernels_give_the_same_bits(void **given)
{
	check_chunks("c", 2, 50);
}

/* The last token of a text of many tiles, passed alone: its logits go to `logits`. */
static void pass_long_text(uint32_t threads, float *logits)
{
	struct engine engine;
	struct run run;
	engine_open(&engine, NULL, threads);
	slice_destroy(engine.slice);
	engine.slice = drive_whole(engine.backend, engine.model, LONG_TEXT, ROWS_MAX, NULL);
	assert_non_null(engine.slice);
	run_init(&run, engine.shape);
	open_sequence(&engine, 1);
	for (uint32_t at = 0; at < LONG_TEXT - 1;) {
		const uint32_t left = LONG_TEXT - 1 - at;
		const uint32_t n_rows = left < ROWS_MAX ? left : ROWS_MAX;
		assert_int_equal(append(&engine, &run, 1, 0, at, n_rows), FAIL_NONE);
		at += n_rows;
	}
	assert_int_equal(append(&engine, &run, 1, 0, LONG_TEXT - 1, 1), FAIL_NONE);
	memcpy(logits, run.logits, engine.shape->n_vocab * sizeof(float));
	run_finish(&run);
	engine_close(&engine);
}

static void test_long_text(void **given)
{
	const struct engine *engine = *given;
	const size_t size = engine->shape->n_vocab * sizeof(float);
	float *alone = calloc(1, size), *shared = calloc(1, size);
	pass_long_text(1, alone);
	pass_long_text(3, shared);
	assert_memory_equal(alone, shared, size);
	free(alone);
	free(shared);
}

/* A device that holds some ranges only, on a backend of its own. */
static struct slice *part_of(const struct engine *engine, const struct layer_range *ranges,
			     uint32_t n_ranges)
{
	struct fail fail = { 0 };
	const struct slice_config config = {
		.ranges = ranges,
		.n_ranges = n_ranges,
		.kv_positions = KV_POSITIONS,
		.rows_max = ROWS_MAX,
	};
	struct slice *slice = slice_create(engine->backend, engine->model, &config, &fail);
	if (!slice)
		fail_msg("%s", fail.text);
	assert_int_equal(drive_sequence(slice, WORK_OPEN, 1, 0, 0), FAIL_NONE);
	return slice;
}

/* One slice per cut: layers [cuts[i], cuts[i + 1]). */
static void check_cuts(struct engine *engine, const uint32_t *cuts, uint32_t n_slices)
{
	const struct model_shape *shape = engine->shape;
	struct slice *slices[SLICES_MAX];
	struct run run;
	run_init(&run, shape);
	for (uint32_t i = 0; i < n_slices; i++) {
		const struct layer_range range = { cuts[i], cuts[i + 1] };
		slices[i] = part_of(engine, &range, 1);
	}
	for (uint32_t at = 0; at < N_TOKENS; at += 45) {
		fill_rows(run.rows, 1, 0, at, 45, shape);
		assert_int_equal(drive_embed(engine->slice, run.rows, 45, run.hidden), FAIL_NONE);
		for (uint32_t i = 0; i < n_slices; i++) {
			assert_int_equal(drive_layers(slices[i], cuts[i], cuts[i + 1], run.rows, 45,
						      run.hidden),
					 FAIL_NONE);
			assert_memory_equal(run.hidden, border(&reference, shape, cuts[i + 1], at),
					    45 * row_bytes(shape));
		}
		assert_int_equal(drive_output(engine->slice, run.rows, 45, run.hidden, run.logits),
				 FAIL_NONE);
		assert_reference_logits(engine, &run, at, 45);
	}
	for (uint32_t i = 0; i < n_slices; i++)
		slice_destroy(slices[i]);
	run_finish(&run);
}

static void test_slices(void **given)
{
	struct engine *engine = *given;
	const uint32_t n = engine->shape->n_layers;
	const uint32_t half[] = { 0, n / 2, n }, uneven[] = { 0, 1, n - 1, n };
	uint32_t each[SLICES_MAX + 1];
	assert_in_range(n, 3, SLICES_MAX);
	for (uint32_t i = 0; i <= n; i++)
		each[i] = i;
	check_cuts(engine, half, 2);
	check_cuts(engine, uneven, 3);
	check_cuts(engine, each, n);
}

/* Two rounds: this device holds the first and the last layer, another the middle. Chunks overtake:
 * the second enters the first stage before the first has reached the last one. */
static void test_two_rounds(void **given)
{
	struct engine *engine = *given;
	const struct model_shape *shape = engine->shape;
	const uint32_t n = shape->n_layers;
	const struct layer_range outer[] = { { 0, 1 }, { n - 1, n } }, inner = { 1, n - 1 };
	struct slice *ours = part_of(engine, outer, 2), *theirs = part_of(engine, &inner, 1);
	struct run first, second;
	struct work fork = {
		.kind = WORK_FORK, .layers = { 0, 1 }, .sequence_a = 1, .sequence_b = 2
	};
	run_init(&first, shape);
	run_init(&second, shape);
	fill_rows(first.rows, 1, 0, 0, 70, shape);
	fill_rows(second.rows, 2, 0, 70, 60, shape);
	drive_embed(engine->slice, first.rows, 70, first.hidden);
	drive_embed(engine->slice, second.rows, 60, second.hidden);
	assert_int_equal(drive_layers(ours, 0, 1, first.rows, 70, first.hidden), FAIL_NONE);
	assert_int_equal(drive(ours, &fork), FAIL_NONE); /* the first stage only */
	assert_int_equal(drive_layers(ours, 0, 1, second.rows, 60, second.hidden), FAIL_NONE);
	assert_int_equal(drive_layers(theirs, 1, n - 1, first.rows, 70, first.hidden), FAIL_NONE);
	assert_int_equal(drive_sequence(theirs, WORK_FORK, 1, 2, 0), FAIL_NONE);
	assert_int_equal(drive_layers(ours, n - 1, n, first.rows, 70, first.hidden), FAIL_NONE);
	assert_int_equal(drive_layers(theirs, 1, n - 1, second.rows, 60, second.hidden), FAIL_NONE);
	assert_int_equal(drive_layers(ours, n - 1, n, second.rows, 60, second.hidden),
			 FAIL_INVALID); /* sequence 2 is unknown in the last stage */
	fork.layers = (struct layer_range){ n - 1, n };
	assert_int_equal(drive(ours, &fork), FAIL_NONE);
	assert_int_equal(drive_layers(ours, n - 1, n, second.rows, 60, second.hidden), FAIL_NONE);
	assert_memory_equal(first.hidden, border(&reference, shape, n, 0), 70 * row_bytes(shape));
	assert_memory_equal(second.hidden, border(&reference, shape, n, 70), 60 * row_bytes(shape));
	run_finish(&first);
	run_finish(&second);
	slice_destroy(ours);
	slice_destroy(theirs);
}

/* Rows of two sequences in one batch, mixed, give what each gives alone. */
static void test_batch_of_two(void **given)
{
	const struct engine *engine = *given;
	const struct model_shape *shape = engine->shape;
	struct run alone, both;
	run_init(&alone, shape);
	run_init(&both, shape);
	open_sequence(engine, 1);
	open_sequence(engine, 2);
	open_sequence(engine, 3);
	assert_int_equal(append(engine, &alone, 3, 4, 0, 80), FAIL_NONE);
	for (uint32_t i = 0; i < 80; i++) {
		fill_rows(&both.rows[2 * i], 1, 0, i, 1, shape);
		fill_rows(&both.rows[2 * i + 1], 2, 4, i, 1, shape);
	}
	assert_int_equal(run_rows(engine, both.rows, 160, both.hidden, both.logits), FAIL_NONE);
	for (uint32_t i = 0; i < 80; i++) {
		const size_t size = shape->n_vocab * sizeof(float);
		const float *logits = both.logits + (size_t)2 * i * shape->n_vocab;
		assert_memory_equal(logits, reference.logits + (size_t)i * shape->n_vocab, size);
		assert_memory_equal(logits + shape->n_vocab,
				    alone.logits + (size_t)i * shape->n_vocab, size);
	}
	run_finish(&alone);
	run_finish(&both);
}

static void test_only_wanted_rows_get_logits(void **given)
{
	const struct engine *engine = *given;
	const size_t n_vocab = engine->shape->n_vocab;
	struct run run;
	run_init(&run, engine->shape);
	open_sequence(engine, 1);
	fill_rows(run.rows, 1, 0, 0, 40, engine->shape);
	for (uint32_t i = 0; i < 40; i++)
		run.rows[i].want = i == 7 || i == 39;
	run.logits[2 * n_vocab] = 12345.0f;
	assert_int_equal(run_rows(engine, run.rows, 40, run.hidden, run.logits), FAIL_NONE);
	assert_memory_equal(run.logits, reference.logits + 7 * n_vocab, n_vocab * sizeof(float));
	assert_memory_equal(run.logits + n_vocab, reference.logits + 39 * n_vocab,
			    n_vocab * sizeof(float));
	assert_true(run.logits[2 * n_vocab] == 12345.0f);
	run_finish(&run);
}

/* False where a layer is recurrent, which knows no earlier position: the trim is refused then. */
static bool trim(const struct engine *engine, uint32_t sequence, uint32_t position)
{
	bool can = true;
	for (uint32_t i = 0; i < engine->shape->n_layers; i++)
		can = can && engine->shape->layers[i].mixer != MIXER_DELTA;
	assert_int_equal(drive_sequence(engine->slice, WORK_TRIM, sequence, 0, position),
			 can ? FAIL_NONE : FAIL_NOT_FOUND);
	return can;
}

static void test_fork_trim_checkpoint(void **given)
{
	const struct engine *engine = *given;
	struct run run;
	run_init(&run, engine->shape);
	open_sequence(engine, 1);
	append(engine, &run, 1, 0, 0, 70);
	assert_int_equal(drive_sequence(engine->slice, WORK_FORK, 1, 2, 0), FAIL_NONE);
	assert_int_equal(drive_sequence(engine->slice, WORK_CHECKPOINT, 1, 9, 0), FAIL_NONE);
	assert_int_equal(append(engine, &run, 2, 6, 70, 30), FAIL_NONE); /* another text */
	assert_int_equal(append(engine, &run, 1, 0, 70, 30), FAIL_NONE);
	assert_reference_logits(engine, &run, 70, 30);
	if (!trim(engine, 2, 70)) {
		assert_int_equal(drive_sequence(engine->slice, WORK_TRIM, 2, 0, 0), FAIL_NONE);
		assert_int_equal(append(engine, &run, 2, 0, 0, 70), FAIL_NONE);
	}
	assert_int_equal(append(engine, &run, 2, 0, 70, 10), FAIL_NONE);
	assert_reference_logits(engine, &run, 70, 10);
	if (trim(engine, 1, 3))
		assert_int_equal(append(engine, &run, 1, 6, 3, 100), FAIL_NONE);
	assert_int_equal(drive_sequence(engine->slice, WORK_RESTORE, 1, 9, 0), FAIL_NONE);
	assert_int_equal(append(engine, &run, 1, 0, 70, 50), FAIL_NONE);
	assert_reference_logits(engine, &run, 70, 50);
	assert_int_equal(drive_sequence(engine->slice, WORK_DROP, 1, 0, 0), FAIL_NONE);
	assert_int_equal(append(engine, &run, 2, 0, 80, 30), FAIL_NONE);
	assert_reference_logits(engine, &run, 80, 30);
	assert_int_equal(drive_sequence(engine->slice, WORK_DROP, 2, 0, 0), FAIL_NONE);
	assert_int_equal(pages_used(engine), 0);
	run_finish(&run);
}

static void test_pages_end(void **given)
{
	const struct engine *engine = *given;
	struct run run;
	run_init(&run, engine->shape);
	for (uint32_t i = 0; i < 3; i++) { /* two pages of eight each, then three */
		open_sequence(engine, i);
		assert_int_equal(append(engine, &run, i, i, 0, 128), FAIL_NONE);
	}
	open_sequence(engine, 3);
	assert_int_equal(append(engine, &run, 3, 0, 0, 129), FAIL_MEMORY);
	assert_int_equal(pages_used(engine), 6);
	assert_int_equal(append(engine, &run, 3, 0, 0, 128), FAIL_NONE);
	assert_reference_logits(engine, &run, 0, 128);
	assert_int_equal(append(engine, &run, 0, 0, 128, 1), FAIL_MEMORY);
	assert_int_equal(drive_sequence(engine->slice, WORK_DROP, 1, 0, 0), FAIL_NONE);
	assert_int_equal(append(engine, &run, 0, 0, 128, 7), FAIL_NONE);
	assert_reference_logits(engine, &run, 128, 7);
	run_finish(&run);
}

static void test_wrong_work_is_refused(void **given)
{
	const struct engine *engine = *given;
	const uint32_t n = engine->shape->n_layers;
	struct run run;
	run_init(&run, engine->shape);
	open_sequence(engine, 1);
	fill_rows(run.rows, 7, 0, 0, 4, engine->shape);
	assert_int_equal(drive_layers(engine->slice, 0, n, run.rows, 4, run.hidden), FAIL_INVALID);
	fill_rows(run.rows, 1, 0, 3, 4, engine->shape);
	assert_int_equal(drive_layers(engine->slice, 0, n, run.rows, 4, run.hidden), FAIL_INVALID);
	fill_rows(run.rows, 1, 0, 0, 4, engine->shape);
	assert_int_equal(drive_layers(engine->slice, 0, n + 1, run.rows, 4, run.hidden),
			 FAIL_INVALID);
	assert_int_equal(drive_layers(engine->slice, 2, 2, run.rows, 4, run.hidden), FAIL_INVALID);
	assert_int_equal(drive_layers(engine->slice, 0, n, run.rows, 0, run.hidden), FAIL_INVALID);
	assert_int_equal(drive_layers(engine->slice, 0, n, run.rows, ROWS_MAX + 1, run.hidden),
			 FAIL_INVALID);
	run.rows[3].token = engine->shape->n_vocab;
	assert_int_equal(drive_embed(engine->slice, run.rows, 4, run.hidden), FAIL_INVALID);
	assert_int_equal(drive_sequence(engine->slice, WORK_OPEN, 1, 0, 0), FAIL_INVALID);
	assert_int_equal(drive_sequence(engine->slice, WORK_DROP, 5, 0, 0), FAIL_INVALID);
	assert_int_equal(drive_sequence(engine->slice, (enum work_kind)77, 1, 0, 0), FAIL_INVALID);
	assert_int_equal(pages_used(engine), 0);
	run_finish(&run);
}

static void set_cancel(struct work *work)
{
	atomic_store((atomic_bool *)work->context, true);
}

/* Two pieces are queued; the first one's end cancels the second. */
static void test_cancel_leaves_no_position(void **given)
{
	const struct engine *engine = *given;
	const uint32_t n = engine->shape->n_layers;
	struct run run;
	atomic_bool cancel = false;
	run_init(&run, engine->shape);
	open_sequence(engine, 1);
	assert_int_equal(append(engine, &run, 1, 0, 0, 30), FAIL_NONE);
	fill_rows(run.rows, 1, 0, 30, 100, engine->shape);
	drive_embed(engine->slice, run.rows, 100, run.hidden);
	struct work before = {
		.kind = WORK_CHECKPOINT, .sequence_a = 1, .done = set_cancel, .context = &cancel
	};
	struct work rows = {
		.kind = WORK_LAYERS,
		.layers = { 0, n },
		.rows = run.rows,
		.n_rows = 100,
		.hidden = run.hidden,
		.cancel = &cancel,
	};
	slice_submit(engine->slice, &before);
	assert_int_equal(drive(engine->slice, &rows), FAIL_CANCELLED);
	assert_int_equal(pages_used(engine), 1);
	assert_int_equal(append(engine, &run, 1, 0, 30, 100), FAIL_NONE);
	assert_reference_logits(engine, &run, 30, 100);
	run_finish(&run);
}

static void test_usage_is_what_was_charged(void **given)
{
	const struct engine *engine = *given;
	const struct layer_range range = { 0, engine->shape->n_layers };
	const struct slice_config config = {
		.ranges = &range,
		.n_ranges = 1,
		.head = true,
		.kv_positions = KV_POSITIONS,
		.rows_max = ROWS_MAX,
	};
	struct slice_usage usage;
	slice_usage(engine->slice, &usage);
	assert_int_equal(usage.weight_bytes, slice_weight_bytes(engine->model, &config));
	assert_int_equal(usage.kv_bytes, slice_kv_bytes(engine->model, &config));
	assert_int_equal(usage.buffer_bytes, slice_buffer_bytes(engine->model, &config, 2));
	assert_int_equal(atomic_load(&engine->account.kind_bytes[ACCOUNT_WEIGHTS]),
			 usage.weight_bytes);
	assert_int_equal(atomic_load(&engine->account.kind_bytes[ACCOUNT_KV]), usage.kv_bytes);
	assert_int_equal(atomic_load(&engine->account.kind_bytes[ACCOUNT_BUFFERS]),
			 usage.buffer_bytes);
	assert_int_equal(usage.pages_total, KV_POSITIONS / 64);
}

/* Every limit below what is needed is refused with a sentence, and nothing stays charged. */
static void test_a_full_account_is_refused(void **given)
{
	struct engine *engine = *given;
	const uint64_t used = atomic_load(&engine->account.used_bytes);
	struct fail fail;
	for (uint64_t part = 0; part < 8; part++) {
		atomic_store(&engine->account.limit_bytes, used + used * part / 8);
		assert_null(
			drive_whole(engine->backend, engine->model, KV_POSITIONS, ROWS_MAX, &fail));
		assert_int_equal(fail.code, FAIL_MEMORY);
		assert_int_equal(atomic_load(&engine->account.used_bytes), used);
	}
	atomic_store(&engine->account.limit_bytes, 2 * used);
	struct slice *slice =
		drive_whole(engine->backend, engine->model, KV_POSITIONS, ROWS_MAX, &fail);
	assert_non_null(slice);
	slice_destroy(slice);
}

static void test_wrong_slices_are_refused(void **given)
{
	struct engine *engine = *given;
	const uint32_t n = engine->shape->n_layers;
	const struct layer_range bad[][2] = {
		{ { 0, n + 1 } }, { { 2, 2 } }, { { 1, 2 }, { 0, 1 } }, { { 0, 2 }, { 1, n } }
	};
	const uint32_t counts[] = { 1, 1, 2, 2 };
	struct fail fail;
	for (uint32_t i = 0; i < 4; i++) {
		const struct slice_config config = {
			.ranges = bad[i], .n_ranges = counts[i], .kv_positions = 64, .rows_max = 4
		};
		assert_null(slice_create(engine->backend, engine->model, &config, &fail));
		assert_int_equal(fail.code, FAIL_INVALID);
	}
	const struct slice_config empty = { .kv_positions = 64, .rows_max = 4 };
	assert_null(slice_create(engine->backend, engine->model, &empty, &fail));
	const struct backend_config config = { .account = &engine->account, .cpu = "abacus" };
	assert_null(backend_cpu_create(&config, &fail));
}

static int make_reference(void **given)
{
	struct engine engine;
	engine_open(&engine, "c", 1);
	trace_init(&reference, engine.shape);
	trace_text(&engine, &reference, 1);
	engine_close(&engine);
	return 0;
}

static int drop_reference(void **given)
{
	trace_finish(&reference);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_logits_have_sense, set_up, tear_down),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_c_kernels_give_the_same_bits),
		cmocka_unit_test_setup_teardown(test_long_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_rounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_batch_of_two, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_only_wanted_rows_get_logits, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_fork_trim_checkpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pages_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wrong_work_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_leaves_no_position, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_usage_is_what_was_charged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_account_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wrong_slices_are_refused, set_up, tear_down),
	};
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		tested = argv[i];
		printf("%s\n", tested);
		failed += cmocka_run_group_tests(tests, make_reference, drop_reference);
	}
	return argc < 2 || failed;
}
