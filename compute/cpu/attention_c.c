#include "compute/cpu/c.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/maths.h"
#include "compute/cpu/tiles.h"

#include "base/half.h"

#include <math.h>

/* ---- scores ---- */

/* A query quantised. */
struct bytes {
	int8_t q[ATTENTION_WIDTH_MAX];
	float scales[ATTENTION_WIDTH_MAX / KV_SCALE_BLOCK];
};

static struct query query_of(const struct attention *attention, const float *x, struct bytes *bytes)
{
	if (attention->kind == KV_Q8_0)
		cache_quantise(x, attention->head_k, bytes->q, bytes->scales);
	return (struct query){ x, bytes->q, bytes->scales, NULL };
}

static float element(enum kv_kind kind, const uint8_t *head, size_t at)
{
	if (kind == KV_F16)
		return f16_to_f32(((const uint16_t *)(const void *)head)[at]);
	return ((const float *)(const void *)head)[at];
}

static float score_floats(const struct attention *attention, const struct query *query,
			  const uint8_t *keys, uint32_t j)
{
	const enum kv_kind kind = attention->kind;
	float sum = 0.0f;
	for (uint32_t i = 0; i < attention->head_k; i++)
		sum = __builtin_fmaf(query->x[i], element(kind, keys, cache_key_at(kind, i, j)),
				     sum);
	return sum;
}

static float score_bytes(const struct attention *attention, const struct query *query,
			 const uint8_t *keys, uint32_t j)
{
	const uint16_t *scales = cache_scales(keys, attention->head_k);
	float sum = 0.0f;
	for (uint32_t block = 0; block < attention->head_k / KV_SCALE_BLOCK; block++) {
		int32_t products = 0;
		for (uint32_t c = 0; c < KV_SCALE_BLOCK; c++) {
			const uint32_t i = block * KV_SCALE_BLOCK + c;
			products += query->q[i] * (int8_t)keys[cache_key_at(KV_Q8_0, i, j)];
		}
		const float scale = query->scales[block] *
				    f16_to_f32(scales[(size_t)block * KV_PAGE_POSITIONS + j]);
		sum = __builtin_fmaf(scale, (float)products, sum);
	}
	return sum;
}

static float cap_score(const struct attention *attention, float score)
{
	const float cap = attention->softcap;
	return cap == 0.0f ? score : cap * maths_tanh(score * (1.0f / cap));
}

static void score_tile(const struct attention *attention, const struct query *query,
		       const uint8_t *keys, struct seen seen, float scores[ATTENTION_TILE])
{
	for (uint32_t j = seen.first; j < seen.end; j++) {
		const float sum = attention->kind == KV_Q8_0
					  ? score_bytes(attention, query, keys, j)
					  : score_floats(attention, query, keys, j);
		scores[j] = cap_score(attention, sum * attention->scale);
	}
}

/* ---- weights and values ---- */

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

/* Adds position j with its weight. */
static void add_value(const struct attention *attention, const uint8_t *values, uint32_t j,
		      float weight, float *sums)
{
	const uint32_t width = attention->head_v;
	const uint16_t *scales = cache_scales(values, width);
	for (uint32_t i = 0; i < width; i++) {
		const size_t at = cache_value_at(width, i, j);
		if (attention->kind == KV_Q8_0) {
			const size_t block = (size_t)i / KV_SCALE_BLOCK * KV_PAGE_POSITIONS;
			sums[i] = __builtin_fmaf(weight * f16_to_f32(scales[block + j]),
						 (float)(int8_t)values[at], sums[i]);
		} else {
			sums[i] = __builtin_fmaf(weight, element(attention->kind, values, at),
						 sums[i]);
		}
	}
}

static void one_tile(const struct attention *attention, const struct query *query,
		     uint32_t position, uint32_t tile, float *partial)
{
	const uint8_t *page = attention->pages[tile];
	const struct seen seen = tile_seen(attention, position, tile);
	float weights[ATTENTION_TILE];
	float *tail = partial + attention->head_v;
	score_tile(attention, query, page + attention->key_offset, seen, weights);
	weigh_tile(seen, weights, &tail[PARTIAL_MAX], &tail[PARTIAL_SUM]);
	for (uint32_t i = 0; i < attention->head_v; i++)
		partial[i] = 0.0f;
	for (uint32_t j = seen.first; j < seen.end; j++)
		add_value(attention, page + attention->value_offset, j, weights[j], partial);
}

/* ---- tiles joined ---- */

static void exp_all(float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] = maths_exp(x[i]);
}

static void join_values(uint32_t head_v, float *all, const float *next, float keep, float take)
{
	for (uint32_t i = 0; i < head_v; i++)
		all[i] = __builtin_fmaf(all[i], keep, next[i] * take);
}

static void join(const struct attention *attention, float *all, const float *next)
{
	float *tail = all + attention->head_v;
	const float *next_tail = next + attention->head_v;
	const float before = tail[PARTIAL_MAX], here = next_tail[PARTIAL_MAX];
	const float top = here > before ? here : before;
	const float keep = maths_exp(before - top), take = maths_exp(here - top);
	join_values(attention->head_v, all, next, keep, take);
	tail[PARTIAL_SUM] = __builtin_fmaf(tail[PARTIAL_SUM], keep, next_tail[PARTIAL_SUM] * take);
	tail[PARTIAL_MAX] = top;
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
	struct bytes bytes;
	const struct query query = query_of(attention, q, &bytes);
	uint32_t first, end;
	attention_tiles(attention, position, &first, &end);
	one_tile(attention, &query, position, first, all);
	for (uint32_t tile = first + 1; tile < end; tile++) {
		one_tile(attention, &query, position, tile, next);
		join(attention, all, next);
	}
	finish(attention, head, all, out);
}

/* ---- whole calls ---- */

void c_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
		      uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	for (uint32_t h = 0; h < attention->n_kv * attention->n_q; h++) {
		const struct attention one = attention_head(attention, h / attention->n_q);
		for (uint32_t r = 0; r < n_rows; r++)
			one_query(&one, q + r * q_stride + h * attention->head_k, position + r,
				  h % attention->n_q, out + r * out_stride + h * attention->head_v);
	}
}

void c_attention_tile(const struct attention *attention, const float *q, uint32_t position,
		      uint32_t tile, float *partial)
{
	struct bytes bytes;
	for (uint32_t h = 0; h < attention->n_q; h++) {
		const struct query query = query_of(attention, q + h * attention->head_k, &bytes);
		one_tile(attention, &query, position, tile,
			 partial + h * partial_stride(attention));
	}
}

void c_attention_join(const struct attention *attention, const float *partials, uint32_t n_tiles,
		      float *out)
{
	static const struct tile_steps steps = { .exp = exp_all,
						 .join = join_values,
						 .finish = finish };
	tiles_join(&steps, attention, partials, n_tiles, out);
}
