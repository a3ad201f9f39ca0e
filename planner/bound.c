#include "planner/bound.h"

#include <math.h>

#define SPARE 2    /* devices more than those that could just hold the model */
#define SLACK 1e-9 /* share of a mass that rounding may lose */

struct bound {
	uint32_t n;
	double least_entry_s; /* cheapest hop into any device but the head, all rounds */
	double capacity[PLAN_DEVICES_MAX];
	double slope[PLAN_DEVICES_MAX];  /* work per mass */
	double spread[PLAN_DEVICES_MAX]; /* work and the hop's share per mass */
};

/* A device that comes late in the ring may be missing in a short last round. */
static double full_rounds(const struct ring_problem *problem)
{
	return problem->rounds > 1 ? problem->rounds - 1 : 1;
}

static void bound_init(struct bound *bound, const struct ring_problem *problem,
		       const struct ring_limits *limits)
{
	bound->n = problem->n;
	bound->least_entry_s = INFINITY;
	for (uint32_t i = 0; i < problem->n; i++) {
		const bool head = i == limits->head;
		const double entry = head ? 0 : full_rounds(problem) * problem->entry_s[i];
		bound->capacity[i] =
			fmin(limits->mass[i], limits->caps.chunk_s / problem->chunk_slope[i]);
		bound->slope[i] = problem->slope[i];
		bound->spread[i] = problem->slope[i] +
				   (bound->capacity[i] > 0 ? entry / bound->capacity[i] : 0);
		if (!head)
			bound->least_entry_s = fmin(bound->least_entry_s, entry);
	}
}

static void sort(uint16_t *order, const double *key, double sign, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = i;
		for (; place > 0 && sign * key[order[place - 1]] > sign * key[i]; place--)
			order[place] = order[place - 1];
		order[place] = (uint16_t)i;
	}
}

/* Cost of `mass` on the devices that are cheapest by `cost`; infinite: they cannot hold it. */
static double fill(const struct bound *bound, const double *cost, double mass)
{
	uint16_t order[PLAN_DEVICES_MAX];
	double left = mass, total = 0;
	sort(order, cost, 1, bound->n);
	for (uint32_t i = 0; i < bound->n && left > 0; i++) {
		const double take = fmin(left, bound->capacity[order[i]]);
		total += cost[order[i]] * take;
		left -= take;
	}
	return left > mass * SLACK ? INFINITY : total;
}

static uint32_t fewest_parts(const struct bound *bound, double mass)
{
	uint16_t order[PLAN_DEVICES_MAX];
	double left = mass;
	uint32_t parts = 0;
	sort(order, bound->capacity, -1, bound->n);
	while (parts < bound->n && left > mass * SLACK)
		left -= bound->capacity[order[parts++]];
	return parts;
}

double bound_way(const struct ring_problem *problem, const struct ring_limits *limits)
{
	const uint32_t head = limits->head, Q = problem->n_slots;
	const bool fits = limits->memory[head * (Q + 1) + Q] == 0 &&
			  problem->chunk_s[head * (Q + 1) + Q] < limits->caps.chunk_s;
	const double alone = fits ? problem->work[head * (Q + 1) + Q] : INFINITY;
	struct bound bound;
	if (!ring_head_fits(problem, head))
		return INFINITY;
	if (problem->n == 1)
		return alone + problem->output_s[head];
	bound_init(&bound, problem, limits);
	double shared = fill(&bound, bound.spread, problem->mass[Q]);
	if (!isinf(shared)) {
		const uint32_t entries = fewest_parts(&bound, problem->mass[Q]) - 1;
		shared = fmax(shared, fill(&bound, bound.slope, problem->mass[Q]) +
					      entries * bound.least_entry_s) +
			 full_rounds(problem) * problem->entry_s[head];
	}
	return fmin(alone, shared) + problem->output_s[head];
}

bool bound_prices(const struct ring_problem *problem, const struct ring_limits *limits,
		  const double *share, double *price)
{
	uint16_t order[PLAN_DEVICES_MAX];
	struct bound bound;
	double left = problem->mass[problem->n_slots], dearest = 0;
	bool any = false;
	bound_init(&bound, problem, limits);
	for (uint32_t i = 0; i < bound.n; i++)
		bound.spread[i] += share[i] * problem->chunk_slope[i];
	sort(order, bound.spread, 1, bound.n);
	for (uint32_t i = 0; i < bound.n && left > 0; i++) {
		dearest = bound.spread[order[i]];
		left -= bound.capacity[order[i]];
	}
	for (uint32_t i = 0; i < bound.n; i++) {
		const double saves = (dearest - bound.spread[i]) * bound.capacity[i];
		price[i] = i != limits->head && saves > 0 ? saves : 0;
		any = any || price[i] > 0;
	}
	return any;
}

uint32_t bound_cheapest(const struct ring_problem *problem, const struct ring_limits *limits,
			uint32_t n_least, uint16_t *few)
{
	uint16_t order[PLAN_DEVICES_MAX];
	struct bound bound;
	double left = problem->mass[problem->n_slots];
	uint32_t n = 0, spare = SPARE;
	bound_init(&bound, problem, limits);
	sort(order, bound.spread, 1, bound.n);
	for (uint32_t i = 0; i < bound.n; i++) {
		if (bound.capacity[order[i]] <= 0)
			continue;
		if (left <= 0 && n >= n_least && spare-- == 0)
			break;
		few[n++] = order[i];
		left -= bound.capacity[order[i]];
	}
	return n;
}

void bound_rest_init(struct bound_rest *rest, const struct ring_problem *problem,
		     const struct ring_limits *limits)
{
	uint16_t order[PLAN_DEVICES_MAX];
	struct bound bound;
	bound_init(&bound, problem, limits);
	sort(order, bound.spread, 1, bound.n);
	rest->n = 0;
	rest->back_s = full_rounds(problem) * problem->entry_s[limits->head];
	for (uint32_t i = 0; i < bound.n; i++) {
		if (order[i] == limits->head || bound.capacity[order[i]] <= 0)
			continue;
		rest->order[rest->n] = order[i];
		rest->capacity[rest->n] = bound.capacity[order[i]];
		rest->spread[rest->n++] = bound.spread[order[i]];
	}
}

void bound_rest_cost(const struct bound_rest *rest, const struct ring_problem *problem,
		     uint32_t used, uint32_t low, uint32_t high, double *cost)
{
	const double *mass = problem->mass, all = mass[problem->n_slots], hair = all * SLACK;
	double held = 0, held_s = rest->back_s; /* by the devices before the i-th */
	uint32_t t = high;
	for (uint32_t i = 0; i < rest->n; i++) {
		if (used >> rest->order[i] & 1)
			continue;
		for (; all - mass[t] <= held + rest->capacity[i] + hair; t--) {
			cost[t - low] = held_s + (all - mass[t] - held) * rest->spread[i];
			if (t == low)
				return;
		}
		held += rest->capacity[i];
		held_s += rest->capacity[i] * rest->spread[i];
	}
	for (;; t--) {
		cost[t - low] = INFINITY;
		if (t == low)
			return;
	}
}
