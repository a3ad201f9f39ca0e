#include "compute/cpu/cache.h"
#include "compute/cpu/maths.h"
#include "compute/forward_inside.h"

#include <string.h>

#define SPLIT_JOIN_TILES 16u /* joining more tiles than this is shared out too */

static bool shares_kv(const struct forward *forward)
{
	return forward->layer->parts & LAYER_SHARED_KV;
}

/* Floats of all keys, or values, of a row. */
static size_t keys_width(const struct layer_shape *layer)
{
	return (size_t)layer->n_head_kv * layer->head_k;
}

static size_t values_width(const struct layer_shape *layer)
{
	return (size_t)layer->n_head_kv * layer->head_v;
}

/* x = norm(h); ready for q, k, v */
static void attention_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const struct matrix *const readers[] = { &held->q, &held->k, &held->v };
	forward_quantise(forward, forward_norm(forward, row, held->attn_norm),
			 forward->shape->n_embd, row, readers, shares_kv(forward) ? 1 : 3);
}

/* Q [rows, n_head, head_k], K [rows, n_head_kv, head_k], V [rows, n_head_kv, head_v] */
static void attention_products(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	const bool gated = forward->layer->parts & LAYER_Q_GATE;
	const struct matmul products[] = {
		forward_product(forward, &held->q, forward->n_rows,
				gated ? forward->q_gated : forward->q),
		forward_product(forward, &held->k, forward->n_rows, forward->k),
		forward_product(forward, &held->v, forward->n_rows, forward->v),
	};
	const bool both = forward->layer->parts & LAYER_V_IS_K;
	forward_multiply(forward, products, shares_kv(forward) ? 1 : both ? 2 : 3);
}

/* Norms each head, or all of them together. */
static void norm_heads(const struct forward *forward, float *heads, uint32_t n_heads,
		       const float *norm)
{
	const uint32_t width = forward->layer->head_k;
	const float eps = forward->shape->norm_eps;
	if (forward->layer->parts & LAYER_QK_NORM_WIDE)
		forward->kernels->rms_norm(heads, heads, norm, n_heads * width, eps);
	else
		for (uint32_t i = 0; i < n_heads; i++)
			forward->kernels->rms_norm(heads + i * width, heads + i * width, norm,
						   width, eps);
}

static void turn_heads(const struct forward *forward, float *heads, uint32_t n_heads,
		       const float *norm, const float *bias, uint32_t row)
{
	const struct model_shape *shape = forward->shape;
	const uint32_t width = forward->layer->head_k;
	if (bias)
		forward->kernels->add(heads, bias, n_heads * width);
	if (norm)
		norm_heads(forward, heads, n_heads, norm);
	forward->kernels->rope(heads, n_heads, width, shape->ropes[forward->layer->rope].n_rot,
			       shape->pairing, forward->table + (size_t)row * forward->rope_width);
}

/* Far positions look more sharply: 1 + temperature ln(1 + floor(position / original)). */
static void temper(const struct forward *forward, float *q, uint32_t row)
{
	const struct layer_shape *layer = forward->layer;
	const uint32_t original = forward->shape->ropes[layer->rope].original;
	const uint32_t times = forward->rows[row].position / original;
	if (forward->shape->temperature == 0 || times == 0)
		return;
	const double log = maths_log(1.0 + (double)times);
	forward->kernels->scale(q, (float)(1.0 + (double)forward->shape->temperature * log),
				layer->n_head * layer->head_k);
}

/* Keys and values of one head of `n_rows` rows from `row` on, within one page. */
static void append_some(const struct forward *forward, uint32_t row, uint32_t n_rows, uint32_t head)
{
	const struct layer_shape *shape = forward->layer;
	const size_t keys = keys_width(shape), values = values_width(shape);
	const struct state *state = forward->state;
	const uint32_t layer = forward->state_layer, position = forward->rows[row].position;
	const uint32_t at = position % STATE_PAGE;
	const enum kv_kind kind = state_kind(state);
	const float *k = forward->k + row * keys + (size_t)head * shape->head_k;
	const float *v = forward->v + row * values + (size_t)head * shape->head_v;
	uint8_t *page = state_page(state, layer, forward->slots[row], position);
	cache_put_keys(forward->kernels, kind, page + state_key_offset(state, layer, head), at,
		       n_rows, k, (uint32_t)keys, shape->head_k);
	cache_put_values(forward->kernels, kind, page + state_value_offset(state, layer, head), at,
			 n_rows, v, (uint32_t)values, shape->head_v);
}

/* k and v of a span join the cache, one head of it. By spans, because neighbouring positions lie
 * side by side. */
static void append_span(void *context, uint32_t piece, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t n_heads = forward->layer->n_head_kv;
	const struct forward_span *span = &forward->spans[piece / n_heads];
	for (uint32_t done = 0; done < span->n_rows;) {
		const uint32_t row = span->row + done;
		const uint32_t room = STATE_PAGE - forward->rows[row].position % STATE_PAGE;
		const uint32_t left = span->n_rows - done;
		append_some(forward, row, left < room ? left : room, piece % n_heads);
		done += left < room ? left : room;
	}
}

