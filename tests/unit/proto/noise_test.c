/* Runs the committed vectors, both sides, through the table-driven core. */
#include "proto/noise.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MESSAGES_MAX 8
#define BYTES_MAX 256

struct bytes {
	uint8_t at[BYTES_MAX];
	size_t size;
};

struct exchange {
	struct bytes payload, cipher;
};

struct vector {
	char name[64];
	struct bytes prologue, init_static, resp_static, init_ephemeral, resp_ephemeral, psk, hash;
	int n_messages, n_transports;
	struct exchange messages[MESSAGES_MAX], transports[MESSAGES_MAX];
};

/* ---- patterns: section 7.5 of the specification ---- */

static const struct noise_pattern patterns[] = {
	{ .name = "NN", .n_messages = 2, .messages = { { NOISE_E }, { NOISE_E, NOISE_EE } } },
	{ .name = "KN", .knows_initiator = true, .n_messages = 2,
	  .messages = { { NOISE_E }, { NOISE_E, NOISE_EE, NOISE_SE } } },
	{ .name = "NK", .knows_responder = true, .n_messages = 2,
	  .messages = { { NOISE_E, NOISE_ES }, { NOISE_E, NOISE_EE } } },
	{ .name = "KK", .knows_initiator = true, .knows_responder = true, .n_messages = 2,
	  .messages = { { NOISE_E, NOISE_ES, NOISE_SS }, { NOISE_E, NOISE_EE, NOISE_SE } } },
	{ .name = "NX", .n_messages = 2,
	  .messages = { { NOISE_E }, { NOISE_E, NOISE_EE, NOISE_S, NOISE_ES } } },
	{ .name = "KX", .knows_initiator = true, .n_messages = 2,
	  .messages = { { NOISE_E }, { NOISE_E, NOISE_EE, NOISE_SE, NOISE_S, NOISE_ES } } },
	{ .name = "XN", .n_messages = 3,
	  .messages = { { NOISE_E }, { NOISE_E, NOISE_EE }, { NOISE_S, NOISE_SE } } },
	{ .name = "IN", .n_messages = 2,
	  .messages = { { NOISE_E, NOISE_S }, { NOISE_E, NOISE_EE, NOISE_SE } } },
	{ .name = "XK", .knows_responder = true, .n_messages = 3,
	  .messages = { { NOISE_E, NOISE_ES }, { NOISE_E, NOISE_EE }, { NOISE_S, NOISE_SE } } },
	{ .name = "XX", .n_messages = 3,
	  .messages = { { NOISE_E }, { NOISE_E, NOISE_EE, NOISE_S, NOISE_ES },
			{ NOISE_S, NOISE_SE } } },
	{ .name = "IX", .n_messages = 2,
	  .messages = { { NOISE_E, NOISE_S }, { NOISE_E, NOISE_EE, NOISE_SE, NOISE_S, NOISE_ES } } },
};

static void insert_psk(struct noise_pattern *pattern, int where)
{
	uint8_t *tokens = pattern->messages[where > 0 ? where - 1 : 0];
	size_t n = 0;
	while (tokens[n] != NOISE_END)
		n++;
	if (where == 0) {
		memmove(tokens + 1, tokens, n);
		tokens[0] = NOISE_PSK;
	} else {
		tokens[n] = NOISE_PSK;
	}
	pattern->has_psk = true;
}

/* The pattern of a full name; IK is the one that the daemon runs. */
static void pattern_of(const char *name, struct noise_pattern *pattern)
{
	const char *base = name + strlen("Noise_");
	*pattern = noise_ik;
	if (strncmp(base, "IK", 2) != 0) {
		size_t i = 0;
		while (strncmp(base, patterns[i].name, 2) != 0)
			assert_true(++i < sizeof(patterns) / sizeof(patterns[0]));
		*pattern = patterns[i];
	}
	pattern->name = name;
	if (strncmp(base + 2, "psk", 3) == 0)
		insert_psk(pattern, base[5] - '0');
}

