#include "planner/election.h"

#include "proto/deadlines.h"

#include <string.h>

static const struct device_id nobody;

void election_init(struct election *election, const struct device_id *self, int64_t now_ms)
{
	memset(election, 0, sizeof(*election));
	election->self = *self;
	election->started_ms = now_ms;
	election->stepped_ms = now_ms;
	election->unclaimed_ms = INT64_MAX;
}

/* ---- members ---- */

static struct election_member *find(struct election *election, const struct device_id *id)
{
	for (uint32_t i = 0; i < election->n_members; i++)
		if (device_id_equal(&election->members[i].id, id))
			return &election->members[i];
	return NULL;
}

static void admit(struct election *election, const struct election_event *event)
{
	struct election_member *member = find(election, &event->device);
	if (!member) {
		if (election->n_members == ELECTION_MEMBERS_MAX)
			return;
		member = &election->members[election->n_members++];
		*member = (struct election_member){ .id = event->device };
		if (device_id_equal(&event->device, &election->self))
			member->liveness = ELECTION_IS_ALIVE;
	}
	member->traits = event->traits;
}

static void expel(struct election *election, const struct device_id *id)
{
	struct election_member *member = find(election, id);
	if (member)
		*member = election->members[--election->n_members];
}

static void set_liveness(struct election *election, const struct device_id *id,
			 enum election_liveness liveness, int64_t now_ms)
{
	struct election_member *member = find(election, id);
	if (!member || device_id_equal(id, &election->self))
		return; /* a device does not doubt itself */
	if (liveness == ELECTION_IS_SUSPECT && member->liveness != ELECTION_IS_SUSPECT)
		member->suspect_since_ms = now_ms;
	if (liveness == ELECTION_IS_LOST)
		member->states = nobody; /* it may come back with another mind */
	member->liveness = liveness;
}

static void note_statement(struct election *election, const struct election_event *event)
{
	struct election_member *member = find(election, &event->device);
	if (member)
		member->states = event->planner;
}

/* ---- rules ---- */

static int standing(enum device_role role)
{
	return role == ROLE_ADMIN ? 0 : role == ROLE_WORKER ? 1 : 2;
}

static int reliance(enum power_source power)
{
	return power == POWER_MAINS ? 0 : power == POWER_BATTERY ? 2 : 1;
}

int election_rank(const struct device_id *a, const struct election_traits *a_traits,
		  const struct device_id *b, const struct election_traits *b_traits)
{
	if (standing(a_traits->role) != standing(b_traits->role))
		return standing(a_traits->role) - standing(b_traits->role);
	if (reliance(a_traits->power) != reliance(b_traits->power))
		return reliance(a_traits->power) - reliance(b_traits->power);
	if (a_traits->wired != b_traits->wired)
		return a_traits->wired ? -1 : 1;
	return device_id_compare(a, b);
}

static bool may_plan(const struct election_member *member)
{
	return member->liveness == ELECTION_IS_ALIVE && member->traits.role != ROLE_CLIENT;
}

/* What is known of another's mind; this device's own is in `planner`. */
static const struct device_id *mind_of(const struct election *election,
				       const struct election_member *member)
{
	return device_id_equal(&member->id, &election->self) ? &election->planner : &member->states;
}

static const struct election_member *highest(const struct election *election, bool claiming)
{
	const struct election_member *best = NULL;
	for (uint32_t i = 0; i < election->n_members; i++) {
		const struct election_member *member = &election->members[i];
		if (!may_plan(member) ||
		    (claiming && !device_id_equal(mind_of(election, member), &member->id)))
			continue;
		if (!best || election_rank(&member->id, &member->traits, &best->id,
					   &best->traits) < 0)
			best = member;
	}
	return best;
}

/* Third members that could be asked about `planner`, and whether all of them still follow it. */
static bool others_follow(const struct election *election, const struct device_id *planner)
{
	uint32_t asked = 0;
	for (uint32_t i = 0; i < election->n_members; i++) {
		const struct election_member *member = &election->members[i];
		if (member->liveness != ELECTION_IS_ALIVE ||
		    device_id_equal(&member->id, &election->self) ||
		    device_id_equal(&member->id, planner))
			continue;
		if (!device_id_equal(&member->states, planner))
			return false;
		asked++;
	}
	return asked > 0;
}

enum incumbent {
	INCUMBENT_NONE,     /* there is none, or it may be replaced */
	INCUMBENT_DOUBTFUL, /* suspected long enough, but the others still follow it */
	INCUMBENT_STAYS
};

