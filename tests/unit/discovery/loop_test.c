/* What runs on the loop without an Avahi: the adapter that Avahi runs on, static peers, the finder
 * where no Avahi answers. */
#include "discovery/avahi_poll.h"
#include "discovery/finder.h"
#include "discovery/statics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
	uv_loop_t loop;
	struct avahi_poll *poll;
	const AvahiPoll *api;
	int pair[2];
	bool closed;
	/* what callbacks did, in letters */
	char log[64];
	AvahiWatch *watches[4];
	AvahiTimeout *timeout;
	void (*on_event)(struct bench *bench, AvahiWatch *watch, AvahiWatchEvent event);
};

static void on_closed(void *context)
{
	struct bench *bench = context;
	assert_false(bench->closed);
	bench->closed = true;
}

static int setup(void **state)
{
	static struct bench bench;
	memset(&bench, 0, sizeof(bench));
	assert_int_equal(uv_loop_init(&bench.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, bench.pair), 0);
	bench.poll = avahi_poll_create(&bench.loop);
	assert_non_null(bench.poll);
	bench.api = avahi_poll_api(bench.poll);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	avahi_poll_destroy(bench->poll, on_closed, bench);
	assert_false(bench->closed); /* from the loop, not from within */
	uv_run(&bench->loop, UV_RUN_DEFAULT);
	assert_true(bench->closed);
	assert_int_equal(uv_loop_close(&bench->loop), 0); /* nothing is left on it */
	close(bench->pair[0]);
	close(bench->pair[1]);
	return 0;
}

static void note(struct bench *bench, char letter)
{
	const size_t length = strlen(bench->log);
	assert_true(length + 1 < sizeof(bench->log));
	bench->log[length] = letter;
}

static void on_watch(AvahiWatch *watch, int fd, AvahiWatchEvent event, void *userdata)
{
	struct bench *bench = userdata;
	int index = 0;
	while (index < 3 && bench->watches[index] != watch)
		index++;
	assert_int_equal(fd, bench->pair[0]);
	assert_int_equal(bench->api->watch_get_events(watch), event);
	note(bench, (char)((event & AVAHI_WATCH_IN ? 'A' : 'a') + index));
	if (bench->on_event)
		bench->on_event(bench, watch, event);
}

static AvahiWatch *watch(struct bench *bench, int index, AvahiWatchEvent event)
{
	bench->watches[index] =
		bench->api->watch_new(bench->api, bench->pair[0], event, on_watch, bench);
	assert_non_null(bench->watches[index]);
	return bench->watches[index];
}

static void drain(struct bench *bench)
{
	char byte;
	assert_int_equal(read(bench->pair[0], &byte, 1), 1);
}

static void say(struct bench *bench)
{
	assert_int_equal(write(bench->pair[1], "x", 1), 1);
}

static void run(struct bench *bench)
{
	uv_run(&bench->loop, UV_RUN_NOWAIT);
}

static void drain_and_go_on(struct bench *bench, AvahiWatch *watch, AvahiWatchEvent event)
{
	if (event & AVAHI_WATCH_IN)
		drain(bench);
}

/* D-Bus keeps one watch to read and one to write on the same socket. */
static void good_two_watches_on_one_descriptor(void **state)
{
	struct bench *bench = *state;
	bench->on_event = drain_and_go_on;
	watch(bench, 0, AVAHI_WATCH_IN);
	watch(bench, 1, 0);
	run(bench);
	assert_string_equal(bench->log, "");
	say(bench);
	run(bench);
	assert_string_equal(bench->log, "A");
	bench->api->watch_update(bench->watches[1], AVAHI_WATCH_OUT);
	run(bench);
	assert_string_equal(bench->log, "Ab");
	bench->api->watch_update(bench->watches[1], 0);
	say(bench);
	run(bench);
	run(bench);
	assert_string_equal(bench->log, "AbA");
	bench->api->watch_free(bench->watches[0]);
	say(bench);
	run(bench);
	assert_string_equal(bench->log, "AbA");
	bench->api->watch_free(bench->watches[1]);
}

