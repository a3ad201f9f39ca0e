/* bound.h: a quick lower bound on any way round the ring, to begin with the promising tasks and to
 * see at once what cannot fit.
 *
 * Slots are taken as divisible mass, and each device may take any of it up to the most mass of a
 * range that it is allowed. Two relaxations are combined by their maximum: hops spread over a
 * device's capacity (the linear relaxation of the fixed charge), and the cheapest hop for each of
 * the fewest devices that can hold the mass. */
#ifndef PLANNER_BOUND_H
#define PLANNER_BOUND_H

#include "planner/ring.h"

/* Least cost of any way for the head and caps of `limits`, output included; infinite when the
 * devices cannot hold the layers. */
double bound_way(const struct ring_problem *problem, const struct ring_limits *limits);

/* What the slots that are left cost at least when a set of devices was used already: the first
 * relaxation, among the others. */
struct bound_rest {
	uint32_t n;
	uint16_t order[PLAN_DEVICES_MAX]; /* the devices but the head, the cheapest first */
	double capacity[PLAN_DEVICES_MAX], spread[PLAN_DEVICES_MAX];
	double back_s; /* hops to the head */
};

void bound_rest_init(struct bound_rest *rest, const struct ring_problem *problem,
		     const struct ring_limits *limits);
/* Places in cost[t - low], for the boundaries t in [low, high], the least cost of slots from t on
 * for the devices that are not in `used`, a bit each; infinite: they cannot hold them. */
void bound_rest_cost(const struct bound_rest *rest, const struct ring_problem *problem,
		     uint32_t used, uint32_t low, uint32_t high, double *cost);

/* Places the devices that hold layers most cheaply, hops included, in `few` (indices into the
 * problem), at least `n_least` and some more than must hold the model; gives how many. The caps are
 * those of `limits`. */
uint32_t bound_cheapest(const struct ring_problem *problem, const struct ring_limits *limits,
			uint32_t n_least, uint16_t *few);

/* Prices of a visit (relax.h) that the first of the two relaxations suggests: with shares of chunk
 * time counted as work: what a full device saves against the dearest one that is needed. False when
 * every device can be had for nothing. */
bool bound_prices(const struct ring_problem *problem, const struct ring_limits *limits,
		  const double *share, double *price);

#endif
