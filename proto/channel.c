/* Receiving half: `in` holds, from the front, what the last message left behind, then the body of
 * the message being put together [start, start + size), then bytes as they came [raw, in.size). A
 * record is opened where it lies; the body of a second record of a message is moved down to the
 * first. */
#include "proto/channel.h"

#include "proto/noise.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES (RECORD_HEAD_BYTES + 2) /* length, type, flags */
#define SEALED_MIN (2 + RECORD_TAG_BYTES)
#define SPACE_MIN 65536 /* least room offered for receiving */
#define COUNTER_MOST (1ull << 48)

struct sealer {
	struct noise_cipher cipher;
	bool closed;
};

struct opener {
	struct noise_cipher cipher;
	struct buf in;
	size_t start, size, raw;
	uint8_t type;  /* of the message being put together */
	bool partial;  /* a record with RECORD_MORE was the last */
	bool hello_done;
	bool closed;
	bool broken;
};

struct channel {
	enum connection_kind kind;
	size_t flight_most; /* 0: the general limit */
	struct sealer sealer;
	struct opener opener;
};

struct channel *channel_create(struct channel_keys *keys, enum connection_kind kind)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	if (channel) {
		channel->kind = kind;
		memcpy(channel->sealer.cipher.key, keys->send, KEY_BYTES);
		memcpy(channel->opener.cipher.key, keys->receive, KEY_BYTES);
		channel->sealer.cipher.keyed = true;
		channel->opener.cipher.keyed = true;
		buf_init(&channel->opener.in);
	}
	sodium_memzero(keys, sizeof(*keys));
	return channel;
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	if (channel->opener.in.data) /* prompts and answers passed through it */
		sodium_memzero(channel->opener.in.data, channel->opener.in.capacity);
	buf_finish(&channel->opener.in);
	sodium_memzero(channel, sizeof(*channel));
	free(channel);
}

void channel_limit_flights(struct channel *channel, size_t bytes)
{
	channel->flight_most = bytes;
}

/* One record used the cipher: replace its key in time. */
static void count_record(struct noise_cipher *cipher)
{
	if (cipher->counter % RECORDS_PER_KEY == 0)
		noise_rekey(cipher);
}

/* ---- sealing ---- */

struct parts { /* head then body, taken piece by piece */
	const uint8_t *head;
	size_t head_size;
	const uint8_t *body;
	size_t body_size;
};

static void take_part(const uint8_t **from, size_t *left, uint8_t **to, size_t *room)
{
	const size_t n = *left < *room ? *left : *room;
	if (n == 0)
		return;
	memcpy(*to, *from, n);
	*from += n;
	*left -= n;
	*to += n;
	*room -= n;
}

/* Seals the next record straight in the output; gives the place after it. */
static uint8_t *seal_record(struct noise_cipher *cipher, enum message_type type,
			    struct parts *parts, uint8_t *at)
{
	const size_t left = parts->head_size + parts->body_size;
	const size_t size = left < RECORD_BODY_MAX ? left : RECORD_BODY_MAX;
	uint8_t *sealed = at + RECORD_HEAD_BYTES;
	uint8_t *to = at + HEAD_BYTES;
	size_t room = size;
	store_u16le(at, (uint16_t)(2 + size + RECORD_TAG_BYTES));
	sealed[0] = (uint8_t)type;
	sealed[1] = left > size ? RECORD_MORE : 0;
	take_part(&parts->head, &parts->head_size, &to, &room);
	take_part(&parts->body, &parts->body_size, &to, &room);
	noise_seal(cipher, NULL, 0, sealed, 2 + size);
	count_record(cipher);
	return to + RECORD_TAG_BYTES;
}

