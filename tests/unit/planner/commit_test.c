/* Both roles of the commit, message by message. */
#include "planner/planner.h"

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

/* Devices 1 to n with a layer each, the first is the head; then one without layers. */
static struct plan plan_of(uint64_t counter, uint8_t planner, uint16_t n)
{
	struct plan plan = { .epoch = { counter, id_of(planner) },
			     .context = 16, .kv_positions = 16, .chunk_rows = 32, .rounds = 1 };
	for (uint16_t i = 0; i <= n; i++) {
		plan.devices[i].id = id_of((uint8_t)(i + 1));
		plan.devices[i].n_layers = i < n;
		if (i < n)
			plan.stages[i] = (struct plan_stage){ i, (uint16_t)(i + 1), 0, 1, { { i, 1 } } };
	}
	plan.n_devices = (uint16_t)(n + 1);
	plan.n_stages = n;
	return plan;
}

/* ---- a machine under test ---- */

struct fixture {
	struct commit *commit;
	struct commit_actions actions;
	int64_t now_ms;
};

static void begin(struct fixture *fixture, uint8_t self, const struct commit_record *record)
{
	const struct device_id id = id_of(self);
	memset(fixture, 0, sizeof(*fixture));
	fixture->commit = commit_create(&id, record);
	assert_non_null(fixture->commit);
}

static void step(struct fixture *fixture, const struct commit_event *event)
{
	commit_step(fixture->commit, event, fixture->now_ms, &fixture->actions);
}

static const struct commit_action *only(const struct fixture *fixture, enum commit_action_kind kind)
{
	assert_int_equal(fixture->actions.n, 1);
	assert_int_equal(fixture->actions.items[0].kind, kind);
	return &fixture->actions.items[0];
}

static void written(struct fixture *fixture, uint64_t ticket)
{
	const struct commit_event event = { .kind = COMMIT_PERSISTED, .ticket = ticket };
	step(fixture, &event);
}

static void prepare(struct fixture *fixture, uint8_t from, const struct plan *plan)
{
	const struct commit_event event = { .kind = COMMIT_PREPARED, .from = id_of(from),
					    .plan = plan };
	step(fixture, &event);
}

static void commit(struct fixture *fixture, uint8_t from, uint64_t counter, uint8_t planner)
{
	const struct commit_event event = { .kind = COMMIT_COMMITTED, .from = id_of(from),
					    .epoch = { counter, id_of(planner) } };
	step(fixture, &event);
}

static void promise(struct fixture *fixture, uint8_t from, uint64_t counter, bool promised,
		    struct epoch held)
{
	const struct message_promise message = {
		.epoch = { counter, id_of(1) }, .promised = promised, .held = held
	};
	const struct commit_event event = { .kind = COMMIT_PROMISED, .from = id_of(from),
					    .promise = &message };
	step(fixture, &event);
}

static void tick(struct fixture *fixture, int64_t after_ms)
{
	const struct commit_event event = { .kind = COMMIT_TICK };
	fixture->now_ms += after_ms;
	step(fixture, &event);
}

/* Device 2 promises and enters a plan of device 1. */
static void enter(struct fixture *fixture, uint64_t counter)
{
	const struct plan plan = plan_of(counter, 1, 2);
	prepare(fixture, 1, &plan);
	written(fixture, fixture->actions.items[fixture->actions.n - 1].ticket);
	only(fixture, COMMIT_DO_SEND_PROMISE);
	commit(fixture, 1, counter, 1);
	only(fixture, COMMIT_DO_ENTER);
}

/* ---- participant ---- */

