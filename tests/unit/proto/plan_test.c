#include "proto/plan.h"

#include "tests/unit/proto/samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct plan plan, back;

static int check(uint32_t n_layers)
{
	return plan_check(&plan, n_layers, NULL);
}

static void a_good_plan_passes_and_comes_back(void **state)
{
	struct buf bytes, again;
	buf_init(&bytes);
	buf_init(&again);
	sample_plan(&plan);
	assert_int_equal(check(0), 0);
	assert_int_equal(check(5), 0);
	plan_encode(&plan, &bytes);
	assert_int_equal(plan_decode(&back, bytes.data, bytes.size, NULL), 0);
	plan_encode(&back, &again);
	assert_int_equal(bytes.size, again.size);
	assert_memory_equal(bytes.data, again.data, bytes.size);
	assert_int_equal(plan_index_of(&back, &plan.devices[2].id), 2);
	const struct device_id other = { { 99 } };
	assert_int_equal(plan_index_of(&back, &other), -1);
	buf_finish(&bytes);
	buf_finish(&again);
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		sample_plan(&plan);                                                                \
		change;                                                                            \
		assert_int_equal(check(0), -FAIL_INVALID);                                         \
	} while (0)
#define ACCEPTED(change)                                                                           \
	do {                                                                                       \
		sample_plan(&plan);                                                                \
		change;                                                                            \
		assert_int_equal(check(0), 0);                                                     \
	} while (0)

static void every_number_of_a_plan_has_a_range(void **state)
{
	REFUSED(plan.n_devices = 0);
	REFUSED(plan.n_devices = PLAN_DEVICES_MAX + 1);
	REFUSED(plan.n_stages = 0);
	REFUSED(plan.n_stages = PLAN_STAGES_MAX + 1);
	REFUSED(plan.context = 0);
	ACCEPTED(plan.context = 1u << 28);
	REFUSED(plan.context = (1u << 28) + 1);
	REFUSED(plan.kv_positions = 0);
	ACCEPTED(plan.kv_positions = 1u << 28);
	REFUSED(plan.kv_positions = (1u << 28) + 1);
	REFUSED(plan.chunk_rows = 0);
	ACCEPTED(plan.chunk_rows = 512);
	REFUSED(plan.chunk_rows = 513);
	REFUSED(plan.rounds = 0);
	REFUSED(plan.rounds = 1); /* a stage is of the second */
	ACCEPTED(plan.rounds = PLAN_STAGES_MAX);
	REFUSED(plan.rounds = PLAN_STAGES_MAX + 1);
	ACCEPTED(plan.head = 2); /* may hold no layer */
	REFUSED(plan.head = 3);
	ACCEPTED(plan.wire = WIRE_F16);
	REFUSED(plan.wire = (enum wire_type)2);
	ACCEPTED(plan.kv_type = KV_TYPE_F32);
	REFUSED(plan.kv_type = KV_TYPES);
	REFUSED(plan.token_s = NAN);
	REFUSED(plan.token_s = -1);
	REFUSED(plan.first_token_s = INFINITY);
	REFUSED(memset(plan.limit, 'x', sizeof(plan.limit)));
	REFUSED(strcpy(plan.limit, "two\nlines"));
	REFUSED(memset(&plan.devices[1].id, 0, sizeof(plan.devices[1].id)));
	REFUSED(plan.devices[1].id = plan.devices[0].id);
	REFUSED(memset(plan.devices[1].name, 'x', sizeof(plan.devices[1].name)));
	REFUSED(strcpy(plan.devices[2].sentence, "\x1b[2J"));
	REFUSED(plan.devices[0].busy_s = NAN);
	REFUSED(plan.devices[0].hop_s = -0.1);
	REFUSED(plan.devices[0].disk_s = 1e7);
	ACCEPTED(plan.devices[0].weight_bytes = 1ull << 50);
	REFUSED(plan.devices[0].weight_bytes = (1ull << 50) + 1);
	REFUSED(plan.devices[0].kv_bytes = UINT64_MAX);
	REFUSED(plan.devices[0].budget_bytes = UINT64_MAX);
	REFUSED(plan.devices[0].n_layers = 3);
}

