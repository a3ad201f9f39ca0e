/* Frozen wire bytes: what this version sends must stay what it was. A change that is meant needs a
 * new minor version and new vectors: `proto_messages_test --print > tests/vectors/messages.txt`. */
#include "proto/messages.h"

#include "tests/unit/proto/home.h"
#include "tests/unit/proto/samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OTHERS 5 /* beside messages: statement, profile, facts, plan, flight */

static struct message sample, decoded;

static void encode_other(int which, const char **name, struct buf *out)
{
	static const char *const names[OTHERS] = { "part:statement", "part:profile", "part:facts",
						   "part:plan", "part:flight" };
	static struct profile profile;
	static struct model_facts facts;
	static struct plan plan;
	static struct flight flight;
	struct statement statement;
	*name = names[which];
	switch (which) {
	case 0:
		sample_statement(&statement);
		statement_encode(&statement, buf_extend(out, STATEMENT_BYTES));
		break;
	case 1: sample_profile(&profile); profile_encode(&profile, out); break;
	case 2: sample_facts(&facts); facts_encode(&facts, out); break;
	case 3: sample_plan(&plan); plan_encode(&plan, out); break;
	default: sample_flight(&flight); flight_encode(&flight, sample_states, out);
	}
}

/* Calls `each` for everything that has a frozen form. */
static void for_all(void (*each)(const char *name, const struct buf *bytes, void *context),
		    void *context)
{
	struct buf out;
	const char *name;
	buf_init(&out);
	for (int type = MESSAGE_HELLO; type < MESSAGE_FLIGHT; type++) {
		buf_clear(&out);
		sample_message(&sample, type);
		message_encode(&sample, &out);
		each(message_name(type), &out, context);
	}
	for (int i = 0; i < OTHERS; i++) {
		buf_clear(&out);
		encode_other(i, &name, &out);
		each(name, &out, context);
	}
	buf_finish(&out);
}

static void print_one(const char *name, const struct buf *bytes, void *context)
{
	printf("%s ", name);
	for (size_t i = 0; i < bytes->size; i++)
		printf("%02x", bytes->data[i]);
	printf("\n");
}

static void compare_one(const char *name, const struct buf *bytes, void *context)
{
	static char line[16384], hex[16384];
	char found[64];
	FILE *file = context;
	do
		assert_non_null(fgets(line, sizeof(line), file));
	while (line[0] == '#');
	assert_int_equal(sscanf(line, "%63s %16383s", found, hex), 2);
	assert_string_equal(found, name);
	assert_int_equal(strlen(hex), 2 * bytes->size);
	for (size_t i = 0; i < bytes->size; i++) {
		char digits[3];
		snprintf(digits, sizeof(digits), "%02x", bytes->data[i]);
		if (memcmp(digits, hex + 2 * i, 2) != 0)
			fail_msg("%s changed on the wire at byte %zu", name, i);
	}
}

static void the_wire_stays_what_it_was(void **state)
{
	FILE *file = fopen(VECTORS "/messages.txt", "r");
	char line[16];
	assert_non_null(file);
	for_all(compare_one, file);
	assert_null(fgets(line, sizeof(line), file));
	fclose(file);
}

