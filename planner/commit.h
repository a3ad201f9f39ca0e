/* commit.h: how a plan becomes live on all its devices or on none. Pure: events and times come in,
 * actions go out. One struct holds both roles of a device, planner and participant.
 *
 * Planner:     PROPOSE -> persist the epoch -> PREPARE to every participant -> all promised within
 *              DEADLINE_PROMISE_MS -> COMMIT to them. Silent participants: REPLAN without them,
 *              under a higher epoch. A refusal for a higher epoch: OUTBID.
 * Participant: PREPARE of a higher epoch than ever promised -> persist the promise -> only then
 *              PROMISE; from then on nothing of a lower epoch is served, the live plan included.
 *              COMMIT -> the plan is live. No COMMIT for DEADLINE_COMMIT_MS: the PROMISE is sent
 *              again (a planner that had committed answers with COMMIT), and the caller is told
 *              to ASK for a plan; after COMMIT_ASKS_MAX times the plan is forgotten.
 *
 * Participants of a plan are the devices with layers, and the head. A device that is not among them
 * may be sent PREPARE and COMMIT too, by whoever plans now, so that it knows where to send requests:
 * it promises nothing and only remembers the newest such plan (commit_known). Do so when a plan was
 * decided, and for every device that comes later and knows an older plan or none.
 *
 * What must survive a crash is struct commit_record. After a restart no plan is live; epochs below
 * the promise stay refused, so a plan that was committed on the strength of it is never undercut. */
#ifndef PLANNER_COMMIT_H
#define PLANNER_COMMIT_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/deadlines.h"
#include "proto/messages.h"
#include "proto/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMIT_JUMP_MAX (1u << 20) /* a PREPARE may raise the epoch counter by so much at once */
#define COMMIT_ASKS_MAX 5 /* a promise is repeated so often, then the plan is given up */
#define COMMIT_RECORD_BYTES 48
#define COMMIT_ACTIONS_MAX (2 * PLAN_DEVICES_MAX + 8)

/* Persisted with file.h's state_file_write before what depends on it is sent. */
struct commit_record {
	struct epoch promised; /* highest epoch promised; lower ones are refused for ever */
	uint64_t counter;      /* highest epoch counter ever used or seen */
};

void commit_record_encode(const struct commit_record *record, uint8_t bytes[COMMIT_RECORD_BYTES]);
int commit_record_decode(struct commit_record *record, const void *bytes, size_t size,
			 struct fail *fail);

enum commit_event_kind {
	COMMIT_PROPOSE,   /* planner: `plan`, stamped with commit_next_epoch, is to become live */
	COMMIT_PREPARED,  /* from `from`: message PREPARE with `plan` */
	COMMIT_PROMISED,  /* from `from`: message PROMISE `promise` */
	COMMIT_COMMITTED, /* from `from`: message COMMIT of `epoch` */
	COMMIT_PERSISTED, /* the record of the COMMIT_DO_PERSIST with this `ticket` is on disk */
	COMMIT_SEEN,      /* an epoch was heard of (HELLO, PING, flights): `epoch` */
	COMMIT_GONE,      /* `from` was removed from the home, lost or restarted: not waited for */
	COMMIT_DROP,      /* the live plan is given up (a participant was lost, or it was undeployed) */
	COMMIT_TICK       /* due at commit_deadline_ms */
};

struct commit_event {
	enum commit_event_kind kind;
	struct device_id from;
	const struct plan *plan; /* borrowed for the call; checked with plan_check by the caller */
	const struct message_promise *promise;
	struct epoch epoch;
	uint64_t ticket;
};

enum commit_action_kind {
	COMMIT_DO_PERSIST,      /* write `record`, then report COMMIT_PERSISTED with `ticket` */
	COMMIT_DO_SEND_PREPARE, /* send `plan` to `to` */
	COMMIT_DO_SEND_PROMISE, /* send `promise` to `to` */
	COMMIT_DO_SEND_COMMIT,  /* send `epoch` to `to` */
	COMMIT_DO_ENTER,        /* `plan` is live from now on and this device takes part: load */
	COMMIT_DO_LEAVE,        /* the plan that was live here is not any more: stop serving it */
	COMMIT_DO_DECIDED,      /* planner: all promised; tell members that are not participants */
	COMMIT_DO_REPLAN,       /* planner: actions->silent did not promise (or nobody is silent,
				   but a participant lost the plan): plan again without them */
	COMMIT_DO_OUTBID,       /* planner: `epoch` was promised elsewhere: wait 0.2 to 1 s, then
				   plan again if still the planner */
	COMMIT_DO_ASK           /* ask the present planner for a plan (MESSAGE_DEPLOY, again) */
};

struct commit_action {
	enum commit_action_kind kind;
	struct device_id to;
	const struct plan *plan; /* borrowed from the machine until the next step */
	struct message_promise promise;
	struct epoch epoch;
	struct commit_record record;
	uint64_t ticket;
};

struct commit_actions {
	uint32_t n;
	struct commit_action items[COMMIT_ACTIONS_MAX];
	uint32_t n_silent; /* for COMMIT_DO_REPLAN */
	struct device_id silent[PLAN_DEVICES_MAX];
};

struct commit;

/* `record` is what was persisted last, NULL at the very first start. Gives; NULL when memory is
 * short. */
struct commit *commit_create(const struct device_id *self, const struct commit_record *record);
void commit_destroy(struct commit *commit); /* takes; accepts NULL */

/* Takes an event, fills `actions` (carried out by the caller in order). The caller does not call
 * again from within. Messages from devices that are not members, and PREPARE from a device that may
 * not plan, are withheld by the caller. */
void commit_step(struct commit *commit, const struct commit_event *event, int64_t now_ms,
		 struct commit_actions *actions);

/* The epoch for the next COMMIT_PROPOSE: above all that was promised, used or seen here. */
struct epoch commit_next_epoch(const struct commit *commit);

const struct plan *commit_live(const struct commit *commit);  /* NULL: none. Borrowed until a step */
const struct plan *commit_known(const struct commit *commit); /* the newest committed plan heard of,
								 live here or not; NULL: none */
struct epoch commit_promised(const struct commit *commit);

enum commit_verdict {
	COMMIT_SERVE, /* of the live plan */
	COMMIT_HOLD,  /* promised, not yet committed: keep it, COMMIT is on its way */
	COMMIT_STALE  /* drop it */
};

/* What to do with a flight or ring connection of this epoch. */
enum commit_verdict commit_verdict(const struct commit *commit, const struct epoch *epoch);

/* True while a proposal of this device is under way. */
bool commit_proposing(const struct commit *commit);

/* When the next COMMIT_TICK is due; INT64_MAX: no need. */
int64_t commit_deadline_ms(const struct commit *commit);

/* True when this device takes part: it has layers or is the head. */
bool commit_participates(const struct plan *plan, const struct device_id *device);

#endif
