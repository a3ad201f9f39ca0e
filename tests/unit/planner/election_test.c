/* The rules of election.h, one by one. */
#include "planner/planner.h"
#include "proto/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static struct device_id id_of(uint8_t number)
{
	struct device_id id;
	memset(id.bytes, number, sizeof(id.bytes));
	return id;
}

struct seat {
	struct election election;
	int64_t now_ms;
};

static bool step(struct seat *seat, enum election_event_kind kind, uint8_t device)
{
	const struct election_event event = { .kind = kind, .device = id_of(device) };
	return election_step(&seat->election, &event, seat->now_ms);
}

static bool state(struct seat *seat, uint8_t device, uint8_t planner)
{
	const struct election_event event = { .kind = ELECTION_STATED, .device = id_of(device),
					      .planner = id_of(planner) };
	return election_step(&seat->election, &event, seat->now_ms);
}

static void member(struct seat *seat, uint8_t device, enum device_role role,
		   enum power_source power, bool wired)
{
	const struct election_event event = { .kind = ELECTION_MEMBER, .device = id_of(device),
					      .traits = { role, power, wired } };
	election_step(&seat->election, &event, seat->now_ms);
}

static bool pass(struct seat *seat, int64_t ms)
{
	seat->now_ms += ms;
	return step(seat, ELECTION_TICK, 0);
}

static uint8_t planner(const struct seat *seat)
{
	return election_planner(&seat->election)->bytes[0];
}

/* Device `self` in a home of admins 1 to n on mains and wire, all alive. */
static void begin(struct seat *seat, uint8_t self, uint8_t n)
{
	const struct device_id id = id_of(self);
	seat->now_ms = 1000;
	election_init(&seat->election, &id, seat->now_ms);
	for (uint8_t i = 1; i <= n; i++)
		member(seat, i, ROLE_ADMIN, POWER_MAINS, true);
	for (uint8_t i = 1; i <= n; i++)
		step(seat, ELECTION_ALIVE, i);
}

static void alone_it_plans_at_once(void **unused)
{
	struct seat seat;
	begin(&seat, 1, 0);
	member(&seat, 1, ROLE_ADMIN, POWER_BATTERY, false);
	assert_int_equal(planner(&seat), 0); /* more members may be told */
	assert_true(election_deadline_ms(&seat.election) <= seat.now_ms);
	assert_true(pass(&seat, 0));
	assert_true(election_is_self(&seat.election));
	assert_int_equal(election_deadline_ms(&seat.election), INT64_MAX);
}

static void a_newcomer_listens_first(void **unused)
{
	struct seat seat;
	begin(&seat, 1, 3);
	pass(&seat, 0);
	assert_int_equal(planner(&seat), 0);
	assert_int_equal(election_deadline_ms(&seat.election), 1000 + PLANNER_TAKEOVER_MS);
	assert_true(state(&seat, 3, 3)); /* it plans, so it goes on */
	assert_int_equal(planner(&seat), 3);
	assert_false(pass(&seat, PLANNER_TAKEOVER_MS));
	assert_int_equal(planner(&seat), 3);

	begin(&seat, 1, 3);
	assert_false(pass(&seat, PLANNER_TAKEOVER_MS - 1));
	assert_true(pass(&seat, 1)); /* nobody claims: it is the highest */
	assert_true(election_is_self(&seat.election));
}

static void rank(void **unused)
{
	const struct election_traits admin = { ROLE_ADMIN, POWER_MAINS, true };
	const struct election_traits worker = { ROLE_WORKER, POWER_MAINS, true };
	const struct election_traits client = { ROLE_CLIENT, POWER_MAINS, true };
	const struct election_traits battery = { ROLE_ADMIN, POWER_BATTERY, true };
	const struct election_traits unknown = { ROLE_ADMIN, POWER_UNKNOWN, true };
	const struct election_traits wireless = { ROLE_ADMIN, POWER_MAINS, false };
	const struct device_id one = id_of(1), two = id_of(2);
	assert_true(election_rank(&two, &admin, &one, &worker) < 0);
	assert_true(election_rank(&two, &worker, &one, &client) < 0);
	assert_true(election_rank(&two, &wireless, &one, &battery) < 0);
	assert_true(election_rank(&two, &admin, &one, &wireless) < 0);
	assert_true(election_rank(&two, &wireless, &one, &unknown) < 0);
	assert_true(election_rank(&two, &unknown, &one, &battery) < 0);
	assert_true(election_rank(&one, &admin, &two, &admin) < 0);
	assert_int_equal(election_rank(&one, &admin, &one, &admin), 0);
}

/* Each knows its own power from the start and that of the other not yet: they agree all the same. */
static void two_that_have_not_told_agree(void **unused)
{
	static const enum power_source own[] = { POWER_BATTERY, POWER_MAINS };
	for (uint8_t self = 1; self <= 2; self++) {
		struct seat seat;
		begin(&seat, self, 2);
		member(&seat, self, ROLE_ADMIN, own[self - 1], true);
		member(&seat, 3 - self, ROLE_ADMIN, POWER_UNKNOWN, true);
		pass(&seat, PLANNER_TAKEOVER_MS);
		assert_int_equal(planner(&seat), 2);
	}
}

static void a_home_on_battery_has_a_planner(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 3);
	for (uint8_t i = 1; i <= 3; i++)
		member(&seat, i, ROLE_ADMIN, POWER_BATTERY, true);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_int_equal(planner(&seat), 1);
	member(&seat, 3, ROLE_ADMIN, POWER_MAINS, true); /* plugged in: no reason to move */
	pass(&seat, PLANNER_TAKEOVER_MS / 2);
	assert_int_equal(planner(&seat), 1);
	step(&seat, ELECTION_LOST, 1);
	assert_int_equal(planner(&seat), 3);
}

