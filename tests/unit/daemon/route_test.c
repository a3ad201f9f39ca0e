/* The way of a flight: who computes what, who sends to whom. */
#include "daemon/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct plan plan; /* too large for a stack */

/* The stages' devices, in order. */
static void make(uint16_t n_devices, uint16_t head, const uint16_t *stages, uint16_t n_stages)
{
	memset(&plan, 0, sizeof(plan));
	plan.n_devices = n_devices;
	plan.head = head;
	plan.n_stages = n_stages;
	for (uint16_t i = 0; i < n_stages; i++)
		plan.stages[i].group[0].device = stages[i];
}

static void one_device_talks_to_nobody(void **state)
{
	const uint16_t stages[] = { 0 };
	uint16_t out[PLAN_DEVICES_MAX];
	make(1, 0, stages, 1);
	assert_int_equal(route_device(&plan, 0), 0);
	assert_int_equal(route_device(&plan, 1), 0);
	assert_true(route_first_visit(&plan, 0));
	assert_int_equal(route_successors(&plan, 0, out), 0);
	assert_int_equal(route_predecessors(&plan, 0, out), 0);
}

static void a_head_without_layers(void **state)
{
	const uint16_t stages[] = { 1, 2 };
	uint16_t out[PLAN_DEVICES_MAX];
	make(3, 0, stages, 2);
	assert_int_equal(route_device(&plan, 2), 0); /* back for the output */
	assert_int_equal(route_successors(&plan, 0, out), 1);
	assert_int_equal(out[0], 1);
	assert_int_equal(route_successors(&plan, 2, out), 1);
	assert_int_equal(out[0], 0);
	assert_int_equal(route_predecessors(&plan, 0, out), 1);
	assert_int_equal(out[0], 2);
}

static void two_rounds_use_each_way_once(void **state)
{
	const uint16_t stages[] = { 0, 1, 0, 1 };
	uint16_t out[PLAN_DEVICES_MAX];
	make(2, 0, stages, 4);
	assert_int_equal(route_successors(&plan, 0, out), 1);
	assert_int_equal(out[0], 1);
	assert_int_equal(route_predecessors(&plan, 0, out), 1);
	assert_int_equal(out[0], 1);
	assert_true(route_first_visit(&plan, 0));
	assert_true(route_first_visit(&plan, 1));
	assert_false(route_first_visit(&plan, 2));
	assert_false(route_first_visit(&plan, 3));
}

static void a_device_may_have_two_successors(void **state)
{
	const uint16_t stages[] = { 1, 0, 2, 1 };
	uint16_t out[PLAN_DEVICES_MAX];
	make(3, 0, stages, 4);
	assert_int_equal(route_successors(&plan, 0, out), 2);
	assert_int_equal(out[0], 1);
	assert_int_equal(out[1], 2);
	assert_int_equal(route_successors(&plan, 1, out), 1); /* twice the head, once named */
	assert_int_equal(out[0], 0);
	assert_int_equal(route_predecessors(&plan, 1, out), 2);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 2);
}

static void a_spectator_has_no_way(void **state)
{
	const uint16_t stages[] = { 0, 1 };
	uint16_t out[PLAN_DEVICES_MAX];
	make(3, 0, stages, 2);
	assert_int_equal(route_successors(&plan, 2, out), 0);
	assert_int_equal(route_predecessors(&plan, 2, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_device_talks_to_nobody),
		cmocka_unit_test(a_head_without_layers),
		cmocka_unit_test(two_rounds_use_each_way_once),
		cmocka_unit_test(a_device_may_have_two_successors),
		cmocka_unit_test(a_spectator_has_no_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
