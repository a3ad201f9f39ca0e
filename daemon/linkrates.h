/* linkrates.h: the rates of this device's links: from transfers that pass anyway, and from one
 * short probe of a peer of which nothing is known yet. Loop thread only.
 *
 * What is measured is the way from the peer to here. The peer measures the way from here to it; the
 * planner knows both from their profiles. */
#ifndef DAEMON_LINKRATES_H
#define DAEMON_LINKRATES_H

#include "daemon/peers.h"

struct linkrates;

/* `changed`: a rate is known that was not, or moved. Gives; NULL when memory is short. */
struct linkrates *linkrates_create(const struct link_host *host, void (*changed)(void *context),
				   void *context);
void linkrates_destroy(struct linkrates *rates); /* accepts NULL */

/* A transfer from this peer: so many bytes within so long. */
void linkrates_add(struct linkrates *rates, const struct device_id *peer, uint64_t bytes,
		   int64_t us);
/* Fills in bytes_per_s where it is known. */
void linkrates_fill(const struct linkrates *rates, struct profile_link *links, uint32_t n);
/* The home is idle: measures one peer that was not measured yet, if there is one. */
void linkrates_look(struct linkrates *rates, const struct home *home, const struct peers *peers);
/* Nothing is under way afterwards: the home is left, or there is work to do. */
void linkrates_rest(struct linkrates *rates);

#endif
