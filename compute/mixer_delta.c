#include "compute/cpu/maths.h"
#include "compute/forward_inside.h"

#include <string.h>

/* The gated delta net (Yang et al. 2024, as in Qwen 3.5): instead of keys and values a head keeps a
 * matrix S [width, width]. q, k and v pass a short convolution over positions and silu; q and k
 * have length 1. Then at each position, with a decay and a share beta of its own: S = decay * S;  S
 * = S + k (beta (v - k^T S))^T;  out = q^T S / sqrt(width) and out = norm(out) * silu(z). Rows of
 * one sequence follow each other (a chain); heads and sequences are independent. */

#define NO_ROW        UINT32_MAX
#define STEPS_AT_ONCE 64u /* rows that share a pass over a head's matrix */
#define L2_EPS        1e-6f
#define SOFTPLUS_MAX  20.0f /* beyond it ln(1 + e^x) is x */

static uint32_t channels_of(const struct delta_shape *delta)
{
	return (2 * delta->n_keys + delta->n_values) * delta->width;
}

/* ---- chains ---- */

/* Links each row with the row of its sequence before it. A chain is known by its first row. */
static void link_rows(struct forward *forward)
{
	uint32_t last[STATE_SEQUENCES_MAX];
	memset(last, 0xff, sizeof(last));
	forward->n_chains = 0;
	for (uint32_t i = 0; i < forward->n_rows; i++) {
		const uint32_t before = last[forward->slots[i]];
		forward->row_before[i] = before;
		forward->row_after[i] = NO_ROW;
		if (before == NO_ROW)
			forward->chains[forward->n_chains++] = i;
		else
			forward->row_after[before] = i;
		last[forward->slots[i]] = i;
	}
}

/* What went into the convolution `back` positions before a row: of the batch, or kept from before
 * it. The state keeps taps - 1 rows, the oldest first. */
static const float *input_before(const struct forward *forward, uint32_t row, uint32_t back)
{
	const struct delta_shape *delta = &forward->shape->delta;
	const uint32_t slot = forward->slots[row];
	while (back > 0 && forward->row_before[row] != NO_ROW) {
		row = forward->row_before[row];
		back--;
	}
	if (back == 0)
		return forward->q + (size_t)row * channels_of(delta);
	const float *now = state_now(forward->state, forward->state_layer, slot);
	return now ? now + (size_t)(delta->taps - 1 - back) * channels_of(delta) : forward->zeros;
}

/* ---- steps ---- */

/* x = norm(h), ready for all products */
static void delta_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const struct matrix *const readers[] = { &held->q, &held->z, &held->alpha, &held->beta };
	forward_quantise(forward, forward_norm(forward, row, held->attn_norm),
			 forward->shape->n_embd, row, readers, 4);
}

static void delta_products(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	const uint32_t n_rows = forward->n_rows;
	const struct matmul products[] = {
		forward_product(forward, &held->q, n_rows, forward->q),
		forward_product(forward, &held->z, n_rows, forward->z),
		forward_product(forward, &held->alpha, n_rows, forward->alpha),
		forward_product(forward, &held->beta, n_rows, forward->beta),
	};
	forward_multiply(forward, products, 4);
}

/* Each channel on its own: the sum of its last inputs, oldest first, and silu. */
static void convolve(const struct forward *forward, uint32_t row, float *out)
{
	const struct delta_shape *delta = &forward->shape->delta;
	const uint32_t n = channels_of(delta), taps = delta->taps;
	const float *inputs[DELTA_TAPS_LIMIT];
	for (uint32_t tap = 0; tap < taps; tap++)
		inputs[tap] = input_before(forward, row, taps - 1 - tap);
	forward->kernels->convolve(out, inputs, taps, forward->held->conv, n);
	forward->kernels->activate(ACTIVATION_SILU, out, forward->ones, n);
}

/* alpha becomes the decay e^(a softplus(alpha + bias)), beta its sigmoid. */
static void weigh_heads(const struct forward *forward, float *alpha, float *beta)
{
	const struct weights_layer *held = forward->held;
	for (uint32_t i = 0; i < forward->shape->delta.n_values; i++) {
		const float x = alpha[i] + held->dt_bias[i];
		const float soft =
			x > SOFTPLUS_MAX ? x : (float)maths_log(1.0 + (double)maths_exp(x));
		alpha[i] = maths_exp(held->decay[i] * soft);
		beta[i] = 1.0f / (1.0f + maths_exp(-beta[i]));
	}
}

