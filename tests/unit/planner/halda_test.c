/* plan_make against brute force, its constraints, and what it says when nothing fits. */
#include "homes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- brute force: every head, rounds, chunk, order and split, costed from the formulas ---- */

struct brute {
	const struct test_home *home;
	const struct model_facts *facts;
	double prompt_rows, look_back, positions;
	uint32_t rounds, n_slots, head, chunk_rows;
	double rows;
	uint32_t n_parts;
	uint32_t device[PLAN_DEVICES_MAX], first[PLAN_DEVICES_MAX], end[PLAN_DEVICES_MAX];
	double token_s[PLAN_DEVICES_MAX][16], chunk_s[PLAN_DEVICES_MAX][16];
	double best;
};

static const struct profile_backend *backend_of(const struct brute *brute, uint32_t device)
{
	return &brute->home->profiles[device].backends[0];
}

static double product_s(const struct brute *brute, uint32_t device, const struct unit_facts *unit,
			double rows)
{
	double seconds = 0;
	for (uint32_t i = 0; i < unit->n_types; i++)
		seconds += (double)unit->types[i].weights /
			   profile_rate(backend_of(brute, device), unit->types[i].type,
					(uint32_t)rows);
	return seconds;
}

static void cost_layers(struct brute *brute)
{
	for (uint32_t device = 0; device < brute->home->n; device++) {
		const struct profile_backend *backend = backend_of(brute, device);
		for (uint32_t layer = 0; layer < brute->facts->n_layers; layer++) {
			const double kv_s = brute->facts->kv_bytes[layer] / backend->kv_bytes_per_s;
			const struct unit_facts *unit = &brute->facts->layers[layer];
			brute->token_s[device][layer] = product_s(brute, device, unit, 1) +
							backend->layer_overhead_s +
							brute->positions * kv_s;
			brute->chunk_s[device][layer] =
				product_s(brute, device, unit, brute->rows) +
				backend->layer_overhead_s + brute->rows * brute->look_back * kv_s;
		}
	}
}

static const struct profile_link *link_of(const struct brute *brute, uint32_t from, uint32_t to)
{
	const struct profile *profile = &brute->home->profiles[from];
	for (uint32_t i = 0; i < profile->n_links; i++)
		if (device_id_equal(&profile->links[i].peer, &brute->home->profiles[to].device))
			return &profile->links[i];
	return NULL;
}

static double send_s(const struct brute *brute, uint32_t from, uint32_t to, double rows,
		     double *latency_s)
{
	const double value = brute->home->options.wire == WIRE_F16 ? 2 : 4;
	const double bytes = 96 + rows * (16 + value * brute->facts->n_embd);
	const struct profile_link *link = link_of(brute, from, to);
	if (!link)
		link = link_of(brute, to, from);
	*latency_s = link ? link->rtt_p50_s / 2 : 0.005;
	return bytes / (link ? link->bytes_per_s : 4e6);
}

/* Whether device holds `weights` with `kv` and head parts; disk seconds per token if so. */
static bool held(const struct brute *brute, uint32_t device, double weights, double kv,
		 double *disk_s)
{
	const struct profile_backend *backend = backend_of(brute, device);
	double room = (double)backend->memory_bytes - (double)backend->reserve_bytes -
		      (double)brute->facts->metadata_bytes - kv;
	if (device == brute->head)
		room -= (double)(brute->facts->embedding.bytes + brute->facts->output.bytes);
	*disk_s = 0;
	if (weights <= room)
		return room >= 0;
	const double k = brute->rounds, streamed = (weights - room) * k / (k - 1);
	if (!brute->home->options.streaming || k < 2 || room < 0 || streamed > weights)
		return false;
	*disk_s = streamed / brute->home->profiles[device].disk_bytes_per_s;
	return true;
}

struct totals {
	double chunk_s[PLAN_DEVICES_MAX], weights[PLAN_DEVICES_MAX], kv[PLAN_DEVICES_MAX];
	double sent_s[PLAN_DEVICES_MAX][PLAN_DEVICES_MAX];
	double token_s, pass_s;
};

static void hop(const struct brute *brute, struct totals *totals, uint32_t from, uint32_t to)
{
	double latency_s;
	if (from == to)
		return;
	totals->token_s += send_s(brute, from, to, 1, &latency_s) + latency_s;
	const double sent = send_s(brute, from, to, brute->rows, &latency_s);
	totals->pass_s += sent + latency_s;
	totals->sent_s[from][to] += sent;
}

