#include "daemon/model_facts.h"

#include "proto/flight.h"

#include <stdio.h>
#include <string.h>

_Static_assert(MODEL_ROW_LIMIT == FLIGHT_EMBD_MAX, "what a model can have must be able to travel");

/* RoPE factors: what layer units hold, but no layer alone. */
static bool is_shared(const struct gguf_tensor *tensor)
{
	return strncmp(tensor->name, "rope_", 5) == 0;
}

static void add_weights(struct unit_facts *unit, uint32_t type, uint64_t weights, bool chosen)
{
	uint32_t i = 0;
	while (i < unit->n_types && unit->types[i].type != type)
		i++;
	if (i == MODEL_TYPES_MAX)
		return; /* a layer has eight matrices: this many types cannot be */
	unit->types[i].type = type;
	unit->types[i].weights += weights;
	unit->types[i].chosen += chosen ? weights : 0;
	if (i == unit->n_types)
		unit->n_types++;
}

static bool is_bias(const struct gguf_tensor *tensor)
{
	const size_t size = strlen(tensor->name);
	return size > 5 && strcmp(tensor->name + size - 5, ".bias") == 0;
}

/* Norms and biases cost no product; of experts, a row passes those that are chosen for it. */
static void add_tensor(struct unit_facts *unit, const struct gguf_tensor *tensor,
		       const struct model_shape *shape)
{
	const bool experts = tensor->dims[2] > 1;
	unit->bytes += tensor->bytes;
	if (tensor->dims[1] > 1 && !is_bias(tensor))
		add_weights(unit, tensor->type,
			    tensor->dims[0] * tensor->dims[1] *
				    (experts ? shape->n_expert_used : 1),
			    experts);
}

static void read_unit(const struct model *model, enum unit_kind kind, uint32_t layer,
		      struct unit_facts *unit)
{
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	const uint32_t count = model_unit_tensors(model, kind, layer, tensors);
	for (uint32_t i = 0; i < count; i++)
		if (kind == UNIT_OUTPUT || !is_shared(tensors[i]))
			add_tensor(unit, tensors[i], model_shape(model));
}

static uint64_t weights_in(const struct gguf_tensor *tensor)
{
	return tensor->dims[0] * tensor->dims[1];
}

/* The tables are looked up by row, but a matrix among them is a product: the head computes it, as
 * it does the output. */
static void read_ends(const struct model *model, struct model_facts *facts)
{
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	const uint32_t count = model_unit_tensors(model, UNIT_EMBEDDING, 0, tensors);
	read_unit(model, UNIT_OUTPUT, 0, &facts->output);
	for (uint32_t i = 0; i < count; i++)
		facts->embedding.bytes += tensors[i]->bytes;
	add_weights(&facts->embedding, tensors[0]->type, weights_in(tensors[0]), false);
	if (facts->tied) /* the product with the embedding table is the output's work */
		add_weights(&facts->output, tensors[0]->type, weights_in(tensors[0]), false);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(tensors[i]->name, "per_layer_model_proj.weight") == 0)
			add_weights(&facts->output, tensors[i]->type, weights_in(tensors[i]),
				    false);
}

static uint32_t fitting_kv_types(const struct model_shape *shape)
{
	uint32_t types = (1u << KV_TYPES) - 1;
	for (uint32_t i = 0; i < shape->n_layers; i++)
		for (enum kv_kind kind = 0; kind < KV_KINDS; kind++)
			if (!kv_kind_fits(kind, shape->layers[i].head_k) ||
			    !kv_kind_fits(kind, shape->layers[i].head_v))
				types &= ~(1u << kind);
	return types;
}

void model_facts_read(const struct model *model, struct model_facts *facts)
{
	const struct model_shape *shape = model_shape(model);
	memset(facts, 0, sizeof(*facts));
	snprintf(facts->family, sizeof(facts->family), "%s", shape->family);
	facts->file_bytes = gguf_file_size(model_gguf(model));
	facts->metadata_bytes = gguf_data_offset(model_gguf(model));
	facts->n_layers = shape->n_layers;
	facts->n_embd = model_row_floats(shape);
	facts->n_vocab = shape->n_vocab;
	facts->context_max = shape->context_max;
	facts->tied = shape->tied;
	read_ends(model, facts);
	facts->n_expert = shape->n_expert;
	facts->n_expert_used = shape->n_expert_used;
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		read_unit(model, UNIT_LAYER, i, &facts->layers[i]);
		facts->kv_bytes[i] = model_kv_bytes(model, i);
		facts->kv_windows[i] = shape->layers[i].window;
		facts->state_bytes[i] =
			model_recurrent_floats(shape, i) * (uint32_t)sizeof(float);
	}
	facts->kv_types = fitting_kv_types(shape);
}

static void mark_unit(const struct model *model, enum unit_kind kind, uint32_t layer, int32_t unit,
		      int32_t *units)
{
	const struct gguf_tensor *first = gguf_tensor_at(model_gguf(model), 0);
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	const uint32_t count = model_unit_tensors(model, kind, layer, tensors);
	for (uint32_t i = 0; i < count; i++)
		units[tensors[i] - first] = is_shared(tensors[i]) ? TENSOR_UNIT_EVERY : unit;
}

void model_facts_units(const struct model *model, int32_t *units)
{
	const uint32_t n_layers = model_shape(model)->n_layers;
	for (uint32_t i = 0; i < gguf_tensor_count(model_gguf(model)); i++)
		units[i] = (int32_t)n_layers; /* of no unit: nobody wants it */
	mark_unit(model, UNIT_EMBEDDING, 0, TENSOR_UNIT_EMBEDDING, units);
	mark_unit(model, UNIT_OUTPUT, 0, TENSOR_UNIT_OUTPUT, units);
	for (uint32_t i = 0; i < n_layers; i++)
		mark_unit(model, UNIT_LAYER, i, (int32_t)i, units);
}
