#include "glue.h"

#include "planning.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

static int index_of(const struct device *device, const struct device_id *id)
{
	for (uint32_t i = 0; i < device->world->n_devices; i++)
		if (device_id_equal(device_id_of(device->world->devices[i]), id))
			return (int)i;
	return -1;
}

static void send_parcel(struct device *device, uint32_t to, struct parcel *parcel)
{
	world_send(device->world, device->index, to, device->connections[to], parcel);
}

static void send_to(struct device *device, const struct device_id *id, struct parcel *parcel)
{
	const int to = index_of(device, id);
	if (to >= 0)
		send_parcel(device, (uint32_t)to, parcel);
	else
		parcel_finish(parcel);
}

static void later(struct device *device, uint32_t to, enum event_kind kind, int64_t after_ms,
		  uint64_t process, uint64_t connection)
{
	const struct event event = { .at_ms = device->world->now_ms + after_ms,
				     .kind = kind,
				     .to = to,
				     .from = device->index,
				     .process = process,
				     .connection = connection };
	world_schedule(device->world, &event);
}

/* ---- what a ping carries ---- */

static void fill_news(struct device *device, struct parcel *parcel)
{
	const struct plan *known = commit_known(device->commit);
	const struct plan *live = commit_live(device->commit);
	parcel->incarnation = membership_incarnation(device->membership);
	parcel->planner = *election_planner(&device->election);
	if (known)
		parcel->epoch = known->epoch;
	if (live)
		parcel->live = live->epoch;
	roster_digest(device->roster, parcel->digest);
}

static void send_roster(struct device *device, uint32_t to)
{
	struct parcel parcel = { .kind = PARCEL_ROSTER };
	const uint8_t *statements = roster_statements(device->roster, &parcel.n_statements);
	const size_t size = (size_t)parcel.n_statements * STATEMENT_BYTES;
	parcel.statements = malloc(size);
	if (!parcel.statements)
		abort();
	memcpy(parcel.statements, statements, size);
	send_parcel(device, to, &parcel);
}

static void take_news(struct device *device, uint32_t from, const struct parcel *parcel)
{
	const struct device_id *id = device_id_of(device->world->devices[from]);
	const struct election_event stated = { .kind = ELECTION_STATED,
					       .device = *id,
					       .planner = parcel->planner };
	const struct commit_event seen = { .kind = COMMIT_SEEN, .epoch = parcel->epoch };
	uint8_t digest[ID_BYTES];
	glue_election(device, &stated);
	glue_commit(device, &seen);
	planning_heard(device, from, &parcel->epoch, &parcel->live);
	roster_digest(device->roster, digest);
	if (memcmp(digest, parcel->digest, sizeof(digest)) != 0)
		send_roster(device, from);
}

/* ---- membership ---- */

static void send_membership(struct device *device, const struct membership_action *action,
			    enum parcel_kind kind)
{
	struct parcel parcel = { .kind = kind, .seq = action->seq, .alive = action->alive };
	if (kind == PARCEL_PING)
		fill_news(device, &parcel);
	else
		parcel.target = (uint32_t)index_of(device, &action->target);
	send_to(device, &action->peer, &parcel);
}

static void dial(struct device *device, uint32_t to)
{
	struct world *world = device->world;
	const struct event reached = { .at_ms = world->now_ms + world_delay_ms(world),
				       .kind = EVENT_DIALLED,
				       .to = to,
				       .from = device->index,
				       .process = device->process };
	if (!world_is_cut(world, device->index, to)) {
		world_schedule(world, &reached);
		return;
	}
	const struct event failed = { .at_ms = world->now_ms + DEADLINE_DIAL_MS,
				      .kind = EVENT_DIAL_FAILED,
				      .to = device->index,
				      .from = to,
				      .process = device->process };
	world_schedule(world, &failed);
}

