/* verdict.h: what a set of statements amounts to. Inside of roster.c; rules in roster.h. Pure.
 *
 * Statements lie sorted by (author, counter, hash); an author's are a group. They form a tree, not
 * only a chain, for an admin may have signed two with one counter (a restored backup). */
#ifndef DISCOVERY_VERDICT_H
#define DISCOVERY_VERDICT_H

#include "proto/id.h"
#include "proto/statement.h"

#include <stdbool.h>
#include <stdint.h>

struct verdict {
	struct statement statement;
	uint8_t hash[STATEMENT_HASH_BYTES];
	uint32_t group;        /* of its author */
	int32_t subject_group; /* of the subject as author; -1: signed nothing */
	int32_t parent;        /* the author's statement before; -1: first, or not known */
	bool linked;           /* the chain down to the first is known */
	bool kept;             /* not behind the cut of a REMOVE of its author */
	bool on_path;          /* scratch */
	bool stands;           /* REMOVE: holds. ADD: counts */
};

struct author {
	uint32_t first, end; /* range of statements */
	bool was_member;     /* at any time, cuts left aside */
	bool was_admin;
	bool is_admin; /* by an ADD that counts; may be removed none the less */
};

/* Fills everything but statement and hash. `authors` has room for `count`; gives their number. */
uint32_t verdict_reach(struct verdict *verdicts, uint32_t count,
		       const uint8_t home_id[HOME_ID_BYTES], struct author *authors);

/* The order of the set. */
int verdict_compare(const struct verdict *a, const struct verdict *b);

#endif
