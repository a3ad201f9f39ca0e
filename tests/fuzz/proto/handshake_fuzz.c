/* First byte: where the rest goes. 0: to an accepter as it is; 1: to an accepter as the payload
 * that a member sealed; 2 and 3: likewise to a dialler. */
#include "proto/handshake.h"
#include "proto/noise.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIRST_PAYLOAD (HANDSHAKE_FIRST_BYTES - 96)
#define SECOND_PAYLOAD (HANDSHAKE_SECOND_BYTES - 48)

static struct identity *dialler, *accepter;
static uint8_t home[HOME_ID_BYTES], says[PREAMBLE_BYTES];

static enum handshake_verdict lookup(void *context, const uint8_t x_pk[KEY_BYTES],
				     const uint8_t *statements, uint32_t n_statements,
				     struct device_keys *peer, uint8_t notice[STATEMENT_BYTES])
{
	if (memcmp(x_pk, dialler->keys.x_pk, KEY_BYTES) != 0)
		abort(); /* nobody else has the key to get this far */
	if (n_statements > HANDSHAKE_STATEMENTS_MAX)
		abort();
	struct statement statement;
	for (uint32_t i = 0; i < n_statements; i++)
		statement_decode(&statement, statements + i * STATEMENT_BYTES, NULL);
	*peer = dialler->keys;
	memset(notice, 1, STATEMENT_BYTES);
	return n_statements % 2 ? HANDSHAKE_REMOVED : HANDSHAKE_MEMBER;
}

static void begin(struct noise *noise, bool initiator)
{
	uint8_t prologue[8 + HOME_ID_BYTES + 2 * PREAMBLE_BYTES] = "primad/1";
	memcpy(prologue + 8, home, HOME_ID_BYTES);
	memcpy(prologue + 8 + HOME_ID_BYTES, says, PREAMBLE_BYTES);
	memcpy(prologue + 8 + HOME_ID_BYTES + PREAMBLE_BYTES, says, PREAMBLE_BYTES);
	const struct noise_config config = {
		.pattern = &noise_ik,
		.initiator = initiator,
		.prologue = prologue,
		.prologue_size = sizeof(prologue),
		.s_sk = initiator ? dialler->x_sk : accepter->x_sk,
		.rs = initiator ? accepter->keys.x_pk : NULL,
	};
	noise_init(noise, &config);
}

static void to_accepter(const uint8_t *data, size_t size, bool sealed)
{
	struct handshake *handshake = handshake_create(accepter, home, says, says);
	uint8_t message[HANDSHAKE_FIRST_BYTES] = { 0 };
	struct buf first, answer;
	struct fail fail;
	buf_init(&first);
	buf_init(&answer);
	memcpy(message, data, size < sizeof(message) ? size : sizeof(message));
	if (sealed) {
		struct noise noise;
		begin(&noise, true);
		noise_write(&noise, message, FIRST_PAYLOAD, &first, NULL);
		memcpy(message, first.data, sizeof(message));
	}
	const int result = handshake_answer(handshake, message, lookup, NULL, &answer, &fail);
	if (!sealed && (result >= 0 || answer.size > 0))
		abort();
	if (answer.size != 0 && answer.size != HANDSHAKE_SECOND_BYTES)
		abort();
	buf_finish(&first);
	buf_finish(&answer);
	handshake_destroy(handshake);
}

static void to_dialler(const uint8_t *data, size_t size, bool sealed)
{
	struct handshake *handshake = handshake_create(dialler, home, says, says);
	uint8_t message[HANDSHAKE_SECOND_BYTES] = { 0 }, payload[FIRST_PAYLOAD];
	struct buf first, second;
	struct fail fail;
	buf_init(&first);
	buf_init(&second);
	memcpy(message, data, size < sizeof(message) ? size : sizeof(message));
	handshake_start(handshake, &accepter->keys, NULL, 0, &first, NULL);
	if (sealed) {
		struct noise noise;
		begin(&noise, false);
		if (noise_read(&noise, first.data, first.size, payload, NULL) < 0)
			abort();
		noise_write(&noise, message, SECOND_PAYLOAD, &second, NULL);
		memcpy(message, second.data, sizeof(message));
	}
	const int result = handshake_end(handshake, message, &fail);
	if (!sealed && (result >= 0 || handshake_notice(handshake)))
		abort();
	buf_finish(&first);
	buf_finish(&second);
	handshake_destroy(handshake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!dialler) {
		uint8_t seed[KEY_BYTES] = { 1 };
		dialler = identity_from_seed(seed, NULL);
		seed[0] = 2;
		accepter = identity_from_seed(seed, NULL);
	}
	if (size == 0)
		return 0;
	if (data[0] & 2)
		to_dialler(data + 1, size - 1, data[0] & 1);
	else
		to_accepter(data + 1, size - 1, data[0] & 1);
	return 0;
}
