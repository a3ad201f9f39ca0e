#include "proto/handshake.h"

#include "proto/channel.h"
#include "tests/unit/proto/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct meeting { /* a dialler and an accepter of one home */
	struct identity *dialler_self, *accepter_self;
	uint8_t dialler_home[HOME_ID_BYTES], accepter_home[HOME_ID_BYTES];
	uint8_t dialler_says[PREAMBLE_BYTES], accepter_says[PREAMBLE_BYTES];
	enum handshake_verdict verdict;
	int asked;
	uint32_t carried;
	uint8_t statements[HANDSHAKE_STATEMENTS_MAX * STATEMENT_BYTES];
	struct handshake *dialler, *accepter;
	struct buf first, second;
	struct fail fail;
};

static enum handshake_verdict lookup(void *context, const uint8_t x_pk[KEY_BYTES],
				     const uint8_t *statements, uint32_t n_statements,
				     struct device_keys *peer, uint8_t notice[STATEMENT_BYTES])
{
	struct meeting *meeting = context;
	meeting->asked++;
	meeting->carried = n_statements;
	if (memcmp(x_pk, meeting->dialler_self->keys.x_pk, KEY_BYTES) != 0)
		return HANDSHAKE_STRANGER;
	assert_memory_equal(statements, meeting->statements, n_statements * STATEMENT_BYTES);
	*peer = meeting->dialler_self->keys;
	if (meeting->verdict == HANDSHAKE_REMOVED)
		memset(notice, 7, STATEMENT_BYTES);
	return meeting->verdict;
}

static int setup(void **state)
{
	static struct meeting meeting;
	memset(&meeting, 0, sizeof(meeting));
	meeting.dialler_self = home_device(1);
	meeting.accepter_self = home_device(2);
	memset(meeting.dialler_home, 5, HOME_ID_BYTES);
	memset(meeting.accepter_home, 5, HOME_ID_BYTES);
	preamble_make(meeting.dialler_says, CONNECTION_CONTROL);
	preamble_answer(meeting.accepter_says, CONNECTION_CONTROL, meeting.accepter_home,
			&meeting.accepter_self->keys.id);
	memset(meeting.statements, 0x33, sizeof(meeting.statements));
	meeting.verdict = HANDSHAKE_MEMBER;
	*state = &meeting;
	return 0;
}

static void part(struct meeting *meeting)
{
	handshake_destroy(meeting->dialler);
	handshake_destroy(meeting->accepter);
	meeting->dialler = meeting->accepter = NULL;
	buf_finish(&meeting->first);
	buf_finish(&meeting->second);
}

static int teardown(void **state)
{
	struct meeting *meeting = *state;
	part(meeting);
	identity_destroy(meeting->dialler_self);
	identity_destroy(meeting->accepter_self);
	return 0;
}

static void start(struct meeting *meeting, uint32_t n_statements)
{
	part(meeting);
	meeting->dialler = handshake_create(meeting->dialler_self, meeting->dialler_home,
					    meeting->dialler_says, meeting->accepter_says);
	meeting->accepter = handshake_create(meeting->accepter_self, meeting->accepter_home,
					     meeting->dialler_says, meeting->accepter_says);
	assert_non_null(meeting->dialler);
	assert_non_null(meeting->accepter);
	assert_int_equal(handshake_start(meeting->dialler, &meeting->accepter_self->keys,
					 n_statements ? meeting->statements : NULL, n_statements,
					 &meeting->first, &meeting->fail), 0);
	assert_int_equal(meeting->first.size, HANDSHAKE_FIRST_BYTES);
}

static int answer(struct meeting *meeting)
{
	return handshake_answer(meeting->accepter, meeting->first.data, lookup, meeting,
				&meeting->second, &meeting->fail);
}

static int end(struct meeting *meeting)
{
	assert_int_equal(meeting->second.size, HANDSHAKE_SECOND_BYTES);
	return handshake_end(meeting->dialler, meeting->second.data, &meeting->fail);
}

