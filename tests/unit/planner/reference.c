#include "reference.h"

#include "planner/cost.h"

#include <math.h>
#include <stdlib.h>

/* A partial way: its work, and the slowest place of the way that has so little. */
struct state {
	double work_s, chunk_s;
};

struct reference {
	struct cost cost;
	uint32_t n, rounds, n_slots, n_last; /* k, Q, R of ring.h */
	uint32_t chunk, head;
	double rows, tokens;
	double work_s[REFERENCE_DEVICES_MAX][MODEL_LAYERS_MAX]; /* of slots, in the turn */
	double chunk_s[REFERENCE_DEVICES_MAX][MODEL_LAYERS_MAX];
	double bytes[MODEL_LAYERS_MAX];
	double cap_s;         /* the slowest place stays below */
	struct state *states; /* [2^n, n, Q + 1] */
	struct state best;
};

static struct state *at(const struct reference *it, uint32_t set, uint32_t last, uint32_t slot)
{
	return &it->states[((size_t)set * it->n + last) * (it->n_slots + 1) + slot];
}

static void offer(struct state *to, double work_s, double chunk_s)
{
	if (work_s < to->work_s)
		*to = (struct state){ work_s, chunk_s };
}

static void cost_slots(struct reference *it)
{
	const struct model_facts *facts = it->cost.facts;
	for (uint32_t slot = 0; slot < it->n_slots; slot++) {
		it->bytes[slot] = 0;
		for (uint32_t layer = slot; layer < facts->n_layers; layer += it->n_slots)
			it->bytes[slot] += (double)facts->layers[layer].bytes +
					   (double)kv_layer_bytes(facts, layer, &it->cost.kv);
		for (uint32_t i = 0; i < it->n; i++) {
			double chunk_s = 0, token_s = 0;
			for (uint32_t layer = slot; layer < facts->n_layers;
			     layer += it->n_slots) {
				chunk_s += cost_chunk_s(&it->cost, it->chunk, i, layer);
				token_s += cost_token_s(&it->cost, i, layer);
			}
			it->chunk_s[i][slot] = chunk_s;
			it->work_s[i][slot] = chunk_s + (it->tokens - 1) * token_s;
		}
	}
}

/* Adds `times` traversals of a link; false when the cap forbids them. */
static bool hop(const struct reference *it, struct state *way, uint32_t from, uint32_t to,
		uint32_t times)
{
	if (from == to || times == 0)
		return true;
	const double sent = times * cost_send_s(&it->cost, from, to, it->rows);
	way->work_s += times * (cost_hop_s(&it->cost, from, to, it->rows) +
				(it->tokens - 1) * cost_hop_s(&it->cost, from, to, 1));
	way->chunk_s = fmax(way->chunk_s, sent);
	return sent < it->cap_s;
}

/* Goes on from `before` with every range of device `next` that begins at slot `s`. */
static void extend(struct reference *it, struct state before, uint32_t set, uint32_t last,
		   uint32_t next, uint32_t s)
{
	const uint32_t Q = it->n_slots, R = it->n_last, to = set | 1u << next;
	double room = (double)it->cost.devices[next].room_bytes, chunk_s = 0;
	if (next == it->head)
		room -= (double)it->cost.head_bytes;
	if (room < 0 || !hop(it, &before, last, next, it->rounds - (s >= R)))
		return;
	for (uint32_t t = s + 1; t <= Q; t++) {
		room -= it->bytes[t - 1];
		chunk_s += it->chunk_s[next][t - 1];
		before.work_s += it->work_s[next][t - 1];
		if (room < 0 || chunk_s >= it->cap_s)
			return;
		struct state after = { before.work_s, fmax(before.chunk_s, chunk_s) };
		if (!hop(it, &after, next, it->head,
			 (s < R && t >= R) + (t == Q ? it->rounds - 1 : 0)))
			continue;
		offer(t == Q ? &it->best : at(it, to, next, t), after.work_s, after.chunk_s);
	}
}

/* Least work below the cap, into it->best. */
static void solve(struct reference *it)
{
	const uint32_t n_sets = 1u << it->n, Q = it->n_slots, h = it->head;
	const struct cost_device *head = &it->cost.devices[h];
	const double output_s = it->tokens * head->output_s;
	it->best = (struct state){ INFINITY, INFINITY };
	for (size_t i = 0; i < (size_t)n_sets * it->n * (Q + 1); i++)
		it->states[i] = (struct state){ INFINITY, INFINITY };
	if (head->room_bytes < it->cost.head_bytes)
		return;
	extend(it, (struct state){ output_s, 0 }, 1u << h, h, h, 0);
	if (it->rounds == 1)
		*at(it, 1u << h, h, 0) = (struct state){ output_s, 0 };
	for (uint32_t set = 1u << h; set < n_sets; set++)
		for (uint32_t last = 0; last < it->n; last++)
			for (uint32_t s = 0; (set >> last & 1) && s < Q; s++)
				for (uint32_t next = 0; next < it->n; next++)
					if (!(set >> next & 1) &&
					    !isinf(at(it, set, last, s)->work_s))
						extend(it, *at(it, set, last, s), set, last, next,
						       s);
}

/* No way has a slowest place below this. */
static double least_chunk_s(const struct reference *it)
{
	double sum = 0;
	for (uint32_t slot = 0; slot < it->n_slots; slot++) {
		double least = INFINITY;
		for (uint32_t i = 0; i < it->n; i++)
			least = fmin(least, it->chunk_s[i][slot]);
		sum += least;
	}
	return sum / it->n * (1 - 1e-12);
}

/* Lowers the cap to what the best way below it needs, until less is no use. */
static double solve_head(struct reference *it, double least_s)
{
	const double m = cost_more_chunks(&it->cost, it->chunk), low_s = least_chunk_s(it);
	it->cap_s = INFINITY;
	do {
		solve(it);
		least_s = fmin(least_s, it->best.work_s + m * it->best.chunk_s);
		it->cap_s = it->best.chunk_s;
	} while (m > 0 && it->best.work_s + m * low_s < least_s);
	return least_s;
}

double reference_turn(const struct test_home *home)
{
	static struct reference it;
	const uint32_t L = home->facts.n_layers;
	const uint32_t k = home->options.pin.rounds > 0 ? home->options.pin.rounds : 1;
	double least_s = INFINITY;
	it.n = home->n;
	it.n_slots = (L + k - 1) / k;
	it.rounds = (L + it.n_slots - 1) / it.n_slots;
	it.n_last = L - (it.rounds - 1) * it.n_slots;
	it.tokens = home->options.turn.tokens_out;
	it.states = malloc(((size_t)it.n << it.n) * (it.n_slots + 1) * sizeof(it.states[0]));
	if (!it.states || home->n > REFERENCE_DEVICES_MAX ||
	    cost_init(&it.cost, home->candidates, home->n, &home->facts, &home->options, NULL) != 0)
		abort();
	for (it.chunk = 0; it.chunk < it.cost.n_chunks; it.chunk++) {
		it.rows = cost_rows(&it.cost, it.chunk);
		cost_slots(&it);
		for (it.head = 0; it.head < it.n; it.head++)
			least_s = solve_head(&it, least_s);
	}
	cost_finish(&it.cost);
	free(it.states);
	return least_s;
}
