/* Avahi asks for any number of watches, D-Bus keeps two on its socket (one to read, one to write),
 * and libuv refuses a second poll handle on a descriptor: so each descriptor has one handle and a
 * list of watches, and the handle waits for what they want together.
 *
 * A callback may free any watch or timeout, its own included. A watch freed while its descriptor is
 * being dispatched is only marked, and goes when the dispatch is over. */
#include "discovery/avahi_poll.h"

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>

struct avahi_poll {
	AvahiPoll api;
	uv_loop_t *loop;
	struct list descriptors;
	uint32_t handles; /* libuv handles not yet closed, the destroyer's own included */
	uv_timer_t last;  /* so that `closed` always comes from the loop */
	void (*closed)(void *context);
	void *context;
};

struct descriptor {
	struct list link;
	struct list watches;
	struct avahi_poll *poll;
	uv_poll_t handle;
	int fd;
	bool dispatching;
};

struct AvahiWatch {
	struct list link;
	struct descriptor *descriptor;
	AvahiWatchEvent wanted;
	AvahiWatchEvent happened;
	AvahiWatchCallback callback;
	void *userdata;
	bool freed;
};

struct AvahiTimeout {
	struct avahi_poll *poll;
	uv_timer_t timer;
	AvahiTimeoutCallback callback;
	void *userdata;
};

static void handle_closed(struct avahi_poll *poll)
{
	if (--poll->handles > 0)
		return;
	if (poll->closed)
		poll->closed(poll->context);
	free(poll);
}

/* ---- watches ---- */

static void on_descriptor_closed(uv_handle_t *handle)
{
	struct descriptor *descriptor = handle->data;
	struct avahi_poll *poll = descriptor->poll;
	free(descriptor);
	handle_closed(poll);
}

static void on_poll(uv_poll_t *handle, int status, int events);

/* Waits for what the watches want together; freed ones want nothing. */
static void descriptor_wait(struct descriptor *descriptor)
{
	int events = 0;
	LIST_EACH(at, &descriptor->watches)
	{
		const AvahiWatchEvent wanted = LIST_ITEM(at, struct AvahiWatch, link)->wanted;
		events |= (wanted & AVAHI_WATCH_IN ? UV_READABLE : 0) |
			  (wanted & AVAHI_WATCH_OUT ? UV_WRITABLE : 0);
	}
	if (events == 0)
		uv_poll_stop(&descriptor->handle);
	else
		uv_poll_start(&descriptor->handle, events, on_poll);
}

/* Frees what was marked; without a watch left, closes the descriptor. */
static void descriptor_sweep(struct descriptor *descriptor)
{
	LIST_EACH(at, &descriptor->watches)
	{
		struct AvahiWatch *watch = LIST_ITEM(at, struct AvahiWatch, link);
		if (!watch->freed)
			continue;
		list_remove(&watch->link);
		free(watch);
	}
	if (!list_empty(&descriptor->watches))
		return;
	list_remove(&descriptor->link);
	uv_close((uv_handle_t *)&descriptor->handle, on_descriptor_closed);
}

/* libuv reports a socket error as a bad descriptor, without events, and stops: the watches are told
 * of the error so that D-Bus drops the connection. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct descriptor *descriptor = handle->data;
	unsigned happened = status < 0 ? AVAHI_WATCH_ERR | AVAHI_WATCH_HUP : 0;
	if (events & UV_READABLE || status < 0)
		happened |= AVAHI_WATCH_IN;
	if (events & UV_WRITABLE || status < 0)
		happened |= AVAHI_WATCH_OUT;
	const unsigned always = AVAHI_WATCH_ERR | AVAHI_WATCH_HUP;
	LIST_EACH(at, &descriptor->watches)
	{
		struct AvahiWatch *watch = LIST_ITEM(at, struct AvahiWatch, link);
		watch->happened = (AvahiWatchEvent)(happened & (watch->wanted | always));
	}
	descriptor->dispatching = true;
	LIST_EACH(at, &descriptor->watches)
	{ /* nothing leaves this list before the end */
		struct AvahiWatch *watch = LIST_ITEM(at, struct AvahiWatch, link);
		if (!watch->freed && watch->happened != 0)
			watch->callback(watch, descriptor->fd, watch->happened, watch->userdata);
		watch->happened = 0;
	}
	descriptor->dispatching = false;
	descriptor_sweep(descriptor);
}

