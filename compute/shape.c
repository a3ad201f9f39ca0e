#include "compute/shape.h"

#include "compute/family.h"
#include "compute/keys.h"
#include "compute/shape_rope.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EMBD_LIMIT       65536u
#define HEADS_LIMIT      1024u
#define HEAD_WIDTH_LIMIT 1024u
#define FF_LIMIT         (1u << 20)
#define CONTEXT_LIMIT    (1u << 27)
#define TEMPLATE_LIMIT   (256u << 10)
#define TOKEN_LIMIT      4096u
#define TOKENS_LIMIT     65536u /* of all layers together */

/* ---- what is refused by name ---- */

static int refuse_parts(const struct gguf *gguf, struct fail *fail)
{
	uint64_t parts;
	if (gguf_u64(gguf, "split.count", &parts) && parts > 1)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"%s is one of %" PRIu64 " parts of a model; join them into one "
				"file first (llama-gguf-split --merge)",
				gguf_label(gguf), parts);
	const char *kind;
	size_t size;
	if (gguf_string(gguf, "general.type", &kind, &size) &&
	    (size != 5 || memcmp(kind, "model", 5) != 0))
		return fail_set(fail, FAIL_UNSUPPORTED,
				"%s is not a model: it says that it is of type '%.*s'",
				gguf_label(gguf), (int)(size < 40 ? size : 40), kind);
	if (gguf_string(gguf, "tokenizer.chat_template", &kind, &size) && size > TEMPLATE_LIMIT)
		return fail_set(fail, FAIL_INVALID,
				"%s: its chat template has %zu bytes; at most %u are allowed",
				gguf_label(gguf), size, TEMPLATE_LIMIT);
	return 0;
}

static int refuse_key(struct keys *keys, const char *what)
{
	return fail_set(keys->fail, FAIL_UNSUPPORTED,
			"%s uses %s (key %s), which this version does not compute in a %s model",
			gguf_label(keys->gguf), what, keys->name, keys->family->name);
}

static int refuse_features(struct keys *keys)
{
	static const struct {
		const char *key;
		const char *what;
	} rows[] = {
		{ "expert_shared_count", "experts that every token passes" },
		{ "expert_group_count", "groups of experts" },
		{ "leading_dense_block_count", "layers without experts before layers with them" },
		{ "attention.clamp_kqv", "clamped attention inputs" },
		{ "attention.max_alibi_bias", "ALiBi positions" },
		{ "attention.causal", "attention in both directions" },
	};
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (keys_set(keys, rows[i].key))
			return refuse_key(keys, rows[i].what);
	return 0;
}

static int find_family(const struct gguf *gguf, const struct family **family, struct fail *fail)
{
	const char *name;
	size_t size;
	if (!gguf_string(gguf, "general.architecture", &name, &size))
		return fail_set(fail, FAIL_INVALID,
				"%s does not say which kind of model it is (no "
				"general.architecture)",
				gguf_label(gguf));
	*family = family_find(name, size);
	if (*family)
		return 0;
	char known[160] = "";
	for (uint32_t i = 0; family_at(i); i++) {
		const size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
			 family_at(i)->name);
	}
	return fail_set(fail, FAIL_UNSUPPORTED,
			"%s is a model of the family '%.*s'; this version runs: %s",
			gguf_label(gguf), (int)(size < 40 ? size : 40), name, known);
}

/* ---- the shape ---- */

static int read_spare(struct keys *keys, struct model_shape *shape)
{
	if (!keys_set(keys, "nextn_predict_layers"))
		return 0;
	if (!keys->family->may_have_spare)
		return refuse_key(keys, "layers that guess further tokens");
	if (keys_need_u32(keys, "nextn_predict_layers", 0, shape->n_layers - 1, &shape->n_spare))
		return -FAIL_INVALID;
	shape->n_layers -= shape->n_spare;
	keys->n_spare = shape->n_spare;
	return 0;
}

static int read_sizes(struct keys *keys, struct model_shape *shape)
{
	if (keys_need_u32(keys, "block_count", 1, MODEL_LAYERS_LIMIT, &shape->n_layers) ||
	    keys_need_u32(keys, "embedding_length", 1, EMBD_LIMIT, &shape->n_embd) ||
	    keys_need_u32(keys, "context_length", 1, CONTEXT_LIMIT, &shape->context_max))
		return -FAIL_INVALID;
	if (read_spare(keys, shape))
		return -FAIL_UNSUPPORTED;
	shape->norm_eps = 0;
	if (keys_want_f32(keys, "attention.layer_norm_rms_epsilon", 1e-12, 0.1, &shape->norm_eps))
		return -FAIL_INVALID;
	return shape->norm_eps > 0 ? 0 : keys_missing(keys);
}

