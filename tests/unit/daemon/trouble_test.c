/* When a failed attempt to bring a model up ends the wait for it, and whom the next plan spares. */
#include "daemon/trouble.h"

#include "proto/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct model_id model = { { 1 } }, other = { { 2 } };
static const struct device_id device = { { 3 } }, another = { { 4 } };

static struct fail failure(enum fail_code code)
{
	struct fail fail;
	fail_set(&fail, code, "something went wrong");
	return fail;
}

static void what_comes_again_ends_at_once(void **state)
{
	struct trouble trouble = { 0 };
	const struct fail why = failure(FAIL_CORRUPT);
	assert_false(trouble_ends(&trouble, &model, 0, 0, 1000000));
	trouble_failed(&trouble, &model, &why, &device, 100);
	assert_true(trouble_ends(&trouble, &model, 0, 50, 101));
	assert_int_equal(trouble.n_spared, 0);
	/* who began to wait after it hopes that a person has mended it */
	assert_false(trouble_ends(&trouble, &model, trouble.failed, 101, 101));
	assert_false(trouble_ends(&trouble, &other, 0, 50, 101));
}

static void a_lost_device_is_planned_around(void **state)
{
	struct trouble trouble = { 0 };
	const struct fail why = failure(FAIL_LOST);
	trouble_failed(&trouble, &model, &why, &device, 100);
	assert_false(trouble_ends(&trouble, &model, 0, 50, 101));
	assert_null(trouble_spares(&trouble, &device));
	trouble_forget(&trouble); /* there was another plan */
	trouble_failed(&trouble, &model, &why, &device, 200);
	assert_false(trouble_ends(&trouble, &model, 0, 50, 201));
	trouble_forget(&trouble);
	trouble_failed(&trouble, &model, &why, &device, 300);
	assert_true(trouble_ends(&trouble, &model, 0, 50, 301)); /* the third time */
	assert_false(trouble_ends(&trouble, &model, 1, 150, 301));
}

static void without_a_plan_there_is_patience(void **state)
{
	struct trouble trouble = { 0 };
	const struct fail why = failure(FAIL_MEMORY);
	for (int64_t now = 1000; now <= 1000 + 10 * REPLAN_PAUSE_MS; now += REPLAN_PAUSE_MS) {
		trouble_set(&trouble, &model, &why, now);
		assert_false(trouble_ends(&trouble, &model, 0, 900, now));
	}
	const int64_t end = 1001 + 10 * REPLAN_PAUSE_MS;
	assert_true(trouble_ends(&trouble, &model, 0, 900, end));
	assert_false(trouble_ends(&trouble, &model, 0, 2000, end)); /* it came later */
	trouble_set(&trouble, &other, &why, end);
	assert_int_equal(trouble.since_ms, end);
}

static void who_is_short_of_room_is_spared(void **state)
{
	struct trouble trouble = { 0 };
	const struct fail full = failure(FAIL_SPACE), small = failure(FAIL_MEMORY);
	trouble_failed(&trouble, &model, &full, &device, 100);
	assert_non_null(strstr(trouble_spares(&trouble, &device), "disk"));
	assert_null(trouble_spares(&trouble, &another));
	trouble_failed(&trouble, &model, &small, &device, 100);
	trouble_failed(&trouble, &model, &small, &another, 100);
	assert_non_null(strstr(trouble_spares(&trouble, &another), "memory"));
	assert_int_equal(trouble.n_spared, 2);
	for (int i = 0; i < 2 * PLAN_DEVICES_MAX; i++) {
		const struct device_id many = { { 9, (uint8_t)i } };
		trouble_spare(&trouble, &many, "it is one of many");
	}
	assert_int_equal(trouble.n_spared, PLAN_DEVICES_MAX);
}

static void a_reason_is_news_once(void **state)
{
	struct trouble trouble = { 0 };
	const struct fail why = failure(FAIL_MEMORY);
	struct fail changed = why;
	assert_true(trouble_is_news(&trouble, &model, &why));
	trouble_set(&trouble, &model, &why, 100);
	assert_false(trouble_is_news(&trouble, &model, &why));
	assert_true(trouble_is_news(&trouble, &other, &why));
	fail_set(&changed, FAIL_MEMORY, "less is missing now");
	assert_true(trouble_is_news(&trouble, &model, &changed));
	trouble_forget(&trouble);
	assert_true(trouble_is_news(&trouble, &model, &why));
}

static void every_code_is_judged(void **state)
{
	for (int code = 0; code < FAIL_CODES; code++)
		assert_int_equal(trouble_is_mendable((enum fail_code)code),
				 code == FAIL_NONE || code == FAIL_LOST || code == FAIL_CANCELLED ||
					 code == FAIL_MEMORY || code == FAIL_SPACE);
	assert_false(trouble_is_mendable((enum fail_code)200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_again_ends_at_once),
		cmocka_unit_test(a_lost_device_is_planned_around),
		cmocka_unit_test(without_a_plan_there_is_patience),
		cmocka_unit_test(who_is_short_of_room_is_spared),
		cmocka_unit_test(a_reason_is_news_once),
		cmocka_unit_test(every_code_is_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
