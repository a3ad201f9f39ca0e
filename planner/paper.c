#include "planner/paper.h"

#include "planner/cost.h"
#include "planner/explain.h"
#include "planner/forecast.h"
#include "planner/pinned.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_DISK 0.1e9 /* bytes per second; the paper's threshold, a number of the reference code */

/* ---- one device ---- */

static double head_bytes(const struct paper_problem *problem, uint32_t m)
{
	return m == 0 ? problem->row_bytes + problem->output_bytes : 0;
}

/* Layers of all rounds that fit into `bytes`, as a bound on w or w - n. */
static double layers_in(const struct paper_problem *problem, uint32_t window, double bytes)
{
	return window * bytes / (problem->n_layers * problem->layer_full_bytes);
}

static double most_gpu_layers(const struct paper_problem *problem, uint32_t m, uint32_t window)
{
	const struct paper_device *device = &problem->devices[m];
	const double output =
		m == 0 && device->system == PAPER_METAL ? problem->output_bytes : 0;
	return device->gpu_bytes > 0
		       ? fmax(0, layers_in(problem, window, device->gpu_bytes - output))
		       : 0;
}

static bool overflows(const struct paper_problem *problem, uint32_t m, uint32_t window, uint32_t w,
		      uint32_t n)
{
	const struct paper_device *device = &problem->devices[m];
	const double o = head_bytes(problem, m);
	switch (device->system) {
	case PAPER_LINUX:
		return w - n > layers_in(problem, window, device->ram_bytes - o);
	case PAPER_MACOS:
		return w > layers_in(problem, window, device->ram_bytes - o);
	case PAPER_METAL:
		return w > layers_in(problem, window, device->gpu_bytes - o);
	}
	return false;
}

static enum paper_set set_of(const struct paper_device *device, bool overflow)
{
	static const enum paper_set full[] = { [PAPER_LINUX] = PAPER_M3,
					       [PAPER_MACOS] = PAPER_M1,
					       [PAPER_METAL] = PAPER_M2 };
	return overflow ? full[device->system] : PAPER_M4;
}

/* The part of T that a device causes, constants of its set included; infinite: not allowed. */
static double device_cost(const struct paper_problem *problem, uint32_t m, uint32_t rounds,
			  uint32_t w, uint32_t n, enum paper_set *set)
{
	const struct paper_device *device = &problem->devices[m];
	const uint32_t window = problem->n_layers / rounds;
	const bool overflow = overflows(problem, m, window, w, n);
	const double s = device->disk_bytes_per_s;
	double a = device->alpha_s, b = device->gpu_bytes > 0 ? device->beta_s : 0, constant = 0;
	*set = set_of(device, overflow);
	if (w < 1 || n > w || n > most_gpu_layers(problem, m, window) || (overflow && s < SLOW_DISK))
		return INFINITY;
	switch (*set) {
	case PAPER_M1:
		a += problem->layer_full_bytes / s;
		b = 0;
		constant = -device->ram_bytes / s;
		break;
	case PAPER_M2:
		a += problem->layer_bytes / s;
		break;
	case PAPER_M3:
		a += problem->layer_full_bytes / s;
		b -= problem->layer_full_bytes / s;
		constant = -device->ram_bytes / s;
		break;
	case PAPER_M4:
		break;
	}
	if (m == 0) {
		constant += problem->output_s;
		if (s > 0)
			constant += problem->row_bytes / s;
		if (*set != PAPER_M4)
			constant += problem->output_bytes / s;
	}
	return rounds * (a * w + b * n + device->xi_s) + constant;
}

double paper_cost(const struct paper_problem *problem, uint32_t rounds, const uint32_t *w,
		  const uint32_t *n, enum paper_set *set)
{
	double sum = 0;
	for (uint32_t m = 0; m < problem->n_devices; m++)
		sum += device_cost(problem, m, rounds, w[m], n[m], &set[m]);
	return sum;
}

/* ---- all devices, for one k ---- */

