#include "planner/cost.h"

#include "proto/flight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t chunk_choices[COST_CHUNKS_MAX] = { 32, 128, 512 };

static const struct profile_backend *cpu_backend(const struct profile *profile)
{
	for (uint32_t i = 0; i < profile->n_backends; i++)
		if (profile->backends[i].kind == BACKEND_KIND_CPU)
			return &profile->backends[i];
	return NULL;
}

#define RESTS "it runs on battery, and the others can do without it"

const char *cost_unusable(const struct plan_candidate *candidate)
{
	const struct profile_backend *backend = cpu_backend(candidate->profile);
	if (candidate->barred)
		return candidate->barred;
	if (!backend || profile_rate(backend, 0, 1) <= 0)
		return "its speed has not been measured yet";
	return NULL;
}

bool cost_rests(const struct plan_candidate *candidate)
{
	return candidate->profile->power == POWER_BATTERY &&
	       !candidate->profile->battery_use_allowed;
}

bool cost_wake(struct cost *cost)
{
	bool any = false;
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		struct cost_device *device = &cost->devices[i];
		if (!device->resting)
			continue;
		device->resting = false;
		device->unusable = NULL;
		any = true;
	}
	return any;
}

static double product_s(const struct profile_backend *backend, uint32_t type, double weights,
			double rows)
{
	return weights / profile_rate(backend, type, (uint32_t)ceil(rows));
}

double cost_experts(const struct model_facts *facts, double rows)
{
	const double share = (double)facts->n_expert_used / facts->n_expert;
	return facts->n_expert * (1 - pow(1 - share, rows));
}

static double unit_s(const struct profile_backend *backend, const struct model_facts *facts,
		     const struct unit_facts *unit, double rows)
{
	double seconds = 0;
	for (uint32_t i = 0; i < unit->n_types; i++) {
		const uint32_t type = unit->types[i].type;
		const double chosen = (double)unit->types[i].chosen;
		seconds += product_s(backend, type, (double)unit->types[i].weights - chosen, rows);
		if (chosen == 0)
			continue;
		const double used = facts->n_expert_used, touched = cost_experts(facts, rows);
		seconds += product_s(backend, type, chosen / used * touched, rows * used / touched);
	}
	return seconds;
}

/* Nothing is free, whatever a description says: bounds divide by the cost of a layer. */
#define COST_LEAST_S 1e-12

/* `look_back` positions are read for each of `rows` rows. */
static double layer_s(const struct profile_backend *backend, const struct cost *cost,
		      uint32_t layer, double rows, double look_back)
{
	const struct model_facts *facts = cost->facts;
	const double kv = kv_position_bytes(facts, layer, cost->kv.type);
	const double window = facts->kv_windows[layer];
	const double state = 2.0 * facts->state_bytes[layer]; /* read and written */
	double seconds =
		unit_s(backend, facts, &facts->layers[layer], rows) + backend->layer_overhead_s;
	if (window > 0)
		look_back = fmin(look_back, window);
	if (backend->kv_bytes_per_s > 0)
		seconds += rows * (look_back * kv + state) / backend->kv_bytes_per_s;
	return fmax(seconds, COST_LEAST_S);
}

static bool same_unit(const struct unit_facts *a, const struct unit_facts *b)
{
	if (a->bytes != b->bytes || a->n_types != b->n_types)
		return false;
	for (uint32_t i = 0; i < a->n_types; i++)
		if (a->types[i].type != b->types[i].type ||
		    a->types[i].weights != b->types[i].weights ||
		    a->types[i].chosen != b->types[i].chosen)
			return false;
	return true;
}

static void find_kinds(struct cost *cost)
{
	const struct model_facts *facts = cost->facts;
	for (uint32_t layer = 0; layer < facts->n_layers; layer++) {
		uint32_t kind = 0;
		while (kind < cost->n_kinds &&
		       !(same_unit(&facts->layers[layer], &facts->layers[cost->example[kind]]) &&
			 facts->kv_bytes[layer] == facts->kv_bytes[cost->example[kind]] &&
			 facts->state_bytes[layer] == facts->state_bytes[cost->example[kind]] &&
			 facts->kv_windows[layer] == facts->kv_windows[cost->example[kind]]))
			kind++;
		if (kind == cost->n_kinds)
			cost->example[cost->n_kinds++] = (uint16_t)layer;
		cost->kind[layer] = (uint16_t)kind;
	}
}

static void choose_chunks(struct cost *cost)
{
	if (cost->options->chunk_rows > 0) {
		cost->chunk_rows[cost->n_chunks++] = cost->options->chunk_rows;
		return;
	}
	for (uint32_t i = 0; i < COST_CHUNKS_MAX; i++) {
		cost->chunk_rows[cost->n_chunks++] = chunk_choices[i];
		if (chunk_choices[i] >= cost->prompt_rows)
			return; /* larger ones would be the same */
	}
}

static void describe_turn(struct cost *cost)
{
	const struct plan_turn *turn = &cost->options->turn;
	const double cached = floor(turn->tokens_in * turn->cached_share);
	cost->prompt_rows = fmax(1, turn->tokens_in - cached);
	cost->positions = turn->tokens_in + turn->tokens_out / 2.0;
	cost->look_back = cached + cost->prompt_rows / 2;
}

static const struct profile_link *measured(const struct profile *from, const struct profile *to)
{
	for (uint32_t i = 0; i < from->n_links; i++)
		if (device_id_equal(&from->links[i].peer, &to->device) &&
		    from->links[i].bytes_per_s > 0)
			return &from->links[i];
	return NULL;
}

