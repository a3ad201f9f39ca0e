#include "compute/forward_inside.h"

#include <math.h>

/* What layers are told of the token itself (Gemma 3n and 4: "per-layer embeddings"): a vector for
 * each layer, from a table and from the token's embedding. The head computes them all, since it has
 * both; they travel in the rows, and each layer finds its own there. */

/* ---- before all layers ---- */

/* The table's row of a token, times sqrt(n_token). */
static void look_up(const struct forward *forward, uint32_t token, float *out)
{
	const struct matrix *table = &forward->weights->token_table;
	const size_t row_size = weight_row_bytes(table->type, table->n_in);
	forward->kernels->dequantize_row(table->type, table->data + token * row_size, table->n_in,
					 out);
	forward->kernels->scale(out, (float)sqrt(forward->shape->n_token), table->n_in);
}

/* x becomes (norm(x / sqrt(n_embd)) + looked up) / sqrt(2). */
static void join(const struct forward *forward, float *x, const float *looked_up)
{
	const struct kernels *kernels = forward->kernels;
	const struct model_shape *shape = forward->shape;
	const uint32_t n = shape->n_token;
	kernels->scale(x, (float)(1 / sqrt(shape->n_embd)), n);
	kernels->rms_norm(x, x, forward->weights->token_norm, n, shape->norm_eps);
	kernels->add(x, looked_up, n);
	kernels->scale(x, 0x1.6a09e6p-1f, n);
}

static void swap(float *a, float *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const float kept = a[i];
		a[i] = b[i];
		b[i] = kept;
	}
}

/* The product gives the layers in their order; in a row the last one's comes first. */
static void turn_round(const struct model_shape *shape, float *all)
{
	const size_t n = shape->n_token;
	for (uint32_t i = 0; i < shape->n_layers / 2; i++)
		swap(all + i * n, all + (shape->n_layers - 1 - i) * n, shape->n_token);
}

static void quantise_embedding(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *const readers[] = { &forward->weights->token_projection };
	forward_quantise(forward, forward_row(forward, row), forward->shape->n_embd, row, readers,
			 1);
}

void token_inputs(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
		  float *hidden)
{
	const struct model_shape *shape = forward->shape;
	const uint32_t first = shape->n_embd + shape->n_row_kv;
	forward->hidden = hidden;
	forward->n_rows = n_rows;
	forward_each_row(forward, quantise_embedding);
	struct matmul product = forward_product(forward, &forward->weights->token_projection,
						n_rows, hidden + first);
	product.out_stride = forward->row_floats;
	forward_multiply(forward, &product, 1);
	for (uint32_t i = 0; i < n_rows; i++) {
		float *all = forward_row(forward, i) + first;
		look_up(forward, rows[i].token, forward->token_row);
		for (uint32_t j = 0; j < shape->n_layers; j++)
			join(forward, all + (size_t)j * shape->n_token,
			     forward->token_row + (size_t)j * shape->n_token);
		turn_round(shape, all);
	}
}

/* ---- in a layer ---- */

static void token_stream(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *const readers[] = { &forward->held->token_gate };
	forward_quantise(forward, forward_row(forward, row), forward->shape->n_embd, row, readers,
			 1);
}

/* g = act(gate) * what the layer is told */
static void token_gate(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct model_shape *shape = forward->shape;
	const struct matrix *const readers[] = { &forward->held->token_out };
	const uint32_t layer = (uint32_t)(forward->layer - shape->layers);
	float *gate = forward->gate + (size_t)row * shape->n_token;
	forward->kernels->activate(shape->activation, gate,
				   forward_row(forward, row) + model_row_token(shape, layer),
				   shape->n_token);
	forward_quantise(forward, gate, shape->n_token, row, readers, 1);
}

static void token_join(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	forward_add_branch(forward, row, NULL, forward->held->token_norm);
}

void token_input(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	forward_each_row(forward, token_stream);
	const struct matmul gate =
		forward_product(forward, &held->token_gate, forward->n_rows, forward->gate);
	forward_multiply(forward, &gate, 1);
	forward_each_row(forward, token_gate);
	const struct matmul out =
		forward_product(forward, &held->token_out, forward->n_rows, forward->branch);
	forward_multiply(forward, &out, 1);
	forward_each_row(forward, token_join);
}
