#include "proto/flight.h"

#include "base/half.h"
#include "tests/unit/proto/samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS FLIGHT_ROWS_MAX

static struct flight flight, back;
static float *states;

static int setup(void **state)
{
	states = malloc(FLIGHT_ROWS_MAX * 4 * sizeof(float));
	sample_flight(&flight);
	return states ? 0 : -1;
}

static int teardown(void **state)
{
	free(states);
	return 0;
}

static void a_flight_comes_back(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	flight_encode(&flight, sample_states, &bytes);
	assert_int_equal(bytes.size, flight_bytes(&flight));
	assert_int_equal(bytes.size, 96 + 2 * 16 + 2 * 16 + 2 * 4 * 4);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL), 0);
	assert_memory_equal(&back, &flight, offsetof(struct flight, rows));
	assert_memory_equal(back.rows, flight.rows, 2 * sizeof(flight.rows[0]));
	assert_memory_equal(back.ops, flight.ops, 2 * sizeof(flight.ops[0]));
	assert_memory_equal(states, sample_states, sizeof(sample_states)); /* bit for bit, -0 too */
	buf_finish(&bytes);
}

/* What the ring does: the header from here, the states from where they lie. */
static void head_and_states_are_the_whole(void **state)
{
	struct buf whole, parts;
	buf_init(&whole);
	buf_init(&parts);
	flight_encode(&flight, sample_states, &whole);
	flight_encode_head(&flight, &parts);
	buf_append(&parts, sample_states, sizeof(sample_states));
	assert_int_equal(whole.size, parts.size);
	assert_memory_equal(whole.data, parts.data, whole.size);
	buf_finish(&whole);
	buf_finish(&parts);
}

static void half_states_are_rounded_once(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	flight.dtype = WIRE_F16;
	flight_encode(&flight, sample_states, &bytes);
	assert_int_equal(bytes.size, 96 + 2 * 16 + 2 * 16 + 2 * 4 * 2);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL), 0);
	for (int i = 0; i < 8; i++) {
		const float rounded = f16_to_f32(f32_to_f16(sample_states[i]));
		assert_memory_equal(&states[i], &rounded, sizeof(rounded));
	}
	buf_finish(&bytes);
}

static void operations_travel_without_rows(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	flight.n_rows = 0;
	flight_encode(&flight, NULL, &bytes);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL), 0);
	assert_int_equal(back.n_ops, 2);
	flight.n_ops = 0;
	buf_clear(&bytes);
	flight_encode(&flight, NULL, &bytes);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL),
			 -FAIL_INVALID); /* nothing at all */
	buf_finish(&bytes);
}

static void full_flights_fit_and_no_more(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	flight.n_rows = FLIGHT_ROWS_MAX;
	flight.n_ops = FLIGHT_OPS_MAX;
	for (uint32_t i = 0; i < FLIGHT_ROWS_MAX; i++)
		flight.rows[i] = (struct flight_row){ i, i, i ? i - 1 : UINT32_MAX, 1 };
	float *many = calloc(FLIGHT_ROWS_MAX * 4, sizeof(float));
	assert_non_null(many);
	flight_encode(&flight, many, &bytes);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL), 0);
	assert_int_equal(back.rows[511].parent, 510);
	/* the reader has less room than the format allows */
	assert_int_equal(flight_decode(&back, states, ROWS - 1, 4, bytes.data, bytes.size, NULL),
			 -FAIL_INVALID);
	store_u32le(bytes.data + 84, FLIGHT_ROWS_MAX + 1);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL),
			 -FAIL_INVALID);
	store_u32le(bytes.data + 84, FLIGHT_ROWS_MAX);
	store_u32le(bytes.data + 88, FLIGHT_OPS_MAX + 1);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL),
			 -FAIL_INVALID);
	free(many);
	buf_finish(&bytes);
}

