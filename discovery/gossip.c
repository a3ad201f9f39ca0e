#include "discovery/gossip.h"

#include <stdlib.h>
#include <string.h>

struct gossip {
	struct device_id self;
	struct gossip_rules rules;
	uint64_t version; /* the next to be used */
	uint64_t version_end;
	struct fact *facts; /* sorted by (origin, kind, key); bytes owned; no bytes: withdrawn */
	uint32_t count;
	uint32_t capacity;
};

/* ---- the store ---- */

static int compare_keys(const struct fact *a, const struct fact *b)
{
	const int order = device_id_compare(&a->origin, &b->origin);
	if (order != 0)
		return order;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return 0;
}

/* Index of the first fact that is not before `wanted`. */
static uint32_t place_of(const struct gossip *gossip, const struct fact *wanted)
{
	uint32_t low = 0, high = gossip->count;
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (compare_keys(&gossip->facts[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct fact *find(const struct gossip *gossip, const struct fact *wanted)
{
	const uint32_t place = place_of(gossip, wanted);
	if (place < gossip->count && compare_keys(&gossip->facts[place], wanted) == 0)
		return &gossip->facts[place];
	return NULL;
}

/* Would this origin stay within its caps with `fact` in the place of `old`? */
static bool fits(const struct gossip *gossip, const struct fact *fact, const struct fact *old)
{
	uint64_t bytes = fact->size;
	uint32_t facts = 1, origins = 1;
	for (uint32_t i = 0; i < gossip->count; i++) {
		const struct fact *at = &gossip->facts[i];
		const bool same = device_id_equal(&at->origin, &fact->origin);
		if (same && at != old) {
			facts++;
			bytes += at->size;
		}
		if (!same && (i == 0 || !device_id_equal(&at->origin, &at[-1].origin)))
			origins++;
	}
	return facts <= GOSSIP_ORIGIN_FACTS_MAX && bytes <= GOSSIP_ORIGIN_BYTES_MAX &&
	       origins <= GOSSIP_ORIGINS_MAX;
}

static bool reserve_place(struct gossip *gossip)
{
	if (gossip->count < gossip->capacity)
		return true;
	const uint32_t capacity = gossip->capacity ? 2 * gossip->capacity : 16;
	struct fact *facts = realloc(gossip->facts, capacity * sizeof(*facts));
	if (!facts)
		return false;
	gossip->facts = facts;
	gossip->capacity = capacity;
	return true;
}

/* Takes a copy of `fact`, whose caps were checked. */
static bool store(struct gossip *gossip, const struct fact *fact)
{
	uint8_t *bytes = NULL;
	if (fact->size > 0) {
		bytes = malloc(fact->size);
		if (!bytes)
			return false;
		memcpy(bytes, fact->bytes, fact->size);
	}
	struct fact *at = find(gossip, fact);
	if (!at && !reserve_place(gossip)) {
		free(bytes);
		return false;
	}
	if (at) {
		free((void *)(uintptr_t)at->bytes);
	} else {
		const uint32_t place = place_of(gossip, fact);
		at = &gossip->facts[place];
		memmove(at + 1, at, (gossip->count - place) * sizeof(*at));
		gossip->count++;
	}
	*at = *fact;
	at->bytes = bytes;
	return true;
}

struct gossip *gossip_create(const struct device_id *self, const struct gossip_rules *rules)
{
	struct gossip *gossip = calloc(1, sizeof(*gossip));
	if (!gossip)
		return NULL;
	gossip->self = *self;
	gossip->rules = *rules;
	return gossip;
}

void gossip_destroy(struct gossip *gossip)
{
	if (!gossip)
		return;
	for (uint32_t i = 0; i < gossip->count; i++)
		free((void *)(uintptr_t)gossip->facts[i].bytes);
	free(gossip->facts);
	free(gossip);
}

/* ---- own facts ---- */

void gossip_reserve(struct gossip *gossip, uint64_t first, uint64_t end)
{
	if (first == 0)
		first = 1; /* 0 is "none" */
	gossip->version = first > gossip->version ? first : gossip->version;
	gossip->version_end = end > gossip->version_end ? end : gossip->version_end;
}

uint64_t gossip_version(const struct gossip *gossip)
{
	return gossip->version;
}

uint64_t gossip_versions_left(const struct gossip *gossip)
{
	return gossip->version_end > gossip->version ? gossip->version_end - gossip->version : 0;
}

/* Signs with the next version and stores. */
static int publish(struct gossip *gossip, struct fact *fact, struct fail *fail)
{
	if (gossip_versions_left(gossip) == 0)
		return fail_set(fail, FAIL_BUSY, "no version number is reserved for a new fact");
	fact->version = gossip->version;
	gossip->rules.sign(gossip->rules.context, fact);
	if (!store(gossip, fact))
		return fail_set(fail, FAIL_MEMORY, "no memory for a fact");
	gossip->version++;
	return 0;
}

int gossip_put(struct gossip *gossip, enum fact_kind kind, uint64_t key, const void *bytes,
	       size_t size, bool *changed, struct fail *fail)
{
	struct fact fact = { .origin = gossip->self, .kind = kind, .key = key, .bytes = bytes };
	if (changed)
		*changed = false;
	if (size > FACT_BYTES_MAX)
		return fail_set(fail, FAIL_SPACE, "a fact of %zu bytes is larger than %u", size,
				FACT_BYTES_MAX);
	fact.size = (uint32_t)size;
	const struct fact *old = find(gossip, &fact);
	if (old ? old->size == size && (size == 0 || memcmp(old->bytes, bytes, size) == 0)
		: size == 0)
		return 0;
	if (!fits(gossip, &fact, old))
		return fail_set(fail, FAIL_SPACE,
				"this device tells more than %u facts or %u bytes about itself",
				GOSSIP_ORIGIN_FACTS_MAX, GOSSIP_ORIGIN_BYTES_MAX);
	const int result = publish(gossip, &fact, fail);
	if (changed)
		*changed = result == 0;
	return result;
}

int gossip_withdraw(struct gossip *gossip, enum fact_kind kind, uint64_t key, struct fail *fail)
{
	return gossip_put(gossip, kind, key, NULL, 0, NULL, fail);
}

/* ---- received facts ---- */

/* Said in our name. With a lost or restored state file our earlier facts live on at others, under
 * versions that we would reach only later: we pass them, and say again what is true now. */
static enum gossip_merge merge_own(struct gossip *gossip, const struct fact *fact)
{
	const struct fact *known = find(gossip, fact);
	if (known && (known->version > fact->version ||
		      (known->version == fact->version &&
		       memcmp(known->signature, fact->signature, sizeof(fact->signature)) == 0)))
		return GOSSIP_MERGE_KNOWN;
	if (fact->version == UINT64_MAX || !gossip->rules.verify(gossip->rules.context, fact))
		return GOSSIP_MERGE_REFUSED;
	if (gossip->version <= fact->version)
		gossip->version = fact->version + 1;
	struct fact again = { .origin = gossip->self, .kind = fact->kind, .key = fact->key };
	if (known) { /* store copies before it frees, so these may be the bytes that are there */
		again.bytes = known->bytes;
		again.size = known->size;
	}
	const bool said = fits(gossip, &again, known) && publish(gossip, &again, NULL) == 0;
	return said ? GOSSIP_MERGE_REFUTED : GOSSIP_MERGE_KNOWN;
}

enum gossip_merge gossip_merge(struct gossip *gossip, const struct fact *fact)
{
	if (fact->version == 0 || fact->size > FACT_BYTES_MAX)
		return GOSSIP_MERGE_REFUSED;
	if (device_id_equal(&fact->origin, &gossip->self))
		return merge_own(gossip, fact);
	const struct fact *known = find(gossip, fact);
	if (known && known->version >= fact->version)
		return GOSSIP_MERGE_KNOWN;
	if (!gossip->rules.member(gossip->rules.context, &fact->origin) ||
	    !fits(gossip, fact, known) || !gossip->rules.verify(gossip->rules.context, fact) ||
	    !store(gossip, fact))
		return GOSSIP_MERGE_REFUSED;
	return GOSSIP_MERGE_NEWS;
}

void gossip_drop(struct gossip *gossip, const struct device_id *origin)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < gossip->count; i++) {
		struct fact *at = &gossip->facts[i];
		if (device_id_equal(&at->origin, origin))
			free((void *)(uintptr_t)at->bytes);
		else
			gossip->facts[kept++] = *at;
	}
	gossip->count = kept;
}

/* ---- questions ---- */

const struct fact *gossip_raw(const struct gossip *gossip, const struct device_id *origin,
			      enum fact_kind kind, uint64_t key)
{
	const struct fact wanted = { .origin = *origin, .kind = kind, .key = key };
	return find(gossip, &wanted);
}

const struct fact *gossip_get(const struct gossip *gossip, const struct device_id *origin,
			      enum fact_kind kind, uint64_t key)
{
	const struct fact *at = gossip_raw(gossip, origin, kind, key);
	return at && at->size > 0 ? at : NULL;
}

const struct fact *gossip_next(const struct gossip *gossip, enum fact_kind kind,
			       const struct fact *after)
{
	uint32_t i = 0;
	if (after) {
		i = place_of(gossip, after);
		if (i < gossip->count && compare_keys(&gossip->facts[i], after) == 0)
			i++;
	}
	for (; i < gossip->count; i++)
		if (gossip->facts[i].kind == (uint32_t)kind && gossip->facts[i].size > 0)
			return &gossip->facts[i];
	return NULL;
}

uint32_t gossip_count(const struct gossip *gossip)
{
	return gossip->count;
}

uint64_t gossip_bytes(const struct gossip *gossip)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < gossip->count; i++)
		bytes += gossip->facts[i].size;
	return bytes;
}

