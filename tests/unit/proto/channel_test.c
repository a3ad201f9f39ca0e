#include "proto/channel.h"

#include "proto/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD_OVERHEAD (RECORD_HEAD_BYTES + 2 + RECORD_TAG_BYTES)

struct pair { /* one sends, the other receives */
	struct channel *from, *to;
	struct buf wire;
	struct fail fail;
};

static struct channel *make(uint8_t send, uint8_t receive, enum connection_kind kind)
{
	struct channel_keys keys;
	memset(&keys, 0, sizeof(keys));
	memset(keys.send, send, KEY_BYTES);
	memset(keys.receive, receive, KEY_BYTES);
	struct channel *channel = channel_create(&keys, kind);
	static const uint8_t wiped[KEY_BYTES];
	assert_memory_equal(keys.send, wiped, KEY_BYTES);
	assert_non_null(channel);
	return channel;
}

static void seal(struct pair *pair, enum message_type type, const void *body, size_t size)
{
	assert_int_equal(channel_seal(pair->from, type, NULL, 0, body, size, &pair->wire, NULL), 0);
}

static int next(struct pair *pair, struct channel_message *message)
{
	return channel_next(pair->to, message, &pair->fail);
}

/* Everything on the wire arrives at once. */
static void deliver(struct pair *pair)
{
	assert_int_equal(channel_feed(pair->to, pair->wire.data, pair->wire.size, NULL), 0);
	buf_clear(&pair->wire);
}

static void open_pair(struct pair *pair, enum connection_kind kind, bool hello)
{
	memset(pair, 0, sizeof(*pair));
	pair->from = make(1, 2, kind);
	pair->to = make(2, 1, kind);
	if (!hello)
		return;
	struct channel_message message;
	seal(pair, MESSAGE_HELLO, "hi", 2);
	deliver(pair);
	assert_int_equal(next(pair, &message), 1);
	assert_int_equal(message.type, MESSAGE_HELLO);
	assert_int_equal(next(pair, &message), 0);
}

static void close_pair(struct pair *pair)
{
	channel_destroy(pair->from);
	channel_destroy(pair->to);
	buf_finish(&pair->wire);
}

static uint8_t *pattern(size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	return bytes;
}

static void messages_of_every_size_arrive_whole(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, RECORD_BODY_MAX - 1, RECORD_BODY_MAX,
					RECORD_BODY_MAX + 1, 3 * RECORD_BODY_MAX,
					3 * RECORD_BODY_MAX + 5, MODEL_CHUNK_BYTES };
	struct pair pair;
	open_pair(&pair, CONNECTION_TRANSFER, true);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *bytes = pattern(sizes[i]);
		struct channel_message message;
		seal(&pair, MESSAGE_CHUNK, bytes, sizes[i]);
		const size_t n = sizes[i] ? (sizes[i] + RECORD_BODY_MAX - 1) / RECORD_BODY_MAX : 1;
		assert_int_equal(pair.wire.size, sizes[i] + n * RECORD_OVERHEAD);
		deliver(&pair);
		assert_int_equal(next(&pair, &message), 1);
		assert_int_equal(message.type, MESSAGE_CHUNK);
		assert_int_equal(message.size, sizes[i]);
		assert_memory_equal(message.body, bytes, sizes[i]);
		assert_int_equal(next(&pair, &message), 0);
		free(bytes);
	}
	close_pair(&pair);
}

static void head_and_body_are_one_message(void **state)
{
	struct pair pair;
	open_pair(&pair, CONNECTION_RING, true);
	uint8_t *bytes = pattern(200000);
	static const size_t heads[] = { 0, 96, RECORD_BODY_MAX - 1, RECORD_BODY_MAX,
					RECORD_BODY_MAX + 3, 200000 };
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct channel_message message;
		assert_int_equal(channel_seal(pair.from, MESSAGE_FLIGHT, bytes, heads[i],
					      bytes + heads[i], 200000 - heads[i], &pair.wire,
					      NULL), 0);
		deliver(&pair);
		assert_int_equal(next(&pair, &message), 1);
		assert_int_equal(message.size, 200000);
		assert_memory_equal(message.body, bytes, 200000);
	}
	free(bytes);
	close_pair(&pair);
}

