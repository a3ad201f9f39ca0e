#include "compute/router.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define EXPERTS 6

static struct model_shape shape_of(enum expert_gating gating, uint32_t used, bool renormalised)
{
	static struct model_shape shape;
	memset(&shape, 0, sizeof(shape));
	shape.n_expert = EXPERTS;
	shape.n_expert_used = used;
	shape.gating = gating;
	shape.experts_renormalised = renormalised;
	shape.expert_scale = 1;
	return shape;
}

static void choose(const struct model_shape *shape, const float *logits,
		   struct router_choice *choices)
{
	float used_up[EXPERTS];
	memcpy(used_up, logits, sizeof(used_up));
	router_choose(shape, used_up, choices);
}

static void near(float value, double expected)
{
	if (!(fabs((double)value - expected) < 1e-6))
		fail_msg("%g is not %g", (double)value, expected);
}

static void softmax_over_all(void **unused)
{
	static const float logits[EXPERTS] = { 0.5f, 2, -1, 3, 0, 1 };
	struct router_choice choices[3];
	double sum = 0;
	for (int i = 0; i < EXPERTS; i++)
		sum += exp((double)logits[i]);
	struct model_shape shape = shape_of(GATING_SOFTMAX, 3, false);
	choose(&shape, logits, choices);
	assert_int_equal(choices[0].expert, 1); /* in rising order, not by weight */
	assert_int_equal(choices[1].expert, 3);
	assert_int_equal(choices[2].expert, 5);
	for (int i = 0; i < 3; i++)
		near(choices[i].weight, exp((double)logits[choices[i].expert]) / sum);
	shape.experts_renormalised = true;
	shape.expert_scale = 2.5f;
	choose(&shape, logits, choices);
	sum = exp(2) + exp(3) + exp(1);
	for (int i = 0; i < 3; i++)
		near(choices[i].weight, 2.5 * exp((double)logits[choices[i].expert]) / sum);
}

static void sigmoid_of_each(void **unused)
{
	static const float logits[EXPERTS] = { -20, -30, -19, -40, -50, -60 };
	struct router_choice choices[2];
	struct model_shape shape = shape_of(GATING_SIGMOID, 2, false);
	choose(&shape, logits, choices);
	assert_int_equal(choices[0].expert, 0);
	assert_int_equal(choices[1].expert, 2);
	assert_true(fabs((double)choices[1].weight * exp(19) - 1) < 1e-5);
	shape.experts_renormalised = true; /* by no less than 2^-14 */
	choose(&shape, logits, choices);
	assert_true(fabs((double)choices[1].weight * exp(19) / 0x1p14 - 1) < 1e-5);
}

static void softmax_over_the_chosen(void **unused)
{
	static const float logits[EXPERTS] = { 0.5f, 2, -1, 3, 0, 1 };
	const struct model_shape shape = shape_of(GATING_CHOSEN, 2, false);
	struct router_choice choices[2];
	choose(&shape, logits, choices);
	assert_int_equal(choices[0].expert, 1);
	near(choices[0].weight, 1 / (1 + exp(1)));
	near(choices[1].weight, 1 / (1 + exp(-1)));
}

static void the_lower_of_equals(void **unused)
{
	static const float logits[EXPERTS] = { 1, 2, 2, 1, 2, 1 };
	const struct model_shape shape = shape_of(GATING_CHOSEN, 4, false);
	struct router_choice choices[4];
	choose(&shape, logits, choices);
	static const uint32_t expected[] = { 0, 1, 2, 4 };
	for (int i = 0; i < 4; i++)
		assert_int_equal(choices[i].expert, expected[i]);
}

static void nan_comes_last_and_nobody_twice(void **unused)
{
	static const float some[EXPERTS] = { NAN, -INFINITY, NAN, 1, NAN, -5 };
	static const float all[EXPERTS] = { NAN, NAN, NAN, NAN, NAN, NAN };
	const struct model_shape shape = shape_of(GATING_CHOSEN, 3, false);
	struct router_choice choices[3];
	choose(&shape, some, choices);
	assert_int_equal(choices[0].expert, 1);
	assert_int_equal(choices[1].expert, 3);
	assert_int_equal(choices[2].expert, 5);
	choose(&shape, all, choices);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(choices[i].expert, i);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(softmax_over_all),
		cmocka_unit_test(sigmoid_of_each),
		cmocka_unit_test(softmax_over_the_chosen),
		cmocka_unit_test(the_lower_of_equals),
		cmocka_unit_test(nan_comes_last_and_nobody_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
