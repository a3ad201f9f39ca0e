#include "daemon/probe.h"

#include "base/clock.h"
#include "daemon/timer.h"
#include "proto/deadlines.h"

#include <stdlib.h>

struct probe {
	struct link *link;
	uv_timer_t *timer;
	struct device_id peer;
	uint32_t pieces;
	uint64_t bytes;
	int64_t first_us, last_us;
	struct message message;
	void (*done)(void *context, const struct device_id *peer, uint64_t bytes, int64_t us);
	void *context;
};

static void probe_free(struct probe *probe)
{
	timer_free(probe->timer);
	free(probe);
}

static void finish(struct probe *probe, bool good)
{
	if (probe->link)
		link_close(probe->link, "measured", true);
	probe->done(probe->context, &probe->peer, good ? probe->bytes : 0,
		    probe->last_us - probe->first_us);
	probe_free(probe);
}

static void on_ready(void *context, struct link *link, const struct message_hello *hello)
{
	struct probe *probe = context;
	probe->message.type = MESSAGE_FETCH;
	probe->message.fetch =
		(struct message_fetch){ .part = FETCH_PART_PROBE, .size = PROBE_PIECE_BYTES };
	for (uint32_t i = 0; i < PROBE_PIECES; i++) {
		probe->message.fetch.offset = i;
		link_send(link, &probe->message);
	}
}

static bool on_message(void *context, struct link *link, enum message_type type,
		       const uint8_t *body, size_t size)
{
	struct probe *probe = context;
	struct buf scratch;
	buf_init(&scratch);
	const bool good = type == MESSAGE_CHUNK &&
			  message_decode(&probe->message, type, body, size, &scratch, NULL) == 0 &&
			  probe->message.chunk.size == PROBE_PIECE_BYTES;
	buf_finish(&scratch);
	if (!good)
		return false; /* an older primad, for example, which closes */
	probe->last_us = clock_us();
	if (probe->pieces++ == 0)
		probe->first_us = probe->last_us;
	else
		probe->bytes += PROBE_PIECE_BYTES;
	if (probe->pieces == PROBE_PIECES)
		finish(probe, true);
	return true;
}

static void on_closed(void *context, struct link *link, const struct fail *why)
{
	struct probe *probe = context;
	probe->link = NULL;
	finish(probe, false);
}

static void on_deadline(uv_timer_t *timer)
{
	finish(timer->data, false);
}

struct probe *probe_start(const struct link_host *host, const struct sockaddr *address,
			  const struct device_keys *peer,
			  void (*done)(void *context, const struct device_id *peer, uint64_t bytes,
				       int64_t us),
			  void *context)
{
	static const struct link_events events = { on_ready, on_message, on_closed };
	struct probe *probe = calloc(1, sizeof(*probe));
	if (!probe)
		return NULL;
	probe->timer = timer_make(host->loop, probe);
	probe->peer = peer->id;
	probe->done = done;
	probe->context = context;
	if (probe->timer)
		probe->link =
			link_dial(host, address, CONNECTION_TRANSFER, peer, &events, probe, NULL);
	if (!probe->link) {
		probe_free(probe);
		return NULL;
	}
	uv_timer_start(probe->timer, on_deadline, DEADLINE_CHUNK_MS, 0);
	return probe;
}

void probe_abandon(struct probe *probe)
{
	if (!probe)
		return;
	if (probe->link)
		link_close(probe->link, "not now", true);
	probe_free(probe);
}
