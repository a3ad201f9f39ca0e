/* serving.h: giving members what the store has, over transfer connections. Loop thread; reading runs
 * on workers. */
#ifndef DAEMON_SERVING_H
#define DAEMON_SERVING_H

#include "daemon/link.h"
#include "daemon/store.h"

struct serving;

/* `host` is borrowed for life. */
struct serving *serving_create(const struct link_host *host, struct store *store); /* gives */
/* An accepted socket of kind TRANSFER. */
void serving_accept(struct serving *serving, uv_os_sock_t socket,
		    const uint8_t preamble[PREAMBLE_BYTES]);
/* Closes all connections; what workers still read is dropped. */
void serving_stop(struct serving *serving);
/* When the loop has ended. Accepts NULL. */
void serving_destroy(struct serving *serving);
uint64_t serving_bytes(const struct serving *serving); /* given so far */

#endif
