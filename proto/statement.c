#include "proto/statement.h"

#include "base/buf.h"
#include "proto/messages.h"

#include <sodium.h>
#include <string.h>

#define VERSION 1
#define SIGNED_BYTES (STATEMENT_BYTES - SIGNATURE_BYTES)
#define DOMAIN "primad-stmt-v1"

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
	store_u64le(at, value);
	return at + 8;
}

void statement_encode(const struct statement *statement, uint8_t bytes[STATEMENT_BYTES])
{
	const uint8_t head[4] = { VERSION, statement->kind, statement->role, 0 };
	char name[DEVICE_NAME_BYTES] = { 0 };
	memcpy(name, statement->name, strnlen(statement->name, DEVICE_NAME_BYTES - 1));
	uint8_t *at = put(bytes, head, sizeof(head));
	at = put(at, statement->home, HOME_ID_BYTES);
	at = put(at, statement->subject.ed_pk, KEY_BYTES);
	at = put(at, statement->subject.x_pk, KEY_BYTES);
	at = put(at, name, sizeof(name));
	at = put(at, statement->author, KEY_BYTES);
	at = put_u64(at, statement->counter);
	at = put(at, statement->previous, STATEMENT_HASH_BYTES);
	at = put_u64(at, statement->cut_counter);
	at = put(at, statement->cut_hash, STATEMENT_HASH_BYTES);
	put(at, statement->signature, SIGNATURE_BYTES);
}

static void read_fields(struct statement *statement, struct reader *reader)
{
	uint8_t ed_pk[KEY_BYTES], x_pk[KEY_BYTES];
	reader_copy(reader, statement->home, HOME_ID_BYTES);
	reader_copy(reader, ed_pk, KEY_BYTES);
	reader_copy(reader, x_pk, KEY_BYTES);
	device_keys_set(&statement->subject, ed_pk, x_pk);
	reader_copy(reader, statement->name, DEVICE_NAME_BYTES);
	reader_copy(reader, statement->author, KEY_BYTES);
	statement->counter = reader_u64(reader);
	reader_copy(reader, statement->previous, STATEMENT_HASH_BYTES);
	statement->cut_counter = reader_u64(reader);
	reader_copy(reader, statement->cut_hash, STATEMENT_HASH_BYTES);
	reader_copy(reader, statement->signature, SIGNATURE_BYTES);
}

static bool name_fits(const struct statement *statement)
{
	const size_t length = strnlen(statement->name, DEVICE_NAME_BYTES);
	if (length == DEVICE_NAME_BYTES || !text_printable(statement->name, length))
		return false;
	if (!sodium_is_zero((const uint8_t *)statement->name + length, DEVICE_NAME_BYTES - length))
		return false;
	return (length > 0) == (statement->kind == STATEMENT_ADD);
}

static bool kind_fits(const struct statement *statement)
{
	if (statement->kind == STATEMENT_ADD)
		return statement->role <= ROLE_CLIENT && statement->cut_counter == 0 &&
		       sodium_is_zero(statement->cut_hash, STATEMENT_HASH_BYTES);
	return statement->kind == STATEMENT_REMOVE && statement->role == 0 &&
	       (statement->cut_counter > 0 ||
		sodium_is_zero(statement->cut_hash, STATEMENT_HASH_BYTES));
}

int statement_decode(struct statement *statement, const uint8_t bytes[STATEMENT_BYTES],
		     struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, bytes, STATEMENT_BYTES);
	const uint8_t version = reader_u8(&reader);
	if (version != VERSION)
		return fail_set(fail, FAIL_VERSION,
				"a membership statement has version %u, this primad reads %u",
				version, VERSION);
	statement->kind = reader_u8(&reader);
	statement->role = reader_u8(&reader);
	const uint8_t zero = reader_u8(&reader);
	read_fields(statement, &reader);
	if (zero != 0 || statement->counter == 0 || !kind_fits(statement) || !name_fits(statement))
		return fail_set(fail, FAIL_INVALID, "a membership statement is malformed");
	return 0;
}

void statement_sign(struct statement *statement, const struct identity *author)
{
	uint8_t bytes[STATEMENT_BYTES];
	memcpy(statement->author, author->keys.ed_pk, KEY_BYTES);
	memset(statement->signature, 0, SIGNATURE_BYTES);
	statement_encode(statement, bytes);
	identity_sign(author, DOMAIN, bytes, SIGNED_BYTES, statement->signature);
}

bool statement_verify(const struct statement *statement)
{
	uint8_t bytes[STATEMENT_BYTES];
	statement_encode(statement, bytes);
	return identity_verify(statement->author, DOMAIN, bytes, SIGNED_BYTES,
			       statement->signature);
}

void statement_hash(const uint8_t bytes[STATEMENT_BYTES], uint8_t hash[STATEMENT_HASH_BYTES])
{
	crypto_generichash(hash, STATEMENT_HASH_BYTES, bytes, STATEMENT_BYTES, NULL, 0);
}

static void home_id_of(uint8_t home[HOME_ID_BYTES], const struct device_keys *founder,
		       const uint8_t nonce[STATEMENT_HASH_BYTES])
{
	static const char domain[] = "primad-home-v1";
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, HOME_ID_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain));
	crypto_generichash_update(&state, founder->ed_pk, KEY_BYTES);
	crypto_generichash_update(&state, founder->x_pk, KEY_BYTES);
	crypto_generichash_update(&state, nonce, STATEMENT_HASH_BYTES);
	crypto_generichash_final(&state, home, HOME_ID_BYTES);
}

void statement_found(struct statement *root, const struct identity *founder, const char *name)
{
	memset(root, 0, sizeof(*root));
	root->kind = STATEMENT_ADD;
	root->role = ROLE_ADMIN;
	root->subject = founder->keys;
	root->counter = 1;
	memcpy(root->name, name, strnlen(name, DEVICE_NAME_BYTES - 1));
	randombytes_buf(root->previous, STATEMENT_HASH_BYTES);
	home_id_of(root->home, &root->subject, root->previous);
	statement_sign(root, founder);
}

bool statement_is_root(const struct statement *statement)
{
	uint8_t home[HOME_ID_BYTES];
	if (statement->kind != STATEMENT_ADD || statement->role != ROLE_ADMIN ||
	    statement->counter != 1 ||
	    memcmp(statement->author, statement->subject.ed_pk, KEY_BYTES) != 0)
		return false;
	home_id_of(home, &statement->subject, statement->previous);
	return memcmp(home, statement->home, HOME_ID_BYTES) == 0;
}