static void liveness_changed(struct device *device, const struct membership_action *action)
{
	static const enum election_event_kind kinds[] = {
		[LIVENESS_UNKNOWN] = ELECTION_LOST, [LIVENESS_ALIVE] = ELECTION_ALIVE,
		[LIVENESS_SUSPECT] = ELECTION_SUSPECT, [LIVENESS_LOST] = ELECTION_LOST,
		[LIVENESS_LEFT] = ELECTION_LOST,
	};
	const struct election_event event = { .kind = kinds[action->to], .device = action->peer };
	glue_election(device, &event);
	if (action->to == LIVENESS_LOST || action->to == LIVENESS_LEFT)
		planning_lost(device, &action->peer);
	if (action->to == LIVENESS_ALIVE)
		planning_found(device);
}

static void carry_out_membership(struct device *device, const struct membership_action *action)
{
	const int peer = index_of(device, &action->peer);
	switch (action->kind) {
	case MEMBERSHIP_SEND_PING:
		send_membership(device, action, PARCEL_PING);
		break;
	case MEMBERSHIP_SEND_PROBE:
		send_membership(device, action, PARCEL_PROBE);
		break;
	case MEMBERSHIP_SEND_PROBE_RESULT:
		send_membership(device, action, PARCEL_PROBE_RESULT);
		break;
	case MEMBERSHIP_DIAL:
		dial(device, (uint32_t)peer);
		break;
	case MEMBERSHIP_HANG_UP:
		glue_close(device, (uint32_t)peer, false);
		break;
	case MEMBERSHIP_CHANGED:
		world_tell(device->world, device->index, "device %d is %s: %s", peer,
			   liveness_name(action->to), action->reason);
		liveness_changed(device, action);
		break;
	case MEMBERSHIP_RETURNED:
		planning_lost(device, &action->peer);
		break;
	}
}

void glue_membership(struct device *device, const struct membership_event *event)
{
	static struct membership_actions actions;
	const uint64_t incarnation = membership_incarnation(device->membership);
	membership_step(device->membership, event, device->world->now_ms, &actions);
	/* what is carried out may bring about the next step: work on a copy */
	const size_t size = actions.count * sizeof(actions.list[0]);
	const uint32_t count = actions.count;
	struct membership_action *list = malloc(size + 1);
	if (!list)
		abort();
	memcpy(list, actions.list, size);
	if (membership_incarnation(device->membership) != incarnation)
		planning_paused(device);
	for (uint32_t i = 0; i < count && device->process; i++)
		carry_out_membership(device, &list[i]);
	free(list);
}

/* ---- connections ---- */

static void membership_about(struct device *device, uint32_t peer, enum membership_event_kind kind)
{
	const struct membership_event event = {
		.kind = kind, .peer = *device_id_of(device->world->devices[peer])
	};
	glue_membership(device, &event);
}

void glue_close(struct device *device, uint32_t with, bool told)
{
	const uint64_t connection = device->connections[with];
	if (connection == 0)
		return;
	device->connections[with] = 0;
	if (!told && !world_is_cut(device->world, device->index, with))
		later(device, with, EVENT_CLOSED, world_delay_ms(device->world),
		      device->world->devices[with]->process, connection);
	membership_about(device, with, MEMBERSHIP_DISCONNECTED);
}

/* Shows a device that is not a member any more why. */
static void show_notice(struct device *device, uint32_t to)
{
	if (!roster_is_removed(device->roster, device_id_of(device->world->devices[to])))
		return;
	device->connections[to] = UINT64_MAX; /* for this parcel only */
	send_roster(device, to);
	device->connections[to] = 0;
}

static bool admits(struct device *device, uint32_t from)
{
	const struct device *caller = device->world->devices[from];
	uint8_t statements[8 * STATEMENT_BYTES];
	bool changed = false;
	if (device_is_member_for(device, from))
		return true;
	const uint32_t n =
		roster_credentials(caller->roster, device_id_of(caller), statements, 8);
	if (!roster_admit(device->roster, caller->identity->keys.x_pk, statements, n, &changed))
		return false;
	if (changed)
		glue_roster_changed(device);
	return true;
}

