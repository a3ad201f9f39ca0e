/* The queue of a head: whose turn it is, who is refused, and what is told again. The ring is played
 * here: it takes no flight, so nothing that was started ends but by being cancelled. */
#include "daemon/head.h"

#include "base/account.h"
#include "daemon/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALONE 1000 /* max_tokens of a request that leaves no room for another */

static struct plan plan = { .context = 2048, .kv_positions = 1024, .chunk_rows = 8 };
static struct model_shape shape = { .n_layers = 2, .n_vocab = 100 };
static struct news news;
static uint32_t told_tokens;
static struct message_request_end ends[128];
static uint32_t n_ends;

struct hop *ring_hop_take(struct ring *ring)
{
	return NULL;
}

void ring_hop_free(struct ring *ring, struct hop *hop)
{
}

void ring_hop_compute(struct ring *ring, struct hop *hop)
{
}

void ring_hop_depart(struct ring *ring, struct hop *hop)
{
}

const struct plan *ring_plan(const struct ring *ring)
{
	return &plan;
}

uint64_t ring_bytes_sent(const struct ring *ring)
{
	return 0;
}

struct news *ring_news(struct ring *ring)
{
	return &news;
}

void news_tokens(struct news *to, const struct message_tokens *tokens)
{
	told_tokens++;
}

void news_end(struct news *to, const struct message_request_end *end)
{
	assert_true(n_ends < 128);
	ends[n_ends++] = *end;
}

static struct account account;
static struct head *head;

static void begin(void)
{
	struct fail why;
	account_init(&account, 1 << 20);
	told_tokens = n_ends = 0;
	head = head_create(NULL, &shape, &account, &why);
	assert_non_null(head);
}

static void finish(void)
{
	head_destroy(head);
	assert_int_equal(account_left(&account), 1 << 20);
}

static struct request_id ask(uint8_t owner, uint64_t number, uint32_t max_tokens)
{
	static const uint32_t tokens[] = { 1, 2, 3 };
	const struct message_request request = { .id = { { { owner } }, 5, number },
						 .max_tokens = max_tokens,
						 .n_tokens = 3,
						 .tokens = tokens,
						 .sampler = { .top_p = 1, .repeat_penalty = 1 } };
	head_request(head, &request);
	return request.id;
}

static struct ring_counters counters(void)
{
	struct ring_counters now = { 0 };
	head_counters(head, &now);
	return now;
}

static void one_device_does_not_fill_the_queue(void **state)
{
	begin();
	ask(1, 1, ALONE);
	for (uint64_t i = 2; i < 2 + SESSION_QUEUE_MAX; i++)
		ask(1, i, ALONE);
	assert_int_equal(n_ends, 0);
	ask(1, 100, ALONE);
	assert_int_equal(n_ends, 1);
	assert_int_equal(ends[0].code, FAIL_BUSY);
	assert_non_null(strstr(ends[0].reason, "16 wait"));
	ask(2, 1, ALONE); /* another has its own places */
	assert_int_equal(n_ends, 1);
	assert_int_equal(counters().requests_waiting, SESSION_QUEUE_MAX + 1);
	finish();
}

static void all_together_have_a_limit(void **state)
{
	begin();
	ask(1, 1, ALONE);
	for (uint8_t owner = 1; owner <= 8; owner++)
		for (uint64_t i = 2; i < 2 + SESSION_QUEUE_MAX; i++)
			ask(owner, i, ALONE);
	assert_int_equal(counters().requests_waiting, RING_REQUESTS_MAX);
	assert_int_equal(n_ends, 8 * SESSION_QUEUE_MAX - RING_REQUESTS_MAX);
	for (uint32_t i = 0; i < n_ends; i++)
		assert_int_equal(ends[i].code, FAIL_BUSY);
	finish();
}

/* Of small ones many run at once: those of the other device start before the queue's rest. */
static void devices_take_turns(void **state)
{
	begin();
	for (uint64_t i = 1; i <= 15; i++) /* 64 positions each: the room of 1024 holds 16 */
		ask(1, i, 20);
	const struct request_id big = ask(1, 20, 300); /* waits, being too large for what is left */
	ask(1, 21, 20);
	ask(1, 22, 20);
	assert_int_equal(counters().requests_running, 15);
	assert_int_equal(counters().requests_waiting, 3);
	ask(2, 1, 20); /* one place is left, and this device has none running */
	assert_int_equal(counters().requests_running, 16);
	assert_int_equal(counters().requests_waiting, 3);
	head_cancel(head, &big);
	assert_int_equal(n_ends, 1);
	assert_int_equal(ends[0].end, REQUEST_END_CANCELLED);
	finish();
}

/* A layer with a window of 16 keeps three pages of a sequence here, and has room for one full
 * sequence: three short requests, though the others would have room for sixteen. */
static void windows_have_room_of_their_own(void **state)
{
	shape.layers[1].window = 16;
	begin();
	for (uint64_t i = 0; i < 5; i++)
		ask((uint8_t)(1 + i), i, 10);
	assert_int_equal(counters().requests_running, 3);
	finish();
	shape.layers[1].window = 0;
	begin();
	for (uint64_t i = 0; i < 5; i++)
		ask((uint8_t)(1 + i), i, 10);
	assert_int_equal(counters().requests_running, 5);
	finish();
}

static void a_request_told_twice_is_one(void **state)
{
	begin();
	ask(1, 1, ALONE);
	ask(1, 2, ALONE);
	assert_int_equal(told_tokens, 0);
	ask(1, 1, ALONE);                 /* runs */
	ask(1, 2, ALONE);                 /* waits */
	assert_int_equal(told_tokens, 2); /* where they stand */
	assert_int_equal(n_ends, 0);
	assert_int_equal(counters().requests_running, 1);
	assert_int_equal(counters().requests_waiting, 1);
	const struct device_id owner = { { 1 } };
	head_cancel_owner(head, &owner);
	assert_int_equal(n_ends, 2);
	ask(1, 1, ALONE); /* its sequence is being dropped: its end is told again */
	assert_int_equal(n_ends, 3);
	assert_int_equal(ends[2].end, REQUEST_END_CANCELLED);
	finish();
}

static void what_is_held_does_not_start(void **state)
{
	begin();
	head_hold(head, true);
	ask(1, 1, 20);
	assert_int_equal(counters().requests_running, 0);
	assert_int_equal(counters().requests_waiting, 1);
	assert_true(counters().holding);
	head_look(head);
	assert_int_equal(counters().requests_running, 0);
	head_hold(head, false);
	assert_int_equal(counters().requests_running, 1);
	assert_false(counters().holding);
	head_hold(head, true); /* running ones go on, and are counted */
	ask(1, 2, 20);
	assert_int_equal(counters().requests_running, 1);
	struct fail why;
	fail_set(&why, FAIL_LOST, "another model's turn");
	head_fail_all(head, &why, NULL);
	assert_int_equal(n_ends, 2);
	assert_int_equal(ends[0].prompt_tokens, 3);
	assert_int_equal(ends[1].prompt_tokens, 0); /* it never ran: its owner tries again */
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_device_does_not_fill_the_queue),
		cmocka_unit_test(all_together_have_a_limit),
		cmocka_unit_test(devices_take_turns),
		cmocka_unit_test(windows_have_room_of_their_own),
		cmocka_unit_test(a_request_told_twice_is_one),
		cmocka_unit_test(what_is_held_does_not_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
