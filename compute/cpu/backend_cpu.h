/* backend_cpu.h: the CPU backend from inside: what slices and measurements use of it.
 *
 * One leader thread takes work in the order of submission and leads the pool; it waits by a brief
 * spin, then sleeps. While it has none, a caller's thread may take its place for one piece of work;
 * nobody else calls pool_run. */
#ifndef COMPUTE_CPU_BACKEND_CPU_H
#define COMPUTE_CPU_BACKEND_CPU_H

#include "compute/backend.h"
#include "compute/cpu/kernels.h"
#include "compute/cpu/pool.h"

struct account *backend_account(const struct backend *backend);
const struct kernels *backend_kernels(const struct backend *backend);
struct pool *backend_pool(const struct backend *backend);

/* Queues work whose slice is set; the leader runs slice_run on it, then calls `done`. */
void backend_queue(struct backend *backend, struct work *work);

/* Runs the work on this thread in the leader's place. False: the place is taken, or work is queued. */
bool backend_run_here(struct backend *backend, struct work *work);

/* Runs fn(context) on the leader after all that was queued before; returns when it has run. Not
 * from the leader itself. */
void backend_call(struct backend *backend, void (*fn)(void *context), void *context);

/* slice.c: does the work and sets its results. On the leader, or in its place. */
void slice_run(struct slice *slice, struct work *work);

#endif
