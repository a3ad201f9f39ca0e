#include "compute/cpu/maths.h"
#include "compute/forward_inside.h"
#include "compute/router.h"

#include <math.h>
#include <string.h>

/* A row goes through few experts of many. All rows of a batch that go through one expert form one
 * product with it, so that a prompt reads each expert once. Pairs of row and expert lie in the
 * order of experts; as many experts at a time as fit the buffers form a group. A row adds its
 * experts up in rising order, whatever the groups are. */

/* Gemma 4 has a dense FFN beside the experts instead: it is the shared expert, but the stream meets
 * it, the experts and the router through norms of their own, and both results are normed before
 * they are added. */

static bool is_beside(const struct forward *forward)
{
	return forward->layer->parts & LAYER_DENSE_BESIDE;
}

/* The matrix of one row that says how much the shared expert counts. */
static struct matrix share_of(const struct forward *forward)
{
	return (struct matrix){ .type = TENSOR_F32,
				.n_in = forward->shape->n_embd,
				.n_out = 1,
				.data = (const uint8_t *)forward->held->shared_share };
}

static void experts_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const uint32_t n_embd = forward->shape->n_embd;
	const struct matrix share = share_of(forward);
	const struct matrix *const readers[] = { &held->router,      &held->gate,      &held->up,
						 &held->shared_gate, &held->shared_up, &share };
	const uint32_t n_readers = held->shared_share ? 6 : 3;
	forward_add_branch(forward, row, held->out_bias, held->post_attn_norm);
	forward_quantise(forward, forward_norm(forward, row, held->ffn_norm), n_embd, row, readers,
			 n_readers);
	memset(forward->branch + (size_t)row * n_embd, 0, n_embd * sizeof(float));
}

/* The same where a dense FFN stands beside, which comes first. */
static void dense_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const struct matrix *const readers[] = { &held->shared_gate, &held->shared_up };
	forward_add_branch(forward, row, held->out_bias, held->post_attn_norm);
	forward_quantise(forward, forward_norm(forward, row, held->ffn_norm),
			 forward->shape->n_embd, row, readers, 2);
}

/* norm(h) / sqrt(n_embd), ready for the router */
static void router_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t n_embd = forward->shape->n_embd;
	const struct matrix *const readers[] = { &forward->held->router };
	float *x = forward->normed + (size_t)row * n_embd;
	forward_norm(forward, row, forward->held->router_norm);
	forward->kernels->scale(x, (float)(1 / sqrt(n_embd)), n_embd);
	forward_quantise(forward, x, n_embd, row, readers, 1);
}

/* After the router: its input had the same place. */
static void beside_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const uint32_t n_embd = forward->shape->n_embd;
	const struct matrix *const readers[] = { &held->gate, &held->up };
	forward_quantise(forward, forward_norm(forward, row, held->expert_norm), n_embd, row,
			 readers, 2);
	memset(forward->branch + (size_t)row * n_embd, 0, n_embd * sizeof(float));
}

static void experts_choose(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct model_shape *shape = forward->shape;
	float *logits = forward->router_logits + (size_t)row * shape->n_expert;
	if (forward->held->router_bias)
		forward->kernels->add(logits, forward->held->router_bias, shape->n_expert);
	router_choose(shape, logits, forward->choices + (size_t)row * shape->n_expert_used);
}

/* Sorts the pairs of row and expert by expert, then row. */
static void arrange(struct forward *forward)
{
	const struct model_shape *shape = forward->shape;
	const uint32_t n_pairs = forward->n_rows * shape->n_expert_used;
	uint32_t *next = forward->expert_next;
	memset(next, 0, (shape->n_expert + 1) * sizeof(*next));
	for (uint32_t i = 0; i < n_pairs; i++)
		next[forward->choices[i].expert + 1]++;
	for (uint32_t i = 0; i < shape->n_expert; i++)
		next[i + 1] += next[i];
	for (uint32_t i = 0; i < n_pairs; i++) {
		const uint32_t expert = forward->choices[i].expert, pair = next[expert]++;
		forward->pairs[pair] = (struct forward_pair){ i / shape->n_expert_used, expert };
		forward->pair_of[i] = pair;
	}
}

static uint32_t end_of_expert(const struct forward *forward, uint32_t pair)
{
	const uint32_t n_pairs = forward->n_rows * forward->shape->n_expert_used;
	const uint32_t expert = forward->pairs[pair].expert;
	while (pair < n_pairs && forward->pairs[pair].expert == expert)
		pair++;
	return pair;
}

