#include "discovery/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES 8

static struct identity *devices[DEVICES];
static const char *const names[DEVICES] = { "desk",  "laptop", "tablet", "nas",
					    "phone", "old",    "guest",  "thief" };

static int make_devices(void **state)
{
	for (uint8_t i = 0; i < DEVICES; i++) {
		uint8_t seed[KEY_BYTES] = { (uint8_t)(i + 1) };
		devices[i] = identity_from_seed(seed, NULL);
		assert_non_null(devices[i]);
	}
	return 0;
}

static int drop_devices(void **state)
{
	for (int i = 0; i < DEVICES; i++)
		identity_destroy(devices[i]);
	return 0;
}

static void add(struct roster *roster, int author, int subject, enum device_role role)
{
	struct fail fail = { 0 };
	const int result = roster_add(roster, devices[author], &devices[subject]->keys, role,
				      names[subject], &fail);
	if (result != 0)
		fail_msg("%s", fail.text);
}

static void take_out(struct roster *roster, int author, int subject)
{
	struct fail fail = { 0 };
	if (roster_remove(roster, devices[author], &devices[subject]->keys.id, &fail) != 0)
		fail_msg("%s", fail.text);
}

static bool has(const struct roster *roster, int device)
{
	return roster_find(roster, &devices[device]->keys.id) != NULL;
}

/* All that `from` has goes into `to`. */
static bool merge(struct roster *to, const struct roster *from)
{
	uint32_t count, refused;
	bool changed;
	const uint8_t *statements = roster_statements(from, &count);
	assert_int_equal(roster_merge(to, statements, count, &changed, &refused, NULL), 0);
	assert_int_equal(refused, 0);
	return changed;
}

static struct roster *copy(const struct roster *from)
{
	struct roster *to = roster_create(roster_home_id(from));
	merge(to, from);
	return to;
}

static bool same(const struct roster *a, const struct roster *b)
{
	uint8_t digest_a[ID_BYTES], digest_b[ID_BYTES];
	roster_digest(a, digest_a);
	roster_digest(b, digest_b);
	return memcmp(digest_a, digest_b, ID_BYTES) == 0;
}

/* A statement made by hand, as a device with a modified primad could. */
static void forge(uint8_t bytes[STATEMENT_BYTES], struct statement *statement,
		  const struct roster *roster, int author, uint64_t counter,
		  const uint8_t *previous)
{
	memcpy(statement->home, roster_home_id(roster), HOME_ID_BYTES);
	statement->counter = counter;
	if (previous)
		statement_hash(previous, statement->previous);
	statement_sign(statement, devices[author]);
	statement_encode(statement, bytes);
}

static void forge_add(uint8_t bytes[STATEMENT_BYTES], const struct roster *roster, int author,
		      int subject, uint64_t counter, const uint8_t *previous)
{
	struct statement statement = { .kind = STATEMENT_ADD,
				       .role = ROLE_ADMIN,
				       .subject = devices[subject]->keys };
	strcpy(statement.name, names[subject]);
	forge(bytes, &statement, roster, author, counter, previous);
}

static const uint8_t *statement_at(const struct roster *roster, int author, uint64_t counter)
{
	uint32_t count;
	const uint8_t *all = roster_statements(roster, &count);
	for (uint32_t i = 0; i < count; i++) {
		struct statement statement;
		assert_int_equal(statement_decode(&statement, all + i * STATEMENT_BYTES, NULL), 0);
		if (statement.counter == counter &&
		    memcmp(statement.author, devices[author]->keys.ed_pk, KEY_BYTES) == 0)
			return all + i * STATEMENT_BYTES;
	}
	fail_msg("no statement %d of %s", (int)counter, names[author]);
	return NULL;
}

