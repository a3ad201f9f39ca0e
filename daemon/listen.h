/* listen.h: the local sockets: api.sock and control.sock in the run directory, and loopback TCP.
 * Descriptors come back listening, close-on-exec and non-blocking. */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

#include "base/fail.h"

#include <stdint.h>

/* A Unix socket of mode 0660 from its first moment, given to `group` where that exists and this
 * user may. A file left behind by a daemon that is gone is replaced; a live one is refused
 * (FAIL_BUSY), and so is anything that is not a socket. Gives the descriptor. */
int listen_unix(const char *path, const char *group, struct fail *fail);

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080"; other hosts are refused (FAIL_DENIED): the
 * address must be one that only this machine can reach. Gives the descriptor. */
int listen_loopback(const char *address, struct fail *fail);

/* The descriptor that a service manager opened for us under this name (LISTEN_FDS), or -1. */
int listen_inherited(const char *name);

#endif