void glue_dialled(struct device *device, uint32_t from, uint64_t process)
{
	struct world *world = device->world;
	const struct device *caller = world->devices[from];
	const int64_t back_ms = world_delay_ms(world);
	if (caller->process != process)
		return;
	if (world_is_cut(world, device->index, from) || device->paused || device->machine_down) {
		later(device, from, EVENT_DIAL_FAILED, DEADLINE_DIAL_MS, process, 0);
		return;
	}
	if (!device->process) {
		later(device, from, EVENT_REFUSED, back_ms, process, 0);
		return;
	}
	if (!admits(device, from)) {
		later(device, from, EVENT_DIAL_FAILED, back_ms, process, 0);
		show_notice(device, from);
		return;
	}
	const uint64_t connection = ++world->connections;
	device->connections[from] = connection;
	later(device, from, EVENT_CONNECTED, back_ms, process, connection);
	membership_about(device, from, MEMBERSHIP_CONNECTED);
}

void glue_connected(struct device *device, uint32_t with, uint64_t connection)
{
	/* a cut since then lets the answer through or not; if not, the dial ends without one */
	if (world_is_cut(device->world, device->index, with)) {
		const struct event failed = { .at_ms = device->world->now_ms + DEADLINE_DIAL_MS,
					      .kind = EVENT_DIAL_FAILED,
					      .to = device->index,
					      .from = with,
					      .process = device->process };
		world_schedule(device->world, &failed);
		return;
	}
	device->connections[with] = connection;
	membership_about(device, with, MEMBERSHIP_CONNECTED);
}

/* ---- election ---- */

void glue_election(struct device *device, const struct election_event *event)
{
	if (!election_step(&device->election, event, device->world->now_ms))
		return;
	const int planner = index_of(device, election_planner(&device->election));
	world_tell(device->world, device->index, "takes device %d for the planner", planner);
	for (uint32_t i = 0; i < device->world->n_devices; i++) {
		struct parcel parcel = { .kind = PARCEL_STATED,
					 .planner = *election_planner(&device->election) };
		send_parcel(device, i, &parcel);
	}
	planning_elected(device);
}

/* ---- commit ---- */

static struct shared_plan *share(const struct plan *plan)
{
	struct shared_plan *shared = malloc(sizeof(*shared));
	if (!shared)
		abort();
	shared->users = 1;
	shared->plan = *plan;
	return shared;
}

static void send_plan(struct device *device, const struct device_id *to, struct shared_plan *plan)
{
	struct parcel parcel = { .kind = PARCEL_PREPARE, .plan = shared_plan_hold(plan) };
	send_to(device, to, &parcel);
}

static void send_epoch(struct device *device, const struct device_id *to, enum parcel_kind kind,
		       const struct epoch *epoch)
{
	struct parcel parcel = { .kind = kind, .epoch = *epoch };
	send_to(device, to, &parcel);
}

static void write_record(struct device *device, const struct commit_action *action)
{
	struct world *world = device->world;
	struct event event = { .kind = EVENT_WRITTEN,
			       .to = device->index,
			       .process = device->process,
			       .ticket = action->ticket,
			       .record = action->record };
	event.at_ms = world->now_ms + 1 + (int64_t)world_exponential(world, 8);
	if (event.at_ms < device->written_ms)
		event.at_ms = device->written_ms; /* writes are done in order */
	device->written_ms = event.at_ms;
	world_schedule(world, &event);
}

static void promise(struct device *device, const struct commit_action *action)
{
	struct parcel parcel = { .kind = PARCEL_PROMISE, .promise = action->promise };
	if (action->promise.promised)
		watch_promised(device->world->watch, device->index, &action->promise.epoch);
	send_to(device, &action->to, &parcel);
}

