/* Small homes with random faults: cut cables, killed and paused daemons, slow answers. While
 * nothing is wrong nobody is lost; who dies is lost by all; and after all is healed everybody sees
 * everybody. Virtual time, one seed a history. */
#include "discovery/membership.h"

#include "proto/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES_MAX 7
#define WAITING_MAX 4096
#define SEEDS       60

struct waiting {
	int64_t at_ms;
	uint32_t to, life; /* for that life of the receiver only */
	int from;          /* on that connection only; -1: from no connection */
	uint32_t session;
	struct membership_event event;
};

struct device {
	struct membership *membership; /* NULL: not running */
	uint32_t life;
	uint64_t incarnation;
	int64_t paused_until_ms;
};

static struct world {
	uint32_t n;
	int64_t now_ms;
	struct device devices[DEVICES_MAX];
	bool cut[DEVICES_MAX][DEVICES_MAX];
	uint32_t session[DEVICES_MAX][DEVICES_MAX]; /* of a's connection to b; 0: none */
	uint32_t sessions;
	struct waiting waiting[WAITING_MAX];
	uint32_t n_waiting;
	uint32_t lost; /* verdicts in all */
} world;

static uint64_t rng;
static uint64_t running; /* the seed; printed when the test ends before its time */

static int tell_seed(void **state)
{
	if (running != 0)
		print_message("failed with seed %d at %d ms\n", (int)running, (int)world.now_ms);
	for (uint32_t i = 0; i < DEVICES_MAX; i++)
		membership_destroy(world.devices[i].membership);
	memset(&world, 0, sizeof(world));
	return 0;
}

static uint32_t draw(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % below;
}

static struct device_id id_of(uint32_t device)
{
	struct device_id id = { { (uint8_t)(device + 1) } };
	return id;
}

static uint32_t device_of(const struct device_id *id)
{
	return id->bytes[0] - 1u;
}

/* ---- the network ---- */

static void send_later(uint32_t to, int from, int64_t delay_ms, struct membership_event event)
{
	assert_true(world.n_waiting < WAITING_MAX);
	world.waiting[world.n_waiting++] =
		(struct waiting){ .at_ms = world.now_ms + delay_ms,
				  .to = to,
				  .life = world.devices[to].life,
				  .from = from,
				  .session = from < 0 ? 0 : world.session[to][from],
				  .event = event };
}

static int64_t latency(void)
{
	return draw(50) == 0 ? 100 + draw(300) : 1 + draw(20); /* a bad moment now and then */
}

/* A message over the connection from a to b. Written into a cut cable it is lost; written to an end
 * that is closed already, it is answered by a reset. */
static void transmit(uint32_t a, uint32_t b, struct membership_event event)
{
	if (world.session[a][b] == 0 || world.cut[a][b])
		return;
	event.peer = id_of(a);
	if (world.session[b][a] == world.session[a][b])
		send_later(b, (int)a, latency(), event);
	else
		send_later(a, (int)b, latency(),
			   (struct membership_event){ .kind = MEMBERSHIP_DISCONNECTED,
						      .peer = id_of(b) });
}

static void connect_both(uint32_t a, uint32_t b)
{
	const uint32_t session = ++world.sessions;
	world.session[a][b] = world.session[b][a] = session;
	send_later(a, (int)b, latency(),
		   (struct membership_event){ .kind = MEMBERSHIP_CONNECTED, .peer = id_of(b) });
	send_later(b, (int)a, latency(),
		   (struct membership_event){ .kind = MEMBERSHIP_CONNECTED, .peer = id_of(a) });
}

/* A device that stands still takes the connection, but never says who it is. */
static void dial(uint32_t a, uint32_t b)
{
	const bool stands = world.session[a][b] != 0 && world.session[b][a] == world.session[a][b];
	const bool answers =
		world.devices[b].membership && world.devices[b].paused_until_ms <= world.now_ms;
	if (!world.cut[a][b] && !world.cut[b][a] && answers && !stands) {
		connect_both(a, b);
		return;
	}
	const bool refused = !world.cut[a][b] && !world.cut[b][a] && !world.devices[b].membership;
	const struct membership_event event = { .kind = refused ? MEMBERSHIP_DIAL_REFUSED
								: MEMBERSHIP_DIAL_FAILED,
						.peer = id_of(b) };
	send_later(a, -1, refused ? latency() : DEADLINE_DIAL_MS, event);
}

static void step(uint32_t a, const struct membership_event *event);

/* The own end is gone at once; the other hears of it, if the cable is whole. */
static void hang_up(uint32_t a, uint32_t b)
{
	if (world.session[a][b] == 0)
		return;
	if (!world.cut[a][b] && world.session[b][a] == world.session[a][b])
		send_later(b, (int)a, latency(),
			   (struct membership_event){ .kind = MEMBERSHIP_DISCONNECTED,
						      .peer = id_of(a) });
	world.session[a][b] = 0;
	step(a, &(struct membership_event){ .kind = MEMBERSHIP_DISCONNECTED, .peer = id_of(b) });
}

