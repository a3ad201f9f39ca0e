#include "compute/cpu/tiles.h"

#include "compute/cpu/cache.h"
#include "compute/cpu/maths.h"

#include <string.h>

size_t attention_partial_floats(const struct attention *attention)
{
	return attention->n_q * partial_stride(attention);
}

struct attention attention_head(const struct attention *attention, uint32_t kv)
{
	struct attention one = *attention;
	one.n_kv = 1;
	one.key_offset += kv * attention->head_bytes;
	one.value_offset += kv * attention->head_bytes;
	if (one.sinks)
		one.sinks += (size_t)kv * attention->n_q;
	return one;
}

void attention_tiles(const struct attention *attention, uint32_t position, uint32_t *first,
		     uint32_t *end)
{
	*first = first_seen(attention, position) / ATTENTION_TILE;
	*end = position / ATTENTION_TILE + 1;
}

float attention_factor(const struct attention *attention, uint32_t head, const float *all)
{
	const float *tail = all + attention->head_v;
	const float sum = tail[PARTIAL_SUM], top = tail[PARTIAL_MAX];
	if (!attention->sinks)
		return 1.0f / sum;
	const float sink = attention->sinks[head];
	const float higher = sink > top ? sink : top;
	const float keep = maths_exp(top - higher);
	return keep * (1.0f / __builtin_fmaf(sum, keep, maths_exp(sink - higher)));
}

/* ---- up to TILE_QUERIES queries: of each key-value head as many, row after row ---- */

#define PARTIAL_FLOATS_MAX ((ATTENTION_WIDTH_MAX + PARTIAL_EXTRA) * TILE_QUERIES)

struct batch {
	const struct tile_steps *steps;
	const struct attention *attention;
	const float *q;
	size_t q_stride;
	uint32_t position;   /* of row 0 */
	uint32_t kv, n_kv;   /* key-value heads */
	uint32_t first, end; /* queries of each, numbered row after row, head after head */
	struct query queries[TILE_QUERIES];
	struct tile tile;
	/* [TILE_QUERIES, partial_stride] */
	float all[PARTIAL_FLOATS_MAX] __attribute__((aligned(64)));
	float next[PARTIAL_FLOATS_MAX] __attribute__((aligned(64)));
	int8_t bytes[TILE_QUERIES][ATTENTION_WIDTH_MAX] __attribute__((aligned(64)));
	float scales[TILE_QUERIES][ATTENTION_WIDTH_MAX / KV_SCALE_BLOCK];
	int32_t sums[TILE_QUERIES][ATTENTION_WIDTH_MAX / KV_SCALE_BLOCK];
};

static uint32_t row_of(const struct batch *batch, uint32_t query)
{
	return query / batch->attention->n_q;
}

static uint32_t head_of(const struct batch *batch, uint32_t query)
{
	return query % batch->attention->n_q;
}

static void quantise(struct batch *batch, uint32_t i, const float *x)
{
	const uint32_t head_k = batch->attention->head_k;
	batch->steps->quantise(x, head_k, batch->bytes[i], batch->scales[i]);
	for (uint32_t block = 0; block < head_k / KV_SCALE_BLOCK; block++) {
		const int8_t *q = batch->bytes[i] + block * KV_SCALE_BLOCK;
		int32_t sum = 0;
		for (uint32_t c = 0; c < KV_SCALE_BLOCK; c++)
			sum += q[c];
		batch->sums[i][block] = sum;
	}
}

/* Where query `query` of key-value head kv + k stands in the batch. */
static uint32_t place_of(const struct batch *batch, uint32_t k, uint32_t query)
{
	return k * (batch->end - batch->first) + query - batch->first;
}

