#include "compute/shape.h"

#include "compute/family.h"

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

struct keys {
	const struct gguf *gguf;
	const struct family *family;
	struct fail *fail;
	char name[128]; /* the key last asked for, in full */
};

static const char *key_of(struct keys *keys, const char *key)
{
	snprintf(keys->name, sizeof(keys->name), "%s.%s", keys->family->name, key);
	return keys->name;
}

static int missing(struct keys *keys)
{
	return fail_set(keys->fail, FAIL_INVALID, "%s lacks the key %s", gguf_label(keys->gguf),
			keys->name);
}

static int wrong_kind(struct keys *keys, const char *wanted)
{
	return fail_set(keys->fail, FAIL_INVALID, "%s: the key %s is not %s",
			gguf_label(keys->gguf), keys->name, wanted);
}

static int check_range(struct keys *keys, uint64_t value, uint32_t least, uint32_t most)
{
	if (value >= least && value <= most)
		return 0;
	return fail_set(keys->fail, FAIL_INVALID,
			"%s: the key %s is %" PRIu64 "; from %" PRIu32 " to %" PRIu32
			" is possible",
			gguf_label(keys->gguf), keys->name, value, least, most);
}

/* Reads a whole number from `least` to `most`. */
static int need_u32(struct keys *keys, const char *key, uint32_t least, uint32_t most,
		    uint32_t *value)
{
	uint64_t found;
	if (!gguf_u64(keys->gguf, key_of(keys, key), &found))
		return gguf_has(keys->gguf, keys->name) ? wrong_kind(keys, "a whole number")
							: missing(keys);
	*value = (uint32_t)found;
	return check_range(keys, found, least, most);
}

/* As need_u32; `*value` stays as it is when the key is missing. */
static int want_u32(struct keys *keys, const char *key, uint32_t least, uint32_t most,
		    uint32_t *value)
{
	return gguf_has(keys->gguf, key_of(keys, key)) ? need_u32(keys, key, least, most, value)
						       : 0;
}

static int want_f32(struct keys *keys, const char *key, double least, double most, float *value)
{
	double found;
	if (!gguf_has(keys->gguf, key_of(keys, key)))
		return 0;
	if (!gguf_f64(keys->gguf, keys->name, &found))
		return wrong_kind(keys, "a number with a fraction");
	if (!(found >= least && found <= most)) /* NaN too */
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: the key %s is %g; from %g to %g is possible",
				gguf_label(keys->gguf), keys->name, found, least, most);
	*value = (float)found;
	return 0;
}

/* One number for all layers, or an array with one for each; `values` has n_layers places. */
static int need_per_layer(struct keys *keys, const char *key, uint32_t n_layers, uint32_t most,
			  uint32_t *values)
{
	struct gguf_array array;
	if (!gguf_array(keys->gguf, key_of(keys, key), &array)) {
		const int result = need_u32(keys, key, 1, most, &values[0]);
		for (uint32_t i = 1; i < n_layers && result == 0; i++)
			values[i] = values[0];
		return result;
	}
	if (array.count != n_layers)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: the key %s has %" PRIu64 " numbers for %" PRIu32 " layers",
				gguf_label(keys->gguf), keys->name, array.count, n_layers);
	for (uint32_t i = 0; i < n_layers; i++) {
		uint64_t found;
		if (!gguf_array_u64(&array, i, &found))
			return wrong_kind(keys, "an array of whole numbers");
		if (check_range(keys, found, 1, most) != 0)
			return -FAIL_INVALID;
		values[i] = (uint32_t)found;
	}
	return 0;
}

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

/* True when the key is there and says something else than "off": 0, or true for a bool. */
static bool is_set(const struct gguf *gguf, const char *key)
{
	uint64_t number;
	double fraction;
	bool flag;
	if (gguf_u64(gguf, key, &number))
		return number != 0;
	if (gguf_f64(gguf, key, &fraction))
		return fraction != 0;
	if (gguf_bool(gguf, key, &flag))
		return !flag;
	return gguf_has(gguf, key);
}

