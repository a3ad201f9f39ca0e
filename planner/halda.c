/* The best plan for a home and a model.
 *
 * The problem. Given devices i with rates, links, memory; layers j = 0 .. L-1 with bytes and work; a
 * reference turn. Choose a head h, rounds k, a ring order of some devices, a chunk size, and for
 * every device in the ring a range of slots (ring.h; with k = 1: of layers), so that the ranges
 * follow one another in ring order and cover all layers, every device's part fits into its memory,
 * and the turn (cost.h) is shortest. A device may get nothing: that is device selection. All devices
 * with work, and the head, have one numerics version. Without streaming k is 1, unless it is pinned:
 * more rounds hold the same bytes and only add hops. Devices that run on battery without their
 * owner's leave take part only where there is no plan without them.
 *
 * Why the answer is exact. For a given head, k, chunk and caps on the two maxima of the turn, the
 * turn is a sum over devices and hops, so a programme over (devices used, last device, slots placed)
 * finds its least value (orders.c); a relaxation of it proves most choices to be no better without
 * that (relax.c); search.h tells how the caps are searched. Heads, k, chunks and numerics versions
 * are enumerated. With more than ORDERS_DEVICES_MAX devices the answer is a heuristic (search.h).
 * Every head alone is among the ways looked at, so no plan is worse than the best device alone.
 */
#include "planner/halda.h"

#include "planner/explain.h"
#include "planner/forecast.h"
#include "planner/groups.h"
#include "planner/pinned.h"
#include "planner/shortage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin_plan(struct plan *plan, const struct cost *cost)
{
	const struct plan_options *options = cost->options;
	memset(plan, 0, sizeof(*plan));
	plan->epoch = options->epoch;
	plan->model = cost->facts->id;
	plan->context = options->context;
	plan->kv_positions = options->context;
	plan->wire = options->wire;
	plan->kv_type = options->kv_type;
	plan->pinned = !pin_empty(&options->pin);
	plan->n_devices = (uint16_t)cost->n_devices;
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		plan->devices[i].id = cost->devices[i].profile->device;
		memcpy(plan->devices[i].name, cost->devices[i].profile->name, DEVICE_NAME_BYTES);
	}
}

static void take_result(struct plan *plan, const struct search_result *result,
			const struct cost *cost)
{
	const uint32_t L = cost->facts->n_layers;
	plan->head = (uint16_t)result->head;
	plan->rounds = (uint16_t)result->rounds;
	plan->chunk_rows = cost->chunk_rows[result->chunk];
	for (uint32_t round = 0; round < result->rounds; round++) {
		for (uint32_t i = 0; i < result->n_parts; i++) {
			const uint32_t base = round * result->n_slots;
			const uint32_t first = base + result->parts[i].first_slot;
			const uint32_t end = base + result->parts[i].end_slot;
			if (first >= L)
				continue;
			struct plan_stage *stage = &plan->stages[plan->n_stages++];
			stage->first_layer = (uint16_t)first;
			stage->end_layer = (uint16_t)(end < L ? end : L);
			stage->round = (uint16_t)round;
			stage->n_group = 1;
			stage->group[0].device = result->parts[i].device;
			stage->group[0].share = 1;
		}
	}
}

static void count_layers(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_devices; i++)
		plan->devices[i].n_layers = 0;
	for (uint32_t i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];
		plan->devices[stage->group[0].device].n_layers +=
			(uint32_t)(stage->end_layer - stage->first_layer);
	}
}

/* True when every device has room for so many positions. */
static bool positions_fit(struct plan *plan, const struct cost *cost, uint32_t positions)
{
	const struct model_facts *facts = cost->facts;
	uint64_t bytes[PLAN_DEVICES_MAX] = { 0 };
	bool holds[PLAN_DEVICES_MAX] = { false };
	struct kv_room room = plan_kv_room(plan);
	room.positions = positions;
	room.sequences = kv_sequences(positions, plan->context);
	bytes[plan->head] = cost->head_bytes;
	for (uint32_t i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];
		holds[stage->group[0].device] = true;
		for (uint32_t layer = stage->first_layer; layer < stage->end_layer; layer++)
			bytes[stage->group[0].device] +=
				facts->layers[layer].bytes + kv_layer_bytes(facts, layer, &room);
	}
	for (uint32_t i = 0; i < plan->n_devices; i++)
		if (holds[i] && bytes[i] > cost->devices[i].room_bytes)
			return false;
	return true;
}

