#include "compute/forward.h"

#include "compute/cpu/rope.h"
#include "compute/forward_inside.h"

#include <string.h>

#define SPAN_ROWS 16u /* rows of one sequence that share a pass over its keys */

/* ---- steps of layers ---- */

void forward_each_row(struct forward *forward, pool_fn fn)
{
	if (forward->n_rows == 1)
		fn(forward, 0, 0);
	else
		pool_run(forward->pool, fn, forward, forward->n_rows);
}

static uint8_t *quantised_row(const struct forward *forward, enum row_format format, uint32_t width,
			      uint32_t row)
{
	return forward->quantised[format] + row * row_bytes(format, width);
}

void forward_quantise(const struct forward *forward, const float *x, uint32_t width, uint32_t row,
		      const struct matrix *const *matrices, uint32_t n_matrices)
{
	uint32_t done = 0;
	for (uint32_t i = 0; i < n_matrices; i++) {
		const enum row_format format = row_format_of(matrices[i]->type);
		if (!(done >> format & 1))
			forward->kernels->quantize_row(format, x, width,
						       quantised_row(forward, format, width, row));
		done |= 1u << format;
	}
}

struct matmul forward_product(const struct forward *forward, const struct matrix *matrix,
			      uint32_t n_rows, float *out)
{
	return (struct matmul){
		.type = matrix->type,
		.n_in = matrix->n_in,
		.n_out = matrix->n_out,
		.n_rows = n_rows,
		.weights = matrix->data,
		.rows = forward->quantised[row_format_of(matrix->type)],
		.out = out,
		.out_stride = matrix->n_out,
	};
}

void forward_multiply(const struct forward *forward, const struct matmul *products,
		      uint32_t n_products)
{
	matmul_run(forward->pool, forward->kernels, products, n_products);
}

float *forward_row(const struct forward *forward, uint32_t row)
{
	return forward->hidden + (size_t)row * forward->row_floats;
}

const float *forward_norm(const struct forward *forward, uint32_t row, const float *norm)
{
	const uint32_t n_embd = forward->shape->n_embd;
	const float *h = forward_row(forward, row);
	float *x = forward->normed + (size_t)row * n_embd;
	if (!norm)
		return h;
	forward->kernels->rms_norm(x, h, norm, n_embd, forward->shape->norm_eps);
	return x;
}

void forward_add_branch(const struct forward *forward, uint32_t row, const float *bias,
			const float *post_norm)
{
	const struct kernels *kernels = forward->kernels;
	const struct model_shape *shape = forward->shape;
	const uint32_t n_embd = shape->n_embd;
	float *branch = forward->branch + (size_t)row * n_embd;
	if (bias)
		kernels->add(branch, bias, n_embd);
	if (post_norm)
		kernels->rms_norm(branch, branch, post_norm, n_embd, shape->norm_eps);
	if (shape->residual_scale != 1.0f)
		kernels->scale(branch, shape->residual_scale, n_embd);
	kernels->add(forward_row(forward, row), branch, n_embd);
}

void forward_end_ffn(const struct forward *forward, uint32_t row)
{
	forward_add_branch(forward, row, NULL, forward->held->post_ffn_norm);
}

static void scale_stream(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	forward->kernels->scale(forward_row(forward, row), forward->held->out_scale[0],
				forward->shape->n_embd);
}

/* ---- layers ---- */

void forward_layer(struct forward *forward, uint32_t layer, struct state *state,
		   uint32_t state_layer, const uint32_t *slots, float *hidden)
{
	forward->layer = &forward->shape->layers[layer];
	forward->held = &forward->weights->layers[layer];
	forward->table = forward->tables +
			 (size_t)forward->layer->rope * forward->rows_max * forward->rope_width;
	forward->state = state;
	forward->state_layer = state_layer;
	forward->slots = slots;
	forward->hidden = hidden;
	static void (*const mixers[])(struct forward *) = {
		[MIXER_ATTENTION] = mixer_attention,
		[MIXER_SLIDING] = mixer_attention,
		[MIXER_DELTA] = mixer_delta,
	};
	static void (*const ffns[])(struct forward *) = {
		[FFN_DENSE] = ffn_dense,
		[FFN_EXPERTS] = ffn_experts,
	};
	mixers[forward->layer->mixer](forward);
	ffns[forward->layer->ffn](forward);
	if (forward->layer->parts & LAYER_TOKEN_INPUT)
		token_input(forward);
	if (forward->held->out_scale)
		forward_each_row(forward, scale_stream);
}

/* ---- before and after the layers ---- */

static void fill_tables(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct model_shape *shape = forward->shape;
	const size_t width = forward->rope_width;
	for (uint32_t i = 0; i < shape->n_ropes; i++)
		rope_table(forward->tables + (i * forward->rows_max + row) * width,
			   forward->turns + i * (width / 2), shape->ropes[i].n_rot,
			   shape->ropes[i].magnitude, forward->rows[row].position);
}

void forward_begin(struct forward *forward, const struct work_row *rows, uint32_t n_rows)
{
	forward->rows = rows;
	forward->n_rows = n_rows;
	forward->n_spans = 0;
	for (uint32_t i = 0; i < n_rows; i++) {
		struct forward_span *last =
			&forward->spans[forward->n_spans - (forward->n_spans > 0)];
		if (i > 0 && rows[i].sequence == rows[i - 1].sequence && last->n_rows < SPAN_ROWS)
			last->n_rows++;
		else
			forward->spans[forward->n_spans++] = (struct forward_span){ i, 1 };
	}
	forward_each_row(forward, fill_tables);
}