/* ---- reconciling ---- */

/* Index of the first fact behind the cursor. */
static uint32_t place_behind(const struct gossip *gossip, const struct gossip_cursor *cursor)
{
	if (!cursor->started)
		return 0;
	const struct fact at = { .origin = cursor->origin,
				 .kind = cursor->kind,
				 .key = cursor->key };
	const uint32_t place = place_of(gossip, &at);
	const bool there = place < gossip->count && compare_keys(&gossip->facts[place], &at) == 0;
	return place + there;
}

static void cursor_move(struct gossip_cursor *cursor, const struct fact *to)
{
	cursor->started = true;
	cursor->origin = to->origin;
	cursor->kind = to->kind;
	cursor->key = to->key;
}

bool gossip_digest(const struct gossip *gossip, struct gossip_cursor *cursor,
		   struct message_digest *digest)
{
	if (cursor->done)
		return false;
	digest->n_facts = 0;
	for (uint32_t i = place_behind(gossip, cursor);
	     i < gossip->count && digest->n_facts < GOSSIP_FACTS_MAX; i++) {
		const struct fact *from = &gossip->facts[i];
		digest->facts[digest->n_facts++] = (struct fact){ .origin = from->origin,
								  .kind = from->kind,
								  .key = from->key,
								  .version = from->version };
	}
	cursor->done = digest->n_facts < GOSSIP_FACTS_MAX;
	if (!cursor->done)
		cursor_move(cursor, &digest->facts[digest->n_facts - 1]);
	return true;
}

