/* What is made of stretches of transfers: the rate of a link. */
#include "daemon/throughput.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_fastest_stretch_counts(void **state)
{
	struct throughput throughput = { 0 };
	throughput_add(&throughput, 1000000, 100000, 1000);
	assert_true(throughput.bytes_per_s == 1e7);
	throughput_add(&throughput, 1000000, 500000, 2000); /* a disk was slow */
	assert_true(throughput.bytes_per_s == 1e7);
	throughput_add(&throughput, 1000000, 50000, 3000);
	assert_true(throughput.bytes_per_s == 2e7);
}

static void old_ones_are_forgotten(void **state)
{
	struct throughput throughput = { 0 };
	throughput_add(&throughput, 1000000, 10000, 1000);
	throughput_add(&throughput, 1000000, 100000, 1000 + THROUGHPUT_LASTS_MS);
	assert_true(throughput.bytes_per_s == 1e7);
}

static void trifles_do_not_count(void **state)
{
	struct throughput throughput = { 0 };
	throughput_add(&throughput, THROUGHPUT_LEAST_BYTES - 1, 1, 1000);
	throughput_add(&throughput, 1 << 20, 0, 1000);
	throughput_add(&throughput, 1 << 20, -5, 1000);
	assert_true(throughput.bytes_per_s == 0);
}

static void a_quiet_home_stays_quiet(void **state)
{
	assert_false(throughput_moved(0, 0));
	assert_true(throughput_moved(0, 1e6));
	assert_false(throughput_moved(1e6, 1.4e6));
	assert_true(throughput_moved(1e6, 1.6e6));
	assert_true(throughput_moved(1.6e6, 1e6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fastest_stretch_counts),
		cmocka_unit_test(old_ones_are_forgotten),
		cmocka_unit_test(trifles_do_not_count),
		cmocka_unit_test(a_quiet_home_stays_quiet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
