/* orders.h: the best ring over all orders of the devices, exactly.
 *
 * A programme over (set of devices used, the last of them, slots placed), extended device by device
 * with ring_step, set by set in order of size. A state whose cost and the least cost of the rest
 * (relax.h) do not stay below the best way known is dropped, and so is a step whose device offers
 * no good rest, or where the devices that are left hold the rest too dearly or not at all
 * (bound_rest_cost); only sets with states are kept, so only a small part of all is ever touched. */
#ifndef PLANNER_ORDERS_H
#define PLANNER_ORDERS_H

#include "planner/relax.h"
#include "planner/ring.h"

#define ORDERS_DEVICES_MAX 12 /* for which a search is meant to end; more are possible */

struct orders; /* memory that is kept between solves */

struct orders *orders_create(void);         /* gives; NULL when memory is short */
void orders_destroy(struct orders *orders); /* accepts NULL */

enum orders_result {
	ORDERS_NONE,   /* no way below the threshold */
	ORDERS_FOUND,  /* the best one is in `way` */
	ORDERS_TOO_FAR /* `steps` ran out, or memory; `way` is unchanged */
};

/* Least work over all orders that start at the head of `limits`. `relax` was settled for these
 * limits. `steps` is lowered by the work done, in visited states. */
enum orders_result orders_solve(struct orders *orders, const struct ring_problem *problem,
				const struct ring_limits *limits, const struct relax *relax,
				double threshold, int64_t *steps, struct ring_way *way);

#endif
