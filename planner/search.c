#include "planner/search.h"

#include "planner/orders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NARROW 1e-13 /* an interval this small, relative to the turn, holds nothing better */

struct task {
	uint16_t problem;
	uint16_t head; /* index into the problem */
	double bound_s;
};

struct search {
	const struct cost *cost;
	const struct search_wish *wish;
	struct search_result *result;
	struct orders *orders; /* NULL: along one order only */
	uint32_t n_problems;
	struct ring_problem *problems;
	struct ring_limits *limits; /* [n_problems] */
	uint32_t n_tasks;
	struct task *tasks;
	double *scratch;
};

/* The task at hand, and the least work found under the present disk cap. */
struct hunt {
	struct search *search;
	const struct ring_problem *problem;
	struct ring_limits *limits;
	uint16_t head;
	uint16_t order[PLAN_DEVICES_MAX];
	uint32_t n_order;
	double more_chunks; /* N/c - 1 */
	double disk_cap_s;
	double least_s; /* work + more_chunks * beta */
	bool found;
	struct ring_way way; /* of least_s */
};

/* ---- one task ---- */

static bool solve(struct hunt *hunt, const struct bound *bound, double threshold,
		  struct ring_way *way)
{
	struct search *search = hunt->search;
	if (search->orders) {
		const enum orders_result result =
			orders_solve(search->orders, hunt->problem, hunt->limits, bound, threshold,
				     &search->result->steps, way);
		if (result != ORDERS_TOO_FAR)
			return result == ORDERS_FOUND;
		search->result->exact = false;
	}
	return ring_solve_order(hunt->problem, hunt->limits, hunt->order, hunt->n_order, threshold,
				search->scratch, way);
}

/* Looks for ways whose slowest place takes [low, high) per chunk. */
static void hunt_between(struct hunt *hunt, double low, double high)
{
	const struct ring_caps memory_only = { INFINITY, INFINITY };
	const struct ring_caps caps = { high, hunt->disk_cap_s };
	const double threshold = hunt->least_s - hunt->more_chunks * low;
	struct bound bound;
	struct ring_way way;
	/* the bound needs only what memory allows: the cap is in its capacities */
	ring_limits_set(hunt->limits, hunt->problem, hunt->head, &memory_only);
	bound_init(&bound, hunt->problem, hunt->limits, high);
	if (bound_way(&bound, hunt->problem, hunt->limits, high) * (1 - NARROW) >= threshold)
		return;
	ring_limits_set(hunt->limits, hunt->problem, hunt->head, &caps);
	bound_init(&bound, hunt->problem, hunt->limits, high);
	if (!solve(hunt, &bound, threshold, &way))
		return;
	const double value = way.work_s + hunt->more_chunks * way.chunk_s;
	if (value < hunt->least_s) {
		hunt->least_s = value;
		hunt->way = way;
		hunt->found = true;
	}
	/* ways with [way.chunk_s, high) cost as much work and more chunk time */
	const double top = way.chunk_s, middle = (low + top) / 2;
	if (hunt->more_chunks * (top - low) <= NARROW * hunt->least_s)
		return;
	hunt_between(hunt, low, middle);
	if (way.work_s + hunt->more_chunks * middle < hunt->least_s)
		hunt_between(hunt, middle, top);
}

static double least_chunk_s(const struct ring_problem *problem)
{
	double rate = 0;
	for (uint32_t i = 0; i < problem->n; i++)
		rate += 1 / problem->chunk_slope[i];
	return problem->mass[problem->n_slots] / rate;
}

static bool least_work(struct hunt *hunt, double disk_cap_s, double below_s)
{
	hunt->disk_cap_s = disk_cap_s;
	hunt->least_s = below_s;
	hunt->found = false;
	const double low = hunt->more_chunks > 0 ? least_chunk_s(hunt->problem) : 0;
	hunt_between(hunt, low * (1 - NARROW), INFINITY);
	return hunt->found;
}

static void note(struct hunt *hunt, double turn_s)
{
	struct search_result *result = hunt->search->result;
	const struct ring_problem *problem = hunt->problem;
	result->found = true;
	result->turn_s = turn_s;
	result->rounds = problem->rounds;
	result->n_slots = problem->n_slots;
	result->chunk = problem->chunk;
	result->head = problem->device[hunt->way.head];
	result->n_parts = hunt->way.n_parts;
	for (uint32_t i = 0; i < hunt->way.n_parts; i++) {
		result->parts[i] = hunt->way.parts[i];
		result->parts[i].device = problem->device[hunt->way.parts[i].device];
	}
}