static void stages_cover_the_layers_once(void **state)
{
	REFUSED(plan.stages[0].first_layer = 1);
	REFUSED(plan.stages[1].first_layer = 3);     /* a gap */
	REFUSED(plan.stages[1].first_layer = 1);     /* an overlap */
	REFUSED(plan.stages[3].end_layer = 4);       /* empty */
	REFUSED(plan.stages[3].end_layer = 3);       /* backwards */
	REFUSED(plan.stages[3].end_layer = 513);
	REFUSED(plan.stages[0].round = 1);           /* rounds go back */
	REFUSED(plan.stages[3].round = 2);
	REFUSED(plan.stages[1].group[0].device = 1); /* twice in a round */
	REFUSED(plan.stages[1].group[0].device = 3);
	REFUSED(plan.stages[1].group[0].share = 0);
	REFUSED(plan.stages[1].n_group = 0);
	REFUSED(plan.stages[1].n_group = PLAN_GROUP_MAX + 1);
	sample_plan(&plan);
	assert_int_equal(check(4), -FAIL_INVALID);
	assert_int_equal(check(6), -FAIL_INVALID);
}

static void groups_are_refused_by_name(void **state)
{
	struct fail fail;
	sample_plan(&plan);
	plan.stages[1].n_group = 2;
	plan.stages[1].group[1].device = 2;
	plan.stages[1].group[1].share = 1;
	assert_int_equal(plan_check(&plan, 0, &fail), -FAIL_UNSUPPORTED);
	assert_non_null(strstr(fail.text, "layers 2 to 2 over a group of 2 devices"));
}

/* The format admits groups today, so that a later version can be told of them. */
static void groups_travel(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	sample_plan(&plan);
	plan.stages[1].n_group = PLAN_GROUP_MAX;
	for (uint16_t i = 0; i < PLAN_GROUP_MAX; i++)
		plan.stages[1].group[i].share = (uint16_t)(i + 1);
	plan_encode(&plan, &bytes);
	assert_int_equal(plan_decode(&back, bytes.data, bytes.size, NULL), -FAIL_UNSUPPORTED);
	assert_int_equal(back.stages[1].group[7].share, 8);
	buf_finish(&bytes);
}

/* 32 devices, 512 stages: the largest plan that can be made fits its limit. */
static void the_largest_plan_fits(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	sample_plan(&plan);
	plan.n_devices = PLAN_DEVICES_MAX;
	plan.n_stages = PLAN_STAGES_MAX;
	plan.rounds = 16;
	for (uint16_t i = 0; i < PLAN_DEVICES_MAX; i++) {
		plan.devices[i] = plan.devices[0];
		memset(plan.devices[i].id.bytes, i + 1, ID_BYTES);
		memset(plan.devices[i].name, 'n', 63);
		memset(plan.devices[i].sentence, 's', PLAN_SENTENCE_BYTES - 1);
		plan.devices[i].n_layers = 16;
		plan.devices[i].weight_bytes = plan.devices[i].kv_bytes = 1ull << 50;
	}
	for (uint16_t i = 0; i < PLAN_STAGES_MAX; i++)
		plan.stages[i] = (struct plan_stage){ i, (uint16_t)(i + 1), i / 32, 1,
						      { { i % 32, UINT16_MAX } } };
	assert_int_equal(check(512), 0);
	plan_encode(&plan, &bytes);
	assert_true(bytes.size <= PLAN_BYTES_MAX);
	assert_int_equal(plan_decode(&back, bytes.data, bytes.size, NULL), 0);
	buf_finish(&bytes);
	uint8_t *big = calloc(1, PLAN_BYTES_MAX + 1);
	struct fail fail;
	assert_non_null(big);
	assert_int_equal(plan_decode(&back, big, PLAN_BYTES_MAX + 1, &fail), -FAIL_INVALID);
	assert_non_null(strstr(fail.text, "65537 bytes"));
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_plan_passes_and_comes_back),
		cmocka_unit_test(every_number_of_a_plan_has_a_range),
		cmocka_unit_test(stages_cover_the_layers_once),
		cmocka_unit_test(groups_are_refused_by_name),
		cmocka_unit_test(groups_travel),
		cmocka_unit_test(the_largest_plan_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