/* Decodes and encodes again: the same bytes, so nothing is lost or invented on the way. */
static void every_message_comes_back(void **state)
{
	struct buf bytes, again, scratch;
	struct fail fail;
	buf_init(&bytes);
	buf_init(&again);
	buf_init(&scratch);
	for (int type = MESSAGE_HELLO; type < MESSAGE_FLIGHT; type++) {
		buf_clear(&bytes);
		buf_clear(&again);
		sample_message(&sample, type);
		message_encode(&sample, &bytes);
		if (message_decode(&decoded, type, bytes.data, bytes.size, &scratch, &fail) < 0)
			fail_msg("%s", fail.text);
		assert_int_equal(decoded.type, type);
		message_encode(&decoded, &again);
		assert_int_equal(again.size, bytes.size);
		assert_memory_equal(again.data, bytes.data, bytes.size);
		/* one element more than announced, one less, and a cut at every place */
		assert_int_equal(message_decode(&decoded, type, bytes.data, 0, &scratch, NULL),
				 -FAIL_INVALID);
		for (size_t size = 1; size < bytes.size; size += 1 + bytes.size / 50)
			assert_int_equal(message_decode(&decoded, type, bytes.data, size, &scratch,
							NULL), -FAIL_INVALID);
		buf_u8(&bytes, 0);
		assert_int_equal(message_decode(&decoded, type, bytes.data, bytes.size, &scratch,
						NULL), -FAIL_INVALID);
	}
	buf_finish(&bytes);
	buf_finish(&again);
	buf_finish(&scratch);
}

/* A newer minor version appended a field to each message; a broken one forgot its last. */
static void appended_fields_are_ignored_forgotten_ones_refused(void **state)
{
	struct buf bytes, scratch;
	struct fail fail;
	buf_init(&bytes);
	buf_init(&scratch);
	for (int type = MESSAGE_HELLO; type < MESSAGE_FLIGHT; type++) {
		buf_clear(&bytes);
		sample_message(&sample, type);
		message_encode(&sample, &bytes);
		assert_int_equal(bytes.data[0] & 0xf0, 0x90);
		bytes.data[0]++;
		buf_append(&bytes, "\x93\x01\xa1z\xc0", 5);
		assert_int_equal(message_decode(&decoded, type, bytes.data, bytes.size, &scratch,
						&fail), 0);
		buf_clear(&bytes);
		buf_u8(&bytes, 0x90);
		assert_int_equal(message_decode(&decoded, type, bytes.data, bytes.size, &scratch,
						&fail), -FAIL_INVALID);
		assert_non_null(strstr(fail.text, message_name(type)));
	}
	buf_finish(&bytes);
	buf_finish(&scratch);
}

/* ---- the largest messages that our own code can make ---- */

static uint8_t largest_chunk[1 << 20];

static void largest_hello(struct message *m)
{
	memset(m->hello.name, 'n', sizeof(m->hello.name) - 1);
	m->hello.name[sizeof(m->hello.name) - 1] = 0;
}

static void largest_roster(struct message *m)
{
	static uint8_t statements[ROSTER_STATEMENTS_MAX * STATEMENT_BYTES];
	m->roster.n_statements = ROSTER_STATEMENTS_MAX;
	m->roster.statements = statements;
}

static void largest_digest(struct message *m)
{
	m->digest.n_facts = GOSSIP_FACTS_MAX;
}

static void largest_gossip(struct message *m)
{
	m->gossip.n_facts = 1;
	m->gossip.facts[0].size = FACT_BYTES_MAX;
	m->gossip.facts[0].bytes = largest_chunk;
}

static void largest_request(struct message *m)
{
	static uint32_t tokens[PROMPT_TOKENS_MAX];
	m->request.n_tokens = PROMPT_TOKENS_MAX;
	m->request.tokens = tokens;
	m->request.n_ends = REQUEST_ENDS_MAX;
}

static void largest_tokens(struct message *m)
{
	m->tokens.n_tokens = 16;
}

static void largest_chunk_of_a_file(struct message *m)
{
	m->chunk.size = MODEL_CHUNK_BYTES;
	m->chunk.bytes = largest_chunk;
}

static void largest_plan(struct message *m)
{
	struct plan *plan = &m->prepare.plan;
	plan->n_devices = PLAN_DEVICES_MAX;
	plan->n_stages = PLAN_STAGES_MAX;
	for (int i = 0; i < PLAN_DEVICES_MAX; i++) {
		plan->devices[i].name[63] = 0;
		plan->devices[i].sentence[PLAN_SENTENCE_BYTES - 1] = 0;
	}
	for (int i = 0; i < PLAN_STAGES_MAX; i++)
		plan->stages[i].n_group = PLAN_GROUP_MAX;
	plan->limit[PLAN_SENTENCE_BYTES - 1] = 0;
}

