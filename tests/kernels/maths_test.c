/* Our own functions against the C library's in double, over their whole range. */
#include "compute/cpu/kernels.h"
#include "compute/cpu/maths.h"

#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* Error in units of the last place of the right value. */
static double ulps(double value, double right)
{
	int exponent;
	frexp(right, &exponent);
	const double ulp = ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
	return fabs(value - right) / ulp;
}

static void exp_is_close(void **unused)
{
	double worst = 0;
	for (uint64_t bits = 0; bits < 1ull << 32; bits += 9973) {
		const float x = half_bits_to_f32((uint32_t)bits);
		if (!(fabsf(x) < 104.0f) || x > 88.7f)
			continue;
		worst = fmax(worst, ulps((double)maths_exp(x), exp((double)x)));
	}
	assert_true(worst < 1.1);
}

static void exp_at_the_ends(void **unused)
{
	assert_true(maths_exp(0.0f) == 1.0f && maths_exp(-0.0f) == 1.0f);
	assert_true(isinf(maths_exp(88.8f)) && isinf(maths_exp(INFINITY)));
	assert_true(maths_exp(-104.5f) == 0.0f && maths_exp(-INFINITY) == 0.0f);
	assert_true(maths_exp(-103.0f) == 0x1p-149f); /* denormals are kept */
	assert_true(isnan(maths_exp(NAN)));
}

/* The bits themselves: another build, compiler or machine must give the same. */
static void exp_bits_are_pinned(void **unused)
{
	uint32_t mixed = 0;
	for (int i = -10000; i <= 8800; i += 7) {
		const float value = maths_exp((float)i * 0.01f);
		uint32_t bits;
		__builtin_memcpy(&bits, &value, sizeof(bits));
		mixed = (mixed ^ bits) * 16777619u;
	}
	assert_int_equal(mixed, 0xa0de0ae7);
}

static void tanh_is_close(void **unused)
{
	double worst = 0;
	for (int i = -200000; i <= 200000; i++) {
		const float x = (float)i * 1e-4f;
		worst = fmax(worst, fabs((double)maths_tanh(x) - tanh((double)x)));
	}
	assert_true(worst < 0x1p-22);
	assert_true(maths_tanh(INFINITY) == 1.0f && maths_tanh(-INFINITY) == -1.0f);
	assert_true(maths_tanh(1e30f) == 1.0f && maths_tanh(0.0f) == 0.0f);
	assert_true(isnan(maths_tanh(NAN)));
}

static void sin_cos_are_close(void **unused)
{
	double worst = 0, sine, cosine;
	for (int64_t i = -400000; i <= 400000; i++) {
		const double x = (double)i * (i % 2 ? 41.9 : 0.0371);
		maths_sin_cos(x, &sine, &cosine);
		worst = fmax(worst, fabs(sine - sin(x)));
		worst = fmax(worst, fabs(cosine - cos(x)));
	}
	assert_true(worst < 0x1p-51);
	maths_sin_cos(0.0, &sine, &cosine);
	assert_true(sine == 0.0 && cosine == 1.0);
}

static void pow_is_close(void **unused)
{
	double worst = 0;
	for (double base = 1.01; base < 2e7; base *= 1.7)
		for (double exponent = -1; exponent <= 1; exponent += 0.013) {
			const double right = pow(base, exponent);
			worst = fmax(worst, fabs(maths_pow(base, exponent) - right) / right);
		}
	assert_true(worst < 1e-14);
	assert_true(maths_pow(10000.0, 0.0) == 1.0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(exp_is_close),        cmocka_unit_test(exp_at_the_ends),
		cmocka_unit_test(exp_bits_are_pinned), cmocka_unit_test(tanh_is_close),
		cmocka_unit_test(sin_cos_are_close),   cmocka_unit_test(pow_is_close),
	};
	kernels_prepare_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