static struct descriptor *descriptor_of(struct avahi_poll *poll, int fd)
{
	LIST_EACH(at, &poll->descriptors)
	{
		struct descriptor *known = LIST_ITEM(at, struct descriptor, link);
		if (known->fd == fd)
			return known;
	}
	struct descriptor *descriptor = calloc(1, sizeof(*descriptor));
	if (!descriptor)
		return NULL;
	if (uv_poll_init(poll->loop, &descriptor->handle, fd) != 0) {
		free(descriptor);
		return NULL;
	}
	descriptor->handle.data = descriptor;
	descriptor->poll = poll;
	descriptor->fd = fd;
	list_init(&descriptor->watches);
	list_append(&poll->descriptors, &descriptor->link);
	poll->handles++;
	return descriptor;
}

static AvahiWatch *watch_new(const AvahiPoll *api, int fd, AvahiWatchEvent event,
			     AvahiWatchCallback callback, void *userdata)
{
	struct AvahiWatch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return NULL;
	watch->descriptor = descriptor_of(api->userdata, fd);
	if (!watch->descriptor) {
		free(watch);
		return NULL;
	}
	watch->wanted = event;
	watch->callback = callback;
	watch->userdata = userdata;
	list_append(&watch->descriptor->watches, &watch->link);
	descriptor_wait(watch->descriptor);
	return watch;
}

static void watch_update(AvahiWatch *watch, AvahiWatchEvent event)
{
	watch->wanted = event;
	descriptor_wait(watch->descriptor);
}

static AvahiWatchEvent watch_get_events(AvahiWatch *watch)
{
	return watch->happened;
}

/* The owner may close the socket right after this, so the wish ends at once, and only the memory
 * waits for the end of a dispatch. */
static void watch_free(AvahiWatch *watch)
{
	struct descriptor *descriptor = watch->descriptor;
	watch->wanted = 0;
	watch->freed = true;
	descriptor_wait(descriptor);
	if (!descriptor->dispatching)
		descriptor_sweep(descriptor);
}

/* ---- timeouts ---- */

static void on_timeout(uv_timer_t *timer)
{
	struct AvahiTimeout *timeout = timer->data;
	timeout->callback(timeout, timeout->userdata);
}

/* Avahi's times are of the wall clock. The distance is taken once, so that a clock set later
 * neither stalls nor hurries it. */
static uint64_t milliseconds_until(const struct timeval *when)
{
	struct timeval now;
	gettimeofday(&now, NULL);
	const int64_t us = ((int64_t)when->tv_sec - now.tv_sec) * 1000000 +
			   ((int64_t)when->tv_usec - now.tv_usec);
	return us <= 0 ? 0 : (uint64_t)(us + 999) / 1000;
}

static void timeout_update(AvahiTimeout *timeout, const struct timeval *when)
{
	if (when)
		uv_timer_start(&timeout->timer, on_timeout, milliseconds_until(when), 0);
	else
		uv_timer_stop(&timeout->timer);
}

static AvahiTimeout *timeout_new(const AvahiPoll *api, const struct timeval *when,
				 AvahiTimeoutCallback callback, void *userdata)
{
	struct AvahiTimeout *timeout = calloc(1, sizeof(*timeout));
	if (!timeout)
		return NULL;
	timeout->poll = api->userdata;
	timeout->callback = callback;
	timeout->userdata = userdata;
	uv_timer_init(timeout->poll->loop, &timeout->timer);
	timeout->timer.data = timeout;
	timeout->poll->handles++;
	timeout_update(timeout, when);
	return timeout;
}

static void on_timeout_closed(uv_handle_t *handle)
{
	struct AvahiTimeout *timeout = handle->data;
	struct avahi_poll *poll = timeout->poll;
	free(timeout);
	handle_closed(poll);
}

static void timeout_free(AvahiTimeout *timeout)
{
	uv_close((uv_handle_t *)&timeout->timer, on_timeout_closed);
}

/* ---- the adapter ---- */

struct avahi_poll *avahi_poll_create(uv_loop_t *loop)
{
	struct avahi_poll *poll = calloc(1, sizeof(*poll));
	if (!poll)
		return NULL;
	poll->api = (AvahiPoll){ .userdata = poll,
				 .watch_new = watch_new,
				 .watch_update = watch_update,
				 .watch_get_events = watch_get_events,
				 .watch_free = watch_free,
				 .timeout_new = timeout_new,
				 .timeout_update = timeout_update,
				 .timeout_free = timeout_free };
	poll->loop = loop;
	list_init(&poll->descriptors);
	uv_timer_init(loop, &poll->last);
	poll->last.data = poll;
	poll->handles = 1;
	return poll;
}

const AvahiPoll *avahi_poll_api(struct avahi_poll *poll)
{
	return &poll->api;
}

static void on_last_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

void avahi_poll_destroy(struct avahi_poll *poll, void (*closed)(void *context), void *context)
{
	poll->closed = closed;
	poll->context = context;
	uv_close((uv_handle_t *)&poll->last, on_last_closed);
}
