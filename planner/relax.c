#include "planner/relax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SURE 1e-13      /* relative: a bound this close to a cost is the cost */
#define PATIENCE 3      /* steps without a better bound before steps are halved */
#define REPAIR_EVERY 6  /* a relaxed way is made a real one at every so many steps */

int relax_init(struct relax *relax, uint32_t n, uint32_t n_slots, struct fail *fail)
{
	const size_t cells = (size_t)n * (n_slots + 1);
	memset(relax, 0, sizeof(*relax));
	relax->n = n;
	relax->finish = malloc(cells * sizeof(double));
	relax->rest = malloc(cells * sizeof(double));
	relax->go = malloc(cells * sizeof(double));
	relax->end = malloc(cells * sizeof(uint16_t));
	relax->queue = malloc(cells * sizeof(relax->queue[0]));
	relax->start = malloc((n_slots + 1) * sizeof(double));
	relax->work = malloc(cells * sizeof(double));
	if (relax->finish && relax->rest && relax->go && relax->end && relax->queue && relax->start &&
	    relax->work)
		return 0;
	relax_finish(relax);
	return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
}

void relax_finish(struct relax *relax)
{
	free(relax->finish);
	free(relax->rest);
	free(relax->go);
	free(relax->end);
	free(relax->queue);
	free(relax->start);
	free(relax->work);
	memset(relax, 0, sizeof(*relax));
}

/* ---- the programme, backwards ---- */

struct pass {
	struct relax *relax;
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const double *price;
	uint32_t first[PLAN_DEVICES_MAX], last[PLAN_DEVICES_MAX]; /* of each device's queue */
	uint32_t farthest[PLAN_DEVICES_MAX]; /* boundary that a range from here may end at */
};

static void prepare_hops(struct relax *relax, const struct ring_problem *problem,
			 const struct ring_limits *limits)
{
	for (uint32_t full = 0; full < 2; full++) {
		const uint32_t times = problem->rounds - 1 + full;
		for (uint32_t to = 0; to < problem->n; to++) {
			for (uint32_t from = 0; from < problem->n; from++) {
				const bool fits = times * problem->send_s[from][to] <
						  limits->caps.chunk_s;
				relax->enter[full][to][from] =
					fits && from != to ? times * problem->hop_s[from][to]
							   : INFINITY;
			}
		}
	}
}

static void push(struct pass *pass, uint32_t at, uint32_t s, uint32_t end)
{
	const uint32_t Q = pass->problem->n_slots;
	struct relax_entry *queue = pass->relax->queue + (size_t)at * (Q + 1);
	const double key = pass->relax->work[at * (Q + 1) + end] +
			   pass->relax->finish[(size_t)end * pass->relax->n + at] +
			   ring_back_s(pass->problem, pass->limits, at, s, end);
	while (pass->last[at] > pass->first[at] && queue[pass->last[at] - 1].key >= key)
		pass->last[at]--;
	queue[pass->last[at]++] = (struct relax_entry){ key, end };
}

/* Where the ways back to the head change, all candidates are looked at again. */
static void push_again(struct pass *pass, uint32_t at, uint32_t s)
{
	pass->first[at] = pass->last[at] = 0;
	for (uint32_t end = pass->problem->n_slots; end > s; end--)
		push(pass, at, s, end);
}

static void best_range(struct pass *pass, uint32_t at, uint32_t s)
{
	struct relax *relax = pass->relax;
	const uint32_t Q = pass->problem->n_slots;
	const struct relax_entry *queue = relax->queue + (size_t)at * (Q + 1);
	const uint16_t *first = pass->limits->first + at * (Q + 1);
	while (pass->farthest[at] > s && first[pass->farthest[at]] > s)
		pass->farthest[at]--;
	while (pass->first[at] < pass->last[at] &&
	       queue[pass->first[at]].end > pass->farthest[at])
		pass->first[at]++;
	const size_t cell = (size_t)s * relax->n + at;
	relax->go[cell] = INFINITY;
	if (pass->first[at] == pass->last[at])
		return;
	relax->go[cell] = queue[pass->first[at]].key - relax->work[at * (Q + 1) + s] +
			  pass->price[at];
	relax->end[cell] = (uint16_t)queue[pass->first[at]].end;
}

