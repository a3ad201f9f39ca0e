/* ring_inside.h: what the ring consists of. Inside of ring.c, which moves flights, and of
 * ring_line.c, which has them computed, and of ring_orders.c, which carries the loop thread's orders
 * over; nobody else includes it. */
#ifndef DAEMON_RING_INSIDE_H
#define DAEMON_RING_INSIDE_H

#include "base/list.h"
#include "daemon/head.h"
#include "daemon/hop.h"
#include "daemon/news.h"
#include "daemon/pulse.h"
#include "daemon/tally.h"

#include <pthread.h>

/* The order that ends an epoch, or the thread: one at a time, made with the ring. */
struct ring_end {
	struct letter letter;
	struct fail why;
	struct device_id device;
	bool has_device;
	void (*stopped)(void *context);
	void *context;
};

struct ring_neighbour {
	struct link *link;
	uint32_t credits;                    /* outgoing: flights we may still send */
	uint32_t owed;                       /* incoming: flights that went on, not yet granted anew */
	struct hop *queue[RING_FLIGHTS_MAX]; /* computed, waiting for credit */
	uint32_t n_queue;
};

/* What one epoch needs; all of it is the ring thread's. */
struct ring_epoch {
	struct letter serve;
	struct ring *ring;
	struct plan plan;
	uint16_t self;
	struct slice *slice;
	struct model *model;
	uint32_t row_floats; /* from row to row of a hop's states */
	struct hop *hops;    /* [RING_FLIGHTS_MAX] */
	float *states;       /* one allocation for all hops */
	struct hop *free_hops;
	uint32_t hops_out;
	uint64_t charged_bytes;
	struct ring_neighbour out[PLAN_DEVICES_MAX], in[PLAN_DEVICES_MAX];
	uint32_t n_out, n_in, n_connected;
	struct head *head; /* when self is the head */
	struct buf encoded;
	atomic_bool cancel;
	bool broken, stopping;
};

/* Hops in the order in which they are to be computed, and where that is done (ring_line.c). */
struct ring_line {
	struct hop *first, *last;
	uint32_t led;                /* hops that the leader has: then none waits here */
	int64_t row_us[HOP_PHASES];  /* time that the last single row took; -1: not known */
	uv_idle_t turn;              /* runs while a hop waits */
};

struct ring {
	uv_loop_t loop;
	pthread_t thread;
	struct mailbox *inbox; /* to the ring thread */
	struct account *account;
	struct news news; /* to the loop thread */
	struct ring_epoch *epoch;
	struct message message; /* decoding */
	struct buf credit;      /* the body of a grant, encoded once */
	struct tally tally;
	struct pulse pulse;
	struct ring_line line;
	struct letter beat;  /* from pulse_ask to pulse_answer it is under way */
	struct ring_end end; /* what must get through also when memory is short */
};

/* ---- ring thread only: what ring.c gives to the others ---- */

/* The first failure of an epoch is the one that is told; the node stops the ring then. */
void ring_break(struct ring *ring, const struct device_id *device, const struct fail *why);
void ring_put_link(struct ring *ring, struct link *link, uint16_t device, bool outgoing);
void ring_count(struct ring *ring, uint64_t sent, uint64_t received);
/* Destroys a stopping epoch when no hop is on the backend any more. */
void ring_stop_if_quiet(struct ring *ring);
void ring_epoch_destroy(struct ring_epoch *epoch, struct account *account);
/* A hop's works are done. The epoch may be gone after it. */
void ring_hop_computed(struct hop *hop);
extern const struct link_events ring_link_events;

/* ---- what ring_line.c gives to the others, beside ring_hop_compute ---- */

void ring_line_init(struct ring *ring);
void ring_line_close(struct ring *ring);
/* Another model: nothing is known of its times. */
void ring_line_forget(struct ring *ring);
/* Handles a hop's letter: the leader is done with it. */
void ring_line_letter(struct letter *letter);

/* ---- what ring_orders.c gives to ring.c ---- */

/* Handles the letter of ring->beat. */
void ring_do_beat(struct letter *letter);

#endif
