#include "proto/messages.h"

#include "proto/facts.h"
#include "proto/fields.h"
#include "proto/statement.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define BYTES_MOST (1ull << 50)
#define POSITIONS_MOST (1u << 28)
#define SECONDS_MOST 1e9
#define CREDITS_MOST 1024

/* ---- parts ---- */

static const struct field request_id_field[] = {
	F_BYTES(struct request_id, owner),
	F_UINT(struct request_id, boot, UINT64_MAX),
	F_UINT(struct request_id, number, UINT64_MAX),
};
static const struct fields request_id_fields = { FIELDS_N(request_id_field), request_id_field };

static const struct field sampler_field[] = {
	F_FLOAT(struct sampler_settings, temperature, 0, 100),
	F_UINT(struct sampler_settings, top_k, UINT32_MAX),
	F_FLOAT(struct sampler_settings, top_p, 0, 1),
	F_FLOAT(struct sampler_settings, min_p, 0, 1),
	F_FLOAT(struct sampler_settings, repeat_penalty, 0, 100),
	F_UINT(struct sampler_settings, repeat_last, UINT32_MAX),
	F_UINT(struct sampler_settings, seed, UINT64_MAX),
};
static const struct fields sampler_fields = { FIELDS_N(sampler_field), sampler_field };

static const struct field fact_field[] = {
	F_BYTES(struct fact, origin),
	F_UINT(struct fact, kind, FACT_KIND_MOST),
	F_UINT(struct fact, key, UINT64_MAX),
	F_UINT(struct fact, version, UINT64_MAX),
	F_VIEW(struct fact, bytes, size, FACT_BYTES_MAX, 1),
	F_BYTES(struct fact, signature),
};
static const struct fields fact_fields = { FIELDS_N(fact_field), fact_field };
static const struct fields fact_head_fields = { 4, fact_field }; /* without bytes and signature */

/* ---- messages ---- */

static const struct field hello_field[] = {
	F_UINT(struct message_hello, minor_min, UINT16_MAX),
	F_UINT(struct message_hello, minor_max, UINT16_MAX),
	F_UINT(struct message_hello, features, UINT64_MAX),
	F_UINT(struct message_hello, role, ROLE_CLIENT),
	F_UINT(struct message_hello, numerics, UINT32_MAX),
	F_UINT(struct message_hello, boot, UINT64_MAX),
	F_UINT(struct message_hello, port, UINT16_MAX),
	F_TEXT(struct message_hello, name),
	F_BYTES(struct message_hello, roster_digest),
	F_STRUCT(struct message_hello, epoch, &epoch_fields),
};

static const struct field close_field[] = { F_TEXT(struct message_close, reason) };

static const struct field ping_field[] = {
	F_UINT(struct message_ping, seq, UINT64_MAX),
	F_UINT(struct message_ping, incarnation, UINT64_MAX),
	F_INT(struct message_ping, sent_us),
	F_STRUCT(struct message_ping, epoch, &epoch_fields),
};

static const struct field probe_field[] = {
	F_UINT(struct message_probe, seq, UINT64_MAX),
	F_BYTES(struct message_probe, target),
	F_BOOL(struct message_probe, alive),
};

static const struct field roster_field[] = {
	F_VIEW(struct message_roster, statements, n_statements, ROSTER_STATEMENTS_MAX,
	       STATEMENT_BYTES),
};

static const struct field gossip_field[] = {
	F_LIST(struct message_gossip, facts, n_facts, GOSSIP_FACTS_MAX, &fact_fields),
};

static const struct field digest_field[] = {
	F_LIST(struct message_digest, facts, n_facts, GOSSIP_FACTS_MAX, &fact_head_fields),
};

static const struct field deploy_field[] = {
	F_BYTES(struct message_deploy, model),
	F_UINT(struct message_deploy, context, POSITIONS_MOST),
	F_BOOL(struct message_deploy, again),
	F_UINT_LATER(struct message_deploy, hold, DEPLOY_GO_ON),
};

static const struct field prepare_field[] = {
	F_STRUCT(struct message_prepare, plan, &plan_fields),
};

static const struct field promise_field[] = {
	F_STRUCT(struct message_promise, epoch, &epoch_fields),
	F_BOOL(struct message_promise, promised),
	F_STRUCT(struct message_promise, held, &epoch_fields),
	F_TEXT(struct message_promise, reason),
};

