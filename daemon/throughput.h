/* throughput.h: how fast bytes come from a peer, as transfers and probes showed. Pure: time comes
 * in.
 *
 * A transfer is also slowed by disks and by others on the network, so what was seen is a lower
 * bound: the fastest stretch of the last minutes counts. */
#ifndef DAEMON_THROUGHPUT_H
#define DAEMON_THROUGHPUT_H

#include <stdbool.h>
#include <stdint.h>

#define THROUGHPUT_LEAST_BYTES (128u << 10) /* less is all start and waiting */
#define THROUGHPUT_LASTS_MS    600000
#define THROUGHPUT_MOVED       1.5 /* times as fast or as slow: others are told */

struct throughput {
	double bytes_per_s; /* 0: not known */
	int64_t at_ms;
};

/* So many bytes came within so long. */
void throughput_add(struct throughput *throughput, uint64_t bytes, int64_t us, int64_t now_ms);
bool throughput_moved(double told, double now);

#endif
