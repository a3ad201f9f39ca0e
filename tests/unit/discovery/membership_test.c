#include "discovery/membership.h"

#include "proto/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One device under test, at a time that the test moves. */
struct bench {
	struct membership *membership;
	struct membership_actions actions; /* of all steps since bench_clear */
	int64_t now_ms;
};

static struct device_id device(uint8_t number)
{
	struct device_id id = { { number } };
	return id;
}

static void step(struct bench *bench, const struct membership_event *event)
{
	static struct membership_actions fresh;
	membership_step(bench->membership, event, bench->now_ms, &fresh);
	for (uint32_t i = 0; i < fresh.count; i++) {
		assert_true(bench->actions.count < MEMBERSHIP_ACTIONS_MAX);
		bench->actions.list[bench->actions.count++] = fresh.list[i];
	}
	assert_true(membership_deadline(bench->membership) > bench->now_ms); /* no spinning */
}

static void tell(struct bench *bench, enum membership_event_kind kind, uint8_t peer)
{
	const struct membership_event event = { .kind = kind, .peer = device(peer) };
	step(bench, &event);
}

static void hear(struct bench *bench, uint8_t peer, uint64_t incarnation)
{
	const struct membership_event event = { .kind = MEMBERSHIP_HEARD,
						.peer = device(peer),
						.incarnation = incarnation };
	step(bench, &event);
}

static void set_busy(struct bench *bench, uint8_t peer, bool on)
{
	const struct membership_event event = { .kind = MEMBERSHIP_BUSY,
						.peer = device(peer),
						.on = on };
	step(bench, &event);
}

static void clear(struct bench *bench)
{
	bench->actions.count = 0;
}

/* Ticks when asked to, until `ms` have passed. */
static uint32_t run(struct bench *bench, int64_t ms)
{
	const int64_t end = bench->now_ms + ms;
	uint32_t ticks = 0;
	while (membership_deadline(bench->membership) <= end) {
		bench->now_ms = membership_deadline(bench->membership);
		tell(bench, MEMBERSHIP_TICK, 0);
		ticks++;
	}
	bench->now_ms = end;
	return ticks;
}

/* As run, but these peers answer each ping at once. */
static uint32_t run_answered(struct bench *bench, int64_t ms, uint8_t first, uint8_t last)
{
	const int64_t end = bench->now_ms + ms;
	uint32_t ticks = 0;
	while (membership_deadline(bench->membership) <= end) {
		const uint32_t before = bench->actions.count;
		bench->now_ms = membership_deadline(bench->membership);
		tell(bench, MEMBERSHIP_TICK, 0);
		const uint32_t after = bench->actions.count;
		for (uint32_t i = before; i < after; i++) {
			const struct membership_action *action = &bench->actions.list[i];
			const uint8_t peer = action->peer.bytes[0];
			if (action->kind == MEMBERSHIP_SEND_PING && peer >= first && peer <= last)
				tell(bench, MEMBERSHIP_PONG, peer);
		}
		ticks++;
	}
	bench->now_ms = end;
	return ticks;
}

static uint32_t count(const struct bench *bench, enum membership_action_kind kind, uint8_t peer)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < bench->actions.count; i++)
		n += bench->actions.list[i].kind == kind &&
		     bench->actions.list[i].peer.bytes[0] == peer;
	return n;
}

static const struct membership_action *find(const struct bench *bench,
					    enum membership_action_kind kind, uint8_t peer)
{
	for (uint32_t i = 0; i < bench->actions.count; i++)
		if (bench->actions.list[i].kind == kind &&
		    bench->actions.list[i].peer.bytes[0] == peer)
			return &bench->actions.list[i];
	return NULL;
}

static enum liveness liveness(const struct bench *bench, uint8_t peer)
{
	const struct device_id id = device(peer);
	return membership_liveness(bench->membership, &id);
}

