/* profiler.h: measures this device for the planner, on a worker, and keeps the result across
 * restarts (profile.bin: valid for the same processor, threads, variant and build). */
#ifndef DAEMON_PROFILER_H
#define DAEMON_PROFILER_H

#include "compute/compute.h"
#include "discovery/discovery.h"
#include "proto/profile.h"

#include <uv.h>

struct profiler;

/* Begins at once: from the file where it fits, else by measuring for about a second. `done` once,
 * from the loop, with rates, overhead, disk filled in; the rest of the profile is the caller's. */
struct profiler *profiler_start(uv_loop_t *loop, struct backend *backend,
				const struct machine *machine, const char *state,
				void (*done)(void *context, const struct profile_backend *rates,
					     double disk_bytes_per_s),
				void *context);
/* Forgets the caller; frees itself when the worker has ended. Accepts NULL. */
void profiler_abandon(struct profiler *profiler);

#endif