void glue_tell_spectators(struct device *device, const struct plan *plan)
{
	struct shared_plan *shared = share(plan);
	for (uint32_t i = 0; i < roster_count(device->roster); i++) {
		const struct device_id *id = &roster_at(device->roster, i)->keys.id;
		if (device_id_equal(id, device_id_of(device)) || commit_participates(plan, id))
			continue;
		send_plan(device, id, shared);
		send_epoch(device, id, PARCEL_COMMIT, &plan->epoch);
	}
	shared_plan_drop(shared);
}

void glue_tell_failed(struct device *device, const struct epoch *epoch)
{
	for (uint32_t i = 0; i < device->world->n_devices; i++) {
		struct parcel parcel = { .kind = PARCEL_FAILED, .epoch = *epoch };
		send_parcel(device, i, &parcel);
	}
}

static void ask(struct device *device)
{
	struct parcel parcel = { .kind = PARCEL_ASK };
	if (election_is_self(&device->election))
		planning_asked(device, device->index);
	else
		send_to(device, election_planner(&device->election), &parcel);
}

static void carry_out_commit(struct device *device, const struct commit_actions *actions,
			     uint32_t i, struct shared_plan *shared)
{
	const struct commit_action *action = &actions->items[i];
	switch (action->kind) {
	case COMMIT_DO_PERSIST:
		write_record(device, action);
		break;
	case COMMIT_DO_SEND_PREPARE:
		watch_seen(device->world->watch, action->plan);
		send_plan(device, &action->to, shared);
		break;
	case COMMIT_DO_SEND_PROMISE:
		promise(device, action);
		break;
	case COMMIT_DO_SEND_COMMIT:
		send_epoch(device, &action->to, PARCEL_COMMIT, &action->epoch);
		break;
	case COMMIT_DO_ENTER:
		world_tell(device->world, device->index, "enters plan %llu",
			   (unsigned long long)action->plan->epoch.counter);
		watch_entered(device->world->watch, device->index, action->plan);
		break;
	case COMMIT_DO_LEAVE:
		world_tell(device->world, device->index, "leaves plan %llu",
			   (unsigned long long)action->epoch.counter);
		glue_tell_failed(device, &action->epoch);
		break;
	case COMMIT_DO_DECIDED:
		watch_decided(device->world->watch, device->index, action->plan);
		glue_tell_spectators(device, action->plan);
		break;
	case COMMIT_DO_REPLAN:
		planning_silent(device, actions);
		break;
	case COMMIT_DO_OUTBID:
		planning_outbid(device);
		break;
	case COMMIT_DO_ASK:
		ask(device);
		break;
	}
}

void glue_commit(struct device *device, const struct commit_event *event)
{
	struct commit_actions *actions = malloc(sizeof(*actions));
	struct shared_plan *shared = NULL;
	if (!actions)
		abort();
	commit_step(device->commit, event, device->world->now_ms, actions);
	for (uint32_t i = 0; i < actions->n; i++) {
		if (actions->items[i].kind == COMMIT_DO_SEND_PREPARE && !shared)
			shared = share(actions->items[i].plan);
		carry_out_commit(device, actions, i, shared);
	}
	shared_plan_drop(shared);
	free(actions);
	planning_follow(device);
}

/* ---- the roster ---- */

#define POWER_MS 60000 /* so long a device stays on mains or battery */

/* In one home of eight nobody has mains. */
static enum power_source power_of(const struct world *world, uint32_t index)
{
	const uint64_t period = (uint64_t)world->now_ms / POWER_MS;
	return world->seed % 8 == 0 || (index + period) % 3 == 0 ? POWER_BATTERY : POWER_MAINS;
}

/* A device knows its own power, and that of others from their profiles, which come with pings here. */
static void tell_traits(struct device *device, const struct member *member)
{
	const uint32_t index = (uint32_t)index_of(device, &member->keys.id);
	const bool known = index == device->index || (device->heard >> index & 1);
	const struct election_event event = {
		.kind = ELECTION_MEMBER,
		.device = member->keys.id,
		.traits = { .role = member->role,
			    .power = known ? power_of(device->world, index) : POWER_UNKNOWN,
			    .wired = index % 2 == 0 },
	};
	glue_election(device, &event);
}