#define REASON(member)                                                                             \
	.has_reason = true, .reason = offsetof(struct message, member.reason),                     \
	.reason_bytes = sizeof(((struct message *)0)->member.reason)

/* What has to be in range, or costs more than numbers of the most bytes. */
static const struct {
	enum message_type type;
	void (*fill)(struct message *m);
	bool has_reason;
	size_t reason, reason_bytes;
} largest[] = {
	{ MESSAGE_HELLO, largest_hello },
	{ MESSAGE_CLOSE, REASON(close) },
	{ MESSAGE_ROSTER, largest_roster },
	{ MESSAGE_DIGEST, largest_digest },
	{ MESSAGE_GOSSIP, largest_gossip },
	{ MESSAGE_PROMISE, REASON(promise) },
	{ MESSAGE_PART_STATE, REASON(part_state) },
	{ MESSAGE_REQUEST, largest_request },
	{ MESSAGE_TOKENS, largest_tokens },
	{ MESSAGE_REQUEST_END, REASON(request_end) },
	{ MESSAGE_CHUNK, largest_chunk_of_a_file, REASON(chunk) },
	{ MESSAGE_PREPARE, largest_plan },
};

static void make_largest(struct message *m, enum message_type type)
{
	memset(m, 0xff, sizeof(*m));
	m->type = type;
	for (size_t i = 0; i < sizeof(largest) / sizeof(largest[0]); i++) {
		char *reason = (char *)m + largest[i].reason;
		if (largest[i].type != type)
			continue;
		if (largest[i].fill)
			largest[i].fill(m);
		if (!largest[i].has_reason)
			continue;
		memset(reason, 'r', largest[i].reason_bytes - 1);
		reason[largest[i].reason_bytes - 1] = 0;
	}
}

static enum connection_kind where_it_belongs(enum message_type type)
{
	if (type == MESSAGE_FETCH || type == MESSAGE_CHUNK)
		return CONNECTION_TRANSFER;
	return type == MESSAGE_CREDIT ? CONNECTION_RING : CONNECTION_CONTROL;
}

static void the_largest_messages_fit_their_limits(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	for (int type = MESSAGE_HELLO; type < MESSAGE_FLIGHT; type++) {
		const bool hello_done = type != MESSAGE_HELLO;
		const size_t limit = message_limit(type, where_it_belongs(type), hello_done);
		make_largest(&sample, type);
		buf_clear(&bytes);
		message_encode(&sample, &bytes);
		if (bytes.size > limit)
			fail_msg("%s: %zu bytes, but %zu are allowed", message_name(type),
				 bytes.size, limit);
	}
	buf_finish(&bytes);
}

static void messages_are_allowed_where_they_belong(void **state)
{
	static const enum connection_kind kinds[] = { CONNECTION_CONTROL, CONNECTION_RING,
						      CONNECTION_TRANSFER, CONNECTION_PAIR };
	for (int type = -1; type <= MESSAGE_TYPES; type++) {
		for (int k = 0; k < 4; k++) {
			const enum connection_kind kind = kinds[k];
			bool after = kind == CONNECTION_CONTROL && type > MESSAGE_CLOSE &&
				     type < MESSAGE_FETCH;
			after |= kind == CONNECTION_TRANSFER &&
				 (type == MESSAGE_FETCH || type == MESSAGE_CHUNK);
			after |= kind == CONNECTION_RING &&
				 (type == MESSAGE_CREDIT || type == MESSAGE_FLIGHT);
			after |= kind != CONNECTION_PAIR && type == MESSAGE_CLOSE;
			const bool before = kind != CONNECTION_PAIR &&
					    (type == MESSAGE_HELLO || type == MESSAGE_CLOSE);
			assert_int_equal(message_limit(type, kind, true) > 0, after);
			assert_int_equal(message_limit(type, kind, false) > 0, before);
		}
		assert_int_equal(message_limit(type, (enum connection_kind)0, true), 0);
		assert_int_equal(message_limit(type, (enum connection_kind)99, true), 0);
	}
	assert_string_equal(message_name(MESSAGE_PROBE_RESULT), "probe_result");
	assert_string_equal(message_name((enum message_type)0), "unknown");
	assert_string_equal(message_name(MESSAGE_TYPES), "unknown");
	assert_string_equal(role_name(ROLE_CLIENT), "client");
	assert_string_equal(role_name((enum device_role)3), "unknown");
	assert_string_equal(connection_kind_name(CONNECTION_PAIR), "pair");
	assert_string_equal(connection_kind_name((enum connection_kind)5), "unknown");
}

