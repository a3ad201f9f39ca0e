/* progress.h: how the parts of one plan come along, as each device last said. Pure. */
#ifndef DAEMON_PROGRESS_H
#define DAEMON_PROGRESS_H

#include "proto/messages.h"
#include "proto/plan.h"

enum deployment_state {
	DEPLOYMENT_NONE,
	DEPLOYMENT_PLANNING,
	DEPLOYMENT_FETCHING,
	DEPLOYMENT_LOADING,
	DEPLOYMENT_READY
};

struct part_view {
	enum part_state state;
	uint64_t done, total; /* bytes */
};

struct progress {
	struct part_view parts[PLAN_DEVICES_MAX]; /* in the plan's order; all zero: nothing heard */
};

/* FETCHING while any part is, then LOADING, then READY. done and total, which may be NULL, are
 * summed up over all parts. */
enum deployment_state progress_state(const struct progress *progress, const struct plan *plan,
				     uint64_t *done, uint64_t *total);

#endif