static void members_get_the_same_keys(void **state)
{
	struct meeting *meeting = *state;
	struct channel_keys ours, theirs;
	start(meeting, 0);
	assert_int_equal(answer(meeting), 0);
	assert_int_equal(end(meeting), 0);
	handshake_keys(meeting->dialler, &ours);
	handshake_keys(meeting->accepter, &theirs);
	assert_memory_equal(ours.send, theirs.receive, KEY_BYTES);
	assert_memory_equal(ours.receive, theirs.send, KEY_BYTES);
	assert_memory_equal(ours.hash, theirs.hash, sizeof(ours.hash));
	assert_memory_not_equal(ours.send, ours.receive, KEY_BYTES);
	assert_true(device_id_equal(&handshake_peer(meeting->dialler)->id,
				    &meeting->accepter_self->keys.id));
	assert_true(device_id_equal(&handshake_peer(meeting->accepter)->id,
				    &meeting->dialler_self->keys.id));
	assert_null(handshake_notice(meeting->dialler));
	start(meeting, 0); /* a second run gives other keys */
	struct channel_keys again;
	assert_int_equal(answer(meeting), 0);
	handshake_keys(meeting->accepter, &again);
	assert_memory_not_equal(again.send, theirs.send, KEY_BYTES);
}

/* The keys of both sides fit together: each hears the other's HELLO. */
static void their_channels_understand_each_other(void **state)
{
	struct meeting *meeting = *state;
	static struct message hello, heard;
	struct channel *channels[2];
	struct channel_keys keys;
	struct channel_message message;
	struct buf wire, scratch;
	buf_init(&wire);
	buf_init(&scratch);
	start(meeting, 0);
	assert_int_equal(answer(meeting), 0);
	assert_int_equal(end(meeting), 0);
	handshake_keys(meeting->dialler, &keys);
	channels[0] = channel_create(&keys, CONNECTION_CONTROL);
	handshake_keys(meeting->accepter, &keys);
	channels[1] = channel_create(&keys, CONNECTION_CONTROL);
	hello.type = MESSAGE_HELLO;
	for (int i = 0; i < 2; i++) {
		buf_clear(&wire);
		hello.hello.boot = 1000u + (unsigned)i;
		assert_int_equal(channel_seal_message(channels[i], &hello, &wire, NULL), 0);
		assert_int_equal(channel_feed(channels[1 - i], wire.data, wire.size, NULL), 0);
		assert_int_equal(channel_next(channels[1 - i], &message, NULL), 1);
		assert_int_equal(message_decode(&heard, message.type, message.body, message.size,
						&scratch, NULL), 0);
		assert_int_equal(heard.hello.boot, 1000 + i);
	}
	channel_destroy(channels[0]);
	channel_destroy(channels[1]);
	buf_finish(&wire);
	buf_finish(&scratch);
}

static void statements_arrive_with_the_first_message(void **state)
{
	struct meeting *meeting = *state;
	for (uint32_t n = 0; n <= HANDSHAKE_STATEMENTS_MAX; n++) {
		start(meeting, n);
		assert_int_equal(answer(meeting), 0);
		assert_int_equal(meeting->carried, n);
	}
}

static void a_stranger_gets_no_byte(void **state)
{
	struct meeting *meeting = *state;
	meeting->verdict = HANDSHAKE_STRANGER;
	start(meeting, 0);
	assert_int_equal(answer(meeting), -FAIL_DENIED);
	assert_int_equal(meeting->second.size, 0);
}

static void a_removed_device_learns_it(void **state)
{
	struct meeting *meeting = *state;
	uint8_t notice[STATEMENT_BYTES];
	memset(notice, 7, sizeof(notice));
	meeting->verdict = HANDSHAKE_REMOVED;
	start(meeting, 0);
	assert_int_equal(answer(meeting), -FAIL_DENIED);
	assert_int_equal(end(meeting), -FAIL_DENIED);
	assert_non_null(handshake_notice(meeting->dialler));
	assert_memory_equal(handshake_notice(meeting->dialler), notice, sizeof(notice));
}