static int recode(enum message_type type)
{
	struct buf bytes, scratch;
	buf_init(&bytes);
	buf_init(&scratch);
	message_encode(&sample, &bytes);
	const int result =
		message_decode(&decoded, type, bytes.data, bytes.size, &scratch, NULL);
	buf_finish(&bytes);
	buf_finish(&scratch);
	return result;
}

/* `number` at its greatest value and one beyond. */
#define LIMIT(type, member, most)                                                                  \
	do {                                                                                       \
		sample_message(&sample, type);                                                     \
		sample.member = (most);                                                            \
		assert_int_equal(recode(type), 0);                                                 \
		sample.member++;                                                                   \
		assert_int_equal(recode(type), -FAIL_INVALID);                                     \
	} while (0)

static void every_number_is_held_to_its_range(void **state)
{
	LIMIT(MESSAGE_HELLO, hello.role, ROLE_CLIENT);
	LIMIT(MESSAGE_GOSSIP, gossip.facts[1].kind, FACT_KIND_MOST);
	LIMIT(MESSAGE_DEPLOY, deploy.context, 1u << 28);
	LIMIT(MESSAGE_PART_STATE, part_state.state, PART_FAILED);
	LIMIT(MESSAGE_PART_STATE, part_state.done_bytes, 1ull << 50);
	LIMIT(MESSAGE_REQUEST, request.max_tokens, 1u << 28);
	LIMIT(MESSAGE_REQUEST, request.chunk_rows, FLIGHT_ROWS_MAX);
	LIMIT(MESSAGE_REQUEST, request.sampler.top_p, 1);
	LIMIT(MESSAGE_REQUEST, request.sampler.min_p, 1);
	LIMIT(MESSAGE_REQUEST, request.sampler.temperature, 100);
	LIMIT(MESSAGE_REQUEST_END, request_end.end, REQUEST_END_FAILED);
	LIMIT(MESSAGE_LEAVING, leaving.reason, LEAVING_HOME);
	LIMIT(MESSAGE_FETCH, fetch.part, FETCH_PART_PROBE);
	LIMIT(MESSAGE_FETCH, fetch.offset, 1ull << 50);
	LIMIT(MESSAGE_FETCH, fetch.size, MODEL_CHUNK_BYTES);
	LIMIT(MESSAGE_CREDIT, credit.flights, 1024);
	sample_message(&sample, MESSAGE_FETCH);
	sample.fetch.size = 0;
	assert_int_equal(recode(MESSAGE_FETCH), -FAIL_INVALID);
	sample_message(&sample, MESSAGE_HELLO);
	sample.hello.minor_min = 4;
	assert_int_equal(recode(MESSAGE_HELLO), -FAIL_INVALID);
	sample_message(&sample, MESSAGE_PREPARE); /* plan_check is asked */
	sample.prepare.plan.stages[1].first_layer++;
	assert_int_equal(recode(MESSAGE_PREPARE), -FAIL_INVALID);
	sample_message(&sample, MESSAGE_PREPARE);
	sample.prepare.plan.epoch.counter = 0;
	assert_int_equal(recode(MESSAGE_PREPARE), -FAIL_INVALID);
}

