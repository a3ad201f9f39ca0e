/* Quantiles of round-trip times, and when a change of them is worth telling. */
#include "daemon/roundtrip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct device_id peer = { { 7 } };

static void quantiles(void **state)
{
	struct roundtrip roundtrip = { 0 };
	struct profile_link link;
	for (int i = 20; i > 0; i--)
		roundtrip_add(&roundtrip, i * 0.001);
	roundtrip_link(&roundtrip, &peer, &link);
	assert_memory_equal(&link.peer, &peer, sizeof(peer));
	assert_true(link.rtt_p50_s == 10 * 0.001);
	assert_true(link.rtt_p95_s == 20 * 0.001);
}

/* Of a few answers most may have waited for other work. */
static void the_first_answers(void **state)
{
	struct roundtrip roundtrip = { 0 };
	struct profile_link link;
	roundtrip_add(&roundtrip, 0.02);
	roundtrip_link(&roundtrip, &peer, &link);
	assert_true(link.rtt_p50_s == 0.02);
	roundtrip_add(&roundtrip, 0.0002);
	for (uint32_t i = 2; i < ROUNDTRIP_FEW; i++) {
		roundtrip_link(&roundtrip, &peer, &link);
		assert_true(link.rtt_p50_s == 0.0002 && link.rtt_p95_s == 0.02);
		roundtrip_add(&roundtrip, 0.02);
	}
	roundtrip_link(&roundtrip, &peer, &link);
	assert_true(link.rtt_p50_s == 0.02);
}

static void absurd_times_do_not_count(void **state)
{
	struct roundtrip roundtrip = { 0 };
	roundtrip_add(&roundtrip, -1);
	roundtrip_add(&roundtrip, 0);
	roundtrip_add(&roundtrip, ROUNDTRIP_ABSURD_S);
	roundtrip_add(&roundtrip, 1e300);
	roundtrip_add(&roundtrip, strtod("nan", NULL));
	assert_int_equal(roundtrip.count, 0);
}

static void old_samples_are_forgotten(void **state)
{
	struct roundtrip roundtrip = { 0 };
	struct profile_link link;
	for (int i = 0; i < 5; i++)
		roundtrip_add(&roundtrip, 10);
	for (int i = 0; i < ROUNDTRIP_SAMPLES; i++)
		roundtrip_add(&roundtrip, 0.002);
	roundtrip_link(&roundtrip, &peer, &link);
	assert_true(link.rtt_p95_s == 0.002);
}

static bool moved(double told, double now)
{
	const struct profile_link a = { .peer = peer, .rtt_p50_s = told };
	const struct profile_link b = { .peer = peer, .rtt_p50_s = now };
	return roundtrip_moved(&a, &b);
}

static void a_quiet_home_stays_quiet(void **state)
{
	assert_false(moved(0.0002, 0.0002));
	assert_false(moved(0.0002, 0.0006)); /* three times a trifle */
	assert_false(moved(0.010, 0.014));   /* within half as much again */
	assert_true(moved(0.002, 0.004));
	assert_true(moved(0.004, 0.002));
	const struct profile_link a = { .peer = peer, .rtt_p50_s = 0.002 };
	const struct profile_link b = { .peer = { { 8 } }, .rtt_p50_s = 0.002 };
	assert_true(roundtrip_moved(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles),
		cmocka_unit_test(the_first_answers),
		cmocka_unit_test(absurd_times_do_not_count),
		cmocka_unit_test(old_samples_are_forgotten),
		cmocka_unit_test(a_quiet_home_stays_quiet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
