#include "compute/recurrent.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FLOATS 1000u
#define BLOCKS 6u

static struct recurrent *make(void)
{
	const struct recurrent_config config = { .n_layers = 2,
						 .n_slots = 4,
						 .n_blocks = BLOCKS,
						 .block_bytes = FLOATS * sizeof(float) };
	struct recurrent *recurrent = recurrent_create(&config);
	assert_non_null(recurrent);
	assert_true(recurrent_bytes(&config) > BLOCKS * FLOATS * sizeof(float));
	return recurrent;
}

/* Work that ends well and leaves `value`. */
static void pass(struct recurrent *recurrent, uint32_t layer, uint32_t slot, float value)
{
	assert_true(recurrent_prepare(recurrent, layer, slot));
	recurrent_next(recurrent, layer, slot)[FLOATS - 1] = value;
	recurrent_commit(recurrent, layer, slot);
}

static float last_of(const struct recurrent *recurrent, uint32_t layer, uint32_t slot)
{
	const float *now = recurrent_now(recurrent, layer, slot);
	assert_non_null(now);
	return now[FLOATS - 1];
}

static void work_takes_place_when_it_is_committed(void **unused)
{
	struct recurrent *recurrent = make();
	assert_null(recurrent_now(recurrent, 0, 1));
	pass(recurrent, 0, 1, 5);
	assert_true(last_of(recurrent, 0, 1) == 5);
	assert_null(recurrent_now(recurrent, 1, 1)); /* the other layer */
	assert_true(recurrent_prepare(recurrent, 0, 1));
	assert_true(recurrent_prepare(recurrent, 0, 1)); /* twice is once */
	recurrent_next(recurrent, 0, 1)[FLOATS - 1] = 6;
	assert_true(last_of(recurrent, 0, 1) == 5);
	recurrent_abandon(recurrent, 1);
	recurrent_commit(recurrent, 0, 1); /* nothing to commit */
	assert_true(last_of(recurrent, 0, 1) == 5);
	recurrent_destroy(recurrent);
	recurrent_destroy(NULL);
}

static void copies_share_until_they_differ(void **unused)
{
	struct recurrent *recurrent = make();
	pass(recurrent, 0, 0, 1);
	pass(recurrent, 1, 0, 2);
	recurrent_share(recurrent, 0, 3);
	assert_ptr_equal(recurrent_now(recurrent, 0, 3), recurrent_now(recurrent, 0, 0));
	pass(recurrent, 0, 0, 7);
	assert_true(last_of(recurrent, 0, 0) == 7);
	assert_true(last_of(recurrent, 0, 3) == 1);
	recurrent_clear(recurrent, 0);
	assert_null(recurrent_now(recurrent, 0, 0));
	assert_true(last_of(recurrent, 1, 3) == 2);
	recurrent_destroy(recurrent);
}

static void blocks_end_and_come_back(void **unused)
{
	struct recurrent *recurrent = make();
	for (uint32_t slot = 0; slot < 3; slot++)
		for (uint32_t layer = 0; layer < 2; layer++)
			pass(recurrent, layer, slot, 1);
	assert_false(recurrent_prepare(recurrent, 0, 3));
	assert_false(recurrent_prepare(recurrent, 0, 0));
	assert_true(last_of(recurrent, 0, 0) == 1);
	recurrent_share(recurrent, 0, 1); /* gives two back */
	assert_true(recurrent_prepare(recurrent, 0, 3));
	assert_true(recurrent_prepare(recurrent, 1, 3));
	assert_false(recurrent_prepare(recurrent, 0, 0));
	recurrent_abandon(recurrent, 3);
	assert_true(recurrent_prepare(recurrent, 0, 0));
	recurrent_destroy(recurrent);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_takes_place_when_it_is_committed),
		cmocka_unit_test(copies_share_until_they_differ),
		cmocka_unit_test(blocks_end_and_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
