#include "compute/cpu/backend_cpu.h"

#include "base/clock.h"
#include "compute/cpu/cores.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPIN_US    50 /* the next batch of a busy ring mostly comes sooner */
#define SPIN_LOOKS 64

_Static_assert(POOL_STACK_BYTES == BACKEND_STACK_BYTES, "a guest needs what the leader has");

struct backend {
	struct account *account; /* borrowed */
	const struct kernels *kernels;
	struct pool *pool;
	char name[64];

	pthread_t leader;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;   /* the leader sleeps on it */
	pthread_cond_t called; /* a backend_call was answered */
	struct work *first, **last;
	atomic_uint queued; /* what the leader spins on */
	bool leads, guest;  /* the leader, or a caller in its place, is at work */
	bool stop;
};

/* A function queued among the work: work without a slice. */
struct call {
	struct work work;
	void (*fn)(void *context);
	void *context;
	bool answered;
};

/* ---- the leader ---- */

static void spin(struct backend *backend)
{
	const int64_t end = clock_us() + SPIN_US;
	do {
		for (int i = 0; i < SPIN_LOOKS; i++)
			if (atomic_load_explicit(&backend->queued, memory_order_relaxed))
				return;
	} while (clock_us() < end);
}

/* The next work, or NULL at the end. */
static struct work *take_work(struct backend *backend)
{
	spin(backend);
	pthread_mutex_lock(&backend->lock);
	while (backend->guest || (!backend->first && !backend->stop))
		pthread_cond_wait(&backend->wake, &backend->lock);
	struct work *work = backend->first;
	if (work) {
		backend->first = work->next;
		if (!backend->first)
			backend->last = &backend->first;
		atomic_fetch_sub(&backend->queued, 1);
	}
	backend->leads = work != NULL;
	pthread_mutex_unlock(&backend->lock);
	return work;
}

/* Before anybody is told of the work: then the place is free for who hears of it. */
static void leave_work(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	backend->leads = false;
	pthread_mutex_unlock(&backend->lock);
}

static void answer_call(struct backend *backend, struct call *call)
{
	call->fn(call->context);
	pthread_mutex_lock(&backend->lock);
	call->answered = true;
	backend->leads = false;
	pthread_cond_broadcast(&backend->called);
	pthread_mutex_unlock(&backend->lock);
}

static void run_timed(struct work *work)
{
	const int64_t begin_us = clock_us();
	slice_run(work->slice, work);
	work->busy_us = clock_us() - begin_us;
}

static void *lead(void *context)
{
	struct backend *backend = context;
	struct work *work;
	kernels_prepare_thread();
	while ((work = take_work(backend))) {
		if (!work->slice) {
			answer_call(backend, (struct call *)(void *)work);
			continue;
		}
		run_timed(work);
		leave_work(backend);
		work->done(work);
	}
	return NULL;
}

void backend_queue(struct backend *backend, struct work *work)
{
	work->next = NULL;
	pthread_mutex_lock(&backend->lock);
	*backend->last = work;
	backend->last = &work->next;
	atomic_fetch_add(&backend->queued, 1);
	pthread_cond_signal(&backend->wake);
	pthread_mutex_unlock(&backend->lock);
}

static bool take_place(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	const bool taken = !backend->leads && !backend->guest && !backend->first;
	backend->guest |= taken;
	pthread_mutex_unlock(&backend->lock);
	return taken;
}

static void leave_place(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	backend->guest = false;
	if (backend->first)
		pthread_cond_signal(&backend->wake);
	pthread_mutex_unlock(&backend->lock);
}

bool backend_run_here(struct backend *backend, struct work *work)
{
	if (!take_place(backend))
		return false;
	kernels_prepare_thread();
	run_timed(work);
	leave_place(backend);
	return true;
}

void backend_call(struct backend *backend, void (*fn)(void *context), void *context)
{
	struct call call = { .fn = fn, .context = context };
	backend_queue(backend, &call.work);
	pthread_mutex_lock(&backend->lock);
	while (!call.answered)
		pthread_cond_wait(&backend->called, &backend->lock);
	pthread_mutex_unlock(&backend->lock);
}

/* ---- the whole ---- */

static int start_leader(struct backend *backend)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);
	if (error)
		return error;
	error = pthread_attr_setstacksize(&attributes, POOL_STACK_BYTES);
	if (!error)
		error = pthread_create(&backend->leader, &attributes, lead, backend);
	pthread_attr_destroy(&attributes);
	return error;
}

struct backend *backend_cpu_create(const struct backend_config *config, struct fail *fail)
{
	const struct kernels *kernels = kernels_select(config->cpu, fail);
	if (!kernels)
		return NULL;
	struct backend *backend = calloc(1, sizeof(*backend));
	if (!backend) {
		fail_set(fail, FAIL_MEMORY, "no memory for a backend");
		return NULL;
	}
	backend->account = config->account;
	backend->kernels = kernels;
	backend->last = &backend->first;
	pthread_mutex_init(&backend->lock, NULL);
	pthread_cond_init(&backend->wake, NULL);
	pthread_cond_init(&backend->called, NULL);
	uint32_t threads = config->threads ? config->threads : cores_usable();
	threads = threads < POOL_THREADS_MAX ? threads : POOL_THREADS_MAX;
	backend->pool = pool_create(threads, fail);
	if (!backend->pool)
		goto fail;
	snprintf(backend->name, sizeof(backend->name), "cpu %s, %u thread%s", kernels->name,
		 threads, threads == 1 ? "" : "s");
	const int error = start_leader(backend);
	if (error) {
		fail_errno(fail, error, "cannot start the compute thread");
		goto fail;
	}
	backend->started = true;
	return backend;
fail:
	backend_destroy(backend);
	return NULL;
}

void backend_destroy(struct backend *backend)
{
	if (!backend)
		return;
	if (backend->started) {
		pthread_mutex_lock(&backend->lock);
		backend->stop = true;
		pthread_cond_signal(&backend->wake);
		pthread_mutex_unlock(&backend->lock);
		pthread_join(backend->leader, NULL);
	}
	pool_destroy(backend->pool);
	pthread_cond_destroy(&backend->called);
	pthread_cond_destroy(&backend->wake);
	pthread_mutex_destroy(&backend->lock);
	free(backend);
}

const char *backend_name(const struct backend *backend)
{
	return backend->name;
}

uint32_t backend_threads(const struct backend *backend)
{
	return pool_threads(backend->pool);
}

struct account *backend_account(const struct backend *backend)
{
	return backend->account;
}

const struct kernels *backend_kernels(const struct backend *backend)
{
	return backend->kernels;
}

struct pool *backend_pool(const struct backend *backend)
{
	return backend->pool;
}
