/* hop.h: a flight while it is on this device, and what the ring does for its head. Ring thread
 * only; while its works are with the leader, they, n_done, code and busy_us are the leader's. Inside
 * of the ring's files and head.c; nobody else includes it. */
#ifndef DAEMON_HOP_H
#define DAEMON_HOP_H

#include "daemon/news.h"
#include "daemon/ring.h"
#include "proto/flight.h"

enum hop_phase { HOP_LAYERS, HOP_EMBED, HOP_OUTPUT, HOP_PHASES };

#define HOP_FROM_HEAD (-1)

struct head;
struct head_request;

struct hop {
	struct letter letter; /* leader to ring thread */
	struct ring *ring;
	struct hop *next; /* among the free ones, or in line to be computed */
	int from; /* device whose credit it holds, or HOP_FROM_HEAD */
	enum hop_phase phase;
	struct flight flight;
	float *states;               /* [rows_max, row_floats] */
	struct work_row rows[FLIGHT_ROWS_MAX];
	struct work works[FLIGHT_OPS_MAX + 1];
	uint32_t n_works, n_done;
	enum fail_code code;         /* the first failure of its works */
	int64_t busy_us;             /* time of its works */
	void (*after_works)(struct hop *hop); /* on the thread that did them, if none failed; or NULL */
	/* head only */
	uint32_t token; /* HOP_OUTPUT: what was sampled */
	struct head *head;
	struct head_request *request; /* whose flight it is */
};

/* ---- what ring.c gives to head.c ---- */
struct hop *ring_hop_take(struct ring *ring); /* NULL: all are out */
void ring_hop_free(struct ring *ring, struct hop *hop);
/* Runs the hop's works (n_works of them, filled in). When all are done the ring goes on with it: from
 * a later turn of the loop, but for an embedding, which may be done within the call. */
void ring_hop_compute(struct ring *ring, struct hop *hop);
/* Sends a hop whose states are ready to stage 0's device. */
void ring_hop_depart(struct ring *ring, struct hop *hop);
const struct plan *ring_plan(const struct ring *ring);
uint64_t ring_bytes_sent(const struct ring *ring);
struct news *ring_news(struct ring *ring);

#endif