static void clients_never_plan(void **unused)
{
	struct seat seat;
	begin(&seat, 1, 0);
	member(&seat, 1, ROLE_CLIENT, POWER_MAINS, true);
	member(&seat, 2, ROLE_CLIENT, POWER_MAINS, true);
	step(&seat, ELECTION_ALIVE, 2);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_int_equal(planner(&seat), 0);
	state(&seat, 2, 2);
	assert_int_equal(planner(&seat), 0);
	member(&seat, 3, ROLE_WORKER, POWER_BATTERY, false);
	assert_true(step(&seat, ELECTION_ALIVE, 3));
	assert_int_equal(planner(&seat), 3);
}

static void it_is_sticky(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 2);
	step(&seat, ELECTION_LOST, 1);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_int_equal(planner(&seat), 2);
	assert_false(step(&seat, ELECTION_ALIVE, 1)); /* it ranks higher, and comes late */
	assert_int_equal(planner(&seat), 2);
}

static void of_two_planners_one_gives_way(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 3);
	step(&seat, ELECTION_LOST, 1);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_true(election_is_self(&seat.election));
	step(&seat, ELECTION_ALIVE, 1);
	assert_true(state(&seat, 1, 1));
	assert_int_equal(planner(&seat), 1);

	begin(&seat, 2, 3);
	step(&seat, ELECTION_LOST, 1);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_false(state(&seat, 3, 3)); /* this one ranks lower: it will give way */
	assert_int_equal(planner(&seat), 2);
}

static void a_lost_planner_is_replaced_at_once(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 3);
	state(&seat, 1, 1);
	assert_int_equal(planner(&seat), 1);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_true(step(&seat, ELECTION_LOST, 1));
	assert_int_equal(planner(&seat), 2);
}

static void a_suspect_is_given_time(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 2);
	pass(&seat, PLANNER_TAKEOVER_MS);
	state(&seat, 1, 1);
	assert_false(step(&seat, ELECTION_SUSPECT, 1));
	assert_int_equal(election_deadline_ms(&seat.election), seat.now_ms + PLANNER_TAKEOVER_MS);
	assert_false(pass(&seat, PLANNER_TAKEOVER_MS - 1));
	assert_true(pass(&seat, 1)); /* of two, nobody else can be asked */
	assert_int_equal(planner(&seat), 2);
}

static void others_are_asked_about_a_suspect(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 3);
	pass(&seat, PLANNER_TAKEOVER_MS);
	state(&seat, 1, 1);
	state(&seat, 3, 1);
	step(&seat, ELECTION_SUSPECT, 1);
	assert_true(pass(&seat, PLANNER_TAKEOVER_MS)); /* doubt, and says so */
	assert_int_equal(planner(&seat), 0);
	assert_false(pass(&seat, 60000)); /* 3 still reaches it */
	assert_true(step(&seat, ELECTION_ALIVE, 1));
	assert_int_equal(planner(&seat), 1);
	step(&seat, ELECTION_SUSPECT, 1);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_true(state(&seat, 3, 0)); /* now 3 doubts as well */
	assert_int_equal(planner(&seat), 2);
}

static void who_never_claims_is_not_followed_for_ever(void **unused)
{
	struct seat seat;
	begin(&seat, 3, 3);
	pass(&seat, PLANNER_TAKEOVER_MS);
	assert_int_equal(planner(&seat), 1);
	state(&seat, 1, 1);
	state(&seat, 1, 2); /* it restarted, and follows another */
	assert_int_equal(planner(&seat), 1);
	assert_int_equal(election_deadline_ms(&seat.election), seat.now_ms + PLANNER_TAKEOVER_MS);
	pass(&seat, PLANNER_TAKEOVER_MS);
	state(&seat, 2, 2);
	assert_int_equal(planner(&seat), 2);
}

static void a_removed_planner_is_replaced(void **unused)
{
	struct seat seat;
	begin(&seat, 2, 3);
	pass(&seat, PLANNER_TAKEOVER_MS);
	state(&seat, 1, 1);
	assert_true(step(&seat, ELECTION_REMOVED, 1));
	assert_int_equal(planner(&seat), 2);
	assert_int_equal(seat.election.n_members, 2);
	assert_false(step(&seat, ELECTION_ALIVE, 1)); /* a stranger now */
	assert_false(state(&seat, 1, 1));
}

static void too_many_members_are_ignored(void **unused)
{
	struct seat seat;
	begin(&seat, 1, 200);
	assert_int_equal(seat.election.n_members, ELECTION_MEMBERS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone_it_plans_at_once),
		cmocka_unit_test(a_newcomer_listens_first),
		cmocka_unit_test(rank),
		cmocka_unit_test(two_that_have_not_told_agree),
		cmocka_unit_test(a_home_on_battery_has_a_planner),
		cmocka_unit_test(clients_never_plan),
		cmocka_unit_test(it_is_sticky),
		cmocka_unit_test(of_two_planners_one_gives_way),
		cmocka_unit_test(a_lost_planner_is_replaced_at_once),
		cmocka_unit_test(a_suspect_is_given_time),
		cmocka_unit_test(others_are_asked_about_a_suspect),
		cmocka_unit_test(who_never_claims_is_not_followed_for_ever),
		cmocka_unit_test(a_removed_planner_is_replaced),
		cmocka_unit_test(too_many_members_are_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
