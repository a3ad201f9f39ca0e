#include "planner/groups.h"

#include <math.h>

static bool wished(const struct search_wish *wish, uint32_t device)
{
	if (wish->n_order == 0 || (int)device == wish->head)
		return true;
	for (uint32_t i = 0; i < wish->n_order; i++)
		if (wish->order[i] == device)
			return true;
	return false;
}

uint32_t groups_members(const struct cost *cost, const struct search_wish *wish, uint32_t like,
			uint16_t *devices)
{
	const uint32_t numerics = cost->devices[like].profile->numerics;
	uint32_t n = 0;
	for (uint32_t i = 0; i < cost->n_devices; i++)
		if (!cost->devices[i].unusable && wished(wish, i) &&
		    cost->devices[i].profile->numerics == numerics)
			devices[n++] = (uint16_t)i;
	return n;
}

int groups_search(struct search_result *result, const struct cost *cost,
		  const struct search_wish *wish, struct fail *fail)
{
	*result = (struct search_result){ .exact = true,
					  .steps = wish->any ? SEARCH_STEPS_ANY : SEARCH_STEPS_MAX,
					  .turn_s = INFINITY };
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		uint16_t devices[PLAN_DEVICES_MAX];
		const uint32_t n = groups_members(cost, wish, i, devices);
		if (n == 0 || devices[0] != i)
			continue; /* once for each version, with its first device */
		const int rc = search_run(result, cost, devices, n, wish, fail);
		if (rc < 0)
			return rc;
	}
	return 0;
}