static int refuse_features(struct keys *keys)
{
	static const struct {
		const char *key;
		const char *what;
	} rows[] = {
		{ "expert_count", "a mixture of experts" },
		{ "attn_logit_softcapping", "a cap on attention logits" },
		{ "final_logit_softcapping", "a cap on final logits" },
		{ "attention.scale", "its own attention scale" },
		{ "attention.clamp_kqv", "clamped attention inputs" },
		{ "attention.max_alibi_bias", "ALiBi positions" },
		{ "attention.temperature_scale", "attention temperature" },
		{ "attention.causal", "attention in both directions" },
		{ "embedding_scale", "its own embedding scale" },
		{ "residual_scale", "scaled residuals" },
		{ "logit_scale", "scaled logits" },
	};
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (is_set(keys->gguf, key_of(keys, rows[i].key)))
			return fail_set(keys->fail, FAIL_UNSUPPORTED,
					"%s uses %s (key %s), which this version does not compute",
					gguf_label(keys->gguf), rows[i].what, keys->name);
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

static int read_sizes(struct keys *keys, struct model_shape *shape)
{
	if (need_u32(keys, "block_count", 1, MODEL_LAYERS_LIMIT, &shape->n_layers) ||
	    need_u32(keys, "embedding_length", 1, EMBD_LIMIT, &shape->n_embd) ||
	    need_u32(keys, "context_length", 1, CONTEXT_LIMIT, &shape->context_max))
		return -FAIL_INVALID;
	shape->norm_eps = 0;
	if (want_f32(keys, "attention.layer_norm_rms_epsilon", 1e-12, 0.1, &shape->norm_eps))
		return -FAIL_INVALID;
	return shape->norm_eps > 0 ? 0 : missing(keys);
}

/* The vocabulary counts its tokens; a file without one may say a size. */
static int read_vocabulary(struct keys *keys, struct model_shape *shape)
{
	struct gguf_array tokens;
	if (!gguf_array(keys->gguf, "tokenizer.ggml.tokens", &tokens))
		return need_u32(keys, "vocab_size", 1, GGUF_ARRAY_LIMIT, &shape->n_vocab);
	if (tokens.count == 0)
		return fail_set(keys->fail, FAIL_INVALID, "%s has an empty vocabulary",
				gguf_label(keys->gguf));
	shape->n_vocab = (uint32_t)tokens.count; /* at most GGUF_ARRAY_LIMIT */
	return 0;
}

static int read_layers(struct keys *keys, struct model_shape *shape)
{
	const uint32_t n = shape->n_layers;
	uint32_t heads[MODEL_LAYERS_LIMIT], heads_kv[MODEL_LAYERS_LIMIT], ff[MODEL_LAYERS_LIMIT];
	if (need_per_layer(keys, "attention.head_count", n, HEADS_LIMIT, heads) ||
	    need_per_layer(keys, "feed_forward_length", n, FF_LIMIT, ff))
		return -FAIL_INVALID;
	memcpy(heads_kv, heads, sizeof(heads));
	if (gguf_has(keys->gguf, key_of(keys, "attention.head_count_kv")) &&
	    need_per_layer(keys, "attention.head_count_kv", n, HEADS_LIMIT, heads_kv))
		return -FAIL_INVALID;
	for (uint32_t i = 0; i < n; i++) {
		if (heads[i] % heads_kv[i])
			return fail_set(keys->fail, FAIL_INVALID,
					"%s: in layer %" PRIu32 ", %" PRIu32
					" heads cannot share %" PRIu32 " key heads evenly",
					gguf_label(keys->gguf), i, heads[i], heads_kv[i]);
		shape->layers[i] = (struct layer_shape){ .mixer = MIXER_ATTENTION,
							 .ffn = FFN_DENSE,
							 .n_head = heads[i],
							 .n_head_kv = heads_kv[i],
							 .n_ff = ff[i] };
	}
	return 0;
}

static int read_heads(struct keys *keys, struct model_shape *shape)
{
	const uint32_t n_head = shape->layers[0].n_head;
	shape->head_k = shape->n_embd / n_head;
	shape->head_v = shape->head_k;
	if (!gguf_has(keys->gguf, key_of(keys, "attention.key_length")) && shape->n_embd % n_head)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: %" PRIu32 " heads do not divide an embedding of %" PRIu32
				", and the key %s is missing",
				gguf_label(keys->gguf), n_head, shape->n_embd, keys->name);
	if (want_u32(keys, "attention.key_length", 1, HEAD_WIDTH_LIMIT, &shape->head_k) ||
	    want_u32(keys, "attention.value_length", 1, HEAD_WIDTH_LIMIT, &shape->head_v))
		return -FAIL_INVALID;
	shape->n_rot = shape->head_k;
	if (want_u32(keys, "rope.dimension_count", 2, shape->head_k, &shape->n_rot))
		return -FAIL_INVALID;
	if (shape->head_k > HEAD_WIDTH_LIMIT || shape->head_k % 2 || shape->n_rot % 2)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: heads of width %" PRIu32 ", of which %" PRIu32
				" turn, cannot be; both must be even and at most %u",
				gguf_label(keys->gguf), shape->head_k, shape->n_rot,
				HEAD_WIDTH_LIMIT);
	if (shape->head_v < 1 || shape->head_v > HEAD_WIDTH_LIMIT)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: value heads of width %" PRIu32 " cannot be",
				gguf_label(keys->gguf), shape->head_v);
	return 0;
}

