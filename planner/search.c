#include "planner/search.h"

#include "planner/bound.h"
#include "planner/orders.h"
#include "planner/relax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LOOK_STEPS 30      /* of the relaxation, before any plan is known... */
#define LOOK_STEPS       4       /* ...and at a first look at each task */
#define LOOKS_MAX        20      /* tasks of too many devices that get one */
#define FEW_STEPS        2000000 /* of the search among few of too many devices */
#define RELAX_STEPS      6       /* and before all orders are walked */
#define LOW_STEPS        5 /* of bisection for the least cap that a quick bound does not exclude */
#define STRIDE           0.5   /* the share of an interval that one relaxation should exclude... */
#define LEAST_STRIDE     0.05  /* ...and the least that is worth to go on with */
#define FIRST_REACH      0.02  /* a walk looks so far beyond the bound, in turns, at first... */
#define WALK_STEPS       50000 /* ...and then as far as takes so many steps */
#define WALK_LEAST       0.3   /* but it excludes at least this share of the interval... */
#define WALK_WIDEN       2     /* ...and looks so far beyond what its upper end asks for */
#define NARROW           1e-13 /* an interval this small, relative to the turn, holds nothing better */

struct task {
	uint16_t problem;
	uint16_t head;  /* index into the problem */
	double work_s;  /* what its ways work at least, whatever the caps... */
	double bound_s; /* ...and what its turns take at least; raised as it is looked at */
};

struct search {
	const struct cost *cost;
	const struct search_wish *wish;
	struct search_result *result;
	bool all; /* every task is searched exactly; else there is a look at each */
	uint32_t n_problems;
	struct ring_problem *problems;
	struct ring_limits *limits; /* [n_problems] */
	uint32_t n_tasks;
	struct task *tasks;
	double *scratch;
	struct relax relax;
	struct orders *orders;
	bool *bounded;                           /* [n_problems] all heads at once */
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
	double more_chunks;   /* N/c - 1 */
	double low_s, high_s; /* the slowest place takes so much per chunk, whatever the way */
	double disk_cap_s;
	double reach_share; /* how far beyond the bound walks look, as a share of the best turn */
	bool looking;       /* one relaxation only... */
	double bound_s;     /* ...and what it proved */
	double least_s;     /* work + more_chunks * beta */
	bool found;
	struct ring_way way; /* of least_s */
};

/* ---- one task ---- */

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

static void limit_below(struct hunt *hunt, double high)
{
	const struct ring_caps caps = { high, hunt->disk_cap_s };
	ring_limits_set(hunt->limits, hunt->problem, hunt->head, &caps);
}

/* A bound of the work of ways below a cap on chunks. */
static double bound_below(struct hunt *hunt, double high)
{
	const struct ring_caps caps = { high, hunt->disk_cap_s };
	ring_limits_cap(hunt->limits, hunt->problem, hunt->head, &caps);
	return bound_way(hunt->problem, hunt->limits) * (1 - NARROW);
}

/* Where ways with so much work stop being better than the best. */
static double crossing(const struct hunt *hunt, double work_s)
{
	return (hunt->least_s - work_s) / hunt->more_chunks;
}

/* Narrows [low, high) to where a quick bound does not exclude better ways, and sets the limits for
 * high; false when nothing stays. */
static bool narrow(struct hunt *hunt, double *low, double *high)
{
	double work_s = bound_below(hunt, *high);
	if (work_s + hunt->more_chunks * *low >= hunt->least_s)
		return false;
	if (hunt->more_chunks == 0 || isinf(hunt->least_s)) {
		limit_below(hunt, *high);
		return true;
	}
	for (double top = crossing(hunt, work_s); top < *high * 0.99;
	     top = crossing(hunt, work_s)) {
		*high = top;
		work_s = bound_below(hunt, *high);
		if (work_s + hunt->more_chunks * *low >= hunt->least_s)
			return false;
	}
	double below = *low, above = *high;
	for (uint32_t i = 0; i < LOW_STEPS; i++) {
		const double middle = (below + above) / 2;
		if (bound_below(hunt, middle) + hunt->more_chunks * *low >= hunt->least_s)
			below = middle;
		else
			above = middle;
	}
	limit_below(hunt, *high);
	*low = below;
	return true;
}