static void hear_profile(struct device *device, uint32_t from)
{
	const uint32_t changed[] = { device->index, from };
	device->heard |= 1u << from;
	for (uint32_t i = 0; i < 2; i++) {
		const struct device *at = device->world->devices[changed[i]];
		const struct member *member = roster_find(device->roster, device_id_of(at));
		if (member)
			tell_traits(device, member);
	}
}

static void tell_machines(struct device *device, const struct member *member)
{
	const struct membership_event joined = { .kind = MEMBERSHIP_JOINED,
						 .peer = member->keys.id };
	glue_membership(device, &joined);
	tell_traits(device, member);
}

static void expel(struct device *device, const struct device_id *id)
{
	const int index = index_of(device, id);
	const struct election_event gone = { .kind = ELECTION_REMOVED, .device = *id };
	const struct membership_event removed = { .kind = MEMBERSHIP_REMOVED, .peer = *id };
	glue_close(device, (uint32_t)index, false);
	glue_membership(device, &removed);
	glue_election(device, &gone);
	planning_lost(device, id);
}

void glue_follow_roster(struct device *device)
{
	for (uint32_t i = 0; i < roster_count(device->roster); i++)
		tell_machines(device, roster_at(device->roster, i));
	for (uint32_t i = device->election.n_members; i-- > 0;) {
		const struct device_id id = device->election.members[i].id;
		if (!roster_find(device->roster, &id) &&
		    !device_id_equal(&id, device_id_of(device)))
			expel(device, &id);
	}
}

void glue_roster_changed(struct device *device)
{
	buf_clear(&device->disk.roster);
	roster_encode(device->roster, &device->disk.roster);
	if (roster_is_removed(device->roster, device_id_of(device))) {
		world_tell(device->world, device->index, "learns that it was removed");
		const struct commit_event drop = { .kind = COMMIT_DROP };
		glue_commit(device, &drop);
		device->out = true;
		device_crash(device, false);
		return;
	}
	glue_follow_roster(device);
	for (uint32_t i = 0; i < device->world->n_devices; i++)
		if (device->connections[i])
			send_roster(device, i);
}

/* ---- parcels ---- */

static void take_roster(struct device *device, const struct parcel *parcel)
{
	bool changed = false;
	roster_merge(device->roster, parcel->statements, parcel->n_statements, &changed, NULL,
		     NULL);
	if (changed)
		glue_roster_changed(device);
}

static void take_probe(struct device *device, uint32_t from, const struct parcel *parcel)
{
	const struct membership_event event = {
		.kind = parcel->kind == PARCEL_PROBE ? MEMBERSHIP_PROBE : MEMBERSHIP_PROBE_RESULT,
		.peer = *device_id_of(device->world->devices[from]),
		.target = *device_id_of(device->world->devices[parcel->target]),
		.seq = parcel->seq,
		.on = parcel->alive,
	};
	glue_membership(device, &event);
}

static void take_ping(struct device *device, uint32_t from, const struct parcel *parcel)
{
	const struct membership_event event = {
		.kind = parcel->kind == PARCEL_PONG ? MEMBERSHIP_PONG : MEMBERSHIP_HEARD,
		.peer = *device_id_of(device->world->devices[from]),
		.incarnation = parcel->incarnation,
	};
	struct parcel pong = { .kind = PARCEL_PONG, .seq = parcel->seq };
	glue_membership(device, &event);
	hear_profile(device, from);
	if (parcel->kind == PARCEL_PING) {
		fill_news(device, &pong);
		send_parcel(device, from, &pong);
	}
	take_news(device, from, parcel);
}

static bool may_plan(const struct device *device, uint32_t from)
{
	const struct member *member =
		roster_find(device->roster, device_id_of(device->world->devices[from]));
	return member && member->role != ROLE_CLIENT;
}

