#include "planner/commit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum proposal_state {
	PROPOSAL_NONE,
	PROPOSAL_PERSISTING, /* the epoch is on its way to the disk */
	PROPOSAL_PREPARING,  /* PREPAREs are out */
	PROPOSAL_DECIDED     /* kept, to answer a participant that missed the COMMIT */
};

enum promise_state {
	PROMISE_NONE,       /* none, or the plan was given up or lost in a restart */
	PROMISE_PERSISTING, /* accepted; nothing was said yet */
	PROMISE_GIVEN,      /* said; waiting for COMMIT */
	PROMISE_LIVE        /* committed */
};

struct commit {
	struct device_id self;
	struct commit_record record; /* what was last given out to be persisted, or is newer */
	uint64_t tickets;            /* given out so far */

	enum proposal_state proposal;
	struct plan proposed;
	uint32_t promised_by; /* bits: devices of `proposed` */
	uint64_t proposal_ticket;
	int64_t proposal_deadline_ms;

	enum promise_state promise;
	struct plan promised; /* its epoch is record.promised unless PROMISE_NONE */
	uint64_t promise_ticket;
	int64_t ask_deadline_ms;
	uint32_t asks; /* since the promise was given */

	bool has_announced, has_known;
	struct plan announced; /* not a participant: prepared, maybe committed later */
	struct plan known;
};

/* ---- record ---- */

void commit_record_encode(const struct commit_record *record, uint8_t bytes[COMMIT_RECORD_BYTES])
{
	store_u64le(bytes, record->promised.counter);
	memcpy(bytes + 8, record->promised.planner.bytes, ID_BYTES);
	store_u64le(bytes + 8 + ID_BYTES, record->counter);
}

int commit_record_decode(struct commit_record *record, const void *bytes, size_t size,
			 struct fail *fail)
{
	const uint8_t *at = bytes;
	if (size != COMMIT_RECORD_BYTES)
		return fail_set(fail, FAIL_CORRUPT, "the record of plan epochs has %zu bytes, not %d",
				size, COMMIT_RECORD_BYTES);
	record->promised.counter = load_u64le(at);
	memcpy(record->promised.planner.bytes, at + 8, ID_BYTES);
	record->counter = load_u64le(at + 8 + ID_BYTES);
	if (record->counter < record->promised.counter)
		return fail_set(fail, FAIL_CORRUPT, "the record of plan epochs contradicts itself");
	return 0;
}

/* ---- life ---- */

struct commit *commit_create(const struct device_id *self, const struct commit_record *record)
{
	struct commit *commit = calloc(1, sizeof(*commit));
	if (!commit)
		return NULL;
	commit->self = *self;
	if (record)
		commit->record = *record;
	return commit;
}

void commit_destroy(struct commit *commit)
{
	free(commit);
}

bool commit_participates(const struct plan *plan, const struct device_id *device)
{
	const int index = plan_index_of(plan, device);
	return index >= 0 && (index == plan->head || plan->devices[index].n_layers > 0);
}

/* ---- actions ---- */

static struct commit_action *act(struct commit_actions *actions, enum commit_action_kind kind)
{
	struct commit_action *action = &actions->items[actions->n++];
	memset(action, 0, sizeof(*action));
	action->kind = kind;
	return action;
}

static uint64_t persist(struct commit *commit, struct commit_actions *actions)
{
	struct commit_action *action = act(actions, COMMIT_DO_PERSIST);
	action->record = commit->record;
	action->ticket = ++commit->tickets;
	return action->ticket;
}

static void send_promise(struct commit *commit, const struct device_id *to,
			 struct commit_actions *actions)
{
	struct commit_action *action = act(actions, COMMIT_DO_SEND_PROMISE);
	action->to = *to;
	action->promise.epoch = commit->promised.epoch;
	action->promise.promised = true;
	action->promise.held = commit->record.promised;
}

static void refuse(struct commit *commit, const struct device_id *to, const struct epoch *epoch,
		   const char *reason, struct commit_actions *actions)
{
	struct commit_action *action = act(actions, COMMIT_DO_SEND_PROMISE);
	action->to = *to;
	action->promise.epoch = *epoch;
	action->promise.held = commit->record.promised;
	snprintf(action->promise.reason, sizeof(action->promise.reason), "%s", reason);
}

static void outbid(struct commit_actions *actions, const struct epoch *epoch)
{
	act(actions, COMMIT_DO_OUTBID)->epoch = *epoch;
}

static void leave(struct commit *commit, struct commit_actions *actions)
{
	if (commit->promise == PROMISE_LIVE)
		act(actions, COMMIT_DO_LEAVE)->epoch = commit->promised.epoch;
	commit->promise = PROMISE_NONE;
}

static void know(struct commit *commit, const struct plan *plan)
{
	commit->known = *plan;
	commit->has_known = true;
}

