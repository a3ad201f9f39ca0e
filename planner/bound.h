/* bound.h: lower bounds on the rest of a ring: what is left to place costs at least so much.
 *
 * Slots are taken as divisible mass, and each device may take any of it up to the most mass of a
 * range that it is allowed. Two relaxations are combined by their maximum: hops spread over a
 * device's capacity (the linear relaxation of the fixed charge), and the cheapest hop for each of
 * the fewest devices that can hold the mass. */
#ifndef PLANNER_BOUND_H
#define PLANNER_BOUND_H

#include "planner/ring.h"

struct bound {
	uint32_t n;
	uint32_t head;
	double least_entry_s; /* cheapest hop into any device but the head, all rounds */
	double back_s;        /* cheapest way back to the head */
	double capacity[PLAN_DEVICES_MAX];
	double slope[PLAN_DEVICES_MAX];  /* work per mass */
	double spread[PLAN_DEVICES_MAX]; /* work and the hop's share per mass */
	uint16_t by_slope[PLAN_DEVICES_MAX];
	uint16_t by_spread[PLAN_DEVICES_MAX];
	uint16_t by_capacity[PLAN_DEVICES_MAX]; /* largest first */
};

/* For the head and memory of `limits`, when no place may take `chunk_s` or more per chunk. */
void bound_init(struct bound *bound, const struct ring_problem *problem,
		const struct ring_limits *limits, double chunk_s);

/* Least cost of placing `mass` on the devices whose bit in `used` is not set, each with the hop to
 * it; infinite when they cannot hold it. */
double bound_rest(const struct bound *bound, uint32_t used, double mass);

/* Least cost of any way round the ring, output included. */
double bound_way(const struct bound *bound, const struct ring_problem *problem,
		 const struct ring_limits *limits, double chunk_s);

#endif
