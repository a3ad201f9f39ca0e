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
	const struct profile_link *link = link_of(brute, to, from);
	if (!link)
		link = link_of(brute, from, to);
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
	static const uint32_t chunks[] = { 32, 128, 512 };
	const uint32_t L = brute->facts->n_layers;
	brute->n_slots = (L + rounds - 1) / rounds;
	brute->rounds = (L + brute->n_slots - 1) / brute->n_slots;
	for (uint32_t i = 0; i < 3; i++) {
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
	if (home->options.pin.rounds > 0)
		try_rounds(&brute, home->options.pin.rounds);
	else
		try_rounds(&brute, 1);
	if (home->options.streaming && home->options.pin.rounds == 0)
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
	if (dice_chance(dice, 0.1))
		home->options.pin.rounds = (uint16_t)(1 + dice_below(dice, home->facts.n_layers));
	for (uint32_t i = 0; i < home->n; i++) {
		if (dice_chance(dice, 0.1))
			home->profiles[i].numerics = 2;
		if (dice_chance(dice, 0.05))
			home->candidates[i].barred = "it is asleep";
	}
}

/* HALDA_SEED and HALDA_HOMES in the environment ask for other and more homes, by hand. */
static uint32_t asked(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);
	return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

static void equals_brute_force(void **state)
{
	static struct test_home home;
	static struct plan plan;
	static const uint32_t most_layers[] = { 0, 8, 8, 8, 6, 5 };
	const uint32_t homes = asked("HALDA_HOMES", 15000);
	struct dice dice = { asked("HALDA_SEED", 20) };
	uint32_t feasible = 0, shared = 0, rounds = 0, headless = 0, streamed = 0;
	for (uint32_t i = 0; i < homes; i++) {
		struct fail fail;
		const uint32_t n = 1 + (dice_chance(&dice, 0.1) ? 4 : dice_below(&dice, 4));
		test_home_roll(&home, &dice, n, 1 + dice_below(&dice, most_layers[n]),
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
	       homes, feasible, shared, rounds, headless, streamed);
	/* the draw must cover every kind of plan */
	assert_true(feasible > 1500 && shared > 400 && rounds > 100 && headless > 10 &&
		    streamed > 50);
}

/* ---- larger homes: no order does better ---- */

static void pin_order(struct plan_pin *pin, const struct test_home *home, struct dice *dice)
{
	memset(pin, 0, sizeof(*pin));
	for (uint32_t i = 0; i < home->n; i++) {
		const uint32_t j = dice_below(dice, i + 1);
		memcpy(pin->order[i], pin->order[j], sizeof(pin->order[i]));
		memcpy(pin->order[j], home->profiles[i].name, DEVICE_NAME_BYTES);
		pin->n_order++;
	}
}

static void no_order_is_better(void **state)
{
	static struct test_home home;
	static struct plan plan, pinned;
	struct dice dice = { 21 };
	for (uint32_t i = 0; i < 60; i++) {
		struct fail fail;
		test_home_roll(&home, &dice, 5 + dice_below(&dice, 5), 6 + dice_below(&dice, 20),
			       dice_between(&dice, 1, 6));
		home.options.streaming = dice_chance(&dice, 0.3);
		const double best = make(&home, &plan, &fail);
		for (uint32_t j = 0; j < 30; j++) {
			pin_order(&home.options.pin, &home, &dice);
			assert_true(make(&home, &pinned, &fail) >= best * (1 - 1e-12));
		}
	}
}

static void more_devices_than_can_be_walked(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct dice dice = { 22 };
	for (uint32_t i = 0; i < 10; i++) {
		struct fail fail;
		double alone = INFINITY;
		test_home_roll(&home, &dice, 13 + dice_below(&dice, 20), 40, 40);
		const double best = make(&home, &plan, &fail);
		for (uint32_t j = 0; j < home.n; j++) {
			struct test_home one = home;
			one.n = 1;
			one.candidates[0] = home.candidates[j];
			static struct plan solo;
			if (plan_make(&solo, one.candidates, 1, &one.facts, &one.options, &fail) == 0)
				alone = fmin(alone, turn_of_plan(&one, &solo));
		}
		assert_true(best <= alone * (1 + 1e-12));
	}
}

/* ---- promises ---- */

static void one_more_device_never_makes_it_worse(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct dice dice = { 23 };
	uint32_t better = 0;
	for (uint32_t i = 0; i < 300; i++) {
		struct fail fail;
		double before = INFINITY;
		test_home_roll(&home, &dice, 5, 4 + dice_below(&dice, 12),
			       dice_between(&dice, 0.5, 8));
		home.options.streaming = dice_chance(&dice, 0.3);
		for (home.n = 1; home.n <= 5; home.n++) {
			const double turn = make(&home, &plan, &fail);
			assert_true(turn <= before * (1 + 1e-12));
			better += turn < before;
			before = turn;
		}
	}
	assert_true(better > 300);
}

static void kv_room_is_widened_without_losing_speed(void **state)
{
	static struct test_home home;
	static struct plan one, four;
	struct dice dice = { 24 };
	uint32_t widened = 0;
	for (uint32_t i = 0; i < 200; i++) {
		struct fail fail;
		test_home_roll(&home, &dice, 3, 8, dice_between(&dice, 1, 8));
		home.options.sequences = 1;
		const double narrow = make(&home, &one, &fail);
		home.options.sequences = 4;
		const double wide = make(&home, &four, &fail);
		assert_true(narrow == wide);
		if (isinf(wide))
			continue;
		assert_int_equal(one.kv_positions, home.options.context);
		assert_in_range(four.kv_positions, home.options.context, 4 * home.options.context);
		widened += four.kv_positions == 4 * home.options.context;
	}
	assert_true(widened > 20);
}

/* ---- what is left out, and why ---- */

static void two_devices(struct test_home *home);

/* Ten layers of 1024 bytes a position: 80 MiB of F16 for 8192 positions. */
static void smaller_caches_fit_where_larger_do_not(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	two_devices(&home);
	home.n = 1;
	home.options.context = 8192;
	home.options.sequences = 1;
	home.profiles[0].backends[0].memory_bytes = 64 << 20;
	home.profiles[0].backends[0].reserve_bytes = 0;
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_int_equal(fail.code, FAIL_MEMORY);
	home.options.kv_type = KV_TYPE_Q8_0;
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_int_equal(fail.code, FAIL_UNSUPPORTED);
	home.facts.kv_types = 1u << KV_TYPE_F16 | 1u << KV_TYPE_Q8_0;
	const double short_bytes = make(&home, &plan, &fail);
	assert_true(isfinite(short_bytes));
	assert_int_equal(plan.kv_type, KV_TYPE_Q8_0);
	assert_int_equal(plan.devices[0].kv_bytes, 10 * 8192 * 1024 * 17 / 32);
	home.options.kv_type = KV_TYPE_F16;
	for (uint32_t i = 0; i < 5; i++)
		home.facts.kv_windows[2 * i] = 512;
	assert_true(isfinite(make(&home, &plan, &fail)));
	const struct kv_room room = plan_kv_room(&plan);
	assert_int_equal(plan.devices[0].kv_bytes,
			 5 * 1024 * (8192 + kv_window_positions(&room, 512)));
	assert_true(kv_window_positions(&room, 512) < 2048);
}

static void two_devices(struct test_home *home)
{
	memset(home, 0, sizeof(*home));
	home->n = 2;
	test_device(&home->profiles[0], 0, "desk", 1e9);
	test_device(&home->profiles[1], 1, "attic", 1e8);
	test_link(&home->profiles[0], &home->profiles[1], 1e-3, 1e8);
	test_model(&home->facts, 10);
	plan_options_init(&home->options, &home->facts);
	for (uint32_t i = 0; i < home->n; i++)
		home->candidates[i].profile = &home->profiles[i];
}

/* Layers of 800,000 weights for a row, half of them in 2 of 64 experts. */
static void experts(struct model_facts *facts)
{
	facts->n_expert = 64;
	facts->n_expert_used = 2;
	for (uint32_t i = 0; i < facts->n_layers; i++) {
		facts->layers[i].types[0].weights = 800000;
		facts->layers[i].types[0].chosen = 400000;
	}
}

static void a_token_reads_the_chosen_experts(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	struct buf text;
	two_devices(&home);
	home.n = 1;
	home.options.chunk_rows = 64;
	home.options.turn.tokens_in = 64;
	for (uint32_t i = 0; i < home.facts.n_layers; i++)
		home.facts.layers[i].types[0].weights = 800000;
	make(&home, &plan, &fail);
	const double dense_token_s = plan.token_s, dense_first_s = plan.first_token_s;
	experts(&home.facts);
	make(&home, &plan, &fail);
	assert_true(plan.token_s == dense_token_s);
	/* 64 rows read 55.6 experts with 2.3 rows each instead of 2 with 64: per row of 1e9 weights
	   a second at one row and 1/16 of it at 64, see test_device */
	const double touched = 64 * (1 - pow(62.0 / 64, 64));
	const double slow = 1 + (3 - 1) / 63.0 * (16 - 1); /* times one row's time, for 3 rows */
	const double first_s =
		dense_first_s + 10 * (200000 * touched * slow - 400000.0 * 16) / 1e9;
	assert_true(fabs(plan.first_token_s - first_s) < 1e-9);
	buf_init(&text);
	plan_text(&plan, &home.facts, &text);
	buf_u8(&text, 0);
	assert_non_null(strstr((const char *)text.data,
			       "experts: a token reads 2 of 64 in a layer, a chunk of a prompt about 56\n"));
	buf_finish(&text);
}

static void recurrent_states_take_room_and_time(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	struct buf text;
	two_devices(&home);
	home.n = 1;
	home.options.sequences = 3;
	home.profiles[0].backends[0].kv_bytes_per_s = 1e9;
	for (uint32_t i = 0; i < 6; i++)
		home.facts.kv_bytes[i] = 0;
	make(&home, &plan, &fail);
	const double token_s = plan.token_s;
	const uint64_t kv_bytes = plan.devices[0].kv_bytes;
	for (uint32_t i = 0; i < 6; i++)
		home.facts.state_bytes[i] = 1000000;
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[0].kv_bytes, kv_bytes + 6 * 2 * 3 * 1000000);
	assert_true(fabs(plan.token_s - token_s - 6 * 2e-3) < 1e-9);
	buf_init(&text);
	plan_text(&plan, &home.facts, &text);
	buf_u8(&text, 0);
	assert_non_null(strstr((const char *)text.data,
			       "state: 6 of 10 layers keep a state of fixed size instead of keys and "
			       "values, 36 MB for 3 at once\n"));
	buf_finish(&text);
	/* weights and keys fit, with the states of one sequence they do not */
	home.profiles[0].backends[0].memory_bytes =
		plan.devices[0].weight_bytes + kv_bytes / 3 + 11000000;
	assert_true(isinf(make(&home, &plan, &fail)));
}

