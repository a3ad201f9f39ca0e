/* slice.c: the units of a model that live on this device: their weights, the state of their
 * sequences, and the work on them. */
#include "compute/cpu/backend_cpu.h"
#include "compute/forward.h"
#include "compute/state.h"
#include "compute/weights.h"

#include <inttypes.h>
#include <stdlib.h>

struct held {
	struct layer_range layers;
	struct state *state;
	uint32_t *slots; /* [rows_max] of the batch */
};

struct slice {
	struct backend *backend; /* borrowed */
	const struct model_shape *shape;
	struct weights *weights;
	struct forward *forward;
	bool head;
	uint32_t rows_max;
	uint64_t kv_bytes, buffer_bytes;
	uint64_t charged; /* for the slots; the parts charge for themselves */
	uint32_t n_held;
	struct held *held; /* [n_held], rising */
};

/* ---- what it costs ---- */

static uint64_t slots_bytes(const struct slice_config *config)
{
	return (uint64_t)config->n_ranges * config->rows_max * sizeof(uint32_t);
}

/* How far back, within the range, lies the first layer with the keys and values that this one
 * reads: their own layer, or one that took them from the row. */
static uint32_t back_of(const struct model_shape *shape, const struct layer_range *range,
			uint32_t layer)
{
	uint32_t first = range->first;
	while (first < layer && shape->layers[first].kv_of != shape->layers[layer].kv_of)
		first++;
	return layer - first;
}

/* `layers` must have room for the range. */
static struct state_config state_config_of(const struct model_shape *shape,
					   const struct layer_range *range,
					   const struct slice_config *config,
					   struct state_layer *layers)
{
	for (uint32_t i = range->first; i < range->end; i++)
		layers[i - range->first] = (struct state_layer){
			.n_head_kv = shape->layers[i].n_head_kv,
			.head_k = shape->layers[i].head_k,
			.head_v = shape->layers[i].head_v,
			.window = shape->layers[i].window,
			.recurrent = model_recurrent_floats(shape, i),
			.back = back_of(shape, range, i),
		};
	return (struct state_config){
		.layers = layers,
		.n_layers = range->end - range->first,
		.kind = config->kv_kind,
		.positions = config->kv_positions,
		.sequences = config->kv_sequences,
		.rows_max = config->rows_max,
	};
}

uint64_t slice_weight_bytes(const struct model *model, const struct slice_config *config)
{
	return weights_bytes(model, config);
}

uint64_t slice_kv_bytes(const struct model *model, const struct slice_config *config)
{
	struct state_layer layers[MODEL_LAYERS_LIMIT];
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < config->n_ranges; i++) {
		const struct state_config state =
			state_config_of(model_shape(model), &config->ranges[i], config, layers);
		bytes += state_bytes(&state);
	}
	return bytes;
}

static struct forward_config forward_config_of(const struct model *model,
					       const struct slice_config *config)
{
	return (struct forward_config){
		.model = model,
		.rows_max = config->rows_max,
		.positions = config->n_ranges > 0 ? config->kv_positions : 0,
		.head = config->head,
	};
}

uint64_t slice_buffer_bytes(const struct model *model, const struct slice_config *config,
			    uint32_t threads)
{
	const struct forward_config forward = forward_config_of(model, config);
	return slots_bytes(config) + forward_bytes(&forward);
}

/* ---- loading ---- */

static bool head_fits(uint32_t width)
{
	return width % 8 == 0 && width <= ATTENTION_WIDTH_MAX;
}

static int check_heads(const struct model *model, struct fail *fail)
{
	const struct model_shape *shape = model_shape(model);
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		const struct layer_shape *layer = &shape->layers[i];
		if (!head_fits(layer->head_k) || !head_fits(layer->head_v))
			return fail_set(fail, FAIL_UNSUPPORTED,
					"%s has heads of width %" PRIu32 " and %" PRIu32
					"; this version computes multiples of 8 up to %u",
					model_path(model), layer->head_k, layer->head_v,
					ATTENTION_WIDTH_MAX);
	}
	return 0;
}

static int check_config(const struct model *model, const struct slice_config *config,
			struct fail *fail)
{
	const uint32_t n_layers = model_shape(model)->n_layers;
	uint32_t next = 0;
	if (check_heads(model, fail))
		return -FAIL_UNSUPPORTED;
	for (uint32_t i = 0; i < config->n_ranges; i++) {
		const struct layer_range *range = &config->ranges[i];
		if (range->first < next || range->end <= range->first || range->end > n_layers)
			return fail_set(fail, FAIL_INVALID,
					"layers %" PRIu32 " to %" PRIu32
					" are not a further part of "
					"a model of %" PRIu32 " layers",
					range->first, range->end, n_layers);
		next = range->end;
	}
	if (config->n_ranges == 0 && !config->head)
		return fail_set(fail, FAIL_INVALID, "a slice must hold layers or the head");
	if (config->rows_max == 0 || (config->n_ranges > 0 && config->kv_positions == 0))
		return fail_set(fail, FAIL_INVALID, "a slice needs rows and KV positions");
	if (model_path(model)[0] == '\0')
		return fail_set(fail, FAIL_INVALID,
				"a model known by its metadata alone has no "
				"weights to load");
	return 0;
}

