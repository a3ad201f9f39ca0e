#include "compute/cpu/rope.h"
#include "compute/forward_inside.h"
#include "compute/router.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ANGLE_MAX 0x1p24 /* of maths_sin_cos */

struct widths {
	uint32_t q, k, v, mixed, ff, rope, widest;
	uint32_t ones;    /* the widest of what asks for ones */
	uint32_t gated;   /* q heads and their gates */
	uint32_t formats; /* bit per row format in use */
	size_t partial;   /* floats of one tile's partial results of all heads */
};

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t formats_in_use(const struct model *model)
{
	uint32_t formats = 0;
	const struct gguf *gguf = model_gguf(model);
	for (uint32_t i = 0; i < gguf_tensor_count(gguf); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
		if (tensor->n_dims >= 2 && tensor_type_supported(tensor->type))
			formats |= 1u << row_format_of(tensor->type);
	}
	return formats;
}

static uint32_t delta_channels(const struct model_shape *shape)
{
	return (2 * shape->delta.n_keys + shape->delta.n_values) * shape->delta.width;
}

static struct widths widths_of(const struct model *model)
{
	const struct model_shape *shape = model_shape(model);
	struct widths widths = { .formats = formats_in_use(model) };
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		const struct layer_shape *layer = &shape->layers[i];
		const struct attention attention = {
			.head_k = layer->head_k,
			.head_v = layer->head_v,
			.n_q = layer->n_head / layer->n_head_kv,
		};
		const size_t partial = layer->n_head_kv * attention_partial_floats(&attention);
		widths.partial = partial > widths.partial ? partial : widths.partial;
		widths.q = max_u32(widths.q, layer->n_head * layer->head_k);
		widths.k = max_u32(widths.k, layer->n_head_kv * layer->head_k);
		widths.v = max_u32(widths.v, layer->n_head_kv * layer->head_v);
		widths.mixed = max_u32(widths.mixed, layer->n_head * layer->head_v);
		if (layer->parts & LAYER_V_NORM)
			widths.ones = max_u32(widths.ones, layer->head_v);
		if (layer->parts & LAYER_Q_GATE)
			widths.gated = max_u32(widths.gated, 2 * layer->n_head * layer->head_k);
		widths.ff = max_u32(widths.ff, max_u32(layer->n_ff, layer->n_ff_shared));
	}
	widths.ff = max_u32(widths.ff, shape->n_token);
	for (uint32_t i = 0; i < shape->n_ropes; i++)
		widths.rope = max_u32(widths.rope, shape->ropes[i].n_rot);
	widths.q = max_u32(widths.q, delta_channels(shape));
	widths.ones = max_u32(widths.ones, delta_channels(shape));
	widths.mixed = max_u32(widths.mixed, shape->delta.n_values * shape->delta.width);
	widths.widest = max_u32(shape->n_embd, max_u32(widths.mixed, widths.ff));
	return widths;
}

