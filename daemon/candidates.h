/* candidates.h: the devices that a plan may use: profiles as gossip brought them, ours as measured,
 * and why one may not be used. */
#ifndef DAEMON_CANDIDATES_H
#define DAEMON_CANDIDATES_H

#include "daemon/home.h"
#include "daemon/peers.h"
#include "planner/planner.h"

struct candidates; /* decoded profiles, in the roster's order */

struct candidates *candidates_create(void);
void candidates_destroy(struct candidates *candidates); /* accepts NULL */

/* Reads all anew; gives the number. `own` is NULL until this device was measured. The profiles in
 * `out` are borrowed until the next call. */
uint32_t candidates_gather(struct candidates *candidates, const struct home *home,
			   const struct peers *peers, const struct profile *own,
			   struct plan_candidate out[PLAN_DEVICES_MAX]);

/* True when every member that is alive, but for this one, has told its profile. */
bool candidates_known(const struct home *home, const struct peers *peers);

/* Whether one of them that may be used has not measured one of these weight types, a bit each. */
bool candidates_lack(const struct plan_candidate *candidates, uint32_t n, uint64_t types);

#endif