int channel_seal(struct channel *channel, enum message_type type, const void *head,
		 size_t head_size, const void *body, size_t body_size, struct buf *out,
		 struct fail *fail)
{
	struct sealer *sealer = &channel->sealer;
	struct parts parts = { head, head_size, body, body_size };
	if (sealer->closed || body_size > SIZE_MAX / 4 || head_size > SIZE_MAX / 4)
		return fail_set(fail, FAIL_CANCELLED, "the connection is being closed");
	const size_t size = head_size + body_size;
	const size_t n = size ? (size + RECORD_BODY_MAX - 1) / RECORD_BODY_MAX : 1;
	if (sealer->cipher.counter + n >= COUNTER_MOST)
		return fail_set(fail, FAIL_UNSUPPORTED, "the connection has served its time");
	uint8_t *at = buf_extend(out, size + n * (HEAD_BYTES + RECORD_TAG_BYTES));
	if (!at)
		return fail_set(fail, FAIL_MEMORY, "no memory to send a message");
	for (size_t i = 0; i < n; i++)
		at = seal_record(&sealer->cipher, type, &parts, at);
	sealer->closed = type == MESSAGE_CLOSE;
	return 0;
}

int channel_seal_message(struct channel *channel, const struct message *message, struct buf *out,
			 struct fail *fail)
{
	struct buf body;
	buf_init(&body);
	message_encode(message, &body);
	int result;
	if (body.failed)
		result = fail_set(fail, FAIL_MEMORY, "no memory to send a message");
	else
		result = channel_seal(channel, message->type, NULL, 0, body.data, body.size, out,
				      fail);
	if (body.data)
		sodium_memzero(body.data, body.size);
	buf_finish(&body);
	return result;
}

/* ---- opening ---- */

/* Moves what is still needed to the front, so that the buffer grows with one message at most. */
static void compact(struct opener *opener)
{
	const size_t keep = opener->partial ? opener->start : opener->raw;
	if (keep == 0)
		return;
	buf_consume(&opener->in, keep);
	opener->start = 0;
	opener->raw -= keep;
}

/* Bytes that the record at `raw` still lacks; 0 when it is whole. */
static size_t record_lacks(const struct opener *opener)
{
	const size_t have = opener->in.size - opener->raw;
	if (have < RECORD_HEAD_BYTES)
		return RECORD_HEAD_BYTES - have;
	const size_t whole =
		RECORD_HEAD_BYTES + (size_t)load_u16le(opener->in.data + opener->raw);
	return have < whole ? whole - have : 0;
}

uint8_t *channel_space(struct channel *channel, size_t *size)
{
	struct opener *opener = &channel->opener;
	compact(opener);
	const size_t lacks = record_lacks(opener);
	const size_t least = lacks > SPACE_MIN ? lacks : SPACE_MIN;
	*size = 0;
	if (!buf_reserve(&opener->in, least))
		return NULL;
	*size = opener->in.capacity - opener->in.size;
	return opener->in.data + opener->in.size;
}

void channel_received(struct channel *channel, size_t size)
{
	struct buf *in = &channel->opener.in;
	assert(size <= in->capacity - in->size);
	in->size += size;
}

int channel_feed(struct channel *channel, const void *bytes, size_t size, struct fail *fail)
{
	compact(&channel->opener);
	buf_append(&channel->opener.in, bytes, size);
	if (channel->opener.in.failed)
		return fail_set(fail, FAIL_MEMORY, "no memory to receive a message");
	return 0;
}

static size_t limit_of(const struct channel *channel, enum message_type type)
{
	const size_t most = message_limit(type, channel->kind, channel->opener.hello_done);
	const size_t flights = channel->flight_most;
	return type == MESSAGE_FLIGHT && flights > 0 && flights < most ? flights : most;
}

static bool allowed(const struct channel *channel, enum message_type type)
{
	return message_limit(type, channel->kind, channel->opener.hello_done) > 0;
}