/* Bisects the disk cap between 0 and what would be no better than the best turn. */
static void hunt_with_disk(struct hunt *hunt)
{
	struct search_result *result = hunt->search->result;
	const double T = hunt->problem->cost->options->turn.tokens_out;
	double low = 0, high = result->turn_s / T; /* disks at or above this are too slow */
	do {
		if (!least_work(hunt, high, result->turn_s)) {
			low = high;
		} else if (hunt->way.disk_s * T <= hunt->least_s) {
			note(hunt, hunt->least_s); /* no lower cap gives less work */
			low = high;
		} else {
			note(hunt, hunt->way.disk_s * T);
		}
		const double top = result->turn_s / T;
		if (low >= top)
			return;
		high = (low + top) / 2;
	} while (high - low > NARROW * high);
}

static void hunt_task(struct search *search, const struct task *task, const uint16_t *order,
		      uint32_t n_order)
{
	struct hunt hunt = {
		.search = search,
		.problem = &search->problems[task->problem],
		.limits = &search->limits[task->problem],
		.head = task->head,
		.n_order = n_order,
	};
	hunt.more_chunks = cost_more_chunks(search->cost, hunt.problem->chunk);
	memcpy(hunt.order, order, n_order * sizeof(order[0]));
	if (search->cost->options->streaming)
		hunt_with_disk(&hunt);
	else if (least_work(&hunt, INFINITY, search->result->turn_s))
		note(&hunt, hunt.least_s);
}

/* ---- orders to begin with ---- */

/* From the head always on to the device that is cheapest to enter and fast. */
static uint32_t near_order(const struct ring_problem *problem, uint16_t head, bool by_hop,
			   uint16_t *order)
{
	uint32_t left = ((problem->n < 32 ? 1u << problem->n : 0) - 1) & ~(1u << head);
	order[0] = head;
	for (uint32_t n = 1; n < problem->n; n++) {
		double best = INFINITY;
		for (uint32_t at = 0; at < problem->n; at++) {
			const double cost = by_hop ? problem->hop_s[order[n - 1]][at]
						   : problem->slope[at];
			if ((left >> at & 1) && cost < best) {
				best = cost;
				order[n] = (uint16_t)at;
			}
		}
		left &= ~(1u << order[n]);
	}
	return problem->n;
}

static int place_in(const struct ring_problem *problem, uint32_t device)
{
	for (uint32_t i = 0; i < problem->n; i++)
		if (problem->device[i] == device)
			return (int)i;
	return -1;
}

/* The wished ring, turned so that the head comes first. */
static uint32_t wished_order(const struct search *search, const struct ring_problem *problem,
			     uint16_t head, uint16_t *order)
{
	const struct search_wish *wish = search->wish;
	uint32_t start = 0, n = 1;
	for (uint32_t i = 0; i < wish->n_order; i++)
		if (place_in(problem, wish->order[i]) == head)
			start = i;
	order[0] = head;
	for (uint32_t i = 0; i < wish->n_order; i++) {
		const int at = place_in(problem, wish->order[(start + i) % wish->n_order]);
		if (at >= 0 && at != head)
			order[n++] = (uint16_t)at;
	}
	return n;
}

/* ---- all tasks ---- */

static int compare_tasks(const void *left, const void *right)
{
	const struct task *a = left, *b = right;
	if (a->bound_s != b->bound_s)
		return a->bound_s < b->bound_s ? -1 : 1;
	if (a->problem != b->problem)
		return a->problem < b->problem ? -1 : 1;
	return a->head < b->head ? -1 : a->head > b->head;
}

static void add_tasks(struct search *search, uint32_t index)
{
	const struct ring_problem *problem = &search->problems[index];
	const struct ring_caps caps = { INFINITY, INFINITY };
	const double chunks = cost_more_chunks(search->cost, problem->chunk) *
			      least_chunk_s(problem) * (1 - NARROW);
	for (uint32_t head = 0; head < problem->n; head++) {
		struct bound bound;
		if (search->wish->head >= 0 && problem->device[head] != search->wish->head)
			continue;
		ring_limits_set(&search->limits[index], problem, (uint16_t)head, &caps);
		bound_init(&bound, problem, &search->limits[index], INFINITY);
		const double work = bound_way(&bound, problem, &search->limits[index], INFINITY);
		search->tasks[search->n_tasks++] =
			(struct task){ (uint16_t)index, (uint16_t)head, work + chunks };
	}
}

static int add_problem(struct search *search, const uint16_t *devices, uint32_t n, uint32_t rounds,
		       uint32_t chunk, struct fail *fail)
{
	const uint32_t index = search->n_problems;
	int rc = ring_problem_init(&search->problems[index], search->cost, devices, n, rounds,
				   chunk, fail);
	if (rc < 0)
		return rc;
	search->n_problems++;
	rc = ring_limits_init(&search->limits[index], &search->problems[index], fail);
	if (rc == 0)
		add_tasks(search, index);
	return rc;
}