enum fail_code forward_embed(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			     float *hidden)
{
	const struct model_shape *shape = forward->shape;
	const struct matrix *table = &forward->weights->embedding;
	const size_t row_size = weight_row_bytes(table->type, table->n_in);
	for (uint32_t i = 0; i < n_rows; i++)
		if (rows[i].token >= shape->n_vocab)
			return FAIL_INVALID;
	for (uint32_t i = 0; i < n_rows; i++) {
		float *row = hidden + (size_t)i * forward->row_floats;
		forward->kernels->dequantize_row(
			table->type, table->data + rows[i].token * row_size, shape->n_embd, row);
		if (shape->embedding_scale != 1.0f)
			forward->kernels->scale(row, shape->embedding_scale, shape->n_embd);
		memset(row + shape->n_embd, 0, shape->n_row_kv * sizeof(float));
	}
	if (shape->n_token)
		token_inputs(forward, rows, n_rows, hidden);
	return FAIL_NONE;
}

/* How many rows the output's product has: an int8 row and its rest count as two. */
static uint32_t fine_rows(const struct matrix *matrix, uint32_t n_rows)
{
	return row_format_of(matrix->type) == ROW_F32 ? n_rows : 2 * n_rows;
}

/* x becomes what its int8 row leaves out. */
static void subtract_row(float *x, uint32_t width, const uint8_t *row)
{
	const int8_t *q = (const int8_t *)row;
	const float *scales = (const float *)(const void *)(row + row_scale_offset(width));
	for (uint32_t i = 0; i < width; i++)
		x[i] -= scales[i / ROW_BLOCK] * (float)q[i];
}

/* A fine input: row `row` of `n_rows` is quantised, then, n_rows further on, what that rounding
 * left out; the sum of both products is exact to 15 bits. For the output matrix alone: nothing
 * comes after it that would average its rounding. Overwrites x. An f32 row leaves nothing out. */
static void quantise_fine(const struct forward *forward, float *x, uint32_t row, uint32_t n_rows,
			  const struct matrix *matrix)
{
	const enum row_format format = row_format_of(matrix->type);
	const uint32_t width = matrix->n_in;
	uint8_t *first = quantised_row(forward, format, width, row);
	forward->kernels->quantize_row(format, x, width, first);
	if (format == ROW_F32)
		return;
	subtract_row(x, width, first);
	forward->kernels->quantize_row(format, x, width,
				       quantised_row(forward, format, width, n_rows + row));
}

/* The next wanted rows from `*at` on, at most FORWARD_OUTPUT_ROWS: normed, quantised. */
static uint32_t gather_wanted(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			      const float *hidden, uint32_t *at)
{
	const uint32_t n_embd = forward->shape->n_embd;
	uint32_t wanted[FORWARD_OUTPUT_ROWS], count = 0;
	for (; *at < n_rows && count < FORWARD_OUTPUT_ROWS; ++*at)
		if (rows[*at].want)
			wanted[count++] = *at;
	for (uint32_t i = 0; i < count; i++) {
		forward->kernels->rms_norm(
			forward->normed, hidden + (size_t)wanted[i] * forward->row_floats,
			forward->weights->output_norm, n_embd, forward->shape->norm_eps);
		quantise_fine(forward, forward->normed, i, count, &forward->weights->output);
	}
	return count;
}

/* logits [count, n_vocab] */
static void output_product(struct forward *forward, uint32_t count, float *logits)
{
	const struct matrix *output = &forward->weights->output;
	const size_t values = (size_t)count * output->n_out;
	const uint32_t n_rows = fine_rows(output, count);
	float *out = n_rows > count ? forward->logits : logits;
	const struct matmul all = forward_product(forward, output, n_rows, out);
	forward_multiply(forward, &all, 1);
	if (n_rows == count)
		return;
	memcpy(logits, out, values * sizeof(float));
	for (uint32_t i = 0; i < count; i++)
		forward->kernels->add(logits + (size_t)i * output->n_out,
				      out + values + (size_t)i * output->n_out, output->n_out);
}

/* What stands between the output product and the logits: a scale, a cap. */
static void finish_logits(const struct forward *forward, uint32_t count, float *logits)
{
	const struct model_shape *shape = forward->shape;
	for (uint32_t i = 0; i < count; i++) {
		float *row = logits + (size_t)i * shape->n_vocab;
		if (shape->logit_scale != 1.0f)
			forward->kernels->scale(row, 1.0f / shape->logit_scale, shape->n_vocab);
		if (shape->logit_cap > 0)
			forward->kernels->soft_cap(row, shape->logit_cap, shape->n_vocab);
	}
}

enum fail_code forward_output(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			      const float *hidden, float *logits, const atomic_bool *cancel)
{
	uint32_t at = 0;
	for (;;) {
		if (cancel && atomic_load(cancel))
			return FAIL_CANCELLED;
		const uint32_t count = gather_wanted(forward, rows, n_rows, hidden, &at);
		if (count == 0)
			return FAIL_NONE;
		output_product(forward, count, logits);
		finish_logits(forward, count, logits);
		logits += (size_t)count * forward->shape->n_vocab;
	}
}