/* The vocabulary counts its tokens; a file without one may say a size. */
static int read_vocabulary(struct keys *keys, struct model_shape *shape)
{
	struct gguf_array tokens;
	if (!gguf_array(keys->gguf, "tokenizer.ggml.tokens", &tokens))
		return keys_need_u32(keys, "vocab_size", 1, GGUF_ARRAY_LIMIT, &shape->n_vocab);
	if (tokens.count == 0)
		return fail_set(keys->fail, FAIL_INVALID, "%s has an empty vocabulary",
				gguf_label(keys->gguf));
	shape->n_vocab = (uint32_t)tokens.count; /* at most GGUF_ARRAY_LIMIT */
	return 0;
}

static int read_gating(struct keys *keys, struct model_shape *shape)
{
	static const enum expert_gating gatings[] = { 0, GATING_SOFTMAX, GATING_SIGMOID,
						      GATING_CHOSEN };
	uint32_t number = 0;
	shape->gating = keys->family->gating;
	if (keys_want_u32(keys, "expert_gating_func", 1, 3, &number))
		return -FAIL_INVALID;
	if (number)
		shape->gating = gatings[number];
	shape->experts_renormalised = keys->family->experts_renormalised;
	if (keys_has(keys, "expert_weights_norm") &&
	    !gguf_bool(keys->gguf, keys->name, &shape->experts_renormalised))
		return keys_wrong_kind(keys, "true or false");
	shape->expert_scale = 1;
	if (!keys_set(keys, "expert_weights_scale")) /* 0 says that it is not used */
		return 0;
	return keys_want_f32(keys, "expert_weights_scale", 1e-6, 1e6, &shape->expert_scale);
}

static int read_experts(struct keys *keys, struct model_shape *shape)
{
	const bool must = keys->family->parts & LAYER_EXPERTS;
	if (!must && !keys_set(keys, "expert_count"))
		return 0;
	if (!must && !keys->family->may_have_experts)
		return refuse_key(keys, "a mixture of experts");
	if (keys_need_u32(keys, "expert_count", 1, EXPERTS_LIMIT, &shape->n_expert) ||
	    keys_need_u32(keys, "expert_used_count", 1, EXPERTS_USED_LIMIT, &shape->n_expert_used))
		return -FAIL_INVALID;
	if (shape->n_expert_used > shape->n_expert)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: of %" PRIu32 " experts it cannot use %" PRIu32,
				gguf_label(keys->gguf), shape->n_expert, shape->n_expert_used);
	if (gguf_tensor_find(keys->gguf, "blk.0.ffn_gate.0.weight"))
		return fail_set(keys->fail, FAIL_UNSUPPORTED,
				"%s keeps each expert in a tensor of its own, as files of early "
				"2024 did; convert the model again",
				gguf_label(keys->gguf));
	return read_gating(keys, shape);
}

/* How wide the FFN is that every row passes beside the experts. */
static int read_shared_ff(struct keys *keys, const struct model_shape *shape, uint32_t *ff)
{
	const char *key = "expert_shared_feed_forward_length";
	if (keys->family->parts & LAYER_SHARED_EXPERT)
		return keys_need_per_layer(keys, key, shape->n_layers, FF_LIMIT, ff);
	if (keys_set(keys, key))
		return refuse_key(keys, "experts that every token passes");
	if (!shape->n_expert || !(keys->family->expert_parts & LAYER_DENSE_BESIDE))
		return 0;
	return keys_need_per_layer(keys, "feed_forward_length", shape->n_layers, FF_LIMIT, ff);
}

/* How wide the FFN of each layer is inside; experts may say it in a key of their own. */
static int read_ff(struct keys *keys, const struct model_shape *shape, uint32_t *ff)
{
	const char *key = "feed_forward_length";
	if (shape->n_expert && keys_has(keys, "expert_feed_forward_length"))
		key = "expert_feed_forward_length";
	return keys_need_per_layer(keys, key, shape->n_layers, FF_LIMIT, ff);
}