/* False for a jump that no honest home makes: it would use the counter up. */
static bool see(struct commit *commit, const struct epoch *epoch)
{
	if (epoch->counter > commit->record.counter &&
	    epoch->counter - commit->record.counter > COMMIT_JUMP_MAX)
		return false;
	if (epoch->counter > commit->record.counter)
		commit->record.counter = epoch->counter;
	return true;
}

/* ---- participant ---- */

static void accept(struct commit *commit, const struct plan *plan)
{
	commit->record.promised = plan->epoch;
	commit->promised = *plan;
	commit->promise = PROMISE_PERSISTING;
}

static void give_promise(struct commit *commit, int64_t now_ms, struct commit_actions *actions)
{
	commit->promise = PROMISE_GIVEN;
	commit->asks = 0;
	commit->ask_deadline_ms = now_ms + DEADLINE_COMMIT_MS;
	send_promise(commit, &commit->promised.epoch.planner, actions);
}

static void yield_to(struct commit *commit, const struct epoch *epoch,
		     struct commit_actions *actions)
{
	const bool under_way = commit->proposal == PROPOSAL_PERSISTING ||
			       commit->proposal == PROPOSAL_PREPARING;
	if (commit->proposal == PROPOSAL_NONE ||
	    epoch_compare(epoch, &commit->proposed.epoch) <= 0)
		return;
	commit->proposal = PROPOSAL_NONE;
	if (under_way)
		outbid(actions, epoch);
}

/* The epoch is the one promised already: a repeated PREPARE, or one from before a restart. */
static void prepared_again(struct commit *commit, const struct plan *plan, int64_t now_ms,
			   struct commit_actions *actions)
{
	if (commit->promise == PROMISE_PERSISTING)
		return; /* the promise follows */
	if (commit->promise == PROMISE_NONE) {
		refuse(commit, &plan->epoch.planner, &plan->epoch,
		       "this plan was given up here", actions);
		return;
	}
	send_promise(commit, &plan->epoch.planner, actions);
	commit->ask_deadline_ms = now_ms + DEADLINE_COMMIT_MS;
}

static void prepared(struct commit *commit, const struct commit_event *event, int64_t now_ms,
		     struct commit_actions *actions)
{
	const struct plan *plan = event->plan;
	const struct epoch *epoch = &plan->epoch;
	const bool takes_part = commit_participates(plan, &commit->self);
	if (takes_part && !device_id_equal(&epoch->planner, &event->from))
		return; /* nobody proposes in another's name */
	if (!see(commit, epoch)) {
		refuse(commit, &event->from, epoch, "the epoch is too far ahead", actions);
		return;
	}
	if (!takes_part) {
		commit->announced = *plan;
		commit->has_announced = true;
		return;
	}
	const int order = epoch_compare(epoch, &commit->record.promised);
	if (order < 0) {
		refuse(commit, &event->from, epoch, "a later plan was promised", actions);
	} else if (order == 0) {
		prepared_again(commit, plan, now_ms, actions);
	} else {
		leave(commit, actions);
		yield_to(commit, epoch, actions);
		accept(commit, plan);
		commit->promise_ticket = persist(commit, actions);
	}
}

static void enter(struct commit *commit, struct commit_actions *actions)
{
	commit->promise = PROMISE_LIVE;
	know(commit, &commit->promised);
	act(actions, COMMIT_DO_ENTER)->plan = &commit->promised;
}

static bool is_promised(const struct commit *commit, const struct epoch *epoch)
{
	return commit->promise != PROMISE_NONE &&
	       epoch_compare(epoch, &commit->promised.epoch) == 0;
}

static void committed(struct commit *commit, const struct commit_event *event,
		      struct commit_actions *actions)
{
	const struct epoch *epoch = &event->epoch;
	const bool by_planner = device_id_equal(&epoch->planner, &event->from);
	if (!see(commit, epoch))
		return;
	if (is_promised(commit, epoch)) {
		if (commit->promise == PROMISE_GIVEN && by_planner)
			enter(commit, actions);
		return;
	}
	if (commit->has_announced && epoch_compare(epoch, &commit->announced.epoch) == 0) {
		if (commit->has_known && epoch_compare(epoch, &commit->known.epoch) <= 0)
			return;
		if (commit->promise != PROMISE_NONE &&
		    epoch_compare(&commit->promised.epoch, epoch) < 0)
			leave(commit, actions); /* superseded by a plan without this device */
		know(commit, &commit->announced);
		return;
	}
	/* counted on a promise that was overtaken, or on a plan that a restart lost */
	if (by_planner && epoch_compare(epoch, &commit->record.promised) <= 0)
		refuse(commit, &event->from, epoch, "this plan is not held here any more", actions);
}

/* ---- planner ---- */

