/* model.h: what kind of model a GGUF file holds, its shape, and where its units lie.
 *
 * A family is a row of the table in family.c; a layer is a mixer kind plus an FFN kind, not a copy
 * of the forward pass. Opening reads metadata only; weights are mapped by a backend. */
#ifndef COMPUTE_MODEL_H
#define COMPUTE_MODEL_H

#include "base/fail.h"
#include "compute/gguf.h"

#include <stdbool.h>
#include <stdint.h>

#define MODEL_LAYERS_LIMIT 512
#define MODEL_ROPES_MAX    2 /* of layers that see all positions, of layers with a window */
#define UNIT_TENSORS_MAX   56
#define MODEL_ROW_LIMIT    32768 /* floats of a row on its way through the layers */
#define EXPERTS_LIMIT      1024
#define EXPERTS_USED_LIMIT 64
#define DELTA_TAPS_LIMIT   16

enum mixer_kind { MIXER_ATTENTION, MIXER_SLIDING, MIXER_DELTA /* see mixer_delta.c */ };
enum ffn_kind { FFN_DENSE, FFN_EXPERTS };
/* What of its logit an expert counts: a softmax over all, a sigmoid, a softmax over the chosen. */
enum expert_gating { GATING_SOFTMAX, GATING_SIGMOID, GATING_CHOSEN };
enum activation_kind {
	ACTIVATION_SILU,
	ACTIVATION_GELU_TANH,
	ACTIVATION_CLAMPED, /* gpt-oss */
	ACTIVATION_SIGMOID
};
enum rope_pairing { ROPE_ADJACENT /* (2i, 2i+1) */, ROPE_HALVES /* (i, i + n/2) */ };

/* What layers may have or not, as bits. */
enum layer_part {
	LAYER_PRE_NORM = 1 << 0,     /* RMS norm before the mixer and before the FFN */
	LAYER_POST_NORM = 1 << 1,    /* RMS norm after the mixer and after the FFN */
	LAYER_QK_NORM = 1 << 2,      /* RMS norm of each q and k head before RoPE */
	LAYER_QK_NORM_WIDE = 1 << 3, /* RMS norm of all q heads, of all k heads, before RoPE */
	LAYER_QKV_BIAS = 1 << 4,
	LAYER_OUT_BIAS = 1 << 5,        /* on what attention adds to the stream */
	LAYER_FUSED_QKV = 1 << 6,       /* one tensor holds the rows of q, k and v */
	LAYER_FUSED_GATE_UP = 1 << 7,   /* likewise of gate and up */
	LAYER_EXPERTS = 1 << 8,         /* the FFN is a router and experts */
	LAYER_EXPERT_BIAS = 1 << 9,     /* on the router and all that an expert computes */
	LAYER_SINKS = 1 << 10,          /* a score for each head that weighs without a value */
	LAYER_FFN_NORM_ALIAS = 1 << 11, /* the norm before the FFN has another's name in the file */
	LAYER_V_NORM = 1 << 12,         /* RMS norm of each v head, without weights */
	LAYER_V_IS_K = 1 << 13,         /* no matrix for v: k before its norm is v */
	LAYER_OUT_SCALE = 1 << 14,      /* the stream is multiplied by a number after the layer */
	LAYER_Q_GATE = 1 << 15,         /* beside each q head lies a gate for what it mixes */
	LAYER_DELTA = 1 << 16,          /* the mixer is MIXER_DELTA */
	LAYER_SHARED_EXPERT = 1 << 17,  /* one more expert that every row passes, with a gate */
	LAYER_SHARED_KV = 1 << 18,      /* it reads the keys and values of an earlier layer */
	LAYER_TOKEN_INPUT = 1 << 19,    /* after the FFN it looks at the token itself once more */
	LAYER_DENSE_BESIDE = 1 << 20,   /* a dense FFN beside the experts, each with its norms */
	LAYER_EXPERT_SCALE =
		1 << 21, /* what an expert gives is multiplied by a number of its own */
	LAYER_FUSED_EXPERTS = 1 << 22, /* one tensor holds gate and up of the experts */
};

/* The angle of pair i at a position: position * turn, where turn = base^(-2i/n_rot), divided by the
 * pair's factor where the model has factors, and stretched: `scale` alone is linear; YaRN (Peng et
 * al. 2023) leaves pairs that turn often as they are, multiplies those that turn seldom by scale,
 * and mixes between. */
struct rope_shape {
	uint32_t n_rot; /* even; the first values of a head turn */
	float base, scale;
	float yarn;        /* how much of YaRN: 0 (linear only) to 1 */
	float beta_fast;   /* turns within `original` positions where mixing begins */
	float beta_slow;   /* and where it ends */
	uint32_t original; /* positions that the model was first trained for */
	float magnitude;   /* cosines and sines are multiplied by it */
	bool factors;      /* divided by a tensor of factors, see struct weights */
};

