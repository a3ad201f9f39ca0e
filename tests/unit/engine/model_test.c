#include "compute/model.h"
#include "gguf_build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define VOCAB 48

/* What a test may ask of the model that is built. */
struct wish {
	const char *drop;
	uint32_t n_layers;
	uint32_t norm_type;
	bool untied, bias, rope_freqs, lists;
	void (*more)(struct gguf_build *build);
};

static void add_vocabulary(struct gguf_build *build)
{
	if (!build_array(build, "tokenizer.ggml.tokens", GGUF_STRING, VOCAB))
		return;
	for (uint32_t i = 0; i < VOCAB; i++) {
		char text[16];
		snprintf(text, sizeof(text), "t%u", i);
		build_text(&build->keys, text);
	}
}

static void add(struct gguf_build *build, uint32_t layer, const char *name, uint32_t type,
		uint64_t columns, uint64_t rows)
{
	char full[64];
	snprintf(full, sizeof(full), "blk.%u.%s", layer, name);
	build_tensor(build, full, type, columns, rows);
}

/* Width 32, 4 heads of 8, 2 key heads, 64 wide inside. */
static void add_llama_layer(struct gguf_build *build, const struct wish *wish, uint32_t layer)
{
	add(build, layer, "attn_norm.weight", wish->norm_type, 32, 0);
	add(build, layer, "attn_q.weight", TENSOR_Q8_0, 32, 32);
	add(build, layer, "attn_k.weight", TENSOR_Q8_0, 32, 16);
	add(build, layer, "attn_v.weight", TENSOR_F16, 32, 16);
	if (wish->bias) {
		add(build, layer, "attn_q.bias", TENSOR_F32, 32, 0);
		add(build, layer, "attn_k.bias", TENSOR_F32, 16, 0);
		add(build, layer, "attn_v.bias", TENSOR_F32, 16, 0);
	}
	add(build, layer, "attn_output.weight", TENSOR_Q4_0, 32, 32);
	add(build, layer, "ffn_norm.weight", TENSOR_F32, 32, 0);
	add(build, layer, "ffn_gate.weight", TENSOR_Q5_0, 32, 64);
	add(build, layer, "ffn_up.weight", TENSOR_BF16, 32, 64);
	add(build, layer, "ffn_down.weight", TENSOR_F32, 64, 32);
}

