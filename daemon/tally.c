#include "daemon/tally.h"

void tally_init(struct tally *tally, struct news *news)
{
	*tally = (struct tally){ .news = news };
	pthread_mutex_init(&tally->lock, NULL);
}

void tally_finish(struct tally *tally)
{
	pthread_mutex_destroy(&tally->lock);
}

static void tell_load(struct tally *tally)
{
	const struct ring_counters *counters = &tally->counters;
	const bool busy = counters->requests_running > 0 ||
			  (counters->requests_waiting > 0 && !counters->holding);
	if (busy != tally->busy_told)
		news_load(tally->news);
	tally->busy_told = busy;
}

void tally_add(struct tally *tally, uint64_t sent, uint64_t received, const struct head *head)
{
	pthread_mutex_lock(&tally->lock);
	tally->counters.bytes_sent += sent;
	tally->counters.bytes_received += received;
	if (sent)
		tally->counters.flights++;
	if (head)
		head_counters(head, &tally->counters);
	pthread_mutex_unlock(&tally->lock);
	tell_load(tally);
}

void tally_rest(struct tally *tally)
{
	pthread_mutex_lock(&tally->lock);
	tally->counters.requests_running = tally->counters.requests_waiting = 0;
	tally->counters.flights_out = 0;
	tally->counters.holding = false;
	pthread_mutex_unlock(&tally->lock);
	tell_load(tally);
}

void tally_read(struct tally *tally, struct ring_counters *counters)
{
	pthread_mutex_lock(&tally->lock);
	*counters = tally->counters;
	pthread_mutex_unlock(&tally->lock);
}
