#include "compute/model.h"

#include "compute/family.h"
#include "compute/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors of a layer, the embedding or the output part. */
struct unit {
	uint32_t count;
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
};

struct model {
	struct gguf *gguf;
	char *path;
	struct model_shape shape;
	struct unit embedding;
	struct unit output;
	struct unit *layers; /* [n_layers] */
	uint32_t n_found;    /* tensors that have their place */
};

struct expected {
	char name[GGUF_NAME_BYTES];
	uint64_t columns, rows, planes;
	bool is_float;
};

/* ---- tensors ---- */

static int check_type(const struct model *model, const struct gguf_tensor *tensor, bool is_float,
		      struct fail *fail)
{
	const char *label = gguf_label(model->gguf);
	if (!tensor_type_supported(tensor->type))
		return fail_set(fail, FAIL_UNSUPPORTED,
				"%s: the tensor %s has type %s, which this version does not "
				"compute with; take a file in another format, such as Q4_K_M or "
				"Q8_0",
				label, tensor->name, tensor_type_name(tensor->type));
	if (is_float && tensor->type != TENSOR_F32)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"%s: the tensor %s has type %s; norms and biases must be F32",
				label, tensor->name, tensor_type_name(tensor->type));
	return 0;
}

/* Finds a tensor of exactly this shape and puts it into the unit. */
static int place(struct model *model, struct unit *unit, const struct expected *expected,
		 struct fail *fail)
{
	const char *label = gguf_label(model->gguf);
	const struct gguf_tensor *tensor = gguf_tensor_find(model->gguf, expected->name);
	if (!tensor)
		return fail_set(fail, FAIL_INVALID, "%s lacks the tensor %s", label,
				expected->name);
	if (tensor->dims[0] != expected->columns || tensor->dims[1] != expected->rows ||
	    tensor->dims[2] != expected->planes || tensor->dims[3] != 1)
		return fail_set(
			fail, FAIL_INVALID,
			"%s: the tensor %s has the shape %" PRIu64 " x %" PRIu64 " x %" PRIu64
			" x %" PRIu64 "; its keys ask for %" PRIu64 " x %" PRIu64 " x %" PRIu64,
			label, tensor->name, tensor->dims[0], tensor->dims[1], tensor->dims[2],
			tensor->dims[3], expected->columns, expected->rows, expected->planes);
	unit->tensors[unit->count++] = tensor;
	return check_type(model, tensor, expected->is_float, fail);
}

static int place_global(struct model *model, struct unit *unit, const char *name,
			enum family_dim columns, enum family_dim rows, struct fail *fail)
{
	const struct model_shape *shape = &model->shape;
	struct expected expected = { .columns = family_dim_size(columns, shape, NULL),
				     .rows = family_dim_size(rows, shape, NULL),
				     .planes = 1,
				     .is_float = rows == DIM_ONE };
	snprintf(expected.name, sizeof(expected.name), "%s", name);
	model->n_found++;
	return place(model, unit, &expected, fail);
}

static int place_layer(struct model *model, uint32_t layer, struct fail *fail)
{
	const struct model_shape *shape = &model->shape;
	const struct family_tensor *row;
	int result = 0;
	for (uint32_t i = 0; result == 0 && (row = family_tensor_at(i)); i++) {
		if (!family_tensor_present(row, &shape->layers[layer]))
			continue;
		struct expected expected = {
			.columns = family_dim_size(row->columns, shape, &shape->layers[layer]),
			.rows = family_dim_size(row->rows, shape, &shape->layers[layer]),
			.planes = family_dim_size(row->planes, shape, &shape->layers[layer]),
			.is_float = family_tensor_is_float(row),
		};
		snprintf(expected.name, sizeof(expected.name), "blk.%" PRIu32 ".%s", layer,
			 row->name);
		model->n_found++;
		result = place(model, &model->layers[layer], &expected, fail);
	}
	return result;
}