static void good_fresh_device_is_a_home_of_one(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	assert_int_equal(roster_count(roster), 1);
	const struct member *self = roster_find(roster, &devices[0]->keys.id);
	assert_non_null(self);
	assert_int_equal(self->role, ROLE_ADMIN);
	assert_string_equal(self->name, "desk");
	assert_int_equal(roster_admins(roster), 1);
	assert_ptr_equal(roster_find_x(roster, devices[0]->keys.x_pk), self);
	assert_ptr_equal(roster_find_ed(roster, devices[0]->keys.ed_pk), self);
	assert_ptr_equal(roster_at(roster, 0), self);
	assert_null(roster_at(roster, 1));
	assert_false(roster_is_removed(roster, &devices[0]->keys.id));

	struct roster *other = roster_found(devices[0], "desk");
	assert_memory_not_equal(roster_home_id(roster), roster_home_id(other), HOME_ID_BYTES);
	roster_destroy(roster);
	roster_destroy(other);
	roster_destroy(NULL);
}

static void good_admins_add_and_others_do_not(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct fail fail = { 0 };
	add(roster, 0, 1, ROLE_ADMIN);
	add(roster, 1, 2, ROLE_WORKER);
	add(roster, 1, 3, ROLE_CLIENT);
	assert_int_equal(roster_count(roster), 4);
	assert_int_equal(roster_admins(roster), 2);
	assert_int_equal(roster_find(roster, &devices[2]->keys.id)->role, ROLE_WORKER);
	for (uint32_t i = 1; i < roster_count(roster); i++)
		assert_true(device_id_compare(&roster_at(roster, i - 1)->keys.id,
					      &roster_at(roster, i)->keys.id) < 0);

	const int by_worker =
		roster_add(roster, devices[2], &devices[4]->keys, ROLE_WORKER, "phone", &fail);
	assert_int_equal(by_worker, -FAIL_DENIED);
	const int by_stranger =
		roster_add(roster, devices[7], &devices[4]->keys, ROLE_WORKER, "phone", &fail);
	assert_int_equal(by_stranger, -FAIL_DENIED);
	const int again =
		roster_add(roster, devices[0], &devices[2]->keys, ROLE_ADMIN, "tablet", &fail);
	assert_int_equal(again, -FAIL_INVALID);
	const int nameless =
		roster_add(roster, devices[0], &devices[4]->keys, ROLE_ADMIN, "", &fail);
	assert_int_equal(nameless, -FAIL_INVALID);
	const int escaped =
		roster_add(roster, devices[0], &devices[4]->keys, ROLE_ADMIN, "a\033[2J", &fail);
	assert_int_equal(escaped, -FAIL_INVALID);
	assert_int_equal(roster_count(roster), 4);
	roster_destroy(roster);
}

static void good_removed_stays_out(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct fail fail = { 0 };
	add(roster, 0, 1, ROLE_ADMIN);
	add(roster, 0, 2, ROLE_WORKER);
	struct roster *apart = roster_create(roster_home_id(roster)); /* heard of desk alone */
	merge(apart, roster);
	take_out(roster, 1, 2);
	assert_false(has(roster, 2));
	assert_true(roster_is_removed(roster, &devices[2]->keys.id));
	assert_int_equal(
		roster_add(roster, devices[0], &devices[2]->keys, ROLE_WORKER, "tablet", &fail),
		-FAIL_INVALID);
	assert_non_null(strstr(fail.text, "new identity"));

	assert_true(has(apart, 2));
	assert_true(merge(apart, roster));
	assert_false(merge(roster, apart));
	assert_false(has(apart, 2));
	assert_true(same(roster, apart));

	struct statement notice;
	const uint8_t *bytes = roster_notice(roster, devices[2]->keys.x_pk);
	assert_non_null(bytes);
	assert_int_equal(statement_decode(&notice, bytes, NULL), 0);
	assert_int_equal(notice.kind, STATEMENT_REMOVE);
	assert_true(device_id_equal(&notice.subject.id, &devices[2]->keys.id));
	assert_null(roster_notice(roster, devices[1]->keys.x_pk));
	roster_destroy(roster);
	roster_destroy(apart);
}

