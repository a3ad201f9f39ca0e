/* family.h: what tells one family of models from another: a row of a table.
 *
 * To add a family whose layers are made of the known parts, add its row in family.c; a new part
 * adds a row to the table of layer tensors and a field to model_shape.
 * Source: the GGUF tensor names and the families' published configurations. */
#ifndef COMPUTE_FAMILY_H
#define COMPUTE_FAMILY_H

#include "compute/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct family {
	const char *name; /* general.architecture */
	enum rope_pairing pairing;
	enum activation_kind activation;
	bool qk_norm;
	bool post_norm;
	bool may_have_qkv_bias;
	bool may_have_rope_freqs;
	bool scaled_embedding;     /* embeddings x sqrt(n_embd) */
	uint32_t sliding_period;   /* every n-th layer sees all positions, the others a window;
	                              0: the family has no windows */
	float sliding_rope_base;   /* of layers with a window, which are never scaled */
	uint32_t wide_scale_layers; /* a model with so many layers scales q.k by
	                               1/sqrt(n_embd / n_head) instead of 1/sqrt(head_k); 0: none */
};

const struct family *family_find(const char *name, size_t size); /* or NULL */
const struct family *family_at(uint32_t index);                  /* NULL after the last one */

/* Sizes a tensor's sides may have. */
enum family_dim {
	DIM_ONE, DIM_EMBD, DIM_VOCAB, DIM_Q, DIM_K, DIM_V, DIM_HEADS /* n_head * head_v */, DIM_FF,
	DIM_HEAD_K, DIM_HALF_ROT
};

/* Which models have a tensor. */
enum family_when { WHEN_ALWAYS, WHEN_QK_NORM, WHEN_POST_NORM, WHEN_QKV_BIAS };

/* A vector (rows = DIM_ONE) is F32; a matrix may have any supported type. */
struct family_tensor {
	const char *name; /* after "blk.N." */
	enum family_dim columns, rows;
	enum family_when when;
};

/* The tensors of a layer, in the order in which they are used; NULL after the last one. */
const struct family_tensor *family_tensor_at(uint32_t index);
bool family_tensor_present(const struct family_tensor *tensor, const struct model_shape *shape);
uint64_t family_dim_size(enum family_dim dim, const struct model_shape *shape,
			 const struct layer_shape *layer);

#endif
