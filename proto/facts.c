#include "proto/facts.h"

#include "proto/fields.h"
#include "proto/flight.h"

#include <string.h>

#define BYTES_MOST (1ull << 48)
#define TYPE_MOST 255
#define VOCAB_MOST (1u << 24)
#define CONTEXT_MOST (1u << 28)
#define KV_MOST (1u << 24)
#define STATE_MOST (1u << 30)
#define EXPERTS_MOST 65536

/* An anonymous element type of unit_facts. */
#define TYPE_AT(member)                                                                            \
	(offsetof(struct unit_facts, types[0].member) - offsetof(struct unit_facts, types))

static const struct field type_field[] = {
	{ "type", FIELD_UINT, TYPE_AT(type), 4, .most = TYPE_MOST },
	{ "weights", FIELD_UINT, TYPE_AT(weights), 8, .most = BYTES_MOST },
	{ "chosen", FIELD_UINT, TYPE_AT(chosen), 8, .most = BYTES_MOST, .later = true },
};
static const struct fields type_fields = { FIELDS_N(type_field), type_field };

static const struct field unit_field[] = {
	F_UINT(struct unit_facts, bytes, BYTES_MOST),
	F_LIST(struct unit_facts, types, n_types, MODEL_TYPES_MAX, &type_fields),
};
static const struct fields unit_fields = { FIELDS_N(unit_field), unit_field };

static const struct field facts_field[] = {
	F_BYTES(struct model_facts, id),
	F_TEXT(struct model_facts, name),
	F_TEXT(struct model_facts, family),
	F_UINT(struct model_facts, file_bytes, BYTES_MOST),
	F_UINT(struct model_facts, metadata_bytes, BYTES_MOST),
	F_UINT(struct model_facts, n_embd, FLIGHT_EMBD_MAX),
	F_UINT(struct model_facts, n_vocab, VOCAB_MOST),
	F_UINT(struct model_facts, context_max, CONTEXT_MOST),
	F_BOOL(struct model_facts, tied),
	F_STRUCT(struct model_facts, embedding, &unit_fields),
	F_STRUCT(struct model_facts, output, &unit_fields),
	F_LIST(struct model_facts, layers, n_layers, MODEL_LAYERS_MAX, &unit_fields),
	F_UINTS_COUNTED(struct model_facts, kv_bytes, n_layers, MODEL_LAYERS_MAX),
	F_UINTS_COUNTED_LATER(struct model_facts, kv_windows, n_layers, MODEL_LAYERS_MAX),
	F_UINT_LATER(struct model_facts, kv_types, (1u << KV_TYPES) - 1),
	F_UINT_LATER(struct model_facts, n_expert, EXPERTS_MOST),
	F_UINT_LATER(struct model_facts, n_expert_used, EXPERTS_MOST),
	F_UINTS_COUNTED_LATER(struct model_facts, state_bytes, n_layers, MODEL_LAYERS_MAX),
};
static const struct fields facts_fields = { FIELDS_N(facts_field), facts_field };

void facts_encode(const struct model_facts *facts, struct buf *out)
{
	fields_write(&facts_fields, facts, out);
}

/* A row passes some of its weights in experts, if there are any. */
static bool experts_fit(const struct model_facts *facts, const struct unit_facts *unit)
{
	for (uint32_t i = 0; i < unit->n_types; i++)
		if (unit->types[i].chosen > unit->types[i].weights ||
		    (unit->types[i].chosen > 0 && facts->n_expert_used == 0))
			return false;
	return facts->n_expert_used <= facts->n_expert;
}

static bool units_fit(const struct model_facts *facts)
{
	uint64_t sum = facts->metadata_bytes;
	for (uint32_t i = 0; i < facts->n_layers; i++) {
		if (facts->layers[i].bytes == 0 || facts->kv_bytes[i] > KV_MOST ||
		    facts->state_bytes[i] > STATE_MOST ||
		    !experts_fit(facts, &facts->layers[i]))
			return false;
		sum += facts->layers[i].bytes; /* 512 times 2^48 cannot wrap */
	}
	return sum + facts->embedding.bytes + facts->output.bytes <= facts->file_bytes;
}

int facts_decode(struct model_facts *facts, const void *bytes, size_t size, struct fail *fail)
{
	memset(facts, 0, sizeof(*facts));
	if (size > FACTS_BYTES_MAX)
		return fail_set(fail, FAIL_INVALID, "facts of a model have %zu bytes, more than %u",
				size, FACTS_BYTES_MAX);
	const int result = fields_decode(&facts_fields, "facts of a model", bytes, size, facts,
					 NULL, fail);
	if (result < 0)
		return result;
	if (facts->name[0] == 0 || facts->n_layers == 0 || facts->n_embd == 0 ||
	    facts->n_vocab == 0 || facts->context_max == 0 || !units_fit(facts))
		return fail_set(fail, FAIL_INVALID, "facts of model '%s' contradict themselves",
				facts->name);
	return 0;
}
