/* election.h: decides which device plans. Pure: events and times come from the caller.
 *
 * The planner is the highest-ranked live member, and it is sticky: who plans goes on planning while
 * it is alive, also when a higher-ranked device appears. Rank: admins before workers, mains before
 * what is not known (yet) before battery, wired before wireless, then the lowest id. Clients never
 * plan; a battery bars nobody.
 *
 * Every member states whom it takes for the planner (FACT_PLANNER in gossip; all zero: nobody).
 * Who states itself claims the place. Rules, in this order:
 *  1. Of live members that claim the place, the highest-ranked is the planner: after a partition
 *     heals, one of two planners gives way.
 *  2. The planner one has stays until it is lost, leaves, is removed, or has been suspected for
 *     PLANNER_TAKEOVER_MS and, where a third member is there to ask, one of them no longer states it.
 *     It also goes when it has not claimed the place itself for so long: it may have restarted.
 *  3. Otherwise the highest-ranked live member is. A device that just started takes nobody for
 *     PLANNER_TAKEOVER_MS unless it hears of a claim, or is alone in its home.
 * Nothing here must be right for safety: two planners at once are fenced by commit.h. */
#ifndef PLANNER_ELECTION_H
#define PLANNER_ELECTION_H

#include "proto/id.h"
#include "proto/messages.h"
#include "proto/plan.h"
#include "proto/profile.h"

#include <stdbool.h>
#include <stdint.h>

#define ELECTION_MEMBERS_MAX PLAN_DEVICES_MAX

/* What ranks a device. */
struct election_traits {
	enum device_role role;
	enum power_source power;
	bool wired;
};

enum election_event_kind {
	ELECTION_MEMBER,  /* device is in the home, with these traits; also when traits changed. Does
			     not decide by itself: a tick is due then, when all members were told */
	ELECTION_REMOVED, /* device is no longer in the home */
	ELECTION_ALIVE,   /* it answers */
	ELECTION_SUSPECT, /* it stopped answering */
	ELECTION_LOST,    /* it was declared lost, or said that it leaves or sleeps */
	ELECTION_STATED,  /* device takes `planner` for the planner */
	ELECTION_TICK     /* time has passed: due at election_deadline_ms */
};

struct election_event {
	enum election_event_kind kind;
	struct device_id device; /* unused by ELECTION_TICK */
	struct election_traits traits; /* ELECTION_MEMBER */
	struct device_id planner;      /* ELECTION_STATED */
};

enum election_liveness { ELECTION_IS_LOST, ELECTION_IS_SUSPECT, ELECTION_IS_ALIVE };

struct election_member {
	struct device_id id;
	struct election_traits traits;
	enum election_liveness liveness;
	int64_t suspect_since_ms;
	struct device_id states; /* whom it takes for the planner */
};

struct election {
	struct device_id self;
	struct device_id planner;   /* stated to the others; all zero: nobody */
	struct device_id incumbent; /* the planner last followed, also while it is doubted */
	int64_t started_ms;
	int64_t unclaimed_ms; /* since when the incumbent does not claim the place; INT64_MAX: it does */
	int64_t stepped_ms;   /* time of the last step */
	bool unsettled;     /* members changed; who plans is seen to at the next tick */
	uint32_t n_members; /* this device among them once it is a member */
	struct election_member members[ELECTION_MEMBERS_MAX];
};

/* Members other than this device count as lost until an event says otherwise. A device that joins
 * another home begins again with this. */
void election_init(struct election *election, const struct device_id *self, int64_t now_ms);

/* True when election_planner changed: state it to the others. A member beyond
 * ELECTION_MEMBERS_MAX is ignored. */
bool election_step(struct election *election, const struct election_event *event, int64_t now_ms);

/* Whom this device takes for the planner; all zero: nobody. This is what it states. */
const struct device_id *election_planner(const struct election *election);
bool election_is_self(const struct election *election);

/* When the next ELECTION_TICK is due; INT64_MAX: no need. */
int64_t election_deadline_ms(const struct election *election);

/* Which of two ranks higher: below 0 when `a` does, above 0 when `b` does. Clients rank last. */
int election_rank(const struct device_id *a, const struct election_traits *a_traits,
		  const struct device_id *b, const struct election_traits *b_traits);

#endif
