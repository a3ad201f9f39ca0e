/* part.h: this device's part of one plan: fetched, loaded, served by the ring, connected.
 *
 * One part lives at a time; a new one waits until the ring has let go of the old. Loop thread only;
 * loading runs on a worker. */
#ifndef DAEMON_PART_H
#define DAEMON_PART_H

#include "daemon/deployment.h"

struct part;

struct part_events {
	/* FETCHING, LOADING with progress; READY once; FAILED once with the reason. */
	void (*state)(void *context, enum part_state state, uint64_t done, uint64_t total,
		      const struct fail *why);
};

struct part *part_create(const struct deployment_config *config,
			 const struct deployment_services *services,
			 const struct part_events *events, void *context);
void part_destroy(struct part *part); /* must be idle; accepts NULL */

/* Begins with this plan (copied). Any part before is ended first. */
void part_begin(struct part *part, const struct plan *plan, uint16_t self);
/* Ends: requests at this head end with `why`. `ended` from the loop when all is freed. */
void part_end(struct part *part, const struct fail *why, const struct device_id *device,
	      void (*ended)(void *context), void *context);
/* An accepted socket of kind RING. */
void part_accept(struct part *part, uv_os_sock_t socket, const uint8_t preamble[PREAMBLE_BYTES]);
void part_connected(struct part *part, const struct epoch *epoch);
/* True while the ring serves this epoch here. */
bool part_serves(const struct part *part, const struct epoch *epoch);

/* The epoch that is served here; zero: none. */
struct epoch part_epoch(const struct part *part);

#endif
