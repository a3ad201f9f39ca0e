#include "compute/cpu/rope.h"

#include "compute/cpu/maths.h"

#include <stddef.h>

void rope_turns(double *turns, uint32_t n_rot, float base, float scale, const float *factors)
{
	for (uint32_t i = 0; i < n_rot / 2; i++) {
		const double exponent = -2.0 * (double)i / (double)n_rot;
		const double turn = (double)scale * maths_pow((double)base, exponent);
		turns[i] = factors ? turn / (double)factors[i] : turn;
	}
}

void rope_table(float *table, const double *turns, uint32_t n_rot, uint32_t position)
{
	for (uint32_t i = 0; i < n_rot / 2; i++) {
		double sine, cosine;
		maths_sin_cos((double)position * turns[i], &sine, &cosine);
		table[i] = (float)cosine;
		table[n_rot / 2 + i] = (float)sine;
	}
}