static void append(struct forward *forward)
{
	if (!state_writes(forward->state, forward->state_layer))
		return;
	const uint32_t pieces = forward->n_spans * forward->layer->n_head_kv;
	if (forward->n_rows > 1) {
		pool_run(forward->pool, append_span, forward, pieces);
		return;
	}
	for (uint32_t piece = 0; piece < pieces; piece++)
		append_span(forward, piece, 0);
}

/* Of each head first q, then its gate: the q go to `q`, the gates move up. */
static void split_gates(const struct layer_shape *layer, float *both, float *q)
{
	const size_t width = layer->head_k;
	for (uint32_t i = 0; i < layer->n_head; i++) {
		memcpy(q + i * width, both + 2 * i * width, width * sizeof(float));
		memmove(both + i * width, both + (2 * i + 1) * width, width * sizeof(float));
	}
}

/* k = RoPE(norm(k)), v = norm(v) */
static void make_kv(const struct forward *forward, float *k, float *v, uint32_t row)
{
	const struct layer_shape *layer = forward->layer;
	const struct weights_layer *held = forward->held;
	if (layer->parts & LAYER_V_IS_K)
		memcpy(v, k, keys_width(layer) * sizeof(float));
	turn_heads(forward, k, layer->n_head_kv, held->k_norm, held->k_bias, row);
	if (held->v_bias)
		forward->kernels->add(v, held->v_bias, (uint32_t)values_width(layer));
	for (uint32_t i = 0; i < layer->n_head_kv && layer->parts & LAYER_V_NORM; i++)
		forward->kernels->rms_norm(v + i * layer->head_v, v + i * layer->head_v,
					   forward->ones, layer->head_v, forward->shape->norm_eps);
}

/* Copies keys and values that layers share into the row, or out of it. */
static void carry_kv(const struct forward *forward, float *k, float *v, uint32_t row)
{
	const struct layer_shape *layer = forward->layer;
	const size_t keys = keys_width(layer), values = values_width(layer);
	float *shared = forward_row(forward, row) + forward->shape->n_embd + layer->kv_at;
	if (shares_kv(forward)) {
		memcpy(k, shared, keys * sizeof(float));
		memcpy(v, shared + keys, values * sizeof(float));
	} else if (layer->kv_shared) {
		memcpy(shared, k, keys * sizeof(float));
		memcpy(shared + keys, v, values * sizeof(float));
	}
}

/* q = RoPE(norm(q)), and likewise keys and values, or those that the row brought */
static void attention_heads(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct layer_shape *layer = forward->layer;
	const struct weights_layer *held = forward->held;
	float *q = forward->q + (size_t)row * layer->n_head * layer->head_k;
	float *k = forward->k + row * keys_width(layer);
	float *v = forward->v + row * values_width(layer);
	if (layer->parts & LAYER_Q_GATE)
		split_gates(layer, forward->q_gated + (size_t)row * held->q.n_out, q);
	turn_heads(forward, q, layer->n_head, held->q_norm, held->q_bias, row);
	temper(forward, q, row);
	if (!shares_kv(forward))
		make_kv(forward, k, v, row);
	carry_kv(forward, k, v, row);
}

/* Of key-value heads from `head` on. */
static struct attention attention_of(const struct forward *forward, uint32_t row, uint32_t head,
				     uint32_t n_heads)
{
	const struct model_shape *shape = forward->shape;
	const struct layer_shape *layer = forward->layer;
	const float *sinks = forward->held->sinks;
	return (struct attention){
		.head_k = layer->head_k,
		.head_v = layer->head_v,
		.n_q = layer->n_head / layer->n_head_kv,
		.n_kv = n_heads,
		.window = layer->mixer == MIXER_SLIDING ? layer->window : 0,
		.scale = shape->attention_scale,
		.softcap = shape->attention_cap,
		.sinks = sinks ? sinks + head * (layer->n_head / layer->n_head_kv) : NULL,
		.kind = state_kind(forward->state),
		.pages = state_pages(forward->state, forward->state_layer, forward->slots[row]),
		.key_offset = state_key_offset(forward->state, forward->state_layer, head),
		.value_offset = state_value_offset(forward->state, forward->state_layer, head),
		.head_bytes = state_head_bytes(forward->state, forward->state_layer),
	};
}

static float *query_of(const struct forward *forward, uint32_t row, uint32_t head)
{
	const struct layer_shape *layer = forward->layer;
	const size_t group = layer->n_head / layer->n_head_kv;
	return forward->q + ((size_t)row * layer->n_head + head * group) * forward->layer->head_k;
}

static float *mixed_of(const struct forward *forward, uint32_t row, uint32_t head)
{
	const struct layer_shape *layer = forward->layer;
	const size_t group = layer->n_head / layer->n_head_kv;
	return forward->mixed +
	       ((size_t)row * layer->n_head + head * group) * forward->layer->head_v;
}