static void promises_only_when_it_is_written(void **state)
{
	struct fixture fixture;
	const struct plan plan = plan_of(5, 1, 2);
	begin(&fixture, 2, NULL);
	prepare(&fixture, 1, &plan);
	const struct commit_action *action = only(&fixture, COMMIT_DO_PERSIST);
	assert_int_equal(action->record.promised.counter, 5);
	const uint64_t ticket = action->ticket;
	commit(&fixture, 1, 5, 1); /* cannot be: nothing was promised yet */
	assert_int_equal(fixture.actions.n, 0);
	written(&fixture, ticket - 1);
	assert_int_equal(fixture.actions.n, 0);
	written(&fixture, ticket);
	action = only(&fixture, COMMIT_DO_SEND_PROMISE);
	assert_true(action->promise.promised);
	assert_int_equal(action->promise.epoch.counter, 5);
	assert_int_equal(action->to.bytes[0], 1);
	assert_int_equal(commit_verdict(fixture.commit, &plan.epoch), COMMIT_HOLD);
	assert_null(commit_live(fixture.commit));
	commit(&fixture, 1, 5, 1);
	assert_int_equal(only(&fixture, COMMIT_DO_ENTER)->plan->epoch.counter, 5);
	assert_int_equal(commit_verdict(fixture.commit, &plan.epoch), COMMIT_SERVE);
	commit(&fixture, 1, 5, 1); /* twice does nothing */
	assert_int_equal(fixture.actions.n, 0);
	commit_destroy(fixture.commit);
}

static void lower_epochs_are_refused(void **state)
{
	struct fixture fixture;
	const struct plan low = plan_of(4, 9, 2), same_counter = plan_of(5, 0, 2);
	begin(&fixture, 2, NULL);
	enter(&fixture, 5);
	prepare(&fixture, 9, &low);
	const struct commit_action *action = only(&fixture, COMMIT_DO_SEND_PROMISE);
	assert_false(action->promise.promised);
	assert_int_equal(action->promise.held.counter, 5);
	assert_int_equal(action->to.bytes[0], 9);
	prepare(&fixture, 0, &same_counter); /* (5, device 0) is below (5, device 1) */
	assert_false(only(&fixture, COMMIT_DO_SEND_PROMISE)->promise.promised);
	assert_non_null(commit_live(fixture.commit));
	assert_int_equal(commit_verdict(fixture.commit, &low.epoch), COMMIT_STALE);
	commit_destroy(fixture.commit);
}

static void a_higher_promise_ends_the_live_plan(void **state)
{
	struct fixture fixture;
	const struct plan next = plan_of(6, 9, 2);
	const struct epoch before = { 5, id_of(1) };
	begin(&fixture, 2, NULL);
	enter(&fixture, 5);
	prepare(&fixture, 9, &next);
	assert_int_equal(fixture.actions.n, 2);
	assert_int_equal(fixture.actions.items[0].kind, COMMIT_DO_LEAVE);
	assert_int_equal(fixture.actions.items[0].epoch.counter, 5);
	assert_int_equal(fixture.actions.items[1].kind, COMMIT_DO_PERSIST);
	assert_null(commit_live(fixture.commit));
	assert_int_equal(commit_verdict(fixture.commit, &before), COMMIT_STALE);
	commit(&fixture, 1, 5, 1); /* the old planner is told what is held now */
	const struct commit_action *action = only(&fixture, COMMIT_DO_SEND_PROMISE);
	assert_false(action->promise.promised);
	assert_int_equal(action->promise.held.counter, 6);
	commit_destroy(fixture.commit);
}

static void a_restart_keeps_the_promise_and_forgets_the_plan(void **state)
{
	struct fixture fixture;
	struct commit_record record, again;
	uint8_t bytes[COMMIT_RECORD_BYTES];
	const struct plan low = plan_of(4, 9, 2), same = plan_of(5, 1, 2), next = plan_of(6, 1, 2);
	begin(&fixture, 2, NULL);
	prepare(&fixture, 1, &same);
	record = only(&fixture, COMMIT_DO_PERSIST)->record;
	commit_destroy(fixture.commit);

	commit_record_encode(&record, bytes);
	assert_int_equal(commit_record_decode(&again, bytes, sizeof(bytes), NULL), 0);
	begin(&fixture, 2, &again);
	assert_null(commit_live(fixture.commit));
	assert_int_equal(commit_promised(fixture.commit).counter, 5);
	prepare(&fixture, 9, &low);
	assert_false(only(&fixture, COMMIT_DO_SEND_PROMISE)->promise.promised);
	prepare(&fixture, 1, &same);
	assert_false(only(&fixture, COMMIT_DO_SEND_PROMISE)->promise.promised);
	commit(&fixture, 1, 5, 1);
	assert_false(only(&fixture, COMMIT_DO_SEND_PROMISE)->promise.promised);
	prepare(&fixture, 1, &next);
	only(&fixture, COMMIT_DO_PERSIST);
	commit_destroy(fixture.commit);
}

