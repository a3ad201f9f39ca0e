/* The room that a plan counts for keys and values is the room that the engine takes. */
#include "compute/state.h"
#include "proto/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WIDTH 64u

static struct model_facts facts;

/* Of one more head in a layer: tables and structs cancel out. */
static uint64_t head_bytes(const struct plan *plan, uint32_t window)
{
	const struct kv_room room = plan_kv_room(plan);
	struct state_layer layer = { 1, WIDTH, WIDTH, window };
	const struct state_config config = { .layers = &layer,
					     .n_layers = 1,
					     .kind = (enum kv_kind)plan->kv_type,
					     .positions = plan->kv_positions,
					     .sequences = room.sequences,
					     .rows_max = plan->chunk_rows };
	const uint64_t one = state_bytes(&config);
	layer.n_head_kv = 2;
	return state_bytes(&config) - one;
}

static void plans_count_what_the_engine_takes(void **unused)
{
	static const uint32_t windows[] = { 0, 1, 63, 64, 65, 512, 1024, 4096, 1u << 30 };
	static const uint32_t positions[] = { 64, 4096, 16384, 1u << 20 };
	static const uint32_t rows[] = { 1, 32, 64, 500, 512 };
	facts.kv_bytes[0] = 2 * 2 * WIDTH;
	for (uint32_t i = 0; i < 9 * 4 * 5 * KV_TYPES; i++) {
		const struct plan plan = { .kv_type = i % KV_TYPES,
					   .context = i % 2 ? 4096 : 64,
					   .kv_positions = positions[i / KV_TYPES % 4],
					   .chunk_rows = rows[i / KV_TYPES / 4 % 5] };
		const struct kv_room room = plan_kv_room(&plan);
		facts.kv_windows[0] = windows[i / KV_TYPES / 20];
		assert_int_equal(kv_layer_bytes(&facts, 0, &room),
				 head_bytes(&plan, facts.kv_windows[0]));
	}
}

/* One layer more, its tables and structs aside: those of the engine, which the daemon reserves. */
static void plans_count_recurrent_states(void **unused)
{
	static const uint32_t sequences[] = { 1, 2, 4, 16 };
	facts.kv_bytes[0] = 0;
	facts.state_bytes[0] = 4 * 5000;
	for (uint32_t i = 0; i < 4; i++) {
		const struct kv_room room = { .positions = 4096, .sequences = sequences[i], .rows = 64 };
		struct state_layer layer = { .recurrent = 5000 };
		const struct state_config config = { .layers = &layer,
						     .n_layers = 1,
						     .positions = room.positions,
						     .sequences = room.sequences,
						     .rows_max = room.rows };
		const uint64_t more = state_bytes(&config);
		layer.recurrent = 10000;
		assert_int_equal(kv_layer_bytes(&facts, 0, &room), state_bytes(&config) - more);
	}
	facts.state_bytes[0] = 0;
}

static void a_window_bounds_the_room(void **unused)
{
	const struct kv_room room = {
		.positions = 32768, .sequences = kv_sequences(32768, 16384), .rows = 64
	};
	assert_int_equal(room.sequences, 2);
	assert_int_equal(kv_kept(0, 64), UINT32_MAX);
	assert_int_equal(kv_kept(512, 64), 704); /* 511 + 64 + 64 positions lie in 11 pages */
	assert_int_equal(kv_window_positions(&room, 512), 1408);
	assert_int_equal(kv_window_positions(&room, 0), 32768);
	assert_int_equal(kv_window_positions(&room, 20000), 32768);
	assert_int_equal(kv_sequences(16385, 16384), 2);
}

static void types_have_names(void **unused)
{
	for (enum kv_type type = 0; type < KV_TYPES; type++) {
		enum kv_type found = KV_TYPES;
		assert_true(kv_type_find(kv_type_name(type), &found));
		assert_int_equal(found, type);
		assert_string_equal(kv_type_name(type), kv_kind_name((enum kv_kind)type));
	}
	enum kv_type unchanged = KV_TYPE_F32;
	assert_false(kv_type_find("q4_0", &unchanged));
	assert_int_equal(unchanged, KV_TYPE_F32);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_count_what_the_engine_takes),
		cmocka_unit_test(plans_count_recurrent_states),
		cmocka_unit_test(a_window_bounds_the_room),
		cmocka_unit_test(types_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
