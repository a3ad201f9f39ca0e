/* http_request.h: one request of an HTTP server, from its head to its last byte: what http.c, which
 * feeds it, and http_request.c, which answers it, share. For these two alone. */
#ifndef DAEMON_HTTP_REQUEST_H
#define DAEMON_HTTP_REQUEST_H

#include "base/list.h"
#include "daemon/http.h"

#include <microhttpd.h>

#define SIZE_UNKNOWN UINT64_MAX

struct http {
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	enum http_trust trust;
	const struct http_route *routes;
	void *context;
	uv_poll_t poll;     /* libmicrohttpd's epoll descriptor: something may be done */
	uv_timer_t timeout; /* libmicrohttpd's own next deadline */
	uv_timer_t sweep;   /* the oldest client that owes us a request */
	int open_handles;
	struct list requests;
	struct list owing; /* struct client, oldest first */
	size_t body_bytes; /* held by requests */
};

/* One connection, from accept to close. */
struct client {
	struct list owing; /* in http.owing while its next request is incomplete */
	int64_t since_ms;
	int fd; /* libmicrohttpd's */
};

enum request_state {
	REQUEST_STATE_ARRIVING, /* head or body still come in */
	REQUEST_STATE_HANDLED,  /* with its handler, which has not answered */
	REQUEST_STATE_REPLIED,  /* a whole answer waits to be sent */
	REQUEST_STATE_STREAMING,
	REQUEST_STATE_ENDED, /* the handler is done with its stream */
	REQUEST_STATE_DEAD   /* nobody to answer */
};

struct http_request {
	struct http *http;
	struct list link;
	struct MHD_Connection *connection;
	struct client *client;
	const struct http_route *route;
	char *rest;
	enum request_state state;
	bool queued;         /* the answer was handed to libmicrohttpd */
	bool suspended;      /* libmicrohttpd does not look at the connection until resumed */
	bool began;          /* its upload has begun and takes the body */
	bool answered_early; /* in the middle of an upload, past libmicrohttpd */
	bool doomed;         /* dies when the timer fires */
	uint64_t declared;   /* body size, or SIZE_UNKNOWN */
	uint64_t dropped;    /* body bytes nobody wanted */
	struct buf body;
	struct MHD_Response *reply;
	unsigned status;
	struct buf pending; /* of a stream, not yet taken by libmicrohttpd */

	http_gone *gone;
	void *gone_context;
	uv_poll_t watch; /* on `watch_fd`, a duplicate: the client hung up */
	int watch_fd;
	uv_timer_t timer;
	void (*wake)(void *context);
	void *wake_context;
	int open_handles;
	bool finished; /* libmicrohttpd is done; freed with the last handle */
};

/* NULL when memory is short. Linked into its server until request_finish. */
struct http_request *request_create(struct http *http, struct MHD_Connection *connection);
/* libmicrohttpd forgot the request: closes what points at it; the memory goes with the loop's next
 * turn. */
void request_finish(struct http_request *request);
/* Nobody to answer any more: calls `gone` if the handler is not done yet. */
void request_die(struct http_request *request);
/* Answers in the error shape where no failure code has the right status. */
void request_refuse(struct http_request *request, unsigned status, const char *type,
		    const char *code, const char *sentence);
/* libmicrohttpd runs in the loop's next turn: after a connection was resumed it does not wake by
 * itself. */
void http_pump_soon(struct http *http);

#endif