static void take_query(struct batch *batch, uint32_t k, uint32_t query)
{
	const uint32_t i = place_of(batch, k, query);
	const uint32_t head = (batch->kv + k) * batch->attention->n_q + head_of(batch, query);
	const float *x = batch->q + row_of(batch, query) * batch->q_stride +
			 (size_t)head * batch->attention->head_k;
	batch->queries[i] = (struct query){ x, batch->bytes[i], batch->scales[i], batch->sums[i] };
	if (batch->attention->kind == KV_Q8_0)
		quantise(batch, i, x);
}

static void take_queries(struct batch *batch, uint32_t first, uint32_t end)
{
	batch->first = first;
	batch->end = end;
	for (uint32_t k = 0; k < batch->n_kv; k++)
		for (uint32_t query = first; query < end; query++)
			take_query(batch, k, query);
}

/* Head kv + k of tile `index`; `ahead` as in struct tile. */
static void set_tile(struct batch *batch, uint32_t index, uint32_t k, uintptr_t ahead)
{
	const struct attention *attention = batch->attention;
	const uint8_t *head = attention->pages[index] + (batch->kv + k) * attention->head_bytes;
	batch->tile.ahead = ahead;
	batch->tile.attention = attention;
	batch->tile.keys = head + attention->key_offset;
	batch->tile.values = head + attention->value_offset;
	batch->tile.n = 0;
}

static void add_query(struct batch *batch, uint32_t place, struct seen seen)
{
	struct tile *tile = &batch->tile;
	tile->queries[tile->n] = batch->queries[place];
	tile->seen[tile->n] = seen;
	tile->sums[tile->n] = batch->next + tile->n * partial_stride(batch->attention);
	tile->n++;
}

static struct seen seen_by_all(const struct tile *tile, uint32_t first, uint32_t end)
{
	struct seen common = tile->seen[first];
	for (uint32_t q = first + 1; q < end; q++) {
		const struct seen seen = tile->seen[q];
		common.first = seen.first > common.first ? seen.first : common.first;
		common.end = seen.end < common.end ? seen.end : common.end;
	}
	return common;
}

static void add_run(struct run *runs, uint32_t *n_runs, uint32_t first, uint32_t n, uint32_t from,
		    uint32_t to)
{
	if (from < to)
		runs[(*n_runs)++] = (struct run){ first, n, { from, to } };
}

uint32_t tiles_runs(const struct tile *tile, uint32_t most, struct run runs[TILE_RUNS_MAX])
{
	uint32_t n_runs = 0;
	for (uint32_t first = 0; first < tile->n; first += most) {
		const uint32_t end = tile->n - first < most ? tile->n : first + most;
		const struct seen common = seen_by_all(tile, first, end);
		const bool apart = common.first >= common.end;
		for (uint32_t q = first; q < end; q++)
			add_run(runs, &n_runs, q, 1, tile->seen[q].first,
				apart ? tile->seen[q].end : common.first);
		if (apart)
			continue;
		add_run(runs, &n_runs, first, end - first, common.first, common.end);
		for (uint32_t q = first; q < end; q++)
			add_run(runs, &n_runs, q, 1, common.end, tile->seen[q].end);
	}
	return n_runs;
}

/* The partial results of the tile's queries, in their order, to batch->next. */
static void run_tile(struct batch *batch)
{
	struct tile *tile = &batch->tile;
	const struct attention *attention = batch->attention;
	const size_t bytes = partial_stride(attention) * sizeof(float);
	batch->steps->score(tile);
	for (uint32_t i = 0; i < tile->n; i++) {
		float *tail = tile->sums[i] + attention->head_v;
		memset(tile->sums[i], 0, bytes);
		if (attention->softcap != 0.0f)
			batch->steps->cap(attention->softcap, tile->weights[i]);
		batch->steps->weigh(tile->seen[i], tile->weights[i], &tail[PARTIAL_MAX],
				    &tail[PARTIAL_SUM]);
	}
	batch->steps->add_values(tile);
}

/* ---- joining ---- */

