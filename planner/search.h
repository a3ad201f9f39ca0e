/* search.h: the least turn over heads, rounds, chunk sizes, orders and layers.
 *
 * For each choice of rounds, chunk size and head, what is minimised is
 *
 *   turn = max( work + m beta,  T disk ),      m = N/c - 1
 *
 * with two maxima, beta (the slowest place per chunk) and disk; work is a sum over devices and
 * hops.
 *
 * beta is searched from above, over a shrinking interval [a, b). If W is a bound of the work of all
 * ways with beta < b, those with beta >= (best - W) / m are no better than the best known one, so b
 * falls to there. W comes from bound.h (cheap), then from relax.h, and where both leave b in place,
 * orders.h finds the least work exactly, or that there is none within reach; then b falls too. The
 * bound of bound.h also raises a. Over disk, where there is streaming: the least work under a cap
 * falls as the cap rises, T disk rises, so bisection finds where they cross.
 *
 * Before any of that every choice gets one look, a relaxation of a few steps: good ways are known
 * early, and most choices are excluded; many of them without a look, by a bound for all heads at
 * once (relax_heads).
 *
 * Exact: up to ORDERS_DEVICES_MAX devices, or with a given order, everything ends when a bound
 * reaches the best known turn to one part in 10^13, unless the steps run out (`exact` tells).
 * Heuristic: with more devices, there is one look at each choice that the bound for all heads leaves
 * the most promising (LOOKS_MAX), and then a search as above, with few steps, among those devices
 * alone that hold layers most cheaply (at least ORDERS_DEVICES_MAX and two more than must hold the
 * model). */
#ifndef PLANNER_SEARCH_H
#define PLANNER_SEARCH_H

#include "planner/ring.h"

/* Boundaries that relaxations and walks may look at, some tenths of a second of work that only
 * large homes short of memory ask for; beyond it, the best found so far is given. */
#define SEARCH_STEPS_MAX 100000000
#define SEARCH_STEPS_ANY 2000000 /* for the question whether anything fits */

struct search_wish {
	bool any; /* any way will do: whether the model fits is the question */
	uint32_t rounds_least, rounds_most;
	int head;                         /* index into cost, or -1: any */
	uint32_t n_order;                 /* 0: any order */
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