static void a_bad_record_is_refused(void **state)
{
	struct commit_record record = { { 9, id_of(1) }, 3 };
	uint8_t bytes[COMMIT_RECORD_BYTES];
	struct fail fail;
	commit_record_encode(&record, bytes);
	assert_int_equal(commit_record_decode(&record, bytes, sizeof(bytes), &fail), -FAIL_CORRUPT);
	assert_int_equal(commit_record_decode(&record, bytes, 47, &fail), -FAIL_CORRUPT);
}

static void a_missing_commit_is_asked_for(void **state)
{
	struct fixture fixture;
	const struct plan plan = plan_of(5, 1, 2);
	begin(&fixture, 2, NULL);
	prepare(&fixture, 1, &plan);
	written(&fixture, 1);
	assert_int_equal(commit_deadline_ms(fixture.commit), DEADLINE_COMMIT_MS);
	tick(&fixture, DEADLINE_COMMIT_MS - 1);
	assert_int_equal(fixture.actions.n, 0);
	tick(&fixture, 1);
	assert_int_equal(fixture.actions.n, 2);
	assert_int_equal(fixture.actions.items[0].kind, COMMIT_DO_SEND_PROMISE);
	assert_true(fixture.actions.items[0].promise.promised);
	assert_int_equal(fixture.actions.items[1].kind, COMMIT_DO_ASK);
	for (int i = 1; i < COMMIT_ASKS_MAX; i++)
		tick(&fixture, DEADLINE_COMMIT_MS);
	tick(&fixture, DEADLINE_COMMIT_MS); /* and then it is given up */
	assert_int_equal(fixture.actions.n, 0);
	assert_int_equal(commit_deadline_ms(fixture.commit), INT64_MAX);
	assert_int_equal(commit_promised(fixture.commit).counter, 5);
	commit_destroy(fixture.commit);
}

static void nobody_proposes_in_anothers_name(void **state)
{
	struct fixture fixture;
	const struct plan plan = plan_of(5, 1, 2), far = plan_of(COMMIT_JUMP_MAX + 2, 1, 2);
	begin(&fixture, 2, NULL);
	prepare(&fixture, 9, &plan);
	assert_int_equal(fixture.actions.n, 0);
	prepare(&fixture, 1, &far);
	assert_false(only(&fixture, COMMIT_DO_SEND_PROMISE)->promise.promised);
	assert_int_equal(commit_promised(fixture.commit).counter, 0);
	enter(&fixture, 5);
	commit(&fixture, 9, 5, 1); /* COMMIT neither */
	assert_int_equal(fixture.actions.n, 0);
	commit_destroy(fixture.commit);
}

static void a_spectator_promises_nothing_and_knows_the_plan(void **state)
{
	struct fixture fixture;
	const struct plan plan = plan_of(5, 1, 2), older = plan_of(4, 1, 2);
	begin(&fixture, 3, NULL);
	commit(&fixture, 1, 5, 1); /* without having seen the plan */
	assert_int_equal(fixture.actions.n, 0);
	prepare(&fixture, 7, &plan); /* told by whoever plans now */
	assert_int_equal(fixture.actions.n, 0);
	assert_null(commit_known(fixture.commit));
	commit(&fixture, 7, 5, 1);
	assert_int_equal(commit_known(fixture.commit)->epoch.counter, 5);
	assert_null(commit_live(fixture.commit));
	assert_int_equal(commit_promised(fixture.commit).counter, 0);
	prepare(&fixture, 1, &older);
	commit(&fixture, 1, 4, 1);
	assert_int_equal(commit_known(fixture.commit)->epoch.counter, 5);
	commit_destroy(fixture.commit);
}

static void a_plan_without_this_device_ends_the_one_with_it(void **state)
{
	struct fixture fixture;
	const struct plan without = plan_of(6, 1, 1);
	begin(&fixture, 2, NULL);
	enter(&fixture, 5);
	prepare(&fixture, 1, &without);
	assert_int_equal(fixture.actions.n, 0); /* not yet: it may fail */
	commit(&fixture, 1, 6, 1);
	assert_int_equal(only(&fixture, COMMIT_DO_LEAVE)->epoch.counter, 5);
	assert_int_equal(commit_known(fixture.commit)->epoch.counter, 6);
	commit_destroy(fixture.commit);
}

