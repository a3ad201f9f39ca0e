/* ring.h: layers dealt out to a ring of devices: the programme at the heart of planning.
 *
 * For k rounds the L layers are folded into Q = ceil(L / k) slots: slot q stands for the layers
 * q, q + Q, q + 2Q, ... A device takes a range of slots [s, t) and thus one window a round, at the
 * same place in every round; the last round may be shorter (R = L - (k - 1) Q slots). k = 1 is the
 * plain ring with ranges of layers. The head comes first; with k > 1 it holds at least one slot,
 * with k = 1 it may hold none (then it only embeds and computes the output).
 *
 * Costs are additive in slots, so a device's work for [s, t) is a difference of prefix sums, and
 * what it may take is bounded below in s by sums that grow with t - s (memory, and the caps below):
 *
 *   V_i(t) = W_i(t) + min over s in [first_i(t), t) of ( E_i(s) - W_i(s) + exit )
 *   E_i(s) = min over devices j before i of V_j(s) + n(s) hop_ji        n(s): rounds with slot s
 *
 * which a window minimum evaluates in O(Q) per device once E_i is known. It is exact for slots of
 * unequal bytes and costs and for unequal links. ring_solve_order does so along one given order;
 * orders.h over all orders.
 *
 * Two quantities are maxima, not sums: the slowest place's time per prompt chunk, and the slowest
 * disk. They enter as caps: the solvers give the least work of all plans strictly below both caps,
 * and the caller searches over caps. */
#ifndef PLANNER_RING_H
#define PLANNER_RING_H

#include "planner/cost.h"

struct ring_problem {
	const struct cost *cost; /* borrowed */
	uint32_t n;              /* devices that may take part... */
	uint16_t device[PLAN_DEVICES_MAX]; /* ...and their index in cost */
	uint32_t rounds;  /* k */
	uint32_t chunk;   /* index into cost->chunk_rows */
	uint32_t n_slots; /* Q */
	uint32_t n_last;  /* R, 1 to Q */
	double *weights;  /* [Q + 1] bytes of slots below t */
	double *kv;       /* [Q + 1] bytes of K and V of slots below t */
	double *work;     /* [n, Q + 1] seconds of the turn: chunk + (T - 1) token */
	double *chunk_s;  /* [n, Q + 1] seconds per chunk of a prompt */
	double *mass;     /* [Q + 1] shares of devices' work, averaged: measures slots in bounds */
	double hop_s[PLAN_DEVICES_MAX][PLAN_DEVICES_MAX];  /* seconds of the turn, one traversal */
	double send_s[PLAN_DEVICES_MAX][PLAN_DEVICES_MAX]; /* per chunk, one traversal */
	double entry_s[PLAN_DEVICES_MAX]; /* least hop to this one */
	double back_s[PLAN_DEVICES_MAX], back_send_s[PLAN_DEVICES_MAX]; /* least from this one */
	double output_s[PLAN_DEVICES_MAX]; /* seconds of the turn when this one is the head */
	double slope[PLAN_DEVICES_MAX]; /* least work per mass of any slot */
	double chunk_slope[PLAN_DEVICES_MAX]; /* least chunk seconds per mass of any slot */
};

/* Builds the problem for the devices (indices into cost) that may work together. */
int ring_problem_init(struct ring_problem *problem, const struct cost *cost,
		      const uint16_t *devices, uint32_t n, uint32_t rounds, uint32_t chunk,
		      struct fail *fail);
void ring_problem_finish(struct ring_problem *problem);

struct ring_caps {
	double chunk_s; /* every device's compute and every used link per chunk stays below */
	double disk_s;  /* every device's disk time per token stays below */
};

struct ring_part {
	uint16_t device; /* index into the problem */
	uint16_t first_slot, end_slot;
};

/* A way round the ring: devices with slots, in ring order. The head is the first part, unless it
 * holds nothing. */
struct ring_way {
	uint16_t head;
	uint16_t n_parts;
	struct ring_part parts[PLAN_DEVICES_MAX];
	double work_s;  /* the sum: work, hops, output */
	double chunk_s; /* the slowest place */
	double disk_s;
};