static bool all_promised(const struct commit *commit)
{
	const struct plan *plan = &commit->proposed;
	for (int i = 0; i < plan->n_devices; i++)
		if (commit_participates(plan, &plan->devices[i].id) &&
		    !(commit->promised_by >> i & 1))
			return false;
	return true;
}

static void decide(struct commit *commit, struct commit_actions *actions)
{
	const struct plan *plan = &commit->proposed;
	commit->proposal = PROPOSAL_DECIDED;
	for (int i = 0; i < plan->n_devices; i++) {
		const struct device_id *id = &plan->devices[i].id;
		if (device_id_equal(id, &commit->self) || !commit_participates(plan, id))
			continue;
		struct commit_action *action = act(actions, COMMIT_DO_SEND_COMMIT);
		action->to = *id;
		action->epoch = plan->epoch;
	}
	if (commit_participates(plan, &commit->self))
		enter(commit, actions);
	else
		know(commit, plan);
	struct commit_action *action = act(actions, COMMIT_DO_DECIDED);
	action->plan = plan;
	action->epoch = plan->epoch;
}

static void propose(struct commit *commit, const struct plan *plan,
		    struct commit_actions *actions)
{
	const struct epoch next = commit_next_epoch(commit);
	if (epoch_compare(&plan->epoch, &next) != 0) {
		/* something was promised since the caller asked for the epoch */
		outbid(actions, &commit->record.promised);
		return;
	}
	commit->record.counter = plan->epoch.counter;
	commit->proposed = *plan;
	commit->promised_by = 0;
	commit->proposal = PROPOSAL_PERSISTING;
	if (commit_participates(plan, &commit->self)) {
		leave(commit, actions);
		accept(commit, plan);
	}
	commit->proposal_ticket = persist(commit, actions);
	commit->promise_ticket = commit->proposal_ticket;
}

static void send_prepares(struct commit *commit, int64_t now_ms, struct commit_actions *actions)
{
	const struct plan *plan = &commit->proposed;
	commit->proposal = PROPOSAL_PREPARING;
	commit->proposal_deadline_ms = now_ms + DEADLINE_PROMISE_MS;
	for (int i = 0; i < plan->n_devices; i++) {
		const struct device_id *id = &plan->devices[i].id;
		if (!commit_participates(plan, id))
			continue;
		if (device_id_equal(id, &commit->self)) {
			commit->promised_by |= 1u << i;
			commit->promise = PROMISE_GIVEN;
			commit->ask_deadline_ms = INT64_MAX; /* nobody to ask but itself */
			continue;
		}
		struct commit_action *action = act(actions, COMMIT_DO_SEND_PREPARE);
		action->to = *id;
		action->plan = plan;
		action->epoch = plan->epoch;
	}
	if (all_promised(commit))
		decide(commit, actions);
}

static void persisted(struct commit *commit, uint64_t ticket, int64_t now_ms,
		      struct commit_actions *actions)
{
	if (commit->proposal == PROPOSAL_PERSISTING && ticket >= commit->proposal_ticket)
		send_prepares(commit, now_ms, actions);
	if (commit->promise == PROMISE_PERSISTING && ticket >= commit->promise_ticket)
		give_promise(commit, now_ms, actions);
}

/* Ends a proposal of which these devices (bits) keep nothing. */
static void abandon(struct commit *commit, uint32_t silent, struct commit_actions *actions)
{
	commit->proposal = PROPOSAL_NONE;
	if (is_promised(commit, &commit->proposed.epoch))
		leave(commit, actions);
	for (int i = 0; i < commit->proposed.n_devices; i++)
		if (silent >> i & 1)
			actions->silent[actions->n_silent++] = commit->proposed.devices[i].id;
	act(actions, COMMIT_DO_REPLAN)->epoch = commit->proposed.epoch;
}

static void refused(struct commit *commit, int index, const struct epoch *held,
		    struct commit_actions *actions)
{
	const struct epoch *epoch = &commit->proposed.epoch;
	if (epoch_compare(held, epoch) > 0) {
		if (is_promised(commit, epoch))
			leave(commit, actions);
		commit->proposal = PROPOSAL_NONE;
		outbid(actions, held);
		return;
	}
	abandon(commit, commit->proposal == PROPOSAL_DECIDED ? 0 : 1u << index, actions);
}

