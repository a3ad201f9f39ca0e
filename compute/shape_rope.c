#include "compute/shape_rope.h"

#include "compute/cpu/maths.h"

#include <inttypes.h>
#include <string.h>

#define CONTEXT_LIMIT (1u << 27)
#define FACTOR_LIMIT  4096.0f

/* Ways in which files say that a context is stretched. */
enum scaling { SCALING_NONE, SCALING_LINEAR, SCALING_YARN, SCALING_LONGROPE };

static int read_scaling(struct keys *keys, enum scaling *scaling)
{
	static const char *const names[] = { "none", "linear", "yarn", "longrope" };
	const char *kind;
	size_t size;
	*scaling = SCALING_LINEAR; /* by 1, where no factor is told either */
	if (!keys_has(keys, "rope.scaling.type"))
		return 0;
	if (!gguf_string(keys->gguf, keys->name, &kind, &size))
		return keys_wrong_kind(keys, "a text");
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*scaling = (enum scaling)i;
		if (strlen(names[i]) == size && memcmp(names[i], kind, size) == 0)
			return 0;
	}
	return fail_set(keys->fail, FAIL_UNSUPPORTED,
			"%s stretches its context by '%.*s' (key %s), which this version does not "
			"compute",
			gguf_label(keys->gguf), (int)(size < 40 ? size : 40), kind, keys->name);
}

/* The number by which positions are divided. */
static int read_factor(struct keys *keys, float *factor)
{
	*factor = 1;
	if (keys_want_f32(keys, "rope.scale_linear", 0, FACTOR_LIMIT, factor) ||
	    keys_want_f32(keys, "rope.scaling.factor", 0, FACTOR_LIMIT, factor))
		return -FAIL_INVALID;
	if (*factor == 0) /* some writers say 0 for "none" */
		*factor = 1;
	if (*factor < 1.0f / FACTOR_LIMIT)
		return fail_set(keys->fail, FAIL_INVALID, "%s: the key %s is %g, which cannot be",
				gguf_label(keys->gguf), keys->name, (double)*factor);
	return 0;
}

/* YaRN's "mscale": 1 + 0.1 ln(factor), where a multiplier is told divided by what it makes of it.
 */
static int read_yarn(struct keys *keys, float factor, struct rope_shape *rope)
{
	float multiplier = 0;
	rope->yarn = 1;
	if (keys_want_f32(keys, "rope.scaling.yarn_ext_factor", 0, 1, &rope->yarn) ||
	    keys_want_f32(keys, "rope.scaling.yarn_beta_fast", 0.001, 1e6, &rope->beta_fast) ||
	    keys_want_f32(keys, "rope.scaling.yarn_beta_slow", 0.001, 1e6, &rope->beta_slow) ||
	    keys_want_f32(keys, "rope.scaling.yarn_log_multiplier", 0, 100, &multiplier))
		return -FAIL_INVALID;
	if (rope->yarn > 0 && factor > 1) {
		const double log = 0.1 * maths_log((double)factor);
		rope->magnitude *= (float)((1 + log) / (1 + (double)multiplier * log));
	}
	return 0;
}

static int odd_rotation(struct keys *keys, uint32_t n_rot)
{
	return fail_set(keys->fail, FAIL_INVALID,
			"%s: %" PRIu32
			" values of a head turn, which cannot be: they turn in pairs",
			gguf_label(keys->gguf), n_rot);
}

int shape_rope_read(struct keys *keys, struct model_shape *shape)
{
	const uint32_t head_k = shape->layers[0].head_k;
	struct rope_shape *rope = &shape->ropes[0];
	enum scaling scaling;
	float factor;
	*rope = (struct rope_shape){ .n_rot = head_k,
				     .base = 10000.0f,
				     .scale = 1,
				     .beta_fast = 32,
				     .beta_slow = 1,
				     .original = shape->context_max,
				     .magnitude = 1,
				     .factors = keys->family->rope_factors };
	shape->n_ropes = 1;
	if (keys_want_u32(keys, "rope.dimension_count", 2, head_k, &rope->n_rot) ||
	    keys_want_f32(keys, "rope.freq_base", 2, 1e12, &rope->base) ||
	    keys_want_u32(keys, "rope.scaling.original_context_length", 1, CONTEXT_LIMIT,
			  &rope->original) ||
	    keys_want_f32(keys, "rope.scaling.attn_factor", 0.01, 100, &rope->magnitude) ||
	    read_factor(keys, &factor))
		return -FAIL_INVALID;
	if (rope->n_rot % 2)
		return odd_rotation(keys, rope->n_rot);
	const int status = read_scaling(keys, &scaling);
	if (status)
		return status;
	if (scaling == SCALING_LINEAR || scaling == SCALING_YARN)
		rope->scale = 1.0f / factor;
	return scaling == SCALING_YARN ? read_yarn(keys, factor, rope) : 0;
}

