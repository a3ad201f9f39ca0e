/* The two ways between loop and ring thread while memory is short: what may be refused is refused
 * with a code, what must get through does. Allocation fails on demand (--wrap, meson.build). */
#include "base/mailbox.h"
#include "daemon/news.h"
#include "daemon/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static atomic_bool short_of_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return atomic_load(&short_of_memory) ? NULL : __real_calloc(count, size);
}

void *__wrap_malloc(size_t size)
{
	return atomic_load(&short_of_memory) ? NULL : __real_malloc(size);
}

static const struct epoch epoch = { .counter = 7 };
static uint32_t n_tokens, n_ends, n_broken, n_connected, n_load, n_stopped;
static struct fail broken_why;

static void on_tokens(void *context, const struct message_tokens *tokens)
{
	n_tokens++;
}

static void on_request_end(void *context, const struct message_request_end *end)
{
	n_ends++;
}

static void on_broken(void *context, const struct epoch *of, const struct device_id *device,
		      const struct fail *why)
{
	assert_int_equal(epoch_compare(of, &epoch), 0);
	n_broken++;
	broken_why = *why;
}

static void on_connected(void *context, const struct epoch *of)
{
	assert_int_equal(epoch_compare(of, &epoch), 0);
	n_connected++;
}

static void on_load(void *context)
{
	n_load++;
}

static void on_stopped(void *context)
{
	n_stopped++;
}

static const struct ring_events events = { on_tokens, on_request_end, on_broken, on_connected,
					   on_load };
static uv_loop_t loop;
static struct mailbox *home;

static void begin(void)
{
	n_tokens = n_ends = n_broken = n_connected = n_load = n_stopped = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	home = mailbox_create(&loop);
	assert_non_null(home);
}

static void finish(void)
{
	mailbox_close(home);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void what_matters_is_told_without_memory(void **state)
{
	struct news news;
	struct fail closed, lost;
	const struct message_tokens tokens = { .n_tokens = 1 };
	const struct message_request_end end = { .end = REQUEST_END_STOP };
	fail_set(&closed, FAIL_CANCELLED, "a neighbour closed its connection");
	fail_set(&lost, FAIL_LOST, "a neighbour was lost");
	begin();
	news_init(&news, home, &events, NULL);
	atomic_store(&short_of_memory, true);
	news_tokens(&news, &tokens);
	news_end(&news, &end);
	news_load(&news);
	news_load(&news);
	news_connected(&news, &epoch);
	news_broken(&news, &epoch, NULL, &closed);
	news_broken(&news, &epoch, NULL, &lost);
	news_broken(&news, &epoch, NULL, &lost);
	news_stopped(&news, on_stopped, NULL);
	atomic_store(&short_of_memory, false);
	news_tokens(&news, &tokens);
	news_end(&news, &end);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(n_tokens, 1);
	assert_int_equal(n_ends, 1);
	assert_int_equal(n_load, 1);
	assert_int_equal(n_connected, 1);
	assert_int_equal(n_broken, 2);
	assert_int_equal(broken_why.code, FAIL_LOST);
	assert_int_equal(n_stopped, 1);
	news_load(&news); /* it was heard: the next one counts */
	news_broken(&news, &epoch, NULL, &closed);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(n_load, 2);
	assert_int_equal(n_broken, 3);
	finish();
}

static void orders_are_refused_or_get_through(void **state)
{
	struct account account;
	struct fail why;
	const uint32_t prompt[] = { 1, 2 };
	const struct message_request request = { .n_tokens = 2, .tokens = prompt };
	static struct plan plan;
	begin();
	account_init(&account, 1 << 20);
	struct ring *ring = ring_create(home, &account, &events, NULL, &why);
	assert_non_null(ring);
	fail_set(&why, FAIL_CANCELLED, "the test is over");
	atomic_store(&short_of_memory, true);
	const int refused[] = { ring_request(ring, &request), ring_cancel(ring, &request.id),
				ring_cancel_owner(ring, &request.id.owner),
				ring_serve(ring, &plan, 0, NULL, NULL, NULL) };
	ring_stop(ring, &why, NULL, on_stopped, NULL);
	while (n_stopped == 0)
		uv_run(&loop, UV_RUN_ONCE);
	atomic_store(&short_of_memory, false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(refused[i], -FAIL_MEMORY);
	assert_int_equal(ring_request(ring, &request), 0);
	while (n_ends == 0) /* nothing is served: it is refused from there */
		uv_run(&loop, UV_RUN_ONCE);
	ring_destroy(ring);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matters_is_told_without_memory),
		cmocka_unit_test(orders_are_refused_or_get_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