static void leaves_out_with_a_reason(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	two_devices(&home);
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[0].n_layers, 10);
	assert_string_equal(plan.devices[0].name, "desk");
	assert_non_null(strstr(plan.devices[0].sentence, "every layer"));
	assert_non_null(strstr(plan.devices[1].sentence, "longer than without it"));

	two_devices(&home);
	home.candidates[0].barred = "it does not answer";
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[1].n_layers, 10);
	assert_string_equal(plan.devices[0].sentence, "Left out: it does not answer.");

	two_devices(&home);
	home.profiles[1].numerics = 7;
	home.profiles[0].backends[0].memory_bytes = 6u << 20;
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[1].n_layers, 10);
	assert_int_equal(plan.numerics, 7);
	assert_non_null(strstr(plan.devices[0].sentence, "version 1 of the arithmetic, the head with 7"));

	two_devices(&home);
	home.profiles[0].power = POWER_BATTERY;
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[1].n_layers, 10);
	assert_non_null(strstr(plan.devices[0].sentence, "the others can do without it"));
	home.profiles[0].battery_use_allowed = true;
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[0].n_layers, 10);

	two_devices(&home);
	home.profiles[0].backends[0].n_rates = 0;
	make(&home, &plan, &fail);
	assert_non_null(strstr(plan.devices[0].sentence, "not been measured"));
}

