/* Any bytes on a local socket: whatever they are, the server lives, and nothing is left of them once
 * the client has gone. The first byte chooses between a Unix socket's and TCP's checks. */
#include "daemon/http.h"

#include "daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	uv_loop_t loop;
	struct http *servers[2];
	struct sockaddr_un addresses[2];
	int open; /* requests that were handed out and have not ended */
} bench;

static void on_gone(void *context)
{
	bench.open--;
}

static void echo(struct http_request *request, void *context)
{
	json_t *body = http_body_object(request);
	if (body)
		http_reply_json(request, 200, body);
}

static void hold(struct http_request *request, void *context)
{
	bench.open++;
	http_watch(request, on_gone, NULL);
}

static void stream(struct http_request *request, void *context)
{
	const char *text = http_query(request, "text");
	http_stream_begin(request, "text/event-stream");
	http_stream_write(request, text ? text : http_rest(request),
			  strlen(text ? text : http_rest(request)));
	http_stream_end(request);
}

static void upload_begin(struct http_request *request, uint64_t size, void *context)
{
	hold(request, context);
}

static void upload_data(struct http_request *request, const void *bytes, size_t size,
			void *context)
{
	struct fail fail;
	if (!memchr(bytes, '!', size))
		return;
	bench.open--;
	fail_set(&fail, FAIL_CORRUPT, "refused");
	http_reply_fail(request, &fail, NULL);
}

static void upload_end(struct http_request *request, void *context)
{
	bench.open--;
	http_reply(request, 200, "text/plain", "ok", 2);
}

static const struct http_upload upload = { upload_begin, upload_data, upload_end };
static const struct http_route routes[] = {
	{ "POST", "/e", echo },
	{ "GET", "/h", hold },
	{ "GET", "/s/*", stream },
	{ "PUT", "/u/*", NULL, &upload },
	{ NULL },
};

static void start(void)
{
	struct fail fail;
	if (uv_loop_init(&bench.loop) != 0)
		abort();
	for (int i = 0; i < 2; i++) {
		char *path = bench.addresses[i].sun_path;
		bench.addresses[i].sun_family = AF_UNIX;
		snprintf(path, sizeof(bench.addresses[i].sun_path), "/tmp/primad-fuzz-%d-%d.sock",
			 (int)getpid(), i);
		const int fd = listen_unix(path, "primad", &fail);
		bench.servers[i] =
			http_create(&bench.loop, fd, i ? HTTP_TRUST_LOOPBACK : HTTP_TRUST_SOCKET,
				    routes, NULL, &fail);
		if (!bench.servers[i])
			abort();
	}
}

static void stop(void)
{
	for (int i = 0; i < 2; i++) {
		http_destroy(bench.servers[i]);
		unlink(bench.addresses[i].sun_path);
	}
	uv_run(&bench.loop, UV_RUN_DEFAULT);
	uv_loop_close(&bench.loop);
}

/* Turns the loop until the server has closed, or nothing can come of waiting. */
static void drain(int fd)
{
	char bytes[65536];
	for (int turns = 0; turns < 200; turns++) {
		uv_run(&bench.loop, UV_RUN_NOWAIT);
		const ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return;
	}
}

static void play(const uint8_t *data, size_t size, const struct sockaddr_un *address)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		abort();
	for (int turns = 0; size > 0 && turns < 1000; turns++) {
		const ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
		data += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
		uv_run(&bench.loop, UV_RUN_NOWAIT);
	}
	shutdown(fd, SHUT_WR);
	drain(fd);
	close(fd);
	for (int turns = 0; turns < 20 || (bench.open && turns < 2000); turns++)
		uv_run(&bench.loop, UV_RUN_NOWAIT);
	if (bench.open != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!bench.servers[0]) {
		start();
		atexit(stop);
	}
	if (size > 0)
		play(data + 1, size - 1, &bench.addresses[data[0] & 1]);
	return 0;
}
