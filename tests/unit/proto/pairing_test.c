#include "proto/pairing.h"

#include "tests/unit/proto/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct window { /* what a member's node keeps */
	const char *code; /* NULL: no window */
	int left, asked;
};

static bool attempt(void *context, char code[PAIRING_CODE_BYTES])
{
	struct window *window = context;
	window->asked++;
	if (!window->code || window->left == 0)
		return false;
	window->left--;
	memcpy(code, window->code, PAIRING_CODE_BYTES);
	return true;
}

struct run {
	struct identity *joiner_self, *member_self;
	uint8_t dialler[PREAMBLE_BYTES], accepter[PREAMBLE_BYTES];
	uint8_t joiner_dialler[PREAMBLE_BYTES]; /* what the joiner believes it sent */
	struct window window;
	struct pairing *joiner, *member;
	struct buf to_joiner, to_member;
	struct fail fail;
	int flip;       /* a bit of everything that travels that gets lost; -1: none */
	int travelled;  /* bits so far */
};

static int setup(void **state)
{
	static struct run run;
	memset(&run, 0, sizeof(run));
	run.joiner_self = home_device(1);
	run.member_self = home_device(2);
	preamble_make(run.dialler, CONNECTION_PAIR);
	preamble_make(run.accepter, CONNECTION_PAIR);
	memcpy(run.joiner_dialler, run.dialler, PREAMBLE_BYTES);
	run.window = (struct window){ "482913", 3, 0 };
	run.flip = -1;
	*state = &run;
	return 0;
}

static void end_run(struct run *run)
{
	pairing_destroy(run->joiner);
	pairing_destroy(run->member);
	run->joiner = run->member = NULL;
	buf_finish(&run->to_joiner);
	buf_finish(&run->to_member);
}

static int teardown(void **state)
{
	struct run *run = *state;
	end_run(run);
	identity_destroy(run->joiner_self);
	identity_destroy(run->member_self);
	return 0;
}

static void begin(struct run *run, const char *code)
{
	end_run(run);
	run->travelled = 0;
	run->member = pairing_create_member(run->member_self, "Ada's home", run->dialler,
					    run->accepter, attempt, &run->window, &run->to_joiner,
					    &run->fail);
	run->joiner = pairing_create_joiner(run->joiner_self, "kitchen-pi", code,
					    run->joiner_dialler, run->accepter, &run->fail);
	assert_non_null(run->member);
	assert_non_null(run->joiner);
}

/* Gives one message from `queue` to `pairing`; 1 when there was none. */
static int pass(struct run *run, struct pairing *pairing, struct buf *queue, struct buf *answer)
{
	const size_t wants = pairing_wants(pairing);
	if (wants == 0 || queue->size < wants)
		return 1000;
	uint8_t *bytes = queue->data;
	const int bit = run->flip - run->travelled;
	if (bit >= 0 && bit < (int)wants * 8)
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	run->travelled += (int)wants * 8;
	const size_t before = answer->size;
	const int result = pairing_step(pairing, bytes, answer, &run->fail);
	if (result < 0)
		assert_int_equal(answer->size, before);
	buf_consume(queue, wants);
	return result;
}

static int admit(struct run *run, const struct identity *signer)
{
	struct statement root, add;
	uint8_t bytes[2 * STATEMENT_BYTES];
	const char *name;
	const struct device_keys *keys = pairing_peer(run->member, &name);
	home_root(&root, run->member_self, "desk");
	home_add(&add, &root, signer, keys, name);
	statement_encode(&root, bytes);
	statement_encode(&add, bytes + STATEMENT_BYTES);
	return pairing_admit(run->member, root.home, bytes, 2, &run->to_joiner, &run->fail);
}

/* Runs until one side fails (its code), or the joiner is done. */
static int play(struct run *run)
{
	for (;;) {
		int result = pass(run, run->joiner, &run->to_joiner, &run->to_member);
		if (result < 0 || result == PAIRING_DONE)
			return result;
		const int other = pass(run, run->member, &run->to_member, &run->to_joiner);
		if (other < 0)
			return other;
		if (other == PAIRING_MET)
			assert_int_equal(admit(run, run->member_self), 0);
		assert_false(result == 1000 && other == 1000);
	}
}