static const struct field commit_field[] = {
	F_STRUCT(struct message_commit, epoch, &epoch_fields),
};

static const struct field part_state_field[] = {
	F_STRUCT(struct message_part_state, epoch, &epoch_fields),
	F_UINT(struct message_part_state, state, PART_FAILED),
	F_UINT(struct message_part_state, done_bytes, BYTES_MOST),
	F_UINT(struct message_part_state, total_bytes, BYTES_MOST),
	F_TEXT(struct message_part_state, reason),
	F_UINT_LATER(struct message_part_state, code, UINT8_MAX),
	F_BYTES_LATER(struct message_part_state, model.bytes),
};

static const struct field request_field[] = {
	F_STRUCT(struct message_request, id, &request_id_fields),
	F_BYTES(struct message_request, model),
	F_STRUCT(struct message_request, epoch, &epoch_fields),
	F_STRUCT(struct message_request, sampler, &sampler_fields),
	F_UINT(struct message_request, max_tokens, POSITIONS_MOST),
	F_UINT(struct message_request, chunk_rows, FLIGHT_ROWS_MAX),
	F_UINTS(struct message_request, ends, n_ends, REQUEST_ENDS_MAX),
	F_WORDS(struct message_request, tokens, n_tokens, PROMPT_TOKENS_MAX),
};

static const struct field tokens_field[] = {
	F_STRUCT(struct message_tokens, id, &request_id_fields),
	F_UINT(struct message_tokens, prompt_done, POSITIONS_MOST),
	F_UINT(struct message_tokens, first_position, POSITIONS_MOST),
	F_UINTS(struct message_tokens, tokens, n_tokens,
		FIELD_SIZE(struct message_tokens, tokens) / sizeof(uint32_t)),
};

static const struct field request_end_field[] = {
	F_STRUCT(struct message_request_end, id, &request_id_fields),
	F_UINT(struct message_request_end, end, REQUEST_END_FAILED),
	F_UINT(struct message_request_end, code, UINT8_MAX),
	F_BYTES(struct message_request_end, device),
	F_TEXT(struct message_request_end, reason),
	F_UINT(struct message_request_end, prompt_tokens, POSITIONS_MOST),
	F_UINT(struct message_request_end, completion_tokens, POSITIONS_MOST),
	F_DOUBLE(struct message_request_end, prompt_s, 0, SECONDS_MOST),
	F_DOUBLE(struct message_request_end, decode_s, 0, SECONDS_MOST),
	F_UINT(struct message_request_end, flights, UINT64_MAX),
	F_UINT(struct message_request_end, bytes_sent, UINT64_MAX),
	F_UINT(struct message_request_end, flights_together_max, UINT32_MAX),
};

static const struct field cancel_field[] = {
	F_STRUCT(struct message_cancel, id, &request_id_fields),
};

static const struct field leaving_field[] = {
	F_UINT(struct message_leaving, reason, LEAVING_HOME),
};

static const struct field fetch_field[] = {
	F_BYTES(struct message_fetch, model),
	F_UINT(struct message_fetch, part, FETCH_PART_PROBE),
	F_UINT(struct message_fetch, offset, BYTES_MOST),
	F_UINT(struct message_fetch, size, MODEL_CHUNK_BYTES),
};

static const struct field chunk_field[] = {
	F_BYTES(struct message_chunk, model),
	F_UINT(struct message_chunk, part, FETCH_PART_PROBE),
	F_UINT(struct message_chunk, offset, BYTES_MOST),
	F_VIEW(struct message_chunk, bytes, size, MODEL_CHUNK_BYTES, 1),
	F_TEXT(struct message_chunk, reason),
};

static const struct field credit_field[] = {
	F_UINT(struct message_credit, flights, CREDITS_MOST),
};

/* ---- the table: name, where allowed, largest body, form ---- */

#define ON(kind) (1u << (kind))
#define CONTROL ON(CONNECTION_CONTROL)
#define RING ON(CONNECTION_RING)
#define TRANSFER ON(CONNECTION_TRANSFER)
#define EVERYWHERE (CONTROL | RING | TRANSFER)

enum when { AFTER_HELLO, BEFORE_HELLO, ANY_TIME };

