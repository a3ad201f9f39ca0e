/* roster.h: who belongs to the home, with what role. Pure.
 *
 * A set of signed statements (proto/statement.h). Who is a member follows from the set alone, not
 * from the order of arrival, so two halves of a home that were apart agree by exchanging what they
 * have:
 *
 * - A statement is linked when its author's statements before it, down to the first, are known.
 * - The founder is an admin; so is whom an admin adds as one, by a linked ADD.
 * - A linked REMOVE of an admin, or of a member about itself, holds for ever: a key once removed
 *   never comes back, the device joins again with a new identity. Nothing undoes a REMOVE, not even
 *   that its author is removed too: two admins who remove each other are both out.
 * - A REMOVE says up to which of its statements the removed device is believed (the cut): an ADD
 *   that it signed after that, or dated back, is void, and so is what hangs on it. Of several cuts
 *   each counts.
 * - Members are the subjects of the ADDs that are left and were not removed. Where two admins added
 *   the same device at once, the more privileged role counts.
 *
 * So a thief of a removed admin's key can let nobody in. Through a member that does not know of the
 * removal yet it can still remove others; that is visible, signed, and closes doors only.
 *
 * Caps: ROSTER_STATEMENTS_MAX statements, ROSTER_AUTHOR_MAX of one author; the last
 * ROSTER_REMOVES_RESERVED places are for REMOVEs. */
#ifndef DISCOVERY_ROSTER_H
#define DISCOVERY_ROSTER_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/identity.h"
#include "proto/messages.h"
#include "proto/statement.h"

#include <stdbool.h>
#include <stdint.h>

#define ROSTER_AUTHOR_MAX       256
#define ROSTER_REMOVES_RESERVED 64
#define ROSTER_MEMBERS_MAX      64         /* roster_add refuses more */
#define ROSTER_FILE_MAGIC       "PRMDrost" /* for base/file.h */
#define ROSTER_FILE_VERSION     1

struct member {
	struct device_keys keys;
	enum device_role role;
	char name[DEVICE_NAME_BYTES]; /* at the time it was added */
};

struct roster;

/* An empty roster of this home: to be filled by roster_merge. Gives; NULL without memory. */
struct roster *roster_create(const uint8_t home_id[HOME_ID_BYTES]);
/* A home of one: a fresh home id, and the founder adds itself. Gives; NULL without memory. */
struct roster *roster_found(const struct identity *founder, const char *name);
void roster_destroy(struct roster *roster); /* accepts NULL */

const uint8_t *roster_home_id(const struct roster *roster); /* HOME_ID_BYTES, borrowed */

/* Takes statements in their fixed form, in any order, known ones included. All or nothing of each:
 * bad signatures, other homes and malformed ones are skipped and counted in `*refused` (may be
 * NULL); FAIL_SPACE when a cap is reached, with all that fitted taken. `*changed`: the set is now a
 * different one, so tell the other members. */
int roster_merge(struct roster *roster, const uint8_t *statements, uint32_t n_statements,
		 bool *changed, uint32_t *refused, struct fail *fail);

/* A device dials that is no member here, with statements it carries: takes them only when they make
 * the owner of this session key a member. Gives the member, or NULL with nothing changed. */
const struct member *roster_admit(struct roster *roster, const uint8_t x_pk[KEY_BYTES],
				  const uint8_t *statements, uint32_t n_statements, bool *changed);

/* Signs and takes a statement. FAIL_DENIED when `author` is no admin (a member may remove itself),
 * FAIL_INVALID when the subject was removed before or is a member already. */
int roster_add(struct roster *roster, const struct identity *author,
	       const struct device_keys *subject, enum device_role role, const char *name,
	       struct fail *fail);
int roster_remove(struct roster *roster, const struct identity *author,
		  const struct device_id *subject, struct fail *fail);

/* Members, in the order of ids. */
uint32_t roster_count(const struct roster *roster);
const struct member *roster_at(const struct roster *roster, uint32_t index);
const struct member *roster_find(const struct roster *roster, const struct device_id *id);
const struct member *roster_find_x(const struct roster *roster, const uint8_t x_pk[KEY_BYTES]);
const struct member *roster_find_ed(const struct roster *roster, const uint8_t ed_pk[KEY_BYTES]);
uint32_t roster_admins(const struct roster *roster); /* warn a person when it is 1 */
/* True for ever, once a valid REMOVE is known. */
bool roster_is_removed(const struct roster *roster, const struct device_id *id);
/* The statement that removed the owner of this session key, to be shown to it; NULL: none. */
const uint8_t *roster_notice(const struct roster *roster, const uint8_t x_pk[KEY_BYTES]);
/* What `id` carries when it dials, so that who has not heard of it yet can check: its ADD, after up
 * to `max` - 1 statements of the same author before it. [count, STATEMENT_BYTES]; gives the count.
 */
uint32_t roster_credentials(const struct roster *roster, const struct device_id *id,
			    uint8_t *statements, uint32_t max);

/* Equal sets have equal digests. */
void roster_digest(const struct roster *roster, uint8_t digest[ID_BYTES]);
/* All statements, [count, STATEMENT_BYTES], in an order that depends on the set alone; borrowed
 * until the next change. What MESSAGE_ROSTER carries. */
const uint8_t *roster_statements(const struct roster *roster, uint32_t *count);

/* The payload of the state file. Decoding checks everything again, signatures included. */
void roster_encode(const struct roster *roster, struct buf *out);
struct roster *roster_decode(const void *bytes, size_t size, struct fail *fail); /* gives */

#endif
