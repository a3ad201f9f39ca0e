#include "planner/cost.h"
#include "planner/forecast.h"

#include "planner/explain.h"

#include <math.h>
#include <string.h>

/* A plan on its way through the cost model; indices of devices are the plan's and the cost's. */
struct walk {
	const struct plan *plan;
	const struct cost *cost;
	struct plan_forecast *forecast;
	uint32_t candidate[PLAN_DEVICES_MAX]; /* of each device of the plan */
	double weights[PLAN_DEVICES_MAX];     /* layers, bytes */
	double chunk_s[PLAN_DEVICES_MAX];     /* compute per chunk */
	uint16_t sends[PLAN_DEVICES_MAX][PLAN_DEVICES_MAX]; /* traversals of a link per flight */
};

static bool takes_part(const struct plan *plan, uint32_t device)
{
	for (uint32_t i = 0; i < plan->n_stages; i++)
		if (plan->stages[i].group[0].device == device)
			return true;
	return plan->head == device;
}

static int find_candidates(struct walk *walk, const struct plan_candidate *candidates,
			   uint32_t n_candidates, struct fail *fail)
{
	for (uint32_t i = 0; i < walk->plan->n_devices; i++) {
		const struct plan_device *device = &walk->plan->devices[i];
		uint32_t j = 0;
		while (j < n_candidates &&
		       !device_id_equal(&candidates[j].profile->device, &device->id))
			j++;
		walk->candidate[i] = j;
		if (!takes_part(walk->plan, i))
			continue;
		if (j == n_candidates)
			return fail_set(fail, FAIL_NOT_FOUND, "the plan needs %s, which is not here",
					device->name);
		if (walk->cost->devices[j].unusable)
			return fail_set(fail, FAIL_NOT_FOUND,
					"the plan needs %s, which cannot take part: %s",
					device->name, walk->cost->devices[j].unusable);
	}
	return 0;
}

static void walk_stage(struct walk *walk, const struct plan_stage *stage)
{
	const uint32_t device = stage->group[0].device, at = walk->candidate[device];
	const struct model_facts *facts = walk->cost->facts;
	const struct kv_room room = plan_kv_room(walk->plan);
	struct plan_forecast *forecast = walk->forecast;
	for (uint32_t layer = stage->first_layer; layer < stage->end_layer; layer++) {
		forecast->busy_s[device] += cost_token_s(walk->cost, at, layer);
		walk->chunk_s[device] += cost_chunk_s(walk->cost, 0, at, layer);
		walk->weights[device] += (double)facts->layers[layer].bytes;
		forecast->kv_bytes[device] += kv_layer_bytes(facts, layer, &room);
	}
}

static void walk_ring(struct walk *walk)
{
	const struct plan *plan = walk->plan;
	uint32_t before = plan->head;
	for (uint32_t i = 0; i < plan->n_stages; i++) {
		const uint32_t device = plan->stages[i].group[0].device;
		walk_stage(walk, &plan->stages[i]);
		if (device != before)
			walk->sends[before][device]++;
		before = device;
	}
	if (before != plan->head)
		walk->sends[before][plan->head]++;
}

struct times {
	double chunk_s;   /* one pass of a chunk, hops included */
	double slowest_s; /* slowest place per chunk */
	double token_s;   /* busy and hops */
};

static struct times add_times(struct walk *walk)
{
	struct times times = { 0 };
	const double rows = cost_rows(walk->cost, 0);
	for (uint32_t i = 0; i < walk->plan->n_devices; i++) {
		times.chunk_s += walk->chunk_s[i];
		times.slowest_s = fmax(times.slowest_s, walk->chunk_s[i]);
		times.token_s += walk->forecast->busy_s[i];
		for (uint32_t j = 0; j < walk->plan->n_devices; j++) {
			const uint32_t from = walk->candidate[i], to = walk->candidate[j];
			const double sends = walk->sends[i][j];
			if (sends == 0)
				continue;
			times.chunk_s += sends * cost_hop_s(walk->cost, from, to, rows);
			times.slowest_s = fmax(times.slowest_s,
					       sends * cost_send_s(walk->cost, from, to, rows));
			walk->forecast->hop_s[i] += sends * cost_hop_s(walk->cost, from, to, 1);
		}
		times.token_s += walk->forecast->hop_s[i];
	}
	return times;
}

/* Memory and disk of one device; false when its part does not fit. */
static bool add_memory(struct walk *walk, uint32_t device)
{
	struct plan_forecast *forecast = walk->forecast;
	const struct cost_device *at = &walk->cost->devices[walk->candidate[device]];
	const double head =
		device == walk->plan->head ? (double)walk->cost->head_bytes : 0;
	const double room = (double)at->room_bytes - (double)forecast->kv_bytes[device] - head;
	const double streamed = cost_streamed_bytes(walk->weights[device], room, walk->plan->rounds,
						    walk->cost->options->streaming);
	forecast->budget_bytes[device] = at->room_bytes;
	forecast->weight_bytes[device] = (uint64_t)(walk->weights[device] + head);
	if (room < 0 || streamed == INFINITY || (streamed > 0 && at->disk_bytes_per_s <= 0))
		return false;
	forecast->disk_s[device] = streamed > 0 ? streamed / at->disk_bytes_per_s : 0;
	return true;
}