static enum incumbent judge(struct election *election, int64_t now_ms)
{
	const struct election_member *member = find(election, &election->incumbent);
	if (!member || member->liveness == ELECTION_IS_LOST || member->traits.role == ROLE_CLIENT)
		return INCUMBENT_NONE;
	if (election->unclaimed_ms != INT64_MAX &&
	    now_ms - election->unclaimed_ms >= PLANNER_TAKEOVER_MS)
		return INCUMBENT_NONE;
	if (member->liveness == ELECTION_IS_ALIVE ||
	    now_ms - member->suspect_since_ms < PLANNER_TAKEOVER_MS)
		return INCUMBENT_STAYS;
	return others_follow(election, &member->id) ? INCUMBENT_DOUBTFUL : INCUMBENT_NONE;
}

/* A device that has just started listens before it claims the place. */
static bool still_listening(const struct election *election, int64_t now_ms)
{
	return election->n_members > 1 && now_ms - election->started_ms < PLANNER_TAKEOVER_MS;
}

static struct device_id choose(struct election *election, int64_t now_ms)
{
	const struct election_member *claimant = highest(election, true);
	const enum incumbent incumbent = judge(election, now_ms);
	if (claimant)
		return claimant->id;
	/* doubt is stated as "nobody", so that two doubters can see each other's */
	if (incumbent == INCUMBENT_DOUBTFUL)
		return nobody;
	if (incumbent == INCUMBENT_STAYS)
		return election->incumbent;
	const struct election_member *best = highest(election, false);
	return best && !still_listening(election, now_ms) ? best->id : nobody;
}

/* Notes whether the incumbent claims the place, and since when not. */
static void watch_claim(struct election *election, int64_t now_ms)
{
	const struct election_member *member = find(election, &election->incumbent);
	const bool claims =
		!member || device_id_equal(mind_of(election, member), &election->incumbent);
	if (claims)
		election->unclaimed_ms = INT64_MAX;
	else if (election->unclaimed_ms == INT64_MAX)
		election->unclaimed_ms = now_ms;
}

bool election_step(struct election *election, const struct election_event *event, int64_t now_ms)
{
	switch (event->kind) {
	case ELECTION_MEMBER:
		admit(election, event);
		election->unsettled = true; /* more members may follow: not alone yet */
		return false;
	case ELECTION_REMOVED:
		expel(election, &event->device);
		break;
	case ELECTION_ALIVE:
		set_liveness(election, &event->device, ELECTION_IS_ALIVE, now_ms);
		break;
	case ELECTION_SUSPECT:
		set_liveness(election, &event->device, ELECTION_IS_SUSPECT, now_ms);
		break;
	case ELECTION_LOST:
		set_liveness(election, &event->device, ELECTION_IS_LOST, now_ms);
		break;
	case ELECTION_STATED:
		note_statement(election, event);
		break;
	case ELECTION_TICK:
		break;
	}
	election->stepped_ms = now_ms;
	election->unsettled = false;
	watch_claim(election, now_ms);
	const struct device_id chosen = choose(election, now_ms);
	if (!device_id_is_none(&chosen) && !device_id_equal(&chosen, &election->incumbent)) {
		election->incumbent = chosen;
		election->unclaimed_ms = INT64_MAX; /* it gets its time from now on */
	}
	if (device_id_equal(&chosen, &election->planner))
		return false;
	election->planner = chosen;
	return true;
}

/* ---- looking ---- */

const struct device_id *election_planner(const struct election *election)
{
	return &election->planner;
}

bool election_is_self(const struct election *election)
{
	return device_id_equal(&election->planner, &election->self);
}

int64_t election_deadline_ms(const struct election *election)
{
	int64_t due_ms = INT64_MAX;
	if (election->unsettled)
		return election->stepped_ms;
	if (device_id_is_none(&election->planner) && election->n_members > 1)
		due_ms = election->started_ms + PLANNER_TAKEOVER_MS;
	if (election->unclaimed_ms != INT64_MAX)
		due_ms = election->unclaimed_ms + PLANNER_TAKEOVER_MS;
	for (uint32_t i = 0; i < election->n_members; i++) {
		const struct election_member *member = &election->members[i];
		const int64_t at_ms = member->suspect_since_ms + PLANNER_TAKEOVER_MS;
		if (member->liveness == ELECTION_IS_SUSPECT &&
		    device_id_equal(&member->id, &election->incumbent) &&
		    at_ms > election->stepped_ms && at_ms < due_ms)
			due_ms = at_ms;
	}
	/* what was due at the last step was settled there */
	return due_ms > election->stepped_ms ? due_ms : INT64_MAX;
}
