/* roundtrip.h: how long the way to a peer and back takes: quantiles of the last answers. Pure. */
#ifndef DAEMON_ROUNDTRIP_H
#define DAEMON_ROUNDTRIP_H

#include "proto/profile.h"

#include <stdint.h>

#define ROUNDTRIP_SAMPLES 32
#define ROUNDTRIP_ABSURD_S 60.0 /* what a peer echoes may be anything */

struct roundtrip {
	double seconds[ROUNDTRIP_SAMPLES];
	uint32_t count; /* ever added */
};

void roundtrip_add(struct roundtrip *roundtrip, double seconds);
/* Fills a link of the profile; needs at least one sample. */
void roundtrip_link(const struct roundtrip *roundtrip, const struct device_id *peer,
		    struct profile_link *link);

#endif