static void delta_convolve(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct delta_shape *delta = &forward->shape->delta;
	const uint32_t width = delta->width;
	float *mixed = forward->convolved + (size_t)row * channels_of(delta);
	convolve(forward, row, mixed);
	/* length 1 is an RMS norm with weights 1 / sqrt(width); q also has the scale */
	for (uint32_t i = 0; i < 2 * delta->n_keys; i++)
		forward->kernels->rms_norm(mixed + (size_t)i * width, mixed + (size_t)i * width,
					   i < delta->n_keys ? forward->q_lengths
							     : forward->k_lengths,
					   width, L2_EPS / (float)width);
	weigh_heads(forward, forward->alpha + (size_t)row * delta->n_values,
		    forward->beta + (size_t)row * delta->n_values);
}

static struct delta_step step_of(const struct forward *forward, uint32_t row, uint32_t head)
{
	const struct delta_shape *delta = &forward->shape->delta;
	const size_t width = delta->width;
	const float *mixed = forward->convolved + (size_t)row * channels_of(delta);
	const size_t key = head % delta->n_keys, at = (size_t)row * delta->n_values + head;
	return (struct delta_step){
		.q = mixed + key * width,
		.k = mixed + (delta->n_keys + key) * width,
		.v = mixed + (2 * delta->n_keys + head) * width,
		.out = forward->mixed + at * width,
		.decay = forward->alpha[at],
		.beta = forward->beta[at],
	};
}

/* A chain's rows through one head, in order. */
static void delta_head(void *context, uint32_t piece, uint32_t thread)
{
	struct forward *forward = context;
	const struct delta_shape *delta = &forward->shape->delta;
	const uint32_t head = piece % delta->n_values;
	uint32_t row = forward->chains[piece / delta->n_values];
	const uint32_t slot = forward->slots[row];
	const size_t at = (size_t)(delta->taps - 1) * channels_of(delta) +
			  (size_t)head * delta->width * delta->width;
	const float *now = state_now(forward->state, forward->state_layer, slot);
	const float *before = now ? now + at : NULL;
	float *s = state_next(forward->state, forward->state_layer, slot) + at;
	while (row != NO_ROW) {
		struct delta_step steps[STEPS_AT_ONCE];
		uint32_t n = 0;
		for (; row != NO_ROW && n < STEPS_AT_ONCE; row = forward->row_after[row])
			steps[n++] = step_of(forward, row, head);
		forward->kernels->delta_steps(steps, n, delta->width, before, s);
		before = s;
	}
}

/* Keeps what the next rows' convolution needs. */
static void keep_inputs(struct forward *forward, uint32_t row)
{
	const struct delta_shape *delta = &forward->shape->delta;
	const size_t n = channels_of(delta);
	float *next = state_next(forward->state, forward->state_layer, forward->slots[row]);
	while (forward->row_after[row] != NO_ROW)
		row = forward->row_after[row];
	for (uint32_t i = 0; i + 1 < delta->taps; i++)
		memcpy(next + i * n, input_before(forward, row, delta->taps - 2 - i),
		       n * sizeof(float));
}

/* z = norm(out) * silu(z), ready for the output */
static void delta_output(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct delta_shape *delta = &forward->shape->delta;
	const struct weights_layer *held = forward->held;
	const struct matrix *const readers[] = { &held->attn_out };
	const uint32_t width = delta->width, n = delta->n_values * width;
	float *out = forward->mixed + (size_t)row * n, *z = forward->z + (size_t)row * n;
	for (uint32_t i = 0; i < delta->n_values; i++)
		forward->kernels->rms_norm(out + i * width, out + i * width, held->delta_norm,
					   width, forward->shape->norm_eps);
	forward->kernels->activate(ACTIVATION_SILU, z, out, n);
	forward_quantise(forward, z, n, row, readers, 1);
}

void mixer_delta(struct forward *forward)
{
	forward_each_row(forward, delta_input);
	delta_products(forward);
	link_rows(forward);
	forward_each_row(forward, delta_convolve);
	pool_run(forward->pool, delta_head, forward,
		 forward->n_chains * forward->shape->delta.n_values);
	for (uint32_t i = 0; i < forward->n_chains; i++)
		keep_inputs(forward, forward->chains[i]);
	forward_each_row(forward, delta_output);
	const struct matmul out = forward_product(forward, &forward->held->attn_out,
						  forward->n_rows, forward->branch);
	forward_multiply(forward, &out, 1);
}
