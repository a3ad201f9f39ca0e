#include "discovery/statics.h"

#include "base/log.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 1000   /* after a failed look-up, doubled... */
#define RETRY_MOST_MS  60000  /* ...to at most this */
#define REFRESH_MS     300000 /* a name is looked up again after so long */

struct peer {
	struct statics *statics;
	char text[STATICS_TEXT_BYTES];
	char host[STATICS_TEXT_BYTES];
	uint16_t port;
	struct address addresses[STATICS_ADDRESSES_MAX];
	uint32_t n_addresses;
	uint64_t retry_ms;
	bool resolving;
	uv_getaddrinfo_t request;
	uv_timer_t timer;
};

struct statics {
	uv_loop_t *loop;
	statics_found *found;
	void *context;
	uint32_t n_peers;
	uint32_t pending; /* timers open and look-ups under way, when closing */
	bool closing;
	void (*closed)(void *context);
	void *closed_context;
	struct peer peers[STATICS_MAX];
};

static void one_less(struct statics *statics)
{
	if (--statics->pending > 0)
		return;
	void (*closed)(void *) = statics->closed;
	void *context = statics->closed_context;
	free(statics);
	if (closed)
		closed(context);
}

static uint32_t collect(const struct addrinfo *from, uint16_t port,
			struct address addresses[STATICS_ADDRESSES_MAX])
{
	uint32_t count = 0;
	for (; from && count < STATICS_ADDRESSES_MAX; from = from->ai_next)
		if (address_from_sockaddr(&addresses[count], from->ai_addr))
			addresses[count++].port = port;
	return count;
}

static bool same_addresses(const struct peer *peer, const struct address *addresses, uint32_t count)
{
	if (peer->n_addresses != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!address_equal(&peer->addresses[i], &addresses[i]))
			return false;
	return true;
}

static void take_addresses(struct peer *peer, const struct addrinfo *from)
{
	struct address addresses[STATICS_ADDRESSES_MAX];
	const uint32_t count = collect(from, peer->port, addresses);
	if (count == 0 || same_addresses(peer, addresses, count))
		return;
	memcpy(peer->addresses, addresses, count * sizeof(addresses[0]));
	peer->n_addresses = count;
	peer->statics->found(peer->statics->context, peer->text, peer->addresses, count);
}

static void on_timer(uv_timer_t *timer);

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
	struct peer *peer = request->data;
	struct statics *statics = peer->statics;
	peer->resolving = false;
	if (statics->closing) {
		uv_freeaddrinfo(result);
		one_less(statics);
		return;
	}
	uint64_t again_ms = REFRESH_MS;
	if (status == 0) {
		take_addresses(peer, result);
		peer->retry_ms = RETRY_FIRST_MS;
	} else {
		log_debug("statics", "look-up failed peer=%s reason=\"%s\"", peer->text,
			  uv_strerror(status));
		again_ms = peer->retry_ms;
		peer->retry_ms = again_ms * 2 < RETRY_MOST_MS ? again_ms * 2 : RETRY_MOST_MS;
	}
	uv_freeaddrinfo(result);
	uv_timer_start(&peer->timer, on_timer, again_ms, 0);
}

/* A numeric address needs no look-up, and is never looked up again. */
static bool is_numeric(struct peer *peer)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *result = NULL;
	if (getaddrinfo(peer->host, NULL, &hints, &result) != 0)
		return false;
	take_addresses(peer, result);
	freeaddrinfo(result);
	return true;
}

static void on_timer(uv_timer_t *timer)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct peer *peer = timer->data;
	if (is_numeric(peer))
		return;
	peer->request.data = peer;
	peer->resolving = uv_getaddrinfo(peer->statics->loop, &peer->request, on_resolved,
					 peer->host, NULL, &hints) == 0;
	if (!peer->resolving)
		uv_timer_start(timer, on_timer, peer->retry_ms, 0);
}

static bool text_fits(const char *text)
{
	return strlen(text) < STATICS_TEXT_BYTES;
}

static int peer_add(struct statics *statics, const char *text, uint16_t port_default,
		    struct fail *fail)
{
	struct peer *peer = &statics->peers[statics->n_peers];
	if (statics->n_peers == STATICS_MAX)
		return fail_set(fail, FAIL_INVALID, "more than %d static peers", STATICS_MAX);
	if (!text_fits(text) ||
	    !address_split(text, peer->host, sizeof(peer->host), &peer->port, port_default))
		return fail_set(fail, FAIL_INVALID,
				"\"%.100s\" is no peer; write host:port, 192.168.1.7:47600 or "
				"[fe80::1%%eth0]:47600",
				text);
	snprintf(peer->text, sizeof(peer->text), "%s", text);
	peer->statics = statics;
	peer->retry_ms = RETRY_FIRST_MS;
	statics->n_peers++;
	return 0;
}

struct statics *statics_create(uv_loop_t *loop, const char *const *texts, uint32_t count,
			       uint16_t port_default, statics_found *found, void *context,
			       struct fail *fail)
{
	struct statics *statics = calloc(1, sizeof(*statics));
	if (!statics) {
		fail_set(fail, FAIL_MEMORY, "no memory for static peers");
		return NULL;
	}
	statics->loop = loop;
	statics->found = found;
	statics->context = context;
	for (uint32_t i = 0; i < count; i++)
		if (peer_add(statics, texts[i], port_default, fail) != 0) {
			free(statics);
			return NULL;
		}
	for (uint32_t i = 0; i < count; i++) {
		struct peer *peer = &statics->peers[i];
		uv_timer_init(loop, &peer->timer);
		peer->timer.data = peer;
		uv_timer_start(&peer->timer, on_timer, 0, 0);
	}
	return statics;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct peer *peer = handle->data;
	one_less(peer->statics);
}

/* A look-up that has begun cannot be cancelled; its answer is waited for. */
void statics_destroy(struct statics *statics, void (*closed)(void *context), void *context)
{
	statics->closing = true;
	statics->closed = closed;
	statics->closed_context = context;
	for (uint32_t i = 0; i < statics->n_peers; i++) {
		struct peer *peer = &statics->peers[i];
		uv_close((uv_handle_t *)&peer->timer, on_timer_closed);
		statics->pending++;
		if (!peer->resolving)
			continue;
		uv_cancel((uv_req_t *)&peer->request);
		statics->pending++;
	}
}
