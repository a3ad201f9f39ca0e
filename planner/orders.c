#include "planner/orders.h"

#include "planner/bound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (2u << 20) /* doubles: 16 MiB of costs at most */
#define SETS_MAX  (1u << 14)
#define PLACES    (2 * SETS_MAX) /* of the table that finds sets */
#define NONE      UINT32_MAX

/* Costs of one set and last device for boundaries low..high. */
struct row {
	uint32_t offset; /* into the arena */
	uint32_t next;   /* row of the same set, or NONE */
	uint16_t last;
	uint16_t low, high;
};

struct set {
	uint32_t devices; /* a bit for each; never the head's */
	uint32_t first_row;
};

struct orders {
	double *arena;
	uint32_t n_arena, arena_size;
	struct row *rows;
	uint32_t n_rows, rows_size;
	uint32_t n_sets;
	struct set sets[SETS_MAX]; /* in the order in which they were reached: by size */
	uint32_t places[PLACES];   /* index of a set, or NONE */
	double *line;              /* enter, out, held: [3, Q + 1], then the queue */
	uint32_t line_slots;
};

/* One solve in progress. */
struct walk {
	struct orders *orders;
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const struct relax *relax;
	double threshold;
	uint32_t best_set, best_last;
	bool found;
	struct ring_row enter, out;
	struct bound_rest others;
	double *held; /* [Q + 1] least cost for devices that were not used */
	uint16_t *queue;
};

struct orders *orders_create(void)
{
	struct orders *orders = calloc(1, sizeof(struct orders));
	if (orders)
		memset(orders->places, 0xff, sizeof(orders->places));
	return orders;
}

void orders_destroy(struct orders *orders)
{
	if (!orders)
		return;
	free(orders->arena);
	free(orders->rows);
	free(orders->line);
	free(orders);
}

/* ---- sets and their rows ---- */

static uint32_t *place_of(struct orders *orders, uint32_t devices)
{
	uint32_t place = (devices * 0x9e3779b1u) >> 17 & (PLACES - 1);
	while (orders->places[place] != NONE &&
	       orders->sets[orders->places[place]].devices != devices)
		place = (place + 1) & (PLACES - 1);
	return &orders->places[place];
}

static bool make_room(struct orders *orders, const struct ring_problem *problem)
{
	const uint32_t Q = problem->n_slots;
	for (uint32_t i = orders->n_sets; i-- > 0;) /* last in, first out: all are still found */
		*place_of(orders, orders->sets[i].devices) = NONE;
	orders->n_sets = orders->n_rows = orders->n_arena = 0;
	if (Q > orders->line_slots || !orders->line) {
		free(orders->line);
		orders->line = malloc((size_t)(Q + 1) * 4 * sizeof(double));
		orders->line_slots = orders->line ? Q : 0;
	}
	return orders->line != NULL;
}

static bool grow_arena(struct orders *orders, uint32_t n)
{
	if (orders->n_arena + n <= orders->arena_size)
		return true;
	const uint32_t grown = orders->arena_size ? 2 * orders->arena_size : 1u << 14;
	double *arena = grown <= ARENA_MAX ? realloc(orders->arena, grown * sizeof(double)) : NULL;
	if (!arena)
		return false;
	orders->arena = arena;
	orders->arena_size = grown;
	return true;
}

static bool grow_rows(struct orders *orders)
{
	if (orders->n_rows < orders->rows_size)
		return true;
	const uint32_t grown = orders->rows_size ? 2 * orders->rows_size : 256;
	struct row *rows = realloc(orders->rows, grown * sizeof(rows[0]));
	if (!rows)
		return false;
	orders->rows = rows;
	orders->rows_size = grown;
	return true;
}