static void run_tasks(struct search *search)
{
	uint16_t order[PLAN_DEVICES_MAX];
	for (uint32_t i = 0; i < search->n_tasks; i++) {
		const struct task *task = &search->tasks[i];
		const struct ring_problem *problem = &search->problems[task->problem];
		if (task->bound_s >= search->result->turn_s)
			return; /* sorted: nor can any that follows */
		if (search->wish->n_order > 0) {
			const uint32_t n = wished_order(search, problem, task->head, order);
			hunt_task(search, task, order, n);
			continue;
		}
		const uint32_t n = near_order(problem, task->head, true, order);
		hunt_task(search, task, order, n);
		if (!search->orders)
			hunt_task(search, task, order,
				  near_order(problem, task->head, false, order));
	}
}

static int prepare(struct search *search, const uint16_t *devices, uint32_t n, struct fail *fail)
{
	const struct search_wish *wish = search->wish;
	const uint32_t L = search->cost->facts->n_layers;
	const uint32_t most = wish->rounds_most < L ? wish->rounds_most : L;
	const uint32_t count = (most - wish->rounds_least + 1) * search->cost->n_chunks;
	search->problems = calloc(count, sizeof(search->problems[0]));
	search->limits = calloc(count, sizeof(search->limits[0]));
	search->tasks = calloc((size_t)count * n, sizeof(search->tasks[0]));
	search->scratch = calloc((size_t)(n + 3) * (L + 1), sizeof(double));
	if (!search->problems || !search->limits || !search->tasks || !search->scratch)
		return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
	for (uint32_t rounds = wish->rounds_least; rounds <= most; rounds++) {
		for (uint32_t chunk = 0; chunk < search->cost->n_chunks; chunk++) {
			const int rc = add_problem(search, devices, n, rounds, chunk, fail);
			if (rc < 0)
				return rc;
		}
	}
	qsort(search->tasks, search->n_tasks, sizeof(search->tasks[0]), compare_tasks);
	return 0;
}

static void finish(struct search *search)
{
	for (uint32_t i = 0; i < search->n_problems; i++) {
		ring_limits_finish(&search->limits[i]);
		ring_problem_finish(&search->problems[i]);
	}
	free(search->problems);
	free(search->limits);
	free(search->tasks);
	free(search->scratch);
	orders_destroy(search->orders);
}

/* The devices of the best way so far, filled up with the fastest others. */
static uint32_t promising(const struct search *search, uint16_t *devices)
{
	const struct search_result *result = search->result;
	const struct ring_problem *problem = &search->problems[0];
	uint32_t n = 0, taken = 0;
	uint16_t order[PLAN_DEVICES_MAX];
	if (!result->found || result->n_parts >= ORDERS_DEVICES_MAX)
		return 0;
	devices[n++] = (uint16_t)result->head;
	taken |= 1u << result->head;
	for (uint32_t i = 0; i < result->n_parts; i++) {
		if (taken >> result->parts[i].device & 1)
			continue;
		devices[n++] = result->parts[i].device;
		taken |= 1u << result->parts[i].device;
	}
	const uint32_t most = near_order(problem, 0, false, order);
	for (uint32_t i = 0; i < most && n < ORDERS_DEVICES_MAX; i++) {
		const uint16_t device = problem->device[order[i]];
		if (taken >> device & 1)
			continue;
		devices[n++] = device;
		taken |= 1u << device;
	}
	return n;
}

static int run_exact(struct search_result *result, const struct cost *cost,
		     const uint16_t *devices, uint32_t n, const struct search_wish *wish,
		     struct fail *fail)
{
	struct search search = { .cost = cost, .wish = wish, .result = result };
	int rc = prepare(&search, devices, n, fail);
	search.orders = orders_create();
	if (rc == 0 && !search.orders)
		rc = fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
	if (rc == 0)
		run_tasks(&search);
	finish(&search);
	return rc;
}

int search_run(struct search_result *result, const struct cost *cost, const uint16_t *devices,
	       uint32_t n, const struct search_wish *wish, struct fail *fail)
{
	struct search search = { .cost = cost, .wish = wish, .result = result };
	uint16_t chosen[PLAN_DEVICES_MAX];
	uint32_t n_chosen = n;
	if (n == 0 || wish->rounds_least > cost->facts->n_layers)
		return 0;
	int rc = prepare(&search, devices, n, fail);
	if (rc == 0) {
		run_tasks(&search);
		memcpy(chosen, devices, n * sizeof(devices[0]));
		if (n > ORDERS_DEVICES_MAX) {
			result->exact = false;
			n_chosen = promising(&search, chosen);
		}
	}
	finish(&search);
	if (rc == 0 && wish->n_order == 0 && n > 1 && n_chosen > 1)
		rc = run_exact(result, cost, chosen, n_chosen, wish, fail);
	return rc;
}
