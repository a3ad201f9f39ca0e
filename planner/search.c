#include "planner/search.h"

#include "planner/bound.h"
#include "planner/orders.h"
#include "planner/relax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RELAX_STEPS 30 /* of the relaxation, before all orders are walked */
#define FEW_STEPS 4    /* where there are too many devices to walk all orders */
#define WIDE 0.1       /* an interval is wide when it spans more of the turn than this */
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
	uint32_t n_problems;
	struct ring_problem *problems;
	struct ring_limits *limits; /* [n_problems] */
	uint32_t n_tasks;
	struct task *tasks;
	double *scratch;
	struct relax relax;
	struct orders *orders;
	uint32_t hopeless[MODEL_LAYERS_MAX + 1]; /* by rounds: heads with which nothing fits */
};

/* The task at hand, and the least work found under the present disk cap. */
struct hunt {
	struct search *search;
	const struct ring_problem *problem;
	struct ring_limits *limits;
	uint16_t head;
	uint16_t order[PLAN_DEVICES_MAX];
	uint32_t n_order;
	double more_chunks;    /* N/c - 1 */
	double low_s, high_s;  /* the slowest place takes so much per chunk, whatever the way */
	double disk_cap_s;
	double least_s; /* work + more_chunks * beta */
	bool found;
	struct ring_way way; /* of least_s */
};

/* ---- one task ---- */

enum outcome {
	OUTCOME_NONE, /* nothing better is here, or nothing that can be found */
	OUTCOME_WORK, /* `way` has the least work */
	OUTCOME_OPEN  /* not known without walking all orders: cut the interval first */
};

static enum outcome solve_order(struct hunt *hunt, double threshold, struct ring_way *way)
{
	return ring_solve_order(hunt->problem, hunt->limits, hunt->problem->work, hunt->order,
				hunt->n_order, threshold, hunt->search->scratch, way)
		       ? OUTCOME_WORK
		       : OUTCOME_NONE;
}

static bool take(struct hunt *hunt, const struct ring_way *way)
{
	const double value = way->work_s + hunt->more_chunks * way->chunk_s;
	if (value >= hunt->least_s)
		return false;
	hunt->least_s = value;
	hunt->way = *way;
	hunt->found = true;
	return true;
}

static void hunt_between(struct hunt *hunt, double low, double high);

/* Looks along the order of the best way, the other devices after it, for a still better one. */
static void polish(struct hunt *hunt)
{
	const struct ring_caps caps = hunt->limits->caps;
	uint32_t taken = 1u << hunt->head;
	hunt->n_order = 0;
	hunt->order[hunt->n_order++] = hunt->head;
	for (uint32_t i = 0; i < hunt->way.n_parts; i++) {
		if (hunt->way.parts[i].device == hunt->head)
			continue;
		hunt->order[hunt->n_order++] = hunt->way.parts[i].device;
		taken |= 1u << hunt->way.parts[i].device;
	}
	for (uint16_t at = 0; at < hunt->problem->n; at++)
		if (!(taken >> at & 1))
			hunt->order[hunt->n_order++] = at;
	hunt_between(hunt, hunt->low_s, hunt->high_s);
	hunt->n_order = 0;
	ring_limits_set(hunt->limits, hunt->problem, hunt->head, &caps);
}

static enum outcome walk_orders(struct hunt *hunt, double low, struct ring_way *way)
{
	struct search_result *result = hunt->search->result;
	const double threshold = hunt->least_s - hunt->more_chunks * low;
	switch (orders_solve(hunt->search->orders, hunt->problem, hunt->limits,
			     &hunt->search->relax, threshold, &result->steps, way)) {
	case ORDERS_FOUND:
		return OUTCOME_WORK;
	case ORDERS_NONE:
		return OUTCOME_NONE;
	case ORDERS_TOO_FAR:
		break;
	}
	result->exact = false;
	return OUTCOME_NONE;
}

/* With all orders open; low and the caps of the limits say between what. */
static enum outcome solve(struct hunt *hunt, double low, bool wide, struct ring_way *way)
{
	struct search *search = hunt->search;
	const bool many = hunt->problem->n > ORDERS_DEVICES_MAX;
	const bool begun = search->result->found || hunt->found || search->wish->any;
	const struct relax_goal goal = { hunt->more_chunks, low, hunt->least_s,
					 many && begun ? FEW_STEPS : RELAX_STEPS };
	bool found;
	const enum relax_result relaxed = relax_solve(&search->relax, hunt->problem, hunt->limits,
						      &goal, search->scratch, way, &found);
	const bool better = found && take(hunt, way);
	if (relaxed != RELAX_OPEN)
		return OUTCOME_NONE; /* what is best here is taken already */
	if (better)
		polish(hunt);
	if (wide && !many)
		return OUTCOME_OPEN;
	return walk_orders(hunt, low, way);
}