static void free_both(struct bench *bench, AvahiWatch *watch, AvahiWatchEvent event)
{
	bench->api->watch_free(bench->watches[1]);
	bench->api->watch_free(bench->watches[0]);
}

static void good_watches_freed_in_their_callback(void **state)
{
	struct bench *bench = *state;
	bench->on_event = free_both;
	watch(bench, 0, AVAHI_WATCH_IN);
	watch(bench, 1, AVAHI_WATCH_IN);
	say(bench);
	run(bench);
	assert_string_equal(bench->log, "A"); /* the other was freed before its turn */
	run(bench);
	assert_string_equal(bench->log, "A");
}

static void replace(struct bench *bench, AvahiWatch *old, AvahiWatchEvent event)
{
	bench->on_event = NULL;
	bench->api->watch_free(old);
	dup2(bench->pair[1], bench->pair[0]); /* the same number, another socket */
	watch(bench, 2, AVAHI_WATCH_OUT);
}

static void good_a_number_taken_again_within_a_callback(void **state)
{
	struct bench *bench = *state;
	bench->on_event = replace;
	watch(bench, 0, AVAHI_WATCH_IN);
	say(bench);
	run(bench);
	assert_string_equal(bench->log, "A");
	run(bench);
	assert_string_equal(bench->log, "Ac");
	bench->api->watch_free(bench->watches[2]);
}

static void give_up(struct bench *bench, AvahiWatch *watch, AvahiWatchEvent event)
{
	bench->api->watch_free(watch);
}

static void good_a_peer_that_hangs_up_is_told_of(void **state)
{
	struct bench *bench = *state;
	bench->on_event = give_up;
	watch(bench, 0, AVAHI_WATCH_IN);
	shutdown(bench->pair[1], SHUT_RDWR);
	run(bench);
	assert_string_equal(bench->log, "A");
}

static void on_timeout(AvahiTimeout *timeout, void *userdata)
{
	struct bench *bench = userdata;
	note(bench, 't');
	bench->api->timeout_free(timeout);
	bench->timeout = NULL;
}

static void good_timeouts(void **state)
{
	struct bench *bench = *state;
	const struct timeval at_once = { 0, 0 };
	struct timeval later;
	gettimeofday(&later, NULL);
	later.tv_sec += 1000;
	bench->timeout = bench->api->timeout_new(bench->api, NULL, on_timeout, bench);
	run(bench);
	assert_string_equal(bench->log, "");
	bench->api->timeout_update(bench->timeout, &later);
	run(bench);
	bench->api->timeout_update(bench->timeout, NULL);
	run(bench);
	assert_string_equal(bench->log, "");
	assert_false(uv_loop_alive(&bench->loop) && uv_backend_timeout(&bench->loop) > 0);
	bench->api->timeout_update(bench->timeout, &at_once);
	uv_run(&bench->loop, UV_RUN_ONCE);
	assert_string_equal(bench->log, "t");
	assert_null(bench->timeout);
}

/* ---- static peers and the finder ---- */

struct found {
	int count;
	struct finding last;
	int states;
	enum finder_state state;
	bool closed;
};

static void on_found(void *context, const struct finding *finding)
{
	struct found *found = context;
	found->count++;
	found->last = *finding;
}

static void on_gone(void *context, const char *key)
{
	fail_msg("nothing was ever seen, but %s is gone", key);
}

static void on_state(void *context, enum finder_state state, const char *sentence)
{
	struct found *found = context;
	found->state = state;
	found->states++;
	assert_true(strlen(sentence) > 10);
}

static void on_finder_closed(void *context)
{
	struct found *found = context;
	found->closed = true;
}

static const struct finder_events events = { .found = on_found,
					     .gone = on_gone,
					     .state = on_state };

