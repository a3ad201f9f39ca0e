/* roster.h: who belongs to the home, with what role. Pure.
 *
 * A set of signed statements (proto/statement.h): ADD and REMOVE, by admins, in a chain that leads
 * back to the founder, whose key names the home. Who is a member follows from the set alone, not
 * from the order of arrival, so two halves of a home that were apart agree by exchanging what they
 * have. Remove wins, for ever: a key once removed never comes back; the device joins again with a
 * new identity. A REMOVE says up to which of its statements the removed admin is believed: what it
 * signed after that, or dated back, is void. Of two removers the earlier cut counts.
 *
 * Caps: ROSTER_STATEMENTS_MAX statements, ROSTER_AUTHOR_MAX of one author. */
#ifndef DISCOVERY_ROSTER_H
#define DISCOVERY_ROSTER_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>

#define ROSTER_AUTHOR_MAX 256
#define ROSTER_MEMBERS_MAX 64
#define ROSTER_FILE_MAGIC "PRMDrost" /* for base/file.h */
#define ROSTER_FILE_VERSION 1

struct identity;

struct member {
	struct device_id id;
	uint8_t ed_pk[32]; /* signs */
	uint8_t x_pk[32];  /* opens sessions */
	enum device_role role;
	char name[DEVICE_NAME_BYTES]; /* at the time it was added */
};

struct roster;

/* An empty roster of this home: to be filled by roster_merge. Gives; NULL without memory. */
struct roster *roster_create(const uint8_t home_id[HOME_ID_BYTES]);
/* A home of one: the founder adds itself. `nonce` is random, 16 bytes. */
struct roster *roster_found(const struct identity *founder, const uint8_t nonce[16],
			    const char *name);
void roster_destroy(struct roster *roster); /* accepts NULL */

const uint8_t *roster_home_id(const struct roster *roster); /* HOME_ID_BYTES, borrowed */

/* Takes statements in their fixed form, in any order, known ones included. All or nothing of each:
 * bad signatures, other homes and malformed ones are skipped and counted in `*refused` (may be
 * NULL); FAIL_SPACE when a cap is reached, with all that fitted taken. `*changed`: the set is now a
 * different one, so tell the other members. */
int roster_merge(struct roster *roster, const uint8_t *statements, uint32_t n_statements,
		 bool *changed, uint32_t *refused, struct fail *fail);

/* Signs and takes a statement. FAIL_DENIED when `author` is no admin (a member may remove itself),
 * FAIL_INVALID when the subject was removed before or is a member already. */
int roster_add(struct roster *roster, const struct identity *author, const uint8_t ed_pk[32],
	       const uint8_t x_pk[32], enum device_role role, const char *name, struct fail *fail);
int roster_remove(struct roster *roster, const struct identity *author,
		  const struct device_id *subject, struct fail *fail);

/* Members, in the order of ids. */
uint32_t roster_count(const struct roster *roster);
const struct member *roster_at(const struct roster *roster, uint32_t index);
const struct member *roster_find(const struct roster *roster, const struct device_id *id);
const struct member *roster_find_x(const struct roster *roster, const uint8_t x_pk[32]);
const struct member *roster_find_ed(const struct roster *roster, const uint8_t ed_pk[32]);
uint32_t roster_admins(const struct roster *roster); /* warn a person when it is 1 */
/* True for ever, once a valid REMOVE is known. */
bool roster_is_removed(const struct roster *roster, const struct device_id *id);

/* Equal sets have equal digests. */
void roster_digest(const struct roster *roster, uint8_t digest[ID_BYTES]);
/* All statements, [count, STATEMENT_BYTES], in an order that depends on the set alone; borrowed
 * until the next change. What MESSAGE_ROSTER carries. */
const uint8_t *roster_statements(const struct roster *roster, uint32_t *count);

/* The payload of the state file. Decoding checks everything again, signatures included. */
void roster_encode(const struct roster *roster, struct buf *out);
struct roster *roster_decode(const void *bytes, size_t size, struct fail *fail); /* gives */

#endif
