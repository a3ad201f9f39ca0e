/* The search with its bounds against a programme that has none, on homes too large for brute force. */
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct homes {
	uint32_t count, devices, layers;
	double room_least, room_most; /* models of memory in the home */
	uint32_t chunk_rows, rounds;  /* 0: chosen */
};

static double turn_of(const struct test_home *home)
{
	static struct plan plan;
	struct plan_forecast forecast;
	struct fail fail;
	if (plan_make(&plan, home->candidates, home->n, &home->facts, &home->options, &fail) != 0)
		return INFINITY;
	if (plan_forecast(&forecast, &plan, home->candidates, home->n, &home->facts,
			  &home->options, &fail) != 0)
		fail_msg("plan_forecast: %s", fail.text);
	return forecast.turn_s;
}

/* HALDA_SEED and HALDA_MORE (times as many homes) in the environment, by hand. */
static uint32_t asked(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);
	return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

static void compare(const struct homes *homes)
{
	static struct test_home home;
	struct dice dice = { homes->devices * 1000 + homes->layers + asked("HALDA_SEED", 0) };
	uint32_t planned = 0;
	for (uint32_t i = 0; i < homes->count * asked("HALDA_MORE", 1); i++) {
		test_home_roll(&home, &dice, homes->devices, homes->layers,
			       dice_between(&dice, homes->room_least, homes->room_most));
		home.options.turn = (struct plan_turn){ 512, 0, 64 };
		home.options.chunk_rows = homes->chunk_rows;
		home.options.pin.rounds = (uint16_t)homes->rounds;
		const double best = reference_turn(&home), made = turn_of(&home);
		if (isinf(best) != isinf(made) ||
		    (!isinf(best) && fabs(made - best) > 1e-11 * best))
			fail_msg("home %u of %u devices: %.17g, the reference %.17g", i,
				 homes->devices, made, best);
		planned += !isinf(best);
	}
	assert_true(planned > homes->count / 2);
}

static void equals_the_reference(void **state)
{
	static const struct homes kinds[] = {
		{ 30, 5, 32, 1, 8, 0, 0 },   { 16, 6, 32, 1.1, 3, 0, 0 },  { 12, 7, 24, 1.2, 4, 32, 0 },
		{ 6, 8, 24, 1.3, 2, 32, 0 },  { 2, 9, 20, 1.3, 2, 32, 0 },  { 10, 6, 40, 1.2, 3, 32, 2 },
		{ 10, 5, 41, 1.2, 3, 64, 3 },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		compare(&kinds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(equals_the_reference) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
