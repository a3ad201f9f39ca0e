#include "planner/ring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the problem ---- */

static double turn_s(const struct cost *cost, double chunk_s, double token_s)
{
	return chunk_s + (cost->options->turn.tokens_out - 1.0) * token_s;
}

static void sum_bytes(struct ring_problem *problem)
{
	const struct model_facts *facts = problem->cost->facts;
	for (uint32_t slot = 0; slot < problem->n_slots; slot++) {
		double weights = 0, kv = 0;
		for (uint32_t layer = slot; layer < facts->n_layers; layer += problem->n_slots) {
			weights += (double)facts->layers[layer].bytes;
			kv += (double)kv_layer_bytes(facts, layer, &problem->cost->kv);
		}
		problem->weights[slot + 1] = problem->weights[slot] + weights;
		problem->kv[slot + 1] = problem->kv[slot] + kv;
	}
}

static void sum_seconds(struct ring_problem *problem, uint32_t at)
{
	const struct cost *cost = problem->cost;
	const uint32_t device = problem->device[at], Q = problem->n_slots;
	double *work = problem->work + at * (Q + 1), *chunk = problem->chunk_s + at * (Q + 1);
	for (uint32_t slot = 0; slot < Q; slot++) {
		double chunk_s = 0, token_s = 0;
		for (uint32_t layer = slot; layer < cost->facts->n_layers; layer += Q) {
			chunk_s += cost_chunk_s(cost, problem->chunk, device, layer);
			token_s += cost_token_s(cost, device, layer);
		}
		work[slot + 1] = work[slot] + turn_s(cost, chunk_s, token_s);
		chunk[slot + 1] = chunk[slot] + chunk_s;
	}
	problem->output_s[at] = cost->options->turn.tokens_out * cost->devices[device].output_s;
}

static void measure_hops(struct ring_problem *problem)
{
	const struct cost *cost = problem->cost;
	const double rows = cost_rows(cost, problem->chunk);
	for (uint32_t i = 0; i < problem->n; i++)
		problem->entry_s[i] = problem->back_s[i] = problem->back_send_s[i] = INFINITY;
	for (uint32_t i = 0; i < problem->n; i++) {
		for (uint32_t j = 0; j < problem->n; j++) {
			const uint32_t from = problem->device[i], to = problem->device[j];
			if (i == j)
				continue;
			problem->hop_s[i][j] = turn_s(cost, cost_hop_s(cost, from, to, rows),
						      cost_hop_s(cost, from, to, 1));
			problem->send_s[i][j] = cost_send_s(cost, from, to, rows);
			problem->entry_s[j] = fmin(problem->entry_s[j], problem->hop_s[i][j]);
			problem->back_s[i] = fmin(problem->back_s[i], problem->hop_s[i][j]);
			problem->back_send_s[i] =
				fmin(problem->back_send_s[i], problem->send_s[i][j]);
		}
	}
}

/* The slopes make any device's work for a range at least slope * mass, whatever the range. */
static void measure_slopes(struct ring_problem *problem)
{
	const uint32_t Q = problem->n_slots;
	for (uint32_t i = 0; i < problem->n; i++) {
		const double *work = problem->work + i * (Q + 1);
		for (uint32_t t = 1; t <= Q; t++)
			problem->mass[t] += work[t] / work[Q] / problem->n;
	}
	for (uint32_t i = 0; i < problem->n; i++) {
		const double *work = problem->work + i * (Q + 1);
		const double *chunk = problem->chunk_s + i * (Q + 1);
		problem->slope[i] = problem->chunk_slope[i] = INFINITY;
		for (uint32_t t = 1; t <= Q; t++) {
			const double mass = problem->mass[t] - problem->mass[t - 1];
			problem->slope[i] = fmin(problem->slope[i], (work[t] - work[t - 1]) / mass);
			problem->chunk_slope[i] =
				fmin(problem->chunk_slope[i], (chunk[t] - chunk[t - 1]) / mass);
		}
	}
}

