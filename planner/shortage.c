#include "planner/shortage.h"

#include "planner/explain.h"
#include "planner/groups.h"

#include <stdio.h>

#define PRECISION (1u << 20) /* bytes: what is missing is told to so much */

static int nobody(const struct cost *cost, struct fail *fail)
{
	const struct cost_device *first = &cost->devices[0];
	for (uint32_t i = 0; i < cost->n_devices; i++)
		if (!cost->devices[i].unusable)
			return 0;
	if (cost->n_devices == 1)
		return fail_set(fail, FAIL_NOT_FOUND, "%s cannot take part: %s",
				first->profile->name, first->unusable);
	return fail_set(fail, FAIL_NOT_FOUND, "none of %u devices can take part; %s: %s",
			cost->n_devices, first->profile->name, first->unusable);
}

static bool fits(struct cost *cost, const struct search_wish *wish)
{
	struct search_result result;
	struct search_wish any = *wish;
	any.any = true;
	return groups_search(&result, cost, &any, NULL) == 0 && result.found;
}

/* Least extra room on `device` with which the model fits; UINT64_MAX: none would help. */
static uint64_t missing_on(struct cost *cost, const struct search_wish *wish, uint32_t device)
{
	uint64_t *room = &cost->devices[device].room_bytes;
	const uint64_t before = *room;
	uint64_t low = 0, high = cost->facts->file_bytes + cost->head_bytes;
	for (uint32_t i = 0; i < cost->facts->n_layers; i++)
		high += cost->facts->layers[i].bytes +
			kv_layer_bytes(cost->facts, i, &cost->kv);
	*room = before + high;
	if (!fits(cost, wish)) {
		*room = before;
		return UINT64_MAX;
	}
	while (high - low > PRECISION) {
		const uint64_t middle = low + (high - low) / 2;
		*room = before + middle;
		if (fits(cost, wish))
			high = middle;
		else
			low = middle;
	}
	*room = before;
	return high;
}

/* The device that is short of least is likely one of those with the most room. */
static uint32_t roomiest(const struct cost *cost, const struct search_wish *wish)
{
	uint32_t best = PLAN_DEVICES_MAX;
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		uint16_t members[PLAN_DEVICES_MAX];
		if (cost->devices[i].unusable ||
		    (wish->head >= 0 && cost->devices[wish->head].profile->numerics !=
						cost->devices[i].profile->numerics) ||
		    groups_members(cost, wish, i, members) == 0)
			continue;
		if (best == PLAN_DEVICES_MAX ||
		    cost->devices[i].room_bytes > cost->devices[best].room_bytes)
			best = i;
	}
	return wish->head >= 0 ? (uint32_t)wish->head : best;
}

/* A shorter context with which it fits as it is; 0: none. */
static uint32_t shorter_context(struct cost *cost, const struct search_wish *wish)
{
	const uint32_t before = cost->kv.positions;
	uint32_t context = before / 2;
	for (; context >= 128; context /= 2) {
		cost->kv.positions = context;
		if (fits(cost, wish))
			break;
	}
	cost->kv.positions = before;
	return context >= 128 ? context : 0;
}

int shortage_tell(struct cost *cost, const struct search_wish *wish, struct fail *fail)
{
	const struct model_facts *facts = cost->facts;
	uint64_t need = cost->head_bytes, room = 0;
	char need_text[16], room_text[16], missing_text[16], context_text[80] = "";
	uint32_t usable = 0;
	const int rc = nobody(cost, fail);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < facts->n_layers; i++)
		need += facts->layers[i].bytes + kv_layer_bytes(facts, i, &cost->kv);
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		room += cost->devices[i].room_bytes;
		usable += !cost->devices[i].unusable;
	}
	const uint32_t device = roomiest(cost, wish);
	const uint64_t missing = missing_on(cost, wish, device);
	const uint32_t context = shorter_context(cost, wish);
	if (context > 0)
		snprintf(context_text, sizeof(context_text),
			 ", or plan for a context of %u positions", context);
	if (missing == UINT64_MAX)
		return fail_set(fail, FAIL_MEMORY, "%s does not fit as it is pinned%s", facts->name,
				context_text);
	return fail_set(fail, FAIL_MEMORY,
			"%s needs %s for %u positions, and %u device%s with %s of room cannot hold it: "
			"%s are missing. Give %s so much more memory, add a device%s", facts->name,
			plan_size_text(need, need_text), cost->kv.positions, usable,
			usable == 1 ? "" : "s", plan_size_text(room, room_text),
			plan_size_text(missing, missing_text),
			cost->devices[device].profile->name, context_text);
}
