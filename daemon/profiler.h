/* profiler.h: measures this device for the planner, on a worker, and keeps the result across
 * restarts (profile.bin: valid for the same processor, threads, variant and build).
 *
 * Only weight types that somebody wants are measured: those of the models at hand, more when a model
 * comes. A measurement ends after a limit; what was left out is measured in a next one at once, and
 * what a limit cut short was measured on a busy machine: it is used, but not kept. Loop thread only. */
#ifndef DAEMON_PROFILER_H
#define DAEMON_PROFILER_H

#include "compute/compute.h"
#include "discovery/discovery.h"
#include "proto/profile.h"

#include <uv.h>

#define PROFILER_LIMIT_MS 4000 /* of one measurement, for its weight types */

struct profiler;

struct profiler_config {
	uv_loop_t *loop;
	struct backend *backend; /* borrowed */
	const struct machine *machine;
	const char *state; /* the folder */
	uint64_t types; /* wanted from the beginning, as by profiler_want */
	int64_t limit_ms;
	/* From the loop, at first and whenever there is more: rates, overhead, disk filled in; the rest
	 * of the profile is the caller's. */
	void (*done)(void *context, const struct profile_backend *rates, double disk_bytes_per_s);
	void *context;
};

/* Begins at once: from the file where it fits, else by measuring what no weight type says. Gives;
 * NULL when memory is short. */
struct profiler *profiler_create(const struct profiler_config *config);
/* Wants these weight types, a bit each; what was not measured yet is, in the background. */
void profiler_want(struct profiler *profiler, uint64_t types);
/* Forgets the caller; frees itself when the worker has ended. Accepts NULL. */
void profiler_destroy(struct profiler *profiler);

/* The types of a model's products, a bit each. */
uint64_t profiler_types(const struct model_facts *facts);

#endif
