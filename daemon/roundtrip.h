/* roundtrip.h: how long the way to a peer and back takes: quantiles of the last answers. Pure. */
#ifndef DAEMON_ROUNDTRIP_H
#define DAEMON_ROUNDTRIP_H

#include "proto/profile.h"

#include <stdbool.h>
#include <stdint.h>

#define ROUNDTRIP_SAMPLES 32
#define ROUNDTRIP_FEW 8 /* with fewer the shortest counts: devices are busy when they meet */
#define ROUNDTRIP_MOVED 1.5       /* times as long or as short, and... */
#define ROUNDTRIP_MOVED_S 0.0005  /* ...so far apart: a move */
#define ROUNDTRIP_ABSURD_S 60.0 /* what a peer echoes may be anything */

struct roundtrip {
	double seconds[ROUNDTRIP_SAMPLES];
	uint32_t count; /* ever added */
};

void roundtrip_add(struct roundtrip *roundtrip, double seconds);
/* Fills a link of the profile; needs at least one sample. */
void roundtrip_link(const struct roundtrip *roundtrip, const struct device_id *peer,
		    struct profile_link *link);

/* True when the times differ by so much that plans may: others are told only then, so that a quiet
 * home stays quiet although no two answers take the same time. */
bool roundtrip_moved(const struct profile_link *told, const struct profile_link *now);

#endif