/* They turn the angles of every layer, so all of them carry them. */
static int place_rope_factors(struct model *model, struct fail *fail)
{
	static const char *const names[] = { "rope_freqs.weight", "rope_factors_long.weight",
					     "rope_factors_short.weight" };
	struct unit *output = &model->output;
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!model->shape.ropes[0].factors || !gguf_tensor_find(model->gguf, names[i]))
			continue;
		const int result =
			place_global(model, output, names[i], DIM_HALF_ROT, DIM_ONE, fail);
		if (result)
			return result;
		for (uint32_t j = 0; j < model->shape.n_layers; j++) {
			struct unit *unit = &model->layers[j];
			unit->tensors[unit->count++] = output->tensors[output->count - 1];
		}
	}
	return 0;
}

static bool is_placed(const struct model *model, const struct gguf_tensor *tensor)
{
	for (uint32_t i = 0; i < model->shape.n_layers; i++)
		for (uint32_t j = 0; j < model->layers[i].count; j++)
			if (model->layers[i].tensors[j] == tensor)
				return true;
	for (uint32_t j = 0; j < model->output.count; j++)
		if (model->output.tensors[j] == tensor)
			return true;
	for (uint32_t j = 0; j < model->embedding.count; j++)
		if (model->embedding.tensors[j] == tensor)
			return true;
	return false;
}

/* Some files keep, of layers that share keys and values, the matrices that made them once. */
static bool is_unused_kv(const char *name)
{
	static const char *const names[] = { "attn_k.weight", "attn_v.weight",
					     "attn_k_norm.weight" };
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Of a layer that guesses further tokens, or left over in one that shares keys and values. */
static bool is_spare(const struct model *model, const struct gguf_tensor *tensor)
{
	const struct model_shape *shape = &model->shape;
	unsigned layer;
	int end = 0;
	if (sscanf(tensor->name, "blk.%5u.%n", &layer, &end) != 1 || end == 0)
		return false;
	if (layer < shape->n_layers)
		return shape->layers[layer].parts & LAYER_SHARED_KV &&
		       is_unused_kv(tensor->name + end);
	return layer - shape->n_layers < shape->n_spare;
}

/* A tensor that nobody uses means that the model computes something we do not know of. */
static int refuse_rest(const struct model *model, struct fail *fail)
{
	const uint32_t count = gguf_tensor_count(model->gguf);
	if (count == model->n_found)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(model->gguf, i);
		if (!is_placed(model, tensor) && !is_spare(model, tensor))
			return fail_set(fail, FAIL_UNSUPPORTED,
					"%s has the tensor %s, which this version does not know "
					"in a %s model",
					gguf_label(model->gguf), tensor->name, model->shape.family);
	}
	return 0;
}

static int place_embedding(struct model *model, struct fail *fail)
{
	struct unit *unit = &model->embedding;
	int result = place_global(model, unit, "token_embd.weight", DIM_EMBD, DIM_VOCAB, fail);
	if (model->shape.n_token == 0 || result)
		return result;
	result = place_global(model, unit, "per_layer_token_embd.weight", DIM_TOKENS, DIM_VOCAB,
			      fail);
	if (result == 0)
		result = place_global(model, unit, "per_layer_model_proj.weight", DIM_EMBD,
				      DIM_TOKENS, fail);
	if (result == 0)
		result = place_global(model, unit, "per_layer_proj_norm.weight", DIM_TOKEN, DIM_ONE,
				      fail);
	return result;
}

static int place_all(struct model *model, struct fail *fail)
{
	struct model_shape *shape = &model->shape;
	shape->tied = gguf_tensor_find(model->gguf, "output.weight") == NULL;
	int result = place_embedding(model, fail);
	if (result == 0)
		result = place_global(model, &model->output, "output_norm.weight", DIM_EMBD,
				      DIM_ONE, fail);
	if (result == 0 && !shape->tied)
		result = place_global(model, &model->output, "output.weight", DIM_EMBD, DIM_VOCAB,
				      fail);
	for (uint32_t i = 0; i < shape->n_layers && result == 0; i++)
		result = place_layer(model, i, fail);
	if (result == 0)
		result = place_rope_factors(model, fail);
	return result ? result : refuse_rest(model, fail);
}

/* ---- opening ---- */

/* A part of several holds only some of the tensors. */
static int refuse_part(const struct gguf *gguf, struct fail *fail)
{
	uint64_t count = 1;
	if (!gguf_u64(gguf, "split.count", &count) || count <= 1)
		return 0;
	return fail_set(fail, FAIL_UNSUPPORTED,
			"%s is one of %" PRIu64
			" parts of a model; add the first part with primactl "
			"model add, which joins them",
			gguf_label(gguf), count);
}