/* ---- the file ---- */

static void read_hex(const char *text, struct bytes *bytes)
{
	bytes->size = 0;
	if (strcmp(text, "-") != 0)
		assert_int_equal(sodium_hex2bin(bytes->at, sizeof(bytes->at), text, strlen(text),
						NULL, &bytes->size, NULL), 0);
}

static void read_exchange(struct exchange *list, int *n, const char *first, const char *second)
{
	assert_true(*n < MESSAGES_MAX);
	read_hex(first, &list[*n].payload);
	read_hex(second, &list[*n].cipher);
	++*n;
}

static void read_line(struct vector *vector, const char *key, const char *first, const char *second)
{
	const struct {
		const char *key;
		struct bytes *to;
	} single[] = {
		{ "prologue", &vector->prologue }, { "init_static", &vector->init_static },
		{ "resp_static", &vector->resp_static }, { "psk", &vector->psk },
		{ "init_ephemeral", &vector->init_ephemeral }, { "hash", &vector->hash },
		{ "resp_ephemeral", &vector->resp_ephemeral },
	};
	if (strcmp(key, "name") == 0) {
		snprintf(vector->name, sizeof(vector->name), "%.63s", first);
		return;
	}
	if (strcmp(key, "message") == 0) {
		read_exchange(vector->messages, &vector->n_messages, first, second);
		return;
	}
	if (strcmp(key, "transport") == 0) {
		read_exchange(vector->transports, &vector->n_transports, first, second);
		return;
	}
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		if (strcmp(key, single[i].key) == 0) {
			read_hex(first, single[i].to);
			return;
		}
	}
	fail_msg("unknown key %s", key);
}

/* False at the end of the file. */
static bool read_vector(FILE *file, struct vector *vector)
{
	char line[2048], key[32], first[1024], second[1024];
	memset(vector, 0, sizeof(*vector));
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#')
			continue;
		const int n = sscanf(line, "%31s %1023s %1023s", key, first, second);
		if (n < 2 && vector->name[0])
			return true;
		if (n >= 2)
			read_line(vector, key, first, n > 2 ? second : "-");
	}
	return vector->name[0] != 0;
}

/* ---- the run ---- */

static void init_side(struct noise *noise, const struct noise_pattern *pattern,
		      const struct vector *vector, bool initiator)
{
	const struct bytes *own = initiator ? &vector->init_static : &vector->resp_static;
	const struct bytes *other = initiator ? &vector->resp_static : &vector->init_static;
	const bool knows = initiator ? pattern->knows_responder : pattern->knows_initiator;
	uint8_t remote[NOISE_KEY_BYTES];
	if (knows)
		crypto_scalarmult_base(remote, other->at);
	const struct noise_config config = {
		.pattern = pattern,
		.initiator = initiator,
		.prologue = vector->prologue.at,
		.prologue_size = vector->prologue.size,
		.s_sk = own->size ? own->at : NULL,
		.e_sk = initiator ? vector->init_ephemeral.at : vector->resp_ephemeral.at,
		.rs = knows ? remote : NULL,
		.psk = vector->psk.size ? vector->psk.at : NULL,
	};
	noise_init(noise, &config);
}

static void pass_message(struct noise *from, struct noise *to, const struct exchange *exchange)
{
	struct buf out;
	uint8_t payload[BYTES_MAX];
	buf_init(&out);
	assert_int_equal(noise_overhead(from) + exchange->payload.size, exchange->cipher.size);
	assert_int_equal(noise_write(from, exchange->payload.at, exchange->payload.size, &out,
				     NULL), 0);
	assert_int_equal(out.size, exchange->cipher.size);
	assert_memory_equal(out.data, exchange->cipher.at, out.size);
	assert_int_equal(noise_read(to, out.data, out.size, payload, NULL), 0);
	assert_memory_equal(payload, exchange->payload.at, exchange->payload.size);
	buf_finish(&out);
}