static int create_state(struct slice *slice, const struct layer_range *range,
			const struct slice_config *config, struct fail *fail)
{
	struct state_layer layers[MODEL_LAYERS_LIMIT];
	struct held *held = &slice->held[slice->n_held++];
	const struct state_config state = state_config_of(slice->shape, range, config, layers);
	held->layers = *range;
	held->slots = calloc(config->rows_max, sizeof(uint32_t));
	if (!held->slots)
		return fail_set(fail, FAIL_MEMORY, "no memory for a table of rows");
	held->state = state_create(&state, backend_account(slice->backend), fail);
	return held->state ? 0 : -1;
}

static int create_states(struct slice *slice, const struct slice_config *config, struct fail *fail)
{
	const uint64_t bytes = slots_bytes(config);
	if (!account_charge(backend_account(slice->backend), ACCOUNT_BUFFERS, bytes))
		return fail_set(fail, FAIL_MEMORY, "this device's memory limit is reached");
	slice->charged = bytes;
	slice->held = calloc(config->n_ranges + 1, sizeof(*slice->held));
	if (!slice->held)
		return fail_set(fail, FAIL_MEMORY, "no memory for a table of layers");
	for (uint32_t i = 0; i < config->n_ranges; i++)
		if (create_state(slice, &config->ranges[i], config, fail))
			return -1;
	return 0;
}

static int create_forward(struct slice *slice, const struct model *model,
			  const struct slice_config *config, struct fail *fail)
{
	struct forward_config forward = forward_config_of(model, config);
	forward.weights = slice->weights;
	forward.kernels = backend_kernels(slice->backend);
	forward.pool = backend_pool(slice->backend);
	slice->forward = forward_create(&forward, backend_account(slice->backend), fail);
	return slice->forward ? 0 : -1;
}

struct slice *slice_create(struct backend *backend, const struct model *model,
			   const struct slice_config *config, struct fail *fail)
{
	if (check_config(model, config, fail))
		return NULL;
	struct slice *slice = calloc(1, sizeof(*slice));
	if (!slice) {
		fail_set(fail, FAIL_MEMORY, "no memory for a slice");
		return NULL;
	}
	slice->backend = backend;
	slice->shape = model_shape(model);
	slice->head = config->head;
	slice->rows_max = config->rows_max;
	if (create_states(slice, config, fail))
		goto fail;
	slice->weights = weights_create(model, config, backend_account(backend), fail);
	if (!slice->weights || create_forward(slice, model, config, fail))
		goto fail;
	slice->kv_bytes = slice_kv_bytes(model, config);
	slice->buffer_bytes = slice_buffer_bytes(model, config, backend_threads(backend));
	return slice;
fail:
	slice_destroy(slice);
	return NULL;
}

static void nothing(void *context)
{
}

void slice_destroy(struct slice *slice)
{
	if (!slice)
		return;
	backend_call(slice->backend, nothing, NULL); /* after all submitted work */
	forward_destroy(slice->forward);
	weights_destroy(slice->weights);
	for (uint32_t i = 0; i < slice->n_held; i++) {
		state_destroy(slice->held[i].state);
		free(slice->held[i].slots);
	}
	free(slice->held);
	account_release(backend_account(slice->backend), ACCOUNT_BUFFERS, slice->charged);
	free(slice);
}

void slice_usage(const struct slice *slice, struct slice_usage *usage)
{
	*usage = (struct slice_usage){
		.weight_bytes = slice->weights->bytes,
		.kv_bytes = slice->kv_bytes,
		.buffer_bytes = slice->buffer_bytes,
	};
	for (uint32_t i = 0; i < slice->n_held; i++) {
		struct state_counts counts;
		state_counts(slice->held[i].state, &counts);
		if (counts.sequences > usage->sequences)
			usage->sequences = counts.sequences;
		usage->pages_used += counts.pages_used;
		usage->pages_total += counts.pages_total;
	}
}

uint64_t slice_large_bytes(const struct slice *slice)
{
	return weights_large(slice->weights);
}

/* ---- work ---- */

void slice_submit(struct slice *slice, struct work *work)
{
	work->slice = slice;
	backend_queue(slice->backend, work);
}

bool slice_run_here(struct slice *slice, struct work *work)
{
	work->slice = slice;
	return backend_run_here(slice->backend, work);
}

static bool cancelled(const struct work *work)
{
	return work->cancel && atomic_load(work->cancel);
}