/* However the network cuts the stream, the same messages come out. */
static void any_cut_of_the_stream_gives_the_same(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 64, 1000, 65536, 70000, 1 << 20 };
	uint8_t *bytes = pattern(150000);
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		struct pair pair;
		struct channel_message message;
		open_pair(&pair, CONNECTION_TRANSFER, true);
		seal(&pair, MESSAGE_CHUNK, bytes, 3);
		seal(&pair, MESSAGE_CHUNK, bytes, 150000);
		seal(&pair, MESSAGE_FETCH, bytes, 0);
		seal(&pair, MESSAGE_CHUNK, bytes, 70000);
		static const size_t sizes[] = { 3, 150000, 0, 70000 };
		size_t got = 0, at = 0;
		while (at < pair.wire.size) {
			size_t room;
			uint8_t *to = channel_space(pair.to, &room);
			assert_non_null(to);
			assert_true(room > 0);
			size_t n = pair.wire.size - at < steps[s] ? pair.wire.size - at : steps[s];
			n = n < room ? n : room;
			memcpy(to, pair.wire.data + at, n);
			channel_received(pair.to, n);
			at += n;
			while (next(&pair, &message) == 1) {
				assert_int_equal(message.size, sizes[got]);
				assert_memory_equal(message.body, bytes, sizes[got]);
				got++;
			}
			assert_int_equal(pair.fail.code, FAIL_NONE);
		}
		assert_int_equal(got, 4);
		close_pair(&pair);
	}
	free(bytes);
}

static void the_limit_is_exact_and_comes_before_buffering(void **state)
{
	struct pair pair;
	struct channel_message message;
	const size_t most = message_limit(MESSAGE_CHUNK, CONNECTION_TRANSFER, true);
	uint8_t *bytes = pattern(most + 1);
	open_pair(&pair, CONNECTION_TRANSFER, true);
	seal(&pair, MESSAGE_CHUNK, bytes, most);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), 1);
	assert_int_equal(message.size, most);
	seal(&pair, MESSAGE_CHUNK, bytes, most + 1);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), -FAIL_INVALID);
	assert_int_equal(next(&pair, &message), -FAIL_CORRUPT); /* for good */
	free(bytes);
	close_pair(&pair);
}

static void a_ring_may_lower_the_limit_of_flights(void **state)
{
	struct pair pair;
	struct channel_message message;
	uint8_t *bytes = pattern(5001);
	open_pair(&pair, CONNECTION_RING, true);
	channel_limit_flights(pair.to, 5000);
	seal(&pair, MESSAGE_FLIGHT, bytes, 5000);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), 1);
	seal(&pair, MESSAGE_FLIGHT, bytes, 5001);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), -FAIL_INVALID);
	free(bytes);
	close_pair(&pair);
}

static void refused(enum connection_kind kind, bool hello, enum message_type type)
{
	struct pair pair;
	struct channel_message message;
	open_pair(&pair, kind, hello);
	seal(&pair, type, "x", 1);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), -FAIL_INVALID);
	close_pair(&pair);
}

static void what_is_not_allowed_now_is_refused(void **state)
{
	refused(CONNECTION_CONTROL, false, MESSAGE_PING);
	refused(CONNECTION_CONTROL, true, MESSAGE_HELLO);
	refused(CONNECTION_CONTROL, true, MESSAGE_FLIGHT);
	refused(CONNECTION_RING, true, MESSAGE_PING);
	refused(CONNECTION_TRANSFER, true, MESSAGE_PREPARE);
	refused(CONNECTION_CONTROL, true, MESSAGE_TYPES);
	refused(CONNECTION_CONTROL, true, (enum message_type)0);
	refused(CONNECTION_PAIR, false, MESSAGE_HELLO);
}

static void any_changed_bit_is_noticed(void **state)
{
	for (size_t bit = 0; bit < (RECORD_OVERHEAD + 5) * 8; bit++) {
		struct pair pair;
		struct channel_message message;
		open_pair(&pair, CONNECTION_CONTROL, true);
		seal(&pair, MESSAGE_PING, "12345", 5);
		pair.wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		deliver(&pair);
		const int result = next(&pair, &message);
		/* a longer length only makes it wait: the deadline of the peer's silence ends that
		 */
		assert_true(result < 0 || (result == 0 && bit < 16));
		close_pair(&pair);
	}
}

