/* seat.h: the planner's seat: what the daemon knows, told to the election (planner/election.h). Each
 * function is true when another device has the seat now. */
#ifndef DAEMON_SEAT_H
#define DAEMON_SEAT_H

#include "discovery/discovery.h"
#include "planner/planner.h"

bool seat_tick(struct election *election);
/* Members, their roles and their power: this device's is `own`, that of others is what the profiles
 * of `candidates` say, or unknown until they have told; also when any of that changed. `gone`
 * [PLAN_DEVICES_MAX] gets those that are members no more. */
bool seat_members(struct election *election, const struct roster *roster, enum power_source own,
		  const struct plan_candidate *candidates, uint32_t n_candidates,
		  struct device_id *gone, uint32_t *n_gone);
bool seat_liveness(struct election *election, const struct device_id *id, enum liveness to);
bool seat_stated(struct election *election, const struct device_id *from,
		 const struct device_id *planner);

#endif