static bool in_order(const struct gossip_cursor *cursor, const struct message_digest *digest)
{
	struct fact before = { .origin = cursor->origin, .kind = cursor->kind, .key = cursor->key };
	for (uint32_t i = 0; i < digest->n_facts; i++) {
		if ((i > 0 || cursor->started) && compare_keys(&before, &digest->facts[i]) >= 0)
			return false;
		before = digest->facts[i];
	}
	return true;
}

/* The message speaks for the range from behind the cursor to its last entry, or to the end when it
 * is the last one. Both lists are in order, so one walk over ours and theirs is enough. */
int gossip_compare(const struct gossip *gossip, struct gossip_cursor *cursor,
		   const struct message_digest *digest,
		   void (*newer)(void *context, const struct fact *fact), void *context,
		   struct fail *fail)
{
	if (digest->n_facts > GOSSIP_FACTS_MAX || !in_order(cursor, digest))
		return fail_set(fail, FAIL_INVALID, "a digest is not in order");
	const bool last = digest->n_facts < GOSSIP_FACTS_MAX;
	uint32_t theirs = 0;
	for (uint32_t i = place_behind(gossip, cursor); i < gossip->count; i++) {
		const struct fact *ours = &gossip->facts[i];
		while (theirs < digest->n_facts && compare_keys(&digest->facts[theirs], ours) < 0)
			theirs++;
		if (theirs == digest->n_facts && !last)
			break;
		const bool both =
			theirs < digest->n_facts && compare_keys(&digest->facts[theirs], ours) == 0;
		if (!both || digest->facts[theirs].version < ours->version)
			newer(context, ours);
	}
	if (last)
		memset(cursor, 0, sizeof(*cursor));
	else
		cursor_move(cursor, &digest->facts[digest->n_facts - 1]);
	return 0;
}
