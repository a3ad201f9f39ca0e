/* pair.h: inviting and joining: pairing runs (proto/pairing.h) over sockets. Loop thread only.
 *
 * The window: one code, DEADLINE_INVITE_MS, INVITE_ATTEMPTS guesses, closed by the first success.
 * INVITE_FAILURES_MAX failures since the last success lock inviting until the daemon restarts. Each
 * run ends within DEADLINE_PAIR_MS. Several may be under way, so that who dials and says nothing
 * keeps nobody out: of one address the newest two, and when there are too many, the oldest of the
 * address with the most gives way, but none that has spent an attempt. The first success ends the
 * others: one code admits one device. */
#ifndef DAEMON_PAIR_H
#define DAEMON_PAIR_H

#include "daemon/home.h"
#include "proto/pairing.h"
#include "proto/preamble.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#define INVITE_ATTEMPTS 3
#define INVITE_FAILURES_MAX 20
#define PAIR_RUNS_MAX 8
#define PAIR_RUNS_PER_SOURCE 2

struct pair;

struct pair_events {
	/* The window opened (label) or closed (NULL): announce it. */
	void (*window)(void *context, const char *label);
	/* A device was admitted; the roster is saved. */
	void (*admitted)(void *context, const struct device_id *id, const char *name);
};

struct pair *pair_create(uv_loop_t *loop, struct home *home, const struct pair_events *events,
			 void *context);
void pair_destroy(struct pair *pair); /* takes; accepts NULL */

/* Opens the window, or gives the code of a new one in place of an open one. */
int pair_invite(struct pair *pair, enum device_role role, char code[PAIRING_CODE_BYTES],
		struct fail *fail);
void pair_invite_close(struct pair *pair);
/* Milliseconds the window stays open; 0: closed. */
int64_t pair_invite_left_ms(const struct pair *pair);

/* An accepted socket of kind PAIR. */
void pair_accept(struct pair *pair, uv_os_sock_t socket, const uint8_t preamble[PREAMBLE_BYTES]);

/* Joins the home at this address. `done` is called once from the loop: with the welcome (borrowed),
 * or with a failure. */
typedef void pair_joined(void *context, const struct pairing_welcome *welcome,
			 const struct fail *fail);
int pair_join(struct pair *pair, const struct sockaddr *address, const char *code,
	      pair_joined *done, void *context, struct fail *fail);

#endif