static void flights_are_not_decoded_here(void **state)
{
	struct buf scratch;
	buf_init(&scratch);
	assert_int_equal(message_decode(&decoded, MESSAGE_FLIGHT, "\x90", 1, &scratch, NULL),
			 -FAIL_INVALID);
	assert_int_equal(message_decode(&decoded, MESSAGE_TYPES, "\x90", 1, &scratch, NULL),
			 -FAIL_INVALID);
	assert_int_equal(message_decode(&decoded, 0, "\x90", 1, &scratch, NULL), -FAIL_INVALID);
	buf_finish(&scratch);
}

static void the_highest_common_minor_is_chosen(void **state)
{
	struct message_hello hello = { .name = "old-pi" };
	struct fail fail;
	uint16_t minor = 99;
	hello.minor_min = 0;
	hello.minor_max = 7;
	assert_int_equal(message_agree(&hello, &minor, &fail), 0);
	assert_int_equal(minor, PROTOCOL_MINOR_MAX);
	hello.minor_max = 0;
	assert_int_equal(message_agree(&hello, &minor, &fail), 0);
	assert_int_equal(minor, 0);
	hello.minor_min = PROTOCOL_MINOR_MAX + 1;
	hello.minor_max = PROTOCOL_MINOR_MAX + 2;
	assert_int_equal(message_agree(&hello, &minor, &fail), -FAIL_VERSION);
	assert_string_equal(fail.text, "old-pi speaks protocol versions 1.1 to 1.2, this device 1.0 "
				       "to 1.0; upgrade the older of the two");
}

static void facts_are_signed_by_their_origin(void **state)
{
	struct identity *origin = home_device(1), *other = home_device(2);
	struct fact fact = { .kind = FACT_LOAD, .key = 1, .version = 2, .size = 3,
			     .bytes = (const uint8_t *)"abc" };
	fact_sign(&fact, origin);
	assert_true(device_id_equal(&fact.origin, &origin->keys.id));
	assert_true(fact_verify(&fact, origin->keys.ed_pk));
	assert_false(fact_verify(&fact, other->keys.ed_pk));
	struct fact changed = fact;
	changed.origin = other->keys.id;
	assert_false(fact_verify(&changed, origin->keys.ed_pk));
	changed = fact;
	changed.kind++;
	assert_false(fact_verify(&changed, origin->keys.ed_pk));
	changed = fact;
	changed.key++;
	assert_false(fact_verify(&changed, origin->keys.ed_pk));
	changed = fact;
	changed.version++;
	assert_false(fact_verify(&changed, origin->keys.ed_pk));
	changed = fact;
	changed.size--;
	assert_false(fact_verify(&changed, origin->keys.ed_pk));
	changed = fact;
	changed.bytes = (const uint8_t *)"abd";
	assert_false(fact_verify(&changed, origin->keys.ed_pk));
	identity_destroy(origin);
	identity_destroy(other);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wire_stays_what_it_was),
		cmocka_unit_test(every_message_comes_back),
		cmocka_unit_test(appended_fields_are_ignored_forgotten_ones_refused),
		cmocka_unit_test(the_largest_messages_fit_their_limits),
		cmocka_unit_test(messages_are_allowed_where_they_belong),
		cmocka_unit_test(every_number_is_held_to_its_range),
		cmocka_unit_test(flights_are_not_decoded_here),
		cmocka_unit_test(the_highest_common_minor_is_chosen),
		cmocka_unit_test(facts_are_signed_by_their_origin),
	};
	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		printf("# Frozen wire bytes of protocol %d.%d, one example each (tests/unit/proto/"
		       "samples.c).\n# Made by proto_messages_test --print.\n",
		       PROTOCOL_MAJOR, PROTOCOL_MINOR_MAX);
		for_all(print_one, NULL);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