int ring_problem_init(struct ring_problem *problem, const struct cost *cost,
		      const uint16_t *devices, uint32_t n, uint32_t rounds, uint32_t chunk,
		      struct fail *fail)
{
	const uint32_t L = cost->facts->n_layers, Q = (L + rounds - 1) / rounds;
	memset(problem, 0, sizeof(*problem));
	problem->cost = cost;
	problem->n = n;
	memcpy(problem->device, devices, n * sizeof(devices[0]));
	/* more rounds than layers, or a last round with nothing in it, are fewer rounds */
	problem->rounds = (L + Q - 1) / Q;
	problem->chunk = chunk;
	problem->n_slots = Q;
	problem->n_last = L - (problem->rounds - 1) * Q;
	problem->weights = calloc((size_t)(3 + 2 * n) * (Q + 1), sizeof(double));
	if (!problem->weights)
		return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
	problem->kv = problem->weights + (Q + 1);
	problem->mass = problem->kv + (Q + 1);
	problem->work = problem->mass + (Q + 1);
	problem->chunk_s = problem->work + (size_t)n * (Q + 1);
	sum_bytes(problem);
	for (uint32_t i = 0; i < n; i++)
		sum_seconds(problem, i);
	measure_hops(problem);
	measure_slopes(problem);
	return 0;
}

void ring_problem_finish(struct ring_problem *problem)
{
	free(problem->weights);
	problem->weights = NULL;
}

/* ---- what a device can take ---- */

double ring_disk_s(const struct ring_problem *problem, uint32_t at, bool head, uint32_t s,
		   uint32_t t)
{
	const struct cost_device *device = &problem->cost->devices[problem->device[at]];
	const double room = (double)device->room_bytes - (problem->kv[t] - problem->kv[s]) -
			    (head ? (double)problem->cost->head_bytes : 0);
	if (room < 0)
		return INFINITY;
	const double streamed = cost_streamed_bytes(problem->weights[t] - problem->weights[s],
						    room, problem->rounds,
						    problem->cost->options->streaming);
	return streamed == 0 ? 0 : streamed / device->disk_bytes_per_s;
}

bool ring_head_fits(const struct ring_problem *problem, uint32_t at)
{
	return !isinf(ring_disk_s(problem, at, true, 0, 0));
}

int ring_limits_init(struct ring_limits *limits, const struct ring_problem *problem,
		     struct fail *fail)
{
	const size_t n = (size_t)problem->n * (problem->n_slots + 1);
	memset(limits, 0, sizeof(*limits));
	limits->first = calloc(2 * n, sizeof(uint16_t));
	if (!limits->first)
		return fail_set(fail, FAIL_MEMORY, "not enough memory to plan");
	limits->memory = limits->first + n;
	return 0;
}

void ring_limits_finish(struct ring_limits *limits)
{
	free(limits->first);
	limits->first = NULL;
}

static void limit_memory(struct ring_limits *limits, const struct ring_problem *problem,
			 uint32_t at)
{
	uint16_t *first = limits->memory + at * (problem->n_slots + 1);
	uint32_t s = 0;
	limits->mass[at] = 0;
	for (uint32_t t = 1; t <= problem->n_slots; t++) {
		while (s < t && ring_disk_s(problem, at, at == limits->head, s, t) >=
					limits->caps.disk_s)
			s++;
		first[t] = (uint16_t)s;
		limits->mass[at] = fmax(limits->mass[at], problem->mass[t] - problem->mass[s]);
	}
}

static void limit_chunk(struct ring_limits *limits, const struct ring_problem *problem,
			uint32_t at)
{
	const uint32_t Q = problem->n_slots;
	const double *chunk = problem->chunk_s + at * (Q + 1);
	const uint16_t *memory = limits->memory + at * (Q + 1);
	uint16_t *first = limits->first + at * (Q + 1);
	uint32_t s = 0;
	for (uint32_t t = 1; t <= Q; t++) {
		s = memory[t] > s ? memory[t] : s;
		while (s < t && chunk[t] - chunk[s] >= limits->caps.chunk_s)
			s++;
		first[t] = (uint16_t)s;
	}
}