static void rests_on_battery_only_where_others_suffice(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	two_devices(&home);
	home.n = 1;
	home.profiles[0].power = POWER_BATTERY;
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[0].n_layers, 10);
	assert_non_null(strstr(plan.devices[0].sentence, "without it there is no plan"));

	two_devices(&home); /* nobody has mains: as if all had */
	const double turn = make(&home, &plan, &fail);
	home.profiles[0].power = home.profiles[1].power = POWER_BATTERY;
	assert_true(make(&home, &plan, &fail) == turn);
	assert_int_equal(plan.devices[0].n_layers, 10);

	two_devices(&home); /* the attic alone is too small */
	home.profiles[0].power = POWER_BATTERY;
	home.profiles[1].backends[0].memory_bytes = 4000000;
	make(&home, &plan, &fail);
	assert_true(plan.devices[0].n_layers > 0);

	two_devices(&home); /* it is asked for by name */
	home.profiles[0].power = POWER_BATTERY;
	home.options.pin.n_counts = 1;
	home.options.pin.layers = PIN_LAYERS_COUNTS;
	home.options.pin.counts[0].n_layers = 10;
	snprintf(home.options.pin.counts[0].device, DEVICE_NAME_BYTES, "desk");
	make(&home, &plan, &fail);
	assert_int_equal(plan.devices[0].n_layers, 10);

	two_devices(&home); /* and when even that is not enough, all room is counted */
	home.profiles[0].power = POWER_BATTERY;
	for (uint32_t i = 0; i < 2; i++)
		home.profiles[i].backends[0].memory_bytes = 6000000;
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_non_null(strstr(fail.text, "2 devices with 12 MB"));
}

