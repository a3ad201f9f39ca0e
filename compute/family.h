/* family.h: what tells one family of models from another: a row of a table.
 *
 * To add a family whose layers are made of the known parts, add its row in family.c; a new part
 * adds a bit to enum layer_part and a row to the table of layer tensors.
 * Source: the GGUF tensor names and the families' published configurations. */
#ifndef COMPUTE_FAMILY_H
#define COMPUTE_FAMILY_H

#include "compute/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers that some families compute with: where a file of another family sets one, it is refused,
 * because what it means there is not known. */
enum family_number {
	READS_ATTENTION_CAP = 1 << 0,
	READS_LOGIT_CAP = 1 << 1,
	READS_ATTENTION_SCALE = 1 << 2,
	READS_EMBEDDING_SCALE = 1 << 3,
	READS_RESIDUAL_SCALE = 1 << 4,
	READS_LOGIT_SCALE = 1 << 5,
	READS_TEMPERATURE = 1 << 6,
};

/* What the keys of a file are read with. */
struct family {
	const char *name; /* general.architecture */
	enum rope_pairing pairing;
	enum activation_kind activation;
	uint32_t parts;       /* that every layer has: bits of enum layer_part */
	uint32_t delta_parts; /* that layers with a gated delta net have instead; 0: none has one */
	uint32_t may;         /* parts that a layer has when the file has their tensors */
	uint32_t reads;       /* bits of enum family_number */
	bool rope_factors;    /* there may be tensors of RoPE factors */
	bool scaled_embedding; /* embeddings x sqrt(n_embd) */
	float attention_cap, logit_cap; /* where the file does not say; 0: none */
	uint32_t sliding_period; /* every n-th layer sees all positions, the others a window;
	                            0: the family has no windows, or none that this row heeds */
	uint32_t window;         /* where the file does not say; 0: none */
	float sliding_rope_base; /* of layers with a window; 0: as the others */
	bool sliding_unscaled;   /* RoPE of layers with a window is never scaled, nor has factors */
	bool sliding_heads;      /* heads of layers with a window may have widths of their own */
	bool may_have_spare;       /* layers that guess further tokens, which are left aside */
	bool may_share_kv;         /* the last layers read keys and values of earlier ones */
	bool may_know_tokens;      /* layers may be told of the token itself */
	uint32_t expert_parts;     /* that layers have besides, where the file counts experts */
	bool may_have_experts;      /* when the file counts some; LAYER_EXPERTS in parts: must */
	enum expert_gating gating;  /* where the file does not say */
	bool experts_renormalised;  /* likewise */
	bool may_lack_v;            /* a layer without attn_v has LAYER_V_IS_K */
	bool unit_attention_scale;  /* q.k is not scaled: norms have done it */
	uint32_t wide_scale_layers; /* a model with so many layers scales q.k by
	                               1/sqrt(n_embd / n_head) instead of 1/sqrt(head_k); 0: none */
};

const struct family *family_find(const char *name, size_t size); /* or NULL */
const struct family *family_at(uint32_t index);                  /* NULL after the last one */

/* Sizes a tensor's sides may have. */
enum family_dim {
	DIM_ONE, DIM_EMBD, DIM_VOCAB, DIM_Q, DIM_K, DIM_V, DIM_QKV, DIM_HEADS /* n_head * head_v */,
	DIM_HEADS_N /* n_head */, DIM_FF, DIM_GATE_UP, DIM_HEAD_K, DIM_HALF_ROT, DIM_EXPERTS,
	DIM_Q_GATED /* twice DIM_Q */, DIM_DELTA_MIXED /* q, k and v */, DIM_DELTA_VALUES,
	DIM_DELTA_HEADS /* value heads */, DIM_DELTA_WIDTH, DIM_DELTA_TAPS,
	DIM_FF_SHARED, DIM_TOKEN /* what a layer is told of a token */, DIM_TOKENS /* what all are */
};

/* What a tensor is to a layer: a field of struct weights_layer; a fused one is several. */
enum family_slot {
	SLOT_ATTN_NORM, SLOT_Q, SLOT_K, SLOT_V, SLOT_QKV, SLOT_Q_BIAS, SLOT_K_BIAS, SLOT_V_BIAS,
	SLOT_Q_NORM, SLOT_K_NORM, SLOT_ATTN_OUT, SLOT_OUT_BIAS, SLOT_POST_ATTN_NORM, SLOT_FFN_NORM,
	SLOT_GATE, SLOT_UP, SLOT_GATE_UP, SLOT_DOWN, SLOT_POST_FFN_NORM, SLOT_SINKS, SLOT_ROUTER,
	SLOT_ROUTER_BIAS, SLOT_GATE_BIAS, SLOT_UP_BIAS, SLOT_DOWN_BIAS, SLOT_OUT_SCALE, SLOT_Z,
	SLOT_ALPHA, SLOT_BETA, SLOT_CONV, SLOT_DT_BIAS, SLOT_DECAY, SLOT_DELTA_NORM,
	SLOT_SHARED_GATE, SLOT_SHARED_UP, SLOT_SHARED_DOWN, SLOT_SHARED_SHARE,
	SLOT_SHARED_POST_NORM, SLOT_ROUTER_NORM, SLOT_EXPERT_NORM, SLOT_EXPERT_POST_NORM,
	SLOT_EXPERT_SCALE, SLOT_TOKEN_GATE, SLOT_TOKEN_OUT, SLOT_TOKEN_NORM,
	FAMILY_SLOTS
};

struct family_tensor {
	const char *name; /* after "blk.N." */
	enum family_dim columns, rows;
	uint32_t needs, lacks; /* bits of enum layer_part: all of these, none of those */
	enum family_slot slot;
	enum family_dim planes; /* third side */
};

/* The tensors of a layer, in the order in which they are used; NULL after the last one. */
const struct family_tensor *family_tensor_at(uint32_t index);
/* True for norms, sinks and biases, which are F32; a matrix may have any supported type. */
bool family_tensor_is_float(const struct family_tensor *tensor);
bool family_tensor_present(const struct family_tensor *tensor, const struct layer_shape *layer);
/* `layer` may be NULL for sides that all layers share. */
uint64_t family_dim_size(enum family_dim dim, const struct model_shape *shape,
			 const struct layer_shape *layer);

/* The tensor by which a file shows that a layer has this part; NULL: none does. */
const char *family_part_tensor(enum layer_part part);

#endif
