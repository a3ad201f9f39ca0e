/* What is measured, when again, and what is kept. */
#include "daemon/profiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define Q4_K (1ull << TENSOR_Q4_K)
#define Q8_0 (1ull << TENSOR_Q8_0)
#define F16  (1ull << TENSOR_F16)
#define LONG 600000 /* ms: never cuts anything short */

static struct account account;
static struct backend *backend;
static struct machine machine;
static uv_loop_t loop;
static char folder[] = "/tmp/profiler-test-XXXXXX";
static char file[sizeof(folder) + 16];

/* ---- one process ---- */

static struct profile_backend told;
static uint32_t times;

static void on_done(void *context, const struct profile_backend *rates, double disk_bytes_per_s)
{
	told = *rates;
	times++;
}

static uint64_t types_told(void)
{
	uint64_t types = 0;
	assert_int_equal(told.n_rates % 2, 0); /* a token's and a prompt's */
	for (uint32_t i = 0; i < told.n_rates; i++) {
		assert_int_equal(types >> told.rates[i].type & 1, i % 2); /* none twice */
		assert_true(told.rates[i].weights_per_s > 0);
		types |= 1ull << told.rates[i].type;
	}
	return types;
}

static struct profiler *begin(int64_t limit_ms, uint64_t types)
{
	const struct profiler_config config = { .loop = &loop,
						.backend = backend,
						.machine = &machine,
						.state = folder,
						.types = types,
						.limit_ms = limit_ms,
						.done = on_done };
	struct profiler *profiler = profiler_create(&config);
	assert_non_null(profiler);
	told.n_rates = times = 0;
	return profiler;
}

static void end(struct profiler *profiler)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(times > 0);
	assert_true(told.layer_overhead_s > 0 && told.kv_bytes_per_s > 0);
	profiler_destroy(profiler);
}

/* What a process that wants nothing reads from the file. */
static uint64_t types_kept(void)
{
	end(begin(LONG, 0));
	assert_int_equal(times, 1);
	return types_told();
}

static int begin_anew(void **unused)
{
	unlink(file);
	return 0;
}

/* ---- the tests ---- */

static void measures_what_is_wanted_and_keeps_it(void **unused)
{
	struct profiler *profiler = begin(LONG, Q8_0 | 1ull << 63); /* no such type */
	end(profiler);
	assert_int_equal(types_told(), Q8_0);
	const struct profile_backend first = told;
	profiler = begin(LONG, Q8_0);
	end(profiler);
	assert_memory_equal(&told, &first, sizeof(told)); /* read, not measured */
	profiler = begin(LONG, Q4_K | Q8_0);
	end(profiler);
	assert_int_equal(types_told(), Q4_K | Q8_0);
	assert_memory_equal(told.rates, first.rates, 2 * sizeof(told.rates[0]));
	assert_int_equal(types_kept(), Q4_K | Q8_0);
}

static void a_model_that_comes_later_is_measured_then(void **unused)
{
	struct profiler *profiler = begin(LONG, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(types_told(), 0);
	profiler_want(profiler, Q8_0);
	profiler_want(profiler, Q4_K); /* while it measures */
	profiler_want(profiler, Q8_0);
	end(profiler);
	assert_int_equal(types_told(), Q4_K | Q8_0);
	const uint32_t before = times;
	profiler = begin(LONG, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	profiler_want(profiler, Q8_0 | Q4_K);
	end(profiler);
	assert_true(before >= 3 && times <= 2);
}

/* A limit of nothing: every measurement is cut short after one type. */
static void what_a_busy_start_cut_short_is_not_kept(void **unused)
{
	struct profiler *profiler = begin(0, F16 | Q8_0 | Q4_K);
	end(profiler);
	assert_true(times >= 3);
	assert_int_equal(types_told(), F16 | Q8_0 | Q4_K); /* all are used... */
	assert_int_equal(types_kept(), 0);                 /* ...none is kept */
	profiler = begin(LONG, F16 | Q8_0 | Q4_K);
	end(profiler);
	assert_int_equal(types_kept(), F16 | Q8_0 | Q4_K);
}

static void another_machine_measures_anew(void **unused)
{
	struct profiler *profiler = begin(LONG, Q8_0);
	end(profiler);
	snprintf(machine.cpu, sizeof(machine.cpu), "another one");
	assert_int_equal(types_kept(), 0);
	machine.cpu[0] = 0;
	assert_int_equal(types_kept(), 0); /* the file is that of the other now */
}

static void may_end_while_it_measures(void **unused)
{
	struct profiler *profiler = begin(LONG, Q8_0 | Q4_K | F16);
	profiler_destroy(profiler);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(times, 0);
}

static void types_of_a_model(void **unused)
{
	static struct model_facts facts;
	facts.n_layers = 2;
	facts.layers[1] = (struct unit_facts){ 1, 2, { { TENSOR_Q4_K, 1 }, { 200, 1 } } };
	facts.output = (struct unit_facts){ 1, 1, { { TENSOR_F16, 1 } } };
	facts.embedding = (struct unit_facts){ 1, 1, { { TENSOR_Q8_0, 1 } } };
	assert_int_equal(profiler_types(&facts), Q4_K | F16);
}

static int set_up(void **unused)
{
	account_init(&account, 1u << 30);
	const struct backend_config config = { .threads = 1, .account = &account };
	backend = backend_cpu_create(&config, NULL);
	if (!backend || !mkdtemp(folder) || uv_loop_init(&loop) != 0)
		return -1;
	snprintf(file, sizeof(file), "%s/profile.bin", folder);
	return 0;
}

static int tear_down(void **unused)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	backend_destroy(backend);
	unlink(file);
	rmdir(folder);
	return uv_loop_close(&loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(measures_what_is_wanted_and_keeps_it, begin_anew),
		cmocka_unit_test_setup(a_model_that_comes_later_is_measured_then, begin_anew),
		cmocka_unit_test_setup(what_a_busy_start_cut_short_is_not_kept, begin_anew),
		cmocka_unit_test_setup(another_machine_measures_anew, begin_anew),
		cmocka_unit_test_setup(may_end_while_it_measures, begin_anew),
		cmocka_unit_test(types_of_a_model),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