/* The part of `layers` that lies in this range; false when there is none. */
static bool overlap(const struct held *held, const struct layer_range *layers,
		    struct layer_range *part)
{
	const struct layer_range *own = &held->layers;
	part->first = layers->first > own->first ? layers->first : own->first;
	part->end = layers->end < own->end ? layers->end : own->end;
	return part->first < part->end;
}

/* True when this slice holds every layer of the work. */
static bool holds(const struct slice *slice, const struct layer_range *layers)
{
	struct layer_range part;
	uint32_t next = layers->first;
	for (uint32_t i = 0; i < slice->n_held; i++)
		if (overlap(&slice->held[i], layers, &part) && part.first == next)
			next = part.end;
	return layers->first < layers->end && next == layers->end;
}

static enum fail_code prepare(struct slice *slice, const struct work *work)
{
	struct layer_range part;
	for (uint32_t i = 0; i < slice->n_held; i++) {
		struct held *held = &slice->held[i];
		if (!overlap(held, &work->layers, &part))
			continue;
		const enum fail_code code = state_prepare(
			held->state, work->rows, work->n_rows, part.first - held->layers.first,
			part.end - held->layers.first, held->slots);
		if (!code)
			continue;
		while (i-- > 0)
			if (overlap(&slice->held[i], &work->layers, &part))
				state_abandon(slice->held[i].state, slice->held[i].slots,
					      work->n_rows);
		return code;
	}
	return FAIL_NONE;
}

static enum fail_code run_prepared(struct slice *slice, const struct work *work)
{
	struct layer_range part;
	forward_begin(slice->forward, work->rows, work->n_rows);
	for (uint32_t i = 0; i < slice->n_held; i++) {
		struct held *held = &slice->held[i];
		if (!overlap(held, &work->layers, &part))
			continue;
		for (uint32_t j = part.first; j < part.end; j++) {
			if (cancelled(work))
				return FAIL_CANCELLED;
			forward_layer(slice->forward, j, held->state, j - held->layers.first,
				      held->slots, work->hidden);
		}
	}
	return FAIL_NONE;
}

static void settle(struct slice *slice, const struct work *work, bool commit)
{
	struct layer_range part;
	for (uint32_t i = 0; i < slice->n_held; i++) {
		struct held *held = &slice->held[i];
		if (!overlap(held, &work->layers, &part))
			continue;
		if (commit)
			state_commit(held->state, held->slots, work->n_rows,
				     part.first - held->layers.first,
				     part.end - held->layers.first);
		else
			state_abandon(held->state, held->slots, work->n_rows);
	}
}

static enum fail_code run_layers(struct slice *slice, const struct work *work)
{
	if (!holds(slice, &work->layers))
		return FAIL_INVALID;
	enum fail_code code = prepare(slice, work);
	if (code)
		return code;
	code = run_prepared(slice, work);
	settle(slice, work, code == FAIL_NONE);
	return code;
}

static enum fail_code run_rows(struct slice *slice, const struct work *work)
{
	if (work->n_rows == 0 || work->n_rows > slice->rows_max)
		return FAIL_INVALID;
	if (cancelled(work))
		return FAIL_CANCELLED;
	if (work->kind == WORK_LAYERS)
		return run_layers(slice, work);
	if (!slice->head)
		return FAIL_INVALID;
	if (work->kind == WORK_EMBED)
		return forward_embed(slice->forward, work->rows, work->n_rows, work->hidden);
	return forward_output(slice->forward, work->rows, work->n_rows, work->hidden, work->logits,
			      work->cancel);
}

/* All ranges agree to the operation before the first one does it. */
static enum fail_code run_sequence(struct slice *slice, const struct work *work)
{
	const bool all = work->layers.first == work->layers.end;
	bool any = false;
	struct layer_range part;
	for (uint32_t i = 0; i < slice->n_held; i++) {
		if (!all && !overlap(&slice->held[i], &work->layers, &part))
			continue;
		const enum fail_code code = state_check(slice->held[i].state, work);
		if (code)
			return code;
		any = true;
	}
	for (uint32_t i = 0; i < slice->n_held; i++)
		if (all || overlap(&slice->held[i], &work->layers, &part))
			state_apply(slice->held[i].state, work);
	return any || all ? FAIL_NONE : FAIL_INVALID;
}

void slice_run(struct slice *slice, struct work *work)
{
	switch (work->kind) {
	case WORK_EMBED:
	case WORK_LAYERS:
	case WORK_OUTPUT:
		work->code = run_rows(slice, work);
		return;
	case WORK_OPEN:
	case WORK_FORK:
	case WORK_TRIM:
	case WORK_CHECKPOINT:
	case WORK_RESTORE:
	case WORK_DROP:
		work->code = run_sequence(slice, work);
		return;
	}
	work->code = FAIL_INVALID;
}
