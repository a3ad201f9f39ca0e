#include "proto/identity.h"

#include "base/file.h"
#include "proto/messages.h"
#include "proto/statement.h"
#include "tests/unit/proto/home.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[128];

static int setup(void **state)
{
	strcpy(folder, "/tmp/primad-identity-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/identity.key", folder);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(folder);
}

static void keys_follow_from_the_seed(void **state)
{
	struct identity *one = home_device(1), *again = home_device(1), *other = home_device(2);
	struct device_keys keys;
	assert_memory_equal(&one->keys, &again->keys, sizeof(one->keys));
	assert_memory_not_equal(one->keys.ed_pk, other->keys.ed_pk, KEY_BYTES);
	assert_memory_not_equal(one->keys.x_pk, other->keys.x_pk, KEY_BYTES);
	assert_memory_not_equal(one->x_sk, one->ed_sk, KEY_BYTES);
	device_keys_set(&keys, one->keys.ed_pk, one->keys.x_pk);
	assert_true(device_id_equal(&keys.id, &one->keys.id));
	/* the id by its definition */
	uint8_t text[12 + 64], hash[32];
	memcpy(text, "primad-id-v1", 12);
	memcpy(text + 12, keys.ed_pk, 32);
	memcpy(text + 44, keys.x_pk, 32);
	crypto_generichash(hash, 32, text, sizeof(text), NULL, 0);
	assert_memory_equal(hash, keys.id.bytes, 32);
	struct identity *random = identity_create(NULL), *second = identity_create(NULL);
	assert_memory_not_equal(random->seed, second->seed, KEY_BYTES);
	identity_destroy(random);
	identity_destroy(second);
	identity_destroy(one);
	identity_destroy(again);
	identity_destroy(other);
	identity_destroy(NULL);
}

static void signatures_hold_for_one_purpose(void **state)
{
	struct identity *one = home_device(1), *other = home_device(2);
	uint8_t signature[SIGNATURE_BYTES];
	identity_sign(one, "primad-test-v1", "hello", 5, signature);
	const uint8_t *pk = one->keys.ed_pk;
	assert_true(identity_verify(pk, "primad-test-v1", "hello", 5, signature));
	assert_false(identity_verify(pk, "primad-test-v2", "hello", 5, signature));
	assert_false(identity_verify(pk, "primad-test-v1", "hellp", 5, signature));
	assert_false(identity_verify(pk, "primad-test-v1", "hello", 4, signature));
	assert_false(identity_verify(other->keys.ed_pk, "primad-test-v1", "hello", 5, signature));
	signature[0] ^= 1;
	assert_false(identity_verify(pk, "primad-test-v1", "hello", 5, signature));
	identity_sign(one, "primad-test-v1", NULL, 0, signature);
	assert_true(identity_verify(pk, "primad-test-v1", NULL, 0, signature));
	/* the signed form as identity.h documents it */
	uint8_t form[15 + 64];
	memcpy(form, "primad-test-v1", 15);
	crypto_generichash(form + 15, 64, (const uint8_t *)"", 0, NULL, 0);
	assert_int_equal(crypto_sign_verify_detached(signature, form, sizeof(form), pk), 0);
	identity_destroy(one);
	identity_destroy(other);
}

static void an_identity_survives_on_disk(void **state)
{
	struct fail fail;
	struct identity *one = identity_create(NULL);
	assert_null(identity_load(path, &fail));
	assert_int_equal(fail.code, FAIL_NOT_FOUND);
	assert_int_equal(identity_save(one, path, &fail), 0);
	struct identity *loaded = identity_load(path, &fail);
	assert_non_null(loaded);
	assert_memory_equal(loaded->seed, one->seed, KEY_BYTES);
	assert_true(device_id_equal(&loaded->keys.id, &one->keys.id));
	identity_destroy(one);
	identity_destroy(loaded);
}

