#include "planner/relax.h"

#include "planner/bound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SURE         1e-13 /* relative: a bound this close to a cost is the cost */
#define PASS_STEPS   5     /* what a boundary of a pass takes, beside one of a walk over orders */
#define PATIENCE     3     /* steps without a better bound before steps are halved */
#define REPAIR_EVERY 6     /* a relaxed way is made a real one at every so many steps */

int relax_init(struct relax *relax, uint32_t n, uint32_t n_slots, struct fail *fail)
{
	const size_t cells = (size_t)n * (n_slots + 1);
	memset(relax, 0, sizeof(*relax));
	relax->work = malloc(cells * sizeof(double));
	relax->finish = malloc(cells * sizeof(double));
	relax->rest = malloc(cells * sizeof(double));
	relax->go = malloc(cells * sizeof(double));
	relax->through = malloc(cells * sizeof(double));
	relax->end = malloc(cells * sizeof(uint16_t));
	relax->key = malloc(cells * sizeof(double));
	relax->place = malloc(cells * sizeof(uint16_t));
	relax->start = malloc((n_slots + 1) * sizeof(double));
	if (relax->work && relax->finish && relax->rest && relax->through && relax->go &&
	    relax->end && relax->key && relax->place && relax->start)
		return 0;
	relax_finish(relax);
	return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
}

void relax_finish(struct relax *relax)
{
	free(relax->work);
	free(relax->finish);
	free(relax->rest);
	free(relax->through);
	free(relax->go);
	free(relax->end);
	free(relax->key);
	free(relax->place);
	free(relax->start);
	memset(relax, 0, sizeof(*relax));
}

/* ---- the programme, backwards ---- */

struct pass {
	struct relax *relax;
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const double *price;
	uint16_t first[PLAN_DEVICES_MAX], last[PLAN_DEVICES_MAX]; /* of each device's candidates */
};

static void prepare_hops(struct relax *relax, const struct ring_problem *problem,
			 const struct ring_limits *limits)
{
	for (uint32_t full = 0; full < 2; full++) {
		const uint32_t times = problem->rounds - 1 + full;
		for (uint32_t to = 0; to < problem->n; to++) {
			for (uint32_t from = 0; from < problem->n; from++) {
				const bool fits =
					times * problem->send_s[from][to] < limits->caps.chunk_s;
				relax->enter[full][to][from] =
					fits && from != to ? times * problem->hop_s[from][to]
							   : INFINITY;
			}
		}
	}
}

/* Candidates are kept with falling keys from first to last: the window minimum. */
static inline void push(struct pass *pass, uint32_t at, uint32_t end, double key)
{
	const struct relax *relax = pass->relax;
	const size_t row = (size_t)at * (relax->n_slots + 1);
	uint32_t last = pass->last[at];
	while (last > pass->first[at] && relax->key[row + last - 1] >= key)
		last--;
	relax->key[row + last] = key;
	relax->place[row + last] = (uint16_t)end;
	pass->last[at] = (uint16_t)(last + 1);
}

static double key_of(const struct pass *pass, uint32_t at, uint32_t end)
{
	return pass->relax->work[at * (pass->relax->n_slots + 1) + end] +
	       pass->relax->finish[(size_t)end * pass->relax->n + at];
}

/* Where the ways back to the head change, all candidates are looked at again. */
static void push_again(struct pass *pass, uint32_t at, uint32_t s)
{
	pass->first[at] = pass->last[at] = 0;
	for (uint32_t end = pass->problem->n_slots; end > s; end--)
		push(pass, at, end,
		     key_of(pass, at, end) + ring_back_s(pass->problem, pass->limits, at, s, end));
}