static void the_right_code_makes_both_know_each_other(void **state)
{
	struct run *run = *state;
	const char *name;
	begin(run, "482913");
	assert_int_equal(play(run), PAIRING_DONE);
	assert_int_equal(run->window.asked, 1);
	assert_true(device_id_equal(&pairing_peer(run->joiner, &name)->id,
				    &run->member_self->keys.id));
	assert_string_equal(name, "");
	assert_true(device_id_equal(&pairing_peer(run->member, &name)->id,
				    &run->joiner_self->keys.id));
	assert_string_equal(name, "kitchen-pi");
	const struct pairing_welcome *welcome = pairing_welcome(run->joiner);
	assert_string_equal(welcome->label, "Ada's home");
	assert_int_equal(welcome->n_statements, 2);
	struct statement root;
	assert_int_equal(statement_decode(&root, welcome->statements, NULL), 0);
	assert_true(statement_is_root(&root));
	assert_memory_equal(root.home, welcome->home, HOME_ID_BYTES);
	assert_int_equal(pairing_wants(run->joiner), 0);
	assert_int_equal(pairing_wants(run->member), 0);
}

static void a_wrong_code_is_refused_and_counted(void **state)
{
	struct run *run = *state;
	begin(run, "482914");
	assert_int_equal(play(run), -FAIL_DENIED);
	assert_int_equal(run->window.left, 2);
	assert_int_equal(pairing_wants(run->joiner), 0);
	/* what the joiner would have to send to be believed does not exist: a made-up M3 */
	uint8_t made_up[64] = { 0 };
	assert_int_equal(pairing_wants(run->member), sizeof(made_up));
	assert_int_equal(pairing_step(run->member, made_up, &run->to_joiner, &run->fail),
			 -FAIL_DENIED);
	assert_non_null(strstr(run->fail.text, "wrong code"));
}

/* An attacker takes M2, tries its guess at home and hangs up: the attempt is gone all the same. */
static void hanging_up_after_m2_costs_an_attempt(void **state)
{
	struct run *run = *state;
	for (int i = 3; i > 0; i--) {
		assert_int_equal(run->window.left, i);
		begin(run, "000000");
		assert_int_equal(pass(run, run->joiner, &run->to_joiner, &run->to_member),
				 PAIRING_GOES_ON);
		assert_int_equal(pass(run, run->member, &run->to_member, &run->to_joiner),
				 PAIRING_GOES_ON);
	}
	begin(run, "482913"); /* the right code comes too late */
	assert_int_equal(play(run), -FAIL_DENIED);
	assert_int_equal(run->to_joiner.size, 0); /* M2 was not sent */
	assert_int_equal(run->window.asked, 4);
}

static void without_a_window_nothing_is_answered(void **state)
{
	struct run *run = *state;
	run->window.code = NULL;
	begin(run, "482913");
	assert_int_equal(play(run), -FAIL_DENIED);
	assert_int_equal(run->to_joiner.size, 0);
}

static void another_preamble_breaks_it(void **state)
{
	struct run *run = *state;
	run->joiner_dialler[9] ^= 1;
	begin(run, "482913");
	assert_int_equal(play(run), -FAIL_DENIED);
}

/* A man in the middle that changes any one bit of any message: no success. */
static void every_changed_bit_breaks_it(void **state)
{
	struct run *run = *state;
	begin(run, "482913");
	assert_int_equal(play(run), PAIRING_DONE);
	const int bits = run->travelled;
	for (run->flip = 0; run->flip < bits; run->flip += 23) {
		run->window.left = 3;
		begin(run, "482913");
		assert_true(play(run) < 0);
	}
}

static void invalid_shares_are_refused(void **state)
{
	struct run *run = *state;
	static const uint8_t shares[3][32] = { { 0 }, { 1 }, { 0xff } };
	for (int i = 0; i < 3; i++) {
		begin(run, "482913");
		pass(run, run->joiner, &run->to_joiner, &run->to_member);
		memcpy(run->to_member.data + 16, shares[i], 32);
		run->window.left = 3;
		assert_int_equal(pass(run, run->member, &run->to_member, &run->to_joiner),
				 -FAIL_INVALID);
		assert_int_equal(run->window.left, 2);
		begin(run, "482913");
		pass(run, run->joiner, &run->to_joiner, &run->to_member);
		pass(run, run->member, &run->to_member, &run->to_joiner);
		memcpy(run->to_joiner.data, shares[i], 32);
		assert_int_equal(pass(run, run->joiner, &run->to_joiner, &run->to_member),
				 -FAIL_INVALID);
	}
}