static const struct row {
	const char *name;
	unsigned kinds; /* of connections */
	enum when when;
	size_t most; /* bytes of a body, with room for what a newer minor version appends */
	uint32_t n_fields;
	const struct field *field;
} table[MESSAGE_TYPES] = {
#define FORM(fields) FIELDS_N(fields), fields
	[MESSAGE_HELLO] = { "hello", EVERYWHERE, BEFORE_HELLO, 512, FORM(hello_field) },
	[MESSAGE_CLOSE] = { "close", EVERYWHERE, ANY_TIME, 512, FORM(close_field) },
	[MESSAGE_PING] = { "ping", CONTROL, AFTER_HELLO, 128, FORM(ping_field) },
	[MESSAGE_PONG] = { "pong", CONTROL, AFTER_HELLO, 128, FORM(ping_field) },
	[MESSAGE_PROBE] = { "probe", CONTROL, AFTER_HELLO, 128, FORM(probe_field) },
	[MESSAGE_PROBE_RESULT] = { "probe_result", CONTROL, AFTER_HELLO, 128, FORM(probe_field) },
	[MESSAGE_ROSTER] = { "roster", CONTROL, AFTER_HELLO,
			     ROSTER_STATEMENTS_MAX * STATEMENT_BYTES + 64, FORM(roster_field) },
	[MESSAGE_GOSSIP] = { "gossip", CONTROL, AFTER_HELLO, GOSSIP_BYTES_MAX, FORM(gossip_field) },
	[MESSAGE_DIGEST] = { "digest", CONTROL, AFTER_HELLO, 32768, FORM(digest_field) },
	[MESSAGE_DEPLOY] = { "deploy", CONTROL, AFTER_HELLO, 128, FORM(deploy_field) },
	[MESSAGE_PREPARE] = { "prepare", CONTROL, AFTER_HELLO, PLAN_BYTES_MAX,
			      FORM(prepare_field) },
	[MESSAGE_PROMISE] = { "promise", CONTROL, AFTER_HELLO, 512, FORM(promise_field) },
	[MESSAGE_COMMIT] = { "commit", CONTROL, AFTER_HELLO, 128, FORM(commit_field) },
	[MESSAGE_PART_STATE] = { "part_state", CONTROL, AFTER_HELLO, 512, FORM(part_state_field) },
	[MESSAGE_REQUEST] = { "request", CONTROL, AFTER_HELLO, PROMPT_TOKENS_MAX * 4 + 1024,
			      FORM(request_field) },
	[MESSAGE_TOKENS] = { "tokens", CONTROL, AFTER_HELLO, 256, FORM(tokens_field) },
	[MESSAGE_REQUEST_END] = { "request_end", CONTROL, AFTER_HELLO, 768,
				  FORM(request_end_field) },
	[MESSAGE_CANCEL] = { "cancel", CONTROL, AFTER_HELLO, 128, FORM(cancel_field) },
	[MESSAGE_LEAVING] = { "leaving", CONTROL, AFTER_HELLO, 64, FORM(leaving_field) },
	[MESSAGE_FETCH] = { "fetch", TRANSFER, AFTER_HELLO, 128, FORM(fetch_field) },
	[MESSAGE_CHUNK] = { "chunk", TRANSFER, AFTER_HELLO, MODEL_CHUNK_BYTES + 1024,
			    FORM(chunk_field) },
	[MESSAGE_CREDIT] = { "credit", RING, AFTER_HELLO, 64, FORM(credit_field) },
	[MESSAGE_FLIGHT] = { "flight", RING, AFTER_HELLO, FLIGHT_BYTES_MAX, 0, NULL },
#undef FORM
};

static const struct row *row_of(enum message_type type)
{
	return (unsigned)type < MESSAGE_TYPES && table[type].name ? &table[type] : NULL;
}

const char *message_name(enum message_type type)
{
	const struct row *row = row_of(type);
	return row ? row->name : "unknown";
}

const char *role_name(enum device_role role)
{
	static const char *const names[] = { "admin", "worker", "client" };
	return (unsigned)role < FIELDS_N(names) ? names[role] : "unknown";
}

const char *connection_kind_name(enum connection_kind kind)
{
	static const char *const names[] = { "unknown", "control", "ring", "transfer", "pair" };
	return (unsigned)kind < FIELDS_N(names) ? names[kind] : "unknown";
}

