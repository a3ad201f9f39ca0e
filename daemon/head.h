/* head.h: the requests of the device that holds embedding and output: which flight goes next, and
 * what comes back. Ring thread only.
 *
 * The head samples: a pure function of logits, settings, seed, position and the request's tokens so
 * far. It starts the next flight before it tells anybody the token. KV is admitted here for all
 * devices: every device of the plan has the room of plan_kv_room, and a request starts only when its
 * prompt and all its tokens fit into what is left, in sliding layers too. */
#ifndef DAEMON_HEAD_H
#define DAEMON_HEAD_H

#include "daemon/hop.h"

struct head;

/* The shape outlives it. Allocates logits and sampling scratch (charged to `account`). Gives. */
struct head *head_create(struct ring *ring, const struct model_shape *shape, struct account *account,
			 struct fail *fail);
void head_destroy(struct head *head); /* no hop may be out; accepts NULL */

/* Refused when too many wait, of all or of its owner, so that no device fills the queue of the
 * others; of those that wait the next is one of the owner with the fewest running. A request that is
 * here already is not taken again: all its tokens are told once more. */
void head_request(struct head *head, const struct message_request *request);
void head_cancel(struct head *head, const struct request_id *id);
void head_cancel_owner(struct head *head, const struct device_id *owner);

/* Another model is wanted: no request that waits is started for HEAD_HOLD_MS, or until it is said
 * again; or they are started again. Running ones go on. */
#define HEAD_HOLD_MS 5000
void head_hold(struct head *head, bool on);
/* Time has passed: starts what may start. */
void head_look(struct head *head);

/* A hop's works are done (phase HOP_EMBED or HOP_OUTPUT). */
void head_computed(struct head *head, struct hop *hop);
/* A flight came round: its states are those after the last layer. Takes the hop. False: none of
 * ours went out so, the one who sent it makes flights up. */
bool head_returned(struct head *head, struct hop *hop);
/* Ends all requests; flights that come back later are freed without a word. */
void head_fail_all(struct head *head, const struct fail *why, const struct device_id *device);
/* True, and why, when a flight is out for longer than DEADLINE_FLIGHT_MS. */
bool head_overdue(const struct head *head, struct fail *why);
void head_counters(const struct head *head, struct ring_counters *counters);

#endif