static uint32_t end_of_group(const struct forward *forward, uint32_t first)
{
	const uint32_t n_pairs = forward->n_rows * forward->shape->n_expert_used;
	uint32_t end = first;
	while (end < n_pairs) {
		const uint32_t next = end_of_expert(forward, end);
		if (next - first > forward->pairs_max)
			break;
		end = next;
	}
	return end;
}

/* The rows of a group's pairs, one after the other. */
static void experts_gather(void *context, uint32_t index, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const uint32_t row = forward->pairs[forward->group_first + index].row;
	const enum row_format formats[] = { row_format_of(held->gate.type),
					    row_format_of(held->up.type) };
	for (uint32_t i = 0; i < 1u + (formats[0] != formats[1]); i++) {
		const size_t bytes = row_bytes(formats[i], held->gate.n_in);
		memcpy(forward->gathered[formats[i]] + index * bytes,
		       forward->quantised[formats[i]] + row * bytes, bytes);
	}
}

/* g = act(gate + bias) * (up + bias), ready for down */
static void experts_gate(void *context, uint32_t index, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const struct kernels *kernels = forward->kernels;
	const uint32_t n_ff = held->down.n_in;
	const size_t expert = forward->pairs[forward->group_first + index].expert;
	const enum row_format format = row_format_of(held->down.type);
	float *gate = forward->gate + (size_t)index * n_ff;
	float *up = forward->up + (size_t)index * n_ff;
	if (held->gate_bias) {
		kernels->add(gate, held->gate_bias + expert * n_ff, n_ff);
		kernels->add(up, held->up_bias + expert * n_ff, n_ff);
	}
	kernels->activate(forward->shape->activation, gate, up, n_ff);
	kernels->quantize_row(format, gate, n_ff,
			      forward->gathered[format] + index * row_bytes(format, n_ff));
}

/* Adds up what the group's experts gave a row. */
static void experts_collect(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct model_shape *shape = forward->shape;
	const struct kernels *kernels = forward->kernels;
	const float *bias = forward->held->down_bias;
	const size_t n_embd = shape->n_embd;
	const uint32_t first = row * shape->n_expert_used;
	for (uint32_t i = first; i < first + shape->n_expert_used; i++) {
		const struct router_choice *choice = &forward->choices[i];
		const uint32_t pair = forward->pair_of[i];
		if (pair < forward->group_first || pair >= forward->group_end)
			continue;
		float *out = forward->expert_out + (pair - forward->group_first) * n_embd;
		if (forward->held->expert_scale)
			kernels->scale(out, forward->held->expert_scale[choice->expert],
				       shape->n_embd);
		if (bias)
			kernels->add(out, bias + choice->expert * n_embd, shape->n_embd);
		kernels->add_scaled(forward->branch + row * n_embd, out, choice->weight,
				    shape->n_embd);
	}
}

/* out[pairs of an expert] = their gathered rows by its part of the tensor */
static struct matmul expert_product(const struct forward *forward, const struct matrix *matrix,
				    uint32_t pair, uint32_t end, float *out)
{
	const size_t index = pair - forward->group_first;
	const enum row_format format = row_format_of(matrix->type);
	struct matmul product =
		forward_product(forward, matrix, end - pair, out + index * matrix->n_out);
	product.weights += forward->pairs[pair].expert * (size_t)matrix->plane *
			   weight_row_bytes(matrix->type, matrix->n_in);
	product.rows = forward->gathered[format] + index * row_bytes(format, matrix->n_in);
	return product;
}

/* Every expert of the group through one or two of its matrices. */
static void multiply_group(struct forward *forward, const struct matrix *const *matrices,
			   float *const *outs, uint32_t n_matrices)
{
	struct matmul products[MATMUL_MAX];
	uint32_t count = 0;
	for (uint32_t pair = forward->group_first; pair < forward->group_end;) {
		const uint32_t end = end_of_expert(forward, pair);
		for (uint32_t i = 0; i < n_matrices; i++)
			products[count++] =
				expert_product(forward, matrices[i], pair, end, outs[i]);
		pair = end;
		if (count + n_matrices > MATMUL_MAX || pair == forward->group_end) {
			forward_multiply(forward, products, count);
			count = 0;
		}
	}
}