static void pass_round(const struct brute *brute, struct totals *totals, uint32_t round,
		       uint32_t *at)
{
	const uint32_t L = brute->facts->n_layers;
	for (uint32_t i = 0; i < brute->n_parts; i++) {
		const uint32_t device = brute->device[i];
		for (uint32_t slot = brute->first[i]; slot < brute->end[i]; slot++) {
			const uint32_t layer = round * brute->n_slots + slot;
			if (layer >= L)
				return;
			hop(brute, totals, *at, device);
			*at = device;
			totals->token_s += brute->token_s[device][layer];
			totals->pass_s += brute->chunk_s[device][layer];
			totals->chunk_s[device] += brute->chunk_s[device][layer];
			totals->weights[device] += (double)brute->facts->layers[layer].bytes;
			totals->kv[device] += (double)brute->facts->kv_bytes[layer] *
					      brute->home->options.context;
		}
	}
}

static double turn_of(const struct brute *brute)
{
	struct totals totals = { 0 };
	const double T = brute->home->options.turn.tokens_out;
	const double output_s = product_s(brute, brute->head, &brute->facts->output, 1);
	double slowest = 0, disk = 0;
	uint32_t at = brute->head;
	for (uint32_t round = 0; round < brute->rounds; round++)
		pass_round(brute, &totals, round, &at);
	hop(brute, &totals, at, brute->head);
	for (uint32_t i = 0; i < brute->home->n; i++) {
		double disk_s;
		const bool used = totals.weights[i] > 0 || i == brute->head;
		if (used && !held(brute, i, totals.weights[i], totals.kv[i], &disk_s))
			return INFINITY;
		disk = used ? fmax(disk, disk_s) : disk;
		slowest = fmax(slowest, totals.chunk_s[i]);
		for (uint32_t j = 0; j < brute->home->n; j++)
			slowest = fmax(slowest, totals.sent_s[i][j]);
	}
	const double prompt = totals.pass_s + (brute->prompt_rows / brute->rows - 1) * slowest;
	return fmax(prompt + output_s + (T - 1) * (totals.token_s + output_s), T * disk);
}

static bool may_use(const struct brute *brute, uint32_t device)
{
	return !brute->home->candidates[device].barred &&
	       brute->home->profiles[device].numerics ==
		       brute->home->profiles[brute->head].numerics;
}

/* Adds devices in every order, the head first or not at all (or, with rounds, first always). */
static void deal(struct brute *brute, uint32_t used, uint32_t from)
{
	if (from == brute->n_slots) {
		brute->best = fmin(brute->best, turn_of(brute));
		return;
	}
	for (uint32_t device = 0; device < brute->home->n; device++) {
		const bool first = brute->n_parts == 0;
		if ((used >> device & 1) || !may_use(brute, device) ||
		    (device == brute->head && !first) ||
		    (first && brute->rounds > 1 && device != brute->head))
			continue;
		for (uint32_t end = from + 1; end <= brute->n_slots; end++) {
			const uint32_t i = brute->n_parts++;
			brute->device[i] = device;
			brute->first[i] = from;
			brute->end[i] = end;
			deal(brute, used | 1u << device, end);
			brute->n_parts--;
		}
	}
}

static void try_rounds(struct brute *brute, uint32_t rounds)
{
	static const uint32_t chunks[] = { 16, 32, 64, 128, 256, 512 };
	const uint32_t L = brute->facts->n_layers;
	brute->n_slots = (L + rounds - 1) / rounds;
	brute->rounds = (L + brute->n_slots - 1) / brute->n_slots;
	for (uint32_t i = 0; i < 6; i++) {
		brute->chunk_rows = chunks[i];
		if (brute->home->options.chunk_rows > 0)
			brute->chunk_rows = brute->home->options.chunk_rows;
		brute->rows = fmin(brute->chunk_rows, brute->prompt_rows);
		cost_layers(brute);
		for (brute->head = 0; brute->head < brute->home->n; brute->head++)
			if (may_use(brute, brute->head))
				deal(brute, 0, 0);
		if (brute->home->options.chunk_rows > 0 || chunks[i] >= brute->prompt_rows)
			return;
	}
}