static void add_llama(struct gguf_build *build, const struct wish *wish)
{
	const uint32_t n = wish->n_layers;
	build_string(build, "general.architecture", "llama");
	build_u32(build, "llama.block_count", n);
	build_u32(build, "llama.context_length", 512);
	build_u32(build, "llama.embedding_length", 32);
	if (!wish->lists)
		build_u32(build, "llama.feed_forward_length", 64);
	else if (build_array(build, "llama.feed_forward_length", GGUF_I32, n))
		for (uint32_t i = 0; i < n; i++)
			buf_u32(&build->keys, 64);
	build_u32(build, "llama.attention.head_count", 4);
	build_u32(build, "llama.attention.head_count_kv", 2);
	build_f32(build, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	add_vocabulary(build);
	build_tensor(build, "token_embd.weight", TENSOR_Q8_0, 32, VOCAB);
	build_tensor(build, "output_norm.weight", TENSOR_F32, 32, 0);
	if (wish->untied)
		build_tensor(build, "output.weight", TENSOR_F32, 32, VOCAB);
	if (wish->rope_freqs)
		build_tensor(build, "rope_freqs.weight", TENSOR_F32, 4, 0);
	for (uint32_t i = 0; i < n; i++)
		add_llama_layer(build, wish, i);
}

static void add_gemma3(struct gguf_build *build, const struct wish *wish)
{
	build_string(build, "general.architecture", "gemma3");
	build_u32(build, "gemma3.block_count", wish->n_layers);
	build_u32(build, "gemma3.context_length", 512);
	build_u32(build, "gemma3.embedding_length", 32);
	build_u32(build, "gemma3.feed_forward_length", 64);
	build_u32(build, "gemma3.attention.head_count", 2);
	build_u32(build, "gemma3.attention.head_count_kv", 1);
	build_u32(build, "gemma3.attention.key_length", 64);
	build_u32(build, "gemma3.attention.value_length", 64);
	build_u32(build, "gemma3.attention.sliding_window", 128);
	build_f32(build, "gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
	build_f32(build, "gemma3.rope.freq_base", 1e6f);
	add_vocabulary(build);
	build_tensor(build, "token_embd.weight", TENSOR_Q8_0, 32, VOCAB);
	build_tensor(build, "output_norm.weight", TENSOR_F32, 32, 0);
	for (uint32_t i = 0; i < wish->n_layers; i++) {
		add(build, i, "attn_norm.weight", TENSOR_F32, 32, 0);
		add(build, i, "attn_q.weight", TENSOR_Q8_0, 32, 128);
		add(build, i, "attn_k.weight", TENSOR_Q8_0, 32, 64);
		add(build, i, "attn_v.weight", TENSOR_Q8_0, 32, 64);
		add(build, i, "attn_q_norm.weight", TENSOR_F32, 64, 0);
		add(build, i, "attn_k_norm.weight", TENSOR_F32, 64, 0);
		add(build, i, "attn_output.weight", TENSOR_Q8_0, 128, 32);
		add(build, i, "post_attention_norm.weight", TENSOR_F32, 32, 0);
		add(build, i, "ffn_norm.weight", TENSOR_F32, 32, 0);
		add(build, i, "ffn_gate.weight", TENSOR_Q8_0, 32, 64);
		add(build, i, "ffn_up.weight", TENSOR_Q8_0, 32, 64);
		add(build, i, "ffn_down.weight", TENSOR_Q8_0, 64, 32);
		add(build, i, "post_ffw_norm.weight", TENSOR_F32, 32, 0);
	}
}

/* Width 32, 2 heads of 16 that share one key head; qkv and gate with up lie in one tensor each. */
static void add_phi3(struct gguf_build *build, const struct wish *wish)
{
	build_string(build, "general.architecture", "phi3");
	build_u32(build, "phi3.block_count", wish->n_layers);
	build_u32(build, "phi3.context_length", 512);
	build_u32(build, "phi3.embedding_length", 32);
	build_u32(build, "phi3.feed_forward_length", 64);
	build_u32(build, "phi3.attention.head_count", 2);
	build_u32(build, "phi3.attention.head_count_kv", 1);
	build_u32(build, "phi3.attention.sliding_window", 128);
	build_f32(build, "phi3.attention.layer_norm_rms_epsilon", 1e-5f);
	build_u32(build, "phi3.rope.scaling.original_context_length", 64);
	build_f32(build, "phi3.rope.scaling.attn_factor", 1.19f);
	add_vocabulary(build);
	build_tensor(build, "token_embd.weight", TENSOR_Q8_0, 32, VOCAB);
	build_tensor(build, "output_norm.weight", TENSOR_F32, 32, 0);
	build_tensor(build, "rope_factors_long.weight", TENSOR_F32, 8, 0);
	build_tensor(build, "rope_factors_short.weight", TENSOR_F32, 8, 0);
	for (uint32_t i = 0; i < wish->n_layers; i++) {
		add(build, i, "attn_norm.weight", TENSOR_F32, 32, 0);
		add(build, i, "attn_qkv.weight", TENSOR_Q8_0, 32, 64);
		add(build, i, "attn_output.weight", TENSOR_Q8_0, 32, 32);
		add(build, i, "ffn_norm.weight", TENSOR_F32, 32, 0);
		add(build, i, "ffn_up.weight", TENSOR_Q8_0, 32, 128);
		add(build, i, "ffn_down.weight", TENSOR_Q8_0, 64, 32);
	}
}

/* Keeps the bytes in `file` until the model is closed. */
static struct model *build_model(void (*family)(struct gguf_build *, const struct wish *),
				 const struct wish *wish, struct buf *file, struct fail *fail)
{
	struct gguf_build build;
	build_init(&build);
	build.drop = wish->drop;
	if (wish->more)
		wish->more(&build);
	family(&build, wish);
	buf_init(file);
	build_header(&build, file);
	struct model *model =
		model_parse(file->data, file->size, file->size + build.data_bytes, fail);
	build_finish(&build);
	return model;
}

static struct model *good_model(void (*family)(struct gguf_build *, const struct wish *),
				const struct wish *wish, struct buf *file)
{
	struct fail fail = { 0 };
	struct model *model = build_model(family, wish, file, &fail);
	if (!model)
		fail_msg("%s", fail.text);
	return model;
}

static void close_model(struct model *model, struct buf *file)
{
	model_close(model);
	buf_finish(file);
}

static void reads_llama(void **state)
{
	(void)state;
	struct buf file;
	struct model *model = good_model(add_llama, &(struct wish){ .n_layers = 3 }, &file);
	const struct model_shape *shape = model_shape(model);
	assert_string_equal(shape->family, "llama");
	assert_int_equal(shape->n_layers, 3);
	assert_int_equal(shape->n_embd, 32);
	assert_int_equal(shape->n_vocab, VOCAB);
	assert_int_equal(shape->context_max, 512);
	assert_int_equal(shape->n_ropes, 1);
	assert_int_equal(shape->ropes[0].n_rot, 8);
	assert_true(shape->ropes[0].base == 10000);
	assert_true(shape->ropes[0].scale == 1);
	assert_int_equal(shape->pairing, ROPE_ADJACENT);
	assert_int_equal(shape->activation, ACTIVATION_SILU);
	assert_true(shape->embedding_scale == 1);
	assert_true(shape->attention_scale == (float)(1 / sqrt(8)));
	assert_true(shape->tied);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(shape->layers[i].mixer, MIXER_ATTENTION);
		assert_int_equal(shape->layers[i].n_head_kv, 2);
		assert_int_equal(shape->layers[i].head_k, 8);
		assert_int_equal(shape->layers[i].head_v, 8);
		assert_int_equal(shape->layers[i].parts, LAYER_PRE_NORM);
		assert_int_equal(shape->layers[i].window, 0);
		assert_int_equal(shape->layers[i].rope, 0);
	}
	assert_int_equal(model_kv_bytes(model, 0), 2 * (2 * 8 + 2 * 8));
	assert_int_equal(model_kv_bytes(model, 3), 0);
	assert_string_equal(model_path(model), "");
	close_model(model, &file);
}

static void gives_units(void **state)
{
	(void)state;
	struct buf file;
	const struct wish wish = {
		.n_layers = 2, .untied = true, .bias = true, .rope_freqs = true
	};
	struct model *model = good_model(add_llama, &wish, &file);
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	assert_int_equal(model_unit_tensors(model, UNIT_EMBEDDING, 0, tensors), 1);
	assert_string_equal(tensors[0]->name, "token_embd.weight");
	assert_int_equal(model_unit_tensors(model, UNIT_OUTPUT, 0, tensors), 3);
	assert_string_equal(tensors[1]->name, "output.weight");
	assert_string_equal(tensors[2]->name, "rope_freqs.weight");
	assert_int_equal(model_unit_tensors(model, UNIT_LAYER, 1, tensors), 9 + 3 + 1);
	assert_string_equal(tensors[0]->name, "blk.1.attn_norm.weight");
	assert_string_equal(tensors[12]->name, "rope_freqs.weight");
	assert_int_equal(model_unit_tensors(model, UNIT_LAYER, 2, tensors), 0);
	assert_false(model_shape(model)->tied);
	assert_true(model_shape(model)->layers[1].parts & LAYER_QKV_BIAS);
	close_model(model, &file);
}

static void reads_gemma3(void **state)
{
	(void)state;
	struct buf file;
	struct model *model = good_model(add_gemma3, &(struct wish){ .n_layers = 8 }, &file);
	const struct model_shape *shape = model_shape(model);
	assert_int_equal(shape->pairing, ROPE_HALVES);
	assert_int_equal(shape->activation, ACTIVATION_GELU_TANH);
	assert_true(shape->tied);
	assert_true(shape->embedding_scale == (float)sqrt(32));
	assert_true(shape->attention_scale == 0.125f);
	for (uint32_t i = 0; i < 8; i++) {
		const bool global = i == 5;
		assert_int_equal(shape->layers[i].mixer, global ? MIXER_ATTENTION : MIXER_SLIDING);
		assert_int_equal(shape->layers[i].window, global ? 0 : 128);
		assert_int_equal(shape->layers[i].parts,
				 LAYER_PRE_NORM | LAYER_POST_NORM | LAYER_QK_NORM);
		assert_true(shape->ropes[shape->layers[i].rope].base == (global ? 1e6f : 1e4f));
	}
	close_model(model, &file);
}

static void reads_phi3(void **state)
{
	(void)state;
	struct buf file;
	struct model *model = good_model(add_phi3, &(struct wish){ .n_layers = 2 }, &file);
	const struct model_shape *shape = model_shape(model);
	assert_int_equal(shape->layers[1].parts,
			 LAYER_PRE_NORM | LAYER_FUSED_QKV | LAYER_FUSED_GATE_UP);
	assert_int_equal(shape->layers[1].mixer, MIXER_ATTENTION);
	assert_true(shape->ropes[0].factors);
	assert_int_equal(shape->ropes[0].original, 64);
	assert_true(shape->ropes[0].magnitude == 1.19f);
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	assert_int_equal(model_unit_tensors(model, UNIT_LAYER, 1, tensors), 6 + 2);
	assert_string_equal(tensors[6]->name, "rope_factors_long.weight");
	assert_int_equal(model_unit_tensors(model, UNIT_OUTPUT, 0, tensors), 1 + 2);
	close_model(model, &file);
}

static void stretch_by_yarn(struct gguf_build *build)
{
	build_string(build, "llama.rope.scaling.type", "yarn");
	build_f32(build, "llama.rope.scaling.factor", 4);
	build_u32(build, "llama.rope.scaling.original_context_length", 128);
}

static void stretch_by_magic(struct gguf_build *build)
{
	build_string(build, "llama.rope.scaling.type", "magic");
}

static void reads_yarn(void **state)
{
	(void)state;
	struct buf file;
	const struct wish wish = { .n_layers = 1, .more = stretch_by_yarn };
	struct model *model = good_model(add_llama, &wish, &file);
	const struct rope_shape *rope = &model_shape(model)->ropes[0];
	assert_true(rope->yarn == 1 && rope->scale == 0.25f);
	assert_true(rope->beta_fast == 32 && rope->beta_slow == 1);
	assert_int_equal(rope->original, 128);
	assert_true(fabs((double)rope->magnitude - (1 + 0.1 * log(4))) < 1e-6);
	close_model(model, &file);
}

static void scale_linearly(struct gguf_build *build)
{
	build_string(build, "gemma3.rope.scaling.type", "linear");
	build_f32(build, "gemma3.rope.scaling.factor", 8);
	build_u32(build, "gemma3.attention.sliding_window_pattern", 3);
}

static void scales_rope_of_global_layers_only(void **state)
{
	(void)state;
	struct buf file;
	const struct wish wish = { .n_layers = 4, .more = scale_linearly };
	struct model *model = good_model(add_gemma3, &wish, &file);
	const struct model_shape *shape = model_shape(model);
	for (uint32_t i = 0; i < 4; i++)
		assert_true(shape->ropes[shape->layers[i].rope].scale == (i == 2 ? 0.125f : 1));
	close_model(model, &file);
}

static void list_windows(struct gguf_build *build)
{
	if (build_array(build, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, 3))
		buf_append(&build->keys, "\0\1\0", 3);
}

static void reads_windows_layer_by_layer(void **state)
{
	(void)state;
	struct buf file;
	const struct wish wish = { .n_layers = 3, .more = list_windows };
	struct model *model = good_model(add_gemma3, &wish, &file);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(model_shape(model)->layers[i].mixer,
				 i == 1 ? MIXER_SLIDING : MIXER_ATTENTION);
	close_model(model, &file);
	struct fail fail;
	assert_null(build_model(add_gemma3, &(struct wish){ .n_layers = 4, .more = list_windows },
				&file, &fail));
	assert_non_null(strstr(fail.text, "an entry for each layer"));
	buf_finish(&file);
}

/* The 27B model has 62 layers and scales by n_embd / n_head = 32 / 2. */
static void scales_the_largest_gemma_by_its_width(void **state)
{
	(void)state;
	struct buf file;
	struct model *model = good_model(add_gemma3, &(struct wish){ .n_layers = 62 }, &file);
	assert_true(model_shape(model)->attention_scale == 0.25f);
	close_model(model, &file);
}

static void reads_numbers_layer_by_layer(void **state)
{
	(void)state;
	struct buf file;
	const struct wish wish = { .n_layers = 2, .lists = true };
	struct model *model = good_model(add_llama, &wish, &file);
	assert_int_equal(model_shape(model)->layers[1].n_ff, 64);
	close_model(model, &file);
}

static void add_cap(struct gguf_build *build)
{
	build_f32(build, "llama.final_logit_softcapping", 30);
}

static void add_no_experts(struct gguf_build *build)
{
	build_u32(build, "llama.expert_count", 0);
}

static void add_shared_kv(struct gguf_build *build)
{
	build_u32(build, "llama.attention.shared_kv_layers", 1);
}

static void add_token_input(struct gguf_build *build)
{
	build_u32(build, "llama.embedding_length_per_layer_input", 8);
}

static void refuses_what_it_does_not_compute(void **state)
{
	(void)state;
	static const struct {
		void (*family)(struct gguf_build *, const struct wish *);
		struct wish wish;
		const char *fragment;
	} rows[] = {
		{ add_llama, { .n_layers = 1, .more = add_cap }, "a cap on final logits" },
		{ add_llama, { .n_layers = 2, .more = add_shared_kv }, "share keys and values" },
		{ add_llama, { .n_layers = 1, .more = add_token_input }, "an embedding for each" },
		{ add_llama, { .n_layers = 1, .more = stretch_by_magic }, "stretches its context" },
		{ add_phi3,
		  { .n_layers = 1, .drop = "blk.0.attn_qkv.weight" },
		  "lacks the tensor blk.0.attn_q.weight" },
		{ add_llama, { .n_layers = 1, .norm_type = TENSOR_F16 }, "must be F32" },
		{ add_llama,
		  { .n_layers = 1, .bias = true, .drop = "blk.0.attn_k.bias" },
		  "lacks the tensor blk.0.attn_k.bias" },
		{ add_llama,
		  { .n_layers = 1, .bias = true, .drop = "blk.0.attn_q.bias" },
		  "has the tensor blk.0.attn_k.bias" },
		{ add_llama, { .n_layers = 1, .drop = "output_norm.weight" }, "lacks the tensor" },
		{ add_llama, { .n_layers = 1, .drop = "token_embd.weight" }, "lacks the tensor" },
		{ add_llama,
		  { .n_layers = 1, .drop = "tokenizer.ggml.tokens" },
		  "lacks the key llama.vocab_size" },
		{ add_llama, { .n_layers = 513 }, "from 1 to 512 is possible" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf file;
		struct fail fail = { 0 };
		assert_null(build_model(rows[i].family, &rows[i].wish, &file, &fail));
		if (!strstr(fail.text, rows[i].fragment))
			fail_msg("'%s' does not say '%s'", fail.text, rows[i].fragment);
		buf_finish(&file);
	}
	struct buf file;
	const struct wish off = { .n_layers = 1, .more = add_no_experts };
	close_model(good_model(add_llama, &off, &file), &file);
	model_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_llama),
		cmocka_unit_test(gives_units),
		cmocka_unit_test(reads_gemma3),
		cmocka_unit_test(reads_phi3),
		cmocka_unit_test(reads_yarn),
		cmocka_unit_test(scales_rope_of_global_layers_only),
		cmocka_unit_test(reads_windows_layer_by_layer),
		cmocka_unit_test(scales_the_largest_gemma_by_its_width),
		cmocka_unit_test(reads_numbers_layer_by_layer),
		cmocka_unit_test(refuses_what_it_does_not_compute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
