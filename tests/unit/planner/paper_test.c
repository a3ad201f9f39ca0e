/* The paper's problem against brute force, and our model against the paper's plans. */
#include "homes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void roll_problem(struct paper_problem *problem, struct dice *dice, bool only_linux)
{
	memset(problem, 0, sizeof(*problem));
	problem->n_devices = 1 + dice_below(dice, 3);
	problem->n_layers = 2 + dice_below(dice, 11);
	problem->layer_bytes = dice_between(dice, 1e8, 5e8);
	problem->layer_full_bytes = problem->layer_bytes * 1.1;
	problem->row_bytes = 5000;
	problem->output_bytes = dice_between(dice, 1e7, 5e8);
	problem->output_s = dice_between(dice, 1e-4, 1e-2);
	const double need = problem->n_layers * problem->layer_full_bytes / problem->n_devices;
	for (uint32_t m = 0; m < problem->n_devices; m++) {
		struct paper_device *device = &problem->devices[m];
		device->system = only_linux ? PAPER_LINUX : (enum paper_system)dice_below(dice, 3);
		device->alpha_s = dice_between(dice, 1e-3, 1e-1);
		device->xi_s = dice_between(dice, 1e-4, 1e-2);
		device->ram_bytes = need * dice_between(dice, 0.2, 3);
		device->disk_bytes_per_s = dice_between(dice, 5e7, 5e9);
		if (device->system == PAPER_METAL ||
		    (device->system == PAPER_LINUX && dice_chance(dice, 0.5))) {
			device->gpu_bytes = need * dice_between(dice, 0.1, 2);
			device->beta_s = device->alpha_s * (dice_between(dice, 0.05, 2) - 1);
		}
	}
}

struct brute {
	const struct paper_problem *problem;
	uint32_t rounds;
	uint32_t w[PLAN_DEVICES_MAX], n[PLAN_DEVICES_MAX];
	double best;
};

static void try_gpu(struct brute *brute, uint32_t m)
{
	enum paper_set sets[PLAN_DEVICES_MAX];
	if (m == brute->problem->n_devices) {
		brute->best = fmin(brute->best, paper_cost(brute->problem, brute->rounds, brute->w,
							   brute->n, sets));
		return;
	}
	for (brute->n[m] = 0; brute->n[m] <= brute->w[m]; brute->n[m]++)
		try_gpu(brute, m + 1);
}

static void try_windows(struct brute *brute, uint32_t m, uint32_t left)
{
	if (m == brute->problem->n_devices) {
		if (left == 0)
			try_gpu(brute, 0);
		return;
	}
	for (brute->w[m] = 1; brute->w[m] <= left; brute->w[m]++)
		try_windows(brute, m + 1, left - brute->w[m]);
}

static double brute_force(const struct paper_problem *problem)
{
	struct brute brute = { .problem = problem, .best = INFINITY };
	for (uint32_t k = 1; k < problem->n_layers; k++) {
		if (problem->n_layers % k != 0)
			continue;
		brute.rounds = k;
		try_windows(&brute, 0, problem->n_layers / k);
	}
	return brute.best;
}

static void equals_brute_force(void **state)
{
	struct dice dice = { 30 };
	uint32_t feasible = 0, sets[5] = { 0 };
	for (uint32_t i = 0; i < 2000; i++) {
		struct paper_problem problem;
		struct paper_solution solution;
		roll_problem(&problem, &dice, false);
		const double best = brute_force(&problem);
		const bool found = paper_solve(&solution, &problem, 0);
		assert_int_equal(found, !isinf(best));
		if (!found)
			continue;
		assert_true(fabs(solution.token_s - best) <= 1e-12 * fabs(best));
		feasible++;
		for (uint32_t m = 0; m < problem.n_devices; m++)
			sets[solution.set[m]]++;
	}
	printf("%u feasible; sets M1 %u, M2 %u, M3 %u, M4 %u\n", feasible, sets[1], sets[2], sets[3],
	       sets[4]);
	assert_true(feasible > 1000);
	for (uint32_t set = PAPER_M1; set <= PAPER_M4; set++)
		assert_true(sets[set] > 50);
}

/* Section 1.5 of the paper: with its objective, one round is never worse than several. */
static void one_round_is_never_worse(void **state)
{
	struct dice dice = { 31 };
	for (uint32_t i = 0; i < 500; i++) {
		struct paper_problem problem;
		struct paper_solution free, one;
		roll_problem(&problem, &dice, true);
		if (!paper_solve(&free, &problem, 0))
			continue;
		assert_true(paper_solve(&one, &problem, 1));
		assert_true(one.token_s <= free.token_s * (1 + 1e-12));
	}
}

