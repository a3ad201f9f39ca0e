#include "daemon/throughput.h"

void throughput_add(struct throughput *throughput, uint64_t bytes, int64_t us, int64_t now_ms)
{
	if (bytes < THROUGHPUT_LEAST_BYTES || us <= 0)
		return;
	const double rate = (double)bytes * 1e6 / (double)us;
	if (rate < throughput->bytes_per_s && now_ms - throughput->at_ms < THROUGHPUT_LASTS_MS)
		return;
	throughput->bytes_per_s = rate;
	throughput->at_ms = now_ms;
}

bool throughput_moved(double told, double now)
{
	const double low = told < now ? told : now, high = told < now ? now : told;
	return high > low * THROUGHPUT_MOVED;
}