static bool store(struct orders *orders, uint32_t devices, uint32_t last, const double *values,
		  uint32_t low, uint32_t high)
{
	const uint32_t n = high - low + 1;
	uint32_t *place = place_of(orders, devices);
	if (!grow_arena(orders, n) || !grow_rows(orders) ||
	    (*place == NONE && orders->n_sets == SETS_MAX))
		return false;
	if (*place == NONE) {
		*place = orders->n_sets++;
		orders->sets[*place] = (struct set){ devices, NONE };
	}
	struct set *set = &orders->sets[*place];
	orders->rows[orders->n_rows] =
		(struct row){ orders->n_arena, set->first_row, (uint16_t)last, (uint16_t)low,
			      (uint16_t)high };
	set->first_row = orders->n_rows++;
	memcpy(orders->arena + orders->n_arena, values + low, n * sizeof(double));
	orders->n_arena += n;
	return true;
}

/* ---- one step ---- */

static double unused_prices(const struct walk *walk, uint32_t set)
{
	double sum = 0;
	for (uint32_t i = 0; i < walk->problem->n; i++)
		if (i != walk->limits->head && !(set >> i & 1))
			sum += walk->relax->price[i];
	return sum;
}

/* Narrows a row to what, with the least cost of the rest, can still beat the threshold. */
static void trim(struct ring_row *row, uint32_t end, const double *rest, double threshold)
{
	uint32_t low = end, high = 0;
	for (uint32_t t = row->low; t < end; t++) {
		/* a hair of slack: the bound and the cost round differently */
		if ((row->cost[t] + rest[t]) * (1 - 1e-12) >= threshold) {
			row->cost[t] = INFINITY;
			continue;
		}
		low = t < low ? t : low;
		high = t;
	}
	row->low = low;
	row->high = high;
}

/* Keeps what of walk->out can still beat the threshold. */
static bool keep(struct walk *walk, uint32_t set, uint32_t last)
{
	struct ring_row *out = &walk->out;
	trim(out, out->high + 1, relax_rest(walk->relax, last),
	     walk->threshold + unused_prices(walk, set));
	if (out->low <= out->high) {
		bound_rest_cost(&walk->others, walk->problem, set, out->low, out->high,
				walk->held + out->low);
		trim(out, out->high + 1, walk->held, walk->threshold);
	}
	return out->low > out->high ||
	       store(walk->orders, set, last, walk->out.cost, walk->out.low, walk->out.high);
}

/* Costs of entering `at` after the set, where that can still beat the threshold. */
static uint32_t enter_from(struct walk *walk, const struct set *set, uint32_t at)
{
	const struct ring_problem *problem = walk->problem;
	struct orders *orders = walk->orders;
	uint32_t steps = 0;
	ring_row_clear(&walk->enter, problem->n_slots);
	for (uint32_t i = set->first_row; i != NONE; i = orders->rows[i].next) {
		const struct row *row = &orders->rows[i];
		ring_enter(problem, walk->limits, row->last, at, orders->arena + row->offset,
			   row->low, row->high, &walk->enter);
		steps += row->high - row->low + 1u;
	}
	const uint32_t end =
		walk->enter.high < problem->n_slots ? walk->enter.high + 1 : problem->n_slots;
	trim(&walk->enter, end, relax_through(walk->relax, at),
	     walk->threshold + unused_prices(walk, set->devices));
	return steps;
}

static void note_complete(struct walk *walk, uint32_t set, uint32_t last)
{
	const double cost = walk->out.cost[walk->problem->n_slots];
	if (cost >= walk->threshold)
		return;
	walk->threshold = cost;
	walk->best_set = set;
	walk->best_last = last;
	walk->found = true;
}

static bool begin(struct walk *walk)
{
	walk->out.low = 0;
	walk->out.high = walk->problem->n_slots - 1;
	ring_start(walk->problem, walk->limits, walk->relax->work, walk->out.cost);
	note_complete(walk, 0, walk->limits->head);
	return keep(walk, 0, walk->limits->head);
}

