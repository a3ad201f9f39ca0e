/* Payload of message 1: u8 number of statements, 3 zeros, the statements, zeros. Of message 2: u8
 * notice (0 welcome, 1 removed), 3 zeros, the REMOVE statement or zeros. Fixed sizes, so that an
 * observer sees no difference. The range of minor versions follows in HELLO, under the new keys. */
#include "proto/handshake.h"

#include "proto/noise.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 4
#define FIRST_OVERHEAD (2 * NOISE_KEY_BYTES + 2 * NOISE_TAG_BYTES)
#define FIRST_PAYLOAD (HANDSHAKE_FIRST_BYTES - FIRST_OVERHEAD)
#define SECOND_OVERHEAD (NOISE_KEY_BYTES + NOISE_TAG_BYTES)
#define SECOND_PAYLOAD (HANDSHAKE_SECOND_BYTES - SECOND_OVERHEAD)

_Static_assert(FIRST_PAYLOAD >= HEAD_BYTES + HANDSHAKE_STATEMENTS_MAX * STATEMENT_BYTES, "room");
_Static_assert(SECOND_PAYLOAD >= HEAD_BYTES + STATEMENT_BYTES, "room");

static const char prologue_head[] = "primad/1";
#define PROLOGUE_BYTES (sizeof(prologue_head) - 1 + HOME_ID_BYTES + 2 * PREAMBLE_BYTES)

struct handshake {
	const struct identity *self;
	uint8_t prologue[PROLOGUE_BYTES];
	struct noise noise;
	struct device_keys peer;
	struct channel_keys keys;
	bool done;
	bool noticed;
	uint8_t notice[STATEMENT_BYTES];
};

struct handshake *handshake_create(const struct identity *self, const uint8_t home[HOME_ID_BYTES],
				   const uint8_t dialler[PREAMBLE_BYTES],
				   const uint8_t accepter[PREAMBLE_BYTES])
{
	struct handshake *handshake = calloc(1, sizeof(*handshake));
	if (!handshake)
		return NULL;
	uint8_t *at = handshake->prologue;
	memcpy(at, prologue_head, sizeof(prologue_head) - 1);
	at += sizeof(prologue_head) - 1;
	memcpy(at, home, HOME_ID_BYTES);
	memcpy(at + HOME_ID_BYTES, dialler, PREAMBLE_BYTES);
	memcpy(at + HOME_ID_BYTES + PREAMBLE_BYTES, accepter, PREAMBLE_BYTES);
	handshake->self = self;
	return handshake;
}

void handshake_destroy(struct handshake *handshake)
{
	if (!handshake)
		return;
	noise_finish(&handshake->noise);
	sodium_memzero(handshake, sizeof(*handshake));
	free(handshake);
}

static void begin(struct handshake *handshake, bool dialler, const uint8_t *remote)
{
	const struct noise_config config = {
		.pattern = &noise_ik,
		.initiator = dialler,
		.prologue = handshake->prologue,
		.prologue_size = PROLOGUE_BYTES,
		.s_sk = handshake->self->x_sk,
		.rs = remote,
	};
	noise_init(&handshake->noise, &config);
}

static void keep_keys(struct handshake *handshake)
{
	struct noise_cipher send, receive;
	noise_split(&handshake->noise, &send, &receive);
	memcpy(handshake->keys.send, send.key, KEY_BYTES);
	memcpy(handshake->keys.receive, receive.key, KEY_BYTES);
	memcpy(handshake->keys.hash, handshake->noise.h, sizeof(handshake->keys.hash));
	handshake->done = true;
	noise_finish(&handshake->noise);
	sodium_memzero(&send, sizeof(send));
	sodium_memzero(&receive, sizeof(receive));
}

int handshake_start(struct handshake *handshake, const struct device_keys *peer,
		    const uint8_t *statements, uint32_t n_statements, struct buf *out,
		    struct fail *fail)
{
	uint8_t payload[FIRST_PAYLOAD] = { 0 };
	assert(n_statements <= HANDSHAKE_STATEMENTS_MAX);
	payload[0] = (uint8_t)n_statements;
	if (n_statements > 0)
		memcpy(payload + HEAD_BYTES, statements, (size_t)n_statements * STATEMENT_BYTES);
	handshake->peer = *peer;
	begin(handshake, true, peer->x_pk);
	return noise_write(&handshake->noise, payload, sizeof(payload), out, fail);
}

static int send_second(struct handshake *handshake, bool removed, struct buf *out,
		       struct fail *fail)
{
	uint8_t payload[SECOND_PAYLOAD] = { 0 };
	payload[0] = removed;
	if (removed)
		memcpy(payload + HEAD_BYTES, handshake->notice, STATEMENT_BYTES);
	return noise_write(&handshake->noise, payload, sizeof(payload), out, fail);
}

int handshake_answer(struct handshake *handshake, const uint8_t message[HANDSHAKE_FIRST_BYTES],
		     handshake_lookup *lookup, void *context, struct buf *out, struct fail *fail)
{
	uint8_t payload[FIRST_PAYLOAD];
	begin(handshake, false, NULL);
	int result = noise_read(&handshake->noise, message, HANDSHAKE_FIRST_BYTES, payload, fail);
	if (result < 0)
		return result;
	if (payload[0] > HANDSHAKE_STATEMENTS_MAX)
		return fail_set(fail, FAIL_INVALID, "a handshake carries too many statements");
	const enum handshake_verdict verdict =
		lookup(context, handshake->noise.rs, payload + HEAD_BYTES, payload[0],
		       &handshake->peer, handshake->notice);
	if (verdict == HANDSHAKE_STRANGER)
		return fail_set(fail, FAIL_DENIED, "a device that is not of this home called");
	result = send_second(handshake, verdict == HANDSHAKE_REMOVED, out, fail);
	if (result < 0)
		return result;
	if (verdict == HANDSHAKE_REMOVED)
		return fail_set(fail, FAIL_DENIED, "a device removed from this home called");
	keep_keys(handshake);
	return 0;
}

int handshake_end(struct handshake *handshake, const uint8_t message[HANDSHAKE_SECOND_BYTES],
		  struct fail *fail)
{
	uint8_t payload[SECOND_PAYLOAD];
	const int result =
		noise_read(&handshake->noise, message, HANDSHAKE_SECOND_BYTES, payload, fail);
	if (result < 0)
		return result;
	if (payload[0] == 1) {
		memcpy(handshake->notice, payload + HEAD_BYTES, STATEMENT_BYTES);
		handshake->noticed = true;
		return fail_set(fail, FAIL_DENIED,
				"the other device says that this one was removed from the home");
	}
	if (payload[0] != 0)
		return fail_set(fail, FAIL_INVALID, "the other device's answer is malformed");
	keep_keys(handshake);
	return 0;
}

const uint8_t *handshake_notice(const struct handshake *handshake)
{
	return handshake->noticed ? handshake->notice : NULL;
}

const struct device_keys *handshake_peer(const struct handshake *handshake)
{
	return &handshake->peer;
}

void handshake_keys(const struct handshake *handshake, struct channel_keys *keys)
{
	assert(handshake->done);
	*keys = handshake->keys;
}