void ring_limits_cap(struct ring_limits *limits, const struct ring_problem *problem, uint16_t head,
		     const struct ring_caps *caps)
{
	const uint16_t before = limits->head;
	const bool same_disk = limits->set && limits->caps.disk_s == caps->disk_s;
	const bool same_chunk = same_disk && limits->caps.chunk_s == caps->chunk_s;
	limits->set = true;
	limits->head = head;
	limits->caps = *caps;
	for (uint32_t at = 0; at < problem->n; at++) {
		const bool turned = head != before && (at == head || at == before);
		if (!same_disk || turned)
			limit_memory(limits, problem, at);
		if (!same_chunk || turned)
			limits->stale |= 1u << at;
	}
}

void ring_limits_set(struct ring_limits *limits, const struct ring_problem *problem, uint16_t head,
		     const struct ring_caps *caps)
{
	ring_limits_cap(limits, problem, head, caps);
	for (uint32_t at = 0; at < problem->n; at++)
		if (limits->stale >> at & 1)
			limit_chunk(limits, problem, at);
	limits->stale = 0;
}

/* ---- steps ---- */

void ring_start(const struct ring_problem *problem, const struct ring_limits *limits,
		const double *work, double *out)
{
	const uint32_t Q = problem->n_slots;
	const uint16_t *first = limits->first + limits->head * (Q + 1);
	const double output = problem->output_s[limits->head];
	const bool empty = problem->rounds == 1 && ring_head_fits(problem, limits->head);
	out[0] = empty ? output : INFINITY;
	for (uint32_t t = 1; t <= Q; t++)
		out[t] = first[t] == 0 ? output + work[limits->head * (Q + 1) + t] : INFINITY;
}

void ring_row_clear(struct ring_row *row, uint32_t n_slots)
{
	for (uint32_t s = 0; s <= n_slots; s++)
		row->cost[s] = INFINITY;
	row->low = n_slots + 1;
	row->high = 0;
}

/* enter[i] = min(enter[i], from[i] + hop_s) */
static void lower(double *enter, const double *from, double hop_s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const double value = from[i] + hop_s;
		enter[i] = value < enter[i] ? value : enter[i];
	}
}

void ring_enter(const struct ring_problem *problem, const struct ring_limits *limits,
		uint32_t before, uint32_t at, const double *from, uint32_t low, uint32_t high,
		struct ring_row *enter)
{
	const uint32_t k = problem->rounds, R = problem->n_last;
	const uint32_t end = high < problem->n_slots ? high + 1 : high;
	const uint32_t early_end = end < R ? end : R, late = low > R ? low : R;
	const double hop_s = problem->hop_s[before][at], send_s = problem->send_s[before][at];
	if (low < early_end && k * send_s < limits->caps.chunk_s)
		lower(enter->cost + low, from, k * hop_s, early_end - low);
	if (late < end && (k - 1) * send_s < limits->caps.chunk_s)
		lower(enter->cost + late, from + (late - low), (k - 1) * hop_s, end - late);
	enter->low = low < enter->low ? low : enter->low;
	enter->high = high > enter->high ? high : enter->high;
}

double ring_back_s(const struct ring_problem *problem, const struct ring_limits *limits,
		   uint32_t at, uint32_t s, uint32_t t)
{
	const uint32_t head = limits->head, R = problem->n_last;
	const uint32_t last_layer = s < R && t >= R;
	const uint32_t times = last_layer + (t == problem->n_slots ? problem->rounds - 1 : 0);
	if (at == head || times == 0)
		return 0;
	const bool any = head == problem->n;
	const double send_s = any ? problem->back_send_s[at] : problem->send_s[at][head];
	if (times * send_s >= limits->caps.chunk_s)
		return INFINITY;
	return times * (any ? problem->back_s[at] : problem->hop_s[at][head]);
}

/* What stays the same while one device's window slides. */
struct slide {
	const double *enter, *work;
	const uint16_t *first;
	uint32_t R, enter_low, enter_high;
	double exit_s; /* more for a range that starts below R */
};

static double key_of(const struct slide *slide, uint32_t s)
{
	return slide->enter[s] - slide->work[s] + (s < slide->R ? slide->exit_s : 0);
}