static struct cost_link link_between(const struct profile *from, const struct profile *to)
{
	/* who receives measures; the way back is the next best guess */
	const struct profile_link *link = measured(to, from);
	if (!link)
		link = measured(from, to);
	if (!link)
		return (struct cost_link){ COST_UNKNOWN_RTT_S / 2, COST_UNKNOWN_BYTES_PER_S };
	return (struct cost_link){ link->rtt_p50_s / 2, link->bytes_per_s };
}

static void cost_one_device(struct cost *cost, uint32_t device)
{
	const struct model_facts *facts = cost->facts;
	struct cost_device *at = &cost->devices[device];
	if (at->unusable)
		return;
	const uint64_t taken = at->backend->reserve_bytes + facts->metadata_bytes;
	at->room_bytes = at->backend->memory_bytes > taken ? at->backend->memory_bytes - taken : 0;
	at->disk_bytes_per_s = at->profile->disk_bytes_per_s;
	at->output_s = unit_s(at->backend, facts, &facts->output, 1);
	for (uint32_t kind = 0; kind < cost->n_kinds; kind++) {
		const uint32_t layer = cost->example[kind];
		cost->token_s[device * cost->n_kinds + kind] =
			layer_s(at->backend, cost, layer, 1, cost->positions);
		for (uint32_t chunk = 0; chunk < cost->n_chunks; chunk++)
			cost->chunk_s[(chunk * cost->n_devices + device) * cost->n_kinds + kind] =
				layer_s(at->backend, cost, layer, cost_rows(cost, chunk),
					cost->look_back);
	}
}

/* After its costs are known, so that it can be woken. */
static void let_rest(struct cost_device *device, const struct plan_candidate *candidate)
{
	device->resting = !device->unusable && cost_rests(candidate);
	if (device->resting)
		device->unusable = RESTS;
}

int cost_init(struct cost *cost, const struct plan_candidate *candidates, uint32_t n_candidates,
	      const struct model_facts *facts, const struct plan_options *options,
	      struct fail *fail)
{
	const int rc = plan_options_check(options, candidates, n_candidates, facts, fail);
	memset(cost, 0, sizeof(*cost));
	if (rc < 0)
		return rc;
	cost->facts = facts;
	cost->options = options;
	cost->n_devices = n_candidates;
	cost->head_bytes = facts->embedding.bytes + facts->output.bytes;
	describe_turn(cost);
	choose_chunks(cost);
	cost->kv = (struct kv_room){ .type = options->kv_type,
				     .positions = options->context,
				     .sequences = 1,
				     .rows = cost->chunk_rows[cost->n_chunks - 1] };
	find_kinds(cost);
	const size_t cells = (size_t)n_candidates * cost->n_kinds;
	cost->token_s = calloc(cells, sizeof(double));
	cost->chunk_s = calloc(cells * cost->n_chunks, sizeof(double));
	if (!cost->token_s || !cost->chunk_s) {
		cost_finish(cost);
		return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
	}
	for (uint32_t i = 0; i < n_candidates; i++) {
		struct cost_device *device = &cost->devices[i];
		device->profile = candidates[i].profile;
		device->backend = cpu_backend(candidates[i].profile);
		device->unusable = cost_unusable(&candidates[i]);
		for (uint32_t j = 0; j < n_candidates; j++)
			cost->links[i][j] = link_between(candidates[i].profile,
							 candidates[j].profile);
		cost_one_device(cost, i);
		let_rest(device, &candidates[i]);
	}
	return 0;
}

void cost_finish(struct cost *cost)
{
	free(cost->token_s);
	free(cost->chunk_s);
	cost->token_s = NULL;
	cost->chunk_s = NULL;
}

double cost_token_s(const struct cost *cost, uint32_t device, uint32_t layer)
{
	return cost->token_s[device * cost->n_kinds + cost->kind[layer]];
}

double cost_chunk_s(const struct cost *cost, uint32_t chunk, uint32_t device, uint32_t layer)
{
	return cost->chunk_s[(chunk * cost->n_devices + device) * cost->n_kinds +
			     cost->kind[layer]];
}

double cost_rows(const struct cost *cost, uint32_t chunk)
{
	return fmin(cost->chunk_rows[chunk], cost->prompt_rows);
}

double cost_more_chunks(const struct cost *cost, uint32_t chunk)
{
	return cost->prompt_rows / cost_rows(cost, chunk) - 1;
}

double cost_flight_bytes(const struct cost *cost, double rows)
{
	const double value = cost->options->wire == WIRE_F16 ? 2 : 4;
	return FLIGHT_HEAD_BYTES + rows * (FLIGHT_ROW_BYTES + value * cost->facts->n_embd);
}

double cost_send_s(const struct cost *cost, uint32_t from, uint32_t to, double rows)
{
	return cost_flight_bytes(cost, rows) / cost->links[from][to].bytes_per_s;
}

double cost_hop_s(const struct cost *cost, uint32_t from, uint32_t to, double rows)
{
	return cost->links[from][to].latency_s + cost_send_s(cost, from, to, rows);
}

double cost_streamed_bytes(double weights, double room, uint32_t rounds, bool streaming)
{
	if (weights <= room)
		return 0;
	if (!streaming || rounds < 2 || room < 0)
		return INFINITY;
	const double streamed = (weights - room) * rounds / (rounds - 1);
	return streamed <= weights ? streamed : INFINITY;
}
