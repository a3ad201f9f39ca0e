/* When silence is a stand-still, and when it is rest. */
#include "daemon/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_answer_in_time_is_life(void **state)
{
	struct pulse pulse;
	pulse_init(&pulse);
	assert_false(pulse_stuck(&pulse, INT64_MAX / 2)); /* idle for ever */
	assert_true(pulse_ask(&pulse, 1000));
	assert_false(pulse_ask(&pulse, 2000)); /* one letter at a time */
	assert_false(pulse_stuck(&pulse, 1000 + PULSE_ANSWER_MS));
	assert_true(pulse_stuck(&pulse, 1001 + PULSE_ANSWER_MS));
	pulse_answer(&pulse);
	assert_false(pulse_stuck(&pulse, 1001 + PULSE_ANSWER_MS));
	assert_true(pulse_ask(&pulse, 50000));
}

static void work_that_moves_is_life(void **state)
{
	struct pulse pulse;
	pulse_init(&pulse);
	pulse_begin(&pulse, 1000000); /* after a long rest */
	assert_false(pulse_stuck(&pulse, 1000000));
	assert_true(pulse_stuck(&pulse, 1000001 + PULSE_WORK_MS));
	pulse_begin(&pulse, 1000000 + PULSE_WORK_MS); /* more work is no sign of life */
	assert_true(pulse_stuck(&pulse, 1000001 + PULSE_WORK_MS));
	pulse_move(&pulse, 1000001 + PULSE_WORK_MS);
	assert_false(pulse_stuck(&pulse, 1000001 + PULSE_WORK_MS));
	pulse_end(&pulse);
	assert_true(pulse_stuck(&pulse, 1000002 + 2 * PULSE_WORK_MS));
	pulse_end(&pulse);
	assert_false(pulse_stuck(&pulse, 1000002 + 2 * PULSE_WORK_MS));
}

static void who_works_need_not_answer(void **state)
{
	struct pulse pulse;
	pulse_init(&pulse);
	pulse_ask(&pulse, 1000);
	pulse_begin(&pulse, 1000);
	pulse_stand_in(&pulse, true);
	assert_false(pulse_stuck(&pulse, 1001 + PULSE_ANSWER_MS));
	assert_true(pulse_stuck(&pulse, 1001 + PULSE_WORK_MS));
	pulse_stand_in(&pulse, false);
	assert_true(pulse_stuck(&pulse, 1001 + PULSE_ANSWER_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_in_time_is_life),
		cmocka_unit_test(work_that_moves_is_life),
		cmocka_unit_test(who_works_need_not_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
