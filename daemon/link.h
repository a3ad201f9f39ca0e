/* link.h: one authenticated connection to another device: TCP, preamble, handshake, channel, HELLO.
 *
 * A link lives on one loop and is used from that loop's thread only. It owns its socket and every
 * timer. Events come from the loop, never from within a call. After `closed` the link is gone. */
#ifndef DAEMON_LINK_H
#define DAEMON_LINK_H

#include "base/fail.h"
#include "proto/channel.h"
#include "proto/handshake.h"
#include "proto/identity.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#define LINK_SEND_BUFFER_MAX (32u << 20) /* unsent bytes; one more closes the link */

struct link;

/* What every connection of this device needs; borrowed, changed in place by the node. */
struct link_host {
	uv_loop_t *loop;
	const struct identity *identity;
	uint8_t home[HOME_ID_BYTES];
	handshake_lookup *lookup; /* accepting: who is this key */
	/* Dialling a mere address: which member answered with this preamble. False: none of ours. */
	bool (*hinted)(void *context, const uint8_t preamble[PREAMBLE_BYTES],
		       struct device_keys *keys);
	/* Statements to carry in our first message, at most HANDSHAKE_STATEMENTS_MAX; their number. */
	uint32_t (*statements)(void *context, uint8_t *bytes);
	/* A statement that removes us, sent by a member instead of a welcome; still to be verified. */
	void (*removed)(void *context, const uint8_t *statement);
	/* Fills our HELLO for a connection of this kind. */
	void (*hello)(void *context, enum connection_kind kind, struct message_hello *hello);
	void *context;
	/* Raised when those who opened or accepted connections are gone, or the identity is: what
	 * has not got through its handshake by then ends without an event. */
	uint32_t generation;
};

struct link_events {
	/* Keys agreed, both HELLOs checked. */
	void (*ready)(void *context, struct link *link, const struct message_hello *hello);
	/* A whole message. `body` is borrowed for the call. False: protocol error, the link closes. */
	bool (*message)(void *context, struct link *link, enum message_type type,
			const uint8_t *body, size_t size);
	void (*closed)(void *context, struct link *link, const struct fail *why);
};

/* Dials. `remote` are the keys of the device expected there; NULL: any member, told by its hint.
 * Gives; NULL with a reason. */
struct link *link_dial(const struct link_host *host, const struct sockaddr *address,
		       enum connection_kind kind, const struct device_keys *remote,
		       const struct link_events *events, void *context, struct fail *fail);

/* Takes an accepted socket whose 16-byte preamble (another kind than PAIR) was already read. */
struct link *link_accept(const struct link_host *host, uv_os_sock_t socket,
			 const uint8_t preamble[PREAMBLE_BYTES], const struct link_events *events,
			 void *context, struct fail *fail);

/* Encodes and queues. Closes the link itself when the peer does not read. */
void link_send(struct link *link, const struct message *message);
/* Queues a body of two parts as it is (flights, chunks). */
void link_send_raw(struct link *link, enum message_type type, const void *head, size_t head_size,
		   const void *body, size_t body_size);

/* Sends CLOSE with a reason and closes; `closed` follows unless `silent`. */
void link_close(struct link *link, const char *reason, bool silent);

enum connection_kind link_kind(const struct link *link);
bool link_outgoing(const struct link *link);
bool link_is_ready(const struct link *link);
/* The epoch in our own HELLO: both sides decide by the same two epochs. */
const struct epoch *link_told_epoch(const struct link *link);
const struct device_keys *link_peer(const struct link *link); /* set before `ready` */
void *link_context(const struct link *link);
void link_set_events(struct link *link, const struct link_events *events, void *context);
uint64_t link_bytes_sent(const struct link *link);
/* The other end's address, with the port of this connection. */
bool link_address_of_peer(const struct link *link, struct sockaddr_storage *address);
/* Its text, for logs. */
const char *link_address(const struct link *link);

/* ---- moving a ready link to another thread's loop ---- */

struct link_parts; /* socket, keys and bytes already received: belongs to no loop */
/* Takes the link apart; no event follows. NULL when memory is short (the link is closed). */
struct link_parts *link_take_apart(struct link *link);
/* Takes the parts. NULL when it cannot be put on the loop (the socket is closed). Bytes that had
 * already come are delivered from the loop's next turn. */
struct link *link_assemble(uv_loop_t *loop, struct link_parts *parts,
			   const struct link_events *events, void *context);
void link_parts_free(struct link_parts *parts); /* closes the socket; accepts NULL */

#endif
