#include "web_client.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

void web_client_init(struct web_client *client, uv_loop_t *loop, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strcpy(address.sun_path, path);
	client->loop = loop;
	client->closed = false;
	buf_init(&client->got);
	client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
}

void web_client_finish(struct web_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	buf_finish(&client->got);
}

static void turn(uv_loop_t *loop)
{
	if (!uv_run(loop, UV_RUN_NOWAIT))
		usleep(500);
	usleep(200);
}

static void receive(struct web_client *client)
{
	char bytes[65536];
	const ssize_t n = recv(client->fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		buf_append(&client->got, bytes, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client->closed = true;
}

const char *web_client_got(const struct web_client *client)
{
	struct buf *got = (struct buf *)(uintptr_t)&client->got;
	buf_u8(got, 0);
	got->size--;
	return (const char *)got->data;
}

void web_client_send(struct web_client *client, const void *bytes, size_t size)
{
	const int64_t end_ms = clock_ms() + PATIENCE_MS;
	const char *at = bytes;
	while (size > 0 && clock_ms() < end_ms) {
		const ssize_t n = send(client->fd, at, size, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return; /* the server closed: what it said is in the socket */
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
		turn(client->loop);
	}
	assert_int_equal(size, 0);
}

void web_client_text(struct web_client *client, const char *text)
{
	web_client_send(client, text, strlen(text));
}

void web_client_expect(struct web_client *client, const char *needle)
{
	const int64_t end_ms = clock_ms() + PATIENCE_MS;
	while (clock_ms() < end_ms) {
		receive(client);
		if (strstr(web_client_got(client), needle))
			return;
		turn(client->loop);
	}
	fail_msg("no \"%s\" in: %.600s", needle, web_client_got(client));
}

void web_client_expect_closed(struct web_client *client)
{
	const int64_t end_ms = clock_ms() + PATIENCE_MS;
	while (!client->closed && clock_ms() < end_ms) {
		receive(client);
		turn(client->loop);
	}
	assert_true(client->closed);
}

void web_client_until(uv_loop_t *loop, const bool *flag)
{
	const int64_t end_ms = clock_ms() + PATIENCE_MS;
	while (!*flag && clock_ms() < end_ms)
		turn(loop);
	assert_true(*flag);
}