/* Where to cut an interval: beside the best way's place in it, else in the middle. */
static double cut(const struct hunt *hunt, double low, double high)
{
	const double at = hunt->way.chunk_s, margin = (high - low) / 10;
	if (hunt->found && at > low + margin && at < high - margin)
		return at * (1 + 1e-9);
	return (low + high) / 2;
}

/* Looks for ways whose slowest place takes [low, high) per chunk. */
static void hunt_between(struct hunt *hunt, double low, double high)
{
	const struct ring_caps caps = { high, hunt->disk_cap_s };
	const double threshold = hunt->least_s - hunt->more_chunks * low;
	const bool wide = hunt->more_chunks * (high - low) > WIDE * hunt->least_s;
	struct ring_way way;
	ring_limits_set(hunt->limits, hunt->problem, hunt->head, &caps);
	if (bound_way(hunt->problem, hunt->limits) * (1 - NARROW) >= threshold)
		return;
	const enum outcome outcome = hunt->n_order > 0 ? solve_order(hunt, threshold, &way)
						       : solve(hunt, low, wide, &way);
	if (outcome == OUTCOME_NONE)
		return;
	if (outcome == OUTCOME_OPEN) {
		const double middle = cut(hunt, low, high);
		hunt_between(hunt, low, middle);
		hunt_between(hunt, middle, high);
		return;
	}
	take(hunt, &way);
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

/* More than any place of any way takes per chunk. */
static double most_chunk_s(const struct ring_problem *problem)
{
	const uint32_t Q = problem->n_slots;
	double most = 0;
	for (uint32_t i = 0; i < problem->n; i++) {
		most = fmax(most, problem->chunk_s[i * (Q + 1) + Q]);
		for (uint32_t j = 0; j < problem->n; j++)
			most = fmax(most, problem->rounds * problem->send_s[i][j]);
	}
	return most * 1.01;
}

static bool least_work(struct hunt *hunt, double disk_cap_s, double below_s)
{
	hunt->disk_cap_s = disk_cap_s;
	hunt->least_s = below_s;
	hunt->found = false;
	hunt->low_s = least_chunk_s(hunt->problem) * (1 - NARROW);
	hunt->high_s = most_chunk_s(hunt->problem);
	hunt_between(hunt, hunt->low_s, hunt->high_s);
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

/* ---- pinned orders ---- */

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

static void hunt_task(struct search *search, const struct task *task)
{
	struct hunt hunt = {
		.search = search,
		.problem = &search->problems[task->problem],
		.limits = &search->limits[task->problem],
		.head = task->head,
	};
	hunt.more_chunks = cost_more_chunks(search->cost, hunt.problem->chunk);
	if (search->wish->n_order > 0)
		hunt.n_order = wished_order(search, hunt.problem, task->head, hunt.order);
	if (search->cost->options->streaming)
		hunt_with_disk(&hunt);
	else if (least_work(&hunt, INFINITY, search->result->turn_s))
		note(&hunt, hunt.least_s);
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
		if (search->wish->head >= 0 && problem->device[head] != search->wish->head)
			continue;
		ring_limits_set(&search->limits[index], problem, (uint16_t)head, &caps);
		const double work = bound_way(problem, &search->limits[index]);
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

/* What fits does not depend on the size of chunks. */
static void run_tasks(struct search *search)
{
	for (uint32_t i = 0; i < search->n_tasks; i++) {
		const struct task *task = &search->tasks[i];
		uint32_t *hopeless = &search->hopeless[search->problems[task->problem].rounds];
		if (task->bound_s >= search->result->turn_s)
			return; /* sorted: nor can any that follows */
		if (*hopeless >> task->head & 1)
			continue;
		hunt_task(search, task);
		if (!search->result->found)
			*hopeless |= 1u << task->head;
		else if (search->wish->any)
			return;
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
	search->orders = orders_create();
	if (!search->problems || !search->limits || !search->tasks || !search->scratch ||
	    !search->orders)
		return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
	const int relaxed = relax_init(&search->relax, n, L, fail);
	if (relaxed < 0)
		return relaxed;
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
	relax_finish(&search->relax);
	orders_destroy(search->orders);
}

int search_run(struct search_result *result, const struct cost *cost, const uint16_t *devices,
	       uint32_t n, const struct search_wish *wish, struct fail *fail)
{
	struct search search = { .cost = cost, .wish = wish, .result = result };
	if (n == 0 || wish->rounds_least > cost->facts->n_layers)
		return 0;
	const int rc = prepare(&search, devices, n, fail);
	if (rc == 0)
		run_tasks(&search);
	finish(&search);
	return rc;
}
