#include "compute/family.h"

#include <string.h>

static const struct family families[] = {
	{
		/* Llama 1 to 3.3, Mistral, TinyLlama, SmolLM: the converter permuted q and k */
		.name = "llama",
		.pairing = ROPE_ADJACENT,
		.activation = ACTIVATION_SILU,
		.may_have_qkv_bias = true,
		.may_have_rope_freqs = true,
	},
	{
		/* 62 layers is the 27B model, whose query scale is that of its wider heads */
		.name = "gemma3",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_GELU_TANH,
		.qk_norm = true,
		.post_norm = true,
		.scaled_embedding = true,
		.sliding_period = 6,
		.sliding_rope_base = 10000.0f,
		.wide_scale_layers = 62,
	},
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static const struct family_tensor tensors[] = {
	{ "attn_norm.weight", DIM_EMBD, DIM_ONE, WHEN_ALWAYS },
	{ "attn_q.weight", DIM_EMBD, DIM_Q, WHEN_ALWAYS },
	{ "attn_k.weight", DIM_EMBD, DIM_K, WHEN_ALWAYS },
	{ "attn_v.weight", DIM_EMBD, DIM_V, WHEN_ALWAYS },
	{ "attn_q.bias", DIM_Q, DIM_ONE, WHEN_QKV_BIAS },
	{ "attn_k.bias", DIM_K, DIM_ONE, WHEN_QKV_BIAS },
	{ "attn_v.bias", DIM_V, DIM_ONE, WHEN_QKV_BIAS },
	{ "attn_q_norm.weight", DIM_HEAD_K, DIM_ONE, WHEN_QK_NORM },
	{ "attn_k_norm.weight", DIM_HEAD_K, DIM_ONE, WHEN_QK_NORM },
	{ "attn_output.weight", DIM_HEADS, DIM_EMBD, WHEN_ALWAYS },
	{ "post_attention_norm.weight", DIM_EMBD, DIM_ONE, WHEN_POST_NORM },
	{ "ffn_norm.weight", DIM_EMBD, DIM_ONE, WHEN_ALWAYS },
	{ "ffn_gate.weight", DIM_EMBD, DIM_FF, WHEN_ALWAYS },
	{ "ffn_up.weight", DIM_EMBD, DIM_FF, WHEN_ALWAYS },
	{ "ffn_down.weight", DIM_FF, DIM_EMBD, WHEN_ALWAYS },
	{ "post_ffw_norm.weight", DIM_EMBD, DIM_ONE, WHEN_POST_NORM },
};

#define TENSORS (sizeof(tensors) / sizeof(tensors[0]))

_Static_assert(TENSORS + 1 <= UNIT_TENSORS_MAX, "a layer and rope_freqs fit into a unit");

const struct family *family_find(const char *name, size_t size)
{
	for (uint32_t i = 0; i < FAMILIES; i++)
		if (strlen(families[i].name) == size && memcmp(families[i].name, name, size) == 0)
			return &families[i];
	return NULL;
}

const struct family *family_at(uint32_t index)
{
	return index < FAMILIES ? &families[index] : NULL;
}

const struct family_tensor *family_tensor_at(uint32_t index)
{
	return index < TENSORS ? &tensors[index] : NULL;
}

bool family_tensor_present(const struct family_tensor *tensor, const struct model_shape *shape)
{
	switch (tensor->when) {
	case WHEN_ALWAYS:
		return true;
	case WHEN_QK_NORM:
		return shape->qk_norm;
	case WHEN_POST_NORM:
		return shape->post_norm;
	case WHEN_QKV_BIAS:
		return shape->qkv_bias;
	}
	return false;
}

uint64_t family_dim_size(enum family_dim dim, const struct model_shape *shape,
			 const struct layer_shape *layer)
{
	switch (dim) {
	case DIM_ONE:
		return 1;
	case DIM_EMBD:
		return shape->n_embd;
	case DIM_VOCAB:
		return shape->n_vocab;
	case DIM_Q:
		return (uint64_t)layer->n_head * shape->head_k;
	case DIM_K:
		return (uint64_t)layer->n_head_kv * shape->head_k;
	case DIM_V:
		return (uint64_t)layer->n_head_kv * shape->head_v;
	case DIM_HEADS:
		return (uint64_t)layer->n_head * shape->head_v;
	case DIM_FF:
		return layer->n_ff;
	case DIM_HEAD_K:
		return shape->head_k;
	case DIM_HALF_ROT:
		return shape->n_rot / 2;
	}
	return 0;
}
