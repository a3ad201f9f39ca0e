#include "planner/bound.h"

#include <math.h>

#define SLACK 1e-9 /* share of a mass that rounding may lose */

static void sort(uint16_t *order, const double *key, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = i;
		for (; place > 0 && key[order[place - 1]] > key[i]; place--)
			order[place] = order[place - 1];
		order[place] = (uint16_t)i;
	}
}

static double least_entry_s(const struct ring_problem *problem, uint32_t at)
{
	double least = INFINITY;
	for (uint32_t i = 0; i < problem->n; i++)
		if (i != at)
			least = fmin(least, problem->hop_s[i][at]);
	return least;
}

void bound_init(struct bound *bound, const struct ring_problem *problem,
		const struct ring_limits *limits, double chunk_s)
{
	/* a device that comes late in the ring may be missing in a short last round */
	const double rounds = problem->rounds > 1 ? problem->rounds - 1 : 1;
	double negated[PLAN_DEVICES_MAX];
	bound->n = problem->n;
	bound->head = limits->head;
	bound->least_entry_s = INFINITY;
	bound->back_s = problem->n > 1 ? rounds * least_entry_s(problem, limits->head) : 0;
	for (uint32_t i = 0; i < problem->n; i++) {
		const double entry =
			i == limits->head ? 0 : rounds * least_entry_s(problem, i);
		bound->capacity[i] = fmin(limits->mass[i], chunk_s / problem->chunk_slope[i]);
		bound->slope[i] = problem->slope[i];
		bound->spread[i] = problem->slope[i] +
				   (bound->capacity[i] > 0 ? entry / bound->capacity[i] : 0);
		negated[i] = -bound->capacity[i];
		if (i != limits->head)
			bound->least_entry_s = fmin(bound->least_entry_s, entry);
	}
	sort(bound->by_slope, bound->slope, bound->n);
	sort(bound->by_spread, bound->spread, bound->n);
	sort(bound->by_capacity, negated, bound->n);
}

static double fill(const struct bound *bound, const uint16_t *order, const double *cost,
		   uint32_t used, double mass)
{
	double left = mass, total = 0;
	for (uint32_t i = 0; i < bound->n && left > 0; i++) {
		const uint32_t at = order[i];
		if (used >> at & 1)
			continue;
		const double take = fmin(left, bound->capacity[at]);
		total += cost[at] * take;
		left -= take;
	}
	return left > mass * SLACK ? INFINITY : total;
}

static uint32_t fewest_parts(const struct bound *bound, uint32_t used, double mass)
{
	double left = mass;
	uint32_t parts = 0;
	for (uint32_t i = 0; i < bound->n && left > mass * SLACK; i++) {
		const uint32_t at = bound->by_capacity[i];
		if (used >> at & 1)
			continue;
		left -= bound->capacity[at];
		parts++;
	}
	return parts;
}

double bound_rest(const struct bound *bound, uint32_t used, double mass)
{
	if (mass <= 0)
		return 0;
	const double spread = fill(bound, bound->by_spread, bound->spread, used, mass);
	if (spread == INFINITY)
		return INFINITY;
	const bool head_counts = !(used >> bound->head & 1);
	const uint32_t parts = fewest_parts(bound, used, mass);
	const double entries =
		parts > head_counts ? (parts - head_counts) * bound->least_entry_s : 0;
	return fmax(spread, fill(bound, bound->by_slope, bound->slope, used, mass) + entries);
}

double bound_way(const struct bound *bound, const struct ring_problem *problem,
		 const struct ring_limits *limits, double chunk_s)
{
	const uint32_t head = limits->head, Q = problem->n_slots;
	const bool solo = limits->first[head * (Q + 1) + Q] == 0 &&
			  problem->chunk_s[head * (Q + 1) + Q] < chunk_s;
	if (!ring_head_fits(problem, head))
		return INFINITY;
	const double alone = solo ? problem->work[head * (Q + 1) + Q] : INFINITY;
	const double rest = problem->n > 1 ? bound_rest(bound, 0, problem->mass[Q]) : INFINITY;
	return fmin(alone, rest + bound->back_s) + problem->output_s[head];
}