/* out[t] for t in [from, to) by a queue of candidates s with rising keys: the window minimum. */
static void run_slide(const struct slide *slide, uint32_t from, uint32_t to, double *out,
		      uint16_t *queue)
{
	uint32_t head = 0, tail = 0;
	uint32_t next = slide->first[from] > slide->enter_low ? slide->first[from]
							      : slide->enter_low;
	for (uint32_t t = from; t < to; t++) {
		for (; next < t && next <= slide->enter_high; next++) {
			const double key = key_of(slide, next);
			while (tail > head && key_of(slide, queue[tail - 1]) >= key)
				tail--;
			queue[tail++] = (uint16_t)next;
		}
		while (head < tail && queue[head] < slide->first[t])
			head++;
		out[t] = head == tail ? INFINITY : key_of(slide, queue[head]) + slide->work[t];
	}
}

static double last_step(const struct ring_problem *problem, const struct ring_limits *limits,
			uint32_t at, const struct slide *slide)
{
	const uint32_t Q = problem->n_slots;
	const uint32_t low = slide->first[Q] > slide->enter_low ? slide->first[Q]
								: slide->enter_low;
	const double late = ring_back_s(problem, limits, at, Q - 1, Q);
	const double early = ring_back_s(problem, limits, at, 0, Q);
	double best = INFINITY;
	for (uint32_t s = low; s < Q && s <= slide->enter_high; s++) {
		const double cost = slide->enter[s] - slide->work[s] +
				    (s < slide->R ? early : late);
		best = cost < best ? cost : best;
	}
	return best + slide->work[Q];
}

void ring_step(const struct ring_problem *problem, const struct ring_limits *limits,
	       const double *work, uint32_t at, const struct ring_row *enter, struct ring_row *out,
	       uint16_t *queue)
{
	const uint32_t Q = problem->n_slots, R = problem->n_last;
	struct slide slide = { enter->cost, work + at * (Q + 1), limits->first + at * (Q + 1), R,
			       enter->low, enter->high, 0 };
	uint32_t end = enter->low + 1; /* as far as a range can reach from what was entered */
	while (end < Q && slide.first[end] <= enter->high)
		end++;
	const uint32_t turn = end < R ? end : R > enter->low + 1 ? R : enter->low + 1;
	out->low = enter->low + 1;
	out->high = end - 1;
	run_slide(&slide, out->low, turn, out->cost, queue);
	slide.exit_s = R < Q ? ring_back_s(problem, limits, at, 0, R) : 0;
	run_slide(&slide, turn, end, out->cost, queue);
	out->cost[Q] = last_step(problem, limits, at, &slide);
}

/* ---- one order ---- */

size_t ring_scratch_size(const struct ring_problem *problem)
{
	return (size_t)(problem->n + 3) * (problem->n_slots + 1);
}

struct trace {
	const struct ring_problem *problem;
	const struct ring_limits *limits;
	const double *work;
	const uint16_t *order;
	const struct ring_row *rows; /* [n] by place in the order */
};

/* Finds the range that ends at `t` and the place before it which made the cost of `place`. */
static uint32_t trace_back(const struct trace *trace, uint32_t place, uint32_t t, uint32_t *start)
{
	const struct ring_problem *problem = trace->problem;
	const uint32_t Q = problem->n_slots, at = trace->order[place];
	const double *work = trace->work + at * (Q + 1);
	double best = INFINITY;
	uint32_t before = 0;
	for (uint32_t s = trace->limits->first[at * (Q + 1) + t]; s < t; s++) {
		const double tail = work[t] - work[s] +
				    ring_back_s(problem, trace->limits, at, s, t);
		const uint32_t times = ring_rounds_of(problem, s);
		for (uint32_t j = 0; j < place; j++) {
			const struct ring_row *row = &trace->rows[j];
			const uint32_t from = trace->order[j];
			if (s < row->low || s > row->high ||
			    times * problem->send_s[from][at] >= trace->limits->caps.chunk_s)
				continue;
			const double value =
				row->cost[s] + tail + times * problem->hop_s[from][at];
			if (value >= best)
				continue;
			best = value;
			before = j;
			*start = s;
		}
	}
	return before;
}