static void carry_out(uint32_t a, const struct membership_action *action)
{
	const uint32_t b = device_of(&action->peer);
	struct membership_event event = { .incarnation = world.devices[a].incarnation };
	switch (action->kind) {
	case MEMBERSHIP_SEND_PING:
		event.kind = MEMBERSHIP_HEARD;
		event.seq = 1; /* to be answered */
		transmit(a, b, event);
		break;
	case MEMBERSHIP_SEND_PROBE:
		event.kind = MEMBERSHIP_PROBE;
		event.target = action->target;
		event.seq = action->seq;
		transmit(a, b, event);
		break;
	case MEMBERSHIP_SEND_PROBE_RESULT:
		event.kind = MEMBERSHIP_PROBE_RESULT;
		event.target = action->target;
		event.on = action->alive;
		transmit(a, b, event);
		break;
	case MEMBERSHIP_DIAL:
		dial(a, b);
		break;
	case MEMBERSHIP_HANG_UP:
		hang_up(a, b);
		break;
	case MEMBERSHIP_CHANGED:
		world.lost += action->to == LIVENESS_LOST;
		break;
	case MEMBERSHIP_RETURNED:
		break;
	}
}

static void step(uint32_t a, const struct membership_event *event)
{
	struct device *device = &world.devices[a];
	struct membership_actions *actions = malloc(sizeof(*actions));
	assert_non_null(actions);
	membership_step(device->membership, event, world.now_ms, actions);
	device->incarnation = membership_incarnation(device->membership);
	assert_true(membership_deadline(device->membership) > world.now_ms);
	for (uint32_t i = 0; i < actions->count; i++)
		carry_out(a, &actions->list[i]);
	free(actions);
}

/* ---- devices ---- */

static void start(uint32_t a)
{
	struct device *device = &world.devices[a];
	const struct device_id self = id_of(a);
	device->life++;
	device->incarnation++;
	device->paused_until_ms = 0;
	device->membership = membership_create(&self, device->incarnation, world.now_ms);
	assert_non_null(device->membership);
	for (uint32_t b = 0; b < world.n; b++)
		if (b != a)
			step(a, &(struct membership_event){ .kind = MEMBERSHIP_JOINED,
							    .peer = id_of(b) });
}

/* The system closes its connections; who cannot be told finds out later. */
static void kill_device(uint32_t a)
{
	struct device *device = &world.devices[a];
	for (uint32_t b = 0; b < world.n; b++) {
		if (world.session[a][b] != 0 && world.session[b][a] == world.session[a][b] &&
		    !world.cut[a][b] && world.devices[b].membership)
			send_later(b, (int)a, latency(),
				   (struct membership_event){ .kind = MEMBERSHIP_DISCONNECTED,
							      .peer = id_of(a) });
		world.session[a][b] = 0;
	}
	membership_destroy(device->membership);
	device->membership = NULL;
	device->life++;
}

static bool is_current(const struct waiting *waiting)
{
	const struct device *to = &world.devices[waiting->to];
	return to->membership && to->life == waiting->life &&
	       (waiting->from < 0 || world.session[waiting->to][waiting->from] == waiting->session);
}

static void deliver(const struct waiting *waiting)
{
	const uint32_t a = waiting->to;
	if (!is_current(waiting))
		return;
	struct membership_event event = waiting->event;
	const bool ping = event.kind == MEMBERSHIP_HEARD && event.seq == 1;
	if (event.kind == MEMBERSHIP_DISCONNECTED)
		world.session[a][waiting->from] = 0;
	step(a, &event);
	if (ping && world.devices[a].membership)
		transmit(a, (uint32_t)waiting->from,
			 (struct membership_event){ .kind = MEMBERSHIP_PONG,
						    .incarnation = world.devices[a].incarnation });
}

/* When device a would run next for this event. */
static int64_t not_before(uint32_t a, int64_t at_ms)
{
	const int64_t until_ms = world.devices[a].paused_until_ms;
	return at_ms > until_ms ? at_ms : until_ms;
}

/* The next thing that happens; false: nothing before `end_ms`. */
static bool advance(int64_t end_ms)
{
	int64_t first_ms = INT64_MAX;
	uint32_t message = UINT32_MAX, ticker = UINT32_MAX;
	for (uint32_t i = 0; i < world.n_waiting; i++) {
		const int64_t at_ms = not_before(world.waiting[i].to, world.waiting[i].at_ms);
		if (at_ms < first_ms) {
			first_ms = at_ms;
			message = i;
		}
	}
	for (uint32_t a = 0; a < world.n; a++) {
		if (!world.devices[a].membership)
			continue;
		const int64_t due_ms = membership_deadline(world.devices[a].membership);
		if (due_ms != INT64_MAX && not_before(a, due_ms) < first_ms) {
			first_ms = not_before(a, due_ms);
			ticker = a;
		}
	}
	if (first_ms >= end_ms) {
		world.now_ms = end_ms;
		return false;
	}
	world.now_ms = first_ms > world.now_ms ? first_ms : world.now_ms;
	if (ticker != UINT32_MAX) {
		step(ticker, &(struct membership_event){ .kind = MEMBERSHIP_TICK });
		return true;
	}
	const struct waiting waiting = world.waiting[message];
	world.waiting[message] = world.waiting[--world.n_waiting];
	deliver(&waiting);
	return true;
}

