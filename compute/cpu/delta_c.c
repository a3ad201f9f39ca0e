#include "compute/cpu/c.h"

#include <string.h>

/* What v differs from what s already answers to k, times beta; s decays on the way. */
static void difference(const struct delta_step *step, uint32_t width, float *s, float *d)
{
	memset(d, 0, width * sizeof(float));
	for (uint32_t i = 0; i < width; i++) {
		float *row = s + (size_t)i * width;
		c_scale(row, step->decay, width);
		c_add_scaled(d, row, step->k[i], width);
	}
	for (uint32_t j = 0; j < width; j++)
		d[j] = (step->v[j] - d[j]) * step->beta;
}

static void take_step(const struct delta_step *step, uint32_t width, float *s)
{
	float *d = step->out; /* until s has it */
	difference(step, width, s, d);
	for (uint32_t i = 0; i < width; i++)
		c_add_scaled(s + (size_t)i * width, d, step->k[i], width);
	memset(step->out, 0, width * sizeof(float));
	for (uint32_t i = 0; i < width; i++)
		c_add_scaled(step->out, s + (size_t)i * width, step->q[i], width);
}

void c_delta_steps(const struct delta_step *steps, uint32_t n, uint32_t width, const float *before,
		   float *s)
{
	const size_t bytes = (size_t)width * width * sizeof(float);
	if (!before)
		memset(s, 0, bytes);
	else if (before != s)
		memcpy(s, before, bytes);
	for (uint32_t i = 0; i < n; i++)
		take_step(&steps[i], width, s);
}

void c_convolve(float *out, const float *const *inputs, uint32_t taps, const float *weights,
		uint32_t n)
{
	memset(out, 0, n * sizeof(float));
	for (uint32_t t = 0; t < taps; t++)
		for (uint32_t i = 0; i < n; i++)
			out[i] += inputs[t][i] * weights[(size_t)i * taps + t];
}