static void best_next(struct pass *pass, uint32_t s)
{
	struct relax *relax = pass->relax;
	const bool full = s < pass->problem->n_last;
	double *finish = relax->finish + (size_t)s * relax->n;
	for (uint32_t from = 0; from < relax->n; from++)
		finish[from] = INFINITY;
	for (uint32_t to = 0; to < relax->n; to++) {
		const double go = relax->go[(size_t)s * relax->n + to];
		const double *enter = relax->enter[full][to];
		if (isinf(go))
			continue;
		for (uint32_t from = 0; from < relax->n; from++) {
			const double value = enter[from] + go;
			finish[from] = value < finish[from] ? value : finish[from];
		}
	}
}

static void run_backwards(struct relax *relax, const struct ring_problem *problem,
			  const struct ring_limits *limits, const double *price)
{
	const uint32_t Q = problem->n_slots;
	struct pass pass = { relax, problem, limits, price };
	for (uint32_t at = 0; at < relax->n; at++) {
		pass.farthest[at] = Q;
		relax->finish[(size_t)Q * relax->n + at] = 0;
	}
	for (uint32_t s = Q; s-- > 0;) {
		relax->go[(size_t)s * relax->n + limits->head] = INFINITY;
		for (uint32_t at = 0; at < relax->n; at++) {
			if (at == limits->head)
				continue; /* it comes first, and only once */
			if (s + 1 == problem->n_last)
				push_again(&pass, at, s);
			else
				push(&pass, at, s, s + 1);
			best_range(&pass, at, s);
		}
		best_next(&pass, s);
	}
}

/* ---- the relaxed way ---- */

struct trail {
	struct ring_way way; /* parts beyond the first n are not kept */
	uint32_t visits[PLAN_DEVICES_MAX];
	bool simple; /* nobody is visited twice */
	double cost_s; /* with prices */
	double chunk_s[PLAN_DEVICES_MAX]; /* all visits together */
};

static void add_part(struct trail *trail, const struct ring_problem *problem, uint32_t at,
		     uint32_t s, uint32_t end)
{
	const double *chunk = problem->chunk_s + at * (problem->n_slots + 1);
	if (trail->way.n_parts < problem->n)
		trail->way.parts[trail->way.n_parts++] =
			(struct ring_part){ (uint16_t)at, (uint16_t)s, (uint16_t)end };
	if (++trail->visits[at] > 1)
		trail->simple = false;
	trail->chunk_s[at] += chunk[end] - chunk[s];
}

/* Follows the cheapest way from the head; false when there is none but the head alone. */
static bool follow(const struct relax *relax, const struct ring_problem *problem,
		   const struct ring_limits *limits, struct trail *trail)
{
	const uint32_t Q = problem->n_slots, n = relax->n;
	uint32_t at = limits->head, s = 0;
	*trail = (struct trail){ .simple = true, .cost_s = INFINITY };
	trail->way.head = limits->head;
	for (uint32_t t = 0; t < Q; t++) {
		const double cost = relax->start[t] + relax->finish[(size_t)t * n + at];
		if (cost >= trail->cost_s)
			continue;
		trail->cost_s = cost;
		s = t;
	}
	if (isinf(trail->cost_s))
		return false;
	if (s > 0)
		add_part(trail, problem, at, 0, s);
	while (s < Q) {
		const bool full = s < problem->n_last;
		double best = INFINITY;
		uint32_t next = n;
		for (uint32_t to = 0; to < n; to++) {
			const double cost =
				relax->enter[full][to][at] + relax->go[(size_t)s * n + to];
			if (cost < best) {
				best = cost;
				next = to;
			}
		}
		const uint32_t end = relax->end[(size_t)s * n + next];
		add_part(trail, problem, next, s, end);
		at = next;
		s = end;
	}
	return true;
}

