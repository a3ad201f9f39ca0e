#include "discovery/roster.h"

#include "discovery/verdict.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct roster {
	uint8_t home_id[HOME_ID_BYTES];
	uint32_t count;
	uint32_t capacity; /* of all four arrays below */
	struct verdict *verdicts;
	uint8_t (*statements)[STATEMENT_BYTES]; /* same order */
	struct author *authors;
	struct member *members; /* in the order of ids */
	uint32_t n_members;
	uint8_t digest[ID_BYTES];
};

/* ---- what follows from the set ---- */

static bool key_is_removed(const struct roster *roster, const struct device_keys *keys)
{
	for (uint32_t i = 0; i < roster->count; i++) {
		const struct verdict *at = &roster->verdicts[i];
		const struct device_keys *subject = &at->statement.subject;
		if (at->statement.kind == STATEMENT_REMOVE && at->stands &&
		    (memcmp(subject->ed_pk, keys->ed_pk, KEY_BYTES) == 0 ||
		     memcmp(subject->x_pk, keys->x_pk, KEY_BYTES) == 0))
			return true;
	}
	return false;
}

/* Place of the member with this id, or where it would be put. */
static uint32_t member_place(const struct roster *roster, const struct device_id *id)
{
	uint32_t low = 0, high = roster->n_members;
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (device_id_compare(&roster->members[middle].keys.id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Of several ADDs of one device the most privileged role counts, and of those the one that comes
 * first in the order of the set gives the name. */
static void admit(struct roster *roster, const struct statement *add)
{
	const uint32_t place = member_place(roster, &add->subject.id);
	struct member *at = &roster->members[place];
	const bool known =
		place < roster->n_members && device_id_equal(&at->keys.id, &add->subject.id);
	if (known && at->role <= (enum device_role)add->role)
		return;
	if (!known) {
		memmove(at + 1, at, (roster->n_members - place) * sizeof(*at));
		roster->n_members++;
	}
	at->keys = add->subject;
	at->role = add->role;
	memcpy(at->name, add->name, sizeof(at->name));
}

static void settle(struct roster *roster)
{
	verdict_reach(roster->verdicts, roster->count, roster->home_id, roster->authors);
	roster->n_members = 0;
	for (uint32_t i = 0; i < roster->count; i++) {
		const struct verdict *at = &roster->verdicts[i];
		if (at->statement.kind == STATEMENT_ADD && at->stands &&
		    !key_is_removed(roster, &at->statement.subject))
			admit(roster, &at->statement);
	}
	static const char prefix[] = "primad-roster-v1";
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, ID_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)prefix, sizeof(prefix) - 1);
	crypto_generichash_update(&state, roster->home_id, HOME_ID_BYTES);
	for (uint32_t i = 0; i < roster->count; i++)
		crypto_generichash_update(&state, roster->verdicts[i].hash, STATEMENT_HASH_BYTES);
	crypto_generichash_final(&state, roster->digest, ID_BYTES);
}

/* ---- the set ---- */

static bool resize(void *array, uint32_t capacity, size_t item)
{
	void *old;
	memcpy(&old, array, sizeof(old));
	void *grown = realloc(old, capacity * item);
	if (!grown)
		return false;
	memcpy(array, &grown, sizeof(grown));
	return true;
}

static bool reserve(struct roster *roster, uint32_t count)
{
	if (count <= roster->capacity)
		return true;
	uint32_t capacity = roster->capacity ? roster->capacity : 8;
	while (capacity < count)
		capacity *= 2;
	if (!resize(&roster->verdicts, capacity, sizeof(*roster->verdicts)) ||
	    !resize(&roster->statements, capacity, sizeof(*roster->statements)) ||
	    !resize(&roster->authors, capacity, sizeof(*roster->authors)) ||
	    !resize(&roster->members, capacity, sizeof(*roster->members)))
		return false;
	roster->capacity = capacity;
	return true;
}

static void erase(struct roster *roster, uint32_t at)
{
	const uint32_t after = roster->count - at - 1;
	struct verdict *verdicts = roster->verdicts;
	memmove(&verdicts[at], &verdicts[at + 1], after * sizeof(verdicts[0]));
	memmove(roster->statements[at], roster->statements[at + 1], after * STATEMENT_BYTES);
	roster->count--;
}

/* A statement whose author's chain is not known yet waits for it, but gives way when space is
 * short: a stranger's chain never comes. */
static bool make_room(struct roster *roster, const struct statement *wanted)
{
	const bool removal = wanted->kind == STATEMENT_REMOVE;
	const uint32_t limit = ROSTER_STATEMENTS_MAX - (removal ? 0 : ROSTER_REMOVES_RESERVED);
	if (roster->count < limit)
		return true;
	settle(roster);
	for (uint32_t i = roster->count; i-- > 0;) {
		const struct verdict *at = &roster->verdicts[i];
		if (at->linked && roster->authors[at->group].was_member)
			continue;
		erase(roster, i);
		return true;
	}
	return false;
}

static uint32_t count_of_author(const struct roster *roster, const uint8_t ed_pk[KEY_BYTES])
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < roster->count; i++)
		count += memcmp(roster->verdicts[i].statement.author, ed_pk, KEY_BYTES) == 0;
	return count;
}