/* mixed = softmax(q . K * scale) V: one span of rows, some key-value heads */
static void attend_span(void *context, uint32_t piece, uint32_t thread)
{
	struct forward *forward = context;
	const struct layer_shape *layer = forward->layer;
	const uint32_t most = forward->heads_at_once;
	const uint32_t n_pieces = (layer->n_head_kv + most - 1) / most;
	const uint32_t head = piece % n_pieces * most, left = layer->n_head_kv - head;
	/* the last rows see most: begin with them, so that the threads end together */
	const struct forward_span *span = &forward->spans[forward->n_spans - 1 - piece / n_pieces];
	const struct attention attention =
		attention_of(forward, span->row, head, left < most ? left : most);
	forward->kernels->attention_rows(&attention, query_of(forward, span->row, head),
					 (size_t)layer->n_head * forward->layer->head_k,
					 span->n_rows, forward->rows[span->row].position,
					 mixed_of(forward, span->row, head),
					 (size_t)layer->n_head * forward->layer->head_v);
}

static float *partials_of(const struct forward *forward, const struct attention *attention,
			  uint32_t head)
{
	const size_t tiles = forward->split_end - forward->split_first;
	return forward->partials + head * tiles * attention_partial_floats(attention);
}

static void attend_tile(void *context, uint32_t piece, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t row = forward->split_row;
	const uint32_t n_heads = forward->layer->n_head_kv;
	const uint32_t head = piece % n_heads, tile = piece / n_heads; /* as they lie in memory */
	const struct attention attention = attention_of(forward, row, head, 1);
	forward->kernels->attention_tile(&attention, query_of(forward, row, head),
					 forward->rows[row].position, forward->split_first + tile,
					 partials_of(forward, &attention, head) +
						 tile * attention_partial_floats(&attention));
}

static void attend_join(void *context, uint32_t head, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t row = forward->split_row;
	const struct attention attention = attention_of(forward, row, head, 1);
	forward->kernels->attention_join(&attention, partials_of(forward, &attention, head),
					 forward->split_end - forward->split_first,
					 mixed_of(forward, row, head));
}

/* One row over a long context: its tiles are shared out among the threads. */
static void attend_split(struct forward *forward, uint32_t row)
{
	const uint32_t n_heads = forward->layer->n_head_kv;
	const struct attention attention = attention_of(forward, row, 0, 1);
	attention_tiles(&attention, forward->rows[row].position, &forward->split_first,
			&forward->split_end);
	forward->split_row = row;
	const uint32_t tiles = forward->split_end - forward->split_first;
	pool_run(forward->pool, attend_tile, forward, tiles * n_heads);
	if (tiles > SPLIT_JOIN_TILES) {
		pool_run(forward->pool, attend_join, forward, n_heads);
		return;
	}
	for (uint32_t i = 0; i < n_heads; i++)
		attend_join(forward, i, 0);
}

/* Of rows of their own, which are bound by reading the cache, a piece takes neighbouring heads: so
 * many that each thread finds two pieces. A span of several rows keeps its piece busy with one. */
static uint32_t heads_at_once(const struct forward *forward)
{
	const uint32_t heads = forward->layer->n_head_kv;
	const uint32_t threads = pool_threads(forward->pool);
	const uint32_t n_pieces = threads == 1 ? 1 : 2 * threads;
	const uint32_t most = forward->n_spans * heads / n_pieces;
	if (forward->n_rows > forward->n_spans || most == 0)
		return 1;
	return most < heads ? most : heads;
}

/* Both ways give the same bits. */
static void attend(struct forward *forward)
{
	const uint32_t heads = forward->layer->n_head_kv, pieces = forward->n_spans * heads;
	const uint32_t threads = pool_threads(forward->pool);
	if (threads == 1 || pieces >= 2 * threads || forward->n_rows > 2 * threads) {
		forward->heads_at_once = heads_at_once(forward);
		pool_run(forward->pool, attend_span, forward,
			 forward->n_spans *
				 ((heads + forward->heads_at_once - 1) / forward->heads_at_once));
		return;
	}
	for (uint32_t i = 0; i < forward->n_rows; i++)
		attend_split(forward, i);
}

static void mixed_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *const readers[] = { &forward->held->attn_out };
	const uint32_t width = readers[0]->n_in;
	const float *mixed = forward->mixed + (size_t)row * width;
	float *gates = forward->q_gated + (size_t)row * forward->held->q.n_out;
	const bool gated = forward->layer->parts & LAYER_Q_GATE;
	if (gated)
		forward->kernels->activate(ACTIVATION_SIGMOID, gates, mixed, width);
	forward_quantise(forward, gated ? gates : mixed, width, row, readers, 1);
}

void mixer_attention(struct forward *forward)
{
	forward_each_row(forward, attention_input);
	attention_products(forward);
	forward_each_row(forward, attention_heads);
	append(forward);
	attend(forward);
	forward_each_row(forward, mixed_input);
	const struct matmul out = forward_product(forward, &forward->held->attn_out,
						  forward->n_rows, forward->branch);
	forward_multiply(forward, &out, 1);
}
