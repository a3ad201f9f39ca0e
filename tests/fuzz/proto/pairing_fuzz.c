/* First byte: 0: the rest are messages to a member; 1: to a joiner; 2: a whole run in which the
 * joiner's name is the next 64 bytes and the rest are the statements of the member's welcome. */
#include "proto/pairing.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity *self[2];
static const uint8_t says[PREAMBLE_BYTES];
static const char code[PAIRING_CODE_BYTES] = "482913";

static bool attempt(void *context, char out[PAIRING_CODE_BYTES])
{
	memcpy(out, code, sizeof(code));
	return true;
}

/* Messages as they are: without the code nothing may come of it. */
static void feed(struct pairing *pairing, const uint8_t *data, size_t size)
{
	struct buf out;
	struct fail fail;
	buf_init(&out);
	for (;;) {
		const size_t wants = pairing_wants(pairing);
		if (wants == 0 || wants > size)
			break;
		const int result = pairing_step(pairing, data, &out, &fail);
		if (result == PAIRING_MET || result == PAIRING_DONE)
			abort();
		data += wants;
		size -= wants;
	}
	buf_finish(&out);
}

static int pass(struct pairing *to, struct buf *queue, struct buf *out)
{
	const size_t wants = pairing_wants(to);
	if (wants == 0 || queue->size < wants)
		return -1;
	const int result = pairing_step(to, queue->data, out, NULL);
	buf_consume(queue, wants);
	return result;
}

static void run(const uint8_t *data, size_t size)
{
	struct buf to_joiner, to_member;
	char name[DEVICE_NAME_BYTES] = { 0 };
	struct reader reader;
	reader_init(&reader, data, size);
	reader_copy(&reader, name, DEVICE_NAME_BYTES - 1);
	const uint32_t n = (uint32_t)(reader_left(&reader) / STATEMENT_BYTES);
	buf_init(&to_joiner);
	buf_init(&to_member);
	struct pairing *member = pairing_create_member(self[0], "home", says, says, attempt, NULL,
						       &to_joiner, NULL);
	struct pairing *joiner = pairing_create_joiner(self[1], name, code, says, says, NULL);
	int result = PAIRING_GOES_ON;
	for (int i = 0; i < 8 && result != PAIRING_DONE; i++) {
		result = pass(joiner, &to_joiner, &to_member);
		if (pass(member, &to_member, &to_joiner) == PAIRING_MET && n > 0 &&
		    n <= ROSTER_STATEMENTS_MAX) {
			const uint8_t home[HOME_ID_BYTES] = { 1 };
			pairing_admit(member, home, reader.next, n, &to_joiner, NULL);
		}
	}
	pairing_destroy(member);
	pairing_destroy(joiner);
	buf_finish(&to_joiner);
	buf_finish(&to_member);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (uint8_t i = 0; i < 2 && !self[i]; i++) {
		const uint8_t seed[KEY_BYTES] = { (uint8_t)(i + 1) };
		self[i] = identity_from_seed(seed, NULL);
	}
	if (size == 0 || data[0] > 2)
		return 0;
	if (data[0] == 2) {
		run(data + 1, size - 1);
		return 0;
	}
	struct buf m0;
	buf_init(&m0);
	struct pairing *pairing;
	if (data[0] == 0)
		pairing = pairing_create_member(self[0], "home", says, says, attempt, NULL, &m0,
						NULL);
	else
		pairing = pairing_create_joiner(self[1], "pi", code, says, says, NULL);
	feed(pairing, data + 1, size - 1);
	pairing_destroy(pairing);
	buf_finish(&m0);
	return 0;
}