/* One field of an encoded flight changed: offset, width, a good value, a bad one. */
static void every_field_is_held_to_its_range(void **state)
{
	static const struct {
		size_t at;
		int width;
		uint32_t good, bad;
	} cases[] = {
		{ 0, 4, FLIGHT_MAGIC, FLIGHT_MAGIC + 1 },
		{ 72, 4, FLIGHT_KINDS - 1, FLIGHT_KINDS },
		{ 76, 2, PLAN_STAGES_MAX, PLAN_STAGES_MAX + 1 },
		{ 78, 2, PLAN_STAGES_MAX, PLAN_STAGES_MAX + 1 },
		{ 82, 2, WIRE_F32, WIRE_F16 + 1 },
		{ 84, 4, 2, 3 },                /* rows: the size does not fit */
		{ 88, 4, 2, 1 },
		{ 92, 4, 4, 5 },                /* n_embd */
		{ 96 + 8, 4, UINT32_MAX, 0 },   /* row 0 follows itself */
		{ 96 + 12, 4, 1, 2 },           /* an unknown want */
		{ 96 + 16 + 8, 4, 0, 1 },       /* row 1 follows itself */
		{ 96 + 16 + 8, 4, UINT32_MAX, UINT32_MAX - 1 },
		{ 96 + 32, 4, SEQUENCE_OPS - 1, SEQUENCE_OPS },
	};
	struct buf bytes;
	buf_init(&bytes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int bad = 0; bad < 2; bad++) {
			const uint32_t value = bad ? cases[i].bad : cases[i].good;
			buf_clear(&bytes);
			flight_encode(&flight, sample_states, &bytes);
			if (cases[i].width == 2)
				store_u16le(bytes.data + cases[i].at, (uint16_t)value);
			else
				store_u32le(bytes.data + cases[i].at, value);
			assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size,
						       NULL), bad ? -FAIL_INVALID : 0);
		}
	}
	buf_finish(&bytes);
}

static void every_cut_is_refused(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	flight_encode(&flight, sample_states, &bytes);
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, size, NULL),
				 -FAIL_INVALID);
	buf_u8(&bytes, 0);
	assert_int_equal(flight_decode(&back, states, ROWS, 4, bytes.data, bytes.size, NULL),
			 -FAIL_INVALID);
	buf_finish(&bytes);
}

/* What of a row is no longer needed does not travel. */
static void rows_move_together_and_apart(void **state)
{
	float rows[3 * 5] = { 1, 2, 9, 9, 9, 3, 4, 9, 9, 9, 5, 6, 9, 9, 9 };
	const float together[6] = { 1, 2, 3, 4, 5, 6 };
	flight_pack(rows, 3, 2, 5);
	assert_memory_equal(rows, together, sizeof(together));
	flight_spread(rows, 3, 2, 5);
	for (uint32_t i = 0; i < 3; i++)
		assert_memory_equal(rows + 5 * i, together + 2 * i, 2 * sizeof(float));
	flight_pack(rows, 3, 5, 5); /* nothing to do */
	flight_spread(rows, 3, 5, 5);
	assert_memory_equal(rows + 5, together + 2, 2 * sizeof(float));
}

/* They are told apart by their own width, which may be less than there is room for. */
static void narrow_flights_fit(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	flight_encode(&flight, sample_states, &bytes);
	assert_int_equal(flight_decode(&back, states, ROWS, 7, bytes.data, bytes.size, NULL), 0);
	assert_int_equal(back.n_embd, 4);
	assert_memory_equal(states, sample_states, sizeof(sample_states));
	buf_finish(&bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_flight_comes_back),
		TEST(head_and_states_are_the_whole),
		TEST(half_states_are_rounded_once),
		TEST(operations_travel_without_rows),
		TEST(full_flights_fit_and_no_more),
		TEST(every_field_is_held_to_its_range),
		TEST(every_cut_is_refused),
		TEST(rows_move_together_and_apart),
		TEST(narrow_flights_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