/* Places `bytes` at the next aligned offset; NULL while only measuring. */
static void *place(uint8_t *base, uint64_t *at, uint64_t bytes)
{
	void *here = base ? base + *at : NULL;
	*at += (bytes + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
	return here;
}

static uint64_t lay_out_experts(struct forward *to, const struct model_shape *shape, uint64_t rows,
				uint8_t *base, uint64_t at)
{
	const uint64_t choices = rows * shape->n_expert_used;
	to->router_logits = place(base, &at, rows * shape->n_expert * sizeof(float));
	to->shares = place(base, &at, rows * sizeof(float));
	to->choices = place(base, &at, choices * sizeof(*to->choices));
	to->pair_of = place(base, &at, choices * sizeof(*to->pair_of));
	to->pairs = place(base, &at, choices * sizeof(*to->pairs));
	to->expert_next = place(base, &at, (shape->n_expert + 1) * sizeof(*to->expert_next));
	to->expert_out = place(base, &at, to->pairs_max * (uint64_t)shape->n_embd * sizeof(float));
	if (shape->layers[0].parts & LAYER_DENSE_BESIDE)
		to->beside = place(base, &at, rows * shape->n_embd * sizeof(float));
	return at;
}

static const float *fill(float *values, uint32_t n, float value)
{
	for (uint32_t i = 0; values && i < n; i++)
		values[i] = value;
	return values;
}

static uint64_t lay_out_delta(struct forward *to, const struct model_shape *shape, uint64_t rows,
			      uint8_t *base, uint64_t at)
{
	const struct delta_shape *delta = &shape->delta;
	const uint32_t channels = delta_channels(shape), width = delta->width;
	const uint64_t heads = rows * delta->n_values * sizeof(float);
	const float length = (float)(1 / sqrt(width));
	to->convolved = place(base, &at, rows * channels * sizeof(float));
	to->z = place(base, &at, heads * width);
	to->alpha = place(base, &at, heads);
	to->beta = place(base, &at, heads);
	to->zeros = fill(place(base, &at, channels * sizeof(float)), channels, 0);
	to->q_lengths = fill(place(base, &at, width * sizeof(float)), width, 1.0f / (float)width);
	to->k_lengths = fill(place(base, &at, width * sizeof(float)), width, length);
	to->row_before = place(base, &at, rows * sizeof(*to->row_before));
	to->row_after = place(base, &at, rows * sizeof(*to->row_after));
	to->chains = place(base, &at, rows * sizeof(*to->chains));
	return at;
}

/* Lays the buffers out from `base`; gives the bytes in all. */
static uint64_t lay_out(struct forward *to, const struct forward_config *config, uint8_t *base)
{
	const struct model_shape *shape = model_shape(config->model);
	const struct widths widths = widths_of(config->model);
	const uint64_t rows = config->rows_max;
	const uint64_t tiles = ((uint64_t)config->positions + ATTENTION_TILE - 1) / ATTENTION_TILE;
	const uint64_t logits = config->head ? 2ull * FORWARD_OUTPUT_ROWS * shape->n_vocab : 0;
	const uint64_t least = 2ull * FORWARD_OUTPUT_ROWS, quantised = rows > least ? rows : least;
	const uint64_t pairs = rows > shape->n_expert_used ? rows : shape->n_expert_used;
	const uint64_t tokens = config->head ? (uint64_t)shape->n_layers * shape->n_token : 0;
	uint64_t at = 0;
	to->pairs_max = (uint32_t)pairs;
	to->row_floats = model_row_floats(shape);
	to->rope_width = widths.rope;
	to->turns = place(base, &at, shape->n_ropes * sizeof(double) * (widths.rope / 2));
	to->tables = place(base, &at, shape->n_ropes * rows * sizeof(float) * widths.rope);
	to->spans = place(base, &at, rows * sizeof(struct forward_span));
	for (uint32_t i = 0; i < ROW_FORMATS; i++) {
		const bool used = widths.formats >> i & 1;
		const uint64_t bytes = used ? quantised * row_bytes(i, widths.widest) : 0;
		to->quantised[i] = used ? place(base, &at, bytes) : NULL;
		to->gathered[i] = used && shape->n_expert
					  ? place(base, &at, pairs * row_bytes(i, widths.widest))
					  : NULL;
	}
	to->normed = place(base, &at, rows * shape->n_embd * sizeof(float));
	to->branch = place(base, &at, rows * shape->n_embd * sizeof(float));
	to->q = place(base, &at, rows * widths.q * sizeof(float));
	to->k = place(base, &at, rows * widths.k * sizeof(float));
	to->v = place(base, &at, rows * widths.v * sizeof(float));
	to->mixed = place(base, &at, rows * widths.mixed * sizeof(float));
	to->gate = place(base, &at, pairs * widths.ff * sizeof(float));
	to->up = place(base, &at, pairs * widths.ff * sizeof(float));
	if (shape->n_expert)
		at = lay_out_experts(to, shape, rows, base, at);
	to->ones = fill(place(base, &at, widths.ones * sizeof(float)), widths.ones, 1);
	to->token_row = place(base, &at, tokens * sizeof(float));
	to->q_gated = place(base, &at, rows * widths.gated * sizeof(float));
	if (shape->delta.width)
		at = lay_out_delta(to, shape, rows, base, at);
	to->logits = place(base, &at, logits * sizeof(float));
	to->partials = place(base, &at, tiles * widths.partial * sizeof(float));
	return at;
}

uint64_t forward_bytes(const struct forward_config *config)
{
	struct forward measured = { 0 };
	return sizeof(measured) + lay_out(&measured, config, NULL);
}

/* Angles are exact up to ANGLE_MAX; a file's factors may be anything. */
static bool angles_fit(const double *turns, uint32_t count, uint32_t positions)
{
	for (uint32_t i = 0; i < count; i++)
		if (!(turns[i] >= 0 && turns[i] * positions <= ANGLE_MAX)) /* NaN too */
			return false;
	return true;
}

/* LongRoPE has factors of its own for contexts that are longer than the model was trained for:
 * which ones is settled by the longest context, since keys in the cache cannot turn again. */
static const float *factors_of(const struct weights *weights, const struct rope_shape *rope,
			       uint32_t positions)
{
	if (!rope->factors)
		return NULL;
	if (weights->rope_freqs)
		return weights->rope_freqs;
	return positions > rope->original ? weights->rope_long : weights->rope_short;
}

static bool find_turns(struct forward *forward, uint32_t positions)
{
	const struct model_shape *shape = forward->shape;
	for (uint32_t i = 0; i < shape->n_ropes; i++) {
		double *turns = forward->turns + i * (forward->rope_width / 2);
		rope_turns(turns, &shape->ropes[i],
			   factors_of(forward->weights, &shape->ropes[i], positions));
		if (!angles_fit(turns, shape->ropes[i].n_rot / 2, positions))
			return false;
	}
	return true;
}

static int allocate(struct forward *forward, const struct forward_config *config, uint64_t bytes,
		    struct account *account, struct fail *fail)
{
	if (!account_charge(account, ACCOUNT_BUFFERS, bytes))
		return fail_set(fail, FAIL_MEMORY,
				"buffers for batches of %" PRIu32 " rows need %" PRIu64
				" MiB, and %" PRIu64 " MiB of this device's limit are left",
				config->rows_max, bytes >> 20, account_left(account) >> 20);
	forward->account = account;
	forward->bytes = bytes;
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return fail_set(fail, FAIL_MEMORY, "the system has no %" PRIu64 " MiB for buffers",
				bytes >> 20);
	forward->memory = memory;
	return 0;
}

struct forward *forward_create(const struct forward_config *config, struct account *account,
			       struct fail *fail)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	if (!forward) {
		fail_set(fail, FAIL_MEMORY, "no memory for a forward pass");
		return NULL;
	}
	forward->shape = model_shape(config->model);
	forward->weights = config->weights;
	forward->kernels = config->kernels;
	forward->pool = config->pool;
	forward->rows_max = config->rows_max;
	if (allocate(forward, config, forward_bytes(config), account, fail))
		goto fail;
	lay_out(forward, config, forward->memory);
	if (!find_turns(forward, config->positions)) {
		fail_set(fail, FAIL_UNSUPPORTED,
			 "the RoPE factors of %s turn positions too fast to compute them",
			 model_path(config->model));
		goto fail;
	}
	return forward;
fail:
	forward_destroy(forward);
	return NULL;
}

void forward_destroy(struct forward *forward)
{
	if (!forward)
		return;
	if (forward->memory)
		munmap(forward->memory, forward->bytes);
	if (forward->account)
		account_release(forward->account, ACCOUNT_BUFFERS, forward->bytes);
	free(forward);
}
