#include "compute/cpu/maths.h"

#include <stdint.h>
#include <string.h>

static float power_of_two(uint32_t exponent)
{
	const uint32_t bits = (exponent + 127) << 23;
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

float maths_exp(float x)
{
	x = -EXP_LIMIT > x ? -EXP_LIMIT : x;
	x = EXP_LIMIT < x ? EXP_LIMIT : x;
	const float t = __builtin_fmaf(x, EXP_LOG2E, EXP_ROUND);
	const float whole = t - EXP_ROUND;
	float r = __builtin_fmaf(whole, -EXP_LN2_HIGH, x);
	r = __builtin_fmaf(whole, -EXP_LN2_LOW, r);
	float p = __builtin_fmaf(EXP_C7, r, EXP_C6);
	p = __builtin_fmaf(p, r, EXP_C5);
	p = __builtin_fmaf(p, r, EXP_C4);
	p = __builtin_fmaf(p, r, EXP_C3);
	p = __builtin_fmaf(p, r, EXP_C2);
	p = __builtin_fmaf(p, r * r, r) + 1.0f;
	/* Two factors, so that the exponent may leave the range of normal floats. */
	int32_t k;
	memcpy(&k, &t, sizeof(k));
	k -= 0x4b400000; /* the bits of EXP_ROUND */
	return p * power_of_two((uint32_t)(k >> 1)) * power_of_two((uint32_t)(k - (k >> 1)));
}

float maths_tanh(float x)
{
	return 1.0f - 2.0f / (maths_exp(x + x) + 1.0f);
}

/* pi/2 in parts: whole * part is exact for the first two (29 bits each) if |whole| < 2^24. */
#define HALF_PI_1 0x1.921fb54p+0
#define HALF_PI_2 0x1.10b4611p-30
#define HALF_PI_3 0x1.4c4c6628b80dcp-59

static double sine_near_zero(double x)
{
	const double z = x * x;
	double p = -1.0 / 121645100408832000.0;
	p = p * z + 1.0 / 355687428096000.0;
	p = p * z - 1.0 / 1307674368000.0;
	p = p * z + 1.0 / 6227020800.0;
	p = p * z - 1.0 / 39916800.0;
	p = p * z + 1.0 / 362880.0;
	p = p * z - 1.0 / 5040.0;
	p = p * z + 1.0 / 120.0;
	p = p * z - 1.0 / 6.0;
	return x + x * z * p;
}

static double cosine_near_zero(double x)
{
	const double z = x * x;
	double p = 1.0 / 2432902008176640000.0;
	p = p * z - 1.0 / 6402373705728000.0;
	p = p * z + 1.0 / 20922789888000.0;
	p = p * z - 1.0 / 87178291200.0;
	p = p * z + 1.0 / 479001600.0;
	p = p * z - 1.0 / 3628800.0;
	p = p * z + 1.0 / 40320.0;
	p = p * z - 1.0 / 720.0;
	p = p * z + 1.0 / 24.0;
	return 1.0 + (z * z * p - 0.5 * z);
}

void maths_sin_cos(double x, double *sine, double *cosine)
{
	const double whole = (x * 0x1.45f306dc9c883p-1 + 0x1.8p52) - 0x1.8p52;
	const double r = ((x - whole * HALF_PI_1) - whole * HALF_PI_2) - whole * HALF_PI_3;
	const double s = sine_near_zero(r), c = cosine_near_zero(r);
	const unsigned quadrant = (unsigned)(int64_t)whole & 3;
	const double across = quadrant & 1 ? c : s, along = quadrant & 1 ? s : c;
	*sine = quadrant & 2 ? -across : across;
	*cosine = quadrant == 1 || quadrant == 2 ? -along : along;
}

/* x = 2^k * m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh(s). */
double maths_log(double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof(bits));
	const uint64_t shifted = bits - 0x3fe6a09e667f3bcd;
	const int64_t k = (int64_t)shifted >> 52;
	bits -= (uint64_t)k << 52;
	memcpy(&x, &bits, sizeof(x));
	const double s = (x - 1.0) / (x + 1.0), z = s * s;
	double p = 0.0;
	for (int i = 23; i >= 3; i -= 2)
		p = (p + 1.0 / i) * z;
	return (double)k * 0x1.62e42fefa39efp-1 + (2.0 * s + 2.0 * s * p);
}

/* e^x where the result is a normal number. */
static double natural_exp(double x)
{
	const double whole = (x * 0x1.71547652b82fep+0 + 0x1.8p52) - 0x1.8p52;
	const double r = (x - whole * 0x1.62e42fep-1) - whole * 0x1.f473de6af278fp-30;
	double p = 1.0;
	for (int i = 14; i >= 1; i--)
		p = p * r / i + 1.0;
	const uint64_t bits = (uint64_t)((int64_t)whole + 1023) << 52;
	double power;
	memcpy(&power, &bits, sizeof(power));
	return p * power;
}

double maths_pow(double base, double exponent)
{
	return natural_exp(exponent * maths_log(base));
}
