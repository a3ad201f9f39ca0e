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
#define UNIT_TENSORS_MAX 32

enum mixer_kind { MIXER_ATTENTION, MIXER_SLIDING };
enum ffn_kind { FFN_DENSE };
enum activation_kind { ACTIVATION_SILU, ACTIVATION_GELU_TANH };
enum rope_pairing { ROPE_ADJACENT /* (2i, 2i+1) */, ROPE_HALVES /* (i, i + n/2) */ };

struct layer_shape {
	enum mixer_kind mixer;
	enum ffn_kind ffn;
	uint32_t n_head, n_head_kv;
	uint32_t n_ff;
	uint32_t window; /* sliding: positions seen, itself included; else 0 */
	float rope_base, rope_scale; /* angle = position * rope_scale * base^(-2i/n_rot) */
};

struct model_shape {
	char family[32];
	uint32_t n_layers, n_embd, n_vocab, context_max;
	uint32_t head_k, head_v; /* width of a key and a value head */
	uint32_t n_rot;
	enum rope_pairing pairing;
	enum activation_kind activation;
	float norm_eps;
	float embedding_scale; /* embeddings are multiplied by it (gemma: sqrt(n_embd)) */
	float attention_scale; /* q.k is multiplied by it */
	bool qk_norm;          /* RMS norm of each q and k head before RoPE */
	bool post_norm;        /* RMS norm after attention and after the FFN */
	bool qkv_bias;
	bool tied;             /* output matrix = embedding table */
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

/* The tensors of a unit (`layer` is ignored but for UNIT_LAYER). UNIT_OUTPUT holds the output norm,
 * the output matrix (absent when tied) and rope_freqs where the file has one; a device that computes
 * the output of a tied model needs UNIT_EMBEDDING too. `rope_freqs` belongs to every layer unit
 * as well. Gives their number. */
uint32_t model_unit_tensors(const struct model *model, enum unit_kind kind, uint32_t layer,
			    const struct gguf_tensor *tensors[UNIT_TENSORS_MAX]);

/* Bytes of K and V, F16, per position of this layer. */
uint32_t model_kv_bytes(const struct model *model, uint32_t layer);

#endif
