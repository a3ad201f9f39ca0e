#include "discovery/gossip.h"

#include "proto/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES 4

static struct identity *devices[DEVICES];

static int make_devices(void **state)
{
	for (uint8_t i = 0; i < DEVICES; i++) {
		uint8_t seed[KEY_BYTES] = { (uint8_t)(i + 1), 3 };
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

/* One device's store, with the members it knows of. */
struct desk {
	struct identity *self;
	bool members[DEVICES];
	struct gossip *gossip;
	struct gossip_cursor sending, receiving;
};

static int index_of(const struct device_id *id)
{
	for (int i = 0; i < DEVICES; i++)
		if (device_id_equal(&devices[i]->keys.id, id))
			return i;
	return -1;
}

static bool is_member(void *context, const struct device_id *origin)
{
	const struct desk *desk = context;
	const int index = index_of(origin);
	return index >= 0 && desk->members[index];
}

static bool verify(void *context, const struct fact *fact)
{
	const int index = index_of(&fact->origin);
	return index >= 0 && fact_verify(fact, devices[index]->keys.ed_pk);
}

static void sign(void *context, struct fact *fact)
{
	const struct desk *desk = context;
	fact_sign(fact, desk->self);
}

static void desk_init(struct desk *desk, int device)
{
	memset(desk, 0, sizeof(*desk));
	desk->self = devices[device];
	for (int i = 0; i < DEVICES - 1; i++) /* the last one is a stranger */
		desk->members[i] = true;
	const struct gossip_rules rules = { is_member, verify, sign, desk };
	desk->gossip = gossip_create(&desk->self->keys.id, &rules);
	assert_non_null(desk->gossip);
	gossip_reserve(desk->gossip, 0, GOSSIP_VERSION_BLOCK);
}

static void desk_finish(struct desk *desk)
{
	gossip_destroy(desk->gossip);
}

static void put(struct desk *desk, enum fact_kind kind, uint64_t key, const char *text)
{
	struct fail fail = { 0 };
	bool changed = false;
	if (gossip_put(desk->gossip, kind, key, text, strlen(text), &changed, &fail) != 0)
		fail_msg("%s", fail.text);
	assert_true(changed);
}

static const struct fact *get(const struct desk *desk, int origin, enum fact_kind kind,
			      uint64_t key)
{
	return gossip_get(desk->gossip, &devices[origin]->keys.id, kind, key);
}

static void assert_text(const struct fact *fact, const char *text)
{
	assert_non_null(fact);
	assert_int_equal(fact->size, strlen(text));
	assert_memory_equal(fact->bytes, text, fact->size);
}

static void deliver(void *context, const struct fact *fact)
{
	struct desk *to = context;
	assert_int_not_equal(gossip_merge(to->gossip, fact), GOSSIP_MERGE_REFUSED);
}

/* `from` says what it has; `to` answers with what is newer. Gives the number of digest messages. */
static int reconcile(struct desk *asking, struct desk *answering)
{
	static struct message_digest digest;
	struct fail fail;
	int messages = 0;
	memset(&asking->sending, 0, sizeof(asking->sending));
	while (gossip_digest(asking->gossip, &asking->sending, &digest)) {
		assert_int_equal(gossip_compare(answering->gossip, &answering->receiving, &digest,
						deliver, asking, &fail),
				 0);
		messages++;
	}
	assert_false(answering->receiving.started); /* ready for the next digest */
	return messages;
}

static void good_own_facts(void **state)
{
	struct desk desk;
	bool changed;
	struct fail fail;
	desk_init(&desk, 0);
	assert_null(get(&desk, 0, FACT_PROFILE, 0));
	put(&desk, FACT_PROFILE, 0, "fast");
	assert_text(get(&desk, 0, FACT_PROFILE, 0), "fast");
	const uint64_t version = get(&desk, 0, FACT_PROFILE, 0)->version;
	assert_true(version >= 1);
	assert_int_equal(gossip_put(desk.gossip, FACT_PROFILE, 0, "fast", 4, &changed, &fail), 0);
	assert_false(changed); /* the same again is no news */
	put(&desk, FACT_PROFILE, 0, "slow");
	assert_true(get(&desk, 0, FACT_PROFILE, 0)->version > version);
	assert_true(verify(&desk, get(&desk, 0, FACT_PROFILE, 0)));
	put(&desk, FACT_MODEL, 7, "seven");
	assert_int_equal(gossip_count(desk.gossip), 2);
	assert_int_equal(gossip_bytes(desk.gossip), 9);

	assert_int_equal(gossip_withdraw(desk.gossip, FACT_MODEL, 7, &fail), 0);
	assert_null(get(&desk, 0, FACT_MODEL, 7));
	const struct fact *gone = gossip_raw(desk.gossip, &desk.self->keys.id, FACT_MODEL, 7);
	assert_non_null(gone);
	assert_int_equal(gone->size, 0);
	assert_null(gossip_next(desk.gossip, FACT_MODEL, NULL));
	desk_finish(&desk);
}

static void good_versions_come_from_reserved_blocks(void **state)
{
	struct desk desk;
	struct fail fail;
	desk_init(&desk, 0);
	gossip_destroy(desk.gossip);
	const struct gossip_rules rules = { is_member, verify, sign, &desk };
	desk.gossip = gossip_create(&desk.self->keys.id, &rules);
	assert_int_equal(gossip_put(desk.gossip, FACT_LOAD, 0, "a", 1, NULL, &fail), -FAIL_BUSY);
	gossip_reserve(desk.gossip, 100, 102);
	assert_int_equal(gossip_versions_left(desk.gossip), 2);
	put(&desk, FACT_LOAD, 0, "a");
	assert_int_equal(get(&desk, 0, FACT_LOAD, 0)->version, 100);
	put(&desk, FACT_LOAD, 0, "b");
	assert_int_equal(gossip_put(desk.gossip, FACT_LOAD, 0, "c", 1, NULL, &fail), -FAIL_BUSY);
	assert_text(get(&desk, 0, FACT_LOAD, 0), "b");
	gossip_reserve(desk.gossip, 50, 300); /* never falls */
	put(&desk, FACT_LOAD, 0, "c");
	assert_int_equal(get(&desk, 0, FACT_LOAD, 0)->version, 102);
	assert_int_equal(gossip_version(desk.gossip), 103);
	desk_finish(&desk);
}

static void good_newer_wins_in_any_order(void **state)
{
	struct desk from, to;
	struct fact first, second;
	desk_init(&from, 0);
	desk_init(&to, 1);
	put(&from, FACT_LOAD, 0, "one");
	first = *get(&from, 0, FACT_LOAD, 0);
	first.bytes = (const uint8_t *)"one";
	put(&from, FACT_LOAD, 0, "second");
	second = *get(&from, 0, FACT_LOAD, 0);
	assert_int_equal(gossip_merge(to.gossip, &second), GOSSIP_MERGE_NEWS);
	assert_int_equal(gossip_merge(to.gossip, &first), GOSSIP_MERGE_KNOWN);
	assert_int_equal(gossip_merge(to.gossip, &second), GOSSIP_MERGE_KNOWN);
	assert_text(get(&to, 0, FACT_LOAD, 0), "second");
	assert_ptr_not_equal(get(&to, 0, FACT_LOAD, 0)->bytes, second.bytes); /* a copy */
	desk_finish(&from);
	desk_finish(&to);
}

static void bad_strangers_and_forgeries(void **state)
{
	struct desk stranger, member, to;
	desk_init(&stranger, DEVICES - 1);
	desk_init(&member, 0);
	desk_init(&to, 1);
	put(&stranger, FACT_PROFILE, 0, "hello");
	assert_int_equal(gossip_merge(to.gossip, get(&stranger, DEVICES - 1, FACT_PROFILE, 0)),
			 GOSSIP_MERGE_REFUSED);
	put(&member, FACT_PROFILE, 0, "honest");
	const struct fact honest = *get(&member, 0, FACT_PROFILE, 0);
	struct fact forged = honest;
	forged.version++; /* an old fact told as new */
	assert_int_equal(gossip_merge(to.gossip, &forged), GOSSIP_MERGE_REFUSED);
	forged = honest;
	forged.bytes = (const uint8_t *)"broken";
	assert_int_equal(gossip_merge(to.gossip, &forged), GOSSIP_MERGE_REFUSED);
	forged = honest;
	forged.kind = FACT_LOAD;
	assert_int_equal(gossip_merge(to.gossip, &forged), GOSSIP_MERGE_REFUSED);
	forged = honest;
	forged.origin = devices[2]->keys.id;
	assert_int_equal(gossip_merge(to.gossip, &forged), GOSSIP_MERGE_REFUSED);
	forged = honest;
	forged.version = 0;
	assert_int_equal(gossip_merge(to.gossip, &forged), GOSSIP_MERGE_REFUSED);
	assert_int_equal(gossip_count(to.gossip), 0);
	assert_int_equal(gossip_merge(to.gossip, &honest), GOSSIP_MERGE_NEWS);
	desk_finish(&stranger);
	desk_finish(&member);
	desk_finish(&to);
}

/* The state file was lost, the identity not: what we said before lives on at others. */
static void good_old_words_of_ours_are_refuted(void **state)
{
	struct desk before, after, other;
	desk_init(&before, 0);
	desk_init(&after, 0);
	desk_init(&other, 1);
	gossip_reserve(before.gossip, 500, 600);
	put(&before, FACT_PROFILE, 0, "old");
	put(&before, FACT_MODEL, 9, "deleted since");
	put(&after, FACT_PROFILE, 0, "new");
	deliver(&other, get(&before, 0, FACT_PROFILE, 0));
	deliver(&other, get(&before, 0, FACT_MODEL, 9));

	const struct fact *old = get(&other, 0, FACT_PROFILE, 0);
	assert_int_equal(gossip_merge(after.gossip, old), GOSSIP_MERGE_REFUTED);
	assert_text(get(&after, 0, FACT_PROFILE, 0), "new");
	assert_int_equal(gossip_merge(after.gossip, get(&other, 0, FACT_MODEL, 9)),
			 GOSSIP_MERGE_REFUTED);
	assert_int_equal(gossip_merge(after.gossip, get(&other, 0, FACT_MODEL, 9)),
			 GOSSIP_MERGE_KNOWN);
	reconcile(&other, &after);
	assert_text(get(&other, 0, FACT_PROFILE, 0), "new");
	assert_null(get(&other, 0, FACT_MODEL, 9));

	struct fact forged = *get(&after, 0, FACT_PROFILE, 0); /* only we may make us speak */
	forged.version += 10;
	const uint64_t version = gossip_version(after.gossip);
	assert_int_equal(gossip_merge(after.gossip, &forged), GOSSIP_MERGE_REFUSED);
	assert_int_equal(gossip_version(after.gossip), version);
	desk_finish(&before);
	desk_finish(&after);
	desk_finish(&other);
}

static void good_refuting_without_versions_waits_for_a_block(void **state)
{
	struct desk before, after;
	desk_init(&before, 0);
	desk_init(&after, 0);
	gossip_reserve(before.gossip, 10 * GOSSIP_VERSION_BLOCK, 11 * GOSSIP_VERSION_BLOCK);
	put(&before, FACT_PROFILE, 0, "old");
	const struct fact *old = get(&before, 0, FACT_PROFILE, 0);
	assert_int_equal(gossip_merge(after.gossip, old), GOSSIP_MERGE_KNOWN);
	assert_int_equal(gossip_versions_left(after.gossip), 0);
	gossip_reserve(after.gossip, 0, gossip_version(after.gossip) + GOSSIP_VERSION_BLOCK);
	put(&after, FACT_PROFILE, 0, "new");
	assert_true(get(&after, 0, FACT_PROFILE, 0)->version > old->version);
	desk_finish(&before);
	desk_finish(&after);
}

static void good_digests_bring_only_what_is_newer(void **state)
{
	struct desk left, right;
	desk_init(&left, 0);
	desk_init(&right, 1);
	assert_int_equal(reconcile(&left, &right), 1);
	put(&left, FACT_PROFILE, 0, "left");
	put(&left, FACT_MODEL, 1, "one");
	put(&right, FACT_PROFILE, 0, "right");
	put(&right, FACT_MODEL, 2, "two");
	reconcile(&left, &right);
	reconcile(&right, &left);
	for (int i = 0; i < 2; i++) {
		const struct desk *desk = i ? &right : &left;
		assert_int_equal(gossip_count(desk->gossip), 4);
		assert_text(get(desk, 0, FACT_PROFILE, 0), "left");
		assert_text(get(desk, 1, FACT_MODEL, 2), "two");
	}
	const struct fact *at = NULL;
	int found = 0;
	while ((at = gossip_next(left.gossip, FACT_PROFILE, at)))
		found++;
	assert_int_equal(found, 2);
	desk_finish(&left);
	desk_finish(&right);
}

static void count_fact(void *context, const struct fact *fact)
{
	int *count = context;
	(*count)++;
}

/* More facts than a message holds: the parts of a digest fit together without gap or overlap. */
static void good_long_digests(void **state)
{
	struct desk from[3], to;
	static struct message_digest digest;
	struct fail fail;
	desk_init(&to, 1);
	uint32_t total = 0;
	for (int i = 0; i < 3; i += 2) {
		desk_init(&from[i], i);
		for (uint64_t key = 0; key < GOSSIP_ORIGIN_FACTS_MAX; key++, total++) {
			put(&from[i], FACT_MODEL, key * 3, "x");
			deliver(&to, get(&from[i], i, FACT_MODEL, key * 3));
		}
	}
	for (uint64_t key = 0; key < GOSSIP_ORIGIN_FACTS_MAX; key++, total++)
		put(&to, FACT_MODEL, key, "y");
	assert_int_equal(gossip_count(to.gossip), total);

	/* the first device knows its own 64 only: it is brought the other 128 */
	int brought = 0;
	memset(&from[0].sending, 0, sizeof(from[0].sending));
	while (gossip_digest(from[0].gossip, &from[0].sending, &digest))
		assert_int_equal(gossip_compare(to.gossip, &to.receiving, &digest, count_fact,
						&brought, &fail),
				 0);
	assert_int_equal(brought, 2 * GOSSIP_ORIGIN_FACTS_MAX);
	desk_finish(&from[0]);
	desk_finish(&from[2]);
	desk_finish(&to);
}

/* As above, but with a hand-made digest that ends exactly at the size of a message. */
static void ugly_a_digest_of_exactly_one_message(void **state)
{
	struct desk desk;
	static struct message_digest digest;
	struct fail fail;
	int brought = 0;
	desk_init(&desk, 1);
	put(&desk, FACT_MODEL, GOSSIP_FACTS_MAX - 1, "listed");
	put(&desk, FACT_MODEL, GOSSIP_FACTS_MAX, "behind");
	digest.n_facts = GOSSIP_FACTS_MAX;
	for (uint32_t i = 0; i < GOSSIP_FACTS_MAX; i++)
		digest.facts[i] = (struct fact){
			.origin = desk.self->keys.id, .kind = FACT_MODEL, .key = i, .version = 1000
		};
	assert_int_equal(
		gossip_compare(desk.gossip, &desk.receiving, &digest, count_fact, &brought, &fail),
		0);
	assert_int_equal(brought, 0);
	digest.n_facts = 0;
	assert_int_equal(
		gossip_compare(desk.gossip, &desk.receiving, &digest, count_fact, &brought, &fail),
		0);
	assert_int_equal(brought, 1);
	desk_finish(&desk);
}

static void bad_digests_out_of_order(void **state)
{
	struct desk desk;
	static struct message_digest digest;
	struct fail fail;
	int brought = 0;
	desk_init(&desk, 1);
	digest.n_facts = 2;
	digest.facts[0] = (struct fact){ .kind = FACT_MODEL, .key = 5, .version = 1 };
	digest.facts[1] = (struct fact){ .kind = FACT_MODEL, .key = 5, .version = 2 };
	assert_int_equal(
		gossip_compare(desk.gossip, &desk.receiving, &digest, count_fact, &brought, &fail),
		-FAIL_INVALID);
	digest.facts[1].key = 4;
	assert_int_equal(
		gossip_compare(desk.gossip, &desk.receiving, &digest, count_fact, &brought, &fail),
		-FAIL_INVALID);
	digest.n_facts = GOSSIP_FACTS_MAX + 1;
	assert_int_equal(
		gossip_compare(desk.gossip, &desk.receiving, &digest, count_fact, &brought, &fail),
		-FAIL_INVALID);
	desk_finish(&desk);
}

static void bad_an_origin_stays_within_its_caps(void **state)
{
	struct desk desk, other;
	struct fail fail;
	static uint8_t large[FACT_BYTES_MAX + 1];
	desk_init(&desk, 0);
	desk_init(&other, 1);
	assert_int_equal(gossip_put(desk.gossip, FACT_MODEL, 1, large, sizeof(large), NULL, &fail),
			 -FAIL_SPACE);
	for (uint64_t key = 0; key < 8; key++) {
		large[0] = (uint8_t)(key + 1);
		assert_int_equal(gossip_put(desk.gossip, FACT_MODEL, key, large, FACT_BYTES_MAX,
					    NULL, &fail),
				 0);
		deliver(&other, get(&desk, 0, FACT_MODEL, key));
	}
	assert_int_equal(gossip_put(desk.gossip, FACT_MODEL, 8, large, 1, NULL, &fail),
			 -FAIL_SPACE);
	assert_int_equal(gossip_put(desk.gossip, FACT_MODEL, 7, large, 1, NULL, &fail), 0);

	struct fact flood = { .origin = devices[0]->keys.id, /* signed well, and too much */
			      .kind = FACT_MODEL,
			      .key = 8,
			      .version = 9999,
			      .bytes = large,
			      .size = FACT_BYTES_MAX };
	fact_sign(&flood, devices[0]);
	assert_int_equal(gossip_merge(other.gossip, &flood), GOSSIP_MERGE_REFUSED);
	gossip_drop(other.gossip, &devices[0]->keys.id);
	assert_int_equal(gossip_count(other.gossip), 0);
	assert_int_equal(gossip_bytes(other.gossip), 0);
	for (uint64_t key = 0; key <= GOSSIP_ORIGIN_FACTS_MAX; key++) {
		flood.key = key;
		flood.size = 1;
		fact_sign(&flood, devices[0]);
		assert_int_equal(gossip_merge(other.gossip, &flood),
				 key < GOSSIP_ORIGIN_FACTS_MAX ? GOSSIP_MERGE_NEWS
							       : GOSSIP_MERGE_REFUSED);
	}
	desk_finish(&desk);
	desk_finish(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_own_facts),
		cmocka_unit_test(good_versions_come_from_reserved_blocks),
		cmocka_unit_test(good_newer_wins_in_any_order),
		cmocka_unit_test(bad_strangers_and_forgeries),
		cmocka_unit_test(good_old_words_of_ours_are_refuted),
		cmocka_unit_test(good_refuting_without_versions_waits_for_a_block),
		cmocka_unit_test(good_digests_bring_only_what_is_newer),
		cmocka_unit_test(good_long_digests),
		cmocka_unit_test(ugly_a_digest_of_exactly_one_message),
		cmocka_unit_test(bad_digests_out_of_order),
		cmocka_unit_test(bad_an_origin_stays_within_its_caps),
	};
	return cmocka_run_group_tests_name("gossip", tests, make_devices, drop_devices);
}
