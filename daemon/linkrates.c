#include "daemon/linkrates.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/probe.h"
#include "daemon/throughput.h"

#include <stdlib.h>
#include <string.h>

#define TRY_AGAIN_MS 600000 /* a probe that did not work */

struct rate {
	struct device_id peer;
	struct throughput throughput;
	int64_t tried_ms; /* 0: never */
};

struct linkrates {
	const struct link_host *host;
	void (*changed)(void *context);
	void *context;
	struct rate table[PROFILE_LINKS_MAX];
	uint32_t n;
	struct probe *probe;
};

struct linkrates *linkrates_create(const struct link_host *host, void (*changed)(void *context),
				   void *context)
{
	struct linkrates *rates = calloc(1, sizeof(*rates));
	if (!rates)
		return NULL;
	rates->host = host;
	rates->changed = changed;
	rates->context = context;
	return rates;
}

void linkrates_destroy(struct linkrates *rates)
{
	if (!rates)
		return;
	probe_abandon(rates->probe);
	free(rates);
}

static struct rate *rate_of(struct linkrates *rates, const struct device_id *peer)
{
	for (uint32_t i = 0; i < rates->n; i++)
		if (device_id_equal(&rates->table[i].peer, peer))
			return &rates->table[i];
	if (rates->n == PROFILE_LINKS_MAX)
		return NULL;
	struct rate *rate = &rates->table[rates->n++];
	*rate = (struct rate){ .peer = *peer };
	return rate;
}

void linkrates_add(struct linkrates *rates, const struct device_id *peer, uint64_t bytes,
		   int64_t us)
{
	struct rate *rate = rate_of(rates, peer);
	if (!rate)
		return;
	const double before = rate->throughput.bytes_per_s;
	throughput_add(&rate->throughput, bytes, us, clock_ms());
	if (throughput_moved(before, rate->throughput.bytes_per_s))
		rates->changed(rates->context);
}

void linkrates_fill(const struct linkrates *rates, struct profile_link *links, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < rates->n; j++)
			if (device_id_equal(&links[i].peer, &rates->table[j].peer))
				links[i].bytes_per_s = rates->table[j].throughput.bytes_per_s;
}

static void on_probed(void *context, const struct device_id *peer, uint64_t bytes, int64_t us)
{
	struct linkrates *rates = context;
	char text[ID_TEXT_BYTES];
	rates->probe = NULL;
	log_info("linkrates", "measured device=%s bytes=%llu us=%lld", id_text(peer->bytes, text),
		 (unsigned long long)bytes, (long long)us);
	linkrates_add(rates, peer, bytes, us);
}

static bool is_due(const struct rate *rate)
{
	return rate && rate->throughput.bytes_per_s == 0 &&
	       (rate->tried_ms == 0 || clock_ms() - rate->tried_ms >= TRY_AGAIN_MS);
}

void linkrates_look(struct linkrates *rates, const struct home *home, const struct peers *peers)
{
	for (uint32_t i = 0; i < roster_count(home->roster) && !rates->probe; i++) {
		const struct device_keys *keys = &roster_at(home->roster, i)->keys;
		struct sockaddr_storage address;
		if (device_id_equal(&keys->id, home_self(home)) ||
		    !peers_address(peers, &keys->id, &address))
			continue;
		struct rate *rate = rate_of(rates, &keys->id);
		if (!is_due(rate))
			continue;
		rate->tried_ms = clock_ms();
		rates->probe = probe_start(rates->host, (const struct sockaddr *)&address, keys,
					   on_probed, rates);
	}
}

void linkrates_rest(struct linkrates *rates)
{
	probe_abandon(rates->probe);
	rates->probe = NULL;
}
