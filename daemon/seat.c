#include "daemon/seat.h"

#include "base/clock.h"

bool seat_tick(struct election *election)
{
	const struct election_event event = { .kind = ELECTION_TICK };
	return election_step(election, &event, clock_ms());
}

static enum power_source power_of(const struct plan_candidate *candidates, uint32_t n,
				  const struct device_id *id)
{
	for (uint32_t i = 0; i < n; i++)
		if (device_id_equal(&candidates[i].profile->device, id))
			return candidates[i].profile->power;
	return POWER_UNKNOWN;
}

bool seat_members(struct election *election, const struct roster *roster, enum power_source own,
		  const struct plan_candidate *candidates, uint32_t n_candidates,
		  struct device_id *gone, uint32_t *n_gone)
{
	bool changed = false;
	*n_gone = 0;
	for (uint32_t i = 0; i < roster_count(roster); i++) {
		const struct member *member = roster_at(roster, i);
		const bool self = device_id_equal(&member->keys.id, &election->self);
		const struct election_event event = {
			.kind = ELECTION_MEMBER,
			.device = member->keys.id,
			.traits = { .role = member->role,
				    .power = self ? own
						  : power_of(candidates, n_candidates,
							     &member->keys.id) },
		};
		changed |= election_step(election, &event, clock_ms());
	}
	for (uint32_t i = 0; i < election->n_members && *n_gone < PLAN_DEVICES_MAX; i++)
		if (!roster_find(roster, &election->members[i].id))
			gone[(*n_gone)++] = election->members[i].id;
	for (uint32_t i = 0; i < *n_gone; i++) {
		const struct election_event event = { .kind = ELECTION_REMOVED, .device = gone[i] };
		changed |= election_step(election, &event, clock_ms());
	}
	return changed;
}

bool seat_liveness(struct election *election, const struct device_id *id, enum liveness to)
{
	static const enum election_event_kind kinds[] = {
		[LIVENESS_UNKNOWN] = ELECTION_LOST, [LIVENESS_ALIVE] = ELECTION_ALIVE,
		[LIVENESS_SUSPECT] = ELECTION_SUSPECT, [LIVENESS_LOST] = ELECTION_LOST,
		[LIVENESS_LEFT] = ELECTION_LOST,
	};
	const struct election_event event = { .kind = kinds[to], .device = *id };
	return election_step(election, &event, clock_ms());
}

bool seat_stated(struct election *election, const struct device_id *from,
		 const struct device_id *planner)
{
	const struct election_event event = { .kind = ELECTION_STATED,
					      .device = *from,
					      .planner = *planner };
	return election_step(election, &event, clock_ms());
}