static int refuse_wide(const struct model_shape *shape, struct fail *fail)
{
	const uint32_t floats = model_row_floats(shape);
	if (floats <= MODEL_ROW_LIMIT)
		return 0;
	return fail_set(fail, FAIL_UNSUPPORTED,
			"what travels between this model's layers has %u numbers a token; at most %u "
			"are supported",
			floats, MODEL_ROW_LIMIT);
}

/* Takes `gguf`, which may be NULL after a failure. */
static struct model *create(struct gguf *gguf, const char *path, struct fail *fail)
{
	if (!gguf)
		return NULL;
	struct model *model = calloc(1, sizeof(*model));
	if (!model) {
		gguf_close(gguf);
		fail_set(fail, FAIL_MEMORY, "no memory to open %s", path);
		return NULL;
	}
	model->gguf = gguf;
	model->path = strdup(path);
	if (refuse_part(gguf, fail) != 0 || shape_read(gguf, &model->shape, fail) != 0 ||
	    refuse_wide(&model->shape, fail) != 0)
		goto fail;
	model->layers = calloc(model->shape.n_layers, sizeof(*model->layers));
	if (!model->path || !model->layers) {
		fail_set(fail, FAIL_MEMORY, "no memory to open %s", path);
		goto fail;
	}
	if (place_all(model, fail) == 0)
		return model;
fail:
	model_close(model);
	return NULL;
}

struct model *model_open(const char *path, struct fail *fail)
{
	return create(gguf_open(path, fail), path, fail);
}

struct model *model_parse(const void *metadata, size_t size, uint64_t file_size, struct fail *fail)
{
	return create(gguf_parse(metadata, size, file_size, fail), "", fail);
}

void model_close(struct model *model)
{
	if (!model)
		return;
	gguf_close(model->gguf);
	free(model->path);
	free(model->layers);
	free(model);
}

/* ---- asking ---- */

const struct model_shape *model_shape(const struct model *model)
{
	return &model->shape;
}

const struct gguf *model_gguf(const struct model *model)
{
	return model->gguf;
}

const char *model_path(const struct model *model)
{
	return model->path;
}

uint32_t model_unit_tensors(const struct model *model, enum unit_kind kind, uint32_t layer,
			    const struct gguf_tensor *tensors[UNIT_TENSORS_MAX])
{
	const struct unit *unit = NULL;
	switch (kind) {
	case UNIT_LAYER:
		if (layer >= model->shape.n_layers)
			return 0;
		unit = &model->layers[layer];
		break;
	case UNIT_EMBEDDING:
		unit = &model->embedding;
		break;
	case UNIT_OUTPUT:
		unit = &model->output;
		break;
	}
	if (!unit)
		return 0;
	memcpy(tensors, unit->tensors, unit->count * sizeof(tensors[0]));
	return unit->count;
}

uint32_t model_row_floats(const struct model_shape *shape)
{
	return model_row_needed(shape, 0);
}

uint32_t model_row_needed(const struct model_shape *shape, uint32_t layer)
{
	if (layer >= shape->n_layers)
		return shape->n_embd;
	return shape->n_embd + shape->n_row_kv + (shape->n_layers - layer) * shape->n_token;
}

uint32_t model_row_token(const struct model_shape *shape, uint32_t layer)
{
	return model_row_needed(shape, layer) - shape->n_token;
}

uint32_t model_kv_bytes(const struct model *model, uint32_t layer)
{
	if (layer >= model->shape.n_layers)
		return 0;
	const struct layer_shape *shape = &model->shape.layers[layer];
	if (shape->mixer == MIXER_DELTA)
		return 0;
	return 2 * shape->n_head_kv * (shape->head_k + shape->head_v);
}

uint32_t model_recurrent_floats(const struct model_shape *shape, uint32_t layer)
{
	const struct delta_shape *delta = &shape->delta;
	if (shape->layers[layer].mixer != MIXER_DELTA)
		return 0;
	const uint32_t channels = (2 * delta->n_keys + delta->n_values) * delta->width;
	return (delta->taps - 1) * channels + delta->n_values * delta->width * delta->width;
}