static void hunt_between(struct hunt *hunt, double low, double high);

/* Looks along the order of the best way, the other devices after it, for a still better one. The
 * limits are as before afterwards. */
static void polish(struct hunt *hunt)
{
	const struct ring_caps caps = hunt->limits->caps;
	uint32_t taken = 1u << hunt->head;
	hunt->n_order = 0;
	hunt->order[hunt->n_order++] = hunt->head;
	for (uint32_t i = 0; i < hunt->way.n_parts; i++) {
		if (hunt->way.parts[i].device != hunt->head)
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

/* Along the one order: gives below what better ways may still be. */
static double step_along(struct hunt *hunt, double low, double high)
{
	struct ring_way way;
	if (!ring_solve_order(hunt->problem, hunt->limits, hunt->problem->work, hunt->order,
			      hunt->n_order, hunt->least_s - hunt->more_chunks * low,
			      hunt->search->scratch, &way))
		return low;
	take(hunt, &way);
	/* ways with [way.chunk_s, high) cost as much work and more chunk time */
	return hunt->more_chunks > 0 ? fmin(fmin(way.chunk_s, high), crossing(hunt, way.work_s))
				     : low;
}

/* Over all orders, exactly: no better way stays in [the result, high). */
static double step_exact(struct hunt *hunt, double low, double high, double work_s)
{
	struct search *search = hunt->search;
	struct ring_way way;
	const double m = hunt->more_chunks;
	const double reach_s = fmax(hunt->reach_share * hunt->least_s,
				    WALK_WIDEN * (hunt->least_s - m * high - work_s));
	const double reach = m > 0 ? crossing(hunt, work_s + reach_s) : low;
	const double to = fmax(low, fmin(reach, high - WALK_LEAST * (high - low)));
	const int64_t before = search->relax.steps;
	relax_settle(&search->relax, hunt->problem, hunt->limits);
	const enum orders_result result =
		orders_solve(search->orders, hunt->problem, hunt->limits, &search->relax,
			     hunt->least_s - m * to, &search->relax.steps, &way);
	hunt->reach_share *= before - search->relax.steps > WALK_STEPS ? 0.7 : 1.4;
	switch (result) {
	case ORDERS_FOUND:
		if (take(hunt, &way))
			polish(hunt);
		return m > 0 ? fmin(way.chunk_s, crossing(hunt, way.work_s)) : low;
	case ORDERS_NONE:
		return isinf(hunt->least_s) ? low : to;
	case ORDERS_TOO_FAR:
		break;
	}
	search->result->exact = false;
	return low;
}

/* One relaxation with shares: perhaps a good way, and whether more is worth while. */
static void look(struct hunt *hunt, double low)
{
	struct search *search = hunt->search;
	const bool begun = search->result->found || hunt->found || search->wish->any;
	const struct relax_goal goal = { hunt->more_chunks,
					 low,
					 hunt->least_s,
					 begun || search->all ? LOOK_STEPS : FIRST_LOOK_STEPS,
					 false,
					 search->all };
	struct ring_way way;
	if (relax_solve(&search->relax, hunt->problem, hunt->limits, &goal, search->scratch,
			&way)) {
		take(hunt, &way);
		polish(hunt);
	}
	hunt->bound_s = search->relax.bound_s;
}

/* Over all orders: gives below what better ways may still be. */
static double step_down(struct hunt *hunt, double low, double high)
{
	struct search *search = hunt->search;
	const double m = hunt->more_chunks;
	const double cover = m > 0 ? high - STRIDE * (high - low) : low;
	const struct relax_goal goal = { m, cover, hunt->least_s, RELAX_STEPS, true, true };
	struct ring_way way;
	if (search->relax.steps < 0) {
		search->result->exact = false;
		return low;
	}
	if (relax_solve(&search->relax, hunt->problem, hunt->limits, &goal, search->scratch,
			&way)) {
		take(hunt, &way);
		polish(hunt);
	}
	const double work_s = search->relax.bound_s - m * cover;
	if (work_s + m * low >= hunt->least_s * (1 - NARROW))
		return low;
	if (m > 0 && crossing(hunt, work_s) < high - LEAST_STRIDE * (high - low))
		return crossing(hunt, work_s);
	return step_exact(hunt, low, high, work_s);
}

/* Looks for ways whose slowest place takes [low, high) per chunk, from above. */
static void hunt_between(struct hunt *hunt, double low, double high)
{
	const bool looking = hunt->looking && hunt->n_order == 0;
	if (looking && !hunt->search->all) {
		if (bound_below(hunt, high) + hunt->more_chunks * low >= hunt->least_s)
			return;
		limit_below(hunt, high);
		look(hunt, low);
		return;
	}
	while (narrow(hunt, &low, &high) && high > low) {
		if (looking) {
			look(hunt, low);
			return;
		}
		high = hunt->n_order > 0 ? step_along(hunt, low, high) : step_down(hunt, low, high);
		if (high <= low || (!isinf(hunt->least_s) &&
				    hunt->more_chunks * (high - low) <= NARROW * hunt->least_s))
			return;
	}
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

static struct hunt begin_hunt(struct search *search, const struct task *task)
{
	struct hunt hunt = {
		.search = search,
		.problem = &search->problems[task->problem],
		.limits = &search->limits[task->problem],
		.head = task->head,
		.reach_share = FIRST_REACH,
		.looking = !search->all,
	};
	hunt.more_chunks = cost_more_chunks(search->cost, hunt.problem->chunk);
	if (search->wish->n_order > 0)
		hunt.n_order = wished_order(search, hunt.problem, task->head, hunt.order);
	return hunt;
}

static void hunt_task(struct search *search, const struct task *task)
{
	struct hunt hunt = begin_hunt(search, task);
	if (search->cost->options->streaming)
		hunt_with_disk(&hunt);
	else if (least_work(&hunt, INFINITY, search->result->turn_s))
		note(&hunt, hunt.least_s);
}

/* A first look at a task: perhaps a good way, and a better bound. */
static void look_at_task(struct search *search, struct task *task)
{
	struct hunt hunt = begin_hunt(search, task);
	const double T = search->cost->options->turn.tokens_out, turn_s = search->result->turn_s;
	hunt.looking = true;
	hunt.bound_s = INFINITY; /* unless something stays to be looked at */
	if (least_work(&hunt, search->cost->options->streaming ? turn_s / T : INFINITY, turn_s))
		note(&hunt, fmax(hunt.least_s, hunt.way.disk_s * T));
	task->bound_s = fmax(task->bound_s, hunt.bound_s);
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
		ring_limits_cap(&search->limits[index], problem, (uint16_t)head, &caps);
		const double work = bound_way(problem, &search->limits[index]);
		search->tasks[search->n_tasks++] =
			(struct task){ (uint16_t)index, (uint16_t)head, work, work + chunks };
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

/* Once a good way is known: raises the bounds of all tasks of a problem at once. */
static void bound_heads(struct search *search, uint16_t index)
{
	const struct ring_problem *problem = &search->problems[index];
	const struct search_result *result = search->result;
	const double m = cost_more_chunks(search->cost, problem->chunk);
	const double low_s = least_chunk_s(problem) * (1 - NARROW);
	const struct relax_goal goal = { .more_chunks = m, .low_s = low_s };
	double bound[PLAN_DEVICES_MAX], work_s = INFINITY;
	if (search->bounded[index] || !result->found)
		return;
	search->bounded[index] = true;
	for (uint32_t i = 0; i < search->n_tasks; i++)
		if (search->tasks[i].problem == index)
			work_s = fmin(work_s, search->tasks[i].work_s);
	/* ways beyond these caps are no better than the best */
	const struct ring_caps caps = {
		m > 0 ? fmin(most_chunk_s(problem), (result->turn_s - work_s) / m) : INFINITY,
		search->cost->options->streaming
			? result->turn_s / search->cost->options->turn.tokens_out
			: INFINITY
	};
	relax_heads(&search->relax, problem, &search->limits[index], &caps, &goal, bound);
	for (uint32_t i = 0; i < search->n_tasks; i++) {
		struct task *task = &search->tasks[i];
		if (task->problem == index)
			task->bound_s = fmax(task->bound_s, bound[task->head] * (1 - NARROW));
	}
}

static void look_at_tasks(struct search *search)
{
	for (uint32_t i = 0; i < search->n_tasks; i++) {
		bound_heads(search, search->tasks[i].problem);
		if (search->tasks[i].bound_s < search->result->turn_s)
			look_at_task(search, &search->tasks[i]);
	}
	qsort(search->tasks, search->n_tasks, sizeof(search->tasks[0]), compare_tasks);
}

/* What fits does not depend on the size of chunks. */
static void run_task(struct search *search, const struct task *task)
{
	uint32_t *hopeless = &search->hopeless[search->problems[task->problem].rounds];
	if (*hopeless >> task->head & 1)
		return;
	hunt_task(search, task);
	if (!search->result->found)
		*hopeless |= 1u << task->head;
}

/* Of too many devices: once there is a good way, only the most promising tasks are looked at. */
static void choose_tasks(struct search *search, uint32_t first)
{
	for (uint32_t i = first; i < search->n_tasks; i++)
		bound_heads(search, search->tasks[i].problem);
	qsort(search->tasks + first, search->n_tasks - first, sizeof(search->tasks[0]),
	      compare_tasks);
	if (search->n_tasks > first + LOOKS_MAX)
		search->n_tasks = first + LOOKS_MAX;
}

static void run_tasks(struct search *search)
{
	bool chosen = search->all || search->wish->any;
	if (search->all && search->wish->n_order == 0 && !search->wish->any)
		look_at_tasks(search);
	for (uint32_t i = 0; i < search->n_tasks; i++) {
		if (!chosen && search->result->found) {
			choose_tasks(search, i);
			chosen = true;
		}
		if (search->tasks[i].bound_s >= search->result->turn_s)
			return; /* sorted: nor can any that follows */
		run_task(search, &search->tasks[i]);
		if (search->result->found && search->wish->any)
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
	search->bounded = calloc(count, sizeof(search->bounded[0]));
	search->scratch = calloc((size_t)(n + 3) * (L + 1), sizeof(double));
	search->orders = orders_create();
	if (!search->problems || !search->limits || !search->tasks || !search->bounded ||
	    !search->scratch || !search->orders)
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
	free(search->bounded);
	free(search->scratch);
	relax_finish(&search->relax);
	orders_destroy(search->orders);
}

static int run_among(struct search_result *result, const struct cost *cost, const uint16_t *devices,
		     uint32_t n, const struct search_wish *wish, bool all, struct fail *fail);

/* Searches also among the devices that hold layers most cheaply, as exactly as few steps can. */
static int run_few(struct search *search, const uint16_t *devices, struct fail *fail)
{
	uint16_t few[PLAN_DEVICES_MAX];
	const struct ring_caps caps = { INFINITY, INFINITY };
	const struct ring_problem *problem = &search->problems[search->n_problems - 1];
	struct ring_limits *limits = &search->limits[search->n_problems - 1];
	struct search_result *result = search->result;
	const int64_t steps = result->steps;
	ring_limits_set(limits, problem, (uint16_t)problem->n, &caps);
	const uint32_t n = bound_cheapest(problem, limits, ORDERS_DEVICES_MAX, few);
	for (uint32_t i = 0; i < n; i++)
		few[i] = devices[few[i]];
	result->exact = false;
	result->steps = steps < FEW_STEPS ? steps : FEW_STEPS;
	const int rc = run_among(result, search->cost, few, n, search->wish, true, fail);
	result->steps = steps;
	return rc;
}

/* `all`: every task is gone into as far as steps last. */
static int run_among(struct search_result *result, const struct cost *cost, const uint16_t *devices,
		     uint32_t n, const struct search_wish *wish, bool all, struct fail *fail)
{
	struct search search = { .cost = cost, .wish = wish, .result = result, .all = all };
	int rc = prepare(&search, devices, n, fail);
	search.relax.steps = result->steps;
	if (rc == 0)
		run_tasks(&search);
	result->steps = search.relax.steps;
	if (rc == 0 && !all && !wish->any)
		rc = run_few(&search, devices, fail);
	finish(&search);
	return rc;
}

int search_run(struct search_result *result, const struct cost *cost, const uint16_t *devices,
	       uint32_t n, const struct search_wish *wish, struct fail *fail)
{
	const bool all = n <= ORDERS_DEVICES_MAX || wish->n_order > 0;
	if (n == 0 || wish->rounds_least > cost->facts->n_layers)
		return 0;
	return run_among(result, cost, devices, n, wish, all, fail);
}
