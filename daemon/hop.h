/* hop.h: a flight while it is on this device, and what the ring does for its head. Ring thread
 * only, but for the backend's `done`. Inside of ring.c and head.c; nobody else includes it. */
#ifndef DAEMON_HOP_H
#define DAEMON_HOP_H

#include "daemon/news.h"
#include "daemon/ring.h"
#include "proto/flight.h"

enum hop_phase { HOP_LAYERS, HOP_EMBED, HOP_OUTPUT };

#define HOP_FROM_HEAD (-1)

struct head;
struct head_request;

struct hop {
	struct letter letter; /* backend to ring thread */
	struct ring *ring;
	struct hop *next_free;
	int from; /* device whose credit it holds, or HOP_FROM_HEAD */
	enum hop_phase phase;
	struct flight flight;
	float *states;               /* [rows_max, n_embd] */
	struct work_row rows[FLIGHT_ROWS_MAX];
	struct work works[FLIGHT_OPS_MAX + 1];
	uint32_t n_works;
	enum fail_code code;         /* the first failure of its works */
	void (*on_leader)(struct hop *hop); /* after its works, before its letter; or NULL */
	/* head only */
	uint32_t token; /* HOP_OUTPUT: what was sampled */
	struct head *head;
	struct head_request *request; /* whose flight it is */
};

/* ---- what ring.c gives to head.c ---- */
struct hop *ring_hop_take(struct ring *ring); /* NULL: all are out */
void ring_hop_free(struct ring *ring, struct hop *hop);
/* Runs the hop's works (n_works of them, filled in); its letter comes back when all are done. */
void ring_hop_compute(struct ring *ring, struct hop *hop);
/* Sends a hop whose states are ready to stage 0's device. */
void ring_hop_depart(struct ring *ring, struct hop *hop);
const struct plan *ring_plan(const struct ring *ring);
uint64_t ring_bytes_sent(const struct ring *ring);
struct news *ring_news(struct ring *ring);

#endif
