/* ring.h: the ring thread: flights of one epoch between this device's neighbours and its backend.
 *
 * Thread rules. All functions here are called on the loop thread and post letters to the ring
 * thread, which owns everything else: ring connections, flights, and on the head the requests.
 * Events come back on the loop thread through its mailbox. Compute runs on the backend's leader,
 * whose `done` posts the flight back to the ring thread; a single row that takes little is computed
 * by the ring thread itself while the leader has nothing (ring_line.c).
 *
 * A flight on its way: a neighbour's link (or the head's scheduler) gives it, its sequence
 * operations and rows run through the stage's layers, the next stage's device gets it. The head
 * never has more than RING_FLIGHTS_MAX flights out, and every link has as many credits, granted anew
 * half of them at once, so no cycle of full links can form. */
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include "base/account.h"
#include "base/fail.h"
#include "compute/compute.h"
#include "daemon/link.h"
#include "base/mailbox.h"
#include "proto/messages.h"
#include "proto/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define RING_FLIGHTS_MAX 8
#define RING_REQUESTS_MAX 64 /* running at one head, and as many more waiting */

struct ring;

struct ring_events { /* all on the loop thread */
	void (*tokens)(void *context, const struct message_tokens *tokens);
	void (*request_end)(void *context, const struct message_request_end *end);
	/* A link or the backend failed: the epoch cannot go on. `device` may be NULL (ourselves). */
	void (*broken)(void *context, const struct epoch *epoch, const struct device_id *device,
		       const struct fail *why);
	/* All neighbours are connected, both ways. */
	void (*connected)(void *context, const struct epoch *epoch);
	/* Requests run or wait at this head now, and none did; or the other way round. */
	void (*load)(void *context);
};

struct ring_counters {
	uint64_t flights, bytes_sent, bytes_received;
	uint32_t requests_running, requests_waiting;
	uint32_t flights_out; /* head: on the ring now */
	bool holding;	      /* head: those that wait are not started (ring_hold) */
	double token_s;       /* head: smoothed time per generated token; 0: none yet */
};

/* Starts the thread. `home` is the loop thread's mailbox. Gives. */
struct ring *ring_create(struct mailbox *home, struct account *account,
			 const struct ring_events *events, void *context, struct fail *fail);
/* Stops serving, ends the thread. Blocks for at most one layer's time. Accepts NULL. */
void ring_destroy(struct ring *ring);

/* Begins to serve a plan. `self` indexes its devices. Takes `slice` and `model` unless it fails (both
 * are freed on the ring thread when the epoch ends); copies the plan. Any epoch served before must
 * be stopped. `identity` material for links is attached with them. */
int ring_serve(struct ring *ring, const struct plan *plan, uint16_t self, struct slice *slice,
	       struct model *model, struct fail *fail);
/* Ends the epoch: requests at this head end with `why`, links close, the slice is destroyed. Then
 * `stopped` is called on the loop thread; not again before that. Safe when nothing is served. Never
 * fails for want of memory. */
void ring_stop(struct ring *ring, const struct fail *why, const struct device_id *device,
	       void (*stopped)(void *context), void *context);

/* Takes an established ring connection. `outgoing`: we send flights on it. A connection for
 * another epoch is closed, and so is this one when it fails (-FAIL_MEMORY). */
int ring_link(struct ring *ring, struct link_parts *parts, uint16_t device, bool outgoing,
	      const struct epoch *epoch);

/* Head only. These give -FAIL_MEMORY when the order could not be passed on. */

/* Copies the request and its tokens. Refusals come as request_end. One that is there already is told
 * all its tokens again: the owner missed some. */
int ring_request(struct ring *ring, const struct message_request *request);
int ring_cancel(struct ring *ring, const struct request_id *id);
/* No more requests are started, for some seconds or until it is said again; or they are again. */
int ring_hold(struct ring *ring, bool on);
/* Cancels all requests of an owner that was lost. */
int ring_cancel_owner(struct ring *ring, const struct device_id *owner);

void ring_counters(struct ring *ring, struct ring_counters *counters); /* a snapshot, any time */

/* Asks the ring thread for a sign of life, and looks for flights that never came back. False: the
 * thread, or the backend's leader while it has work, has shown none for too long (pulse.h). */
bool ring_beat(struct ring *ring);

#endif
