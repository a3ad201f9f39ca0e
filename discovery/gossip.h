/* gossip.h: what every member tells about itself, known to all: versioned, signed facts.
 *
 * One fact per (origin, kind, key); the highest version wins, so the order of arrival does not
 * matter. Facts are pushed when they change and reconciled by digest when two devices connect.
 * A fact is only taken from the network when its origin is a member and its signature is good,
 * whoever brought it. A fact of no bytes says that there is none any more.
 *
 * Pure: no clock, no socket, no file. Iteration is in the order of (origin, kind, key). */
#ifndef DISCOVERY_GOSSIP_H
#define DISCOVERY_GOSSIP_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>

#define GOSSIP_ORIGIN_FACTS_MAX 64
#define GOSSIP_ORIGIN_BYTES_MAX (512u << 10)
#define GOSSIP_ORIGINS_MAX      64
/* Versions are reserved on disk in blocks: a daemon stores `end` before it uses [first, end), and
 * begins the next time at that `end`, so that its versions never fall. */
#define GOSSIP_VERSION_BLOCK 65536u

struct gossip;

struct gossip_rules {
	bool (*member)(void *context, const struct device_id *origin);
	bool (*verify)(void *context, const struct fact *fact);
	void (*sign)(void *context, struct fact *fact); /* fills the signature of an own fact */
	void *context;
};

struct gossip *gossip_create(const struct device_id *self, const struct gossip_rules *rules);
void gossip_destroy(struct gossip *gossip); /* accepts NULL */

/* Own facts. Versions come from the reserved block; FAIL_BUSY when it is used up: reserve another.
 * Putting the bytes that are there already changes nothing. `changed` may be NULL. */
void gossip_reserve(struct gossip *gossip, uint64_t first, uint64_t end);
uint64_t gossip_versions_left(const struct gossip *gossip);
/* The next version that will be used; beyond the reserved end after a refutation of a far version.
 */
uint64_t gossip_version(const struct gossip *gossip);
int gossip_put(struct gossip *gossip, enum fact_kind kind, uint64_t key, const void *bytes,
	       size_t size, bool *changed, struct fail *fail);
int gossip_withdraw(struct gossip *gossip, enum fact_kind kind, uint64_t key, struct fail *fail);

enum gossip_merge {
	GOSSIP_MERGE_NEWS,    /* taken: act on it, and pass it on to others */
	GOSSIP_MERGE_KNOWN,   /* nothing new */
	GOSSIP_MERGE_REFUTED, /* it was said in our name and we know better: pass ours on */
	GOSSIP_MERGE_REFUSED, /* no member, bad signature, too much */
};

/* Takes a received fact (copied). */
enum gossip_merge gossip_merge(struct gossip *gossip, const struct fact *fact);

/* As it travels, withdrawn ones (of no bytes) included: what is passed on. NULL when unknown. */
const struct fact *gossip_raw(const struct gossip *gossip, const struct device_id *origin,
			      enum fact_kind kind, uint64_t key);
/* NULL when unknown or withdrawn. Borrowed until the next change. */
const struct fact *gossip_get(const struct gossip *gossip, const struct device_id *origin,
			      enum fact_kind kind, uint64_t key);
/* The first fact of this kind after `after` (NULL: from the start), skipping withdrawn ones; NULL
 * at the end. The cursor is a fact given before; only its origin, kind and key are read. */
const struct fact *gossip_next(const struct gossip *gossip, enum fact_kind kind,
			       const struct fact *after);

/* ---- reconciling with one peer ---- */

/* A digest travels in messages of up to GOSSIP_FACTS_MAX entries in order; one with fewer is the
 * last. The cursor of a connection starts zeroed. */
struct gossip_cursor {
	bool started;
	bool done;
	struct device_id origin;
	uint32_t kind;
	uint64_t key;
};

/* Fills the next digest message; false when the last one was given before. */
bool gossip_digest(const struct gossip *gossip, struct gossip_cursor *cursor,
		   struct message_digest *digest);

/* Calls `newer` for each of our facts that the sender of this digest message lacks or has older.
 * `cursor` is that of the receiving side for this connection. FAIL_INVALID: entries out of order.
 */
int gossip_compare(const struct gossip *gossip, struct gossip_cursor *cursor,
		   const struct message_digest *digest,
		   void (*newer)(void *context, const struct fact *fact), void *context,
		   struct fail *fail);

/* Forgets all that an origin said: it was removed from the home. */
void gossip_drop(struct gossip *gossip, const struct device_id *origin);
uint32_t gossip_count(const struct gossip *gossip);
uint64_t gossip_bytes(const struct gossip *gossip);

#endif
