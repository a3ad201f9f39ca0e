#include "compute/cpu/pool.h"

#include "compute/cpu/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Looks before sleeping, some tens of microseconds. */
#define SPINS 2000

struct worker {
	struct pool *pool;
	pthread_t thread;
	uint32_t index;
};

struct pool {
	uint32_t threads;
	uint32_t started; /* workers that run */
	struct worker *workers;

	/* The run. Written by the leader before `left` becomes positive; a thread that has taken a
	 * piece may read them, since the run cannot end before that piece is done. */
	pool_fn fn;
	void *context;
	uint32_t n_pieces;
	/* High half: number of the run. Low half: pieces not yet taken. */
	_Alignas(64) atomic_uint_fast64_t ticket;
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

/* Takes one piece if there is one. */
static bool take(struct pool *pool, uint32_t *piece)
{
	uint_fast64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
	while ((uint32_t)ticket)
		if (atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket - 1,
							  memory_order_acq_rel,
							  memory_order_acquire)) {
			*piece = pool->n_pieces - (uint32_t)ticket;
			return true;
		}
	return false;
}

/* Works as long as there are pieces. */
static void work(struct pool *pool, uint32_t thread)
{
	uint32_t piece;
	while (take(pool, &piece)) {
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

static bool has_work(struct pool *pool)
{
	return (uint32_t)atomic_load(&pool->ticket) || atomic_load(&pool->stop);
}

static void wait_for_work(struct pool *pool)
{
	for (int i = 0; i < SPINS; i++) {
		if (has_work(pool))
			return;
		relax();
	}
	pthread_mutex_lock(&pool->lock);
	atomic_fetch_add(&pool->sleepers, 1);
	while (!has_work(pool))
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
		work(pool, worker->index);
		wait_for_work(pool);
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
	const uint_fast64_t run = (atomic_load(&pool->ticket) >> 32) + 1;
	atomic_store(&pool->ticket, run << 32 | n_pieces);
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
	if (!pool->workers) {
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
	free(pool->workers);
	free(pool);
}

uint32_t pool_threads(const struct pool *pool)
{
	return pool->threads;
}
