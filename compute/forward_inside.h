/* forward_inside.h: what the files of the forward pass share: its buffers, and steps that a mixer
 * or an FFN is made of.
 *
 * A layer is a mixer (mixer_*.c) and an FFN (ffn_*.c), each a row of a table in forward.c. A mixer
 * reads `hidden` and leaves its product in `branch`; an FFN adds that to `hidden`, and then its
 * own; last a layer may look at the token itself (token_input.c). A step's rows are independent.
 * Inside compute only. */
#ifndef COMPUTE_FORWARD_INSIDE_H
#define COMPUTE_FORWARD_INSIDE_H

#include "compute/cpu/matmul.h"
#include "compute/cpu/rows.h"
#include "compute/forward.h"

#define FORWARD_OUTPUT_ROWS 4u /* logits rows of one product */

/* Rows of one sequence at consecutive positions. */
struct forward_span {
	uint32_t row, n_rows;
};

/* A row that goes through an expert. */
struct forward_pair {
	uint32_t row, expert;
};

struct forward {
	const struct model_shape *shape;
	const struct weights *weights;
	const struct kernels *kernels;
	struct pool *pool;
	struct account *account;
	uint64_t bytes;
	void *memory;
	uint32_t rows_max;

	uint32_t rope_width; /* the widest n_rot */
	double *turns;       /* [n_ropes, rope_width / 2] */

	/* the batch */
	const struct work_row *rows; /* [n_rows] */
	uint32_t n_rows, n_spans;
	struct forward_span *spans; /* [rows_max] */
	float *tables;              /* [n_ropes, rows_max, rope_width] */

	/* the layer it is in */
	const struct layer_shape *layer;
	const struct weights_layer *held;
	const float *table; /* [rows_max, rope_width] */
	struct state *state;
	uint32_t state_layer;
	const uint32_t *slots;
	float *hidden;                   /* [n_rows, row_floats]; the stream comes first in a row */
	uint32_t row_floats;             /* see model_row_floats */
	uint8_t *quantised[ROW_FORMATS]; /* [rows_max, or 2 * FORWARD_OUTPUT_ROWS if that is more],
					    widest row; NULL: not in use */
	float *normed;                   /* [rows_max, n_embd] */
	float *branch;                   /* [rows_max, n_embd] */
	float *q;                        /* [rows_max, n_head * head_k] */
	float *k;                        /* [rows_max, n_head_kv * head_k] */
	float *v;                        /* [rows_max, n_head_kv * head_v] */
	float *mixed;                    /* [rows_max, n_head * head_v] */
	float *gate, *up;                /* [rows_max or pairs_max, n_ff] */
	float *logits;                   /* [2 * FORWARD_OUTPUT_ROWS, n_vocab] */
	float *partials;                 /* [n_head_kv, tiles, attention_partial_floats] */
	float *q_gated;                  /* [rows_max, 2 * n_head * head_k] */
	const float *ones;               /* widest v head or channels of a delta net */
	float *token_row;                /* [n_layers * n_token]; head only */

	/* delta nets; q holds what goes into the convolution */
	float *convolved;                          /* [rows_max, channels] */
	float *z;                                  /* [rows_max, n_values * width] */
	float *alpha, *beta;                       /* [rows_max, n_values] */
	const float *zeros;                        /* [channels] */
	const float *q_lengths, *k_lengths;        /* [width] */
	uint32_t *row_before, *row_after, *chains; /* [rows_max] */
	uint32_t n_chains;

	/* experts; a group is the pairs [group_first, group_end), which the buffers hold at once */
	uint32_t pairs_max;             /* of a group; at least rows_max */
	float *shares;                  /* [rows_max]: of the shared expert */
	float *router_logits;           /* [rows_max, n_expert] */
	struct router_choice *choices;  /* [rows_max, n_expert_used] */
	uint32_t *pair_of;              /* [rows_max, n_expert_used]: of each choice */
	struct forward_pair *pairs;     /* [rows_max * n_expert_used], by expert, then row */
	uint32_t *expert_next;          /* [n_expert + 1] */
	uint8_t *gathered[ROW_FORMATS]; /* [pairs_max], widest row; NULL: not in use */
	float *expert_out;              /* [pairs_max, n_embd] */
	float *beside;                  /* [rows_max, n_embd]: of a dense FFN beside the experts */
	uint32_t group_first, group_end;

	uint32_t heads_at_once; /* key-value heads that a piece of attention takes */
	uint32_t split_row, split_first, split_end; /* the row whose tiles are shared out */
};

/* The mixers and FFNs of the table. */
void mixer_attention(struct forward *forward);
void mixer_delta(struct forward *forward);
void ffn_dense(struct forward *forward);
void ffn_experts(struct forward *forward);

/* What the layer makes of the token itself, after the FFN. */
void token_input(struct forward *forward);
/* Before all layers: what each of them is told of the tokens, written into the rows. */
void token_inputs(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
		  float *hidden);

/* Calls fn for pieces of one row each; a single row stays on the leader. */
void forward_each_row(struct forward *forward, pool_fn fn);

/* Quantises a row once for each format that these matrices read. */
void forward_quantise(const struct forward *forward, const float *x, uint32_t width, uint32_t row,
		      const struct matrix *const *matrices, uint32_t n_matrices);

/* out [n_rows, n_out] = the quantised rows by the matrix; done by forward_multiply. */
struct matmul forward_product(const struct forward *forward, const struct matrix *matrix,
			      uint32_t n_rows, float *out);
void forward_multiply(const struct forward *forward, const struct matmul *products,
		      uint32_t n_products);

/* h = h + residual_scale * norm(branch + bias); bias and norm may be NULL */
void forward_add_branch(const struct forward *forward, uint32_t row, const float *bias,
			const float *post_norm);
/* The FFN's branch joins h. */
void forward_end_ffn(const struct forward *forward, uint32_t row);
/* The stream of a row, and all that travels with it. */
float *forward_row(const struct forward *forward, uint32_t row);
/* norm(h), or h where there is no norm. */
const float *forward_norm(const struct forward *forward, uint32_t row, const float *norm);

#endif