static void best_ranges(struct pass *pass, uint32_t s)
{
	const struct relax *relax = pass->relax;
	const uint32_t Q = relax->n_slots, n = relax->n;
	const double *work = relax->work;
	const uint16_t *first = pass->limits->first;
	for (uint32_t at = 0; at < n; at++) {
		const size_t row = (size_t)at * (Q + 1);
		uint32_t top = pass->first[at];
		while (top < pass->last[at] && first[row + relax->place[row + top]] > s)
			top++;
		pass->first[at] = (uint16_t)top;
		const size_t cell = (size_t)s * n + at;
		relax->go[cell] = INFINITY;
		relax->end[cell] = 0;
		if (top == pass->last[at] || at == pass->limits->head)
			continue; /* the head comes first, and only once */
		relax->go[cell] = relax->key[row + top] - work[row + s] + pass->price[at];
		relax->end[cell] = relax->place[row + top];
	}
}

static inline void lower(double *finish, const double *enter, double go, uint32_t n)
{
	for (uint32_t from = 0; from < n; from++) {
		const double value = enter[from] + go;
		finish[from] = value < finish[from] ? value : finish[from];
	}
}

/* C_j(s) for all j. The two cheapest go first; what costs more than all that is there already
 * cannot help. */
static void best_next(struct pass *pass, uint32_t s)
{
	struct relax *relax = pass->relax;
	const uint32_t n = relax->n;
	const bool full = s < pass->problem->n_last;
	const double *go = relax->go + (size_t)s * n;
	double *finish = relax->finish + (size_t)s * n;
	uint32_t best = 0, second = n > 1;
	double most = 0;
	for (uint32_t i = 0; i < n; i++)
		finish[i] = INFINITY;
	if (go[second] < go[best]) {
		best = second;
		second = 0;
	}
	for (uint32_t i = 2; i < n; i++) {
		if (go[i] < go[best]) {
			second = best;
			best = i;
		} else if (go[i] < go[second]) {
			second = i;
		}
	}
	lower(finish, relax->enter[full][best], go[best], n);
	lower(finish, relax->enter[full][second], go[second], n);
	for (uint32_t i = 0; i < n; i++)
		most = finish[i] > most ? finish[i] : most;
	for (uint32_t i = 0; i < n; i++)
		if (go[i] < most && i != best && i != second)
			lower(finish, relax->enter[full][i], go[i], n);
}

static void run_backwards(struct relax *relax, const struct ring_problem *problem,
			  const struct ring_limits *limits, const double *price)
{
	const uint32_t Q = problem->n_slots;
	struct pass pass = { .relax = relax, .problem = problem, .limits = limits, .price = price };
	relax->steps -= PASS_STEPS * (int64_t)relax->n * Q;
	for (uint32_t at = 0; at < relax->n; at++)
		relax->finish[(size_t)Q * relax->n + at] = 0;
	for (uint32_t s = Q; s-- > 0;) {
		const bool again = s + 1 == Q || s + 1 == problem->n_last;
		for (uint32_t at = 0; at < relax->n; at++) {
			if (again)
				push_again(&pass, at, s);
			else
				push(&pass, at, s + 1, key_of(&pass, at, s + 1));
		}
		best_ranges(&pass, s);
		best_next(&pass, s);
	}
}

/* ---- the relaxed way ---- */

