#include "daemon/http.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/http_request.h"
#include "daemon/origin.h"
#include "proto/deadlines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODIES_BYTES (32u << 20) /* of all requests of one server together */

/* ---- the head ---- */

static const char *header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static uint64_t declared_size(const struct http_request *request)
{
	const char *text = header(request, "Content-Length");
	if (!text)
		return header(request, "Transfer-Encoding") ? SIZE_UNKNOWN : 0;
	return strtoull(text, NULL, 10); /* libmicrohttpd has checked it */
}

/* Every Host header must be ours: two of them are an attack or a mistake. */
static enum MHD_Result check_host(void *context, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	bool *good = context;
	if (strcasecmp(name, "Host") == 0 && (!value || !origin_host_allowed(value)))
		*good = false;
	return MHD_YES;
}

/* True when the request may be served; else it is refused. */
static bool check_web(struct http_request *request, const char *method)
{
	const char *host = header(request, "Host"), *origin = header(request, "Origin");
	const char *type = header(request, "Content-Type");
	bool good = host != NULL;
	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, check_host, &good);
	if (!good)
		request_refuse(
			request, 403, "permission_error", "host",
			"this address answers to localhost only: the Host header names something "
			"else");
	else if (origin && !origin_is_own(origin, host))
		request_refuse(request, 403, "permission_error", "origin",
			       "web pages of other sites may not use this address");
	else if (strcmp(method, "POST") == 0 && (!type || !origin_type_is_json(type)))
		request_refuse(request, 415, "invalid_request_error", "content_type",
			       "send the body as Content-Type: application/json");
	else
		return true;
	return false;
}

static bool path_matches(const struct http_route *route, const char *path, const char **rest)
{
	const size_t size = strlen(route->path);
	const bool open = size > 0 && route->path[size - 1] == '*';
	*rest = open ? path + size - 1 : "";
	if (!open)
		return strcmp(route->path, path) == 0;
	return strncmp(route->path, path, size - 1) == 0 && path[size - 1];
}

/* The route, or NULL after refusing with 404 or 405. */
static const struct http_route *find_route(struct http_request *request, const char *path,
					   const char *method)
{
	const char *rest;
	bool known = false;
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (const struct http_route *route = request->http->routes; route->method; route++) {
		if (!path_matches(route, path, &rest))
			continue;
		known = true;
		if (strcmp(route->method, method) != 0)
			continue;
		request->rest = strdup(rest);
		return route;
	}
	if (known)
		request_refuse(request, 405, "invalid_request_error", "method",
			       "this path exists, but not for this method");
	else
		request_refuse(request, 404, "not_found_error", "path",
			       "there is no such path here");
	return NULL;
}

static void check_size(struct http_request *request)
{
	const bool upload = request->route->upload != NULL;
	if (upload && request->declared == SIZE_UNKNOWN)
		request_refuse(request, 411, "invalid_request_error", "size",
			       "an upload must declare its size (Content-Length)");
	else if (!upload && request->declared != SIZE_UNKNOWN &&
		 request->declared > HTTP_BODY_BYTES)
		request_refuse(request, 413, "invalid_request_error", "size",
			       "the body is larger than 8 MiB");
}

static enum MHD_Result queue_reply(struct http_request *request)
{
	const enum MHD_Result result =
		MHD_queue_response(request->connection, request->status, request->reply);
	MHD_destroy_response(request->reply);
	request->reply = NULL;
	request->queued = true;
	return result;
}

static enum MHD_Result take_head(struct http_request *request, const char *path, const char *method)
{
	request->declared = declared_size(request);
	if (request->http->trust == HTTP_TRUST_SOCKET || check_web(request, method))
		request->route = find_route(request, path, method);
	if (request->route)
		check_size(request);
	if (request->state == REQUEST_STATE_ARRIVING && request->route->upload) {
		list_remove(&request->client->owing); /* libmicrohttpd watches its progress */
		request->route->upload->begin(request, request->declared, request->http->context);
		request->began = request->state == REQUEST_STATE_ARRIVING;
	}
	/* A short body is read to its end before it is refused: closing on unread bytes would
	 * reset the connection and take the answer away. */
	const bool wait = request->declared <= HTTP_BODY_BYTES && !request->route;
	return request->reply && !wait ? queue_reply(request) : MHD_YES;
}

/* ---- the body ---- */

static enum MHD_Result drop_body(struct http_request *request, size_t size)
{
	request->dropped += size;
	return request->dropped <= HTTP_BODY_BYTES ? MHD_YES : MHD_NO;
}

static enum MHD_Result take_body(struct http_request *request, const char *bytes, size_t size)
{
	struct http *http = request->http;
	if (request->state != REQUEST_STATE_ARRIVING)
		return drop_body(request, size);
	if (request->began) {
		request->route->upload->data(request, bytes, size, http->context);
		return MHD_YES;
	}
	if (size > HTTP_BODY_BYTES - request->body.size)
		return MHD_NO; /* only a body of undeclared size comes here */
	if (http->body_bytes + size > BODIES_BYTES) {
		request_refuse(request, 429, "rate_limit_error", "busy",
			       "too many large requests at once; try again");
		return MHD_YES;
	}
	buf_append(&request->body, bytes, size);
	if (request->body.failed)
		return MHD_NO;
	http->body_bytes += size;
	return MHD_YES;
}

static void call_handler(struct http_request *request)
{
	const struct http_route *route = request->route;
	list_remove(&request->client->owing);
	request->state = REQUEST_STATE_HANDLED;
	(route->upload ? route->upload->end : route->handle)(request, request->http->context);
}

