#include "compute/cpu/pool.h"

#include "compute/cpu/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Looks before sleeping, some tens of microseconds. */
#define SPINS 2000

struct worker {
	struct pool *pool;
	pthread_t thread;
	uint32_t index;
};

/* A thread's pieces that nobody has taken: the first in the low half, the end in the high half.
 * Its owner takes the first, so that what it reads follows on what it has read and asked for
 * ahead; who has nothing left takes the last. */
struct range {
	_Alignas(64) atomic_uint_fast64_t pieces;
};

struct pool {
	uint32_t threads;
	uint32_t started; /* workers that run */
	struct worker *workers;
	struct range *ranges; /* [threads] */

	/* The run. Written by the leader before there are pieces to take; a thread that has taken
	 * one may read them, since the run cannot end before that piece is done. */
	pool_fn fn;
	void *context;
	uint32_t n_pieces;
	_Alignas(64) atomic_uint runs; /* begun so far */
	_Alignas(64) atomic_uint done; /* pieces finished in this run */

	_Alignas(64) pthread_mutex_t lock; /* for sleeping only */
	pthread_cond_t work, finished;
	atomic_uint sleepers;
	atomic_bool leader_sleeps;
	atomic_bool stop;
};

static void relax(void)
{
#if defined(__x86_64__) /* the hint has no portable spelling */
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static uint_fast64_t pieces_of(uint32_t first, uint32_t end)
{
	return (uint_fast64_t)end << 32 | first;
}

/* Takes one piece of a range if there is one. That the range is a later run's by now does no harm.
 */
static bool take_of(struct range *range, bool own, uint32_t *piece)
{
	uint_fast64_t pieces = atomic_load_explicit(&range->pieces, memory_order_acquire);
	for (;;) {
		const uint32_t first = (uint32_t)pieces, end = (uint32_t)(pieces >> 32);
		if (first == end)
			return false;
		*piece = own ? first : end - 1;
		const uint_fast64_t left =
			own ? pieces_of(first + 1, end) : pieces_of(first, end - 1);
		if (atomic_compare_exchange_weak_explicit(&range->pieces, &pieces, left,
							  memory_order_acq_rel,
							  memory_order_acquire))
			return true;
	}
}

/* Takes one piece if there is one, of the thread's own if it has any. */
static bool take(struct pool *pool, uint32_t thread, uint32_t *piece)
{
	for (uint32_t i = 0; i < pool->threads; i++)
		if (take_of(&pool->ranges[(thread + i) % pool->threads], i == 0, piece))
			return true;
	return false;
}

/* Works as long as there are pieces. */
static void work(struct pool *pool, uint32_t thread)
{
	uint32_t piece;
	while (take(pool, thread, &piece)) {
		const uint32_t n_pieces = pool->n_pieces;
		pool->fn(pool->context, piece, thread);
		if (atomic_fetch_add(&pool->done, 1) + 1 != n_pieces)
			continue;
		if (!atomic_load(&pool->leader_sleeps))
			continue;
		pthread_mutex_lock(&pool->lock);
		pthread_cond_signal(&pool->finished);
		pthread_mutex_unlock(&pool->lock);
	}
}

/* `run`: the last one that the thread has seen. */
static bool has_work(struct pool *pool, uint32_t run)
{
	return atomic_load(&pool->runs) != run || atomic_load(&pool->stop);
}

static void wait_for_work(struct pool *pool, uint32_t run)
{
	for (int i = 0; i < SPINS; i++) {
		if (has_work(pool, run))
			return;
		relax();
	}
	pthread_mutex_lock(&pool->lock);
	atomic_fetch_add(&pool->sleepers, 1);
	while (!has_work(pool, run))
		pthread_cond_wait(&pool->work, &pool->lock);
	atomic_fetch_sub(&pool->sleepers, 1);
	pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *argument)
{
	const struct worker *worker = argument;
	struct pool *pool = worker->pool;
	kernels_prepare_thread();
	while (!atomic_load(&pool->stop)) {
		const uint32_t run = atomic_load(&pool->runs);
		work(pool, worker->index);
		wait_for_work(pool, run);
	}
	return NULL;
}

static void wait_for_done(struct pool *pool)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load(&pool->done) == pool->n_pieces)
			return;
		relax();
	}
	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->leader_sleeps, true);
	while (atomic_load(&pool->done) != pool->n_pieces)
		pthread_cond_wait(&pool->finished, &pool->lock);
	atomic_store(&pool->leader_sleeps, false);
	pthread_mutex_unlock(&pool->lock);
}