/* Holds an opened record against type and size; the message grows by `body` bytes. */
static int check_record(const struct channel *channel, uint8_t type, uint8_t flags, size_t body,
			struct fail *fail)
{
	const struct opener *opener = &channel->opener;
	if (flags & ~RECORD_MORE || (opener->partial && type != opener->type) ||
	    (flags == RECORD_MORE && body != RECORD_BODY_MAX))
		return fail_set(fail, FAIL_INVALID, "the other device sent a malformed record");
	if (!allowed(channel, type))
		return fail_set(fail, FAIL_INVALID,
				"the other device sent a %s message where none is allowed",
				message_name(type));
	const size_t most = limit_of(channel, type);
	const size_t before = opener->partial ? opener->size : 0;
	if (body > most || before > most - body)
		return fail_set(fail, FAIL_INVALID,
				"the other device sent a %s message of more than %zu bytes",
				message_name(type), most);
	return 0;
}

static void join_record(struct opener *opener, uint8_t type, uint8_t flags, size_t at, size_t body)
{
	uint8_t *data = opener->in.data;
	if (!opener->partial) {
		opener->start = at;
		opener->size = 0;
	} else if (body > 0) {
		memmove(data + opener->start + opener->size, data + at, body);
	}
	opener->size += body;
	opener->type = type;
	opener->partial = flags & RECORD_MORE;
}

static int open_record(struct channel *channel, struct fail *fail)
{
	struct opener *opener = &channel->opener;
	uint8_t *record = opener->in.data + opener->raw;
	const size_t sealed = load_u16le(record);
	uint8_t *plain = record + RECORD_HEAD_BYTES;
	if (opener->cipher.counter >= COUNTER_MOST)
		return fail_set(fail, FAIL_UNSUPPORTED, "the connection has served its time");
	if (!noise_open(&opener->cipher, NULL, 0, plain, sealed - RECORD_TAG_BYTES))
		return fail_set(fail, FAIL_CORRUPT, "a record was damaged or forged on its way");
	count_record(&opener->cipher);
	const size_t body = sealed - SEALED_MIN;
	const int result = check_record(channel, plain[0], plain[1], body, fail);
	if (result < 0)
		return result;
	join_record(opener, plain[0], plain[1], opener->raw + HEAD_BYTES, body);
	opener->raw += RECORD_HEAD_BYTES + sealed;
	return 0;
}

static void give(struct opener *opener, struct channel_message *message)
{
	message->type = opener->type;
	message->body = opener->in.data + opener->start;
	message->size = opener->size;
	opener->hello_done |= opener->type == MESSAGE_HELLO;
	opener->closed |= opener->type == MESSAGE_CLOSE;
}

/* A length that no record can have is refused before its bytes are waited for. */
static bool length_is_bad(const struct opener *opener)
{
	return opener->in.size - opener->raw >= RECORD_HEAD_BYTES &&
	       load_u16le(opener->in.data + opener->raw) < SEALED_MIN;
}

static int next_message(struct channel *channel, struct channel_message *message, struct fail *fail)
{
	struct opener *opener = &channel->opener;
	while (opener->in.size > opener->raw) {
		if (opener->closed)
			return fail_set(fail, FAIL_INVALID, "bytes came after the closing message");
		if (length_is_bad(opener))
			return fail_set(fail, FAIL_INVALID,
					"the other device sent a malformed record");
		if (record_lacks(opener) > 0)
			return 0;
		const int result = open_record(channel, fail);
		if (result < 0)
			return result;
		if (!opener->partial) {
			give(opener, message);
			return 1;
		}
	}
	return 0;
}

int channel_next(struct channel *channel, struct channel_message *message, struct fail *fail)
{
	struct opener *opener = &channel->opener;
	if (opener->broken)
		return fail_set(fail, FAIL_CORRUPT, "the connection has failed before");
	const int result = next_message(channel, message, fail);
	opener->broken = result < 0;
	return result;
}

bool channel_closed(const struct channel *channel)
{
	return channel->opener.closed;
}