/* KV room for more sequences where memory is left; never at the price of speed. */
static void widen_kv(struct plan *plan, const struct cost *cost)
{
	const uint64_t wanted = (uint64_t)plan->context *
				(cost->options->sequences > 0 ? cost->options->sequences : 1);
	uint32_t low = plan->context;
	uint32_t high = wanted < PLAN_POSITIONS_MAX ? (uint32_t)wanted : PLAN_POSITIONS_MAX;
	while (low < high) {
		const uint32_t middle = low + (high - low + 1) / 2;
		if (positions_fit(plan, cost, middle))
			low = middle;
		else
			high = middle - 1;
	}
	plan->kv_positions = low;
}

static int finish_plan(struct plan *plan, const struct plan_candidate *candidates,
		       const struct cost *cost, struct fail *fail)
{
	struct plan_forecast forecast;
	plan->numerics = cost->devices[plan->head].profile->numerics;
	widen_kv(plan, cost);
	const int rc = plan_forecast(&forecast, plan, candidates, cost->n_devices, cost->facts,
				     cost->options, fail);
	if (rc == 0)
		plan_explain(plan, &forecast, candidates, cost->n_devices, cost->facts,
			     cost->options);
	return rc;
}

/* ---- pinned layers: what is left to choose is the head and the chunk size ---- */

static double turn_with(struct plan *plan, const struct plan_candidate *candidates,
			const struct cost *cost, uint32_t head, uint32_t chunk, struct fail *fail)
{
	struct plan_forecast forecast;
	plan->head = (uint16_t)head;
	plan->chunk_rows = cost->chunk_rows[chunk];
	plan->numerics = cost->devices[head].profile->numerics;
	return plan_forecast(&forecast, plan, candidates, cost->n_devices, cost->facts,
			     cost->options, fail) == 0
		       ? forecast.turn_s
		       : INFINITY;
}

static int make_pinned(struct plan *plan, const struct plan_candidate *candidates,
		       const struct cost *cost, struct fail *fail)
{
	double best = INFINITY;
	uint32_t best_head = 0, best_chunk = 0;
	int wished = -1;
	begin_plan(plan, cost);
	const int rc = pinned_stages(plan, cost, &wished, fail);
	if (rc < 0)
		return rc;
	count_layers(plan);
	const uint32_t holder = plan->stages[0].group[0].device;
	for (uint32_t head = 0; head < cost->n_devices; head++) {
		if ((wished >= 0 && head != (uint32_t)wished) || cost->devices[head].unusable ||
		    cost->devices[head].profile->numerics !=
			    cost->devices[holder].profile->numerics)
			continue;
		for (uint32_t chunk = 0; chunk < cost->n_chunks; chunk++) {
			const double turn =
				turn_with(plan, candidates, cost, head, chunk, fail);
			if (turn >= best)
				continue;
			best = turn;
			best_head = head;
			best_chunk = chunk;
		}
	}
	if (best == INFINITY)
		return -(int)(fail ? fail->code : FAIL_MEMORY);
	plan->head = (uint16_t)best_head;
	plan->chunk_rows = cost->chunk_rows[best_chunk];
	return finish_plan(plan, candidates, cost, fail);
}

/* ---- free or partly pinned ---- */

static bool somebody_rests(const struct cost *cost)
{
	for (uint32_t i = 0; i < cost->n_devices; i++)
		if (cost->devices[i].resting)
			return true;
	return false;
}

static int make_best(struct plan *plan, const struct plan_candidate *candidates, struct cost *cost,
		     struct fail *fail)
{
	struct search_wish wish;
	struct search_result result;
	int rc = pinned_wish(&wish, cost, fail);
	if (rc == 0)
		rc = groups_search(&result, cost, &wish, fail);
	if (rc < 0)
		return rc;
	if (!result.found)
		return somebody_rests(cost) ? -FAIL_MEMORY : shortage_tell(cost, &wish, fail);
	begin_plan(plan, cost);
	take_result(plan, &result, cost);
	count_layers(plan);
	return finish_plan(plan, candidates, cost, fail);
}

static int make(struct plan *plan, const struct plan_candidate *candidates, struct cost *cost,
		struct fail *fail)
{
	return cost->options->pin.layers == PIN_LAYERS_FREE
		       ? make_best(plan, candidates, cost, fail)
		       : make_pinned(plan, candidates, cost, fail);
}

int plan_make(struct plan *plan, const struct plan_candidate *candidates, uint32_t n_candidates,
	      const struct model_facts *facts, const struct plan_options *options,
	      struct fail *fail)
{
	struct cost cost;
	struct fail own;
	fail = fail ? fail : &own;
	int rc = cost_init(&cost, candidates, n_candidates, facts, options, fail);
	if (rc < 0)
		return rc;
	rc = make(plan, candidates, &cost, fail);
	if (rc < 0 && cost_wake(&cost))
		rc = make(plan, candidates, &cost, fail);
	cost_finish(&cost);
	return rc;
}
