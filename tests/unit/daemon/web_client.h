/* web_client.h: a client of the server under test, in the same thread: every wait turns the loop. */
#ifndef TESTS_WEB_CLIENT_H
#define TESTS_WEB_CLIENT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct web_client {
	uv_loop_t *loop;
	int fd;
	struct buf got; /* everything received, always with a terminator behind */
	bool closed;    /* the server closed */
};

void web_client_init(struct web_client *client, uv_loop_t *loop, const char *path);
void web_client_finish(struct web_client *client);
void web_client_send(struct web_client *client, const void *bytes, size_t size);
void web_client_text(struct web_client *client, const char *text);
/* Turns the loop until `needle` was received; fails the test after a generous time. */
void web_client_expect(struct web_client *client, const char *needle);
/* Turns the loop until the server closes. */
void web_client_expect_closed(struct web_client *client);
/* Turns the loop until *flag. */
void web_client_until(uv_loop_t *loop, const bool *flag);
const char *web_client_got(const struct web_client *client);

#endif