/* Whoever does not hold the key that was meant cannot even tell who calls. */
static void only_the_device_called_can_answer(void **state)
{
	struct meeting *meeting = *state;
	struct identity *other = home_device(9);
	start(meeting, 0);
	handshake_destroy(meeting->accepter);
	meeting->accepter = handshake_create(other, meeting->accepter_home, meeting->dialler_says,
					     meeting->accepter_says);
	assert_int_equal(answer(meeting), -FAIL_DENIED);
	assert_int_equal(meeting->asked, 0);
	assert_int_equal(meeting->second.size, 0);
	identity_destroy(other);
}

static void another_home_or_preamble_fails(void **state)
{
	struct meeting *meeting = *state;
	meeting->accepter_home[0] ^= 1;
	start(meeting, 0);
	assert_int_equal(answer(meeting), -FAIL_DENIED);
	meeting->accepter_home[0] ^= 1;
	for (int at = 0; at < 2 * PREAMBLE_BYTES; at++) {
		start(meeting, 0);
		handshake_destroy(meeting->accepter);
		uint8_t says[2 * PREAMBLE_BYTES];
		memcpy(says, meeting->dialler_says, PREAMBLE_BYTES);
		memcpy(says + PREAMBLE_BYTES, meeting->accepter_says, PREAMBLE_BYTES);
		says[at] ^= 1;
		meeting->accepter = handshake_create(meeting->accepter_self, meeting->accepter_home,
						     says, says + PREAMBLE_BYTES);
		assert_int_equal(answer(meeting), -FAIL_DENIED);
	}
	assert_int_equal(meeting->asked, 0);
}

static void every_changed_bit_of_the_first_message_fails(void **state)
{
	struct meeting *meeting = *state;
	for (int bit = 0; bit < HANDSHAKE_FIRST_BYTES * 8; bit += 37) {
		start(meeting, 1);
		meeting->first.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(answer(meeting) < 0);
		assert_int_equal(meeting->second.size, 0);
	}
	assert_int_equal(meeting->asked, 0);
}

static void every_changed_bit_of_the_second_message_fails(void **state)
{
	struct meeting *meeting = *state;
	for (int bit = 0; bit < HANDSHAKE_SECOND_BYTES * 8; bit += 13) {
		start(meeting, 0);
		assert_int_equal(answer(meeting), 0);
		meeting->second.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(end(meeting) < 0);
		assert_null(handshake_notice(meeting->dialler));
	}
}

static void a_key_of_zeros_is_refused(void **state)
{
	struct meeting *meeting = *state;
	struct device_keys zero = meeting->accepter_self->keys;
	memset(zero.x_pk, 0, KEY_BYTES);
	start(meeting, 0);
	handshake_destroy(meeting->dialler);
	meeting->dialler = handshake_create(meeting->dialler_self, meeting->dialler_home,
					    meeting->dialler_says, meeting->accepter_says);
	buf_clear(&meeting->first);
	assert_int_equal(handshake_start(meeting->dialler, &zero, NULL, 0, &meeting->first,
					 &meeting->fail), -FAIL_INVALID);
	assert_int_equal(meeting->first.size, 0);
	start(meeting, 0);
	memset(meeting->first.data, 0, KEY_BYTES); /* ephemeral */
	assert_int_equal(answer(meeting), -FAIL_DENIED);
}

/* What an eavesdropper can do: the same first message again. The accepter answers with other keys
 * and learns nothing new; without the dialler's secrets nobody can go on from there. */