struct trail {
	struct ring_way way; /* parts beyond the first n are not kept */
	uint32_t visits[PLAN_DEVICES_MAX];
	bool simple;                      /* nobody is visited twice */
	double cost_s;                    /* with prices and shares */
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

/* Whom the cheapest way visits after `at` at boundary s: the one that made C_at(s). */
static uint32_t next_of(const struct relax *relax, const struct pass *pass, uint32_t at, uint32_t s)
{
	const struct ring_problem *problem = pass->problem;
	const uint32_t n = relax->n, Q = relax->n_slots;
	const bool full = s < problem->n_last;
	double best = INFINITY;
	uint32_t next = n;
	for (uint32_t to = 0; to < n; to++) {
		const double hop_s = relax->enter[full][to][at];
		if (to == pass->limits->head || isinf(hop_s))
			continue;
		const uint32_t end = relax->end[(size_t)s * n + to];
		if (end == 0)
			continue; /* it can take nothing from here on */
		const double cost = hop_s + pass->price[to] + key_of(pass, to, end) -
				    relax->work[to * (Q + 1) + s] +
				    ring_back_s(problem, pass->limits, to, s, end);
		if (cost < best) {
			best = cost;
			next = to;
		}
	}
	return next;
}

/* Follows the cheapest way from the head; false when there is none but the head alone. */
static bool follow(const struct pass *pass, struct trail *trail)
{
	const struct relax *relax = pass->relax;
	const uint32_t Q = relax->n_slots, n = relax->n;
	uint32_t at = pass->limits->head, s = 0;
	trail->simple = true;
	trail->cost_s = INFINITY;
	trail->way.head = pass->limits->head;
	trail->way.n_parts = 0;
	memset(trail->visits, 0, n * sizeof(trail->visits[0]));
	memset(trail->chunk_s, 0, n * sizeof(trail->chunk_s[0]));
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
		add_part(trail, pass->problem, at, 0, s);
	while (s < Q) {
		at = next_of(relax, pass, at, s);
		const uint32_t end = relax->end[(size_t)s * n + at];
		add_part(trail, pass->problem, at, s, end);
		s = end;
	}
	return true;
}

/* ---- real ways ---- */

struct best {
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const struct relax_goal *goal;
	double least_s; /* work + m beta of the way, or what it has to beat */
	struct ring_way *way;
	bool found;
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
	best->found = true;
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
		double *weighed = relax->work + i * (Q + 1);
		for (uint32_t t = 0; t <= Q; t++)
			weighed[t] = work[t] + share[i] * chunk[t];
	}
}

/* What a cost with these prices and shares is above the bound that it stands for. */
static double surplus(const struct relax *relax, const struct relax_goal *goal, uint32_t head,
		      const double *price, const double *share)
{
	double surplus_s = -goal->more_chunks * goal->low_s;
	for (uint32_t i = 0; i < relax->n; i++)
		surplus_s += (i == head ? 0 : price[i]) + share[i] * goal->low_s;
	return surplus_s;
}

/* Evaluates a point: the bound of ways over several devices and that of the head alone. */
static void evaluate(struct relax *relax, const struct best *best, struct dual *dual)
{
	const struct ring_problem *problem = best->problem;
	const struct ring_limits *limits = best->limits;
	const struct relax_goal *goal = best->goal;
	const struct pass pass = {
		.relax = relax, .problem = problem, .limits = limits, .price = dual->price
	};
	const uint32_t Q = problem->n_slots, head = limits->head;
	const double alone_chunk_s = problem->chunk_s[head * (Q + 1) + Q];
	weigh(relax, problem, dual->share);
	ring_start(problem, limits, relax->work, relax->start);
	const double alone = relax->start[Q] - dual->share[head] * alone_chunk_s +
			     goal->more_chunks * fmax(goal->low_s, alone_chunk_s);
	run_backwards(relax, problem, limits, dual->price);
	dual->shared = follow(&pass, &dual->trail);
	dual->bound_s = fmin(alone, dual->trail.cost_s -
					    surplus(relax, goal, head, dual->price, dual->share));
}

static void shrink(double *share, uint32_t n, double most)
{
	double sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += share[i];
	for (uint32_t i = 0; sum > most && i < n; i++)
		share[i] *= most / sum;
}

/* Moves from `from` along the subgradient by `length` of bound; false when it is zero. */
static bool move(struct dual *to, const struct dual *from, const struct best *best, double length)
{
	const uint32_t n = best->problem->n, head = best->limits->head;
	const struct relax_goal *goal = best->goal;
	double visit_norm = 0, chunk_norm = 0;
	for (uint32_t i = 0; i < n; i++) {
		const double visits = (double)from->trail.visits[i] - 1;
		const double chunk = from->trail.chunk_s[i] - goal->low_s;
		if (i != head && (visits > 0 || from->price[i] > 0))
			visit_norm += visits * visits;
		if (!goal->plain && goal->more_chunks > 0 && (chunk > 0 || from->share[i] > 0))
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
	}
	shrink(to->share, n, goal->more_chunks);
	return visit_norm > 0 || chunk_norm > 0;
}

