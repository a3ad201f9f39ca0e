/* First byte: bit 0: the rest is fed as it is; else it is a list of records {type, flags, u16 size}
 * that a peer with the right keys seals (size bytes of filling). Bits 1 and 2: kind of connection;
 * bit 3: HELLO was exchanged before. Second byte: in how large pieces the stream arrives. */
#include "proto/channel.h"
#include "proto/noise.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAM_MOST (5u << 18)

static void seal(struct noise_cipher *cipher, uint8_t type, uint8_t flags, uint16_t body,
		 struct buf *stream)
{
	if (body > RECORD_BODY_MAX)
		body = RECORD_BODY_MAX;
	buf_u16(stream, (uint16_t)(2 + body + RECORD_TAG_BYTES));
	uint8_t *at = buf_extend(stream, (size_t)2 + body + RECORD_TAG_BYTES);
	if (!at)
		abort();
	at[0] = type;
	at[1] = flags;
	memset(at + 2, type, body);
	noise_seal(cipher, NULL, 0, at, (size_t)2 + body);
}

static void compose(const uint8_t *data, size_t size, bool hello, struct buf *stream)
{
	struct noise_cipher cipher = { .key = { 1 }, .keyed = true };
	struct reader reader;
	reader_init(&reader, data, size);
	if (hello)
		seal(&cipher, MESSAGE_HELLO, 0, 10, stream);
	while (reader_left(&reader) >= 4 && stream->size < STREAM_MOST) {
		const uint8_t type = reader_u8(&reader);
		const uint8_t flags = reader_u8(&reader);
		seal(&cipher, type, flags, reader_u16(&reader), stream);
	}
}

/* Gives out what has come; false when the channel is broken. */
static bool drain(struct channel *channel, enum connection_kind kind)
{
	struct channel_message message;
	struct fail fail = { FAIL_NONE, "" };
	int result;
	while ((result = channel_next(channel, &message, &fail)) == 1) {
		size_t most = message_limit(message.type, kind, true);
		if (most == 0)
			most = message_limit(message.type, kind, false);
		if (message.size > most)
			abort();
		for (size_t i = 0; i < message.size; i++)
			if (message.body[i] != message.type)
				abort(); /* not what was sealed */
	}
	if (result < 0 && fail.text[0] == 0)
		abort();
	return result == 0;
}

static void receive(struct channel *channel, enum connection_kind kind, const struct buf *stream,
		    size_t piece)
{
	for (size_t at = 0; at < stream->size;) {
		size_t room;
		uint8_t *to = channel_space(channel, &room);
		if (!to || room == 0)
			abort();
		size_t n = stream->size - at < piece ? stream->size - at : piece;
		n = n < room ? n : room;
		memcpy(to, stream->data + at, n);
		channel_received(channel, n);
		at += n;
		if (!drain(channel, kind))
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	static const enum connection_kind kinds[] = { CONNECTION_CONTROL, CONNECTION_RING,
						      CONNECTION_TRANSFER, CONNECTION_PAIR };
	const enum connection_kind kind = kinds[data[0] >> 1 & 3];
	struct channel_keys keys = { .send = { 2 }, .receive = { 1 } };
	struct channel *channel = channel_create(&keys, kind);
	struct buf stream;
	buf_init(&stream);
	if (data[0] & 1)
		buf_append(&stream, data + 2, size - 2);
	else
		compose(data + 2, size - 2, data[0] & 8, &stream);
	receive(channel, kind, &stream, data[1] ? (size_t)data[1] * data[1] * 4 : SIZE_MAX);
	buf_finish(&stream);
	channel_destroy(channel);
	return 0;
}
