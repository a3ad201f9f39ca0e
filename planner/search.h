/* search.h: the least turn over heads, rounds, chunk sizes, orders and layers.
 *
 * For each choice of rounds, chunk size and head, what is minimised is
 *
 *   turn = max( work + m beta,  T disk ),      m = N/c - 1
 *
 * with two maxima, beta (the slowest place per chunk) and disk; work is a sum over devices and hops.
 *
 * Over beta, intervals [a, b) are looked at. The relaxation of relax.h bounds work + m beta from
 * below and often finds the optimum at once. Where a gap stays, a wide interval is cut in two, and in
 * a narrow one orders.h finds the least work exactly: then what remains of the interval costs no less
 * work and at least m a. Over disk, where there is streaming: the least work under a cap falls as
 * the cap rises, T disk rises, so bisection finds where they cross. Everything ends when a bound
 * reaches the best known turn to one part in 10^13, so the result is the optimum to that precision,
 * unless `exact` says otherwise. */
#ifndef PLANNER_SEARCH_H
#define PLANNER_SEARCH_H

#include "planner/ring.h"

/* States that the search over orders may visit, some tenths of a second of work that only large and
 * very uneven homes ask for; beyond it, the best found so far is given. */
#define SEARCH_STEPS_MAX 100000000
#define SEARCH_STEPS_ANY 2000000 /* for the question whether anything fits */

struct search_wish {
	bool any; /* any way will do: whether the model fits is the question */
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