/* h_m(w), and the n that gives it. */
static double least_over_n(const struct paper_problem *problem, uint32_t m, uint32_t rounds,
			   uint32_t w, uint32_t *best_n)
{
	double best = INFINITY;
	for (uint32_t n = 0; n <= w; n++) {
		enum paper_set set;
		const double cost = device_cost(problem, m, rounds, w, n, &set);
		if (cost >= best)
			continue;
		best = cost;
		*best_n = n;
	}
	return best;
}

static bool solve_rounds(struct paper_solution *best, const struct paper_problem *problem,
			 uint32_t rounds)
{
	const uint32_t W = problem->n_layers / rounds, M = problem->n_devices;
	double *least = malloc((size_t)(M + 1) * (W + 1) * sizeof(double)); /* D_m(t) */
	uint16_t *taken = calloc((size_t)(M + 1) * (W + 1), sizeof(uint16_t));
	uint32_t ignored;
	if (!least || !taken) {
		free(least);
		free(taken);
		return false;
	}
	for (uint32_t t = 0; t <= W; t++)
		least[t] = t == 0 ? 0 : INFINITY;
	for (uint32_t m = 0; m < M; m++) {
		double *next = least + (size_t)(m + 1) * (W + 1);
		const double *before = next - (W + 1);
		for (uint32_t t = 0; t <= W; t++)
			next[t] = INFINITY;
		for (uint32_t w = 1; w <= W; w++) {
			const double h = least_over_n(problem, m, rounds, w, &ignored);
			for (uint32_t t = w; !isinf(h) && t <= W; t++) {
				if (before[t - w] + h >= next[t])
					continue;
				next[t] = before[t - w] + h;
				taken[(m + 1) * (W + 1) + t] = (uint16_t)w;
			}
		}
	}
	const double total = least[(size_t)M * (W + 1) + W];
	const bool better = total < best->token_s;
	if (better) {
		best->rounds = rounds;
		for (uint32_t m = M, t = W; m-- > 0; t -= best->w[m]) {
			best->w[m] = taken[(m + 1) * (W + 1) + t];
			least_over_n(problem, m, rounds, best->w[m], &best->n[m]);
		}
		best->token_s = paper_cost(problem, rounds, best->w, best->n, best->set);
	}
	free(least);
	free(taken);
	return better;
}

bool paper_solve(struct paper_solution *solution, const struct paper_problem *problem,
		 uint32_t rounds)
{
	const uint32_t L = problem->n_layers;
	bool found = false;
	solution->token_s = INFINITY;
	for (uint32_t k = 1; k <= L; k++) {
		if (L % k != 0 || (rounds == 0 && k == L && L > 1) || (rounds > 0 && k != rounds))
			continue;
		found |= solve_rounds(solution, problem, k);
	}
	return found;
}

/* ---- from profiles, and back to a plan ---- */

static const struct profile_backend *gpu_backend(const struct profile *profile)
{
	for (uint32_t i = 0; i < profile->n_backends; i++)
		if (profile->backends[i].kind == BACKEND_KIND_VULKAN &&
		    profile->backends[i].n_rates > 0)
			return &profile->backends[i];
	return NULL;
}

/* Mean over layers, as the paper takes it. */
static double mean_layer_s(const struct profile_backend *backend, const struct model_facts *facts)
{
	double sum = 0;
	for (uint32_t layer = 0; layer < facts->n_layers; layer++) {
		const struct unit_facts *unit = &facts->layers[layer];
		sum += backend->layer_overhead_s;
		for (uint32_t i = 0; i < unit->n_types; i++)
			sum += (double)unit->types[i].weights /
			       profile_rate(backend, unit->types[i].type, 1);
	}
	return sum / facts->n_layers;
}

