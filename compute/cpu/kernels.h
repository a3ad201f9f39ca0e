/* kernels.h: the arithmetic of a layer, as a table of functions chosen once at start.
 *
 * Correct is defined by the `c` variant (the files *_c.c) and described in compute/numerics.md;
 * every other variant gives the same bits, NaN payloads aside. A result never depends on how many
 * rows are given at once, on which range of outputs a call covers, or on threads.
 *
 * No function here allocates, fails or checks its input: shapes were checked when the model was
 * opened. Every thread that calls them has called kernels_prepare_thread. */
#ifndef COMPUTE_CPU_KERNELS_H
#define COMPUTE_CPU_KERNELS_H

#include "base/fail.h"
#include "compute/kv.h"
#include "compute/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a product reads its activations as. Rows of one format serve every weight type of it, so
 * that q, k and v (or gate and up) share one quantised row.
 *   ROW_F32  f32 as they are; for F32, F16 and BF16 weights
 *   ROW_I8   int8 with one f32 scale for 32 columns; for every other type */
enum row_format { ROW_F32, ROW_I8, ROW_FORMATS };

/* Row buffers start at a multiple of this many bytes; row_bytes is a multiple of it too. */
#define ROW_ALIGN 64u

enum row_format row_format_of(uint32_t tensor_type);  /* of a supported type */
size_t row_bytes(enum row_format format, uint32_t n); /* of one row of n columns */
/* Bytes of one row of `n` weights (a multiple of the type's block) in a GGUF file. */
size_t weight_row_bytes(uint32_t tensor_type, uint32_t n);

/* out[r, o] = sum over c of weights[o, c] * rows[r, c]; see numerics.md for the order.
 *
 * A device of a group may hold the columns of some of the eight segments only: `n_in` then counts
 * those, which are consecutive, and `out` is their part of the sum. Parts of whole subtrees
 * (halves, quarters, eighths) add up, as the tree does, to the bits of the whole product. */
struct matmul {
	uint32_t type;          /* of the weights; see tensor_type_supported */
	uint32_t n_in;          /* columns; a multiple of the type's block */
	uint32_t n_out;         /* rows of the weight matrix */
	uint32_t n_rows;        /* rows of activations, 1 or more */
	const uint8_t *weights; /* [n_out] GGUF rows, one after the other, any alignment */
	const uint8_t *rows;    /* [n_rows] of row_bytes(row_format_of(type), n_in), aligned */
	float *out;             /* [n_rows, out_stride] */
	size_t out_stride;      /* in floats, at least n_out */
	uint32_t n_whole;       /* columns of the whole product; 0: n_in, all are here */
	uint32_t first_segment; /* with n_whole: the one that the columns held here begin with */
};

/* Positions of one attention tile. Tiles begin at multiples of it, so a page of the KV cache holds
 * one tile. */
#define ATTENTION_TILE KV_PAGE_POSITIONS
/* Widths of key and value heads are multiples of 8 up to this. */
#define ATTENTION_WIDTH_MAX 512u

/* Attention of all query heads of `n_kv` key-value heads. Positions from t * ATTENTION_TILE on have
 * the first one's keys at pages[t] + key_offset and its values at pages[t] + value_offset, in the
 * form of kv.h, each next one's head_bytes further; all begin at multiples of 64 bytes. Pages
 * wholly outside of what a row sees are not touched and may be NULL. */
struct attention {
	uint32_t head_k, head_v; /* widths */
	uint32_t n_q;            /* query heads that share a key-value head */
	uint32_t n_kv;
	uint32_t window;    /* positions seen, itself included; 0: all before and itself */
	float scale;        /* q.k is multiplied by it */
	float softcap;      /* then becomes softcap * tanh(q.k / softcap); 0: it does not */
	const float *sinks; /* [n_kv, n_q] scores that weigh in the sum without a value; or NULL */
	enum kv_kind kind;  /* KV_Q8_0: widths are multiples of KV_SCALE_BLOCK */
	const uint8_t *const *pages;
	size_t key_offset, value_offset, head_bytes;
};

/* That of one of the key-value heads. */
struct attention attention_head(const struct attention *attention, uint32_t kv);

/* Floats of the partial result of one tile: head_v values, their maximum and sum, padding; for
 * each query head. */