/* ---- planner ---- */

static void propose(struct fixture *fixture, uint16_t n)
{
	const struct epoch next = commit_next_epoch(fixture->commit);
	const struct plan plan = plan_of(next.counter, 1, n);
	const struct commit_event event = { .kind = COMMIT_PROPOSE, .plan = &plan };
	step(fixture, &event);
	const struct commit_action *last = &fixture->actions.items[fixture->actions.n - 1];
	assert_int_equal(last->kind, COMMIT_DO_PERSIST);
	assert_int_equal(last->record.counter, next.counter);
	written(fixture, last->ticket);
}

static void all_must_promise(void **state)
{
	struct fixture fixture;
	const struct epoch none = { 0 };
	begin(&fixture, 1, NULL);
	propose(&fixture, 3);
	assert_int_equal(fixture.actions.n, 2); /* PREPARE to 2 and 3; 4 is no participant */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(fixture.actions.items[i].kind, COMMIT_DO_SEND_PREPARE);
		assert_int_equal(fixture.actions.items[i].to.bytes[0], 2 + i);
	}
	assert_true(commit_proposing(fixture.commit));
	promise(&fixture, 3, 1, true, none);
	promise(&fixture, 3, 1, true, none); /* a double does not count for another */
	promise(&fixture, 4, 1, true, none); /* nor does a spectator */
	assert_int_equal(fixture.actions.n, 0);
	promise(&fixture, 2, 1, true, none);
	assert_int_equal(fixture.actions.n, 4);
	assert_int_equal(fixture.actions.items[0].kind, COMMIT_DO_SEND_COMMIT);
	assert_int_equal(fixture.actions.items[1].kind, COMMIT_DO_SEND_COMMIT);
	assert_int_equal(fixture.actions.items[2].kind, COMMIT_DO_ENTER);
	assert_int_equal(fixture.actions.items[3].kind, COMMIT_DO_DECIDED);
	assert_false(commit_proposing(fixture.commit));
	promise(&fixture, 2, 1, true, none); /* it missed the COMMIT */
	assert_int_equal(only(&fixture, COMMIT_DO_SEND_COMMIT)->to.bytes[0], 2);
	commit_destroy(fixture.commit);
}

static void a_home_of_one_decides_at_once(void **state)
{
	struct fixture fixture;
	begin(&fixture, 1, NULL);
	propose(&fixture, 1);
	assert_int_equal(fixture.actions.n, 2);
	assert_int_equal(fixture.actions.items[0].kind, COMMIT_DO_ENTER);
	assert_int_equal(fixture.actions.items[1].kind, COMMIT_DO_DECIDED);
	assert_non_null(commit_live(fixture.commit));
	commit_destroy(fixture.commit);
}

static void the_silent_are_named(void **state)
{
	struct fixture fixture;
	const struct epoch none = { 0 };
	begin(&fixture, 1, NULL);
	propose(&fixture, 3);
	promise(&fixture, 2, 1, true, none);
	assert_int_equal(commit_deadline_ms(fixture.commit), DEADLINE_PROMISE_MS);
	tick(&fixture, DEADLINE_PROMISE_MS);
	only(&fixture, COMMIT_DO_REPLAN);
	assert_int_equal(fixture.actions.n_silent, 1);
	assert_int_equal(fixture.actions.silent[0].bytes[0], 3);
	assert_int_equal(commit_next_epoch(fixture.commit).counter, 2);
	promise(&fixture, 3, 1, true, none); /* too late */
	assert_int_equal(fixture.actions.n, 0);
	commit_destroy(fixture.commit);
}

static void a_lost_participant_ends_the_wait(void **state)
{
	struct fixture fixture;
	const struct commit_event gone = { .kind = COMMIT_GONE, .from = id_of(3) };
	begin(&fixture, 1, NULL);
	propose(&fixture, 3);
	step(&fixture, &gone);
	only(&fixture, COMMIT_DO_REPLAN);
	assert_int_equal(fixture.actions.silent[0].bytes[0], 3);
	commit_destroy(fixture.commit);
}

static void outbid_by_a_refusal(void **state)
{
	struct fixture fixture;
	const struct epoch held = { 8, id_of(9) };
	begin(&fixture, 1, NULL);
	propose(&fixture, 2);
	promise(&fixture, 2, 1, false, held);
	assert_int_equal(only(&fixture, COMMIT_DO_OUTBID)->epoch.counter, 8);
	assert_int_equal(commit_next_epoch(fixture.commit).counter, 9);
	commit_destroy(fixture.commit);
}

