/* Whose turn it is when several models are wanted. */
#include "daemon/wants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct model_id a = { { 1 } }, b = { { 2 } };

static void wants_last_while_they_are_repeated(void **state)
{
	struct wants wants = { 0 };
	assert_null(wants_next(&wants, 0));
	assert_true(wants_note(&wants, &a, 1000));
	assert_false(wants_note(&wants, &a, 5000));
	assert_true(wants_has(&wants, &a, 9999));
	assert_false(wants_has(&wants, &b, 9999));
	assert_non_null(wants_next(&wants, 9999));
	assert_int_equal(wants_next(&wants, 9999)->first_ms, 1000);
	assert_false(wants_has(&wants, &a, 10000));
	assert_null(wants_next(&wants, 10000));
	assert_true(wants_note(&wants, &a, 10000)); /* it begins anew */
	assert_int_equal(wants_next(&wants, 10000)->first_ms, 10000);
}

static void who_waits_longest_is_next(void **state)
{
	struct wants wants = { 0 };
	wants_note(&wants, &b, 1000);
	wants_note(&wants, &a, 1001);
	wants_note(&wants, &b, 1002);
	assert_true(model_id_equal(&wants_next(&wants, 1003)->model, &b));
	wants_drop(&wants, &b);
	assert_true(model_id_equal(&wants_next(&wants, 1003)->model, &a));
	wants_note(&wants, &b, 1004);
	assert_true(model_id_equal(&wants_next(&wants, 1005)->model, &a));
	wants_drop(&wants, &a);
	wants_drop(&wants, &a);
	assert_int_equal(wants.n, 1);
}

static void there_is_an_end_to_wants(void **state)
{
	struct wants wants = { 0 };
	for (int i = 0; i < 3 * WANTS_MAX; i++) {
		const struct model_id model = { { 7, (uint8_t)i } };
		assert_int_equal(wants_note(&wants, &model, 100), i < WANTS_MAX);
	}
	assert_int_equal(wants.n, WANTS_MAX);
	assert_true(wants_note(&wants, &a, 100 + WANTS_LAST_MS));
	assert_int_equal(wants.n, 1);
}

static void a_plan_is_given_its_time(void **state)
{
	const struct want next = { a, 10000, 10000 };
	struct tenure tenure = { .since_ms = 9000 };
	assert_int_equal(wants_turn(&next, &tenure, 20000), TURN_WAIT); /* it loads */
	assert_int_equal(wants_turn(&next, &tenure, 9000 + WANTS_LOAD_MS), TURN_NOW);
	tenure.ready_ms = 20000;
	assert_int_equal(wants_turn(&next, &tenure, 20001),
			 TURN_WAIT); /* its requests are to come */
	assert_int_equal(wants_turn(&next, &tenure, 20000 + WANTS_TURN_MS), TURN_NOW);
	tenure.used = true; /* they came and went */
	assert_int_equal(wants_turn(&next, &tenure, 20001), TURN_NOW);
}

static void running_requests_end_and_no_more_begin(void **state)
{
	const struct want next = { a, 10000, 10000 };
	const struct tenure tenure = { .since_ms = 1, .ready_ms = 2, .used = true, .running = 3 };
	assert_int_equal(wants_turn(&next, &tenure, 9999 + WANTS_TURN_MS), TURN_WAIT);
	assert_int_equal(wants_turn(&next, &tenure, 10000 + WANTS_TURN_MS), TURN_HOLD);
	assert_int_equal(wants_turn(&next, &tenure, 10000000), TURN_HOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wants_last_while_they_are_repeated),
		cmocka_unit_test(who_waits_longest_is_next),
		cmocka_unit_test(there_is_an_end_to_wants),
		cmocka_unit_test(a_plan_is_given_its_time),
		cmocka_unit_test(running_requests_end_and_no_more_begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