static int read_layers(struct keys *keys, struct model_shape *shape)
{
	const uint32_t n = shape->n_layers;
	uint32_t heads[MODEL_LAYERS_LIMIT], heads_kv[MODEL_LAYERS_LIMIT], ff[MODEL_LAYERS_LIMIT],
		ff_shared[MODEL_LAYERS_LIMIT] = { 0 };
	const int status = read_shared_ff(keys, shape, ff_shared);
	if (status)
		return status;
	if (keys_need_per_layer(keys, "attention.head_count", n, HEADS_LIMIT, heads) ||
	    read_ff(keys, shape, ff))
		return -FAIL_INVALID;
	memcpy(heads_kv, heads, sizeof(heads));
	if (keys_has(keys, "attention.head_count_kv") &&
	    keys_need_per_layer(keys, "attention.head_count_kv", n, HEADS_LIMIT, heads_kv))
		return -FAIL_INVALID;
	for (uint32_t i = 0; i < n; i++) {
		if (heads[i] % heads_kv[i])
			return fail_set(keys->fail, FAIL_INVALID,
					"%s: in layer %" PRIu32 ", %" PRIu32
					" heads cannot share %" PRIu32 " key heads evenly",
					gguf_label(keys->gguf), i, heads[i], heads_kv[i]);
		shape->layers[i] =
			(struct layer_shape){ .mixer = MIXER_ATTENTION,
					      .ffn = shape->n_expert ? FFN_EXPERTS : FFN_DENSE,
					      .n_head = heads[i],
					      .n_head_kv = heads_kv[i],
					      .n_ff = ff[i],
					      .n_ff_shared = ff_shared[i],
					      .kv_of = i };
	}
	return 0;
}

int shape_check_head(struct keys *keys, uint32_t head_k, uint32_t head_v)
{
	if (head_k < 1 || head_k > HEAD_WIDTH_LIMIT || head_k % 2)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: key heads of width %" PRIu32
				" cannot be; the width must be even and at most %u",
				gguf_label(keys->gguf), head_k, HEAD_WIDTH_LIMIT);
	if (head_v < 1 || head_v > HEAD_WIDTH_LIMIT)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: value heads of width %" PRIu32 " cannot be",
				gguf_label(keys->gguf), head_v);
	return 0;
}

static int read_heads(struct keys *keys, struct model_shape *shape)
{
	const uint32_t n_head = shape->layers[0].n_head;
	uint32_t head_k = shape->n_embd / n_head, head_v = head_k;
	if (!keys_has(keys, "attention.key_length") && shape->n_embd % n_head)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: %" PRIu32 " heads do not divide an embedding of %" PRIu32
				", and the key %s is missing",
				gguf_label(keys->gguf), n_head, shape->n_embd, keys->name);
	if (keys_want_u32(keys, "attention.key_length", 1, HEAD_WIDTH_LIMIT, &head_k) ||
	    keys_want_u32(keys, "attention.value_length", 1, HEAD_WIDTH_LIMIT, &head_v) ||
	    shape_check_head(keys, head_k, head_v))
		return -FAIL_INVALID;
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		shape->layers[i].head_k = head_k;
		shape->layers[i].head_v = head_v;
	}
	return 0;
}

static bool has_tensor(const struct keys *keys, uint32_t layer, const char *part)
{
	char name[GGUF_NAME_BYTES];
	snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", layer, part);
	return gguf_tensor_find(keys->gguf, name) != NULL;
}

/* Which layers have a gated delta net: all but every n-th, or as a list says. */
static int is_delta(struct keys *keys, uint32_t layer, bool *delta)
{
	struct gguf_array array;
	uint32_t period = 4;
	if (gguf_array(keys->gguf, keys_full(keys, "attention.recurrent_layers"), &array)) {
		if (array.type != GGUF_BOOL || layer >= array.count)
			return keys_wrong_kind(keys, "a list with true or false for each layer");
		*delta = array.bytes[layer] != 0;
		return 0;
	}
	if (keys_want_u32(keys, "full_attention_interval", 1, MODEL_LAYERS_LIMIT, &period))
		return -FAIL_INVALID;
	*delta = (layer + 1) % period != 0;
	return 0;
}

