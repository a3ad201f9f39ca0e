#include "compute/forward_inside.h"

/* h = h + norm(attention); x = norm(h), ready for gate and up */
static void ffn_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const struct matrix *const readers[] = { &held->gate, &held->up };
	forward_add_branch(forward, row, held->out_bias, held->post_attn_norm);
	forward_quantise(forward, forward_norm(forward, row, held->ffn_norm),
			 forward->shape->n_embd, row, readers, 2);
}

/* g = act(gate) * up */
static void ffn_gate(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *down = &forward->held->down;
	const uint32_t n_ff = down->n_in;
	float *gate = forward->gate + (size_t)row * n_ff;
	forward->kernels->activate(forward->shape->activation, gate,
				   forward->up + (size_t)row * n_ff, n_ff);
	forward_quantise(forward, gate, n_ff, row, &down, 1);
}

static void ffn_output(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	forward_end_ffn(forward, row);
}

void ffn_dense(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	const struct matmul inputs[] = {
		forward_product(forward, &held->gate, forward->n_rows, forward->gate),
		forward_product(forward, &held->up, forward->n_rows, forward->up),
	};
	forward_each_row(forward, ffn_input);
	forward_multiply(forward, inputs, 2);
	forward_each_row(forward, ffn_gate);
	const struct matmul out =
		forward_product(forward, &held->down, forward->n_rows, forward->branch);
	forward_multiply(forward, &out, 1);
	forward_each_row(forward, ffn_output);
}
