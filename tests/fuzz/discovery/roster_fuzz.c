/* Sets of statements as no honest home has them: chains that fork, cuts into nowhere, authors out
 * of nothing. Signatures are left out, for no input would get past them: each 8 bytes describe one
 * statement among eight devices, after the founder's own. The file format is tried with the raw
 * bytes. */
#include "discovery/roster.h"
#include "discovery/verdict.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES        8
#define STATEMENTS_MAX 48
#define RECIPE_BYTES   8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct set {
	struct verdict verdicts[STATEMENTS_MAX];
	struct author authors[STATEMENTS_MAX];
	uint32_t count;
};

/* The founder is device 0, with real keys: its root cannot be made up. */
static const struct statement *founding(void)
{
	static const uint8_t seed[KEY_BYTES] = { 1 };
	static struct statement root;
	if (root.counter == 0) {
		struct identity *founder = identity_from_seed(seed, NULL);
		assert(founder);
		statement_found(&root, founder, "founder");
		identity_destroy(founder);
	}
	return &root;
}

static void set_keys(uint8_t ed_pk[KEY_BYTES], uint8_t device)
{
	if (device == 0)
		memcpy(ed_pk, founding()->author, KEY_BYTES);
	else
		memset(ed_pk, device, KEY_BYTES);
}

static void add(struct set *set, const struct statement *statement)
{
	struct verdict *at = &set->verdicts[set->count++];
	uint8_t bytes[STATEMENT_BYTES];
	memset(at, 0, sizeof(*at));
	at->statement = *statement;
	statement_encode(statement, bytes);
	statement_hash(bytes, at->hash);
}

/* Recipe: kind and role, author, subject, counter, previous, cut, unused, salt. */
static void cook(struct set *set, const uint8_t recipe[RECIPE_BYTES])
{
	struct statement statement = { .counter = 1 + recipe[3] % 8 };
	const struct verdict *previous = &set->verdicts[recipe[4] % set->count];
	const struct verdict *cut = &set->verdicts[recipe[5] % set->count];
	statement.kind = recipe[0] & 1 ? STATEMENT_REMOVE : STATEMENT_ADD;
	statement.role = statement.kind == STATEMENT_ADD ? recipe[0] / 2 % 3 : 0;
	memcpy(statement.home, founding()->home, HOME_ID_BYTES);
	set_keys(statement.author, recipe[1] % DEVICES);
	set_keys(statement.subject.ed_pk, recipe[2] % DEVICES);
	statement.signature[0] = recipe[7];
	if (recipe[4] != 0)
		memcpy(statement.previous, previous->hash, STATEMENT_HASH_BYTES);
	if (recipe[5] != 0 && statement.kind == STATEMENT_REMOVE) {
		statement.cut_counter = cut->statement.counter;
		memcpy(statement.cut_hash, cut->hash, STATEMENT_HASH_BYTES);
	}
	add(set, &statement);
}

static int compare(const void *a, const void *b)
{
	return verdict_compare(a, b);
}

static void reach(struct set *set)
{
	qsort(set->verdicts, set->count, sizeof(set->verdicts[0]), compare);
	const uint32_t n_authors =
		verdict_reach(set->verdicts, set->count, founding()->home, set->authors);
	assert(n_authors <= set->count);
	for (uint32_t i = 0; i < set->count; i++) {
		const struct verdict *at = &set->verdicts[i];
		assert(at->parent < (int32_t)i);
		assert(at->parent < 0 || set->verdicts[at->parent].group == at->group);
		assert(!at->stands || at->linked);
		assert(!at->stands || at->statement.kind == STATEMENT_REMOVE || at->kept);
	}
}

static const struct verdict *find(const struct set *set, const struct verdict *wanted)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (memcmp(set->verdicts[i].hash, wanted->hash, STATEMENT_HASH_BYTES) == 0)
			return &set->verdicts[i];
	return NULL;
}

/* One statement more never undoes a REMOVE. */
static void check_set(const uint8_t *data, size_t size)
{
	static struct set less, more;
	less.count = 0;
	add(&less, founding());
	for (; less.count < STATEMENTS_MAX - 1 && size >= RECIPE_BYTES; size -= RECIPE_BYTES) {
		cook(&less, data);
		data += RECIPE_BYTES;
	}
	more = less;
	less.count -= less.count > 1; /* the last one cooked */
	reach(&less);
	reach(&more);
	for (uint32_t i = 0; i < less.count; i++) {
		const struct verdict *at = &less.verdicts[i];
		if (at->statement.kind == STATEMENT_REMOVE && at->stands)
			assert(find(&more, at)->stands);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_set(data, size);
	roster_destroy(roster_decode(data, size, NULL));
	return 0;
}
