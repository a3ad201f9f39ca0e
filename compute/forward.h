/* forward.h: the forward pass of one layer over many rows, in the order of the papers.
 *
 * Llama (Touvron et al. 2023) and Gemma 3 (Gemma Team 2025) differ by rows of model_shape only:
 * norms, scales, RoPE bases, windows, activation. All rows of a batch pass a layer together; they
 * may belong to several sequences. Each row's values depend on its own sequence alone, whatever
 * else is in the batch. Nothing is allocated after forward_create.
 *
 * Used by the leader thread alone. */
#ifndef COMPUTE_FORWARD_H
#define COMPUTE_FORWARD_H

#include "base/account.h"
#include "base/fail.h"
#include "compute/backend.h"
#include "compute/cpu/kernels.h"
#include "compute/cpu/pool.h"
#include "compute/state.h"
#include "compute/weights.h"

#include <stdint.h>

struct forward_config {
	const struct model *model;     /* must outlive the forward */
	const struct weights *weights; /* likewise */
	const struct kernels *kernels;
	struct pool *pool;
	uint32_t rows_max;
	uint32_t positions; /* longest sequence */
	bool head;          /* forward_output will be asked for */
};

struct forward;

/* Charges the account (ACCOUNT_BUFFERS) with forward_bytes. Gives. */
struct forward *forward_create(const struct forward_config *config, struct account *account,
			       struct fail *fail);
void forward_destroy(struct forward *forward); /* accepts NULL */
/* What forward_create would charge; model, rows_max, positions and head are looked at. */
uint64_t forward_bytes(const struct forward_config *config);

/* hidden[r] = embedding of rows[r].token, scaled. FAIL_INVALID: a token outside the vocabulary. */
enum fail_code forward_embed(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			     float *hidden);

/* Begins a batch: what all its layers share (angles, which rows follow each other). */
void forward_begin(struct forward *forward, const struct work_row *rows, uint32_t n_rows);

/* The batch through one layer, in place; keys and values go to the prepared rows of `state`, of
 * whose range `layer` is number `state_layer`. */
void forward_layer(struct forward *forward, uint32_t layer, struct state *state,
		   uint32_t state_layer, const uint32_t *slots, float *hidden);

/* logits [rows that want, n_vocab]; FAIL_CANCELLED when `cancel` (may be NULL) was set meanwhile.
 */
enum fail_code forward_output(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			      const float *hidden, float *logits, const atomic_bool *cancel);

#endif