/* Results of tiles that follow one another, of up to TILE_QUERIES queries. */
struct joint {
	uint32_t n;
	float *all[TILE_QUERIES];
	const float *next[TILE_QUERIES];
	float keep[TILE_QUERIES] __attribute__((aligned(64))); /* of `all` */
	float take[TILE_QUERIES] __attribute__((aligned(64))); /* of `next` */
};

static void add_joint(struct joint *joint, float *all, const float *next)
{
	joint->all[joint->n] = all;
	joint->next[joint->n] = next;
	joint->n++;
}

/* Makes `all` the results with the next tiles in them. */
static void join(const struct tile_steps *steps, uint32_t head_v, struct joint *joint)
{
	const uint32_t whole = (joint->n + SUM_LANES - 1) / SUM_LANES * SUM_LANES;
	for (uint32_t i = 0; i < joint->n; i++) {
		float *tail = joint->all[i] + head_v;
		const float before = tail[PARTIAL_MAX];
		const float here = joint->next[i][head_v + PARTIAL_MAX];
		const float top = here > before ? here : before;
		joint->keep[i] = before - top;
		joint->take[i] = here - top;
		tail[PARTIAL_MAX] = top;
	}
	for (uint32_t i = joint->n; i < whole; i++)
		joint->keep[i] = joint->take[i] = 0.0f;
	steps->exp(joint->keep, whole);
	steps->exp(joint->take, whole);
	for (uint32_t i = 0; i < joint->n; i++) {
		float *sum = joint->all[i] + head_v + PARTIAL_SUM;
		const float next = joint->next[i][head_v + PARTIAL_SUM];
		*sum = __builtin_fmaf(*sum, joint->keep[i], next * joint->take[i]);
		steps->join(head_v, joint->all[i], joint->next[i], joint->keep[i], joint->take[i]);
	}
	joint->n = 0;
}

/* ---- all tiles ---- */

static void join_tile(struct batch *batch, const uint32_t *places, const bool *is_first)
{
	struct joint joint = { .n = 0 };
	const size_t stride = partial_stride(batch->attention);
	for (uint32_t i = 0; i < batch->tile.n; i++) {
		float *all = batch->all + places[i] * stride;
		if (is_first[i])
			memcpy(all, batch->next + i * stride, stride * sizeof(float));
		else
			add_joint(&joint, all, batch->next + i * stride);
	}
	if (joint.n > 0)
		join(batch->steps, batch->attention->head_v, &joint);
}

static void batch_tile(struct batch *batch, uint32_t index, uint32_t k, uintptr_t ahead)
{
	uint32_t places[TILE_QUERIES];
	bool is_first[TILE_QUERIES];
	set_tile(batch, index, k, ahead);
	for (uint32_t query = batch->first; query < batch->end; query++) {
		const uint32_t position = batch->position + row_of(batch, query);
		const uint32_t n = batch->tile.n;
		uint32_t first, end;
		attention_tiles(batch->attention, position, &first, &end);
		if (index < first || index >= end)
			continue;
		places[n] = place_of(batch, k, query);
		is_first[n] = index == first;
		add_query(batch, places[n], tile_seen(batch->attention, position, index));
	}
	run_tile(batch);
	join_tile(batch, places, is_first);
}

/* From the last head of tile `index` to the first of the next. */
static uintptr_t next_page(const struct batch *batch, uint32_t index)
{
	const struct attention *attention = batch->attention;
	return (uintptr_t)attention->pages[index + 1] - (uintptr_t)attention->pages[index] -
	       (batch->n_kv - 1) * attention->head_bytes;
}

static void run_batch(struct batch *batch)
{
	uint32_t first, end, unused;
	attention_tiles(batch->attention, batch->position + row_of(batch, batch->first), &first,
			&unused);
	attention_tiles(batch->attention, batch->position + row_of(batch, batch->end - 1), &unused,
			&end);
	for (uint32_t index = first; index < end; index++) {
		for (uint32_t k = 0; k + 1 < batch->n_kv; k++)
			batch_tile(batch, index, k, batch->attention->head_bytes);
		batch_tile(batch, index, batch->n_kv - 1,
			   index + 1 < end ? next_page(batch, index) : 0);
	}
}

