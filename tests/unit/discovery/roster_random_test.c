/* Random histories of a home in up to four halves that hear of each other now and then: whatever
 * the order, all end with the same members, and who was removed anywhere is out everywhere. */
#include "discovery/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEVICES 8
#define HALVES  4
#define SEEDS   120
#define STEPS   40

static struct identity *devices[DEVICES];

static int make_devices(void **state)
{
	for (uint8_t i = 0; i < DEVICES; i++) {
		uint8_t seed[KEY_BYTES] = { (uint8_t)(i + 1), 9 };
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

static uint64_t rng;     /* xorshift64 */
static uint64_t running; /* the seed; printed when the test ends before its time */

static int tell_seed(void **state)
{
	if (running != 0)
		print_message("failed with seed %d\n", (int)running);
	return 0;
}

static uint32_t draw(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % below;
}

struct history {
	struct roster *halves[HALVES];
	bool removed[DEVICES];       /* somewhere */
	bool known[HALVES][DEVICES]; /* removal known there */
};

/* Mostly one that may. */
static uint32_t draw_author(const struct roster *roster)
{
	for (int i = 0; i < 4; i++) {
		const uint32_t device = draw(DEVICES);
		const struct member *member = roster_find(roster, &devices[device]->keys.id);
		if (member && member->role == ROLE_ADMIN)
			return device;
	}
	return draw(DEVICES);
}

static void step(struct history *history)
{
	const uint32_t half = draw(HALVES);
	struct roster *roster = history->halves[half];
	const uint32_t author = draw_author(roster), subject = draw(DEVICES);
	const struct device_keys *keys = &devices[subject]->keys;
	switch (draw(6)) {
	case 0:
	case 1:
	case 2:
		roster_add(roster, devices[author], keys, (enum device_role)draw(3), "x", NULL);
		break;
	case 3:
		if (roster_remove(roster, devices[author], &keys->id, NULL) == 0)
			history->removed[subject] = true;
		break;
	default: { /* a few statements of another half, not always with those before them */
		uint32_t count;
		const struct roster *from = history->halves[draw(HALVES)];
		const uint8_t *all = roster_statements(from, &count);
		const uint32_t first = draw(2) ? draw(count) : 0, n = 1 + draw(count - first);
		if (from != roster)
			roster_merge(roster, all + (size_t)first * STATEMENT_BYTES, n, NULL, NULL,
				     NULL);
		break;
	}
	}
	for (int i = 0; i < DEVICES; i++) {
		const struct device_id *id = &devices[i]->keys.id;
		const bool out = roster_is_removed(roster, id);
		assert_true(out || !history->known[half][i]); /* never forgotten */
		assert_false(out && roster_find(roster, id));
		history->known[half][i] = out;
	}
}

static void shuffle(uint8_t *statements, uint32_t count)
{
	uint8_t swap[STATEMENT_BYTES];
	for (uint32_t i = count; i > 1; i--) {
		uint8_t *a = statements + (size_t)(i - 1) * STATEMENT_BYTES;
		uint8_t *b = statements + (size_t)draw(i) * STATEMENT_BYTES;
		memcpy(swap, a, STATEMENT_BYTES);
		memcpy(a, b, STATEMENT_BYTES);
		memcpy(b, swap, STATEMENT_BYTES);
	}
}

static void assert_equal(const struct roster *a, const struct roster *b)
{
	uint8_t digest_a[ID_BYTES], digest_b[ID_BYTES];
	roster_digest(a, digest_a);
	roster_digest(b, digest_b);
	assert_memory_equal(digest_a, digest_b, ID_BYTES);
	assert_int_equal(roster_count(a), roster_count(b));
	for (uint32_t i = 0; i < roster_count(a); i++) {
		assert_true(device_id_equal(&roster_at(a, i)->keys.id, &roster_at(b, i)->keys.id));
		assert_int_equal(roster_at(a, i)->role, roster_at(b, i)->role);
	}
}

/* The union of all halves, statement by statement in a random order. */
static struct roster *reunite(const struct history *history)
{
	static uint8_t all[HALVES * (STEPS + 1) * STATEMENT_BYTES];
	uint32_t total = 0;
	for (int i = 0; i < HALVES; i++) {
		uint32_t count;
		const uint8_t *some = roster_statements(history->halves[i], &count);
		memcpy(all + (size_t)total * STATEMENT_BYTES, some,
		       (size_t)count * STATEMENT_BYTES);
		total += count;
	}
	shuffle(all, total);
	struct roster *roster = roster_create(roster_home_id(history->halves[0]));
	for (uint32_t i = 0; i < total;) {
		const uint32_t n = 1 + draw(total - i < 5 ? total - i : 5);
		assert_int_equal(roster_merge(roster, all + (size_t)i * STATEMENT_BYTES, n, NULL,
					      NULL, NULL),
				 0);
		i += n;
	}
	return roster;
}

static void play(uint64_t seed, uint32_t *members, uint32_t *removals)
{
	struct history history = { 0 };
	rng = seed * 0x9e3779b97f4a7c15u;
	history.halves[0] = roster_found(devices[0], "founder");
	uint32_t one;
	const uint8_t *root = roster_statements(history.halves[0], &one);
	for (int i = 1; i < HALVES; i++) {
		history.halves[i] = roster_create(roster_home_id(history.halves[0]));
		roster_merge(history.halves[i], root, one, NULL, NULL, NULL);
	}
	for (int i = 0; i < STEPS; i++)
		step(&history);

	struct roster *first = reunite(&history);
	for (int i = 0; i < 3; i++) {
		struct roster *again = reunite(&history);
		assert_equal(first, again);
		roster_destroy(again);
	}
	*members += roster_count(first);
	for (int i = 0; i < DEVICES; i++) {
		const struct device_id *id = &devices[i]->keys.id;
		*removals += history.removed[i];
		assert_int_equal(roster_is_removed(first, id), history.removed[i]);
		assert_false(history.removed[i] && roster_find(first, id));
	}
	roster_destroy(first);
	for (int i = 0; i < HALVES; i++)
		roster_destroy(history.halves[i]);
}

static void good_any_order_gives_the_same_home(void **state)
{
	uint32_t members = 0, removals = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		running = seed;
		play(seed, &members, &removals);
	}
	running = 0;
	assert_true(members > SEEDS); /* the histories were worth something */
	assert_true(removals > SEEDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(good_any_order_gives_the_same_home, tell_seed),
	};
	return cmocka_run_group_tests_name("roster, random", tests, make_devices, drop_devices);
}