/* Goes on from one set to every other device; false when the memory for states ran out. */
static bool extend(struct walk *walk, const struct set *from, int64_t *steps)
{
	const struct ring_problem *problem = walk->problem;
	const struct set set = *from;
	for (uint32_t at = 0; at < problem->n; at++) {
		if ((set.devices >> at & 1) || at == walk->limits->head)
			continue;
		*steps -= enter_from(walk, &set, at);
		if (walk->enter.low > walk->enter.high)
			continue;
		ring_step(problem, walk->limits, walk->relax->work, at, &walk->enter, &walk->out,
			  walk->queue);
		*steps -= 8 * (walk->out.high - walk->out.low + 2);
		note_complete(walk, set.devices | 1u << at, at);
		if (!keep(walk, set.devices | 1u << at, at))
			return false;
	}
	return true;
}

/* ---- the way that was found ---- */

/* Finds what precedes (set, last) at boundary t, as trace_back of ring.c does along an order. */
static uint32_t step_back(const struct walk *walk, uint32_t set, uint32_t at, uint32_t t,
			  uint32_t *start)
{
	const struct ring_problem *problem = walk->problem;
	struct orders *orders = walk->orders;
	const uint32_t Q = problem->n_slots;
	const double *work = walk->relax->work + at * (Q + 1);
	const struct set *before = &orders->sets[*place_of(orders, set & ~(1u << at))];
	double best = INFINITY;
	uint32_t from = walk->limits->head;
	for (uint32_t i = before->first_row; i != NONE; i = orders->rows[i].next) {
		const struct row *row = &orders->rows[i];
		for (uint32_t s = walk->limits->first[at * (Q + 1) + t]; s < t; s++) {
			const uint32_t times = ring_rounds_of(problem, s);
			if (s < row->low || s > row->high ||
			    times * problem->send_s[row->last][at] >= walk->limits->caps.chunk_s)
				continue;
			const double value = orders->arena[row->offset + s - row->low] +
					     times * problem->hop_s[row->last][at] + work[t] -
					     work[s] + ring_back_s(problem, walk->limits, at, s, t);
			if (value < best) {
				best = value;
				from = row->last;
				*start = s;
			}
		}
	}
	return from;
}

static void trace_way(const struct walk *walk, struct ring_way *way)
{
	struct ring_part parts[PLAN_DEVICES_MAX];
	uint32_t n = 0, t = walk->problem->n_slots, set = walk->best_set, at = walk->best_last;
	while (at != walk->limits->head) {
		uint32_t s = 0;
		const uint32_t from = step_back(walk, set, at, t, &s);
		parts[n++] = (struct ring_part){ (uint16_t)at, (uint16_t)s, (uint16_t)t };
		set &= ~(1u << at);
		at = from;
		t = s;
	}
	if (t > 0)
		parts[n++] = (struct ring_part){ (uint16_t)at, 0, (uint16_t)t };
	way->head = walk->limits->head;
	way->n_parts = (uint16_t)n;
	for (uint32_t i = 0; i < n; i++)
		way->parts[i] = parts[n - 1 - i];
	ring_evaluate(walk->problem, way);
}

enum orders_result orders_solve(struct orders *orders, const struct ring_problem *problem,
				const struct ring_limits *limits, const struct relax *relax,
				double threshold, int64_t *steps, struct ring_way *way)
{
	const uint32_t Q = problem->n_slots;
	if (!make_room(orders, problem))
		return ORDERS_TOO_FAR;
	struct walk walk = { orders, problem, limits, relax, threshold };
	walk.enter.cost = orders->line;
	walk.out.cost = orders->line + Q + 1;
	walk.held = walk.out.cost + Q + 1;
	walk.queue = (uint16_t *)(walk.held + Q + 1);
	bound_rest_init(&walk.others, problem, limits);
	if (!begin(&walk))
		return ORDERS_TOO_FAR;
	for (uint32_t i = 0; i < orders->n_sets; i++)
		if (*steps < 0 || !extend(&walk, &orders->sets[i], steps))
			return ORDERS_TOO_FAR;
	if (!walk.found)
		return ORDERS_NONE;
	trace_way(&walk, way);
	return ORDERS_FOUND;
}