static void give_results(const struct batch *batch, float *out, size_t out_stride)
{
	const struct attention *attention = batch->attention;
	const size_t stride = partial_stride(attention);
	for (uint32_t k = 0; k < batch->n_kv; k++) {
		for (uint32_t query = batch->first; query < batch->end; query++) {
			const uint32_t head =
				(batch->kv + k) * attention->n_q + head_of(batch, query);
			batch->steps->finish(attention, head,
					     batch->all + place_of(batch, k, query) * stride,
					     out + row_of(batch, query) * out_stride +
						     (size_t)head * attention->head_v);
		}
	}
}

/* Key-value heads whose queries all find a place in one batch; one at least. */
static uint32_t heads_at_once(const struct attention *attention, uint32_t kv, uint32_t n_queries)
{
	const uint32_t fit = n_queries < TILE_QUERIES ? TILE_QUERIES / n_queries : 1;
	const uint32_t left = attention->n_kv - kv;
	return left < fit ? left : fit;
}

void tiles_rows(const struct tile_steps *steps, const struct attention *attention, const float *q,
		size_t q_stride, uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	struct batch batch;
	batch.steps = steps;
	batch.attention = attention;
	batch.q = q;
	batch.q_stride = q_stride;
	batch.position = position;
	const uint32_t n_queries = n_rows * attention->n_q;
	for (batch.kv = 0; batch.kv < attention->n_kv; batch.kv += batch.n_kv) {
		batch.n_kv = heads_at_once(attention, batch.kv, n_queries);
		for (uint32_t first = 0; first < n_queries; first += TILE_QUERIES) {
			const uint32_t left = n_queries - first;
			take_queries(&batch, first,
				     first + (left < TILE_QUERIES ? left : TILE_QUERIES));
			run_batch(&batch);
			give_results(&batch, out, out_stride);
		}
	}
}

/* ---- one tile, joined later ---- */

void tiles_one(const struct tile_steps *steps, const struct attention *attention, const float *q,
	       uint32_t position, uint32_t index, float *partial)
{
	struct batch batch;
	const struct seen seen = tile_seen(attention, position, index);
	const size_t stride = partial_stride(attention);
	batch.steps = steps;
	batch.attention = attention;
	batch.q = q;
	batch.q_stride = 0; /* there is one row */
	batch.position = position;
	batch.kv = 0;
	batch.n_kv = 1;
	for (uint32_t first = 0; first < attention->n_q; first += TILE_QUERIES) {
		const uint32_t left = attention->n_q - first;
		take_queries(&batch, first, first + (left < TILE_QUERIES ? left : TILE_QUERIES));
		set_tile(&batch, index, 0, 0);
		for (uint32_t query = first; query < batch.end; query++)
			add_query(&batch, query, seen);
		run_tile(&batch);
		memcpy(partial + first * stride, batch.next, batch.tile.n * stride * sizeof(float));
	}
}

void tiles_join(const struct tile_steps *steps, const struct attention *attention,
		const float *partials, uint32_t n_tiles, float *out)
{
	const size_t stride = partial_stride(attention);
	float all[ATTENTION_WIDTH_MAX + PARTIAL_EXTRA] __attribute__((aligned(64)));
	struct joint joint = { .n = 0 };
	for (uint32_t h = 0; h < attention->n_q; h++) {
		const float *next = partials + h * stride;
		memcpy(all, next, stride * sizeof(float));
		for (uint32_t tile = 1; tile < n_tiles; tile++) {
			next += attention_partial_floats(attention);
			add_joint(&joint, all, next);
			join(steps, attention->head_v, &joint);
		}
		steps->finish(attention, h, all, out + (size_t)h * attention->head_v);
	}
}