/* By hand: two devices, one layer each overflows or not. */
static void costs_what_the_paper_says(void **state)
{
	const struct paper_problem problem = {
		.n_devices = 2,
		.devices = { { .system = PAPER_LINUX, .alpha_s = 0.010, .xi_s = 0.001,
			       .ram_bytes = 250, .disk_bytes_per_s = 1e9 },
			     { .system = PAPER_LINUX, .alpha_s = 0.020, .beta_s = -0.015,
			       .xi_s = 0.002, .ram_bytes = 100, .gpu_bytes = 200,
			       .disk_bytes_per_s = 1e9 } },
		.n_layers = 4, .layer_bytes = 90, .layer_full_bytes = 100,
		.row_bytes = 1, .output_bytes = 49, .output_s = 0.003,
	};
	const uint32_t w[] = { 2, 2 }, n[] = { 0, 2 }, more[] = { 3, 1 }, none[] = { 0, 0 };
	enum paper_set sets[2];
	/* 250 - 50 = 200 holds both layers of the head, 200 of GPU the two of the other: M4, M4 */
	assert_true(fabs(paper_cost(&problem, 1, w, n, sets) -
			 (2 * 0.010 + 0.001 + 0.003 + 1 / 1e9 + 2 * 0.005 + 0.002)) < 1e-15);
	assert_int_equal(sets[0], PAPER_M4);
	assert_int_equal(sets[1], PAPER_M4);
	/* three on the head: 300 > 200, so M3, and the output matrix comes from disk */
	assert_true(fabs(paper_cost(&problem, 1, more, none, sets) -
			 (3 * (0.010 + 100 / 1e9) + 0.001 + 0.003 + 1 / 1e9 + 49 / 1e9 - 250 / 1e9 +
			  0.020 + 0.002)) < 1e-15);
	assert_int_equal(sets[0], PAPER_M3);
}

/* ---- plans ---- */

static double forecast(const struct test_home *home, const struct plan *plan)
{
	struct plan_options options = home->options;
	struct plan_forecast result;
	options.streaming = true;
	return plan_forecast(&result, plan, home->candidates, home->n, &home->facts, &options,
			     NULL) == 0
		       ? result.turn_s
		       : INFINITY;
}

static void our_model_is_never_worse(void **state)
{
	static struct test_home home;
	static struct plan paper, ours;
	struct dice dice = { 32 };
	uint32_t compared = 0, better = 0;
	for (uint32_t i = 0; i < 400; i++) {
		struct fail fail;
		test_home_roll(&home, &dice, 1 + dice_below(&dice, 5), 2 + dice_below(&dice, 15),
			       dice_between(&dice, 0.7, 6));
		home.options.pin.rounds = dice_chance(&dice, 0.5) ? 2 : 0;
		if (plan_make_paper(&paper, home.candidates, home.n, &home.facts, &home.options,
				    &fail) != 0)
			continue;
		assert_int_equal(plan_check(&paper, home.facts.n_layers, &fail), 0);
		const double by_paper = forecast(&home, &paper);
		home.options.pin.rounds = 0;
		home.options.streaming = true;
		home.options.chunk_rows = 0;
		if (isinf(by_paper))
			continue;
		assert_int_equal(plan_make(&ours, home.candidates, home.n, &home.facts,
					   &home.options, &fail), 0);
		const double by_us = forecast(&home, &ours);
		assert_true(by_us <= by_paper * (1 + 1e-12));
		compared++;
		better += by_us < by_paper * 0.95;
	}
	printf("%u compared, ours more than 5 %% better in %u\n", compared, better);
	assert_true(compared > 100 && better > 15);
}

/* What primactl plan --paper shows: ours first, by the one forecast that can hold both. */
static void the_comparison_never_shows_ours_worse(void **state)
{
	static struct test_home home;
	static struct plan_comparison both;
	struct dice dice = { 34 };
	uint32_t compared = 0, alone = 0;
	for (uint32_t i = 0; i < 300; i++) {
		struct fail fail;
		struct buf text;
		test_home_roll(&home, &dice, 1 + dice_below(&dice, 6), 2 + dice_below(&dice, 15),
			       dice_between(&dice, 0.7, 6));
		home.options.pin.rounds = dice_chance(&dice, 0.3) ? 2 : 0;
		if (plan_compare(&both, home.candidates, home.n, &home.facts, &home.options,
				 &fail) != 0)
			continue;
		buf_init(&text);
		plan_comparison_text(&both, home.facts.name, &text);
		buf_u8(&text, 0);
		assert_non_null(strstr((const char *)text.data, "the paper's method"));
		assert_non_null(strstr((const char *)text.data, both.ours.limit));
		buf_finish(&text);
		alone += !both.has_paper;
		if (!both.has_paper || isinf(forecast(&home, &both.paper)))
			continue;
		compared++;
		assert_true(both.ours_turn_s <= both.paper_turn_s * (1 + 1e-12));
		assert_true(forecast(&home, &both.ours) == both.ours_turn_s);
		assert_true(forecast(&home, &both.paper) == both.paper_turn_s);
	}
	printf("%u compared, the paper has no plan in %u\n", compared, alone);
	assert_true(compared > 100 && alone > 0);
}

static void refuses_pinned_layers(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct dice dice = { 33 };
	struct fail fail;
	test_home_roll(&home, &dice, 2, 4, 8);
	home.options.pin.n_order = 1;
	snprintf(home.options.pin.order[0], PIN_NAME_BYTES, "device0");
	assert_int_equal(plan_make_paper(&plan, home.candidates, home.n, &home.facts, &home.options,
					 &fail), -FAIL_INVALID);
	assert_non_null(strstr(fail.text, "head or rounds"));
	static struct plan_comparison both;
	assert_int_equal(plan_compare(&both, home.candidates, home.n, &home.facts, &home.options,
				      &fail), -FAIL_INVALID);
	assert_non_null(strstr(fail.text, "head or rounds"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_brute_force),
		cmocka_unit_test(one_round_is_never_worse),
		cmocka_unit_test(costs_what_the_paper_says),
		cmocka_unit_test(our_model_is_never_worse),
		cmocka_unit_test(the_comparison_never_shows_ours_worse),
		cmocka_unit_test(refuses_pinned_layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
