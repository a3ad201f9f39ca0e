/* http.h: an HTTP/1.1 server on the loop: routes, whole answers, streams, and clients that leave.
 *
 * libmicrohttpd reads and writes; this file bounds it. A server listens on one socket. A request is
 * handed to its route once its body has arrived (or piece by piece, for uploads); the handler may
 * answer at once or later. Exactly one of these ends a request: http_reply and its kin,
 * http_stream_end, or the `gone` callback; after that the handle must not be used.
 *
 * Bounds: HTTP_HEAD_BYTES of request line and headers, HTTP_BODY_BYTES of body (uploads: their
 * declared size), HTTP_CONNECTIONS clients, DEADLINE_CLIENT_MS until a request is complete or an
 * upload moves on, HTTP_PENDING_BYTES that a client left unread. Loop thread only. */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include "base/buf.h"
#include "base/fail.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_HEAD_BYTES 32768
#define HTTP_BODY_BYTES (8u << 20)
#define HTTP_PENDING_BYTES (1u << 20)
#define HTTP_CONNECTIONS 128

struct http;
struct http_request;

typedef void http_handler(struct http_request *request, void *context);

/* A body that is handed on as it arrives. */
struct http_upload {
	/* The head is here. To refuse, answer now; nothing else is called then. */
	void (*begin)(struct http_request *request, uint64_t size, void *context);
	/* May answer to refuse the rest, which is dropped then. */
	void (*data)(struct http_request *request, const void *bytes, size_t size, void *context);
	http_handler *end;
};

struct http_route {
	const char *method; /* "GET" answers HEAD as well */
	const char *path;   /* "/v1/models"; a last "*" stands for a rest of at least one byte */
	http_handler *handle;
	const struct http_upload *upload; /* instead of handle */
};

enum http_trust {
	HTTP_TRUST_SOCKET,  /* a Unix socket: the file's mode says who may connect */
	HTTP_TRUST_LOOPBACK /* TCP: any web page may try; Host, Origin and content type are checked */
};

/* Serves `routes` (borrowed, ended by a NULL method) on a listening descriptor, which it takes, also
 * on failure. Gives. `context` goes to every handler. */
struct http *http_create(uv_loop_t *loop, int fd, enum http_trust trust,
			 const struct http_route *routes, void *context, struct fail *fail);
/* Ends every open request (their `gone` is called), hands out what was already written, closes. The
 * memory goes once the loop has run. Accepts NULL. */
void http_destroy(struct http *http);

/* ---- what was asked; borrowed until the request ends ---- */
const char *http_rest(const struct http_request *request);  /* what "*" stood for, decoded, or "" */
const struct buf *http_body(const struct http_request *request);
/* A query argument's value, or NULL. */
const char *http_query(const struct http_request *request, const char *name);
/* The body as a JSON object (an empty body is an empty object). NULL after refusing it. Gives. */
json_t *http_body_object(struct http_request *request);

/* ---- a client that leaves ---- */
typedef void http_gone(void *context);
/* `gone` is called once if the client leaves, does not read, or the server is destroyed before the
 * request ends; never from within another call of this header. Noticed within CLIENT_CHECK_MS. */
void http_watch(struct http_request *request, http_gone *gone, void *context);
void *http_watched(const struct http_request *request); /* the context given last */
/* Calls `wake` once from the loop after `after_ms`, unless the request ends or is set to another
 * time before. */
void http_wake(struct http_request *request, uint64_t after_ms, void (*wake)(void *context),
	       void *context);

/* ---- whole answers ---- */
void http_reply(struct http_request *request, unsigned status, const char *type,
		const void *bytes, size_t size);
void http_reply_json(struct http_request *request, unsigned status, json_t *body); /* takes body */
/* OpenAI's error shape, with the status of the failure's code. `param`: the field, or NULL. */
void http_reply_fail(struct http_request *request, const struct fail *fail, const char *param);
/* The status and the object of http_reply_fail, for errors in the middle of a stream. */
unsigned http_fail_status(enum fail_code code);
json_t *http_fail_json(const struct fail *fail, const char *param); /* gives {"error": {...}} */

/* ---- streams ---- */
void http_stream_begin(struct http_request *request, const char *type);
bool http_streaming(const struct http_request *request);
/* Queues. What the client has not read is kept up to HTTP_PENDING_BYTES; then it counts as gone. */
void http_stream_write(struct http_request *request, const void *bytes, size_t size);
void http_stream_end(struct http_request *request);

#endif
