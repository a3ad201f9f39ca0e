/* weights.h: the tensors of the units held here, mapped read-only from the model's GGUF file.
 *
 * Only the byte ranges of these units are read and mapped, so the file may be a sparse partial copy
 * whose other tensors are holes; neighbours in the same large page of memory (base/mapping.h) may be
 * read with them. Everything is brought into memory at once by a call that can fail: a disk error
 * or a file that was cut short becomes a sentence. What remains: a file that another program
 * shortens while it is mapped raises SIGBUS at the next access. The store's files are the daemon's
 * own and never written in place; for a file that a person lends (`model add --in-place`) this risk
 * stays, as in every program that maps files. */
#ifndef COMPUTE_WEIGHTS_H
#define COMPUTE_WEIGHTS_H

#include "base/account.h"
#include "base/fail.h"
#include "compute/backend.h"
#include "compute/model.h"

#include <stdint.h>

/* [n_out, n_in] of a GGUF type; data NULL where the model has none. Of experts the first; the next
 * one's begins `plane` rows further on. */
struct matrix {
	uint32_t type, n_in, n_out, plane;
	const uint8_t *data;
};

/* F32 vectors are NULL where the model has none. */
struct weights_layer {
	const float *attn_norm, *q_norm, *k_norm, *post_attn_norm, *ffn_norm, *post_ffn_norm;
	const float *q_bias, *k_bias, *v_bias, *out_bias;
	const float *out_scale;   /* one number */
	/* of a delta net: [n_values], [n_values], [width], [channels, taps] */
	const float *decay, *dt_bias, *delta_norm, *conv;
	const float *sinks;       /* [n_head] */
	const float *router_bias; /* [n_expert] */
	const float *gate_bias, *up_bias, *down_bias; /* [n_expert, n_ff or n_embd] */
	struct matrix q, k, v, attn_out, router;
	struct matrix shared_gate, shared_up, shared_down;
	const float *shared_share; /* [n_embd]: sigmoid of its product with a row weighs the expert */
	/* of a dense FFN beside experts, which is the shared one: norms before the router and the
	 * experts, after either of both */
	const float *router_norm, *expert_norm, *expert_post_norm, *shared_post_norm;
	const float *expert_scale; /* [n_expert] */
	struct matrix token_gate, token_out; /* from the stream, and back to it */
	const float *token_norm;
	struct matrix z, alpha, beta; /* of a delta net, whose q makes q, k and v */
	/* Parts of fused tensors are views. Of experts the first; the others follow it. */
	struct matrix gate, up, down;
};

struct weights {
	struct weights_layer *layers;    /* [n_layers of the model]; empty where not held here */
	struct matrix embedding, output; /* head only; the same when tied */
	const float *output_norm;        /* head only */
	/* head only, where layers are told of the token: a row for each of [n_layers * n_token],
	 * a matrix from the embedding, and a norm of what it gives each layer */
	struct matrix token_table, token_projection;
	const float *token_norm;
	const float *rope_freqs;         /* [n_rot / 2], or NULL */
	/* [n_rot / 2], or NULL: for contexts beyond the rope's `original` positions, and for others
	 * (LongRoPE, Ding et al. 2024) */
	const float *rope_long, *rope_short;
	struct weights_map *maps;
	uint32_t n_maps;
	struct account *account;
	uint64_t bytes; /* charged */
};

/* Charges the account (ACCOUNT_WEIGHTS), reads, maps. `config` gives ranges, head, progress; its
 * ranges were checked. The model must outlive it. Gives. */
struct weights *weights_create(const struct model *model, const struct slice_config *config,
			       struct account *account, struct fail *fail);
void weights_destroy(struct weights *weights); /* accepts NULL */
uint64_t weights_bytes(const struct model *model, const struct slice_config *config);
uint64_t weights_large(const struct weights *weights); /* mapping_large of all maps */

#endif