static void promised(struct commit *commit, const struct commit_event *event,
		     struct commit_actions *actions)
{
	const struct message_promise *promise = event->promise;
	const int index = plan_index_of(&commit->proposed, &event->from);
	see(commit, &promise->held);
	if ((commit->proposal != PROPOSAL_PREPARING && commit->proposal != PROPOSAL_DECIDED) ||
	    epoch_compare(&promise->epoch, &commit->proposed.epoch) != 0 || index < 0 ||
	    !commit_participates(&commit->proposed, &event->from))
		return;
	if (!promise->promised) {
		refused(commit, index, &promise->held, actions);
		return;
	}
	if (commit->proposal == PROPOSAL_DECIDED) { /* it missed the COMMIT */
		struct commit_action *action = act(actions, COMMIT_DO_SEND_COMMIT);
		action->to = event->from;
		action->epoch = commit->proposed.epoch;
		return;
	}
	commit->promised_by |= 1u << index;
	if (all_promised(commit))
		decide(commit, actions);
}

static uint32_t not_promised(const struct commit *commit)
{
	uint32_t silent = 0;
	for (int i = 0; i < commit->proposed.n_devices; i++)
		if (commit_participates(&commit->proposed, &commit->proposed.devices[i].id) &&
		    !(commit->promised_by >> i & 1))
			silent |= 1u << i;
	return silent;
}

/* ---- the rest ---- */

static void gone(struct commit *commit, const struct device_id *from,
		 struct commit_actions *actions)
{
	const bool under_way = commit->proposal == PROPOSAL_PERSISTING ||
			       commit->proposal == PROPOSAL_PREPARING;
	if (under_way && commit_participates(&commit->proposed, from))
		abandon(commit, 1u << plan_index_of(&commit->proposed, from), actions);
	if (commit->promise == PROMISE_GIVEN &&
	    device_id_equal(from, &commit->promised.epoch.planner))
		act(actions, COMMIT_DO_ASK);
}

static void tick(struct commit *commit, int64_t now_ms, struct commit_actions *actions)
{
	if (commit->proposal == PROPOSAL_PREPARING && now_ms >= commit->proposal_deadline_ms)
		abandon(commit, not_promised(commit), actions);
	if (commit->promise != PROMISE_GIVEN || now_ms < commit->ask_deadline_ms)
		return;
	commit->ask_deadline_ms = now_ms + DEADLINE_COMMIT_MS;
	if (++commit->asks > COMMIT_ASKS_MAX) {
		commit->promise = PROMISE_NONE; /* the epoch stays promised, the plan is forgotten */
		return;
	}
	send_promise(commit, &commit->promised.epoch.planner, actions);
	act(actions, COMMIT_DO_ASK);
}

void commit_step(struct commit *commit, const struct commit_event *event, int64_t now_ms,
		 struct commit_actions *actions)
{
	actions->n = 0;
	actions->n_silent = 0;
	switch (event->kind) {
	case COMMIT_PROPOSE:
		propose(commit, event->plan, actions);
		break;
	case COMMIT_PREPARED:
		prepared(commit, event, now_ms, actions);
		break;
	case COMMIT_PROMISED:
		promised(commit, event, actions);
		break;
	case COMMIT_COMMITTED:
		committed(commit, event, actions);
		break;
	case COMMIT_PERSISTED:
		persisted(commit, event->ticket, now_ms, actions);
		break;
	case COMMIT_SEEN:
		see(commit, &event->epoch);
		break;
	case COMMIT_GONE:
		gone(commit, &event->from, actions);
		break;
	case COMMIT_DROP:
		leave(commit, actions);
		break;
	case COMMIT_TICK:
		tick(commit, now_ms, actions);
		break;
	}
}

/* ---- looking ---- */

struct epoch commit_next_epoch(const struct commit *commit)
{
	const uint64_t seen = commit->record.counter > commit->record.promised.counter
				      ? commit->record.counter
				      : commit->record.promised.counter;
	return (struct epoch){ .counter = seen + 1, .planner = commit->self };
}

const struct plan *commit_live(const struct commit *commit)
{
	return commit->promise == PROMISE_LIVE ? &commit->promised : NULL;
}

const struct plan *commit_known(const struct commit *commit)
{
	return commit->has_known ? &commit->known : NULL;
}

struct epoch commit_promised(const struct commit *commit)
{
	return commit->record.promised;
}

enum commit_verdict commit_verdict(const struct commit *commit, const struct epoch *epoch)
{
	if (!is_promised(commit, epoch))
		return COMMIT_STALE;
	return commit->promise == PROMISE_LIVE ? COMMIT_SERVE : COMMIT_HOLD;
}

bool commit_proposing(const struct commit *commit)
{
	return commit->proposal == PROPOSAL_PERSISTING || commit->proposal == PROPOSAL_PREPARING;
}

int64_t commit_deadline_ms(const struct commit *commit)
{
	int64_t deadline_ms = INT64_MAX;
	if (commit->proposal == PROPOSAL_PREPARING)
		deadline_ms = commit->proposal_deadline_ms;
	if (commit->promise == PROMISE_GIVEN && commit->ask_deadline_ms < deadline_ms)
		deadline_ms = commit->ask_deadline_ms;
	return deadline_ms;
}
