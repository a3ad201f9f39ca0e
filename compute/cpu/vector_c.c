#include "compute/cpu/c.h"
#include "compute/cpu/maths.h"

#include "base/half.h"

/* Sums of squares run in so many lanes: column c goes to lane c % NORM_LANES. */
#define NORM_LANES 32

void c_rms_norm(float *out, const float *x, const float *weight, uint32_t n, float eps)
{
	float lanes[NORM_LANES] = { 0 };
	for (uint32_t i = 0; i < n; i++)
		lanes[i % NORM_LANES] = __builtin_fmaf(x[i], x[i], lanes[i % NORM_LANES]);
	for (int width = NORM_LANES / 2; width; width /= 2)
		for (int i = 0; i < width; i++)
			lanes[i] += lanes[i + width];
	const float factor = 1.0f / __builtin_sqrtf(lanes[0] / (float)n + eps);
	for (uint32_t i = 0; i < n; i++)
		out[i] = x[i] * factor * weight[i];
}

static void turn(float *a, float *b, float cosine, float sine)
{
	const float x = *a, y = *b;
	*a = __builtin_fmaf(x, cosine, -(y * sine));
	*b = __builtin_fmaf(x, sine, y * cosine);
}

void c_rope(float *heads, uint32_t n_heads, uint32_t width, uint32_t n_rot,
	    enum rope_pairing pairing, const float *table)
{
	const uint32_t half = n_rot / 2;
	for (uint32_t h = 0; h < n_heads; h++) {
		float *head = heads + (size_t)h * width;
		for (uint32_t i = 0; i < half; i++) {
			const uint32_t a = pairing == ROPE_HALVES ? i : 2 * i;
			const uint32_t b = pairing == ROPE_HALVES ? i + half : a + 1;
			turn(&head[a], &head[b], table[i], table[half + i]);
		}
	}
}

/* x / (1 + e^-y): silu with y = x. The tanh form of gelu is the same with
 * y = GELU_FACTOR (x + GELU_CUBIC x^3), since (1 + tanh u) / 2 = 1 / (1 + e^-2u). */
static float gated(enum activation_kind kind, float x)
{
	float y = x;
	if (kind == ACTIVATION_GELU_TANH)
		y = GELU_FACTOR * __builtin_fmaf(GELU_CUBIC * (x * x), x, x);
	return x / (1.0f + maths_exp(-y));
}

/* The second operand where x is NaN, as the vector instructions have it. */
static float clamped(float gate, float up)
{
	const float g = CLAMPED_LIMIT < gate ? CLAMPED_LIMIT : gate;
	float u = -CLAMPED_LIMIT > up ? -CLAMPED_LIMIT : up;
	u = CLAMPED_LIMIT < u ? CLAMPED_LIMIT : u;
	return g / (1.0f + maths_exp(-(CLAMPED_SLOPE * g))) * (u + 1.0f);
}

void c_activate(enum activation_kind kind, float *gate, const float *up, uint32_t n)
{
	if (kind == ACTIVATION_CLAMPED) {
		for (uint32_t i = 0; i < n; i++)
			gate[i] = clamped(gate[i], up[i]);
		return;
	}
	if (kind == ACTIVATION_SIGMOID) {
		for (uint32_t i = 0; i < n; i++)
			gate[i] = up[i] / (1.0f + maths_exp(-gate[i]));
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		gate[i] = gated(kind, gate[i]) * up[i];
}

void c_add(float *x, const float *y, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] += y[i];
}

void c_add_scaled(float *x, const float *y, float factor, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] = __builtin_fmaf(factor, y[i], x[i]);
}

void c_scale(float *x, float factor, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] *= factor;
}

void c_soft_cap(float *x, float cap, uint32_t n)
{
	const float inverse = 1.0f / cap;
	for (uint32_t i = 0; i < n; i++)
		x[i] = cap * maths_tanh(x[i] * inverse);
}

void c_to_f16(uint16_t *out, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = f32_to_f16(x[i]);
}

const struct kernels kernels_c = {
	.name = "c",
	.quantize_row = c_quantize_row,
	.dequantize_row = c_dequantize_row,
	.matmul = c_matmul,
	.rms_norm = c_rms_norm,
	.rope = c_rope,
	.attention_rows = c_attention_rows,
	.attention_tile = c_attention_tile,
	.attention_join = c_attention_join,
	.activate = c_activate,
	.add = c_add,
	.add_scaled = c_add_scaled,
	.scale = c_scale,
	.soft_cap = c_soft_cap,
	.delta_steps = c_delta_steps,
	.convolve = c_convolve,
	.to_f16 = c_to_f16,
};