static void take_commit_parcel(struct device *device, uint32_t from, const struct parcel *parcel)
{
	struct commit_event event = { .from = *device_id_of(device->world->devices[from]),
				      .epoch = parcel->epoch,
				      .promise = &parcel->promise };
	if (parcel->kind == PARCEL_PREPARE) {
		event.kind = COMMIT_PREPARED;
		event.plan = &parcel->plan->plan;
		if (!may_plan(device, from))
			return;
	} else {
		event.kind = parcel->kind == PARCEL_PROMISE ? COMMIT_PROMISED : COMMIT_COMMITTED;
	}
	glue_commit(device, &event);
}

static void take_parcel(struct device *device, uint32_t from, const struct parcel *parcel)
{
	const struct election_event stated = {
		.kind = ELECTION_STATED,
		.device = *device_id_of(device->world->devices[from]),
		.planner = parcel->planner,
	};
	switch (parcel->kind) {
	case PARCEL_PING:
	case PARCEL_PONG:
		take_ping(device, from, parcel);
		return;
	case PARCEL_PROBE:
	case PARCEL_PROBE_RESULT:
		take_probe(device, from, parcel);
		break;
	case PARCEL_STATED:
		glue_election(device, &stated);
		break;
	case PARCEL_ROSTER:
		take_roster(device, parcel);
		return;
	case PARCEL_PREPARE:
	case PARCEL_PROMISE:
	case PARCEL_COMMIT:
		take_commit_parcel(device, from, parcel);
		break;
	case PARCEL_FAILED:
		planning_failed(device, &parcel->epoch);
		break;
	case PARCEL_ASK:
		planning_asked(device, from);
		break;
	}
	membership_about(device, from, MEMBERSHIP_HEARD);
}

void glue_parcel(struct device *device, struct event *event)
{
	struct parcel *parcel = &event->parcel;
	const bool notice = event->connection == UINT64_MAX && parcel->kind == PARCEL_ROSTER;
	if (notice)
		take_roster(device, parcel);
	else if (device->connections[event->from] != event->connection)
		/* a connection that is no more here: the sender learns that */
		later(device, event->from, EVENT_CLOSED, world_delay_ms(device->world),
		      device->world->devices[event->from]->process, event->connection);
	else if (device_is_member_for(device, event->from))
		take_parcel(device, event->from, parcel);
	parcel_finish(parcel);
}

/* ---- time ---- */

static int64_t due_ms(const struct device *device)
{
	int64_t due = membership_deadline(device->membership);
	const int64_t election = election_deadline_ms(&device->election);
	const int64_t commit = commit_deadline_ms(device->commit);
	due = election < due ? election : due;
	due = commit < due ? commit : due;
	return device->plan_at_ms < due ? device->plan_at_ms : due;
}

void glue_arm(struct device *device)
{
	int64_t due = due_ms(device);
	if (due < device->world->now_ms)
		due = device->world->now_ms;
	if (due >= device->timer_ms)
		return;
	device->timer_ms = due;
	if (due != INT64_MAX)
		later(device, device->index, EVENT_TIMER, due - device->world->now_ms,
		      device->process, 0);
}

void glue_timer(struct device *device)
{
	const int64_t now_ms = device->world->now_ms;
	const struct membership_event tick = { .kind = MEMBERSHIP_TICK };
	const struct election_event vote = { .kind = ELECTION_TICK };
	const struct commit_event wait = { .kind = COMMIT_TICK };
	device->timer_ms = INT64_MAX;
	if (now_ms >= membership_deadline(device->membership))
		glue_membership(device, &tick);
	if (device->process && now_ms >= election_deadline_ms(&device->election))
		glue_election(device, &vote);
	if (device->process && now_ms >= commit_deadline_ms(device->commit))
		glue_commit(device, &wait);
	if (device->process && now_ms >= device->plan_at_ms)
		planning_now(device);
}
