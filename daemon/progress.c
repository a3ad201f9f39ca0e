#include "daemon/progress.h"

#include "planner/planner.h"

enum deployment_state progress_state(const struct progress *progress, const struct plan *plan,
				     uint64_t *done, uint64_t *total)
{
	enum deployment_state state = DEPLOYMENT_READY;
	for (uint16_t i = 0; i < plan->n_devices; i++) {
		const struct part_view *part = &progress->parts[i];
		if (!commit_participates(plan, &plan->devices[i].id))
			continue;
		if (done && total) {
			*done += part->state == PART_READY ? part->total : part->done;
			*total += part->total;
		}
		if (part->state == PART_FETCHING)
			state = DEPLOYMENT_FETCHING;
		else if (part->state == PART_LOADING && state == DEPLOYMENT_READY)
			state = DEPLOYMENT_LOADING;
	}
	return state;
}