/* Calls fn for each pair of the group; those of a single row stay on the leader. */
static void each_pair(struct forward *forward, pool_fn fn)
{
	const uint32_t n_pairs = forward->group_end - forward->group_first;
	if (forward->n_rows > 1)
		pool_run(forward->pool, fn, forward, n_pairs);
	else
		for (uint32_t i = 0; i < n_pairs; i++)
			fn(forward, i, 0);
}

static void run_group(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	each_pair(forward, experts_gather);
	multiply_group(forward, (const struct matrix *const[]){ &held->gate, &held->up },
		       (float *const[]){ forward->gate, forward->up }, 2);
	each_pair(forward, experts_gate);
	multiply_group(forward, (const struct matrix *const[]){ &held->down },
		       (float *const[]){ forward->expert_out }, 1);
	forward_each_row(forward, experts_collect);
}

/* g = act(gate) * up of the shared expert */
static void shared_gate(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *const readers[] = { &forward->held->shared_down };
	const uint32_t n_ff = readers[0]->n_in;
	float *gate = forward->gate + (size_t)row * n_ff;
	forward->kernels->activate(forward->shape->activation, gate,
				   forward->up + (size_t)row * n_ff, n_ff);
	forward_quantise(forward, gate, n_ff, row, readers, 1);
}

static void shared_collect(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t n_embd = forward->shape->n_embd;
	const float share = 1.0f / (1.0f + maths_exp(-forward->shares[row]));
	forward->kernels->add_scaled(forward->branch + (size_t)row * n_embd,
				     forward->expert_out + (size_t)row * n_embd, share, n_embd);
}

/* out = the FFN that every row passes, of the rows' quantised inputs */
static void multiply_shared(struct forward *forward, float *out)
{
	const struct weights_layer *held = forward->held;
	const struct matrix share = share_of(forward);
	const uint32_t n_rows = forward->n_rows;
	const struct matmul inputs[] = {
		forward_product(forward, &held->shared_gate, n_rows, forward->gate),
		forward_product(forward, &held->shared_up, n_rows, forward->up),
		forward_product(forward, &share, n_rows, forward->shares),
	};
	forward_multiply(forward, inputs, held->shared_share ? 3 : 2);
	forward_each_row(forward, shared_gate);
	const struct matmul down = forward_product(forward, &held->shared_down, n_rows, out);
	forward_multiply(forward, &down, 1);
}

/* The branch becomes norm(dense) + norm(experts). */
static void beside_output(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct kernels *kernels = forward->kernels;
	const struct weights_layer *held = forward->held;
	const uint32_t n_embd = forward->shape->n_embd;
	const float eps = forward->shape->norm_eps;
	float *dense = forward->beside + (size_t)row * n_embd;
	float *branch = forward->branch + (size_t)row * n_embd;
	kernels->rms_norm(dense, dense, held->shared_post_norm, n_embd, eps);
	kernels->rms_norm(branch, branch, held->expert_post_norm, n_embd, eps);
	kernels->add(branch, dense, n_embd);
	forward_end_ffn(forward, row);
}

static void experts_output(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	forward_end_ffn(forward, row);
}

static void route(struct forward *forward)
{
	const struct matmul router = forward_product(forward, &forward->held->router,
						     forward->n_rows, forward->router_logits);
	forward_multiply(forward, &router, 1);
	forward_each_row(forward, experts_choose);
	arrange(forward);
}

static void run_experts(struct forward *forward)
{
	const uint32_t n_pairs = forward->n_rows * forward->shape->n_expert_used;
	for (uint32_t first = 0; first < n_pairs; first = forward->group_end) {
		forward->group_first = first;
		forward->group_end = end_of_group(forward, first);
		run_group(forward);
	}
}

static void run_beside(struct forward *forward)
{
	forward_each_row(forward, dense_input);
	multiply_shared(forward, forward->beside);
	forward_each_row(forward, router_input);
	route(forward);
	forward_each_row(forward, beside_input);
	run_experts(forward);
	forward_each_row(forward, beside_output);
}

void ffn_experts(struct forward *forward)
{
	if (is_beside(forward)) {
		run_beside(forward);
		return;
	}
	forward_each_row(forward, experts_input);
	route(forward);
	run_experts(forward);
	if (forward->held->shared_share) { /* after the others */
		multiply_shared(forward, forward->expert_out);
		forward_each_row(forward, shared_collect);
	}
	forward_each_row(forward, experts_output);
}