/* ---- real ways ---- */

struct best {
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const struct relax_goal *goal;
	double least_s; /* the threshold, or work + m beta of the way */
	struct ring_way *way;
	bool *found;
};

static void offer(struct best *best, struct ring_way *way)
{
	ring_evaluate(best->problem, way);
	const double value = way->work_s + best->goal->more_chunks * way->chunk_s;
	if (value >= best->least_s || way->chunk_s >= best->limits->caps.chunk_s ||
	    way->disk_s >= best->limits->caps.disk_s)
		return;
	best->least_s = value;
	*best->way = *way;
	*best->found = true;
}

static void offer_alone(struct best *best)
{
	const uint16_t head = best->limits->head;
	const uint32_t Q = best->problem->n_slots;
	struct ring_way way = { .head = head, .n_parts = 1 };
	way.parts[0] = (struct ring_part){ head, 0, (uint16_t)Q };
	if (best->limits->first[head * (Q + 1) + Q] == 0)
		offer(best, &way);
}

/* The order of first visits, then the other devices: the best real way along it. */
static void repair(struct best *best, const struct relax *relax, const struct trail *trail,
		   double *scratch)
{
	uint16_t order[PLAN_DEVICES_MAX];
	uint32_t n = 0, taken = 1u << best->limits->head;
	struct ring_way way;
	order[n++] = best->limits->head;
	for (uint32_t i = 0; i < trail->way.n_parts; i++) {
		const uint16_t at = trail->way.parts[i].device;
		if (taken >> at & 1)
			continue;
		taken |= 1u << at;
		order[n++] = at;
	}
	for (uint16_t at = 0; at < best->problem->n; at++)
		if (!(taken >> at & 1))
			order[n++] = at;
	if (ring_solve_order(best->problem, best->limits, relax->work, order, n, INFINITY, scratch,
			     &way))
		offer(best, &way);
}

/* ---- prices and shares ---- */

/* A point of the dual, and what it proves. */
struct dual {
	double price[PLAN_DEVICES_MAX], share[PLAN_DEVICES_MAX];
	double bound_s;
	bool shared; /* the relaxed way is not the head alone */
	struct trail trail;
};

static void weigh(struct relax *relax, const struct ring_problem *problem, const double *share)
{
	const uint32_t Q = problem->n_slots;
	for (uint32_t i = 0; i < relax->n; i++) {
		const double *work = problem->work + i * (Q + 1);
		const double *chunk = problem->chunk_s + i * (Q + 1);
		for (uint32_t t = 0; t <= Q; t++)
			relax->work[i * (Q + 1) + t] = work[t] + share[i] * chunk[t];
	}
}

/* Evaluates a point: the bound of ways over several devices and that of the head alone. */
static void evaluate(struct relax *relax, const struct best *best, struct dual *dual)
{
	const struct ring_problem *problem = best->problem;
	const struct ring_limits *limits = best->limits;
	const struct relax_goal *goal = best->goal;
	const uint32_t Q = problem->n_slots, head = limits->head;
	double offset = goal->more_chunks * goal->low_s;
	weigh(relax, problem, dual->share);
	ring_start(problem, limits, problem->work, relax->start);
	const double alone = relax->start[Q] +
			     goal->more_chunks * fmax(goal->low_s,
						      problem->chunk_s[head * (Q + 1) + Q]);
	for (uint32_t t = 1; t <= Q; t++)
		relax->start[t] += dual->share[head] * problem->chunk_s[head * (Q + 1) + t];
	run_backwards(relax, problem, limits, dual->price);
	dual->shared = follow(relax, problem, limits, &dual->trail);
	for (uint32_t i = 0; i < relax->n; i++)
		offset -= (i == head ? 0 : dual->price[i]) + dual->share[i] * goal->low_s;
	dual->bound_s = fmin(alone, dual->trail.cost_s + offset);
}