/* Device 5 with connected neighbours 1 to `peers`. */
static struct bench *bench_create(uint8_t peers)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const struct device_id self = device(5);
	assert_non_null(bench);
	bench->now_ms = 1000000;
	bench->membership = membership_create(&self, 7, bench->now_ms);
	assert_non_null(bench->membership);
	for (uint8_t i = 1; i <= peers; i++) {
		tell(bench, MEMBERSHIP_JOINED, i);
		tell(bench, MEMBERSHIP_CONNECTED, i);
		hear(bench, i, 1);
	}
	clear(bench);
	return bench;
}

static void bench_destroy(struct bench *bench)
{
	membership_destroy(bench->membership);
	free(bench);
}

static void good_a_new_member_is_dialled(void **state)
{
	struct bench *bench = bench_create(0);
	assert_int_equal(membership_deadline(bench->membership), INT64_MAX);
	tell(bench, MEMBERSHIP_JOINED, 9);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 9), 1);
	assert_int_equal(liveness(bench, 9), LIVENESS_UNKNOWN);
	tell(bench, MEMBERSHIP_CONNECTED, 9);
	assert_int_equal(liveness(bench, 9), LIVENESS_ALIVE);
	const struct membership_action *change = find(bench, MEMBERSHIP_CHANGED, 9);
	assert_non_null(change);
	assert_int_equal(change->from, LIVENESS_UNKNOWN);
	assert_int_equal(change->to, LIVENESS_ALIVE);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PING, 9), 1);
	assert_int_equal(membership_count(bench->membership), 1);
	const struct membership_peer *peer = membership_at(bench->membership, 0);
	assert_true(peer->connected);
	assert_int_equal(peer->heard_ms, bench->now_ms);
	assert_null(membership_at(bench->membership, 1));
	bench_destroy(bench);
}

static void good_the_higher_id_lets_the_other_dial_first(void **state)
{
	struct bench *bench = bench_create(0);
	tell(bench, MEMBERSHIP_JOINED, 9);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 9), 1); /* ours is lower */
	tell(bench, MEMBERSHIP_JOINED, 2);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 2), 0);
	run(bench, 1000);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 2), 1);
	bench_destroy(bench);
}

static void good_redials_back_off(void **state)
{
	struct bench *bench = bench_create(0);
	int64_t last_ms = 0, gap_ms = 0;
	tell(bench, MEMBERSHIP_JOINED, 9);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(count(bench, MEMBERSHIP_DIAL, 9), 1);
		clear(bench);
		tell(bench, MEMBERSHIP_DIAL_FAILED, 9);
		last_ms = bench->now_ms;
		bench->now_ms = membership_deadline(bench->membership);
		tell(bench, MEMBERSHIP_TICK, 0);
		assert_true(bench->now_ms - last_ms >= gap_ms);
		gap_ms = bench->now_ms - last_ms;
		assert_true(gap_ms >= REDIAL_FIRST_MS && gap_ms <= REDIAL_MOST_MS);
	}
	assert_int_equal(gap_ms, REDIAL_MOST_MS);
	assert_int_equal(liveness(bench, 9), LIVENESS_UNKNOWN);
	tell(bench, MEMBERSHIP_DIAL_FAILED, 9);
	clear(bench);
	tell(bench, MEMBERSHIP_NEARBY, 9); /* an announcement: no waiting */
	run(bench, 1000);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 9), 1);
	bench_destroy(bench);
}

static void good_a_quiet_home_pings_seldom(void **state)
{
	struct bench *bench = bench_create(4);
	const uint32_t ticks = run_answered(bench, 60000, 1, 4);
	for (uint8_t i = 1; i <= 4; i++) {
		assert_int_equal(liveness(bench, i), LIVENESS_ALIVE);
		assert_in_range(count(bench, MEMBERSHIP_SEND_PING, i), 11, 13);
	}
	assert_in_range(ticks, 11, 14); /* all in one go */
	assert_int_equal(count(bench, MEMBERSHIP_CHANGED, 1), 0);
	bench_destroy(bench);
}

static void good_who_is_heard_is_not_pinged(void **state)
{
	struct bench *bench = bench_create(1);
	for (int i = 0; i < 20; i++) {
		run(bench, PING_IDLE_MS - 1000);
		hear(bench, 1, 0);
	}
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PING, 1), 0);
	bench_destroy(bench);
}