static void run(int64_t ms)
{
	const int64_t end_ms = world.now_ms + ms;
	while (advance(end_ms))
		;
}

static void begin(uint64_t seed, uint32_t n)
{
	memset(&world, 0, sizeof(world));
	running = seed;
	rng = seed * 0x9e3779b97f4a7c15u;
	world.n = n;
	world.now_ms = 1000;
	for (uint32_t a = 0; a < n; a++)
		start(a);
}

static void end(void)
{
	for (uint32_t a = 0; a < world.n; a++) {
		membership_destroy(world.devices[a].membership);
		world.devices[a].membership = NULL;
	}
	running = 0;
}

static enum liveness seen(uint32_t a, uint32_t b)
{
	const struct device_id id = id_of(b);
	return membership_liveness(world.devices[a].membership, &id);
}

static void assert_all_see_all(void)
{
	for (uint32_t a = 0; a < world.n; a++)
		for (uint32_t b = 0; b < world.n; b++)
			if (a != b)
				assert_int_equal(seen(a, b), LIVENESS_ALIVE);
}

static void set_all_busy(bool on)
{
	for (uint32_t a = 0; a < world.n; a++)
		for (uint32_t b = 0; b < world.n; b++)
			if (a != b && world.devices[a].membership)
				step(a, &(struct membership_event){ .kind = MEMBERSHIP_BUSY,
								    .peer = id_of(b),
								    .on = on });
}

static void good_a_healthy_home_loses_nobody(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed, 2 + (uint32_t)seed % (DEVICES_MAX - 1));
		run(10000);
		assert_all_see_all();
		run(300000);
		set_all_busy(true);
		run(60000);
		assert_all_see_all();
		assert_int_equal(world.lost, 0);
		end();
	}
}

static void good_the_dead_are_lost_by_all(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed, 2 + (uint32_t)seed % (DEVICES_MAX - 1));
		run(10000);
		const uint32_t victim = draw(world.n), how = (uint32_t)seed % 3;
		const bool busy = draw(2);
		set_all_busy(busy);
		run(draw(20000));
		if (how == 0)
			kill_device(victim);
		else if (how == 1)
			for (uint32_t b = 0; b < world.n; b++)
				world.cut[victim][b] = world.cut[b][victim] = b != victim;
		else
			world.devices[victim].paused_until_ms = INT64_MAX;
		/* killed: two seconds; else as deadlines.h says, and a moment for the last answer
		 */
		run(how == 0 ? 2000 : (busy ? LOST_BUSY_MS : LOST_IDLE_MS) + 1000);
		for (uint32_t a = 0; a < world.n; a++)
			for (uint32_t b = 0; b < world.n; b++)
				if (a != b && a != victim)
					assert_int_equal(seen(a, b), b == victim ? LIVENESS_LOST
										 : LIVENESS_ALIVE);
		end();
	}
}

static void break_something(void)
{
	const uint32_t a = draw(world.n), b = draw(world.n);
	struct device *device = &world.devices[a];
	switch (draw(5)) {
	case 0:
		world.cut[a][b] = world.cut[b][a] = a != b;
		break;
	case 1:
		world.cut[a][b] = a != b; /* one way only */
		break;
	case 2:
		if (device->membership)
			kill_device(a);
		break;
	case 3:
		if (!device->membership)
			start(a);
		break;
	case 4:
		if (device->membership)
			device->paused_until_ms = world.now_ms + draw(60000);
		break;
	}
}

static void good_all_heals(void **state)
{
	uint32_t lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed, 2 + (uint32_t)seed % (DEVICES_MAX - 1));
		for (int i = 0; i < 40; i++) {
			run(draw(8000));
			break_something();
			if (draw(4) == 0)
				set_all_busy(draw(2));
		}
		memset(world.cut, 0, sizeof(world.cut));
		for (uint32_t a = 0; a < world.n; a++) {
			if (!world.devices[a].membership)
				start(a);
			world.devices[a].paused_until_ms = 0;
		}
		lost += world.lost;
		run(60000);
		assert_all_see_all();
		world.lost = 0;
		run(120000);
		assert_all_see_all();
		assert_int_equal(world.lost, 0);
		end();
	}
	assert_true(lost > SEEDS); /* the faults were worth something */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(good_a_healthy_home_loses_nobody, tell_seed),
		cmocka_unit_test_teardown(good_the_dead_are_lost_by_all, tell_seed),
		cmocka_unit_test_teardown(good_all_heals, tell_seed),
	};
	return cmocka_run_group_tests_name("membership, random", tests, NULL, NULL);
}