static enum MHD_Result take_end(struct http_request *request)
{
	if (request->state == REQUEST_STATE_ARRIVING)
		call_handler(request);
	if (request->state == REQUEST_STATE_HANDLED) {
		request->suspended = true;
		MHD_suspend_connection(request->connection);
		return MHD_YES;
	}
	return request->reply ? queue_reply(request) : MHD_NO;
}

/* ---- what libmicrohttpd calls ---- */

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *version,
				  const char *upload, size_t *upload_size, void **slot)
{
	struct http_request *request = *slot;
	if (!request) {
		*slot = request = request_create(context, connection);
		return request && request->client ? take_head(request, path, method) : MHD_NO;
	}
	if (*upload_size == 0)
		return take_end(request);
	const size_t size = *upload_size;
	*upload_size = 0;
	return take_body(request, upload, size);
}

static void owe(struct http *http, struct client *client);

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
			 enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *slot;
	if (!request)
		return;
	*slot = NULL;
	request_die(request);
	if (request->client && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		owe(request->http, request->client);
	request_finish(request);
}

/* ---- clients that owe a request ---- */

static void sweep_fired(uv_timer_t *timer);

static void sweep_arm(struct http *http)
{
	if (list_empty(&http->owing) || uv_is_active((uv_handle_t *)&http->sweep) ||
	    uv_is_closing((uv_handle_t *)&http->sweep))
		return;
	const struct client *oldest = LIST_ITEM(http->owing.next, struct client, owing);
	const int64_t left_ms = oldest->since_ms + DEADLINE_CLIENT_MS - clock_ms();
	uv_timer_start(&http->sweep, sweep_fired, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static void sweep_fired(uv_timer_t *timer)
{
	struct http *http = timer->data;
	const int64_t before_ms = clock_ms() - DEADLINE_CLIENT_MS;
	LIST_EACH(at, &http->owing)
	{
		struct client *client = LIST_ITEM(at, struct client, owing);
		if (client->since_ms > before_ms)
			break;
		list_remove(at);
		shutdown(client->fd, SHUT_RDWR); /* libmicrohttpd sees that and closes */
	}
	sweep_arm(http);
}

/* A byte now and then keeps libmicrohttpd's own timeout away: this one counts from the start. */
static void owe(struct http *http, struct client *client)
{
	client->since_ms = clock_ms();
	list_remove(&client->owing);
	list_append(&http->owing, &client->owing);
	sweep_arm(http);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
			  enum MHD_ConnectionNotificationCode code)
{
	struct client *client = *slot;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client)
			list_remove(&client->owing);
		free(client);
		*slot = NULL;
		return;
	}
	client = calloc(1, sizeof(*client));
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!client || !info) {
		free(client);
		return; /* requests without a client are refused */
	}
	client->fd = info->connect_fd;
	list_init(&client->owing);
	owe(context, client);
	*slot = client;
}

static void on_log(void *context, const char *format, va_list args)
{
	char text[256];
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = 0;
	log_debug("http", "%s", text);
}

/* ---- the server ---- */

static void pump(struct http *http);

static void timeout_fired(uv_timer_t *timer)
{
	pump(timer->data);
}

static void pump(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
		uv_timer_start(&http->timeout, timeout_fired, timeout_ms, 0);
	else
		uv_timer_stop(&http->timeout);
}

void http_pump_soon(struct http *http)
{
	uv_timer_start(&http->timeout, timeout_fired, 0, 0);
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
	pump(poll->data);
}

static struct MHD_Daemon *start(struct http *http, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
				NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log,
				NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				(unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
				(unsigned)(DEADLINE_CLIENT_MS / 1000),
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(2 * HTTP_HEAD_BYTES),
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

static void http_handle_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;
	if (--http->open_handles == 0)
		free(http);
}

static void close_handles(struct http *http)
{
	uv_close((uv_handle_t *)&http->timeout, http_handle_closed);
	uv_close((uv_handle_t *)&http->sweep, http_handle_closed);
	if (http->open_handles == 3)
		uv_close((uv_handle_t *)&http->poll, http_handle_closed);
}

static int poll_start(struct http *http, struct fail *fail)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || uv_poll_init(http->loop, &http->poll, info->epoll_fd) != 0)
		return fail_set(fail, FAIL_IO, "cannot watch the local socket");
	http->poll.data = http;
	http->open_handles++;
	uv_poll_start(&http->poll, UV_READABLE, poll_ready);
	return 0;
}

static void init_timers(struct http *http)
{
	uv_timer_init(http->loop, &http->timeout);
	uv_timer_init(http->loop, &http->sweep);
	http->timeout.data = http;
	http->sweep.data = http;
	http->open_handles = 2;
}

struct http *http_create(uv_loop_t *loop, int fd, enum http_trust trust,
			 const struct http_route *routes, void *context, struct fail *fail)
{
	struct http *http = calloc(1, sizeof(*http));
	if (!http) {
		close(fd);
		fail_set(fail, FAIL_MEMORY, "no memory for a local socket");
		return NULL;
	}
	http->loop = loop;
	http->trust = trust;
	http->routes = routes;
	http->context = context;
	list_init(&http->requests);
	list_init(&http->owing);
	init_timers(http);
	http->daemon = start(http, fd);
	if (!http->daemon) {
		close(fd);
		fail_set(fail, FAIL_IO, "cannot serve a local socket");
	} else if (poll_start(http, fail) == 0) {
		return http;
	}
	http_destroy(http);
	return NULL;
}

void http_destroy(struct http *http)
{
	if (!http)
		return;
	if (http->daemon)
		MHD_run(http->daemon); /* sends what was answered */
	LIST_EACH(at, &http->requests)
	request_die(LIST_ITEM(at, struct http_request, link));
	close_handles(http);
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
}