size_t message_limit(enum message_type type, enum connection_kind kind, bool hello_done)
{
	const struct row *row = row_of(type);
	if (!row || kind > CONNECTION_PAIR || !(row->kinds & ON(kind)))
		return 0;
	const bool now = row->when == ANY_TIME || (row->when == AFTER_HELLO) == hello_done;
	return now ? row->most : 0;
}

/* Where the message's struct lies: every member of the union begins at the same place. */
#define BODY_AT offsetof(struct message, hello)

void message_encode(const struct message *message, struct buf *out)
{
	const struct row *row = row_of(message->type);
	assert(row && row->n_fields > 0);
	const struct fields fields = { row->n_fields, row->field };
	fields_write(&fields, (const uint8_t *)message + BODY_AT, out);
}

/* What a table of fields cannot say. */
static int check_meaning(const struct message *message, struct fail *fail)
{
	if (message->type == MESSAGE_PREPARE && message->prepare.plan.epoch.counter == 0)
		return fail_set(fail, FAIL_INVALID, "a prepare message's plan has no epoch");
	if (message->type == MESSAGE_PREPARE)
		return plan_check(&message->prepare.plan, 0, fail);
	if (message->type == MESSAGE_HELLO && message->hello.minor_min > message->hello.minor_max)
		return fail_set(fail, FAIL_INVALID, "a hello message has an empty version range");
	if (message->type == MESSAGE_FETCH && message->fetch.size == 0)
		return fail_set(fail, FAIL_INVALID, "a fetch message asks for nothing");
	return 0;
}

int message_decode(struct message *message, enum message_type type, const void *bytes, size_t size,
		   struct buf *scratch, struct fail *fail)
{
	const struct row *row = row_of(type);
	if (!row || row->n_fields == 0)
		return fail_set(fail, FAIL_INVALID, "a message of the unknown type %d came", type);
	const struct fields fields = { row->n_fields, row->field };
	char what[40] = "the message ";
	strcat(what, row->name);
	memset(message, 0, sizeof(*message));
	message->type = type;
	buf_clear(scratch);
	const int result = fields_decode(&fields, what, bytes, size,
					 (uint8_t *)message + BODY_AT, scratch, fail);
	return result < 0 ? result : check_meaning(message, fail);
}

int message_agree(const struct message_hello *theirs, uint16_t *minor, struct fail *fail)
{
	const int least = PROTOCOL_MINOR_MIN, most = PROTOCOL_MINOR_MAX;
	if (theirs->minor_max < least || theirs->minor_min > most)
		return fail_set(fail, FAIL_VERSION,
				"%s speaks protocol versions %d.%u to %d.%u, this device %d.%d to "
				"%d.%d; upgrade the older of the two",
				theirs->name, PROTOCOL_MAJOR, theirs->minor_min, PROTOCOL_MAJOR,
				theirs->minor_max, PROTOCOL_MAJOR, least, PROTOCOL_MAJOR, most);
	*minor = (uint16_t)(theirs->minor_max < most ? theirs->minor_max : most);
	return 0;
}

/* ---- facts ---- */

#define FACT_DOMAIN "primad-fact-v1"
#define FACT_SIGNED (ID_BYTES + 4 + 8 + 8 + 64)

static void signed_form(const struct fact *fact, uint8_t form[FACT_SIGNED])
{
	memcpy(form, fact->origin.bytes, ID_BYTES);
	store_u32le(form + ID_BYTES, fact->kind);
	store_u64le(form + ID_BYTES + 4, fact->key);
	store_u64le(form + ID_BYTES + 12, fact->version);
	crypto_generichash(form + ID_BYTES + 20, 64, fact->bytes, fact->size, NULL, 0);
}

void fact_sign(struct fact *fact, const struct identity *origin)
{
	uint8_t form[FACT_SIGNED];
	fact->origin = origin->keys.id;
	signed_form(fact, form);
	identity_sign(origin, FACT_DOMAIN, form, sizeof(form), fact->signature);
}

bool fact_verify(const struct fact *fact, const uint8_t ed_pk[KEY_BYTES])
{
	uint8_t form[FACT_SIGNED];
	signed_form(fact, form);
	return identity_verify(ed_pk, FACT_DOMAIN, form, sizeof(form), fact->signature);
}