static void trace_way(const struct trace *trace, uint32_t place, struct ring_way *way)
{
	struct ring_part parts[PLAN_DEVICES_MAX];
	uint32_t n = 0, t = trace->problem->n_slots;
	while (place > 0) {
		uint32_t s = 0;
		const uint32_t before = trace_back(trace, place, t, &s);
		parts[n++] = (struct ring_part){ trace->order[place], (uint16_t)s, (uint16_t)t };
		place = before;
		t = s;
	}
	if (t > 0)
		parts[n++] = (struct ring_part){ trace->order[0], 0, (uint16_t)t };
	way->head = trace->order[0];
	way->n_parts = (uint16_t)n;
	for (uint32_t i = 0; i < n; i++)
		way->parts[i] = parts[n - 1 - i];
	ring_evaluate(trace->problem, way);
}

/* Narrows a row to what is below the threshold. */
static void trim(struct ring_row *row, double threshold)
{
	while (row->low <= row->high && row->cost[row->low] >= threshold)
		row->low++;
	while (row->low <= row->high && row->cost[row->high] >= threshold)
		row->high--;
}

bool ring_solve_order(const struct ring_problem *problem, const struct ring_limits *limits,
		      const double *work, const uint16_t *order, uint32_t n, double threshold,
		      double *scratch, struct ring_way *way)
{
	const uint32_t Q = problem->n_slots;
	struct ring_row rows[PLAN_DEVICES_MAX], enter = { scratch + (size_t)n * (Q + 1), 0, 0 };
	uint16_t *queue = (uint16_t *)(enter.cost + Q + 1);
	uint32_t best = n;
	for (uint32_t place = 0; place < n; place++) {
		struct ring_row *row = &rows[place];
		*row = (struct ring_row){ scratch + (size_t)place * (Q + 1), 0, Q - 1 };
		if (place == 0) {
			ring_start(problem, limits, work, row->cost);
		} else {
			ring_row_clear(&enter, Q);
			for (uint32_t j = 0; j < place; j++)
				if (rows[j].low <= rows[j].high)
					ring_enter(problem, limits, order[j], order[place],
						   rows[j].cost + rows[j].low, rows[j].low,
						   rows[j].high, &enter);
			row->low = 1;
			row->high = 0;
			if (enter.low > enter.high)
				continue;
			ring_step(problem, limits, work, order[place], &enter, row, queue);
		}
		if (row->cost[Q] < threshold) {
			threshold = row->cost[Q];
			best = place;
		}
		trim(row, threshold);
	}
	if (best == n)
		return false;
	const struct trace trace = { problem, limits, work, order, rows };
	trace_way(&trace, best, way);
	return true;
}

/* ---- evaluation ---- */

static void count_hop(const struct ring_problem *problem, struct ring_way *way, uint32_t from,
		      uint32_t to, uint32_t times)
{
	if (from == to || times == 0)
		return;
	way->work_s += times * problem->hop_s[from][to];
	way->chunk_s = fmax(way->chunk_s, times * problem->send_s[from][to]);
}

void ring_evaluate(const struct ring_problem *problem, struct ring_way *way)
{
	const uint32_t Q = problem->n_slots, R = problem->n_last;
	uint32_t before = way->head;
	way->work_s = problem->output_s[way->head];
	way->chunk_s = 0;
	way->disk_s = 0;
	for (uint32_t i = 0; i < way->n_parts; i++) {
		const struct ring_part *part = &way->parts[i];
		const uint32_t s = part->first_slot, t = part->end_slot, at = part->device;
		const double *chunk = problem->chunk_s + at * (Q + 1);
		const double *work = problem->work + at * (Q + 1);
		way->work_s += work[t] - work[s];
		way->chunk_s = fmax(way->chunk_s, chunk[t] - chunk[s]);
		way->disk_s = fmax(way->disk_s,
				   ring_disk_s(problem, at, at == way->head, s, t));
		count_hop(problem, way, before, at, ring_rounds_of(problem, s));
		count_hop(problem, way, at, way->head,
			  (s < R && t >= R) + (t == Q ? problem->rounds - 1 : 0));
		before = at;
	}
}