static double brute_force(const struct test_home *home)
{
	static struct brute brute;
	const struct plan_turn *turn = &home->options.turn;
	const double cached = floor(turn->tokens_in * turn->cached_share);
	brute = (struct brute){ .home = home, .facts = &home->facts, .best = INFINITY };
	brute.prompt_rows = fmax(1, turn->tokens_in - cached);
	brute.look_back = cached + brute.prompt_rows / 2;
	brute.positions = turn->tokens_in + turn->tokens_out / 2.0;
	try_rounds(&brute, 1);
	if (home->options.streaming || brute.best == INFINITY)
		for (uint32_t k = 2; k <= home->options.rounds_max && k <= home->facts.n_layers; k++)
			try_rounds(&brute, k);
	return brute.best;
}

/* ---- checks that hold for every plan ---- */

static void check_plan(const struct test_home *home, const struct plan *plan)
{
	struct fail fail = { 0 };
	if (plan_check(plan, home->facts.n_layers, &fail) != 0)
		fail_msg("plan_check: %s", fail.text);
	assert_true(plan->kv_positions >= plan->context);
	assert_true(plan->limit[0] != 0);
	for (uint32_t i = 0; i < plan->n_devices; i++) {
		const struct plan_device *device = &plan->devices[i];
		assert_true(device->sentence[0] != 0);
		if (!home->options.streaming)
			assert_true(device->weight_bytes + device->kv_bytes <=
					    device->budget_bytes ||
				    (device->n_layers == 0 && i != plan->head));
		if (device->n_layers > 0 || i == plan->head) {
			assert_null(home->candidates[i].barred);
			assert_int_equal(home->profiles[i].numerics, plan->numerics);
		}
	}
}

static double turn_of_plan(const struct test_home *home, const struct plan *plan)
{
	struct plan_forecast forecast;
	struct fail fail = { 0 };
	if (plan_forecast(&forecast, plan, home->candidates, home->n, &home->facts, &home->options,
			  &fail) != 0)
		fail_msg("plan_forecast: %s", fail.text);
	assert_true(fabs(plan->token_s - forecast.token_s) <= 1e-12 * forecast.token_s);
	return forecast.turn_s;
}

static double make(const struct test_home *home, struct plan *plan, struct fail *fail)
{
	memset(fail, 0, sizeof(*fail));
	if (plan_make(plan, home->candidates, home->n, &home->facts, &home->options, fail) != 0)
		return INFINITY;
	check_plan(home, plan);
	return turn_of_plan(home, plan);
}

static void roll_options(struct test_home *home, struct dice *dice)
{
	home->options.chunk_rows = dice_chance(dice, 0.6) ? 1u << dice_below(dice, 9) : 0;
	home->options.wire = dice_chance(dice, 0.3) ? WIRE_F16 : WIRE_F32;
	home->options.streaming = dice_chance(dice, 0.3);
	home->options.rounds_max = 1 + dice_below(dice, 4);
	for (uint32_t i = 0; i < home->n; i++) {
		if (dice_chance(dice, 0.1))
			home->profiles[i].numerics = 2;
		if (dice_chance(dice, 0.05))
			home->candidates[i].barred = "it is asleep";
	}
}

#define RANDOM_HOMES 3000

static void equals_brute_force(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct dice dice = { 20 };
	uint32_t feasible = 0, shared = 0, rounds = 0, headless = 0, streamed = 0;
	for (uint32_t i = 0; i < RANDOM_HOMES; i++) {
		struct fail fail;
		const uint32_t n = 1 + dice_below(&dice, 4);
		test_home_roll(&home, &dice, n, 1 + dice_below(&dice, n == 4 ? 6 : 8),
			       dice_between(&dice, 0.5, 8));
		roll_options(&home, &dice);
		const double best = brute_force(&home), made = make(&home, &plan, &fail);
		if (best == INFINITY) {
			assert_true(made == INFINITY);
			assert_true(fail.text[0] != 0);
			continue;
		}
		if (fabs(made - best) > 1e-12 * best)
			fail_msg("home %u: %.17g, brute force %.17g (%s)", i, made, best, fail.text);
		feasible++;
		shared += plan.n_stages > plan.rounds;
		rounds += plan.rounds > 1;
		headless += plan.devices[plan.head].n_layers == 0;
		for (uint32_t j = 0; j < plan.n_devices; j++)
			streamed += plan.devices[j].disk_s > 0;
	}
	printf("%u homes: %u feasible, %u over several devices, %u with rounds, %u with a head "
	       "without layers, %u devices stream\n",
	       RANDOM_HOMES, feasible, shared, rounds, headless, streamed);
	/* the draw must cover every kind of plan */
	assert_true(feasible > 1500 && shared > 400 && rounds > 50 && headless > 10 &&
		    streamed > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_brute_force),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