/* The joiner's own share sent back to it must not count as the member's. */
static void reflection_is_refused(void **state)
{
	struct run *run = *state;
	uint8_t m2[96];
	begin(run, "482913");
	pass(run, run->joiner, &run->to_joiner, &run->to_member);
	memset(m2, 0, sizeof(m2));
	memcpy(m2, run->to_member.data + 16, 32);
	assert_int_equal(pairing_step(run->joiner, m2, &run->to_member, &run->fail), -FAIL_DENIED);
}

static void a_welcome_that_does_not_add_us_is_refused(void **state)
{
	struct run *run = *state;
	begin(run, "482913");
	int result;
	do {
		pass(run, run->joiner, &run->to_joiner, &run->to_member);
		result = pass(run, run->member, &run->to_member, &run->to_joiner);
	} while (result != PAIRING_MET);
	struct identity *other = home_device(3);
	assert_int_equal(admit(run, other), 0); /* signed by somebody else */
	identity_destroy(other);
	assert_int_equal(pass(run, run->joiner, &run->to_joiner, &run->to_member),
			 PAIRING_GOES_ON);
	assert_int_equal(pass(run, run->joiner, &run->to_joiner, &run->to_member), -FAIL_INVALID);
}

static void the_welcome_has_a_limit(void **state)
{
	struct run *run = *state;
	const uint32_t fixed = 64 + 64 + 16 + 64 + 16;
	const uint32_t sizes[] = { 0, fixed, fixed + STATEMENT_BYTES - 1, fixed + STATEMENT_BYTES + 1,
				   fixed + (ROSTER_STATEMENTS_MAX + 1) * STATEMENT_BYTES,
				   UINT32_MAX };
	for (size_t i = 0; i <= sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin(run, "482913");
		run->window.left = 3;
		int result;
		do {
			pass(run, run->joiner, &run->to_joiner, &run->to_member);
			result = pass(run, run->member, &run->to_member, &run->to_joiner);
		} while (result != PAIRING_MET);
		uint8_t head[4];
		if (i < sizeof(sizes) / sizeof(sizes[0])) {
			store_u32le(head, sizes[i]);
			assert_int_equal(pairing_step(run->joiner, head, &run->to_member, NULL),
					 -FAIL_INVALID);
			continue;
		}
		store_u32le(head, fixed + ROSTER_STATEMENTS_MAX * STATEMENT_BYTES);
		assert_int_equal(pairing_step(run->joiner, head, &run->to_member, NULL),
				 PAIRING_GOES_ON);
	}
}

static void codes_are_read_as_people_write_them(void **state)
{
	char code[PAIRING_CODE_BYTES];
	assert_true(pairing_code_read(code, " 482 913\n"));
	assert_string_equal(code, "482913");
	assert_true(pairing_code_read(code, "482-913"));
	assert_false(pairing_code_read(code, "48291"));
	assert_false(pairing_code_read(code, "4829133"));
	assert_false(pairing_code_read(code, "48291x"));
	assert_false(pairing_code_read(code, ""));
	bool differs = false;
	char other[PAIRING_CODE_BYTES];
	pairing_code(code);
	assert_int_equal(strspn(code, "0123456789"), 6);
	for (int i = 0; i < 5; i++) {
		pairing_code(other);
		differs |= strcmp(code, other) != 0;
	}
	assert_true(differs);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_right_code_makes_both_know_each_other),
		TEST(a_wrong_code_is_refused_and_counted),
		TEST(hanging_up_after_m2_costs_an_attempt),
		TEST(without_a_window_nothing_is_answered),
		TEST(another_preamble_breaks_it),
		TEST(every_changed_bit_breaks_it),
		TEST(invalid_shares_are_refused),
		TEST(reflection_is_refused),
		TEST(a_welcome_that_does_not_add_us_is_refused),
		TEST(the_welcome_has_a_limit),
		cmocka_unit_test(codes_are_read_as_people_write_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