static uint32_t largest(const double *values, uint32_t n)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < n; i++)
		if (values[i] > values[best])
			best = i;
	return best;
}

static void find_limit(struct plan_forecast *forecast, const struct plan *plan, double disk_s)
{
	double hops = 0, busy = 0, layers[PLAN_DEVICES_MAX];
	for (uint32_t i = 0; i < plan->n_devices; i++) {
		layers[i] = forecast->busy_s[i] - (i == plan->head ? forecast->output_s : 0);
		hops += forecast->hop_s[i];
		busy += layers[i];
	}
	if (disk_s > 0 && disk_s >= forecast->token_s) {
		forecast->limit = PLAN_LIMIT_DISK;
		forecast->limit_device = largest(forecast->disk_s, plan->n_devices);
	} else if (hops > busy && hops > forecast->output_s) {
		forecast->limit = PLAN_LIMIT_LINKS;
		forecast->limit_device = largest(forecast->hop_s, plan->n_devices);
	} else if (forecast->output_s > busy) {
		forecast->limit = PLAN_LIMIT_OUTPUT;
		forecast->limit_device = plan->head;
	} else {
		forecast->limit = PLAN_LIMIT_COMPUTE;
		forecast->limit_device = largest(layers, plan->n_devices);
	}
}

static int too_small(const struct walk *walk, uint32_t device, struct fail *fail)
{
	const struct plan_forecast *forecast = walk->forecast;
	const uint64_t need = forecast->weight_bytes[device] + forecast->kv_bytes[device];
	const uint64_t room = forecast->budget_bytes[device];
	char need_text[16], room_text[16], missing[16];
	return fail_set(fail, FAIL_MEMORY,
			"%s would have to hold %s and has room for %s: %s are missing there",
			walk->plan->devices[device].name, plan_size_text(need, need_text),
			plan_size_text(room, room_text),
			plan_size_text(need > room ? need - room : 0, missing));
}

static int evaluate(struct walk *walk, struct fail *fail)
{
	struct plan_forecast *forecast = walk->forecast;
	const struct plan *plan = walk->plan;
	const double T = walk->cost->options->turn.tokens_out;
	double disk_s = 0;
	int small = -1;
	walk_ring(walk);
	forecast->output_s = walk->cost->devices[walk->candidate[plan->head]].output_s;
	forecast->busy_s[plan->head] += forecast->output_s;
	for (uint32_t i = 0; i < plan->n_devices; i++) {
		if (walk->candidate[i] >= walk->cost->n_devices)
			continue;
		if (!add_memory(walk, i) && small < 0)
			small = (int)i;
		disk_s = fmax(disk_s, forecast->disk_s[i]);
	}
	const struct times times = add_times(walk);
	const double prompt_s =
		times.chunk_s + cost_more_chunks(walk->cost, 0) * times.slowest_s;
	forecast->turn_s = fmax(prompt_s + forecast->output_s + (T - 1) * times.token_s,
				T * disk_s);
	forecast->first_token_s = fmax(prompt_s + forecast->output_s, disk_s);
	forecast->token_s = fmax(times.token_s, disk_s);
	find_limit(forecast, plan, disk_s);
	return small < 0 ? 0 : too_small(walk, (uint32_t)small, fail);
}

int plan_forecast(struct plan_forecast *forecast, const struct plan *plan,
		  const struct plan_candidate *candidates, uint32_t n_candidates,
		  const struct model_facts *facts, const struct plan_options *options,
		  struct fail *fail)
{
	struct plan_options as_planned = *options;
	struct cost cost;
	as_planned.chunk_rows = plan->chunk_rows;
	as_planned.wire = plan->wire;
	as_planned.kv_type = plan->kv_type;
	as_planned.context = plan->context;
	memset(forecast, 0, sizeof(*forecast));
	int rc = plan_check(plan, facts->n_layers, fail);
	if (rc == 0)
		rc = cost_init(&cost, candidates, n_candidates, facts, &as_planned, fail);
	if (rc < 0)
		return rc;
	cost_wake(&cost); /* the plan was made: if it needs them, it may use them */
	struct walk walk = { .plan = plan, .cost = &cost, .forecast = forecast };
	rc = find_candidates(&walk, candidates, n_candidates, fail);
	if (rc == 0)
		rc = evaluate(&walk, fail);
	cost_finish(&cost);
	return rc;
}