static void try_real(struct best *best, const struct relax *relax, struct dual *dual, uint32_t step,
		     double *scratch)
{
	if (!dual->shared)
		return;
	if (dual->trail.simple)
		offer(best, &dual->trail.way);
	else if (step % REPAIR_EVERY == 0)
		repair(best, relax, &dual->trail, scratch);
}

bool relax_closed(const struct relax *relax, double least_s)
{
	return relax->bound_s >= least_s * (1 - SURE);
}

bool relax_solve(struct relax *relax, const struct ring_problem *problem,
		 const struct ring_limits *limits, const struct relax_goal *goal, double *scratch,
		 struct ring_way *way)
{
	struct best best = { problem, limits, goal, goal->least_s, way, false };
	struct dual dual, top;
	double stride = 1;
	uint32_t unchanged = 0;
	relax->n = problem->n;
	relax->n_slots = problem->n_slots;
	relax->bound_s = top.bound_s = -INFINITY;
	prepare_hops(relax, problem, limits);
	offer_alone(&best);
	memcpy(dual.price, relax->price, sizeof(dual.price));
	memcpy(dual.share, relax->share, sizeof(dual.share));
	shrink(dual.share, relax->n, goal->plain ? 0 : goal->more_chunks);
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
		if (relax_closed(relax, best.least_s))
			break;
		if (step == 0 && goal->guided &&
		    bound_prices(problem, limits, dual.share, dual.price))
			continue;
		const double aim = isinf(best.least_s) ? relax->bound_s * 1.1 : best.least_s;
		if (!move(&dual, &top, &best, stride * (aim - relax->bound_s)))
			break;
	}
	return best.found;
}

/* Least cost of ways over several devices from the head whose start is in relax->start. */
static double least_shared(const struct relax *relax, uint32_t head)
{
	double least = INFINITY;
	for (uint32_t t = 0; t < relax->n_slots; t++)
		least = fmin(least, relax->start[t] + relax->finish[(size_t)t * relax->n + head]);
	return least;
}

void relax_heads(struct relax *relax, const struct ring_problem *problem,
		 struct ring_limits *limits, const struct ring_caps *caps,
		 const struct relax_goal *goal, double *bound)
{
	const uint32_t Q = problem->n_slots;
	double share[PLAN_DEVICES_MAX];
	relax->n = problem->n;
	relax->n_slots = Q;
	memcpy(share, relax->share, sizeof(share));
	shrink(share, relax->n, goal->more_chunks);
	ring_limits_set(limits, problem, (uint16_t)problem->n, caps);
	prepare_hops(relax, problem, limits);
	weigh(relax, problem, share);
	run_backwards(relax, problem, limits, relax->price);
	for (uint32_t head = 0; head < problem->n; head++) {
		const double chunk_s = problem->chunk_s[head * (Q + 1) + Q];
		ring_limits_set(limits, problem, (uint16_t)head, caps);
		ring_start(problem, limits, relax->work, relax->start);
		const double alone = relax->start[Q] - share[head] * chunk_s +
				     goal->more_chunks * fmax(goal->low_s, chunk_s);
		bound[head] = fmin(alone, least_shared(relax, head) -
						  surplus(relax, goal, head, relax->price, share));
	}
}

void relax_settle(struct relax *relax, const struct ring_problem *problem,
		  const struct ring_limits *limits)
{
	static const double none[PLAN_DEVICES_MAX];
	const uint32_t Q = relax->n_slots, n = relax->n;
	weigh(relax, problem, none);
	run_backwards(relax, problem, limits, relax->price);
	for (uint32_t t = 0; t < Q; t++) {
		for (uint32_t i = 0; i < n; i++) {
			relax->rest[(size_t)i * (Q + 1) + t] = relax->finish[(size_t)t * n + i];
			relax->through[(size_t)i * (Q + 1) + t] = relax->go[(size_t)t * n + i];
		}
	}
}