static void fill_device(struct paper_device *out, const struct cost *cost, uint32_t device,
			uint32_t next)
{
	const struct cost_device *at = &cost->devices[device];
	const struct profile_backend *gpu = gpu_backend(at->profile);
	*out = (struct paper_device){ .system = PAPER_LINUX,
				      .alpha_s = mean_layer_s(at->backend, cost->facts),
				      .ram_bytes = (double)at->room_bytes,
				      .disk_bytes_per_s = at->disk_bytes_per_s };
	if (device != next)
		out->xi_s = cost_hop_s(cost, device, next, 1);
	if (!gpu)
		return;
	out->beta_s = mean_layer_s(gpu, cost->facts) - out->alpha_s;
	out->gpu_bytes = (double)(gpu->memory_bytes - gpu->reserve_bytes);
}

static void fill_problem(struct paper_problem *problem, const struct cost *cost,
			 const uint16_t *devices, uint32_t n)
{
	const struct model_facts *facts = cost->facts;
	const uint32_t vocabulary = facts->n_vocab > 0 ? facts->n_vocab : 1;
	double weights = 0, kv = 0;
	for (uint32_t layer = 0; layer < facts->n_layers; layer++) {
		weights += (double)facts->layers[layer].bytes;
		kv += (double)kv_layer_bytes(facts, layer, &cost->kv);
	}
	problem->n_devices = n;
	problem->n_layers = facts->n_layers;
	problem->layer_bytes = weights / facts->n_layers;
	problem->layer_full_bytes = (weights + kv) / facts->n_layers;
	problem->row_bytes = (double)facts->embedding.bytes / vocabulary;
	/* a tied output matrix is the embedding table */
	problem->output_bytes =
		(double)facts->output.bytes + (facts->tied ? (double)facts->embedding.bytes : 0);
	problem->output_s = cost->devices[devices[0]].output_s;
	for (uint32_t i = 0; i < n; i++)
		fill_device(&problem->devices[i], cost, devices[i], devices[(i + 1) % n]);
}

struct paper_ring {
	uint32_t n;
	uint16_t devices[PLAN_DEVICES_MAX]; /* indices into cost, the head first */
	struct paper_solution solution;
};

static uint32_t remove_idle(struct paper_ring *ring)
{
	uint32_t kept = 1;
	for (uint32_t i = 1; i < ring->n; i++)
		if (ring->solution.w[i] > 1)
			ring->devices[kept++] = ring->devices[i];
	const uint32_t removed = ring->n - kept;
	ring->n = kept;
	return removed;
}

/* Solves, removes who got one layer, and solves again; the last solution that there is counts. */
static bool solve_ring(struct paper_ring *ring, const struct cost *cost, uint32_t rounds)
{
	struct paper_problem problem;
	struct paper_ring trial = *ring;
	bool found = false;
	do {
		fill_problem(&problem, cost, trial.devices, trial.n);
		if (!paper_solve(&trial.solution, &problem, rounds))
			break;
		*ring = trial;
		found = true;
	} while (remove_idle(&trial) > 0);
	return found;
}

static bool solve_head(struct paper_ring *ring, const struct cost *cost, uint32_t head,
		       uint32_t rounds)
{
	const uint32_t numerics = cost->devices[head].profile->numerics;
	ring->n = 0;
	ring->devices[ring->n++] = (uint16_t)head;
	for (uint32_t i = 0; i < cost->n_devices; i++)
		if (i != head && !cost->devices[i].unusable &&
		    cost->devices[i].profile->numerics == numerics)
			ring->devices[ring->n++] = (uint16_t)i;
	return solve_ring(ring, cost, rounds);
}

static bool solve_home(struct paper_ring *best, const struct cost *cost,
		       const struct search_wish *wish)
{
	bool found = false;
	for (uint32_t head = 0; head < cost->n_devices; head++) {
		struct paper_ring ring;
		if (cost->devices[head].unusable || (wish->head >= 0 && head != (uint32_t)wish->head))
			continue;
		if (!solve_head(&ring, cost, head, cost->options->pin.rounds) ||
		    (found && ring.solution.token_s >= best->solution.token_s))
			continue;
		*best = ring;
		found = true;
	}
	return found;
}