static void good_a_member_may_leave_but_remove_nobody(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct fail fail = { 0 };
	add(roster, 0, 1, ROLE_WORKER);
	add(roster, 0, 2, ROLE_WORKER);
	assert_int_equal(roster_remove(roster, devices[1], &devices[2]->keys.id, &fail),
			 -FAIL_DENIED);
	assert_int_equal(roster_remove(roster, devices[1], &devices[7]->keys.id, &fail),
			 -FAIL_NOT_FOUND);
	take_out(roster, 1, 1);
	assert_false(has(roster, 1));
	assert_true(has(roster, 2));
	assert_true(roster_is_removed(roster, &devices[1]->keys.id));
	roster_destroy(roster);
}

/* The admin that leaves does not take those with it whom it let in. */
static void good_whom_a_leaving_admin_added_stays(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	add(roster, 0, 1, ROLE_ADMIN);
	add(roster, 1, 2, ROLE_WORKER);
	take_out(roster, 1, 1);
	assert_true(has(roster, 2));
	take_out(roster, 0, 0);
	assert_true(has(roster, 2));
	assert_int_equal(roster_count(roster), 1);
	assert_int_equal(roster_admins(roster), 0);
	roster_destroy(roster);
}

static void bad_removed_admin_adds_later_or_back_dated(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	uint8_t later[STATEMENT_BYTES], dated_back[STATEMENT_BYTES], below[STATEMENT_BYTES];
	add(roster, 0, 1, ROLE_ADMIN);
	add(roster, 1, 2, ROLE_WORKER);
	add(roster, 1, 3, ROLE_WORKER);
	take_out(roster, 0, 1);
	forge_add(later, roster, 1, 7, 3, statement_at(roster, 1, 2));
	forge_add(dated_back, roster, 1, 7, 2, statement_at(roster, 1, 1));
	forge_add(below, roster, 7, 6, 1, NULL); /* by whom those would make an admin */
	roster_merge(roster, later, 1, NULL, NULL, NULL);
	roster_merge(roster, dated_back, 1, NULL, NULL, NULL);
	roster_merge(roster, below, 1, NULL, NULL, NULL);
	assert_false(has(roster, 7));
	assert_false(has(roster, 6));
	assert_true(has(roster, 2)); /* added before the cut */
	assert_true(has(roster, 3));
	roster_destroy(roster);
}

static void good_the_earlier_of_two_cuts_counts(void **state)
{
	struct roster *first = roster_found(devices[0], "desk");
	add(first, 0, 1, ROLE_ADMIN);
	add(first, 0, 4, ROLE_ADMIN);
	add(first, 1, 2, ROLE_WORKER);
	struct roster *second = copy(first);
	take_out(first, 0, 1); /* has seen one statement of laptop */
	add(second, 1, 3, ROLE_WORKER);
	take_out(second, 4, 1); /* has seen two */
	assert_true(has(second, 3));
	merge(second, first);
	merge(first, second);
	assert_true(same(first, second));
	assert_true(has(first, 2));
	assert_false(has(first, 3));
	assert_false(has(second, 3));
	assert_false(roster_is_removed(second, &devices[3]->keys.id)); /* may be added again */
	add(second, 4, 3, ROLE_WORKER);
	assert_true(has(second, 3));
	roster_destroy(first);
	roster_destroy(second);
}

static void ugly_two_admins_remove_each_other(void **state)
{
	struct roster *left = roster_found(devices[0], "desk");
	add(left, 0, 1, ROLE_ADMIN);
	add(left, 0, 2, ROLE_ADMIN);
	struct roster *right = copy(left);
	take_out(left, 1, 2);
	take_out(right, 2, 1);
	merge(left, right);
	merge(right, left);
	assert_true(same(left, right));
	for (int i = 1; i <= 2; i++) {
		assert_false(has(left, i));
		assert_false(has(right, i));
	}
	assert_true(has(left, 0));
	roster_destroy(left);
	roster_destroy(right);
}

/* desk removes nas; elsewhere laptop removed desk before. Nas stays out: closed doors stay closed.
 */
static void good_a_remove_outlives_the_removal_of_its_author(void **state)
{
	struct roster *left = roster_found(devices[0], "desk");
	add(left, 0, 1, ROLE_ADMIN);
	add(left, 0, 3, ROLE_WORKER);
	struct roster *right = copy(left);
	take_out(left, 0, 3);
	take_out(right, 1, 0);
	merge(right, left);
	assert_false(has(right, 0));
	assert_false(has(right, 3));
	assert_true(has(right, 1));
	roster_destroy(left);
	roster_destroy(right);
}

