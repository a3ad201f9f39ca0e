#include "compute/family.h"

#include <string.h>

static const struct family families[] = {
	{
		/* Llama 1 to 3.3, Mistral, Mixtral, TinyLlama, SmolLM: the converter permuted q and
		   k */
		.name = "llama",
		.pairing = ROPE_ADJACENT,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM,
		.may = LAYER_QKV_BIAS | LAYER_OUT_BIAS | LAYER_FUSED_QKV,
		.rope_factors = true,
		.may_have_experts = true,
		.experts_renormalised = true,
	},
	{
		/* Ministral 3 */
		.name = "mistral3",
		.pairing = ROPE_ADJACENT,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM,
		.may = LAYER_QKV_BIAS | LAYER_OUT_BIAS | LAYER_FUSED_QKV,
		.reads = READS_TEMPERATURE,
		.rope_factors = true,
	},
	{
		/* Qwen 2 and 2.5, QwQ, R1-Distill-Qwen */
		.name = "qwen2",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM,
		.may = LAYER_QKV_BIAS | LAYER_OUT_BIAS | LAYER_FUSED_QKV,
	},
	{
		.name = "qwen3",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM | LAYER_QK_NORM,
		.may = LAYER_QKV_BIAS | LAYER_FUSED_QKV,
	},
	{
		.name = "qwen3moe",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM | LAYER_QK_NORM | LAYER_EXPERTS,
		.may = LAYER_QKV_BIAS | LAYER_FUSED_QKV,
		.experts_renormalised = true,
	},
	{
		/* Qwen 3.5: three layers with a gated delta net, one with attention */
		.name = "qwen35",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM | LAYER_QK_NORM | LAYER_Q_GATE | LAYER_FFN_NORM_ALIAS,
		.delta_parts = LAYER_PRE_NORM | LAYER_FFN_NORM_ALIAS | LAYER_DELTA,
		.may_have_spare = true,
	},
	{
		.name = "qwen35moe",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM | LAYER_QK_NORM | LAYER_Q_GATE | LAYER_FFN_NORM_ALIAS |
			 LAYER_EXPERTS | LAYER_SHARED_EXPERT,
		.delta_parts = LAYER_PRE_NORM | LAYER_FFN_NORM_ALIAS | LAYER_DELTA | LAYER_EXPERTS |
			       LAYER_SHARED_EXPERT,
		.may_have_spare = true,
		.experts_renormalised = true,
	},
	{
		/* 46 layers is the 27B model, whose query scale is that of its wider heads */
		.name = "gemma2",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_GELU_TANH,
		.parts = LAYER_PRE_NORM | LAYER_POST_NORM,
		.may = LAYER_FUSED_QKV,
		.reads = READS_ATTENTION_CAP | READS_LOGIT_CAP,
		.scaled_embedding = true,
		.attention_cap = 50,
		.logit_cap = 30,
		.sliding_period = 2,
		.window = 4096,
		.wide_scale_layers = 46,
	},
	{
		/* 62 layers is the 27B model */
		.name = "gemma3",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_GELU_TANH,
		.parts = LAYER_PRE_NORM | LAYER_POST_NORM | LAYER_QK_NORM,
		.may = LAYER_FUSED_QKV,
		.reads = READS_LOGIT_CAP,
		.scaled_embedding = true,
		.sliding_period = 6,
		.sliding_rope_base = 10000.0f,
		.sliding_unscaled = true,
		.wide_scale_layers = 62,
	},
	{
		/* Gemma 4: 31B; 26B-A4B, with experts; E2B and E4B, whose layers know the token */
		.name = "gemma4",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_GELU_TANH,
		.parts = LAYER_PRE_NORM | LAYER_POST_NORM | LAYER_QK_NORM | LAYER_V_NORM,
		.may = LAYER_FUSED_QKV | LAYER_OUT_SCALE | LAYER_EXPERT_SCALE | LAYER_FUSED_EXPERTS,
		.reads = READS_LOGIT_CAP,
		.rope_factors = true,
		.may_have_experts = true,
		.experts_renormalised = true,
		.expert_parts = LAYER_DENSE_BESIDE,
		.may_share_kv = true,
		.may_know_tokens = true,
		.scaled_embedding = true,
		.sliding_period = 6,
		.sliding_rope_base = 10000.0f,
		.sliding_unscaled = true,
		.sliding_heads = true,
		.may_lack_v = true,
		.unit_attention_scale = true,
	},
	{
		/* Phi-3, 3.5 and 4: the window that Phi-3's files name is the whole context it was
		 * trained for, so that nobody heeds it */
		.name = "phi3",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM | LAYER_FUSED_GATE_UP,
		.may = LAYER_FUSED_QKV | LAYER_QKV_BIAS,
		.rope_factors = true,
	},
	{
		/* OLMo 2; OLMo 3, which adds windows */
		.name = "olmo2",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_POST_NORM | LAYER_QK_NORM_WIDE,
		.may = LAYER_FUSED_QKV,
		.sliding_period = 4,
		.sliding_unscaled = true,
	},
	{
		.name = "granite",
		.pairing = ROPE_ADJACENT,
		.activation = ACTIVATION_SILU,
		.parts = LAYER_PRE_NORM,
		.may = LAYER_QKV_BIAS | LAYER_OUT_BIAS | LAYER_FUSED_QKV,
		.reads = READS_ATTENTION_SCALE | READS_EMBEDDING_SCALE | READS_RESIDUAL_SCALE |
			 READS_LOGIT_SCALE,
		.rope_factors = true,
	},
	{
		.name = "gpt-oss",
		.pairing = ROPE_HALVES,
		.activation = ACTIVATION_CLAMPED,
		.parts = LAYER_PRE_NORM | LAYER_QKV_BIAS | LAYER_OUT_BIAS | LAYER_SINKS |
			 LAYER_FFN_NORM_ALIAS | LAYER_EXPERTS | LAYER_EXPERT_BIAS,
		.may = LAYER_FUSED_QKV,
		.sliding_period = 2,
		.gating = GATING_CHOSEN,
	},
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static const struct family_tensor tensors[] = {
	{ "attn_norm.weight", DIM_EMBD, DIM_ONE, LAYER_PRE_NORM, 0, SLOT_ATTN_NORM },
	{ "attn_q.weight", DIM_EMBD, DIM_Q, 0, LAYER_FUSED_QKV | LAYER_Q_GATE | LAYER_DELTA,
	  SLOT_Q },
	{ "attn_q.weight", DIM_EMBD, DIM_Q_GATED, LAYER_Q_GATE, 0, SLOT_Q },
	{ "attn_k.weight", DIM_EMBD, DIM_K, 0, LAYER_FUSED_QKV | LAYER_DELTA | LAYER_SHARED_KV,
	  SLOT_K },
	{ "attn_v.weight", DIM_EMBD, DIM_V, 0,
	  LAYER_FUSED_QKV | LAYER_V_IS_K | LAYER_DELTA | LAYER_SHARED_KV, SLOT_V },
	{ "attn_qkv.weight", DIM_EMBD, DIM_QKV, LAYER_FUSED_QKV, LAYER_SHARED_KV, SLOT_QKV },
	{ "attn_q.bias", DIM_Q, DIM_ONE, LAYER_QKV_BIAS, 0, SLOT_Q_BIAS },
	{ "attn_k.bias", DIM_K, DIM_ONE, LAYER_QKV_BIAS, 0, SLOT_K_BIAS },
	{ "attn_v.bias", DIM_V, DIM_ONE, LAYER_QKV_BIAS, 0, SLOT_V_BIAS },
	{ "attn_q_norm.weight", DIM_HEAD_K, DIM_ONE, LAYER_QK_NORM, 0, SLOT_Q_NORM },
	{ "attn_k_norm.weight", DIM_HEAD_K, DIM_ONE, LAYER_QK_NORM, LAYER_SHARED_KV, SLOT_K_NORM },
	{ "attn_q_norm.weight", DIM_Q, DIM_ONE, LAYER_QK_NORM_WIDE, 0, SLOT_Q_NORM },
	{ "attn_k_norm.weight", DIM_K, DIM_ONE, LAYER_QK_NORM_WIDE, 0, SLOT_K_NORM },
	{ "attn_output.weight", DIM_HEADS, DIM_EMBD, 0, LAYER_DELTA, SLOT_ATTN_OUT },
	{ "attn_qkv.weight", DIM_EMBD, DIM_DELTA_MIXED, LAYER_DELTA, 0, SLOT_Q },
	{ "attn_gate.weight", DIM_EMBD, DIM_DELTA_VALUES, LAYER_DELTA, 0, SLOT_Z },
	{ "ssm_alpha.weight", DIM_EMBD, DIM_DELTA_HEADS, LAYER_DELTA, 0, SLOT_ALPHA },
	{ "ssm_beta.weight", DIM_EMBD, DIM_DELTA_HEADS, LAYER_DELTA, 0, SLOT_BETA },
	{ "ssm_conv1d.weight", DIM_DELTA_TAPS, DIM_DELTA_MIXED, LAYER_DELTA, 0, SLOT_CONV },
	{ "ssm_dt.bias", DIM_DELTA_HEADS, DIM_ONE, LAYER_DELTA, 0, SLOT_DT_BIAS },
	{ "ssm_a", DIM_DELTA_HEADS, DIM_ONE, LAYER_DELTA, 0, SLOT_DECAY },
	{ "ssm_norm.weight", DIM_DELTA_WIDTH, DIM_ONE, LAYER_DELTA, 0, SLOT_DELTA_NORM },
	{ "ssm_out.weight", DIM_DELTA_VALUES, DIM_EMBD, LAYER_DELTA, 0, SLOT_ATTN_OUT },
	{ "attn_output.bias", DIM_EMBD, DIM_ONE, LAYER_OUT_BIAS, 0, SLOT_OUT_BIAS },
	{ "post_attention_norm.weight", DIM_EMBD, DIM_ONE, LAYER_POST_NORM, 0,
	  SLOT_POST_ATTN_NORM },
	{ "attn_sinks.weight", DIM_HEADS_N, DIM_ONE, LAYER_SINKS, 0, SLOT_SINKS },
	{ "post_attention_norm.weight", DIM_EMBD, DIM_ONE, LAYER_FFN_NORM_ALIAS, 0, SLOT_FFN_NORM },
	{ "ffn_norm.weight", DIM_EMBD, DIM_ONE, LAYER_PRE_NORM, LAYER_FFN_NORM_ALIAS,
	  SLOT_FFN_NORM },
	{ "ffn_gate.weight", DIM_EMBD, DIM_FF, 0, LAYER_FUSED_GATE_UP | LAYER_EXPERTS, SLOT_GATE },
	{ "ffn_up.weight", DIM_EMBD, DIM_FF, 0, LAYER_FUSED_GATE_UP | LAYER_EXPERTS, SLOT_UP },
	{ "ffn_up.weight", DIM_EMBD, DIM_GATE_UP, LAYER_FUSED_GATE_UP, LAYER_EXPERTS,
	  SLOT_GATE_UP },
	{ "ffn_down.weight", DIM_FF, DIM_EMBD, 0, LAYER_EXPERTS, SLOT_DOWN },
	{ "ffn_gate_inp.weight", DIM_EMBD, DIM_EXPERTS, LAYER_EXPERTS, 0, SLOT_ROUTER },
	{ "ffn_gate_inp.scale", DIM_EMBD, DIM_ONE, LAYER_DENSE_BESIDE, 0, SLOT_ROUTER_NORM },
	{ "pre_ffw_norm_2.weight", DIM_EMBD, DIM_ONE, LAYER_DENSE_BESIDE, 0, SLOT_EXPERT_NORM },
	{ "ffn_gate_exps.weight", DIM_EMBD, DIM_FF, LAYER_EXPERTS, LAYER_FUSED_EXPERTS, SLOT_GATE,
	  DIM_EXPERTS },
	{ "ffn_up_exps.weight", DIM_EMBD, DIM_FF, LAYER_EXPERTS, LAYER_FUSED_EXPERTS, SLOT_UP,
	  DIM_EXPERTS },
	{ "ffn_gate_up_exps.weight", DIM_EMBD, DIM_GATE_UP, LAYER_EXPERTS | LAYER_FUSED_EXPERTS, 0,
	  SLOT_GATE_UP, DIM_EXPERTS },
	{ "ffn_down_exps.weight", DIM_FF, DIM_EMBD, LAYER_EXPERTS, 0, SLOT_DOWN, DIM_EXPERTS },
	{ "ffn_down_exps.scale", DIM_EXPERTS, DIM_ONE, LAYER_EXPERT_SCALE, 0, SLOT_EXPERT_SCALE },
	{ "post_ffw_norm_2.weight", DIM_EMBD, DIM_ONE, LAYER_DENSE_BESIDE, 0,
	  SLOT_EXPERT_POST_NORM },
	{ "ffn_gate.weight", DIM_EMBD, DIM_FF_SHARED, LAYER_DENSE_BESIDE, 0, SLOT_SHARED_GATE },
	{ "ffn_up.weight", DIM_EMBD, DIM_FF_SHARED, LAYER_DENSE_BESIDE, 0, SLOT_SHARED_UP },
	{ "ffn_down.weight", DIM_FF_SHARED, DIM_EMBD, LAYER_DENSE_BESIDE, 0, SLOT_SHARED_DOWN },
	{ "post_ffw_norm_1.weight", DIM_EMBD, DIM_ONE, LAYER_DENSE_BESIDE, 0,
	  SLOT_SHARED_POST_NORM },
	{ "ffn_gate_inp_shexp.weight", DIM_EMBD, DIM_ONE, LAYER_SHARED_EXPERT, 0,
	  SLOT_SHARED_SHARE },
	{ "ffn_gate_shexp.weight", DIM_EMBD, DIM_FF_SHARED, LAYER_SHARED_EXPERT, 0,
	  SLOT_SHARED_GATE },
	{ "ffn_up_shexp.weight", DIM_EMBD, DIM_FF_SHARED, LAYER_SHARED_EXPERT, 0, SLOT_SHARED_UP },
	{ "ffn_down_shexp.weight", DIM_FF_SHARED, DIM_EMBD, LAYER_SHARED_EXPERT, 0,
	  SLOT_SHARED_DOWN },
	{ "ffn_gate_inp.bias", DIM_EXPERTS, DIM_ONE, LAYER_EXPERT_BIAS, 0, SLOT_ROUTER_BIAS },
	{ "ffn_gate_exps.bias", DIM_FF, DIM_EXPERTS, LAYER_EXPERT_BIAS, 0, SLOT_GATE_BIAS },
	{ "ffn_up_exps.bias", DIM_FF, DIM_EXPERTS, LAYER_EXPERT_BIAS, 0, SLOT_UP_BIAS },
	{ "ffn_down_exps.bias", DIM_EMBD, DIM_EXPERTS, LAYER_EXPERT_BIAS, 0, SLOT_DOWN_BIAS },
	{ "post_ffw_norm.weight", DIM_EMBD, DIM_ONE, LAYER_POST_NORM, 0, SLOT_POST_FFN_NORM },
	{ "inp_gate.weight", DIM_EMBD, DIM_TOKEN, LAYER_TOKEN_INPUT, 0, SLOT_TOKEN_GATE },
	{ "proj.weight", DIM_TOKEN, DIM_EMBD, LAYER_TOKEN_INPUT, 0, SLOT_TOKEN_OUT },
	{ "post_norm.weight", DIM_EMBD, DIM_ONE, LAYER_TOKEN_INPUT, 0, SLOT_TOKEN_NORM },
	{ "layer_output_scale.weight", DIM_ONE, DIM_ONE, LAYER_OUT_SCALE, 0, SLOT_OUT_SCALE },
};

#define TENSORS (sizeof(tensors) / sizeof(tensors[0]))

/* Each slot is filled once, and three tensors hold RoPE factors. */
_Static_assert(FAMILY_SLOTS + 3 <= UNIT_TENSORS_MAX, "a layer and RoPE factors fit a unit");

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

bool family_tensor_is_float(const struct family_tensor *tensor)
{
	static const char bias[] = ".bias";
	const size_t size = strlen(tensor->name), end = sizeof(bias) - 1;
	return tensor->rows == DIM_ONE || tensor->slot == SLOT_CONV ||
	       (size > end && strcmp(tensor->name + size - end, bias) == 0);
}

bool family_tensor_present(const struct family_tensor *tensor, const struct layer_shape *layer)
{
	return (layer->parts & tensor->needs) == tensor->needs &&
	       (layer->parts & tensor->lacks) == 0;
}

uint64_t family_dim_size(enum family_dim dim, const struct model_shape *shape,
			 const struct layer_shape *layer)
{
	const uint64_t q = layer ? (uint64_t)layer->n_head * layer->head_k : 0;
	const uint64_t k = layer ? (uint64_t)layer->n_head_kv * layer->head_k : 0;
	const uint64_t v = layer ? (uint64_t)layer->n_head_kv * layer->head_v : 0;
	const struct delta_shape *delta = &shape->delta;
	switch (dim) {
	case DIM_ONE:
		return 1;
	case DIM_EMBD:
		return shape->n_embd;
	case DIM_VOCAB:
		return shape->n_vocab;
	case DIM_Q:
		return q;
	case DIM_K:
		return k;
	case DIM_V:
		return v;
	case DIM_QKV:
		return q + k + v;
	case DIM_HEADS:
		return (uint64_t)layer->n_head * layer->head_v;
	case DIM_HEADS_N:
		return layer->n_head;
	case DIM_FF:
		return layer->n_ff;
	case DIM_GATE_UP:
		return 2ull * layer->n_ff;
	case DIM_HEAD_K:
		return layer->head_k;
	case DIM_HALF_ROT:
		return shape->ropes[0].n_rot / 2;
	case DIM_EXPERTS:
		return shape->n_expert;
	case DIM_Q_GATED:
		return 2 * q;
	case DIM_DELTA_MIXED:
		return (2ull * delta->n_keys + delta->n_values) * delta->width;
	case DIM_DELTA_VALUES:
		return (uint64_t)delta->n_values * delta->width;
	case DIM_DELTA_HEADS:
		return delta->n_values;
	case DIM_DELTA_WIDTH:
		return delta->width;
	case DIM_FF_SHARED:
		return layer->n_ff_shared;
	case DIM_TOKEN:
		return shape->n_token;
	case DIM_TOKENS:
		return (uint64_t)shape->n_layers * shape->n_token;
	case DIM_DELTA_TAPS:
		return delta->taps;
	}
	return 0;
}

const char *family_part_tensor(enum layer_part part)
{
	switch (part) {
	case LAYER_QKV_BIAS:
		return "attn_q.bias";
	case LAYER_OUT_BIAS:
		return "attn_output.bias";
	case LAYER_OUT_SCALE:
		return "layer_output_scale.weight";
	case LAYER_FUSED_QKV:
		return "attn_qkv.weight";
	case LAYER_EXPERT_SCALE:
		return "ffn_down_exps.scale";
	case LAYER_FUSED_EXPERTS:
		return "ffn_gate_up_exps.weight";
	default:
		return NULL;
	}
}