/* Gives the factor by which positions are divided: linear scaling is the only kind known here. */
static int read_rope_factor(struct keys *keys, float *factor)
{
	const char *kind;
	size_t size;
	*factor = 1;
	if (gguf_has(keys->gguf, key_of(keys, "rope.scaling.type"))) {
		if (!gguf_string(keys->gguf, keys->name, &kind, &size))
			return wrong_kind(keys, "a text");
		if (size == 4 && memcmp(kind, "none", 4) == 0)
			return 0;
		if (size != 6 || memcmp(kind, "linear", 6) != 0)
			return fail_set(keys->fail, FAIL_UNSUPPORTED,
					"%s stretches its context by '%.*s' (key %s), which this "
					"version does not compute",
					gguf_label(keys->gguf), (int)(size < 40 ? size : 40), kind,
					keys->name);
	}
	if (want_f32(keys, "rope.scale_linear", 0, 4096, factor) ||
	    want_f32(keys, "rope.scaling.factor", 0, 4096, factor))
		return -FAIL_INVALID;
	if (*factor == 0) /* some writers say 0 for "none" */
		*factor = 1;
	if (*factor < 1.0f / 4096)
		return fail_set(keys->fail, FAIL_INVALID, "%s: the key %s is %g, which cannot be",
				gguf_label(keys->gguf), keys->name, (double)*factor);
	return 0;
}

static int read_rope(struct keys *keys, struct model_shape *shape)
{
	float base = 10000.0f, factor;
	if (want_f32(keys, "rope.freq_base", 1, 1e12, &base))
		return -FAIL_INVALID;
	const int result = read_rope_factor(keys, &factor);
	for (uint32_t i = 0; i < shape->n_layers && result == 0; i++) {
		shape->layers[i].rope_base = base;
		shape->layers[i].rope_scale = 1.0f / factor;
	}
	return result;
}

/* Which layers see a window: every n-th sees all, or the file lists them one by one. */
static int is_sliding(struct keys *keys, uint32_t layer, bool *sliding)
{
	struct gguf_array array;
	if (!gguf_array(keys->gguf, key_of(keys, "attention.sliding_window_pattern"), &array)) {
		uint32_t period = keys->family->sliding_period;
		if (want_u32(keys, "attention.sliding_window_pattern", 1, MODEL_LAYERS_LIMIT,
			     &period))
			return -FAIL_INVALID;
		*sliding = (layer + 1) % period != 0;
		return 0;
	}
	uint64_t flag = 0;
	if (array.type == GGUF_BOOL && layer < array.count)
		flag = array.bytes[layer];
	else if (!gguf_array_u64(&array, layer, &flag))
		return wrong_kind(keys, "a number or a list with an entry for each layer");
	*sliding = flag != 0;
	return 0;
}

static int read_windows(struct keys *keys, struct model_shape *shape)
{
	uint32_t window = 0;
	float base = keys->family->sliding_rope_base;
	if (keys->family->sliding_period == 0)
		return 0;
	if (want_u32(keys, "attention.sliding_window", 0, CONTEXT_LIMIT, &window) ||
	    want_f32(keys, "rope.freq_base_swa", 1, 1e12, &base))
		return -FAIL_INVALID;
	for (uint32_t i = 0; i < shape->n_layers && window > 0; i++) {
		bool sliding = false;
		if (is_sliding(keys, i, &sliding))
			return -FAIL_INVALID;
		if (!sliding)
			continue;
		shape->layers[i].mixer = MIXER_SLIDING;
		shape->layers[i].window = window;
		shape->layers[i].rope_base = base;
		shape->layers[i].rope_scale = 1;
	}
	return 0;
}

static void set_family(const struct family *family, struct model_shape *shape)
{
	snprintf(shape->family, sizeof(shape->family), "%s", family->name);
	shape->pairing = family->pairing;
	shape->activation = family->activation;
	shape->qk_norm = family->qk_norm;
	shape->post_norm = family->post_norm;
}

static void set_scales(const struct family *family, struct model_shape *shape)
{
	shape->embedding_scale = family->scaled_embedding ? (float)sqrt(shape->n_embd) : 1;
	const bool wide = family->wide_scale_layers == shape->n_layers;
	const double width = wide ? (double)shape->n_embd / shape->layers[0].n_head : shape->head_k;
	shape->attention_scale = (float)(1 / sqrt(width));
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
		read_sizes, read_vocabulary, read_layers, read_heads, read_rope, read_windows,
	};
	for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && result == 0; i++)
		result = steps[i](&keys, shape);
	if (result)
		return result;
	set_family(keys.family, shape);
	set_scales(keys.family, shape);
	shape->qkv_bias = keys.family->may_have_qkv_bias &&
			  gguf_tensor_find(gguf, "blk.0.attn_q.bias") != NULL;
	return 0;
}