static void good_a_statement_waits_for_those_before_it(void **state)
{
	struct roster *whole = roster_found(devices[0], "desk");
	add(whole, 0, 1, ROLE_ADMIN);
	add(whole, 1, 2, ROLE_WORKER);
	struct roster *part = roster_create(roster_home_id(whole));
	bool changed;
	roster_merge(part, statement_at(whole, 1, 1), 1, &changed, NULL, NULL);
	assert_true(changed);
	assert_int_equal(roster_count(part), 0);
	roster_merge(part, statement_at(whole, 0, 2), 1, &changed, NULL, NULL);
	assert_int_equal(roster_count(part), 0);
	roster_merge(part, statement_at(whole, 0, 1), 1, &changed, NULL, NULL);
	assert_int_equal(roster_count(part), 3);
	roster_merge(part, statement_at(whole, 0, 1), 1, &changed, NULL, NULL);
	assert_false(changed);
	assert_true(same(whole, part));
	roster_destroy(whole);
	roster_destroy(part);
}

/* Also a REMOVE, and also when only a statement further down is missing. */
static void good_a_chain_with_a_hole_says_nothing(void **state)
{
	struct roster *whole = roster_found(devices[0], "desk");
	add(whole, 0, 1, ROLE_WORKER);
	struct roster *part = copy(whole);
	add(whole, 0, 2, ROLE_WORKER);
	add(whole, 0, 3, ROLE_WORKER);
	take_out(whole, 0, 1);
	roster_merge(part, statement_at(whole, 0, 5), 1, NULL, NULL, NULL);
	roster_merge(part, statement_at(whole, 0, 4), 1, NULL, NULL, NULL);
	assert_true(has(part, 1));
	assert_false(roster_is_removed(part, &devices[1]->keys.id));
	assert_false(has(part, 3));
	roster_merge(part, statement_at(whole, 0, 3), 1, NULL, NULL, NULL);
	assert_false(has(part, 1));
	assert_true(has(part, 3));
	assert_true(same(whole, part));
	roster_destroy(whole);
	roster_destroy(part);
}

static void bad_forgeries_are_refused(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct roster *elsewhere = roster_found(devices[7], "thief");
	uint8_t bytes[STATEMENT_BYTES];
	uint32_t count, refused;
	bool changed;
	add(roster, 0, 1, ROLE_ADMIN);
	/* another home's root */
	const uint8_t *root = roster_statements(elsewhere, &count);
	assert_int_equal(roster_merge(roster, root, 1, &changed, &refused, NULL), 0);
	assert_int_equal(refused, 1);
	/* every byte of a good one, changed */
	for (size_t i = 0; i < STATEMENT_BYTES; i++) {
		memcpy(bytes, statement_at(roster, 0, 2), STATEMENT_BYTES);
		bytes[i] ^= 0x40;
		assert_int_equal(roster_merge(roster, bytes, 1, &changed, &refused, NULL), 0);
		assert_int_equal(refused, 1);
		assert_false(changed);
	}
	/* a stranger adds itself to our home: well signed, of no effect */
	forge_add(bytes, roster, 7, 7, 1, NULL);
	roster_merge(roster, bytes, 1, &changed, &refused, NULL);
	assert_int_equal(refused, 0);
	assert_false(has(roster, 7));
	struct statement removal = { .kind = STATEMENT_REMOVE, .subject = devices[0]->keys };
	forge(bytes, &removal, roster, 7, 1, NULL);
	roster_merge(roster, bytes, 1, &changed, &refused, NULL);
	assert_true(has(roster, 0));
	assert_false(roster_is_removed(roster, &devices[0]->keys.id));
	assert_int_equal(roster_count(roster), 2);
	roster_destroy(roster);
	roster_destroy(elsewhere);
}

