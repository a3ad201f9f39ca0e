#include "daemon/roundtrip.h"

#include "daemon/throughput.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void roundtrip_add(struct roundtrip *roundtrip, double seconds)
{
	if (seconds > 0 && seconds < ROUNDTRIP_ABSURD_S)
		roundtrip->seconds[roundtrip->count++ % ROUNDTRIP_SAMPLES] = seconds;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void roundtrip_link(const struct roundtrip *roundtrip, const struct device_id *peer,
		    struct profile_link *link)
{
	assert(roundtrip->count > 0);
	const uint32_t n =
		roundtrip->count < ROUNDTRIP_SAMPLES ? roundtrip->count : ROUNDTRIP_SAMPLES;
	double sorted[ROUNDTRIP_SAMPLES];
	memcpy(sorted, roundtrip->seconds, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), compare);
	memset(link, 0, sizeof(*link));
	link->peer = *peer;
	link->rtt_p50_s = sorted[n < ROUNDTRIP_FEW ? 0 : (n - 1) / 2];
	link->rtt_p95_s = sorted[n * 95 / 100];
}

static bool moved(double told, double now)
{
	const double low = told < now ? told : now, high = told < now ? now : told;
	return high > low * ROUNDTRIP_MOVED && high - low > ROUNDTRIP_MOVED_S;
}

bool roundtrip_moved(const struct profile_link *told, const struct profile_link *now)
{
	return !device_id_equal(&told->peer, &now->peer) || moved(told->rtt_p50_s, now->rtt_p50_s) ||
	       throughput_moved(told->bytes_per_s, now->bytes_per_s);
}