static void says_how_much_is_missing(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	two_devices(&home); /* 10 layers of 1.06 MB and 4 MB tables, 4.2 MB of KV a layer */
	home.options.context = 256;
	for (uint32_t i = 0; i < 2; i++)
		home.profiles[i].backends[0].memory_bytes = 6000000;
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_int_equal(fail.code, FAIL_MEMORY);
	/* 4 + 10 * 1.325 = 17.2 MB are needed, 12 MB are there; 1 of 10 fits beside the tables and
	   4 on the other, so 5 more have to go somewhere: about 6 MB */
	assert_non_null(strstr(fail.text, "test needs 17 MB for 256 positions"));
	assert_non_null(strstr(fail.text, "2 devices with 12 MB"));
	assert_non_null(strstr(fail.text, "MB are missing"));
	/* what it asks for is enough */
	home.profiles[0].backends[0].memory_bytes += 8000000;
	home.profiles[1].backends[0].memory_bytes += 8000000;
	assert_false(isinf(make(&home, &plan, &fail)));

	two_devices(&home);
	home.n = 1;
	home.candidates[0].barred = "it sleeps";
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_string_equal(fail.text, "desk cannot take part: it sleeps");
}

static void offers_a_shorter_context(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	two_devices(&home);
	home.n = 1;
	home.options.context = 4096;
	home.profiles[0].backends[0].memory_bytes = 25000000; /* 14.6 MB of weights, 42 MB of KV */
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_non_null(strstr(fail.text, "or plan for a context of 512 positions"));
	home.options.context = 512;
	assert_false(isinf(make(&home, &plan, &fail)));
}

static void refuses_bad_options(void **state)
{
	static struct test_home home;
	static struct plan plan;
	struct fail fail;
	two_devices(&home);
	home.options.context = 9000; /* the model has 8192 */
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_int_equal(fail.code, FAIL_INVALID);
	two_devices(&home);
	home.options.turn.tokens_out = 0;
	assert_true(isinf(make(&home, &plan, &fail)));
	two_devices(&home);
	home.profiles[1].device = home.profiles[0].device;
	assert_true(isinf(make(&home, &plan, &fail)));
	assert_non_null(strstr(fail.text, "same device id"));
	assert_int_equal(plan_make(&plan, home.candidates, 0, &home.facts, &home.options, &fail),
			 -FAIL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_brute_force),
		cmocka_unit_test(no_order_is_better),
		cmocka_unit_test(more_devices_than_can_be_walked),
		cmocka_unit_test(one_more_device_never_makes_it_worse),
		cmocka_unit_test(kv_room_is_widened_without_losing_speed),
		cmocka_unit_test(smaller_caches_fit_where_larger_do_not),
		cmocka_unit_test(a_token_reads_the_chosen_experts),
		cmocka_unit_test(recurrent_states_take_room_and_time),
		cmocka_unit_test(leaves_out_with_a_reason),
		cmocka_unit_test(rests_on_battery_only_where_others_suffice),
		cmocka_unit_test(says_how_much_is_missing),
		cmocka_unit_test(offers_a_shorter_context),
		cmocka_unit_test(refuses_bad_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