static void replay_loss_and_exchange_are_noticed(void **state)
{
	struct pair pair;
	struct channel_message message;
	open_pair(&pair, CONNECTION_CONTROL, true);
	seal(&pair, MESSAGE_PING, "a", 1);
	const size_t one = pair.wire.size;
	seal(&pair, MESSAGE_PING, "b", 1);
	channel_feed(pair.to, pair.wire.data + one, one, NULL); /* the second first */
	assert_int_equal(next(&pair, &message), -FAIL_CORRUPT);
	close_pair(&pair);
	open_pair(&pair, CONNECTION_CONTROL, true);
	seal(&pair, MESSAGE_PING, "a", 1);
	channel_feed(pair.to, pair.wire.data, pair.wire.size, NULL);
	channel_feed(pair.to, pair.wire.data, pair.wire.size, NULL); /* twice */
	assert_int_equal(next(&pair, &message), 1);
	assert_int_equal(next(&pair, &message), -FAIL_CORRUPT);
	close_pair(&pair);
}

static void a_record_too_short_is_refused_at_once(void **state)
{
	for (uint16_t size = 0; size < 18; size++) {
		struct pair pair;
		struct channel_message message;
		uint8_t head[2];
		open_pair(&pair, CONNECTION_CONTROL, true);
		store_u16le(head, size);
		channel_feed(pair.to, head, 2, NULL);
		assert_int_equal(next(&pair, &message), -FAIL_INVALID);
		close_pair(&pair);
	}
}

static void keys_are_replaced_and_the_stream_goes_on(void **state)
{
	struct pair pair;
	struct channel_message message;
	open_pair(&pair, CONNECTION_CONTROL, true);
	for (uint32_t i = 0; i < 2 * RECORDS_PER_KEY + 100; i++) {
		seal(&pair, MESSAGE_PING, &i, sizeof(i));
		deliver(&pair);
		assert_int_equal(next(&pair, &message), 1);
		assert_memory_equal(message.body, &i, sizeof(i));
	}
	close_pair(&pair);
}

static void closing_is_explicit(void **state)
{
	struct pair pair;
	struct channel_message message;
	open_pair(&pair, CONNECTION_CONTROL, true);
	assert_false(channel_closed(pair.to));
	seal(&pair, MESSAGE_CLOSE, "x", 1);
	assert_int_equal(channel_seal(pair.from, MESSAGE_PING, NULL, 0, NULL, 0, &pair.wire, NULL),
			 -FAIL_CANCELLED);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), 1);
	assert_int_equal(message.type, MESSAGE_CLOSE);
	assert_true(channel_closed(pair.to));
	assert_int_equal(next(&pair, &message), 0);
	channel_feed(pair.to, "z", 1, NULL);
	assert_int_equal(next(&pair, &message), -FAIL_INVALID);
	close_pair(&pair);
}

static void a_close_before_hello_is_heard(void **state)
{
	struct pair pair;
	struct channel_message message;
	open_pair(&pair, CONNECTION_RING, false);
	struct message close = { .type = MESSAGE_CLOSE };
	strcpy(close.close.reason, "another epoch");
	assert_int_equal(channel_seal_message(pair.from, &close, &pair.wire, NULL), 0);
	deliver(&pair);
	assert_int_equal(next(&pair, &message), 1);
	struct message got;
	struct buf scratch;
	buf_init(&scratch);
	assert_int_equal(message_decode(&got, message.type, message.body, message.size, &scratch,
					NULL), 0);
	assert_string_equal(got.close.reason, "another epoch");
	buf_finish(&scratch);
	close_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_every_size_arrive_whole),
		cmocka_unit_test(head_and_body_are_one_message),
		cmocka_unit_test(any_cut_of_the_stream_gives_the_same),
		cmocka_unit_test(the_limit_is_exact_and_comes_before_buffering),
		cmocka_unit_test(a_ring_may_lower_the_limit_of_flights),
		cmocka_unit_test(what_is_not_allowed_now_is_refused),
		cmocka_unit_test(any_changed_bit_is_noticed),
		cmocka_unit_test(replay_loss_and_exchange_are_noticed),
		cmocka_unit_test(a_record_too_short_is_refused_at_once),
		cmocka_unit_test(keys_are_replaced_and_the_stream_goes_on),
		cmocka_unit_test(closing_is_explicit),
		cmocka_unit_test(a_close_before_hello_is_heard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