static void good_static_peers(void **state)
{
	static const char *const peers[] = { "127.0.0.1:4711", "[::1]:4712", "localhost" };
	const struct finder_settings settings = { .statics = peers,
						  .n_statics = 3,
						  .port_default = 47600 };
	struct found found = { 0 };
	struct fail fail;
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct finder *finder = finder_create(&loop, &settings, &events, &found, &fail);
	assert_non_null(finder);
	assert_int_equal(finder_state(finder), FINDER_STATE_OFF);
	assert_int_equal(found.count, 0);
	while (found.count < 3)
		uv_run(&loop, UV_RUN_ONCE);
	assert_string_equal(found.last.key, "localhost"); /* the only one that was looked up */
	assert_true(found.last.is_static);
	assert_false(found.last.is_member);
	assert_true(found.last.n_addresses >= 1);
	assert_int_equal(found.last.addresses[0].port, 47600);
	assert_true(address_is_loopback(&found.last.addresses[0]));
	found.count = 0;
	finder_each(finder, on_found, &found);
	assert_int_equal(found.count, 3);
	finder_destroy(finder, on_finder_closed, &found);
	assert_false(found.closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(found.closed);
	assert_int_equal(uv_loop_close(&loop), 0);
	finder_destroy(NULL, NULL, NULL);
}

/* Ends while a name is being looked up: the answer must find nothing to write to. */
static void ugly_an_end_during_a_look_up(void **state)
{
	static const char *const peers[] = { "localhost:1", "nowhere.invalid:2" };
	const struct finder_settings settings = { .statics = peers, .n_statics = 2 };
	struct found found = { 0 };
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct finder *finder = finder_create(&loop, &settings, &events, &found, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	finder_destroy(finder, on_finder_closed, &found);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(found.closed);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void bad_static_peers(void **state)
{
	static const char *const bad[] = { "", "laptop:", "laptop:0", "[fe80::1", "laptop:70000" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct finder_settings settings = { .statics = &bad[i],
							  .n_statics = 1,
							  .port_default = 47600 };
		struct fail fail = { 0 };
		uv_loop_t loop;
		uv_loop_init(&loop);
		assert_null(finder_create(&loop, &settings, &events, NULL, &fail));
		assert_int_equal(fail.code, FAIL_INVALID);
		assert_non_null(strstr(fail.text, "host:port"));
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
}

/* Where D-Bus does not answer, the finder says so and goes on. */
static void good_no_avahi_is_a_state(void **state)
{
	const struct finder_settings settings = { .mdns = true };
	const uint8_t home[HOME_ID_BYTES] = { 1 };
	const struct device_id self = { { 2 } };
	struct found found = { 0 };
	uv_loop_t loop;
	uv_loop_init(&loop);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	struct finder *finder = finder_create(&loop, &settings, &events, &found, NULL);
	assert_non_null(finder);
	finder_announce(finder, home, &self, 47600);
	finder_members(finder, &self, 1);
	finder_pairing(finder, "home");
	assert_int_equal(found.states, 0);
	while (found.states == 0)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(found.state, FINDER_STATE_NO_AVAHI);
	assert_int_equal(finder_state(finder), FINDER_STATE_NO_AVAHI);
	assert_non_null(strstr(finder_sentence(finder), "avahi-daemon"));
	finder_destroy(finder, on_finder_closed, &found);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(found.closed);
	assert_int_equal(uv_loop_close(&loop), 0);
	for (enum finder_state i = FINDER_STATE_OFF; i <= FINDER_STATE_ANNOUNCED; i++)
		assert_true(strlen(finder_state_name(i)) > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_two_watches_on_one_descriptor, setup,
						teardown),
		cmocka_unit_test_setup_teardown(good_watches_freed_in_their_callback, setup,
						teardown),
		cmocka_unit_test_setup_teardown(good_a_number_taken_again_within_a_callback, setup,
						teardown),
		cmocka_unit_test_setup_teardown(good_a_peer_that_hangs_up_is_told_of, setup,
						teardown),
		cmocka_unit_test_setup_teardown(good_timeouts, setup, teardown),
		cmocka_unit_test(good_static_peers),
		cmocka_unit_test(ugly_an_end_during_a_look_up),
		cmocka_unit_test(bad_static_peers),
		cmocka_unit_test(good_no_avahi_is_a_state),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
