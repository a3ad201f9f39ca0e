/* relax.h: a strong lower bound for all orders at once, and what it costs to go on from anywhere.
 *
 * The relaxed problem forgets which devices were visited already: a way may come to a device twice.
 * In return each visit of device i costs a price l_i >= 0 more, and the sum of all prices is taken
 * off the result (Lagrangian duality: a way that visits every device at most once then costs no more
 * than before). The relaxed problem is a programme over (last device, boundary), solved backwards,
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
 * (subgradient steps), until the bound reaches the threshold, or the best way, or the steps end. */
#ifndef PLANNER_RELAX_H
#define PLANNER_RELAX_H

#include "planner/ring.h"

struct relax_entry {
	double key;
	uint32_t end;
};

struct relax {
	uint32_t n;
	double price[PLAN_DEVICES_MAX]; /* the best found; kept from one solve to the next */
	double share[PLAN_DEVICES_MAX]; /* likewise; by which the shares of m are meant */
	double bound_s;                 /* that they prove */
	double *work; /* [n, Q + 1] with the shares */
	uint32_t n_slots;
	double *finish; /* [Q + 1, n] C_j(s) for these prices */
	double *rest;   /* [n, Q + 1] the same, when the last solve was RELAX_OPEN */
	double *go;     /* [Q + 1, n] cheapest range of each device from a boundary on, and the rest */
	uint16_t *end;  /* [Q + 1, n] where that range ends */
	struct relax_entry *queue; /* [n, Q + 1] */
	double *start;             /* [Q + 1] */
	double enter[2][PLAN_DEVICES_MAX][PLAN_DEVICES_MAX]; /* [round is full, to, from] */
};

/* Room for problems of up to `n` devices and `n_slots` slots; prices are 0. */
int relax_init(struct relax *relax, uint32_t n, uint32_t n_slots, struct fail *fail);
void relax_finish(struct relax *relax);

enum relax_result {
	RELAX_PRUNED, /* no way below the threshold */
	RELAX_SOLVED, /* `way` is the best one */
	RELAX_OPEN    /* neither is shown; `way` may hold a good one, if `found` */
};

struct relax_goal {
	double more_chunks; /* m */
	double low_s;       /* beta is at least this: nothing below counts as a way */
	double threshold;   /* of work + m beta */
	uint32_t steps;
};

/* Improves the bound by at most goal->steps steps. `way` (with *found) is the best way seen, below
 * the threshold and the caps of `limits`. After RELAX_OPEN, `finish` holds C for the best prices and
 * no shares. */
enum relax_result relax_solve(struct relax *relax, const struct ring_problem *problem,
			      const struct ring_limits *limits, const struct relax_goal *goal,
			      double *scratch, struct ring_way *way, bool *found);

/* Least cost of going on from device `last` at boundary `t`. The sum of the prices of devices not
 * used yet is still to be taken off. */
static inline double relax_rest(const struct relax *relax, uint32_t last, uint32_t t)
{
	return relax->rest[(size_t)last * (relax->n_slots + 1) + t];
}

#endif