static void good_silence_is_suspected_then_lost(void **state)
{
	struct bench *bench = bench_create(4);
	run_answered(bench, SUSPECT_IDLE_MS - 1, 2, 4);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	run_answered(bench, 1, 2, 4);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	uint32_t asked = 0;
	for (uint8_t i = 2; i <= 4; i++) {
		const struct membership_action *probe = find(bench, MEMBERSHIP_SEND_PROBE, i);
		asked += probe != NULL;
		if (probe)
			assert_int_equal(probe->target.bytes[0], 1);
	}
	assert_int_equal(asked, MEMBERSHIP_HELPERS);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PROBE, 1), 0);
	run_answered(bench, LOST_IDLE_MS - SUSPECT_IDLE_MS - 1, 2, 4);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	run_answered(bench, 1, 2, 4);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	assert_int_equal(count(bench, MEMBERSHIP_HANG_UP, 1), 1);
	for (uint8_t i = 2; i <= 4; i++)
		assert_int_equal(liveness(bench, i), LIVENESS_ALIVE);
	bench_destroy(bench);
}

static void good_what_others_reach_is_not_lost(void **state)
{
	struct bench *bench = bench_create(2);
	run_answered(bench, SUSPECT_IDLE_MS, 2, 2);
	for (int i = 0; i < 10; i++) {
		const struct membership_event vouch = { .kind = MEMBERSHIP_PROBE_RESULT,
							.peer = device(2),
							.target = device(1),
							.on = true };
		step(bench, &vouch);
		run_answered(bench, PING_IDLE_MS, 2, 2);
		assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
		assert_true(count(bench, MEMBERSHIP_SEND_PROBE, 2) >= 1); /* asks again */
		clear(bench);
	}
	run_answered(bench, LOST_IDLE_MS, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	bench_destroy(bench);
}

static void good_running_work_waits_less(void **state)
{
	struct bench *bench = bench_create(2);
	run_answered(bench, 4000, 2, 2); /* quiet until now, and no ping due yet */
	clear(bench);
	set_busy(bench, 1, true);
	set_busy(bench, 1, true); /* twice is once */
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PING, 1), 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	run_answered(bench, LOST_BUSY_MS - 1, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	assert_true(count(bench, MEMBERSHIP_SEND_PING, 1) >= 7);
	run_answered(bench, 1, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	bench_destroy(bench);

	bench = bench_create(2); /* even what others reach, in the end */
	set_busy(bench, 1, true);
	int64_t waited_ms = 0;
	while (liveness(bench, 1) != LIVENESS_LOST && waited_ms < 60000) {
		const struct membership_event vouch = { .kind = MEMBERSHIP_PROBE_RESULT,
							.peer = device(2),
							.target = device(1),
							.on = true };
		step(bench, &vouch);
		run_answered(bench, 100, 2, 2);
		waited_ms += 100;
	}
	assert_in_range(waited_ms, LOST_BUSY_MS + 1, 2 * LOST_BUSY_MS);
	bench_destroy(bench);
}

/* A suspect of the quiet home is given the time of running work, not told lost on the spot. */
static void good_work_may_begin_with_a_suspect(void **state)
{
	struct bench *bench = bench_create(2);
	run_answered(bench, SUSPECT_IDLE_MS + 5000, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	set_busy(bench, 1, true);
	run_answered(bench, LOST_BUSY_MS / 2 - 1, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	run_answered(bench, 1, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	bench_destroy(bench);
}

static void good_work_that_ended_makes_it_quiet_again(void **state)
{
	struct bench *bench = bench_create(1);
	set_busy(bench, 1, true);
	run_answered(bench, 10000, 1, 1);
	assert_true(count(bench, MEMBERSHIP_SEND_PING, 1) >= 19);
	set_busy(bench, 1, false);
	clear(bench);
	run_answered(bench, 60000, 1, 1);
	assert_in_range(count(bench, MEMBERSHIP_SEND_PING, 1), 11, 13);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	bench_destroy(bench);
}

/* kill -9: the connection is reset, nobody listens any more. No clock is waited for. */
static void good_a_killed_daemon_is_lost_at_once(void **state)
{
	struct bench *bench = bench_create(3);
	tell(bench, MEMBERSHIP_DISCONNECTED, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 1), 1);
	tell(bench, MEMBERSHIP_DIAL_REFUSED, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	assert_non_null(strstr(bench->actions.list[bench->actions.count - 1].reason, "listens"));
	bench_destroy(bench);
}

static void good_a_broken_connection_heals(void **state)
{
	struct bench *bench = bench_create(3);
	tell(bench, MEMBERSHIP_DISCONNECTED, 1);
	tell(bench, MEMBERSHIP_DIAL_FAILED, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	tell(bench, MEMBERSHIP_CONNECTED, 1); /* it dialled us */
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	assert_int_equal(count(bench, MEMBERSHIP_RETURNED, 1), 0);
	hear(bench, 1, 1);
	assert_int_equal(count(bench, MEMBERSHIP_RETURNED, 1), 0);

	tell(bench, MEMBERSHIP_DISCONNECTED, 1);
	run_answered(bench, LOST_IDLE_MS - SUSPECT_IDLE_MS, 2, 3);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST); /* no new one came about */
	assert_int_equal(count(bench, MEMBERSHIP_HANG_UP, 1), 0);
	bench_destroy(bench);
}

static void good_the_lost_come_back(void **state)
{
	struct bench *bench = bench_create(1);
	run(bench, LOST_IDLE_MS);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	tell(bench, MEMBERSHIP_DISCONNECTED, 1); /* we hung up */
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 1), 1); /* still wanted */
	tell(bench, MEMBERSHIP_DIAL_FAILED, 1);
	run(bench, 1000);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 1), 2);
	tell(bench, MEMBERSHIP_CONNECTED, 1);
	hear(bench, 1, 3);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	assert_int_equal(count(bench, MEMBERSHIP_RETURNED, 1), 1); /* a new incarnation */
	bench_destroy(bench);
}

static void good_a_suspect_that_speaks_is_alive(void **state)
{
	struct bench *bench = bench_create(2);
	run_answered(bench, SUSPECT_IDLE_MS + 2000, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	hear(bench, 1, 0);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	run_answered(bench, SUSPECT_IDLE_MS - 1, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE); /* counted anew */
	bench_destroy(bench);
}

static void good_who_says_goodbye_has_left(void **state)
{
	struct bench *bench = bench_create(2);
	tell(bench, MEMBERSHIP_LEAVING, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_LEFT);
	hear(bench, 1, 0); /* still finishing */
	assert_int_equal(liveness(bench, 1), LIVENESS_LEFT);
	clear(bench);
	tell(bench, MEMBERSHIP_DISCONNECTED, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_LEFT);
	run_answered(bench, REDIAL_MOST_MS - 1, 2, 2);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 1), 0);
	run_answered(bench, 1, 2, 2);
	assert_int_equal(count(bench, MEMBERSHIP_DIAL, 1), 1);
	tell(bench, MEMBERSHIP_DIAL_REFUSED, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_LEFT);
	tell(bench, MEMBERSHIP_CONNECTED, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	bench_destroy(bench);
}

static void good_incarnations_tell_a_return(void **state)
{
	struct bench *bench = bench_create(1);
	hear(bench, 1, 4);
	assert_int_equal(count(bench, MEMBERSHIP_RETURNED, 1), 1);
	const struct device_id id = device(1);
	run(bench, 1000);
	hear(bench, 1, 3); /* older than what we heard on this connection: no sign of life */
	const struct membership_peer *peer = membership_find(bench->membership, &id);
	assert_int_equal(peer->incarnation, 4);
	assert_int_equal(bench->now_ms - peer->heard_ms, 1000);
	tell(bench, MEMBERSHIP_DISCONNECTED, 1);
	tell(bench, MEMBERSHIP_CONNECTED, 1);
	run(bench, 500);
	hear(bench, 1, 2); /* it lost its state file; on a new connection it is believed */
	assert_int_equal(peer->incarnation, 2);
	assert_int_equal(peer->heard_ms, bench->now_ms);
	assert_int_equal(count(bench, MEMBERSHIP_RETURNED, 1), 2);
	bench_destroy(bench);
}

static void good_probes_for_others(void **state)
{
	struct bench *bench = bench_create(3);
	struct membership_event probe = {
		.kind = MEMBERSHIP_PROBE, .peer = device(1), .target = device(2), .seq = 77
	};
	step(bench, &probe); /* heard just now: no need to ask */
	const struct membership_action *result = find(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1);
	assert_non_null(result);
	assert_true(result->alive);
	assert_int_equal(result->seq, 77);
	assert_int_equal(result->target.bytes[0], 2);

	run(bench, 3000);
	clear(bench);
	step(bench, &probe);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PING, 2), 1);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1), 0);
	hear(bench, 2, 0);
	result = find(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1);
	assert_true(result && result->alive);

	run(bench, 3000);
	clear(bench);
	step(bench, &probe);
	run(bench, MEMBERSHIP_PROBE_MS);
	result = find(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1);
	assert_true(result && !result->alive);

	clear(bench); /* unknown, or not connected: no */
	probe.target = device(99);
	step(bench, &probe);
	result = find(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1);
	assert_true(result && !result->alive);
	clear(bench);
	probe.peer = device(99); /* strangers get nothing */
	step(bench, &probe);
	assert_int_equal(bench->actions.count, 0);
	bench_destroy(bench);
}

