/* search.h: the least turn over heads, rounds, chunk sizes, orders and layers.
 *
 * For each choice of rounds, chunk size and head the solvers of ring.h and orders.h give the least
 * work under caps. What is minimised is
 *
 *   turn = max( work + (N/c - 1) beta,  T disk )
 *
 * with two maxima, beta (slowest place per chunk) and disk. Over beta: an interval [a, b) of it
 * costs at least work(b) + (N/c - 1) a; intervals whose bound reaches the best known turn are
 * dropped, others are cut in two. Over disk, where there is streaming: the least work under a cap
 * falls as the cap rises, T disk rises, so bisection finds where they cross. Both end when an
 * interval is narrower than one part in 10^13, so the result is the optimum to that precision. */
#ifndef PLANNER_SEARCH_H
#define PLANNER_SEARCH_H

#include "planner/ring.h"

/* States that the search over orders may visit; beyond it, the best found so far is given. */
#define SEARCH_STEPS_MAX 200000000

struct search_wish {
	uint32_t rounds_least, rounds_most;
	int head; /* index into cost, or -1: any */
	uint32_t n_order; /* 0: any order */
	uint16_t order[PLAN_DEVICES_MAX]; /* indices into cost */
};

struct search_result {
	bool found;
	bool exact;    /* false: more devices than ORDERS_DEVICES_MAX, or steps ran out */
	int64_t steps; /* left */
	double turn_s;
	uint32_t rounds, n_slots, chunk;
	uint32_t head; /* index into cost */
	uint32_t n_parts;
	struct ring_part parts[PLAN_DEVICES_MAX]; /* devices as indices into cost */
};

/* Searches among these devices (indices into cost), which can all work together; keeps `result`
 * where it is already better. Negative only when memory is short. */
int search_run(struct search_result *result, const struct cost *cost, const uint16_t *devices,
	       uint32_t n, const struct search_wish *wish, struct fail *fail);

#endif
