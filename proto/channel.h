/* channel.h: messages sealed into records, and back. Pure: bytes in, bytes out.
 *
 * Record: u16 little-endian length of what follows (18 to 65535), then ChaCha20-Poly1305 of
 * type(1) flags(1) body. The nonce is a counter per direction that never travels; after every
 * 65,536 records the direction's key is replaced (Noise REKEY). A message is one record or more of
 * one type, all but the last full and with RECORD_MORE; its size is held against message_limit
 * before it is buffered. The last message of a direction is MESSAGE_CLOSE: an end without it is a
 * cut, see channel_closed.
 *
 * The first message each way must be HELLO. Any failure is final: the connection has to be dropped.
 *
 * The sealing and the opening half share nothing, so one thread may seal while another opens; each
 * half belongs to one thread at a time. */
#ifndef PROTO_CHANNEL_H
#define PROTO_CHANNEL_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/handshake.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEAD_BYTES 2
#define RECORD_TAG_BYTES 16
#define RECORD_BODY_MAX 65517 /* 65535 - tag - type - flags */
#define RECORD_MORE 1u        /* flag: the message goes on in the next record */
#define RECORDS_PER_KEY 65536u

struct channel;

/* A message that arrived. `body` is a view into the channel's buffer; it lives until the next call
 * of channel_space, channel_feed or channel_next. */
struct channel_message {
	enum message_type type;
	const uint8_t *body;
	size_t size;
};

/* Takes over the keys (wipes `keys`). Gives; NULL when memory is short. */
struct channel *channel_create(struct channel_keys *keys, enum connection_kind kind);
void channel_destroy(struct channel *channel); /* takes; wipes; accepts NULL */

/* Ring: the plan's largest flight instead of the general limit (flight_bytes of a full one). */
void channel_limit_flights(struct channel *channel, size_t bytes);

/* Appends the message, sealed, to `out`. Its body is `head` followed by `body` (either may be
 * empty), so that a flight's states need not be copied behind its header first. */
int channel_seal(struct channel *channel, enum message_type type, const void *head,
		 size_t head_size, const void *body, size_t body_size, struct buf *out,
		 struct fail *fail);

/* As channel_seal, for a message of messages.h. Not for MESSAGE_FLIGHT. */
int channel_seal_message(struct channel *channel, const struct message *message, struct buf *out,
			 struct fail *fail);

/* Room to receive into, at least one byte, `*size` of them; NULL when memory is short. Then say how
 * many were filled in. Invalidates the last message's view. */
uint8_t *channel_space(struct channel *channel, size_t *size);
void channel_received(struct channel *channel, size_t size);

/* The same by copying: for bytes that were read together with the handshake. */
int channel_feed(struct channel *channel, const void *bytes, size_t size, struct fail *fail);

/* 1: a message, in `message`. 0: more bytes are needed. Negative: drop the connection. Call until
 * 0. */
int channel_next(struct channel *channel, struct channel_message *message, struct fail *fail);

/* True once the peer's MESSAGE_CLOSE was given out: now an end of the stream is a clean one. */
bool channel_closed(const struct channel *channel);

#endif
