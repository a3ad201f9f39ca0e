#include "planner/orders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (2u << 20) /* doubles: 16 MiB of states at most */

/* Costs of one set and last device for boundaries low..high. */
struct row {
	uint32_t offset; /* into the arena */
	uint16_t low, high;
	bool alive;
};

struct orders {
	double *arena;
	uint32_t n_arena, arena_size;
	struct row *rows; /* [set, last] */
	size_t rows_size;
	double *line; /* enter, out: [2, Q + 1], then the queue */
	uint32_t line_slots;
};

/* One solve in progress. Bits of a set are devices of the problem; the head's bit is never set. */
struct walk {
	struct orders *orders;
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const struct relax *relax;
	double threshold;
	uint32_t best_set, best_last;
	bool found;
	struct ring_row enter, out;
	uint16_t *queue;
};

struct orders *orders_create(void)
{
	return calloc(1, sizeof(struct orders));
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

static bool make_room(struct orders *orders, const struct ring_problem *problem)
{
	const uint32_t Q = problem->n_slots;
	const size_t rows = ((size_t)1 << problem->n) * problem->n;
	if (rows > orders->rows_size) {
		free(orders->rows);
		orders->rows = malloc(rows * sizeof(struct row));
		orders->rows_size = orders->rows ? rows : 0;
	}
	if (Q > orders->line_slots || !orders->line) {
		free(orders->line);
		orders->line = malloc((size_t)(Q + 1) * 3 * sizeof(double));
		orders->line_slots = orders->line ? Q : 0;
	}
	if (!orders->rows || !orders->line)
		return false;
	for (size_t i = 0; i < rows; i++)
		orders->rows[i].alive = false;
	orders->n_arena = 0;
	return true;
}

static bool store(struct orders *orders, struct row *row, const double *values, uint32_t low,
		  uint32_t high)
{
	const uint32_t n = high - low + 1;
	if (orders->n_arena + n > orders->arena_size) {
		const uint32_t grown = orders->arena_size ? 2 * orders->arena_size : 1u << 14;
		double *arena = grown <= ARENA_MAX
					? realloc(orders->arena, grown * sizeof(double))
					: NULL;
		if (!arena)
			return false;
		orders->arena = arena;
		orders->arena_size = grown;
	}
	*row = (struct row){ orders->n_arena, (uint16_t)low, (uint16_t)high, true };
	memcpy(orders->arena + orders->n_arena, values + low, n * sizeof(double));
	orders->n_arena += n;
	return true;
}

static struct row *row_of(const struct walk *walk, uint32_t set, uint32_t last)
{
	return &walk->orders->rows[(size_t)set * walk->problem->n + last];
}

static double unused_prices(const struct walk *walk, uint32_t set)
{
	double sum = 0;
	for (uint32_t i = 0; i < walk->problem->n; i++)
		if (i != walk->limits->head && !(set >> i & 1))
			sum += walk->relax->price[i];
	return sum;
}

/* Keeps what of walk->out can still beat the threshold. */
static bool keep(struct walk *walk, uint32_t set, uint32_t last)
{
	const double prices = unused_prices(walk, set);
	const uint32_t end = walk->out.high + 1;
	double *cost = walk->out.cost;
	uint32_t low = end, high = 0;
	for (uint32_t t = walk->out.low; t < end; t++) {
		/* a hair of slack: the bound and the cost round differently */
		const double whole = cost[t] + relax_rest(walk->relax, last, t) - prices;
		if (whole * (1 - 1e-12) >= walk->threshold) {
			cost[t] = INFINITY;
			continue;
		}
		low = t < low ? t : low;
		high = t;
	}
	return low > high || store(walk->orders, row_of(walk, set, last), cost, low, high);
}

static uint32_t enter_from(struct walk *walk, uint32_t set, uint32_t at)
{
	const struct ring_problem *problem = walk->problem;
	uint32_t steps = 0;
	for (uint32_t last = 0; last < problem->n; last++) {
		const struct row *row = row_of(walk, set, last);
		if (!row->alive)
			continue;
		if (steps == 0)
			ring_row_clear(&walk->enter, problem->n_slots);
		ring_enter(problem, walk->limits, last, at,
			   walk->orders->arena + row->offset, row->low, row->high, &walk->enter);
		steps += row->high - row->low + 1u;
	}
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

/* Finds what precedes (set, last) at boundary t, as trace_back of ring.c does along an order. */
static uint32_t step_back(const struct walk *walk, uint32_t set, uint32_t at, uint32_t t,
			  uint32_t *start)
{
	const struct ring_problem *problem = walk->problem;
	const uint32_t Q = problem->n_slots, before = set & ~(1u << at);
	const double *work = problem->work + at * (Q + 1);
	double best = INFINITY;
	uint32_t from = walk->limits->head;
	for (uint32_t last = 0; last < problem->n; last++) {
		const struct row *row = row_of(walk, before, last);
		if (!row->alive)
			continue;
		for (uint32_t s = walk->limits->first[at * (Q + 1) + t]; s < t; s++) {
			const uint32_t times = ring_rounds_of(problem, s);
			if (s < row->low || s > row->high ||
			    times * problem->send_s[last][at] >= walk->limits->caps.chunk_s)
				continue;
			const double value = walk->orders->arena[row->offset + s - row->low] +
					     times * problem->hop_s[last][at] + work[t] - work[s] +
					     ring_back_s(problem, walk->limits, at, s, t);
			if (value < best) {
				best = value;
				from = last;
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

static bool begin(struct walk *walk)
{
	const struct ring_problem *problem = walk->problem;
	walk->out.low = 0;
	walk->out.high = problem->n_slots - 1;
	ring_start(problem, walk->limits, problem->work, walk->out.cost);
	note_complete(walk, 0, walk->limits->head);
	return keep(walk, 0, walk->limits->head);
}

/* Works out all rows of one set; false when the memory for states ran out. */
static bool extend(struct walk *walk, uint32_t set, int64_t *steps)
{
	const struct ring_problem *problem = walk->problem;
	for (uint32_t at = 0; at < problem->n; at++) {
		if (!(set >> at & 1))
			continue;
		const uint32_t entered = enter_from(walk, set & ~(1u << at), at);
		if (entered == 0)
			continue;
		ring_step(problem, walk->limits, problem->work, at, &walk->enter, &walk->out,
			  walk->queue);
		*steps -= entered + 8 * (walk->out.high - walk->out.low + 2);
		note_complete(walk, set, at);
		if (!keep(walk, set, at))
			return false;
	}
	return true;
}

enum orders_result orders_solve(struct orders *orders, const struct ring_problem *problem,
				const struct ring_limits *limits, const struct relax *relax,
				double threshold, int64_t *steps, struct ring_way *way)
{
	const uint32_t Q = problem->n_slots;
	if (problem->n > ORDERS_DEVICES_MAX || !make_room(orders, problem))
		return ORDERS_TOO_FAR;
	struct walk walk = { orders, problem, limits, relax, threshold };
	walk.enter.cost = orders->line;
	walk.out.cost = orders->line + Q + 1;
	walk.queue = (uint16_t *)(walk.out.cost + Q + 1);
	if (!begin(&walk))
		return ORDERS_TOO_FAR;
	for (uint32_t set = 1; set < 1u << problem->n; set++) {
		if (set >> limits->head & 1)
			continue;
		if (*steps < 0 || !extend(&walk, set, steps))
			return ORDERS_TOO_FAR;
	}
	if (!walk.found)
		return ORDERS_NONE;
	trace_way(&walk, way);
	return ORDERS_FOUND;
}