static void take_ring(struct plan *plan, const struct paper_ring *ring, const struct cost *cost)
{
	uint32_t layer = 0;
	memset(plan, 0, sizeof(*plan));
	plan->epoch = cost->options->epoch;
	plan->model = cost->facts->id;
	plan->context = plan->kv_positions = cost->options->context;
	plan->chunk_rows = cost->chunk_rows[cost->n_chunks - 1];
	plan->wire = cost->options->wire;
	plan->kv_type = cost->options->kv_type;
	plan->head = ring->devices[0];
	plan->numerics = cost->devices[plan->head].profile->numerics;
	plan->rounds = (uint16_t)ring->solution.rounds;
	plan->n_devices = (uint16_t)cost->n_devices;
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		plan->devices[i].id = cost->devices[i].profile->device;
		memcpy(plan->devices[i].name, cost->devices[i].profile->name, DEVICE_NAME_BYTES);
	}
	for (uint32_t round = 0; round < ring->solution.rounds; round++) {
		for (uint32_t i = 0; i < ring->n; i++) {
			struct plan_stage *stage = &plan->stages[plan->n_stages++];
			const uint32_t w = ring->solution.w[i];
			stage->first_layer = (uint16_t)layer;
			stage->end_layer = (uint16_t)(layer += w);
			stage->round = (uint16_t)round;
			stage->n_group = 1;
			stage->group[0].device = ring->devices[i];
			stage->group[0].share = 1;
			plan->devices[ring->devices[i]].n_layers += w;
		}
	}
}

static int forecast_plan(struct plan *plan, const struct paper_ring *ring,
			 const struct plan_candidate *candidates, const struct cost *cost,
			 struct fail *fail)
{
	struct plan_options options = *cost->options;
	struct plan_forecast forecast;
	struct fail own;
	options.streaming = true;
	const int rc = plan_forecast(&forecast, plan, candidates, cost->n_devices, cost->facts,
				     &options, &own);
	if (rc < 0 && rc != -FAIL_MEMORY)
		return fail_set(fail, own.code, "%s", own.text);
	plan_explain(plan, &forecast, candidates, cost->n_devices, cost->facts, &options);
	if (rc == 0)
		return 0;
	plan->token_s = fmax(plan->token_s, fmin(ring->solution.token_s, 1e6));
	plan->first_token_s = fmax(plan->first_token_s, plan->token_s);
	snprintf(plan->limit, sizeof(plan->limit),
		 "By the paper's model; by ours it cannot be held: %.150s.", own.text);
	return 0;
}

static int make_paper(struct plan *plan, const struct plan_candidate *candidates,
		      const struct cost *cost, struct fail *fail)
{
	struct search_wish wish;
	struct paper_ring ring;
	const struct plan_pin *pin = &cost->options->pin;
	if (pin->layers != PIN_LAYERS_FREE || pin->n_order > 0)
		return fail_set(fail, FAIL_INVALID,
				"the paper's plan chooses layers and order itself: pin head or rounds "
				"only");
	const int rc = pinned_wish(&wish, cost, fail);
	if (rc < 0)
		return rc;
	if (!solve_home(&ring, cost, &wish))
		return fail_set(fail, FAIL_MEMORY,
				"no windows meet the conditions of the paper for %s on these devices",
				cost->facts->name);
	if (ring.n * ring.solution.rounds > PLAN_STAGES_MAX)
		return fail_set(fail, FAIL_INVALID, "the paper's plan has too many stages");
	take_ring(plan, &ring, cost);
	return forecast_plan(plan, &ring, candidates, cost, fail);
}

int plan_make_paper(struct plan *plan, const struct plan_candidate *candidates,
		    uint32_t n_candidates, const struct model_facts *facts,
		    const struct plan_options *options, struct fail *fail)
{
	struct cost cost;
	int rc = cost_init(&cost, candidates, n_candidates, facts, options, fail);
	if (rc < 0)
		return rc;
	rc = make_paper(plan, candidates, &cost, fail);
	if (rc < 0 && cost_wake(&cost))
		rc = make_paper(plan, candidates, &cost, fail);
	cost_finish(&cost);
	return rc;
}
