/* door.h: the one listening port: takes connections, reads the preamble, and gives them on by kind.
 *
 * Strangers are cheap here: at most DOOR_HALF_OPEN_MAX sockets wait for a preamble, few of them from
 * one address, each for DEADLINE_FIRST_BYTE_MS, and none gets an answer from this file. */
#ifndef DAEMON_DOOR_H
#define DAEMON_DOOR_H

#include "base/fail.h"
#include "proto/preamble.h"

#include <stdint.h>
#include <uv.h>

#define DOOR_HALF_OPEN_MAX 16
#define DOOR_PER_SOURCE_MAX 8

struct door;

/* A connection whose preamble is well formed (of any wire major we can answer). Takes the socket,
 * which belongs to no loop. */
typedef void door_arrived(void *context, uv_os_sock_t socket, enum connection_kind kind,
			  const uint8_t preamble[PREAMBLE_BYTES]);

/* Listens on `listen` ("ADDR:PORT"), or, when it is "", on all addresses: on `remembered` (if not
 * 0), else the default port, else any free one. Gives. */
struct door *door_open(uv_loop_t *loop, const char *listen, uint16_t remembered,
		       door_arrived *arrived, void *context, struct fail *fail);
uint16_t door_port(const struct door *door);
/* Takes; frees itself from the loop. Accepts NULL. */
void door_close(struct door *door);

#endif