static int read_delta(struct keys *keys, struct model_shape *shape)
{
	struct delta_shape *delta = &shape->delta;
	uint32_t inner;
	if (!keys->family->delta_parts)
		return 0;
	if (keys_need_u32(keys, "ssm.conv_kernel", 2, DELTA_TAPS_LIMIT, &delta->taps) ||
	    keys_need_u32(keys, "ssm.group_count", 1, HEADS_LIMIT, &delta->n_keys) ||
	    keys_need_u32(keys, "ssm.time_step_rank", 1, HEADS_LIMIT, &delta->n_values) ||
	    keys_need_u32(keys, "ssm.state_size", 8, HEAD_WIDTH_LIMIT, &delta->width) ||
	    keys_need_u32(keys, "ssm.inner_size", 1, UINT32_MAX, &inner))
		return -FAIL_INVALID;
	if (delta->n_values % delta->n_keys || inner != delta->n_values * delta->width)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: a delta net with %" PRIu32 " key heads and %" PRIu32
				" value heads of width %" PRIu32 " cannot be %" PRIu32 " wide",
				gguf_label(keys->gguf), delta->n_keys, delta->n_values,
				delta->width, inner);
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		bool is = false;
		if (is_delta(keys, i, &is))
			return -FAIL_INVALID;
		if (is)
			shape->layers[i].mixer = MIXER_DELTA;
	}
	return 0;
}

/* What every layer is told of the token itself. */
static int read_token(struct keys *keys, struct model_shape *shape)
{
	const char *key = "embedding_length_per_layer_input";
	if (!keys_set(keys, key))
		return 0;
	if (!keys->family->may_know_tokens)
		return refuse_key(keys, "an embedding for each layer");
	if (keys_need_u32(keys, key, 1, TOKEN_LIMIT, &shape->n_token))
		return -FAIL_INVALID;
	if (shape->n_token * shape->n_layers <= TOKENS_LIMIT)
		return 0;
	return fail_set(keys->fail, FAIL_INVALID,
			"%s: %" PRIu32 " layers that are told %" PRIu32
			" numbers of each token (key %s) are too much",
			gguf_label(keys->gguf), shape->n_layers, shape->n_token, keys->name);
}

/* The last of the layers before `end` that are of this layer's kind; `end`: there is none. */
static uint32_t last_alike(const struct model_shape *shape, uint32_t layer, uint32_t end)
{
	for (uint32_t i = end; i-- > 0;)
		if (shape->layers[i].mixer == shape->layers[layer].mixer)
			return i;
	return end;
}

/* Gives the keys and values of a layer that others read their place in a row. */
static void place_shared(struct model_shape *shape, uint32_t layer)
{
	struct layer_shape *source = &shape->layers[layer];
	if (source->kv_shared)
		return;
	source->kv_shared = true;
	source->kv_at = shape->n_row_kv;
	shape->n_row_kv += source->n_head_kv * (source->head_k + source->head_v);
}

/* The last layers read keys and values of the last layer of their kind before them. */
static int read_sharing(struct keys *keys, struct model_shape *shape)
{
	const char *key = "attention.shared_kv_layers";
	uint32_t count = 0;
	if (!keys_set(keys, key))
		return 0;
	if (!keys->family->may_share_kv)
		return refuse_key(keys, "layers that share keys and values");
	if (keys_need_u32(keys, key, 1, shape->n_layers - 1, &count))
		return -FAIL_INVALID;
	for (uint32_t i = shape->n_layers - count; i < shape->n_layers; i++) {
		struct layer_shape *layer = &shape->layers[i];
		const uint32_t source = last_alike(shape, i, shape->n_layers - count);
		if (source == shape->n_layers - count ||
		    shape->layers[source].n_head_kv != layer->n_head_kv)
			return fail_set(keys->fail, FAIL_INVALID,
					"%s: layer %" PRIu32 " has no layer before it whose keys "
					"and values it could read (key %s)",
					gguf_label(keys->gguf), i, keys->name);
		place_shared(shape, source);
		layer->kv_of = source;
		layer->kv_at = shape->layers[source].kv_at;
	}
	return 0;
}

