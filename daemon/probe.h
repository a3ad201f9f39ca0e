/* probe.h: how fast bytes come from a peer of which no transfer has told it yet: one megabyte of
 * nothing over a transfer connection, when the home is idle. One probe at a time. Loop thread only.
 */
#ifndef DAEMON_PROBE_H
#define DAEMON_PROBE_H

#include "daemon/link.h"

#define PROBE_PIECE_BYTES (256u << 10)
#define PROBE_PIECES      5 /* the first opens the way and is not counted */

struct probe;

/* `done` once from the loop: `bytes` came in `us`; 0 bytes: it did not work. The probe is gone
 * then. Gives; NULL when it cannot begin. */
struct probe *probe_start(const struct link_host *host, const struct sockaddr *address,
			  const struct device_keys *peer,
			  void (*done)(void *context, const struct device_id *peer, uint64_t bytes,
				       int64_t us),
			  void *context);
void probe_abandon(struct probe *probe); /* `done` is not called; accepts NULL */

#endif
