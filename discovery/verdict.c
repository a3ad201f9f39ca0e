#include "discovery/verdict.h"

#include "proto/messages.h"

#include <string.h>

int verdict_compare(const struct verdict *a, const struct verdict *b)
{
	const int order = memcmp(a->statement.author, b->statement.author, KEY_BYTES);
	if (order != 0)
		return order;
	if (a->statement.counter != b->statement.counter)
		return a->statement.counter < b->statement.counter ? -1 : 1;
	return memcmp(a->hash, b->hash, sizeof(a->hash));
}

static bool is_add(const struct verdict *at)
{
	return at->statement.kind == STATEMENT_ADD;
}

static bool is_root(const struct verdict *at, const uint8_t home_id[HOME_ID_BYTES])
{
	return statement_is_root(&at->statement) &&
	       memcmp(at->statement.home, home_id, HOME_ID_BYTES) == 0;
}

static uint32_t group_authors(struct verdict *verdicts, uint32_t count, struct author *authors)
{
	uint32_t n_authors = 0;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *author = verdicts[i].statement.author;
		if (i == 0 || memcmp(author, verdicts[i - 1].statement.author, KEY_BYTES) != 0)
			authors[n_authors++] = (struct author){ .first = i };
		authors[n_authors - 1].end = i + 1;
		verdicts[i].group = n_authors - 1;
	}
	return n_authors;
}

static int32_t find_author(const struct verdict *verdicts, const struct author *authors,
			   uint32_t n_authors, const uint8_t ed_pk[KEY_BYTES])
{
	uint32_t low = 0, high = n_authors;
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		const uint8_t *key = verdicts[authors[middle].first].statement.author;
		const int order = memcmp(key, ed_pk, KEY_BYTES);
		if (order == 0)
			return (int32_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* The statement of this group with this counter and hash, among [first, end); -1: none. */
static int32_t find_statement(const struct verdict *verdicts, uint32_t first, uint32_t end,
			      uint64_t counter, const uint8_t hash[STATEMENT_HASH_BYTES])
{
	while (first < end) {
		const uint32_t middle = first + (end - first) / 2;
		const struct verdict *at = &verdicts[middle];
		int order = memcmp(at->hash, hash, sizeof(at->hash));
		if (at->statement.counter != counter)
			order = at->statement.counter < counter ? -1 : 1;
		if (order == 0)
			return (int32_t)middle;
		if (order < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return -1;
}

/* A first statement has no predecessor to name; the root's place for it holds the home's nonce. */
static bool is_first(const struct verdict *at, const uint8_t home_id[HOME_ID_BYTES])
{
	static const uint8_t none[STATEMENT_HASH_BYTES];
	return at->statement.counter == 1 &&
	       (memcmp(at->statement.previous, none, sizeof(none)) == 0 || is_root(at, home_id));
}

/* In the order of counters, so that a parent is settled before its children. */
static void link_statements(struct verdict *verdicts, uint32_t count, const struct author *authors,
			    uint32_t n_authors, const uint8_t home_id[HOME_ID_BYTES])
{
	for (uint32_t i = 0; i < count; i++) {
		struct verdict *at = &verdicts[i];
		const struct statement *statement = &at->statement;
		at->subject_group =
			find_author(verdicts, authors, n_authors, statement->subject.ed_pk);
		at->parent = -1;
		at->kept = true;
		at->stands = false;
		at->linked = is_first(at, home_id);
		if (at->linked || statement->counter <= 1)
			continue;
		at->parent = find_statement(verdicts, authors[at->group].first, i,
					    statement->counter - 1, statement->previous);
		at->linked = at->parent >= 0 && verdicts[at->parent].linked;
	}
}

/* Who was ever let in, cuts left aside: it is their REMOVEs that hold. Each round lets in whom the
 * round before made an admin. */
static void close_over_adds(const struct verdict *verdicts, uint32_t count, struct author *authors)
{
	for (bool again = true; again;) {
		again = false;
		for (uint32_t i = 0; i < count; i++) {
			const struct verdict *at = &verdicts[i];
			if (!is_add(at) || !at->linked || !authors[at->group].was_admin ||
			    at->subject_group < 0)
				continue;
			struct author *subject = &authors[at->subject_group];
			const bool admin = at->statement.role == ROLE_ADMIN;
			again = again || !subject->was_member || (admin && !subject->was_admin);
			subject->was_member = true;
			subject->was_admin = subject->was_admin || admin;
		}
	}
}

static bool remove_holds(const struct verdict *at, const struct author *authors)
{
	const struct author *author = &authors[at->group];
	const bool own = at->subject_group == (int32_t)at->group;
	return !is_add(at) && at->linked && (author->was_admin || (own && author->was_member));
}

/* What the removed author signed counts as far as the cut and the statements before it. A cut that
 * is not known here leaves nothing: better too little until it comes. */
static void cut_statements(struct verdict *verdicts, const struct author *author,
			   const struct statement *removal)
{
	for (uint32_t i = author->first; i < author->end; i++)
		verdicts[i].on_path = false;
	int32_t at = -1;
	if (removal->cut_counter > 0)
		at = find_statement(verdicts, author->first, author->end, removal->cut_counter,
				    removal->cut_hash);
	for (; at >= 0; at = verdicts[at].parent)
		verdicts[at].on_path = true;
	for (uint32_t i = author->first; i < author->end; i++)
		verdicts[i].kept = verdicts[i].kept && verdicts[i].on_path;
}

static void settle_adds(struct verdict *verdicts, uint32_t count, struct author *authors)
{
	for (bool again = true; again;) {
		again = false;
		for (uint32_t i = 0; i < count; i++) {
			struct verdict *at = &verdicts[i];
			if (!is_add(at) || at->stands || !at->linked || !at->kept ||
			    !authors[at->group].is_admin)
				continue;
			at->stands = true;
			if (at->subject_group >= 0 && at->statement.role == ROLE_ADMIN)
				authors[at->subject_group].is_admin = true;
			again = true;
		}
	}
}

uint32_t verdict_reach(struct verdict *verdicts, uint32_t count,
		       const uint8_t home_id[HOME_ID_BYTES], struct author *authors)
{
	const uint32_t n_authors = group_authors(verdicts, count, authors);
	link_statements(verdicts, count, authors, n_authors, home_id);
	for (uint32_t i = 0; i < count; i++)
		if (is_root(&verdicts[i], home_id)) {
			struct author *founder = &authors[verdicts[i].group];
			founder->was_member = founder->was_admin = founder->is_admin = true;
		}
	close_over_adds(verdicts, count, authors);
	for (uint32_t i = 0; i < count; i++) {
		struct verdict *at = &verdicts[i];
		at->stands = remove_holds(at, authors);
		if (at->stands && at->subject_group >= 0)
			cut_statements(verdicts, &authors[at->subject_group], &at->statement);
	}
	settle_adds(verdicts, count, authors);
	return n_authors;
}
