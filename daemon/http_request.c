#include "daemon/http_request.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_BLOCK_BYTES 16384

/* ---- the life of a request ---- */

static void request_free(struct http_request *request)
{
	buf_finish(&request->body);
	buf_finish(&request->pending);
	free(request->rest);
	free(request);
}

static void request_handle_closed(uv_handle_t *handle)
{
	struct http_request *request = handle->data;
	if (--request->open_handles == 0)
		request_free(request);
}

struct http_request *request_create(struct http *http, struct MHD_Connection *connection)
{
	struct http_request *request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	request->http = http;
	request->connection = connection;
	request->client = info ? info->socket_context : NULL;
	request->watch_fd = -1;
	buf_init(&request->body);
	buf_init(&request->pending);
	uv_timer_init(http->loop, &request->timer);
	request->timer.data = request;
	request->open_handles = 1;
	list_append(&http->requests, &request->link);
	return request;
}

static void watch_stop(struct http_request *request)
{
	if (request->watch_fd < 0)
		return;
	uv_close((uv_handle_t *)&request->watch, request_handle_closed);
	close(request->watch_fd);
	request->watch_fd = -1;
}

void request_finish(struct http_request *request)
{
	list_remove(&request->link);
	request->http->body_bytes -= request->body.size;
	if (request->reply)
		MHD_destroy_response(request->reply);
	request->reply = NULL;
	request->finished = true;
	watch_stop(request);
	uv_close((uv_handle_t *)&request->timer, request_handle_closed);
}

static void request_resume(struct http_request *request)
{
	if (!request->suspended)
		return;
	request->suspended = false;
	MHD_resume_connection(request->connection);
	http_pump_soon(request->http);
}

/* True while a handler may still use its handle. */
static bool request_open(const struct http_request *request)
{
	return request->state <= REQUEST_STATE_HANDLED || request->state == REQUEST_STATE_STREAMING;
}

void request_die(struct http_request *request)
{
	if (!request_open(request))
		return;
	http_gone *gone = request->gone;
	request->state = REQUEST_STATE_DEAD;
	request->gone = NULL;
	uv_timer_stop(&request->timer);
	if (gone)
		gone(request->gone_context);
	request_resume(request);
}

/* The handler is done: no more calls into it. */
static void request_release(struct http_request *request, enum request_state state)
{
	request->state = state;
	request->gone = NULL;
	uv_timer_stop(&request->timer);
	request_resume(request);
}

/* ---- waking and watching ---- */

static void timer_fired(uv_timer_t *timer)
{
	struct http_request *request = timer->data;
	if (request->doomed) {
		request_die(request);
		return;
	}
	void (*wake)(void *) = request->wake;
	request->wake = NULL;
	if (wake && request_open(request))
		wake(request->wake_context);
}

/* From the loop, not from within the writer, who is still using its own state. */
static void request_doom(struct http_request *request)
{
	request->doomed = true;
	uv_timer_start(&request->timer, timer_fired, 0, 0);
}

void http_wake(struct http_request *request, uint64_t after_ms, void (*wake)(void *), void *context)
{
	request->wake = wake;
	request->wake_context = context;
	if (!request->doomed)
		uv_timer_start(&request->timer, timer_fired, after_ms, 0);
}

static void client_hung_up(uv_poll_t *watch, int status, int events)
{
	struct http_request *request = watch->data;
	if (status == 0 && !(events & UV_DISCONNECT))
		return;
	uv_poll_stop(watch);
	request_die(request);
}

/* A suspended connection is not looked at by libmicrohttpd, and one that streams only when there
 * is something to write; libuv refuses two polls on one descriptor, hence the duplicate. */
static void watch_start(struct http_request *request)
{
	if (request->watch_fd >= 0 || !request->client)
		return;
	request->watch_fd = fcntl(request->client->fd, F_DUPFD_CLOEXEC, 0);
	if (request->watch_fd < 0)
		return;
	if (uv_poll_init(request->http->loop, &request->watch, request->watch_fd) != 0) {
		close(request->watch_fd);
		request->watch_fd = -1;
		return;
	}
	request->watch.data = request;
	request->open_handles++;
	uv_poll_start(&request->watch, UV_DISCONNECT, client_hung_up);
}

void http_watch(struct http_request *request, http_gone *gone, void *context)
{
	request->gone = gone;
	request->gone_context = context;
	watch_start(request);
}

void *http_watched(const struct http_request *request)
{
	return request->gone_context;
}

/* ---- what was asked ---- */

const char *http_rest(const struct http_request *request)
{
	return request->rest ? request->rest : "";
}

const struct buf *http_body(const struct http_request *request)
{
	return &request->body;
}

const char *http_query(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

json_t *http_body_object(struct http_request *request)
{
	struct fail fail;
	json_error_t error;
	if (request->body.size == 0)
		return json_object();
	json_t *body = json_loadb((const char *)request->body.data, request->body.size, 0, &error);
	if (json_is_object(body))
		return body;
	if (body)
		fail_set(&fail, FAIL_INVALID, "the body must be a JSON object");
	else
		fail_set(&fail, FAIL_INVALID, "the body is not JSON: line %d column %d: %s",
			 error.line, error.column, error.text);
	json_decref(body);
	http_reply_fail(request, &fail, NULL);
	return NULL;
}

/* ---- answers ---- */

static void add_headers(struct MHD_Response *response, unsigned status, const char *type)
{
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_TOO_MANY_REQUESTS)
		MHD_add_response_header(response, "Retry-After", "1");
}

