#include "compute/cpu/c.h"
#include "compute/cpu/maths.h"
#include "compute/cpu/tiles.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

/* Sums over the positions of a tile run in so many lanes: position j goes to lane j % SUM_LANES. */
#define SUM_LANES 8

size_t attention_partial_floats(const struct attention *attention)
{
	return attention->n_q * partial_stride(attention);
}

void attention_tiles(const struct attention *attention, uint32_t position, uint32_t *first,
		     uint32_t *end)
{
	*first = first_seen(attention, position) / ATTENTION_TILE;
	*end = position / ATTENTION_TILE + 1;
}

static float cap_score(const struct attention *attention, float score)
{
	const float cap = attention->softcap;
	return cap == 0.0f ? score : cap * maths_tanh(score * (1.0f / cap));
}

static void score_tile(const struct attention *attention, const float *q, const uint16_t *keys,
		       struct seen seen, float scores[ATTENTION_TILE])
{
	for (uint32_t j = seen.first; j < seen.end; j++) {
		const uint16_t *key = keys + j * attention->key_stride;
		float sum = 0.0f;
		for (uint32_t i = 0; i < attention->head_k; i++)
			sum = __builtin_fmaf(q[i], f16_to_f32(key[i]), sum);
		scores[j] = cap_score(attention, sum * attention->scale);
	}
}

/* Scores to weights e^(score - largest); NaN scores are passed over by the maximum and then make
 * the sum NaN. */
static void weigh_tile(struct seen seen, float scores[ATTENTION_TILE], float *largest, float *sum)
{
	float top = -INFINITY;
	for (uint32_t j = seen.first; j < seen.end; j++)
		top = scores[j] > top ? scores[j] : top;
	float lanes[SUM_LANES] = { 0 };
	for (uint32_t j = seen.first; j < seen.end; j++) {
		scores[j] = maths_exp(scores[j] - top);
		lanes[j % SUM_LANES] += scores[j];
	}
	for (int width = SUM_LANES / 2; width; width /= 2)
		for (int i = 0; i < width; i++)
			lanes[i] += lanes[i + width];
	*largest = top + 0.0f; /* never -0: the order of comparison must not show */
	*sum = lanes[0];
}

static void one_tile(const struct attention *attention, const float *q, uint32_t position,
		     uint32_t tile, float *partial)
{
	const uint16_t *page = attention->pages[tile];
	const struct seen seen = tile_seen(attention, position, tile);
	float weights[ATTENTION_TILE];
	float *tail = partial + attention->head_v;
	score_tile(attention, q, page + attention->key_offset, seen, weights);
	weigh_tile(seen, weights, &tail[PARTIAL_MAX], &tail[PARTIAL_SUM]);
	for (uint32_t i = 0; i < attention->head_v; i++)
		partial[i] = 0.0f;
	for (uint32_t j = seen.first; j < seen.end; j++) {
		const uint16_t *value =
			page + attention->value_offset + j * attention->value_stride;
		for (uint32_t i = 0; i < attention->head_v; i++)
			partial[i] = __builtin_fmaf(weights[j], f16_to_f32(value[i]), partial[i]);
	}
}

/* Joins the next tile's result into that of all tiles before it. */
static void join(float *all, const float *next, uint32_t head_v)
{
	float *tail = all + head_v;
	const float *next_tail = next + head_v;
	const float before = tail[PARTIAL_MAX], here = next_tail[PARTIAL_MAX];
	const float top = here > before ? here : before;
	const float keep = maths_exp(before - top), take = maths_exp(here - top);
	for (uint32_t i = 0; i < head_v; i++)
		all[i] = __builtin_fmaf(all[i], keep, next[i] * take);
	tail[PARTIAL_SUM] = __builtin_fmaf(tail[PARTIAL_SUM], keep, next_tail[PARTIAL_SUM] * take);
	tail[PARTIAL_MAX] = top;
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

static void finish(const struct attention *attention, uint32_t head, const float *all, float *out)
{
	const float factor = attention_factor(attention, head, all);
	for (uint32_t i = 0; i < attention->head_v; i++)
		out[i] = all[i] * factor;
}

static void one_query(const struct attention *attention, const float *q, uint32_t position,
		      uint32_t head, float *out)
{
	float all[ATTENTION_WIDTH_MAX + PARTIAL_EXTRA], next[ATTENTION_WIDTH_MAX + PARTIAL_EXTRA];
	uint32_t first, end;
	attention_tiles(attention, position, &first, &end);
	one_tile(attention, q, position, first, all);
	for (uint32_t tile = first + 1; tile < end; tile++) {
		one_tile(attention, q, position, tile, next);
		join(all, next, attention->head_v);
	}
	finish(attention, head, all, out);
}

void c_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
		      uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	for (uint32_t r = 0; r < n_rows; r++)
		for (uint32_t h = 0; h < attention->n_q; h++)
			one_query(attention, q + r * q_stride + h * attention->head_k, position + r,
				  h, out + r * out_stride + h * attention->head_v);
}

void c_attention_tile(const struct attention *attention, const float *q, uint32_t position,
		      uint32_t tile, float *partial)
{
	for (uint32_t h = 0; h < attention->n_q; h++)
		one_tile(attention, q + h * attention->head_k, position, tile,
			 partial + h * partial_stride(attention));
}

void c_attention_join(const struct attention *attention, const float *partials, uint32_t n_tiles,
		      float *out)
{
	const uint32_t head_v = attention->head_v;
	float all[ATTENTION_WIDTH_MAX + PARTIAL_EXTRA];
	for (uint32_t h = 0; h < attention->n_q; h++) {
		const float *next = partials + h * partial_stride(attention);
		memcpy(all, next, (head_v + PARTIAL_EXTRA) * sizeof(float));
		for (uint32_t tile = 1; tile < n_tiles; tile++) {
			next += attention_partial_floats(attention);
			join(all, next, head_v);
		}
		finish(attention, h, all, out + h * head_v);
	}
}