static void pass_transport(struct noise_cipher *from, struct noise_cipher *to,
			   const struct exchange *exchange)
{
	uint8_t bytes[BYTES_MAX];
	const size_t size = exchange->payload.size;
	memcpy(bytes, exchange->payload.at, size);
	noise_seal(from, NULL, 0, bytes, size);
	assert_int_equal(size + NOISE_TAG_BYTES, exchange->cipher.size);
	assert_memory_equal(bytes, exchange->cipher.at, exchange->cipher.size);
	assert_true(noise_open(to, NULL, 0, bytes, size));
	assert_memory_equal(bytes, exchange->payload.at, size);
}

static void run_vector(const struct vector *vector)
{
	struct noise_pattern pattern;
	struct noise initiator, responder;
	struct noise_cipher ciphers[2][2]; /* [initiator, responder][send, receive] */
	pattern_of(vector->name, &pattern);
	init_side(&initiator, &pattern, vector, true);
	init_side(&responder, &pattern, vector, false);
	assert_int_equal(pattern.n_messages, vector->n_messages);
	for (int i = 0; i < vector->n_messages; i++)
		pass_message(i % 2 ? &responder : &initiator, i % 2 ? &initiator : &responder,
			     &vector->messages[i]);
	assert_true(noise_done(&initiator) && noise_done(&responder));
	assert_memory_equal(initiator.h, responder.h, NOISE_HASH_BYTES);
	if (vector->hash.size)
		assert_memory_equal(initiator.h, vector->hash.at, NOISE_HASH_BYTES);
	noise_split(&initiator, &ciphers[0][0], &ciphers[0][1]);
	noise_split(&responder, &ciphers[1][0], &ciphers[1][1]);
	for (int i = 0; i < vector->n_transports; i++)
		pass_transport(&ciphers[i % 2][0], &ciphers[1 - i % 2][1], &vector->transports[i]);
	noise_finish(&initiator);
	noise_finish(&responder);
}

static void published_vectors_come_out(void **state)
{
	FILE *file = fopen(VECTORS "/noise.txt", "r");
	struct vector vector;
	int n = 0, psk = 0;
	assert_non_null(file);
	for (; read_vector(file, &vector); n++) {
		run_vector(&vector);
		psk += vector.psk.size > 0;
	}
	fclose(file);
	assert_int_equal(n, 52);
	assert_int_equal(psk, 39);
}

static void a_short_message_is_refused(void **state)
{
	static const uint8_t key[NOISE_KEY_BYTES] = { 9 };
	uint8_t bytes[256] = { 9 }, payload[256];
	for (size_t size = 0; size < 96; size++) {
		struct noise noise;
		const struct noise_config config = { .pattern = &noise_ik, .s_sk = key };
		noise_init(&noise, &config);
		assert_int_equal(noise_overhead(&noise), 96);
		assert_int_equal(noise_read(&noise, bytes, size, payload, NULL), -FAIL_INVALID);
		noise_finish(&noise);
	}
}

/* The replacement of a key, from its definition in 4.2. */
static void rekey_is_zeros_under_the_last_nonce(void **state)
{
	struct noise_cipher cipher = { .keyed = true, .counter = 5 };
	uint8_t nonce[12], expected[48], zeros[32] = { 0 };
	memset(cipher.key, 0x42, sizeof(cipher.key));
	memset(nonce, 0, 4);
	memset(nonce + 4, 0xff, 8);
	crypto_aead_chacha20poly1305_ietf_encrypt(expected, NULL, zeros, sizeof(zeros), NULL, 0,
						  NULL, nonce, cipher.key);
	noise_rekey(&cipher);
	assert_memory_equal(cipher.key, expected, NOISE_KEY_BYTES);
	assert_int_equal(cipher.counter, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_come_out),
		cmocka_unit_test(a_short_message_is_refused),
		cmocka_unit_test(rekey_is_zeros_under_the_last_nonce),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
