/* relax.h: a strong lower bound for all orders at once, and what it costs to go on from anywhere.
 *
 * The relaxed problem forgets which devices were visited already: a way may come to a device twice.
 * In return each visit of device i costs a price l_i >= 0 more, and the sum of all prices is taken
 * off the result (Lagrangian duality: a way that visits every device at most once then costs no
 * more than before). The relaxed problem is a programme over (last device, boundary), solved
 * backwards,
 *
 *   C_j(s) = min over i, t of  n(s) hop_ji + l_i + W_i(t) - W_i(s) + back_i(s, t) + C_i(t)
 *
 * so C_j(s) is at the same time a bound for finishing any partial way that stands at (j, s).
 *
 * What is bounded is work + m beta, where m is the number of further chunks and beta, the slowest
 * place, is at least `low`: for shares m_i >= 0 with a sum of at most m,
 *
 *   m beta >= sum of m_i chunk_i + (m - sum of m_i) low
 *
 * and the first sum enters the work of each device. Prices rise for devices visited twice and fall
 * for those not visited, shares rise for those slower than `low` and fall for the others
 * (subgradient steps of Polyak's length), until the bound reaches the best value or the steps end.
 * Relaxed ways that are ways, or can be made ways, are offered as good ones. */
#ifndef PLANNER_RELAX_H
#define PLANNER_RELAX_H

#include "planner/ring.h"

struct relax {
	uint32_t n, n_slots;
	double price[PLAN_DEVICES_MAX]; /* the best found; kept from one solve to the next */
	double share[PLAN_DEVICES_MAX]; /* likewise; by which the shares of m are meant */
	double bound_s;                 /* of work + m beta, that they prove */
	int64_t steps;  /* lowered by the work done, in boundaries looked at; the owner sets it */
	double *work;   /* [n, Q + 1] with the shares */
	double *finish; /* [Q + 1, n] C_j(s) */
	double *rest, *through; /* [n, Q + 1] `finish` and `go` for walks, see relax_settle */
	double *go; /* [Q + 1, n] cheapest range of each device from a boundary on, and the rest */
	uint16_t *end; /* [Q + 1, n] where that range ends; 0: there is none */
	double *key; /* [n, Q + 1] candidates for an end, by device: what it costs from there... */
	uint16_t *place; /* [n, Q + 1] ...and which boundary it is */
	double *start;   /* [Q + 1] */
	double enter[2][PLAN_DEVICES_MAX][PLAN_DEVICES_MAX]; /* [round is full, to, from] */
};

/* Room for problems of up to `n` devices and `n_slots` slots; prices are 0. */
int relax_init(struct relax *relax, uint32_t n, uint32_t n_slots, struct fail *fail);
void relax_finish(struct relax *relax);

struct relax_goal {
	double more_chunks; /* m */
	double low_s;       /* beta is at least this: nothing below counts as a way */
	double least_s;     /* the best known value of work + m beta */
	uint32_t steps;
	bool plain;  /* no shares: the bound is one of work, and m low */
	bool guided; /* the second step is at the prices of bound.h */
};

/* Raises relax->bound_s, a lower bound of work + m beta of any way within `limits`, by at most
 * goal->steps steps and no further than goal->least_s. `way` is the best way seen, if any is better
 * than that; gives whether there is one. */
bool relax_solve(struct relax *relax, const struct ring_problem *problem,
		 const struct ring_limits *limits, const struct relax_goal *goal, double *scratch,
		 struct ring_way *way);

/* Places in `bound`, by head, a bound of work + m beta of any way with that head and below the caps:
 * one programme for all heads, with the cheapest way back to any of them, at the best prices and
 * shares known. `limits` stand for the last head afterwards. */
void relax_heads(struct relax *relax, const struct ring_problem *problem,
		 struct ring_limits *limits, const struct ring_caps *caps,
		 const struct relax_goal *goal, double *bound);

/* Whether the bound shows that nothing is better than `least_s`. */
bool relax_closed(const struct relax *relax, double least_s);

/* Works out, for the best prices and without shares, what relax_rest and relax_through give from
 * then on. */
void relax_settle(struct relax *relax, const struct ring_problem *problem,
		  const struct ring_limits *limits);

/* Least cost of going on from device `last`, by boundary; and of going on through device `at`, the
 * hop to it not counted. The sum of the prices of devices not used yet is still to be taken off. */
static inline const double *relax_rest(const struct relax *relax, uint32_t last)
{
	return relax->rest + (size_t)last * (relax->n_slots + 1);
}

static inline const double *relax_through(const struct relax *relax, uint32_t at)
{
	return relax->through + (size_t)at * (relax->n_slots + 1);
}

#endif