/* The founder's key alone makes no second root: the home id holds the nonce. */
static void bad_a_second_root(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct statement root;
	uint8_t bytes[STATEMENT_BYTES];
	statement_found(&root, devices[0], "desk");
	memcpy(root.home, roster_home_id(roster), HOME_ID_BYTES);
	statement_sign(&root, devices[0]);
	statement_encode(&root, bytes);
	struct roster *fresh = roster_create(roster_home_id(roster));
	roster_merge(fresh, bytes, 1, NULL, NULL, NULL);
	assert_int_equal(roster_count(fresh), 0);
	roster_destroy(fresh);
	roster_destroy(roster);
}

static void ugly_added_twice_at_once_takes_the_stronger_role(void **state)
{
	for (int strong = 0; strong < 2; strong++) { /* whichever comes first in the set */
		struct roster *left = roster_found(devices[0], "desk");
		add(left, 0, 1, ROLE_ADMIN);
		struct roster *right = copy(left);
		add(left, 0, 2, strong ? ROLE_WORKER : ROLE_ADMIN);
		add(right, 1, 2, strong ? ROLE_ADMIN : ROLE_WORKER);
		merge(left, right);
		merge(right, left);
		assert_int_equal(roster_count(left), 3);
		assert_int_equal(roster_find(left, &devices[2]->keys.id)->role, ROLE_ADMIN);
		assert_int_equal(roster_find(right, &devices[2]->keys.id)->role, ROLE_ADMIN);
		roster_destroy(left);
		roster_destroy(right);
	}
}

static void bad_half_a_removed_key_comes_back(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct fail fail = { 0 };
	struct device_keys mixed;
	add(roster, 0, 1, ROLE_WORKER);
	take_out(roster, 0, 1);
	device_keys_set(&mixed, devices[2]->keys.ed_pk, devices[1]->keys.x_pk);
	assert_int_equal(roster_add(roster, devices[0], &mixed, ROLE_WORKER, "mixed", &fail),
			 -FAIL_INVALID);
	device_keys_set(&mixed, devices[1]->keys.ed_pk, devices[2]->keys.x_pk);
	assert_int_equal(roster_add(roster, devices[0], &mixed, ROLE_WORKER, "mixed", &fail),
			 -FAIL_INVALID);
	roster_destroy(roster);
}

static void good_credentials_admit_whom_nobody_told_of(void **state)
{
	struct roster *member = roster_found(devices[0], "desk");
	add(member, 0, 1, ROLE_ADMIN);
	struct roster *late = copy(member);
	add(member, 0, 2, ROLE_WORKER);
	add(member, 0, 3, ROLE_WORKER);

	uint8_t carried[4 * STATEMENT_BYTES];
	bool changed;
	const uint8_t *x_pk = devices[3]->keys.x_pk;
	assert_null(roster_admit(late, x_pk, NULL, 0, &changed));
	const uint32_t one = roster_credentials(member, &devices[3]->keys.id, carried, 1);
	assert_int_equal(one, 1);
	assert_null(roster_admit(late, x_pk, carried, one, &changed)); /* a gap before it */
	assert_false(changed);
	assert_int_equal(roster_count(late), 2);
	const uint32_t all = roster_credentials(member, &devices[3]->keys.id, carried, 4);
	assert_int_equal(all, 4);
	assert_null(roster_admit(late, devices[7]->keys.x_pk, carried, all, &changed));
	assert_false(changed);
	const struct member *admitted = roster_admit(late, x_pk, carried, all, &changed);
	assert_non_null(admitted);
	assert_true(changed);
	assert_string_equal(admitted->name, "nas");
	assert_true(same(member, late));
	assert_int_equal(roster_credentials(member, &devices[7]->keys.id, carried, 4), 0);
	roster_destroy(member);
	roster_destroy(late);
}