/* What each device can take, for one head and one pair of caps. */
struct ring_limits {
	bool set;
	uint16_t head; /* n: any; nobody holds its tables, and the way back is the cheapest */
	struct ring_caps caps;
	uint16_t *first;  /* [n, Q + 1]: lowest s such that [s, t) is allowed; t when nothing is */
	uint16_t *memory; /* the same without the cap on chunks */
	uint32_t stale;   /* a bit for each device whose `first` is not that of the caps */
	double mass[PLAN_DEVICES_MAX]; /* most mass of any range that memory and disk allow */
};

int ring_limits_init(struct ring_limits *limits, const struct ring_problem *problem,
		     struct fail *fail);
void ring_limits_finish(struct ring_limits *limits);
void ring_limits_set(struct ring_limits *limits, const struct ring_problem *problem, uint16_t head,
		     const struct ring_caps *caps);
/* The same but for `first`, which is wrong until ring_limits_set: enough for bound.h. */
void ring_limits_cap(struct ring_limits *limits, const struct ring_problem *problem, uint16_t head,
		     const struct ring_caps *caps);

/* Disk time per token of device `at` for slots [s, t), as head or not; infinite: does not fit. */
double ring_disk_s(const struct ring_problem *problem, uint32_t at, bool head, uint32_t s,
		   uint32_t t);

/* Whether device `at` has room for the head's tables alone. */
bool ring_head_fits(const struct ring_problem *problem, uint32_t at);

/* Rounds that have slot s. */
static inline uint32_t ring_rounds_of(const struct ring_problem *problem, uint32_t s)
{
	return problem->rounds - (s >= problem->n_last);
}

/* Costs by boundary; finite only from `low` to `high`, and perhaps at Q. */
struct ring_row {
	double *cost; /* [Q + 1] */
	uint32_t low, high;
};

/* Cost at boundary t when the head holds slots [0, t): the start of every way. `work` is that of the
 * problem, or one weighted in its stead. */
void ring_start(const struct ring_problem *problem, const struct ring_limits *limits,
		const double *work, double *out);

/* Lowers enter->cost[s] to from[s - low] and the hop from device `before` to device `at`, for s in
 * [low, high]; widens enter's range. An empty row has low > high. */
void ring_enter(const struct ring_problem *problem, const struct ring_limits *limits,
		uint32_t before, uint32_t at, const double *from, uint32_t low, uint32_t high,
		struct ring_row *enter);
void ring_row_clear(struct ring_row *row, uint32_t n_slots);

/* One device's step: out[t] = least cost of slots below t when device `at` holds the last of them;
 * out[Q] includes the ways back to the head. Only out->low to out->high and out[Q] are written.
 * `queue` has Q + 1 places. */
void ring_step(const struct ring_problem *problem, const struct ring_limits *limits,
	       const double *work, uint32_t at, const struct ring_row *enter, struct ring_row *out,
	       uint16_t *queue);

/* What `at` pays beside its work and the hop to it when it holds [s, t): hops back to the head.
 * Infinite when a cap forbids it. */
double ring_back_s(const struct ring_problem *problem, const struct ring_limits *limits,
		   uint32_t at, uint32_t s, uint32_t t);

/* Evaluates a way whose head and parts are set: work, chunk and disk maxima. */
void ring_evaluate(const struct ring_problem *problem, struct ring_way *way);

/* Least work along `order` (n entries, the head first): false when there is no way below
 * `threshold` and the caps of `limits`. With `work` weighted, that is what is least and compared
 * with the threshold; the way is evaluated by the problem's own. */
bool ring_solve_order(const struct ring_problem *problem, const struct ring_limits *limits,
		      const double *work, const uint16_t *order, uint32_t n, double threshold,
		      double *scratch, struct ring_way *way);

/* Places of `double` that ring_solve_order needs in `scratch`. */
size_t ring_scratch_size(const struct ring_problem *problem);

#endif
