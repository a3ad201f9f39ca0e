#include "compute/cpu/rope.h"

#include "compute/cpu/maths.h"

#include <math.h>
#include <stddef.h>

#define TWO_PI 0x1.921fb54442d18p+2

/* Between these pairs YaRN mixes: those before `low` stay, those after `high` are scaled. */
struct ramp {
	double low, high;
};

/* The pair that turns `turns` times within the original positions, a number with a fraction:
 * the i with original * base^(-2i/n_rot) = 2 pi turns. */
static double pair_of(const struct rope_shape *rope, float turns)
{
	const double longest = (double)rope->original / (TWO_PI * (double)turns);
	return (double)rope->n_rot * maths_log(longest) / (2.0 * maths_log((double)rope->base));
}

static struct ramp ramp_of(const struct rope_shape *rope)
{
	const double low = floor(pair_of(rope, rope->beta_fast));
	const double high = ceil(pair_of(rope, rope->beta_slow));
	const double last = (double)rope->n_rot - 1.0;
	return (struct ramp){ low > 0.0 ? low : 0.0, high < last ? high : last };
}

/* What of a pair's unscaled angle remains: 1 before the ramp, 0 after it, times `yarn`. */
static double unscaled_share(const struct rope_shape *rope, const struct ramp *ramp, uint32_t pair)
{
	const double width = ramp->high - ramp->low > 0.001 ? ramp->high - ramp->low : 0.001;
	double along = ((double)pair - ramp->low) / width;
	along = along < 0.0 ? 0.0 : along > 1.0 ? 1.0 : along;
	return (1.0 - along) * (double)rope->yarn;
}

void rope_turns(double *turns, const struct rope_shape *rope, const float *factors)
{
	const bool mixes = rope->yarn > 0;
	const struct ramp ramp = mixes ? ramp_of(rope) : (struct ramp){ 0, 0 };
	for (uint32_t i = 0; i < rope->n_rot / 2; i++) {
		const double exponent = -2.0 * (double)i / (double)rope->n_rot;
		const double power = maths_pow((double)rope->base, exponent);
		double scale = (double)rope->scale;
		if (mixes) {
			const double share = unscaled_share(rope, &ramp, i);
			scale = scale * (1.0 - share) + share;
		}
		turns[i] = factors ? scale * power / (double)factors[i] : scale * power;
	}
}

void rope_table(float *table, const double *turns, uint32_t n_rot, float magnitude,
		uint32_t position)
{
	for (uint32_t i = 0; i < n_rot / 2; i++) {
		double sine, cosine;
		maths_sin_cos((double)position * turns[i], &sine, &cosine);
		table[i] = (float)(cosine * (double)magnitude);
		table[n_rot / 2 + i] = (float)(sine * (double)magnitude);
	}
}