static void outbid_by_another_planner(void **state)
{
	struct fixture fixture;
	const struct plan higher = plan_of(1, 9, 2); /* (1, device 9) is above (1, device 1) */
	const struct epoch none = { 0 };
	begin(&fixture, 1, NULL);
	propose(&fixture, 2);
	prepare(&fixture, 9, &higher);
	assert_int_equal(fixture.actions.n, 2);
	assert_int_equal(fixture.actions.items[0].kind, COMMIT_DO_OUTBID);
	assert_int_equal(fixture.actions.items[1].kind, COMMIT_DO_PERSIST);
	promise(&fixture, 2, 1, true, none); /* the last promise comes too late */
	assert_int_equal(fixture.actions.n, 0);
	commit_destroy(fixture.commit);
}

static void a_participant_that_lost_the_plan_is_planned_for(void **state)
{
	struct fixture fixture;
	const struct epoch none = { 0 }, held = { 1, id_of(1) };
	begin(&fixture, 1, NULL);
	propose(&fixture, 2);
	promise(&fixture, 2, 1, true, none);
	promise(&fixture, 2, 1, false, held); /* it restarted */
	assert_int_equal(fixture.actions.n, 2);
	assert_int_equal(fixture.actions.items[0].kind, COMMIT_DO_LEAVE);
	assert_int_equal(fixture.actions.items[1].kind, COMMIT_DO_REPLAN);
	assert_int_equal(fixture.actions.n_silent, 0);
	commit_destroy(fixture.commit);
}

static void an_epoch_that_is_not_the_next_is_not_proposed(void **state)
{
	struct fixture fixture;
	const struct plan plan = plan_of(3, 1, 2);
	const struct commit_event event = { .kind = COMMIT_PROPOSE, .plan = &plan };
	const struct commit_event seen = { .kind = COMMIT_SEEN, .epoch = { 7, id_of(4) } };
	begin(&fixture, 1, NULL);
	step(&fixture, &event);
	only(&fixture, COMMIT_DO_OUTBID);
	step(&fixture, &seen);
	assert_int_equal(commit_next_epoch(fixture.commit).counter, 8);
	commit_destroy(fixture.commit);
}

static void a_dropped_plan_does_not_come_back(void **state)
{
	struct fixture fixture;
	const struct commit_event drop = { .kind = COMMIT_DROP };
	begin(&fixture, 2, NULL);
	enter(&fixture, 5);
	step(&fixture, &drop);
	assert_int_equal(only(&fixture, COMMIT_DO_LEAVE)->epoch.counter, 5);
	commit(&fixture, 1, 5, 1);
	assert_false(only(&fixture, COMMIT_DO_SEND_PROMISE)->promise.promised);
	assert_null(commit_live(fixture.commit));
	enter(&fixture, 6);
	commit_destroy(fixture.commit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promises_only_when_it_is_written),
		cmocka_unit_test(lower_epochs_are_refused),
		cmocka_unit_test(a_higher_promise_ends_the_live_plan),
		cmocka_unit_test(a_restart_keeps_the_promise_and_forgets_the_plan),
		cmocka_unit_test(a_bad_record_is_refused),
		cmocka_unit_test(a_missing_commit_is_asked_for),
		cmocka_unit_test(nobody_proposes_in_anothers_name),
		cmocka_unit_test(a_spectator_promises_nothing_and_knows_the_plan),
		cmocka_unit_test(a_plan_without_this_device_ends_the_one_with_it),
		cmocka_unit_test(all_must_promise),
		cmocka_unit_test(a_home_of_one_decides_at_once),
		cmocka_unit_test(the_silent_are_named),
		cmocka_unit_test(a_lost_participant_ends_the_wait),
		cmocka_unit_test(outbid_by_a_refusal),
		cmocka_unit_test(outbid_by_another_planner),
		cmocka_unit_test(a_participant_that_lost_the_plan_is_planned_for),
		cmocka_unit_test(an_epoch_that_is_not_the_next_is_not_proposed),
		cmocka_unit_test(a_dropped_plan_does_not_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