static void bad_a_flood_of_probes(void **state)
{
	struct bench *bench = bench_create(2);
	run(bench, 3000);
	clear(bench);
	const struct membership_event probe = { .kind = MEMBERSHIP_PROBE,
						.peer = device(1),
						.target = device(2) };
	for (int i = 0; i < MEMBERSHIP_PROBES_MAX; i++)
		step(bench, &probe);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1), 0);
	clear(bench);
	step(bench, &probe);
	assert_false(find(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1)->alive);
	clear(bench);
	hear(bench, 2, 0);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PROBE_RESULT, 1), MEMBERSHIP_PROBES_MAX);
	bench_destroy(bench);
}

static void good_no_verdict_after_an_own_pause(void **state)
{
	struct bench *bench = bench_create(3);
	bench->now_ms += 300000; /* SIGSTOP, then SIGCONT: the tick comes late */
	tell(bench, MEMBERSHIP_TICK, 0);
	assert_int_equal(membership_incarnation(bench->membership), 8);
	for (uint8_t i = 1; i <= 3; i++) {
		assert_int_equal(liveness(bench, i), LIVENESS_ALIVE);
		assert_int_equal(count(bench, MEMBERSHIP_SEND_PING, i), 1);
	}
	tell(bench, MEMBERSHIP_DISCONNECTED, 1); /* it gave us up meanwhile */
	tell(bench, MEMBERSHIP_DISCONNECTED, 2);
	tell(bench, MEMBERSHIP_DIAL_REFUSED, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	assert_int_equal(liveness(bench, 2), LIVENESS_ALIVE);
	run_answered(bench, MEMBERSHIP_PAUSE_HOLD_MS - 1, 3, 3);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	tell(bench, MEMBERSHIP_CONNECTED, 1);
	run_answered(bench, 1, 3, 3);
	assert_int_equal(liveness(bench, 1), LIVENESS_ALIVE);
	assert_int_equal(liveness(bench, 2), LIVENESS_SUSPECT); /* a redial is on its way */
	tell(bench, MEMBERSHIP_DIAL_REFUSED, 2);
	assert_int_equal(liveness(bench, 2), LIVENESS_LOST);
	assert_int_equal(liveness(bench, 3), LIVENESS_ALIVE);

	clear(bench);
	tell(bench, MEMBERSHIP_PAUSED, 0); /* told by the caller */
	assert_int_equal(membership_incarnation(bench->membership), 9);
	assert_int_equal(count(bench, MEMBERSHIP_SEND_PING, 3), 1);
	bench_destroy(bench);
}

static void good_silence_is_counted_anew_after_a_pause(void **state)
{
	struct bench *bench = bench_create(2);
	run_answered(bench, SUSPECT_IDLE_MS + 1000, 2, 2);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	bench->now_ms += 300000;
	tell(bench, MEMBERSHIP_TICK, 0);
	run(bench, LOST_IDLE_MS - SUSPECT_IDLE_MS - 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_SUSPECT);
	run(bench, 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_LOST);
	assert_int_equal(liveness(bench, 2), LIVENESS_ALIVE);
	run(bench, 2 * SUSPECT_IDLE_MS - LOST_IDLE_MS - 1);
	assert_int_equal(liveness(bench, 2), LIVENESS_ALIVE);
	run(bench, 1);
	assert_int_equal(liveness(bench, 2), LIVENESS_SUSPECT);
	bench_destroy(bench);
}

static void good_the_removed_are_forgotten(void **state)
{
	struct bench *bench = bench_create(3);
	const struct membership_event probe = { .kind = MEMBERSHIP_PROBE,
						.peer = device(1),
						.target = device(2) };
	run(bench, 3000);
	step(bench, &probe);
	tell(bench, MEMBERSHIP_REMOVED, 1);
	clear(bench);
	assert_int_equal(membership_count(bench->membership), 2);
	hear(bench, 1, 9);
	tell(bench, MEMBERSHIP_CONNECTED, 1);
	run(bench, 60000);
	for (uint32_t i = 0; i < bench->actions.count; i++)
		assert_int_not_equal(bench->actions.list[i].peer.bytes[0], 1);
	assert_int_equal(liveness(bench, 1), LIVENESS_UNKNOWN);
	tell(bench, MEMBERSHIP_JOINED, 5); /* ourselves */
	assert_int_equal(membership_count(bench->membership), 2);
	bench_destroy(bench);
}

static void bad_more_members_than_places(void **state)
{
	struct bench *bench = bench_create(0);
	for (int i = 0; i < 2 * MEMBERSHIP_PEERS_MAX; i++)
		tell(bench, MEMBERSHIP_JOINED, (uint8_t)(10 + i));
	assert_int_equal(membership_count(bench->membership), MEMBERSHIP_PEERS_MAX);
	for (uint32_t i = 1; i < MEMBERSHIP_PEERS_MAX; i++)
		assert_true(device_id_compare(&membership_at(bench->membership, i - 1)->id,
					      &membership_at(bench->membership, i)->id) < 0);
	for (enum liveness i = LIVENESS_UNKNOWN; i <= LIVENESS_LEFT; i++)
		assert_true(strlen(liveness_name(i)) > 3);
	bench_destroy(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_a_new_member_is_dialled),
		cmocka_unit_test(good_the_higher_id_lets_the_other_dial_first),
		cmocka_unit_test(good_redials_back_off),
		cmocka_unit_test(good_a_quiet_home_pings_seldom),
		cmocka_unit_test(good_who_is_heard_is_not_pinged),
		cmocka_unit_test(good_silence_is_suspected_then_lost),
		cmocka_unit_test(good_what_others_reach_is_not_lost),
		cmocka_unit_test(good_running_work_waits_less),
		cmocka_unit_test(good_work_may_begin_with_a_suspect),
		cmocka_unit_test(good_work_that_ended_makes_it_quiet_again),
		cmocka_unit_test(good_a_killed_daemon_is_lost_at_once),
		cmocka_unit_test(good_a_broken_connection_heals),
		cmocka_unit_test(good_the_lost_come_back),
		cmocka_unit_test(good_a_suspect_that_speaks_is_alive),
		cmocka_unit_test(good_who_says_goodbye_has_left),
		cmocka_unit_test(good_incarnations_tell_a_return),
		cmocka_unit_test(good_probes_for_others),
		cmocka_unit_test(bad_a_flood_of_probes),
		cmocka_unit_test(good_no_verdict_after_an_own_pause),
		cmocka_unit_test(good_silence_is_counted_anew_after_a_pause),
		cmocka_unit_test(good_the_removed_are_forgotten),
		cmocka_unit_test(bad_more_members_than_places),
	};
	return cmocka_run_group_tests_name("membership", tests, NULL, NULL);
}