static void a_replay_leads_nowhere(void **state)
{
	struct meeting *meeting = *state;
	struct channel_keys real, replayed;
	start(meeting, 0);
	assert_int_equal(answer(meeting), 0);
	handshake_keys(meeting->accepter, &real);
	handshake_destroy(meeting->accepter);
	buf_clear(&meeting->second);
	meeting->accepter = handshake_create(meeting->accepter_self, meeting->accepter_home,
					     meeting->dialler_says, meeting->accepter_says);
	assert_int_equal(answer(meeting), 0);
	handshake_keys(meeting->accepter, &replayed);
	assert_memory_not_equal(real.receive, replayed.receive, KEY_BYTES);
	/* and on a real connection the accepter's preamble is another: refused */
	handshake_destroy(meeting->accepter);
	buf_clear(&meeting->second);
	preamble_answer(meeting->accepter_says, CONNECTION_CONTROL, meeting->accepter_home,
			&meeting->accepter_self->keys.id);
	meeting->accepter = handshake_create(meeting->accepter_self, meeting->accepter_home,
					     meeting->dialler_says, meeting->accepter_says);
	assert_int_equal(answer(meeting), -FAIL_DENIED);
}

static void preambles_name_the_trouble(void **state)
{
	struct fail fail;
	uint8_t preamble[PREAMBLE_BYTES];
	for (int kind = CONNECTION_CONTROL; kind <= CONNECTION_PAIR; kind++) {
		preamble_make(preamble, kind);
		assert_int_equal(preamble_check(preamble, &fail), kind);
	}
	preamble[5] = CONNECTION_PAIR + 1;
	assert_int_equal(preamble_check(preamble, &fail), -FAIL_INVALID);
	preamble[5] = 0;
	assert_int_equal(preamble_check(preamble, &fail), -FAIL_INVALID);
	preamble_make(preamble, CONNECTION_RING);
	preamble[6] = 1;
	assert_int_equal(preamble_check(preamble, &fail), -FAIL_INVALID);
	preamble_make(preamble, CONNECTION_RING);
	preamble[4] = PROTOCOL_MAJOR + 1;
	assert_int_equal(preamble_check(preamble, &fail), -FAIL_VERSION);
	assert_non_null(strstr(fail.text, "version 2"));
	assert_non_null(strstr(fail.text, "version 1"));
	memcpy(preamble, "GET / HTTP/1.1\r\n", PREAMBLE_BYTES);
	assert_int_equal(preamble_check(preamble, &fail), -FAIL_INVALID);
}

static void a_hint_tells_members_only_who_answered(void **state)
{
	struct meeting *meeting = *state;
	uint8_t again[PREAMBLE_BYTES];
	const struct device_id *id = &meeting->accepter_self->keys.id;
	assert_true(preamble_hints(meeting->accepter_says, meeting->accepter_home, id));
	assert_false(preamble_hints(meeting->accepter_says, meeting->accepter_home,
				    &meeting->dialler_self->keys.id));
	uint8_t other_home[HOME_ID_BYTES] = { 1 };
	assert_false(preamble_hints(meeting->accepter_says, other_home, id));
	preamble_answer(again, CONNECTION_CONTROL, meeting->accepter_home, id);
	assert_memory_not_equal(again + 8, meeting->accepter_says + 8, 8); /* not a name tag */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(members_get_the_same_keys),
		TEST(their_channels_understand_each_other),
		TEST(statements_arrive_with_the_first_message),
		TEST(a_stranger_gets_no_byte),
		TEST(a_removed_device_learns_it),
		TEST(only_the_device_called_can_answer),
		TEST(another_home_or_preamble_fails),
		TEST(every_changed_bit_of_the_first_message_fails),
		TEST(every_changed_bit_of_the_second_message_fails),
		TEST(a_key_of_zeros_is_refused),
		TEST(a_replay_leads_nowhere),
		cmocka_unit_test(preambles_name_the_trouble),
		TEST(a_hint_tells_members_only_who_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
