#include "planner/explain.h"

#include "planner/cost.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_MAX 1e6 /* what a plan may say (plan_check) */

const char *plan_size_text(uint64_t bytes, char text[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	uint32_t unit = 0;
	for (; value >= 999.5 && unit < 4; unit++)
		value /= 1000;
	snprintf(text, 16, value < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

static const char *time_text(double seconds, char text[16])
{
	if (seconds >= 9.995)
		snprintf(text, 16, "%.0f s", fmin(seconds, 1e9));
	else if (seconds >= 0.9995)
		snprintf(text, 16, "%.2f s", seconds);
	else if (seconds >= 0.00995)
		snprintf(text, 16, "%.0f ms", seconds * 1e3);
	else
		snprintf(text, 16, "%.2f ms", seconds * 1e3);
	return text;
}

/* As snprintf, but a text that is cut never ends within a character. */
static void say(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(char *text, size_t size, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const int length = vsnprintf(text, size, format, args);
	va_end(args);
	if (length < (int)size)
		return;
	size_t end = size - 1;
	while (end > 0 && ((unsigned char)text[end - 1] & 0xc0) == 0x80)
		end--; /* the rest of a character */
	if (end > 0 && (unsigned char)text[end - 1] >= 0xc0)
		end--; /* its first byte */
	text[end] = 0;
}

/* ---- layers ---- */

#define RANGES_SHOWN 4

/* "layers 0-3, 8-11 and 2 more ranges" of one device. */
static void layers_text(const struct plan *plan, uint32_t device, char *text, size_t size)
{
	uint32_t n = 0, used = 0;
	text[0] = 0;
	for (uint32_t i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];
		if (stage->group[0].device != device)
			continue;
		const uint32_t first = stage->first_layer, last = stage->end_layer - 1u;
		const char *comma = n == 0 ? "" : ", ";
		if (n++ >= RANGES_SHOWN)
			continue;
		used += (uint32_t)(first == last
					   ? snprintf(text + used, size - used, "%s%u", comma, first)
					   : snprintf(text + used, size - used, "%s%u-%u", comma,
						      first, last));
	}
	if (n > RANGES_SHOWN)
		snprintf(text + used, size - used, " and %u more ranges", n - RANGES_SHOWN);
}

/* ---- reasons ---- */

struct telling {
	struct plan *plan;
	const struct plan_forecast *forecast;
	const struct plan_candidate *candidates;
	uint32_t n_candidates;
	const struct model_facts *facts;
	const struct plan_options *options;
};

static const struct plan_candidate *candidate_of(const struct telling *telling, uint32_t device)
{
	for (uint32_t i = 0; i < telling->n_candidates; i++)
		if (device_id_equal(&telling->candidates[i].profile->device,
				    &telling->plan->devices[device].id))
			return &telling->candidates[i];
	return NULL;
}

static struct kv_room one_sequence(const struct plan *plan)
{
	struct kv_room room = plan_kv_room(plan);
	room.positions = plan->context;
	room.sequences = 1;
	return room;
}

static uint64_t smallest_layer(const struct telling *telling)
{
	uint64_t least = UINT64_MAX;
	const struct kv_room room = one_sequence(telling->plan);
	for (uint32_t i = 0; i < telling->facts->n_layers; i++) {
		const uint64_t bytes =
			telling->facts->layers[i].bytes +
			kv_layer_bytes(telling->facts, i, &room);
		least = bytes < least ? bytes : least;
	}
	return least;
}

/* What the KV of one full sequence and the weights leave free on a device. */
static uint64_t left_over(const struct telling *telling, uint32_t device)
{
	const struct plan_forecast *forecast = telling->forecast;
	const struct kv_room room = one_sequence(telling->plan);
	uint64_t used = forecast->weight_bytes[device];
	for (uint32_t i = 0; i < telling->plan->n_stages; i++) {
		const struct plan_stage *stage = &telling->plan->stages[i];
		for (uint32_t layer = stage->first_layer;
		     stage->group[0].device == device && layer < stage->end_layer; layer++)
			used += kv_layer_bytes(telling->facts, layer, &room);
	}
	return forecast->budget_bytes[device] > used ? forecast->budget_bytes[device] - used : 0;
}

static uint32_t count_holders(const struct plan *plan)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < plan->n_devices; i++)
		n += plan->devices[i].n_layers > 0;
	return n;
}

static double layer_token_s(const struct telling *telling, uint32_t device)
{
	const double output = device == telling->plan->head ? telling->forecast->output_s : 0;
	return (telling->forecast->busy_s[device] - output) / telling->plan->devices[device].n_layers;
}

static bool is_fastest(const struct telling *telling, uint32_t device)
{
	for (uint32_t i = 0; i < telling->plan->n_devices; i++)
		if (telling->plan->devices[i].n_layers > 0 &&
		    layer_token_s(telling, i) < layer_token_s(telling, device))
			return false;
	return true;
}

static void reason_of_holder(const struct telling *telling, uint32_t device, char *text,
			     size_t size)
{
	char left[16], next[16], disk[16];
	if (telling->plan->pinned)
		say(text, size, "The plan is pinned.");
	else if (telling->forecast->disk_s[device] > 0)
		say(text, size, "Part of it is read from disk at each token: %s.",
			 time_text(telling->forecast->disk_s[device], disk));
	else if (count_holders(telling->plan) == 1)
		say(text, size, "It holds every layer, so that nothing has to travel.");
	else if (left_over(telling, device) < smallest_layer(telling))
		say(text, size, "Its memory is full: %s are left, a further layer needs %s.",
			 plan_size_text(left_over(telling, device), left),
			 plan_size_text(smallest_layer(telling), next));
	else if (is_fastest(telling, device))
		say(text, size, "It is the fastest of the devices that hold layers.");
	else
		say(text, size, "It takes what the faster devices do not hold.");
}

/* What follows the reason of a device that would rather rest. */
static const char *on_battery(const struct telling *telling, uint32_t device)
{
	if (!cost_rests(candidate_of(telling, device)))
		return "";
	return telling->plan->pinned ? " It runs on battery."
				     : " It runs on battery, but without it there is no plan.";
}

static void tell_holder(const struct telling *telling, uint32_t device, char *text, size_t size)
{
	char layers[80], busy[16], reason[120];
	const bool one = telling->plan->devices[device].n_layers == 1;
	layers_text(telling->plan, device, layers, sizeof(layers));
	reason_of_holder(telling, device, reason, sizeof(reason));
	time_text(telling->forecast->busy_s[device], busy);
	const char *battery = on_battery(telling, device);
	if (device == telling->plan->head)
		say(text, size, "Head (embedding, output) with %s %s, %s a token. %s%s",
		    one ? "layer" : "layers", layers, busy, reason, battery);
	else
		say(text, size, "%s %s, %s a token. %s%s", one ? "Layer" : "Layers", layers, busy,
		    reason, battery);
}

static void tell_left_out(const struct telling *telling, uint32_t device, char *text, size_t size)
{
	const struct plan_candidate *candidate = candidate_of(telling, device);
	const char *unusable = cost_unusable(candidate);
	const uint64_t budget = telling->forecast->budget_bytes[device];
	char room[16], need[16];
	if (unusable)
		say(text, size, "Left out: %s.", unusable);
	else if (cost_rests(candidate))
		say(text, size,
		    "Left out: it runs on battery, and the others can do without it (primad "
		    "--battery yes there lets it take part always).");
	else if (candidate->profile->numerics != telling->plan->numerics)
		say(text, size,
		    "Left out: it computes with version %u of the arithmetic, the head with %u; the "
		    "same version of primad on both helps.",
		    candidate->profile->numerics, telling->plan->numerics);
	else if (telling->plan->pinned)
		say(text, size, "Left out: the plan is pinned.");
	else if (budget < smallest_layer(telling))
		say(text, size, "Left out: a layer needs %s and it has room for %s.",
		    plan_size_text(smallest_layer(telling), need), plan_size_text(budget, room));
	else
		say(text, size,
		    "Left out: with its speed and the hops to it and back, an answer would take "
		    "longer than without it.");
}

static void tell_device(const struct telling *telling, uint32_t device)
{
	struct plan_device *at = &telling->plan->devices[device];
	char busy[16];
	if (at->n_layers > 0)
		tell_holder(telling, device, at->sentence, sizeof(at->sentence));
	else if (device == telling->plan->head)
		say(at->sentence, sizeof(at->sentence),
			 "Head: embedding and output, %s a token; the layers are faster elsewhere or "
			 "do not fit beside these tables.",
			 time_text(telling->forecast->busy_s[device], busy));
	else
		tell_left_out(telling, device, at->sentence, sizeof(at->sentence));
}

static void tell_limit(const struct telling *telling)
{
	const struct plan_forecast *forecast = telling->forecast;
	struct plan *plan = telling->plan;
	const uint32_t device = forecast->limit_device;
	const char *name = plan->devices[device].name;
	char part[16], all[16];
	time_text(forecast->token_s, all);
	switch (forecast->limit) {
	case PLAN_LIMIT_COMPUTE:
		say(plan->limit, sizeof(plan->limit), "%s computes for %s of the %s a token takes.",
			 name, time_text(forecast->busy_s[device], part), all);
		break;
	case PLAN_LIMIT_LINKS:
		say(plan->limit, sizeof(plan->limit),
			 "Hops between devices limit the speed: sending on from %s takes %s of the %s a "
			 "token takes.",
			 name, time_text(forecast->hop_s[device], part), all);
		break;
	case PLAN_LIMIT_OUTPUT:
		say(plan->limit, sizeof(plan->limit),
			 "The output matrix on %s takes %s of the %s a token takes.", name,
			 time_text(forecast->output_s, part), all);
		break;
	case PLAN_LIMIT_DISK:
		say(plan->limit, sizeof(plan->limit),
			 "The disk of %s limits the speed: it reads for %s at each token.", name,
			 time_text(forecast->disk_s[device], part));
		break;
	}
}

void plan_explain(struct plan *plan, const struct plan_forecast *forecast,
		  const struct plan_candidate *candidates, uint32_t n_candidates,
		  const struct model_facts *facts, const struct plan_options *options)
{
	const struct telling telling = { plan,	       forecast, candidates,
					 n_candidates, facts,	 options };
	plan->first_token_s = fmin(forecast->first_token_s, SECONDS_MAX);
	plan->token_s = fmin(forecast->token_s, SECONDS_MAX);
	for (uint32_t i = 0; i < plan->n_devices; i++) {
		struct plan_device *device = &plan->devices[i];
		device->weight_bytes = forecast->weight_bytes[i];
		device->kv_bytes = forecast->kv_bytes[i];
		device->budget_bytes = forecast->budget_bytes[i];
		device->busy_s = fmin(forecast->busy_s[i], SECONDS_MAX);
		device->hop_s = fmin(forecast->hop_s[i], SECONDS_MAX);
		device->disk_s = fmin(forecast->disk_s[i], SECONDS_MAX);
		tell_device(&telling, i);
	}
	tell_limit(&telling);
}

/* ---- the whole plan ---- */

static void text_device(const struct plan *plan, uint32_t device, struct buf *out)
{
	const struct plan_device *at = &plan->devices[device];
	char weights[16], kv[16], budget[16];
	buf_printf(out, "%s: %s\n", at->name, at->sentence);
	if (at->n_layers == 0 && device != plan->head)
		return;
	buf_printf(out, "  memory: %s weights and %s KV cache of %s\n",
		   plan_size_text(at->weight_bytes, weights), plan_size_text(at->kv_bytes, kv),
		   plan_size_text(at->budget_bytes, budget));
}

/* What else than its size decides what this model costs. */
static void text_model(const struct plan *plan, const struct model_facts *facts, struct buf *out)
{
	const struct kv_room room = plan_kv_room(plan);
	uint64_t bytes = 0;
	uint32_t recurrent = 0;
	char state[16];
	if (facts->n_expert_used > 0)
		buf_printf(out,
			   "experts: a token reads %u of %u in a layer, a chunk of a prompt about "
			   "%.0f\n",
			   facts->n_expert_used, facts->n_expert,
			   cost_experts(facts, plan->chunk_rows));
	for (uint32_t i = 0; i < facts->n_layers; i++) {
		recurrent += facts->state_bytes[i] > 0;
		bytes += 2ull * room.sequences * facts->state_bytes[i];
	}
	if (recurrent > 0)
		buf_printf(out,
			   "state: %u of %u layers keep a state of fixed size instead of keys and "
			   "values, %s for %u at once\n",
			   recurrent, facts->n_layers, plan_size_text(bytes, state),
			   room.sequences);
}

void plan_text(const struct plan *plan, const struct model_facts *facts, struct buf *out)
{
	char first[16], token[16];
	const uint32_t holders = count_holders(plan);
	buf_printf(out, "%s%son %u device%s, %u round%s%s\n", facts ? facts->name : "",
		   facts ? " " : "", holders, holders == 1 ? "" : "s", plan->rounds,
		   plan->rounds == 1 ? "" : "s", plan->pinned ? ", pinned" : "");
	buf_printf(out, "forecast: first token after %s, then %s a token (%.3g a second)\n",
		   time_text(plan->first_token_s, first), time_text(plan->token_s, token),
		   plan->token_s > 0 ? 1 / plan->token_s : 0.0);
	buf_printf(out, "context: %u positions, room for %u in all; prompts in chunks of %u\n",
		   plan->context, plan->kv_positions, plan->chunk_rows);
	if (facts)
		text_model(plan, facts, out);
	buf_printf(out, "limit: %s\n", plan->limit);
	for (int with_layers = 1; with_layers >= 0; with_layers--)
		for (uint32_t i = 0; i < plan->n_devices; i++)
			if ((plan->devices[i].n_layers > 0 || i == plan->head) == with_layers)
				text_device(plan, i, out);
}