size_t attention_partial_floats(const struct attention *attention);
/* Tiles [first, end) that the row at `position` sees. */
void attention_tiles(const struct attention *attention, uint32_t position, uint32_t *first,
		     uint32_t *end);

/* One position of one head of a gated delta net; see numerics.md. */
struct delta_step {
	const float *q, *k, *v; /* [width] */
	float *out;             /* [width] */
	float decay, beta;
};

struct kernels {
	const char *name; /* "c", "avx2", "avxvnni", "avx512", "neon", "i8mm" */

	/* `x` [n] f32, any alignment, to one row of the format. */
	void (*quantize_row)(enum row_format format, const float *x, uint32_t n, void *row);
	/* One row of `n` weights to f32: embedding lookup. */
	void (*dequantize_row)(uint32_t type, const uint8_t *weights, uint32_t n, float *out);

	/* Outputs [first, end) of all rows. Fastest when first and end are multiples of
	 * MATMUL_ROWS (matmul.h). Several calls for one product may run at the same time. */
	void (*matmul)(const struct matmul *product, uint32_t first, uint32_t end);

	/* out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]. out may be x. */
	void (*rms_norm)(float *out, const float *x, const float *weight, uint32_t n, float eps);
	/* Turns the first n_rot values of each head, in place. heads [n_heads, width] one after
	 * the other; table [n_rot] from rope_table. */
	void (*rope)(float *heads, uint32_t n_heads, uint32_t width, uint32_t n_rot,
		     enum rope_pairing pairing, const float *table);

	/* Whole attention of `n_rows` rows at consecutive positions of one sequence, from
	 * `position` on. q[r * q_stride + h * head_k + i], h < n_kv * n_q; out likewise with
	 * head_v. Of few rows a page's heads are met one after the other, as they lie in it. */
	void (*attention_rows)(const struct attention *attention, const float *q, size_t q_stride,
			       uint32_t n_rows, uint32_t position, float *out, size_t out_stride);
	/* The same of one key-value head in two steps, for one row over a long context on many
	 * threads: each tile that the row sees on its own, then all of them joined in rising order.
	 * Same bits. */
	void (*attention_tile)(const struct attention *attention, const float *q, uint32_t position,
			       uint32_t tile, float *partial);
	/* partials [n_tiles, attention_partial_floats]; out [n_q, head_v]. */
	void (*attention_join)(const struct attention *attention, const float *partials,
			       uint32_t n_tiles, float *out);

	/* gate[i] = silu(gate[i]) * up[i], or gelu (tanh form); clamped: with g = min(gate, 7) and
	 * u = up within +-7, g / (1 + exp(-1.702 g)) * (u + 1); sigmoid: up / (1 + exp(-gate)). */
	void (*activate)(enum activation_kind kind, float *gate, const float *up, uint32_t n);
	void (*add)(float *x, const float *y, uint32_t n);                      /* x += y */
	void (*add_scaled)(float *x, const float *y, float factor, uint32_t n); /* x += factor y */
	void (*scale)(float *x, float factor, uint32_t n);                      /* x *= factor */
	void (*soft_cap)(float *x, float cap, uint32_t n); /* x = cap * tanh(x / cap) */
	/* A head's matrix s [width, width] through `n` positions, one or more, that follow one
	 * another. `before`: what it was, s itself or elsewhere; NULL: zeros. */
	void (*delta_steps)(const struct delta_step *steps, uint32_t n, uint32_t width,
			    const float *before, float *s);
	/* out[i] = sum over t of inputs[t][i] * weights[i, t], t rising; i < n, t < taps. */
	void (*convolve)(float *out, const float *const *inputs, uint32_t taps,
			 const float *weights, uint32_t n);
	/* Nearest even; what the KV cache holds. */
	void (*to_f16)(uint16_t *out, const float *x, uint32_t n);
};

/* `force`: a variant's name, or NULL for the fastest that this machine has. NULL and a
 * sentence when the machine lacks what is forced, or lacks fused multiply-add (no exact plan is
 * possible then). The table is static; the choice may be made any number of times. */
const struct kernels *kernels_select(const char *force, struct fail *fail);

/* Puts the calling thread's floating point in the contract's state: nearest even, denormals kept
 * (no FTZ, no DAZ), no traps. Pool workers have done so; the leader calls it once. */
void kernels_prepare_thread(void);

#endif