/* Which layers see a window: every n-th sees all, or the file lists them one by one. */
static int is_sliding(struct keys *keys, uint32_t layer, bool *sliding)
{
	struct gguf_array array;
	keys_full(keys, "attention.sliding_window_pattern");
	if (!gguf_array(keys->gguf, keys->name, &array)) {
		uint32_t period = keys->family->sliding_period;
		if (keys_want_u32(keys, "attention.sliding_window_pattern", 1, MODEL_LAYERS_LIMIT,
				  &period))
			return -FAIL_INVALID;
		*sliding = (layer + 1) % period != 0;
		return 0;
	}
	uint64_t flag = 0;
	if (array.type == GGUF_BOOL && layer < array.count)
		flag = array.bytes[layer];
	else if (!gguf_array_u64(&array, layer, &flag))
		return keys_wrong_kind(keys, "a number or a list with an entry for each layer");
	*sliding = flag != 0;
	return 0;
}

/* How layers with a window turn, when not as the others. */
static int add_sliding_rope(struct keys *keys, struct model_shape *shape)
{
	const struct family *family = keys->family;
	struct rope_shape *rope = &shape->ropes[1];
	*rope = shape->ropes[0];
	if (family->sliding_rope_base > 0)
		rope->base = family->sliding_rope_base;
	if (family->sliding_unscaled) {
		rope->scale = 1;
		rope->yarn = 0;
		rope->magnitude = 1;
		rope->factors = false;
	}
	shape->n_ropes = 2;
	return keys_want_f32(keys, "rope.freq_base_swa", 2, 1e12, &rope->base);
}

/* Gives layers with a window heads of their own widths. */
static int read_sliding_heads(struct keys *keys, struct model_shape *shape)
{
	uint32_t head_k = shape->layers[0].head_k, head_v = shape->layers[0].head_v;
	if (keys_want_u32(keys, "attention.key_length_swa", 1, UINT32_MAX, &head_k) ||
	    keys_want_u32(keys, "attention.value_length_swa", 1, UINT32_MAX, &head_v) ||
	    shape_check_head(keys, head_k, head_v))
		return -FAIL_INVALID;
	shape->ropes[1].n_rot = head_k;
	if (keys_want_u32(keys, "rope.dimension_count_swa", 2, head_k, &shape->ropes[1].n_rot))
		return -FAIL_INVALID;
	if (shape->ropes[1].n_rot % 2)
		return odd_rotation(keys, shape->ropes[1].n_rot);
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		if (shape->layers[i].mixer != MIXER_SLIDING)
			continue;
		shape->layers[i].head_k = head_k;
		shape->layers[i].head_v = head_v;
	}
	return 0;
}

int shape_windows_read(struct keys *keys, struct model_shape *shape)
{
	uint32_t window = keys->family->window;
	if (keys->family->sliding_period == 0)
		return 0;
	if (keys_want_u32(keys, "attention.sliding_window", 0, CONTEXT_LIMIT, &window))
		return -FAIL_INVALID;
	if (window == 0)
		return 0;
	if (add_sliding_rope(keys, shape))
		return -FAIL_INVALID;
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		bool sliding = false;
		if (is_sliding(keys, i, &sliding))
			return -FAIL_INVALID;
		if (!sliding)
			continue;
		shape->layers[i].mixer = MIXER_SLIDING;
		shape->layers[i].window = window;
		shape->layers[i].rope = 1;
	}
	return keys->family->sliding_heads ? read_sliding_heads(keys, shape) : 0;
}