static uint32_t verdict_place(const struct roster *roster, const struct verdict *wanted)
{
	uint32_t low = 0, high = roster->count;
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (verdict_compare(&roster->verdicts[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool holds(const struct roster *roster, const struct verdict *wanted)
{
	const uint32_t place = verdict_place(roster, wanted);
	return place < roster->count &&
	       memcmp(roster->verdicts[place].hash, wanted->hash, sizeof(wanted->hash)) == 0;
}

static int insert(struct roster *roster, const struct verdict *fresh,
		  const uint8_t bytes[STATEMENT_BYTES], struct fail *fail)
{
	if (count_of_author(roster, fresh->statement.author) >= ROSTER_AUTHOR_MAX)
		return fail_set(fail, FAIL_SPACE,
				"one member has signed %u statements already, the most a home "
				"keeps of one",
				ROSTER_AUTHOR_MAX);
	if (!make_room(roster, &fresh->statement))
		return fail_set(fail, FAIL_SPACE,
				"the home has %u statements about its members, the most it keeps; "
				"found a new home",
				roster->count);
	if (!reserve(roster, roster->count + 1))
		return fail_set(fail, FAIL_MEMORY, "no memory for the list of members");
	const uint32_t place = verdict_place(roster, fresh);
	const uint32_t after = roster->count - place;
	struct verdict *verdicts = roster->verdicts;
	memmove(&verdicts[place + 1], &verdicts[place], after * sizeof(verdicts[0]));
	memmove(roster->statements[place + 1], roster->statements[place], after * STATEMENT_BYTES);
	verdicts[place] = *fresh;
	memcpy(roster->statements[place], bytes, STATEMENT_BYTES);
	roster->count++;
	return 0;
}

int roster_merge(struct roster *roster, const uint8_t *statements, uint32_t n_statements,
		 bool *changed, uint32_t *refused, struct fail *fail)
{
	uint32_t n_refused = 0, n_new = 0;
	int result = 0;
	for (uint32_t i = 0; i < n_statements && result != -FAIL_MEMORY; i++) {
		const uint8_t *bytes = statements + (size_t)i * STATEMENT_BYTES;
		struct verdict fresh = { 0 };
		const bool ours = statement_decode(&fresh.statement, bytes, NULL) == 0 &&
				  memcmp(fresh.statement.home, roster->home_id, HOME_ID_BYTES) == 0;
		if (!ours) {
			n_refused++;
			continue;
		}
		statement_hash(bytes, fresh.hash);
		if (holds(roster, &fresh))
			continue;
		if (!statement_verify(&fresh.statement)) {
			n_refused++;
			continue;
		}
		const int inserted = insert(roster, &fresh, bytes, fail);
		n_new += inserted == 0;
		result = inserted ? inserted : result;
	}
	if (n_new > 0)
		settle(roster);
	if (changed)
		*changed = n_new > 0;
	if (refused)
		*refused = n_refused;
	return result;
}

/* ---- life ---- */

struct roster *roster_create(const uint8_t home_id[HOME_ID_BYTES])
{
	struct roster *roster = calloc(1, sizeof(*roster));
	if (!roster)
		return NULL;
	memcpy(roster->home_id, home_id, HOME_ID_BYTES);
	if (!reserve(roster, 1)) {
		roster_destroy(roster);
		return NULL;
	}
	settle(roster);
	return roster;
}

struct roster *roster_found(const struct identity *founder, const char *name)
{
	struct statement root;
	uint8_t bytes[STATEMENT_BYTES];
	statement_found(&root, founder, name);
	statement_encode(&root, bytes);
	struct roster *roster = roster_create(root.home);
	if (roster && roster_merge(roster, bytes, 1, NULL, NULL, NULL) != 0) {
		roster_destroy(roster);
		return NULL;
	}
	return roster;
}

void roster_destroy(struct roster *roster)
{
	if (!roster)
		return;
	free(roster->verdicts);
	free(roster->statements);
	free(roster->authors);
	free(roster->members);
	free(roster);
}

static struct roster *roster_copy(const struct roster *roster)
{
	struct roster *copy = roster_create(roster->home_id);
	if (!copy || !reserve(copy, roster->count + 1)) {
		roster_destroy(copy);
		return NULL;
	}
	memcpy(copy->verdicts, roster->verdicts, roster->count * sizeof(*copy->verdicts));
	memcpy(copy->statements, roster->statements, roster->count * sizeof(*copy->statements));
	copy->count = roster->count;
	settle(copy);
	return copy;
}

const struct member *roster_admit(struct roster *roster, const uint8_t x_pk[KEY_BYTES],
				  const uint8_t *statements, uint32_t n_statements, bool *changed)
{
	*changed = false;
	if (n_statements == 0 || roster_find_x(roster, x_pk))
		return roster_find_x(roster, x_pk);
	struct roster *tried = roster_copy(roster);
	if (!tried)
		return NULL;
	if (roster_merge(tried, statements, n_statements, changed, NULL, NULL) == 0 && *changed &&
	    roster_find_x(tried, x_pk)) {
		const struct roster before = *roster;
		*roster = *tried;
		*tried = before;
	} else {
		*changed = false;
	}
	roster_destroy(tried);
	return roster_find_x(roster, x_pk);
}

/* ---- signing ---- */

/* The author's newest statement that counts, or NULL before its first. */
static const struct verdict *tip_of(const struct roster *roster, const uint8_t ed_pk[KEY_BYTES])
{
	const struct verdict *tip = NULL;
	for (uint32_t i = 0; i < roster->count; i++) {
		const struct verdict *at = &roster->verdicts[i];
		if (at->linked && at->kept && memcmp(at->statement.author, ed_pk, KEY_BYTES) == 0 &&
		    (!tip || at->statement.counter > tip->statement.counter))
			tip = at;
	}
	return tip;
}

static int sign_and_take(struct roster *roster, const struct identity *author,
			 struct statement *statement, struct fail *fail)
{
	const struct verdict *tip = tip_of(roster, author->keys.ed_pk);
	memcpy(statement->home, roster->home_id, HOME_ID_BYTES);
	statement->counter = tip ? tip->statement.counter + 1 : 1;
	if (tip)
		memcpy(statement->previous, tip->hash, sizeof(tip->hash));
	statement_sign(statement, author);
	uint8_t bytes[STATEMENT_BYTES];
	statement_encode(statement, bytes);
	struct statement checked; /* a name that nobody would accept is refused here already */
	const int result = statement_decode(&checked, bytes, fail);
	return result ? result : roster_merge(roster, bytes, 1, NULL, NULL, fail);
}

int roster_add(struct roster *roster, const struct identity *author,
	       const struct device_keys *subject, enum device_role role, const char *name,
	       struct fail *fail)
{
	const struct member *by = roster_find_ed(roster, author->keys.ed_pk);
	if (!by || by->role != ROLE_ADMIN)
		return fail_set(fail, FAIL_DENIED,
				"this device is no admin of the home; invite from one that is");
	if (key_is_removed(roster, subject))
		return fail_set(fail, FAIL_INVALID,
				"%s was removed from this home before; it must join with a new "
				"identity: run `primactl leave` there first",
				name);
	if (roster_find(roster, &subject->id) || roster_find_ed(roster, subject->ed_pk) ||
	    roster_find_x(roster, subject->x_pk))
		return fail_set(fail, FAIL_INVALID, "%s is a member already", name);
	if (roster->n_members >= ROSTER_MEMBERS_MAX)
		return fail_set(fail, FAIL_SPACE, "the home has %u members, the most it can have",
				roster->n_members);
	struct statement statement = { .kind = STATEMENT_ADD, .role = role, .subject = *subject };
	const size_t size = strnlen(name, sizeof(statement.name) - 1);
	memcpy(statement.name, name, size);
	return sign_and_take(roster, author, &statement, fail);
}

int roster_remove(struct roster *roster, const struct identity *author,
		  const struct device_id *subject, struct fail *fail)
{
	const struct member *gone = roster_find(roster, subject);
	const struct member *by = roster_find_ed(roster, author->keys.ed_pk);
	if (!gone)
		return fail_set(fail, FAIL_NOT_FOUND, "no such member in this home");
	if (!by || (by->role != ROLE_ADMIN && by != gone))
		return fail_set(fail, FAIL_DENIED,
				"this device is no admin of the home; remove %s from one that is",
				gone->name);
	struct statement statement = { .kind = STATEMENT_REMOVE, .subject = gone->keys };
	const struct verdict *cut = tip_of(roster, gone->keys.ed_pk);
	if (cut) {
		statement.cut_counter = cut->statement.counter;
		memcpy(statement.cut_hash, cut->hash, sizeof(cut->hash));
	}
	return sign_and_take(roster, author, &statement, fail);
}

/* ---- questions ---- */

const uint8_t *roster_home_id(const struct roster *roster)
{
	return roster->home_id;
}

uint32_t roster_count(const struct roster *roster)
{
	return roster->n_members;
}

const struct member *roster_at(const struct roster *roster, uint32_t index)
{
	return index < roster->n_members ? &roster->members[index] : NULL;
}

const struct member *roster_find(const struct roster *roster, const struct device_id *id)
{
	const struct member *at = roster_at(roster, member_place(roster, id));
	return at && device_id_equal(&at->keys.id, id) ? at : NULL;
}

const struct member *roster_find_x(const struct roster *roster, const uint8_t x_pk[KEY_BYTES])
{
	for (uint32_t i = 0; i < roster->n_members; i++)
		if (memcmp(roster->members[i].keys.x_pk, x_pk, KEY_BYTES) == 0)
			return &roster->members[i];
	return NULL;
}

const struct member *roster_find_ed(const struct roster *roster, const uint8_t ed_pk[KEY_BYTES])
{
	for (uint32_t i = 0; i < roster->n_members; i++)
		if (memcmp(roster->members[i].keys.ed_pk, ed_pk, KEY_BYTES) == 0)
			return &roster->members[i];
	return NULL;
}

uint32_t roster_admins(const struct roster *roster)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < roster->n_members; i++)
		count += roster->members[i].role == ROLE_ADMIN;
	return count;
}

bool roster_is_removed(const struct roster *roster, const struct device_id *id)
{
	for (uint32_t i = 0; i < roster->count; i++) {
		const struct verdict *at = &roster->verdicts[i];
		if (at->statement.kind == STATEMENT_REMOVE && at->stands &&
		    device_id_equal(&at->statement.subject.id, id))
			return true;
	}
	return false;
}

const uint8_t *roster_notice(const struct roster *roster, const uint8_t x_pk[KEY_BYTES])
{
	for (uint32_t i = 0; i < roster->count; i++) {
		const struct verdict *at = &roster->verdicts[i];
		if (at->statement.kind == STATEMENT_REMOVE && at->stands &&
		    memcmp(at->statement.subject.x_pk, x_pk, KEY_BYTES) == 0)
			return roster->statements[i];
	}
	return NULL;
}

uint32_t roster_credentials(const struct roster *roster, const struct device_id *id,
			    uint8_t *statements, uint32_t max)
{
	int32_t at = -1;
	for (uint32_t i = 0; i < roster->count; i++)
		if (roster->verdicts[i].statement.kind == STATEMENT_ADD &&
		    roster->verdicts[i].stands &&
		    device_id_equal(&roster->verdicts[i].statement.subject.id, id))
			at = (int32_t)i;
	uint32_t count = 0;
	for (; at >= 0 && count < max; at = roster->verdicts[at].parent)
		memcpy(statements + (size_t)STATEMENT_BYTES * count++, roster->statements[at],
		       STATEMENT_BYTES);
	return count;
}

void roster_digest(const struct roster *roster, uint8_t digest[ID_BYTES])
{
	memcpy(digest, roster->digest, ID_BYTES);
}

const uint8_t *roster_statements(const struct roster *roster, uint32_t *count)
{
	*count = roster->count;
	return roster->statements[0];
}

/* ---- the state file ---- */

void roster_encode(const struct roster *roster, struct buf *out)
{
	buf_append(out, roster->home_id, HOME_ID_BYTES);
	buf_u32(out, roster->count);
	buf_append(out, roster->statements, (size_t)roster->count * STATEMENT_BYTES);
}

struct roster *roster_decode(const void *bytes, size_t size, struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, bytes, size);
	const uint8_t *home_id = reader_take(&reader, HOME_ID_BYTES);
	const uint32_t count = reader_u32(&reader);
	const bool sane = !reader.failed && count <= ROSTER_STATEMENTS_MAX &&
			  reader_left(&reader) == (size_t)count * STATEMENT_BYTES;
	if (!sane) {
		fail_set(fail, FAIL_CORRUPT, "the list of members has a wrong size: %zu bytes",
			 size);
		return NULL;
	}
	struct roster *roster = roster_create(home_id);
	if (!roster) {
		fail_set(fail, FAIL_MEMORY, "no memory for the list of members");
		return NULL;
	}
	uint32_t refused = 0;
	const uint8_t *statements = reader_take(&reader, reader_left(&reader));
	if (roster_merge(roster, statements, count, NULL, &refused, fail) == 0 && refused == 0)
		return roster;
	if (refused > 0)
		fail_set(fail, FAIL_CORRUPT, "%u statements in the list of members are not valid",
			 refused);
	roster_destroy(roster);
	return NULL;
}
