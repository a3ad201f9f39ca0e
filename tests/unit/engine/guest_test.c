/* Work done in the leader's place, slice_run_here: the same bits, never at the same time as the
 * leader's own, and nothing that was submitted meanwhile is forgotten. guest_test MODEL */
#include "compute/compute.h"
#include "compute/cpu/backend_cpu.h"
#include "tests/tools/drive.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POSITIONS 24u
#define ROUNDS    300u

static const char *tested;

struct engine {
	struct account account;
	struct model *model;
	const struct model_shape *shape;
	struct backend *backend;
	struct slice *slice;
};

static int set_up(void **given)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct fail fail = { 0 };
	assert_non_null(engine);
	account_init(&engine->account, 1ull << 32);
	const struct backend_config config = { .threads = 2, .account = &engine->account };
	engine->model = model_open(tested, &fail);
	engine->backend = backend_cpu_create(&config, &fail);
	if (!engine->model || !engine->backend)
		fail_msg("%s", fail.text);
	engine->shape = model_shape(engine->model);
	engine->slice = drive_whole(engine->backend, engine->model, 512, 8, &fail);
	if (!engine->slice)
		fail_msg("%s", fail.text);
	*given = engine;
	return 0;
}

static int tear_down(void **given)
{
	struct engine *engine = *given;
	slice_destroy(engine->slice);
	backend_destroy(engine->backend);
	model_close(engine->model);
	free(engine);
	return 0;
}

static struct work_row row_at(const struct engine *engine, uint32_t sequence, uint32_t position)
{
	return (struct work_row){
		.sequence = sequence,
		.position = position,
		.token = (position * 31 + 7) % engine->shape->n_vocab,
		.want = true,
	};
}

/* `done` is not for work that is done here. */
static void is_not_called(struct work *work)
{
	abort();
}

static void must_run_here(const struct engine *engine, struct work *work)
{
	work->done = is_not_called;
	work->code = FAIL_CODES;
	assert_true(slice_run_here(engine->slice, work));
	assert_int_equal(work->code, FAIL_NONE);
}

static void run_here(const struct engine *engine, const struct work_row *row, float *hidden,
		     float *logits)
{
	struct work works[] = {
		{ .kind = WORK_EMBED, .n_rows = 1, .rows = row, .hidden = hidden },
		{ .kind = WORK_LAYERS,
		  .layers = { 0, engine->shape->n_layers },
		  .n_rows = 1,
		  .rows = row,
		  .hidden = hidden },
		{ .kind = WORK_OUTPUT,
		  .n_rows = 1,
		  .rows = row,
		  .hidden = hidden,
		  .logits = logits },
	};
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		must_run_here(engine, &works[i]);
}

static void run_led(const struct engine *engine, const struct work_row *row, float *hidden,
		    float *logits)
{
	assert_int_equal(drive_embed(engine->slice, row, 1, hidden), FAIL_NONE);
	assert_int_equal(drive_layers(engine->slice, 0, engine->shape->n_layers, row, 1, hidden),
			 FAIL_NONE);
	assert_int_equal(drive_output(engine->slice, row, 1, hidden, logits), FAIL_NONE);
}

static void test_the_same_bits(void **given)
{
	const struct engine *engine = *given;
	const size_t n_embd = engine->shape->n_embd, n_vocab = engine->shape->n_vocab;
	float *here = calloc(n_embd + n_vocab, sizeof(float));
	float *led = calloc(n_embd + n_vocab, sizeof(float));
	struct work open = { .kind = WORK_OPEN, .sequence_a = 1 };
	must_run_here(engine, &open);
	assert_int_equal(drive_sequence(engine->slice, WORK_OPEN, 2, 0, 0), FAIL_NONE);
	for (uint32_t at = 0; at < POSITIONS; at++) {
		const struct work_row first = row_at(engine, 1, at), second = row_at(engine, 2, at);
		run_here(engine, &first, here, here + n_embd);
		run_led(engine, &second, led, led + n_embd);
		assert_memory_equal(here, led, (n_embd + n_vocab) * sizeof(float));
	}
	free(here);
	free(led);
}

/* ---- the place is taken ---- */

struct occupant {
	struct backend *backend;
	sem_t inside, leave;
};

static void stay(void *context)
{
	struct occupant *occupant = context;
	sem_post(&occupant->inside);
	sem_wait(&occupant->leave);
}

static void *occupy(void *context)
{
	struct occupant *occupant = context;
	backend_call(occupant->backend, stay, occupant);
	return NULL;
}

static void test_not_while_the_leader_works(void **given)
{
	const struct engine *engine = *given;
	struct occupant occupant = { .backend = engine->backend };
	struct work open = { .kind = WORK_OPEN, .sequence_a = 1, .code = FAIL_CODES };
	pthread_t thread;
	sem_init(&occupant.inside, 0, 0);
	sem_init(&occupant.leave, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, occupy, &occupant), 0);
	sem_wait(&occupant.inside);
	const bool taken = slice_run_here(engine->slice, &open);
	const enum fail_code code = open.code;
	sem_post(&occupant.leave);
	pthread_join(thread, NULL);
	assert_false(taken);
	assert_int_equal(code, FAIL_CODES); /* untouched */
	must_run_here(engine, &open);       /* who was called for has left the place */
	sem_destroy(&occupant.inside);
	sem_destroy(&occupant.leave);
}

/* ---- both at once ---- */

static atomic_bool led_all;

static void *embed_led(void *context)
{
	const struct engine *engine = context;
	float *hidden = calloc(engine->shape->n_embd, sizeof(float));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		const struct work_row row = row_at(engine, 1, i);
		if (drive_embed(engine->slice, &row, 1, hidden) != FAIL_NONE)
			abort();
	}
	free(hidden);
	atomic_store(&led_all, true);
	return NULL;
}

/* The forward pass has one set of buffers: two at once would spoil each other's rows. */
static void test_turns_with_the_leader(void **given)
{
	struct engine *engine = *given;
	const size_t bytes = engine->shape->n_embd * sizeof(float);
	float *hidden = malloc(bytes), *expected = malloc(bytes);
	uint32_t here = 0, all = 0;
	pthread_t thread;
	const struct work_row row = row_at(engine, 1, 3);
	assert_int_equal(drive_embed(engine->slice, &row, 1, expected), FAIL_NONE);
	assert_int_equal(pthread_create(&thread, NULL, embed_led, engine), 0);
	for (; !atomic_load(&led_all); all++) {
		struct work work = {
			.kind = WORK_EMBED, .n_rows = 1, .rows = &row, .hidden = hidden
		};
		memset(hidden, 0xff, bytes);
		if (slice_run_here(engine->slice, &work))
			here++;
		else
			drive(engine->slice, &work);
		assert_int_equal(work.code, FAIL_NONE);
		assert_memory_equal(hidden, expected, bytes);
	}
	pthread_join(thread, NULL);
	printf("%u of %u pieces done here\n", here, all);
	free(hidden);
	free(expected);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_same_bits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_while_the_leader_works, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_with_the_leader, set_up, tear_down),
	};
	if (argc != 2)
		return 2;
	tested = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