static void a_file_open_to_others_is_refused(void **state)
{
	static const unsigned modes[] = { 0640, 0604, 0620, 0602, 0660, 0644, 0777 };
	struct fail fail;
	struct identity *one = identity_create(NULL);
	assert_int_equal(identity_save(one, path, NULL), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_null(identity_load(path, &fail));
		assert_int_equal(fail.code, FAIL_DENIED);
		assert_non_null(strstr(fail.text, "chmod 600"));
	}
	assert_int_equal(chmod(path, 0400), 0);
	struct identity *loaded = identity_load(path, &fail);
	assert_non_null(loaded);
	identity_destroy(loaded);
	if (geteuid() == 0) { /* only root may give a file away */
		assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
		assert_null(identity_load(path, &fail));
		assert_int_equal(fail.code, FAIL_DENIED);
		assert_int_equal(chown(path, 0, (gid_t)-1), 0);
	}
	identity_destroy(one);
}

static void a_link_is_not_followed(void **state)
{
	struct fail fail;
	char real[160];
	struct identity *one = identity_create(NULL);
	snprintf(real, sizeof(real), "%s.real", path);
	assert_int_equal(identity_save(one, real, NULL), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_null(identity_load(path, &fail));
	assert_int_equal(fail.code, FAIL_DENIED);
	unlink(real);
	identity_destroy(one);
}

/* Whatever happened to the file: refused, and left as it is. */
static void a_damaged_file_is_an_error_and_stays(void **state)
{
	struct fail fail;
	struct identity *one = identity_create(NULL);
	assert_int_equal(identity_save(one, path, NULL), 0);
	struct buf whole, now;
	buf_init(&whole);
	buf_init(&now);
	assert_int_equal(file_read(path, 4096, &whole, NULL), 0);
	for (size_t bit = 0; bit < whole.size * 8; bit += 37) {
		whole.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(file_replace(path, whole.data, whole.size, 0600, NULL), 0);
		assert_null(identity_load(path, &fail));
		assert_true(fail.code == FAIL_CORRUPT || fail.code == FAIL_VERSION);
		whole.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < whole.size; size += 11) {
		assert_int_equal(file_replace(path, whole.data, size, 0600, NULL), 0);
		assert_null(identity_load(path, &fail));
		assert_int_equal(fail.code, FAIL_CORRUPT);
		buf_clear(&now);
		assert_int_equal(file_read(path, 4096, &now, NULL), 0);
		assert_int_equal(now.size, size);
	}
	assert_int_equal(state_file_write(path, "PRMDIDEN", 1, "short", 5, NULL), 0);
	assert_null(identity_load(path, &fail));
	assert_int_equal(fail.code, FAIL_CORRUPT);
	assert_int_equal(state_file_write(path, "PRMDIDEN", 2, one->seed, 32, NULL), 0);
	assert_null(identity_load(path, &fail));
	assert_int_equal(fail.code, FAIL_VERSION);
	buf_finish(&whole);
	buf_finish(&now);
	identity_destroy(one);
}

/* ---- statements ---- */

static void statements_are_equal_bytes_and_verify(void **state)
{
	struct identity *founder = home_device(1), *other = home_device(2);
	struct statement root, add, back;
	uint8_t bytes[STATEMENT_BYTES], again[STATEMENT_BYTES];
	home_root(&root, founder, "desk");
	home_add(&add, &root, founder, &other->keys, "K\u00fcche");
	statement_encode(&add, bytes);
	assert_int_equal(statement_decode(&back, bytes, NULL), 0);
	assert_true(statement_verify(&back));
	assert_string_equal(back.name, "K\u00fcche");
	assert_true(device_id_equal(&back.subject.id, &other->keys.id));
	assert_int_equal(back.counter, 2);
	statement_encode(&back, again);
	assert_memory_equal(bytes, again, STATEMENT_BYTES);
	identity_destroy(founder);
	identity_destroy(other);
}

/* No byte of a statement is free: each change is refused or breaks the signature. */
static void every_changed_bit_of_a_statement_shows(void **state)
{
	struct identity *founder = home_device(1), *other = home_device(2);
	struct statement root, add, back;
	uint8_t bytes[STATEMENT_BYTES];
	home_root(&root, founder, "desk");
	home_add(&add, &root, founder, &other->keys, "pi");
	statement_encode(&add, bytes);
	for (int bit = 0; bit < STATEMENT_BYTES * 8; bit += 3) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		const int result = statement_decode(&back, bytes, NULL);
		if (bit < 8)
			assert_int_equal(result, -FAIL_VERSION);
		assert_true(result < 0 || !statement_verify(&back));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	identity_destroy(founder);
	identity_destroy(other);
}

static int decode_changed(const struct statement *statement, size_t at, uint8_t value)
{
	uint8_t bytes[STATEMENT_BYTES];
	struct statement back;
	statement_encode(statement, bytes);
	bytes[at] = value;
	return statement_decode(&back, bytes, NULL);
}

static void the_form_of_statements_is_strict(void **state)
{
	struct identity *founder = home_device(1), *other = home_device(2);
	struct statement root, add;
	home_root(&root, founder, "desk");
	home_add(&add, &root, founder, &other->keys, "pi");
	assert_int_equal(decode_changed(&add, 1, STATEMENT_ADD), 0);
	assert_int_equal(decode_changed(&add, 1, 0), -FAIL_INVALID);  /* kind */
	assert_int_equal(decode_changed(&add, 1, 3), -FAIL_INVALID);
	assert_int_equal(decode_changed(&add, 2, ROLE_CLIENT), 0);
	assert_int_equal(decode_changed(&add, 2, ROLE_CLIENT + 1), -FAIL_INVALID);
	assert_int_equal(decode_changed(&add, 3, 1), -FAIL_INVALID);
	assert_int_equal(decode_changed(&add, 84, 0), -FAIL_INVALID);    /* name: empty */
	assert_int_equal(decode_changed(&add, 84, '\n'), -FAIL_INVALID); /* or not printable */
	assert_int_equal(decode_changed(&add, 90, 'x'), -FAIL_INVALID);  /* or padded with others */
	assert_int_equal(decode_changed(&add, 180, 0), -FAIL_INVALID);   /* counter 0 */
	assert_int_equal(decode_changed(&add, 220, 1), -FAIL_INVALID);   /* a cut in an ADD */
	assert_int_equal(decode_changed(&add, 228, 1), -FAIL_INVALID);
	memset(add.name, 'n', DEVICE_NAME_BYTES - 1);
	assert_int_equal(decode_changed(&add, 1, STATEMENT_ADD), 0); /* the longest name */
	assert_int_equal(decode_changed(&add, 84 + 63, 'n'), -FAIL_INVALID);
	struct statement remove = add;
	remove.kind = STATEMENT_REMOVE;
	remove.role = 0;
	memset(remove.name, 0, sizeof(remove.name));
	assert_int_equal(decode_changed(&remove, 220, 5), 0);
	assert_int_equal(decode_changed(&remove, 220, 0), 0);
	assert_int_equal(decode_changed(&remove, 228, 1), -FAIL_INVALID); /* hash of no statement */
	assert_int_equal(decode_changed(&remove, 84, 'x'), -FAIL_INVALID);
	assert_int_equal(decode_changed(&remove, 2, 1), -FAIL_INVALID);
	identity_destroy(founder);
	identity_destroy(other);
}

static void only_the_founder_makes_the_root(void **state)
{
	struct identity *founder = home_device(1), *other = home_device(2);
	struct statement root, second, forged;
	home_root(&root, founder, "desk");
	assert_true(statement_is_root(&root));
	assert_true(statement_verify(&root));
	home_root(&second, founder, "desk");
	assert_memory_not_equal(root.home, second.home, HOME_ID_BYTES);
	home_root(&forged, other, "desk");
	memcpy(forged.home, root.home, HOME_ID_BYTES);
	statement_sign(&forged, other);
	assert_true(statement_verify(&forged));
	assert_false(statement_is_root(&forged));
	forged = root;
	forged.previous[0] ^= 1;
	assert_false(statement_is_root(&forged));
	forged = root;
	forged.counter = 2;
	assert_false(statement_is_root(&forged));
	forged = root;
	forged.role = ROLE_WORKER;
	assert_false(statement_is_root(&forged));
	identity_destroy(founder);
	identity_destroy(other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_follow_from_the_seed),
		cmocka_unit_test(signatures_hold_for_one_purpose),
		TEST(an_identity_survives_on_disk),
		TEST(a_file_open_to_others_is_refused),
		TEST(a_link_is_not_followed),
		TEST(a_damaged_file_is_an_error_and_stays),
		cmocka_unit_test(statements_are_equal_bytes_and_verify),
		cmocka_unit_test(every_changed_bit_of_a_statement_shows),
		cmocka_unit_test(the_form_of_statements_is_strict),
		cmocka_unit_test(only_the_founder_makes_the_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