static void good_state_file_round_trip(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct fail fail = { 0 };
	struct buf file;
	add(roster, 0, 1, ROLE_ADMIN);
	add(roster, 1, 2, ROLE_WORKER);
	take_out(roster, 0, 2);
	buf_init(&file);
	roster_encode(roster, &file);
	struct roster *again = roster_decode(file.data, file.size, &fail);
	assert_non_null(again);
	assert_true(same(roster, again));
	assert_int_equal(roster_count(again), 2);
	assert_true(roster_is_removed(again, &devices[2]->keys.id));
	roster_destroy(again);
	for (size_t size = 0; size < file.size; size += 7) {
		assert_null(roster_decode(file.data, size, &fail));
		assert_int_equal(fail.code, FAIL_CORRUPT);
	}
	for (size_t i = 0; i < file.size; i += 5) {
		file.data[i] ^= 1;
		assert_null(roster_decode(file.data, file.size, &fail));
		assert_int_equal(fail.code, FAIL_CORRUPT);
		file.data[i] ^= 1;
	}
	buf_finish(&file);
	roster_destroy(roster);
}

/* One author is worth ROSTER_AUTHOR_MAX statements, strangers only what is left over. */
static void bad_floods_end_at_the_caps(void **state)
{
	struct roster *roster = roster_found(devices[0], "desk");
	struct fail fail = { 0 };
	uint8_t previous[STATEMENT_BYTES], next[STATEMENT_BYTES];
	add(roster, 0, 1, ROLE_ADMIN);
	int result = 0;
	for (uint32_t author = 2; author < 6 && result == 0; author++) { /* strangers */
		for (uint64_t i = 1; i <= ROSTER_AUTHOR_MAX && result == 0; i++) {
			forge_add(next, roster, (int)author, 7, i, i > 1 ? previous : NULL);
			result = roster_merge(roster, next, 1, NULL, NULL, &fail);
			memcpy(previous, next, sizeof(next));
		}
	}
	uint32_t count;
	assert_int_equal(result, 0); /* the newest pushes out older ones */
	roster_statements(roster, &count);
	assert_int_equal(count, ROSTER_STATEMENTS_MAX - ROSTER_REMOVES_RESERVED);
	assert_int_equal(roster_count(roster), 2);
	add(roster, 0, 6, ROLE_WORKER);
	take_out(roster, 0, 6);
	assert_true(roster_is_removed(roster, &devices[6]->keys.id));
	roster_statements(roster, &count);
	assert_true(count <= ROSTER_STATEMENTS_MAX);

	memcpy(previous, statement_at(roster, 0, 4), sizeof(previous));
	for (uint64_t i = 5; i <= ROSTER_AUTHOR_MAX; i++) {
		forge_add(next, roster, 0, 1, i, previous);
		assert_int_equal(roster_merge(roster, next, 1, NULL, NULL, &fail), 0);
		memcpy(previous, next, sizeof(next));
	}
	forge_add(next, roster, 0, 1, ROSTER_AUTHOR_MAX + 1, previous);
	assert_int_equal(roster_merge(roster, next, 1, NULL, NULL, &fail), -FAIL_SPACE);
	roster_destroy(roster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_fresh_device_is_a_home_of_one),
		cmocka_unit_test(good_admins_add_and_others_do_not),
		cmocka_unit_test(good_removed_stays_out),
		cmocka_unit_test(good_a_member_may_leave_but_remove_nobody),
		cmocka_unit_test(good_whom_a_leaving_admin_added_stays),
		cmocka_unit_test(bad_removed_admin_adds_later_or_back_dated),
		cmocka_unit_test(good_the_earlier_of_two_cuts_counts),
		cmocka_unit_test(ugly_two_admins_remove_each_other),
		cmocka_unit_test(good_a_remove_outlives_the_removal_of_its_author),
		cmocka_unit_test(good_a_statement_waits_for_those_before_it),
		cmocka_unit_test(good_a_chain_with_a_hole_says_nothing),
		cmocka_unit_test(bad_forgeries_are_refused),
		cmocka_unit_test(bad_a_second_root),
		cmocka_unit_test(ugly_added_twice_at_once_takes_the_stronger_role),
		cmocka_unit_test(bad_half_a_removed_key_comes_back),
		cmocka_unit_test(good_credentials_admit_whom_nobody_told_of),
		cmocka_unit_test(good_state_file_round_trip),
		cmocka_unit_test(bad_floods_end_at_the_caps),
	};
	return cmocka_run_group_tests_name("roster", tests, make_devices, drop_devices);
}