/* Which parts a layer has: the family's, and those whose tensors the file has. */
static int read_parts(struct keys *keys, struct model_shape *shape)
{
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		const bool delta = shape->layers[i].mixer == MIXER_DELTA;
		uint32_t parts = delta ? keys->family->delta_parts : keys->family->parts;
		if (shape->n_expert)
			parts |= LAYER_EXPERTS | keys->family->expert_parts;
		if (shape->n_token)
			parts |= LAYER_TOKEN_INPUT;
		if (shape->layers[i].kv_of != i)
			parts |= LAYER_SHARED_KV;
		else if (keys->family->may_lack_v && !has_tensor(keys, i, "attn_v.weight") &&
			 !has_tensor(keys, i, "attn_qkv.weight"))
			parts |= LAYER_V_IS_K;
		for (uint32_t may = keys->family->may; may; may &= may - 1) {
			const uint32_t part = may & -may;
			if (has_tensor(keys, i, family_part_tensor((enum layer_part)part)))
				parts |= part;
		}
		struct layer_shape *layer = &shape->layers[i];
		layer->parts = parts;
		if (parts & LAYER_Q_GATE && layer->head_k != layer->head_v)
			return fail_set(keys->fail, FAIL_INVALID,
					"%s: the gates of layer %" PRIu32
					" are as wide as its keys, but its values are not",
					gguf_label(keys->gguf), i);
		if (parts & LAYER_V_IS_K && layer->head_k != layer->head_v)
			return fail_set(keys->fail, FAIL_INVALID,
					"%s: the values of layer %" PRIu32 " are its keys, but not "
					"as wide",
					gguf_label(keys->gguf), i);
	}
	return 0;
}

static float usual_attention_scale(const struct family *family, const struct model_shape *shape)
{
	const struct layer_shape *layer = &shape->layers[0];
	if (family->unit_attention_scale)
		return 1;
	const bool wide = family->wide_scale_layers == shape->n_layers;
	const double width = wide ? (double)shape->n_embd / layer->n_head : layer->head_k;
	return (float)(1 / sqrt(width));
}

static int read_numbers(struct keys *keys, struct model_shape *shape)
{
	static const struct {
		const char *key;
		const char *what;
		enum family_number number;
		size_t offset;
	} rows[] = {
		{ "attn_logit_softcapping", "a cap on attention logits", READS_ATTENTION_CAP,
		  offsetof(struct model_shape, attention_cap) },
		{ "final_logit_softcapping", "a cap on final logits", READS_LOGIT_CAP,
		  offsetof(struct model_shape, logit_cap) },
		{ "attention.scale", "its own attention scale", READS_ATTENTION_SCALE,
		  offsetof(struct model_shape, attention_scale) },
		{ "embedding_scale", "its own embedding scale", READS_EMBEDDING_SCALE,
		  offsetof(struct model_shape, embedding_scale) },
		{ "residual_scale", "scaled residuals", READS_RESIDUAL_SCALE,
		  offsetof(struct model_shape, residual_scale) },
		{ "logit_scale", "scaled logits", READS_LOGIT_SCALE,
		  offsetof(struct model_shape, logit_scale) },
		{ "attention.temperature_scale", "attention temperature", READS_TEMPERATURE,
		  offsetof(struct model_shape, temperature) },
	};
	const struct family *family = keys->family;
	shape->embedding_scale = family->scaled_embedding ? (float)sqrt(shape->n_embd) : 1;
	shape->attention_scale = usual_attention_scale(family, shape);
	shape->residual_scale = 1;
	shape->logit_scale = 1;
	shape->attention_cap = family->attention_cap;
	shape->logit_cap = family->logit_cap;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!keys_set(keys, rows[i].key)) /* 0 says that it is not used */
			continue;
		if (!(family->reads & rows[i].number))
			return refuse_key(keys, rows[i].what);
		float *value = (void *)((char *)shape + rows[i].offset);
		if (keys_want_f32(keys, rows[i].key, 1e-6, 1e6, value))
			return -FAIL_INVALID;
	}
	return 0;
}

static void set_family(const struct family *family, struct model_shape *shape)
{
	snprintf(shape->family, sizeof(shape->family), "%s", family->name);
	shape->pairing = family->pairing;
	shape->activation = family->activation;
}

int shape_read(const struct gguf *gguf, struct model_shape *shape, struct fail *fail)
{
	struct keys keys = { .gguf = gguf, .fail = fail };
	memset(shape, 0, sizeof(*shape));
	int result = refuse_parts(gguf, fail);
	if (result == 0)
		result = find_family(gguf, &keys.family, fail);
	if (result == 0)
		result = refuse_features(&keys);
	static int (*const steps[])(struct keys *, struct model_shape *) = {
		read_sizes, read_vocabulary, read_experts,       read_layers,
		read_heads, shape_rope_read, shape_windows_read, read_delta,
		read_token, read_sharing,    read_parts,         read_numbers,
	};
	for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && result == 0; i++)
		result = steps[i](&keys, shape);
	if (result == 0)
		set_family(keys.family, shape);
	return result;
}