/* libmicrohttpd takes no answer while a body comes in. It goes to the socket directly, so that a
 * client learns at once why its upload is in vain; what it still sends is dropped. */
static void reply_early(struct http_request *request, unsigned status, const char *type,
			const void *bytes, size_t size)
{
	struct buf text;
	buf_init(&text);
	buf_printf(&text,
		   "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		   "Connection: close\r\n\r\n",
		   status, MHD_get_reason_phrase_for(status), type, size);
	buf_append(&text, bytes, size);
	if (!text.failed && request->client)
		(void)!send(request->client->fd, text.data, text.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_finish(&text);
	request->answered_early = true;
	request_release(request, REQUEST_STATE_DEAD);
}

void http_reply(struct http_request *request, unsigned status, const char *type, const void *bytes,
		size_t size)
{
	if (request->began && request->state == REQUEST_STATE_ARRIVING) {
		reply_early(request, status, type, bytes, size);
		return;
	}
	/* Older headers take a writable pointer, although the bytes are copied. */
	request->reply = MHD_create_response_from_buffer(size, (void *)(uintptr_t)bytes,
							 MHD_RESPMEM_MUST_COPY);
	request->status = status;
	if (request->reply)
		add_headers(request->reply, status, type);
	request_release(request, request->reply ? REQUEST_STATE_REPLIED : REQUEST_STATE_DEAD);
}

void http_reply_json(struct http_request *request, unsigned status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (text)
		http_reply(request, status, "application/json", text, strlen(text));
	else
		http_reply(request, 500, "text/plain", "out of memory\n", 14);
	free(text);
}

struct fail_row {
	unsigned status;
	const char *type;
};

static const struct fail_row fail_rows[FAIL_CODES] = {
	[FAIL_NONE] = { 500, "server_error" },
	[FAIL_INVALID] = { 400, "invalid_request_error" },
	[FAIL_UNSUPPORTED] = { 400, "invalid_request_error" },
	[FAIL_NOT_FOUND] = { 404, "not_found_error" },
	[FAIL_MEMORY] = { 503, "server_error" },
	[FAIL_SPACE] = { 507, "server_error" },
	[FAIL_IO] = { 500, "server_error" },
	[FAIL_CORRUPT] = { 500, "server_error" },
	[FAIL_BUSY] = { 429, "rate_limit_error" },
	[FAIL_DENIED] = { 403, "permission_error" },
	[FAIL_CANCELLED] = { 503, "server_error" },
	[FAIL_LOST] = { 503, "server_error" },
	[FAIL_TIMEOUT] = { 504, "server_error" },
	[FAIL_VERSION] = { 503, "server_error" },
};

unsigned http_fail_status(enum fail_code code)
{
	return (unsigned)code < FAIL_CODES ? fail_rows[code].status : 500;
}

json_t *http_fail_json(const struct fail *fail, const char *param)
{
	const char *type =
		(unsigned)fail->code < FAIL_CODES ? fail_rows[fail->code].type : "server_error";
	json_t *message = json_string(fail->text);
	if (!message) /* not UTF-8: say at least what kind */
		message = json_string(fail_code_name(fail->code));
	return json_pack("{s:{s:o, s:s, s:s?, s:s}}", "error", "message", message, "type", type,
			 "param", param, "code", fail_code_name(fail->code));
}

void request_refuse(struct http_request *request, unsigned status, const char *type,
		    const char *code, const char *sentence)
{
	http_reply_json(request, status,
			json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", sentence, "type",
				  type, "param", "code", code));
}

void http_reply_fail(struct http_request *request, const struct fail *fail, const char *param)
{
	http_reply_json(request, http_fail_status(fail->code), http_fail_json(fail, param));
}

/* ---- streams ---- */

static ssize_t stream_read(void *context, uint64_t position, char *to, size_t most)
{
	struct http_request *request = context;
	if (request->pending.size > 0 && request->state != REQUEST_STATE_DEAD) {
		const size_t size = request->pending.size < most ? request->pending.size : most;
		memcpy(to, request->pending.data, size);
		buf_consume(&request->pending, size);
		return (ssize_t)size;
	}
	if (request->state == REQUEST_STATE_ENDED)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (request->state == REQUEST_STATE_DEAD)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	request->suspended = true;
	MHD_suspend_connection(request->connection);
	return 0;
}

void http_stream_begin(struct http_request *request, const char *type)
{
	request->reply = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
							   stream_read, request, NULL);
	request->state = REQUEST_STATE_STREAMING;
	request->status = 200;
	if (request->reply)
		add_headers(request->reply, 200, type);
	else
		request_doom(request);
	request_resume(request);
}

bool http_streaming(const struct http_request *request)
{
	return request->state == REQUEST_STATE_STREAMING;
}

void http_stream_write(struct http_request *request, const void *bytes, size_t size)
{
	if (request->doomed)
		return;
	buf_append(&request->pending, bytes, size);
	if (request->pending.failed || request->pending.size > HTTP_PENDING_BYTES)
		request_doom(request);
	request_resume(request);
}

void http_stream_end(struct http_request *request)
{
	request_release(request, REQUEST_STATE_ENDED);
}
