/* pool.h: the compute threads: one leader, who calls, and workers that live as long as the pool.
 *
 * Work is handed out in small pieces. Each thread has a range of them to begin with, for what lies
 * together in memory is best read by one; when it has none left it takes those of others, so that a
 * core that is slow or busy with somebody else's work does fewer. Between runs workers spin
 * briefly, since the next run mostly follows at once, then sleep; an idle pool uses no CPU. */
#ifndef COMPUTE_CPU_POOL_H
#define COMPUTE_CPU_POOL_H

#include "base/fail.h"

#include <stdint.h>

#define POOL_THREADS_MAX 256u
/* Stack of a thread that computes. Attention keeps tiles on it; some systems give threads 512 KiB.
 */
#define POOL_STACK_BYTES (2u << 20)

/* Called once for each piece < n_pieces, in no order, on any thread of the pool; `thread` <
 * pool_threads says which one, for scratch memory. */
typedef void (*pool_fn)(void *context, uint32_t piece, uint32_t thread);

struct pool;

/* `threads` counts the leader: 1 makes no thread. The leader is whoever calls pool_run, one thread
 * at a time. Workers have their floating point prepared. Gives. */
struct pool *pool_create(uint32_t threads, struct fail *fail);
void pool_destroy(struct pool *pool); /* no run in progress; accepts NULL */
uint32_t pool_threads(const struct pool *pool);

/* Returns when every piece is done. What the leader wrote before, all pieces see; what they wrote,
 * the leader sees after. Pieces must not call pool_run. */
void pool_run(struct pool *pool, pool_fn fn, void *context, uint32_t n_pieces);

#endif