/* The gated delta net: key and value heads of one width; a value head h has key head h % n_keys. */
struct delta_shape {
	uint32_t n_keys, n_values, width;
	uint32_t taps; /* of the convolution before it */
};

struct layer_shape {
	enum mixer_kind mixer;
	enum ffn_kind ffn;
	uint32_t parts; /* bits of enum layer_part */
	uint32_t n_head, n_head_kv;
	uint32_t head_k, head_v; /* width of a key and a value head */
	uint32_t n_ff;           /* of one expert, where there are experts */
	uint32_t n_ff_shared;    /* of the FFN that every row passes beside them; 0: none */
	uint32_t kv_of;  /* whose keys and values it reads: its own number, or an earlier one */
	uint32_t kv_at;  /* where those lie among the keys and values of a row, if shared */
	bool kv_shared;  /* later layers read those of this one */
	uint32_t window; /* sliding: positions seen, itself included; else 0 */
	uint32_t rope;   /* of model_shape.ropes */
};

struct model_shape {
	char family[32];
	uint32_t n_layers, n_embd, n_vocab, context_max;
	uint32_t n_spare; /* layers behind them that guess further tokens: nobody holds them */
	enum rope_pairing pairing;
	enum activation_kind activation;
	float norm_eps;
	float embedding_scale; /* embeddings are multiplied by it (gemma: sqrt(n_embd)) */
	float attention_scale; /* q.k is multiplied by it */
	float residual_scale;  /* what mixer and FFN give is multiplied by it */
	float logit_scale;     /* logits are divided by it */
	float attention_cap;   /* q.k becomes cap * tanh(q.k / cap); 0: no cap */
	float logit_cap;       /* likewise logits */
	/* queries at position p are multiplied by 1 + temperature * ln(1 + floor(p / original)),
	 * with `original` of the rope; 0: never */
	float temperature;
	struct delta_shape delta;         /* zero where no layer has one */
	uint32_t n_expert, n_expert_used; /* 0: none */
	enum expert_gating gating;
	bool experts_renormalised; /* the chosen ones' weights are divided by their sum */
	float expert_scale;        /* then multiplied by it */
	bool tied;                 /* output matrix = embedding table */
	uint32_t n_token;          /* floats that each layer is told of the token itself; 0: none */
	uint32_t n_row_kv; /* floats of keys and values that several layers share; 0: none */
	uint32_t n_ropes;
	struct rope_shape ropes[MODEL_ROPES_MAX];
	struct layer_shape layers[MODEL_LAYERS_LIMIT];
};

enum unit_kind { UNIT_LAYER, UNIT_EMBEDDING, UNIT_OUTPUT };

struct model; /* immutable after open; may be shared by threads */

/* Checks family, keys, tensor names, types and exact shapes. Gives. */
struct model *model_open(const char *path, struct fail *fail);
/* Same checks, from metadata bytes only (borrowed until close): no backend can load from it. */
struct model *model_parse(const void *metadata, size_t size, uint64_t file_size, struct fail *fail);
void model_close(struct model *model); /* takes; accepts NULL */

const struct model_shape *model_shape(const struct model *model);
const struct gguf *model_gguf(const struct model *model);
const char *model_path(const struct model *model); /* "" when parsed from memory */

/* The tensors of a unit (`layer` is ignored but for UNIT_LAYER). UNIT_EMBEDDING begins with the
 * table of token embeddings. UNIT_OUTPUT holds the output norm,
 * the output matrix (absent when tied) and the RoPE factors where the file has them; a device that
 * computes the output of a tied model needs UNIT_EMBEDDING too. RoPE factors, whose names do not
 * begin with "blk.", belong to every layer unit as well. Gives their number. */
uint32_t model_unit_tensors(const struct model *model, enum unit_kind kind, uint32_t layer,
			    const struct gguf_tensor *tensors[UNIT_TENSORS_MAX]);

/* A row on its way through the layers: the stream (n_embd), the keys and values that later layers
 * share (n_row_kv, from the layer that makes them on, before it zeros), then what each layer is
 * told of its token (n_token each, the last layer's first). So a part of the layers needs nothing
 * of another one's but the row, and what is behind the needed floats need not travel. */
uint32_t model_row_floats(const struct model_shape *shape);
/* How many of them, from the first, the layers from `layer` on (n_layers: the output) need. */
uint32_t model_row_needed(const struct model_shape *shape, uint32_t layer);
/* Where in a row a layer finds what it is told of the token. */
uint32_t model_row_token(const struct model_shape *shape, uint32_t layer);

/* Bytes of K and V, F16, per position of this layer; 0 of recurrent ones. Layers that share count
 * as the others do: each device that holds some of them keeps a copy. */
uint32_t model_kv_bytes(const struct model *model, uint32_t layer);
/* Floats that a recurrent layer keeps of a sequence, whatever its length: the last inputs of its
 * convolution, then its heads' matrices; 0 for other layers. */
uint32_t model_recurrent_floats(const struct model_shape *shape, uint32_t layer);

#endif