static void wake(struct pool *pool)
{
	if (!atomic_load(&pool->sleepers))
		return;
	pthread_mutex_lock(&pool->lock);
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

/* An even share of the pieces for each thread. */
static void share_out(struct pool *pool, uint32_t n_pieces)
{
	uint32_t first = 0;
	for (uint32_t i = 0; i < pool->threads; i++) {
		const uint32_t end = (uint32_t)((uint64_t)n_pieces * (i + 1) / pool->threads);
		atomic_store_explicit(&pool->ranges[i].pieces, pieces_of(first, end),
				      memory_order_release);
		first = end;
	}
}

void pool_run(struct pool *pool, pool_fn fn, void *context, uint32_t n_pieces)
{
	if (pool->threads == 1 || n_pieces <= 1) {
		for (uint32_t piece = 0; piece < n_pieces; piece++)
			fn(context, piece, 0);
		return;
	}
	pool->fn = fn;
	pool->context = context;
	pool->n_pieces = n_pieces;
	atomic_store(&pool->done, 0);
	share_out(pool, n_pieces);
	atomic_fetch_add(&pool->runs, 1);
	wake(pool);
	work(pool, 0);
	wait_for_done(pool);
}

static int start_workers(struct pool *pool, struct fail *fail)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);
	if (error)
		return fail_errno(fail, error, "cannot start compute threads");
	error = pthread_attr_setstacksize(&attributes, POOL_STACK_BYTES);
	for (uint32_t i = 1; i < pool->threads && !error; i++) {
		struct worker *worker = &pool->workers[i - 1];
		worker->pool = pool;
		worker->index = i;
		error = pthread_create(&worker->thread, &attributes, worker_main, worker);
		pool->started += !error;
	}
	pthread_attr_destroy(&attributes);
	return error ? fail_errno(fail, error, "cannot start compute thread %u of %u",
				  pool->started + 2, pool->threads)
		     : 0;
}

struct pool *pool_create(uint32_t threads, struct fail *fail)
{
	if (threads < 1 || threads > POOL_THREADS_MAX) {
		fail_set(fail, FAIL_INVALID, "%u compute threads asked for; 1 to %u are possible",
			 threads, POOL_THREADS_MAX);
		return NULL;
	}
	struct pool *pool = aligned_alloc(_Alignof(struct pool), sizeof(*pool));
	if (!pool) {
		fail_set(fail, FAIL_MEMORY, "no memory for the compute threads");
		return NULL;
	}
	*pool = (struct pool){ .threads = threads };
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->finished, NULL);
	pool->workers = calloc(threads, sizeof(*pool->workers));
	pool->ranges = aligned_alloc(_Alignof(struct range), threads * sizeof(*pool->ranges));
	if (pool->ranges)
		memset(pool->ranges, 0, threads * sizeof(*pool->ranges));
	if (!pool->workers || !pool->ranges) {
		fail_set(fail, FAIL_MEMORY, "no memory for the compute threads");
		goto fail;
	}
	if (start_workers(pool, fail) < 0)
		goto fail;
	return pool;
fail:
	pool_destroy(pool);
	return NULL;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->stop, true);
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (uint32_t i = 0; i < pool->started; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->finished);
	pthread_mutex_destroy(&pool->lock);
	free(pool->ranges);
	free(pool->workers);
	free(pool);
}

uint32_t pool_threads(const struct pool *pool)
{
	return pool->threads;
}