/* Moves from `from` along the subgradient by `length` of bound; false when it is zero. */
static bool move(struct dual *to, const struct dual *from, const struct best *best, double length)
{
	const uint32_t n = best->problem->n, head = best->limits->head;
	const struct relax_goal *goal = best->goal;
	double visit_norm = 0, chunk_norm = 0, sum = 0;
	for (uint32_t i = 0; i < n; i++) {
		const double visits = (double)from->trail.visits[i] - 1;
		const double chunk = from->trail.chunk_s[i] - goal->low_s;
		if (i != head && (visits > 0 || from->price[i] > 0))
			visit_norm += visits * visits;
		if (goal->more_chunks > 0 && (chunk > 0 || from->share[i] > 0))
			chunk_norm += chunk * chunk;
	}
	for (uint32_t i = 0; i < n; i++) {
		const double visits = (double)from->trail.visits[i] - 1;
		const double chunk = from->trail.chunk_s[i] - goal->low_s;
		to->price[i] = from->price[i];
		to->share[i] = from->share[i];
		if (i != head && visit_norm > 0)
			to->price[i] = fmax(0, to->price[i] + length / visit_norm * visits);
		if (chunk_norm > 0)
			to->share[i] = fmax(0, to->share[i] + length / chunk_norm * chunk);
		sum += to->share[i];
	}
	for (uint32_t i = 0; sum > goal->more_chunks && i < n; i++)
		to->share[i] *= goal->more_chunks / sum;
	return visit_norm > 0 || chunk_norm > 0;
}

static void try_real(struct best *best, const struct relax *relax, struct dual *dual,
		     uint32_t step, double *scratch)
{
	if (!dual->shared)
		return;
	if (dual->trail.simple)
		offer(best, &dual->trail.way);
	else if (step % REPAIR_EVERY == 0)
		repair(best, relax, &dual->trail, scratch);
}

enum relax_result relax_solve(struct relax *relax, const struct ring_problem *problem,
			      const struct ring_limits *limits, const struct relax_goal *goal,
			      double *scratch, struct ring_way *way, bool *found)
{
	static const double none[PLAN_DEVICES_MAX];
	struct best best = { problem, limits, goal, goal->threshold, way, found };
	struct dual dual, top;
	double stride = 1, sum = 0;
	uint32_t unchanged = 0;
	*found = false;
	relax->n = problem->n;
	relax->n_slots = problem->n_slots;
	relax->bound_s = top.bound_s = -INFINITY;
	prepare_hops(relax, problem, limits);
	offer_alone(&best);
	memcpy(dual.price, relax->price, sizeof(dual.price));
	memcpy(dual.share, relax->share, sizeof(dual.share));
	for (uint32_t i = 0; i < relax->n; i++)
		sum += dual.share[i];
	for (uint32_t i = 0; sum > goal->more_chunks && i < relax->n; i++)
		dual.share[i] *= goal->more_chunks / sum;
	for (uint32_t step = 0; step < goal->steps; step++) {
		evaluate(relax, &best, &dual);
		try_real(&best, relax, &dual, step, scratch);
		if (dual.bound_s > top.bound_s) {
			top = dual;
			relax->bound_s = dual.bound_s;
			memcpy(relax->price, dual.price, sizeof(dual.price));
			memcpy(relax->share, dual.share, sizeof(dual.share));
			unchanged = 0;
		} else if (++unchanged % PATIENCE == 0) {
			stride /= 2;
		}
		if (relax->bound_s * (1 - SURE) >= best.least_s * (1 - 2 * SURE))
			return *found ? RELAX_SOLVED : RELAX_PRUNED;
		const double aim = isinf(best.least_s) ? relax->bound_s * 1.1 : best.least_s;
		if (!move(&dual, &top, &best, stride * (aim - relax->bound_s)))
			break;
	}
	weigh(relax, problem, none);
	run_backwards(relax, problem, limits, relax->price);
	for (uint32_t t = 0; t <= relax->n_slots; t++)
		for (uint32_t i = 0; i < relax->n; i++)
			relax->rest[(size_t)i * (relax->n_slots + 1) + t] =
				relax->finish[(size_t)t * relax->n + i];
	return RELAX_OPEN;
}
