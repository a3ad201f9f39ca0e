#include "daemon/route.h"

uint16_t route_device(const struct plan *plan, uint16_t stage)
{
	return stage == plan->n_stages ? plan->head : plan->stages[stage].group[0].device;
}

bool route_first_visit(const struct plan *plan, uint16_t stage)
{
	for (uint16_t i = 0; i < stage; i++)
		if (route_device(plan, i) == route_device(plan, stage))
			return false;
	return true;
}

uint32_t route_successors(const struct plan *plan, uint16_t self, uint16_t out[PLAN_DEVICES_MAX])
{
	uint32_t n = 0;
	for (uint16_t i = 0; i <= plan->n_stages; i++) {
		const uint16_t from = i ? route_device(plan, i - 1) : plan->head;
		const uint16_t to = route_device(plan, i);
		bool skip = from != self || to == self;
		for (uint32_t j = 0; j < n && !skip; j++)
			skip = out[j] == to;
		if (!skip)
			out[n++] = to;
	}
	return n;
}

uint32_t route_predecessors(const struct plan *plan, uint16_t self, uint16_t out[PLAN_DEVICES_MAX])
{
	uint32_t n = 0;
	for (uint16_t device = 0; device < plan->n_devices; device++) {
		uint16_t next[PLAN_DEVICES_MAX];
		const uint32_t n_next = route_successors(plan, device, next);
		for (uint32_t j = 0; j < n_next; j++)
			if (next[j] == self)
				out[n++] = device;
	}
	return n;
}
