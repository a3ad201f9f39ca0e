/* The thread pool: every piece once, runs one after the other, sleepers wake, denormals are kept.
 */
#include "compute/cpu/kernels.h"
#include "compute/cpu/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PIECES 1000

struct tally {
	uint8_t seen[PIECES]; /* plain memory: a piece is one thread's, and the leader's after */
	atomic_uint threads;  /* bit set */
	uint32_t run;
};

static void count_piece(void *context, uint32_t piece, uint32_t thread)
{
	struct tally *tally = context;
	tally->seen[piece]++;
	atomic_fetch_or(&tally->threads, 1u << thread);
}

static void every_piece_once(void **unused)
{
	for (uint32_t threads = 1; threads <= 6; threads++) {
		struct pool *pool = pool_create(threads, NULL);
		assert_non_null(pool);
		assert_int_equal(pool_threads(pool), threads);
		struct tally tally = { 0 };
		for (uint32_t n = 0; n <= PIECES; n += n < 10 ? 1 : 99) {
			memset(tally.seen, 0, sizeof(tally.seen));
			pool_run(pool, count_piece, &tally, n);
			for (uint32_t i = 0; i < PIECES; i++)
				assert_int_equal(tally.seen[i], i < n);
		}
		assert_int_equal(atomic_load(&tally.threads) >> threads, 0);
		pool_destroy(pool);
	}
}

static void check_run(void *context, uint32_t piece, uint32_t thread)
{
	struct tally *tally = context;
	tally->seen[piece] = (uint8_t)tally->run;
}

/* A thread that comes late to one run must not take part in the next with the old one's data. */
static void many_short_runs(void **unused)
{
	struct pool *pool = pool_create(4, NULL);
	assert_non_null(pool);
	for (uint32_t run = 1; run < 20000; run++) {
		struct tally tally = { .run = run };
		pool_run(pool, check_run, &tally, 1 + run % 7);
		for (uint32_t i = 0; i < 1 + run % 7; i++)
			assert_int_equal(tally.seen[i], (uint8_t)run);
	}
	pool_destroy(pool);
}

static void pause_ms(long ms)
{
	const struct timespec time = { 0, ms * 1000000 };
	nanosleep(&time, NULL);
}

static void meet(void *context, uint32_t piece, uint32_t thread)
{
	atomic_uint *arrived = context;
	atomic_fetch_add(arrived, 1);
	while (atomic_load(arrived) < 3)
		pause_ms(1);
}

/* Three pieces that wait for one another end only when all three threads have come. */
static void sleepers_wake(void **unused)
{
	struct pool *pool = pool_create(3, NULL);
	assert_non_null(pool);
	for (int i = 0; i < 5; i++) {
		atomic_uint arrived = 0;
		pause_ms(20);
		pool_run(pool, meet, &arrived, 3);
		assert_int_equal(atomic_load(&arrived), 3);
	}
	pool_destroy(pool);
}

#define SHARE 40

struct firsts {
	atomic_uint arrived;
	atomic_int piece[3]; /* the first of each thread, and 1; 0: none yet */
};

static void note_first(void *context, uint32_t piece, uint32_t thread)
{
	struct firsts *firsts = context;
	if (atomic_load(&firsts->piece[thread]))
		return;
	atomic_store(&firsts->piece[thread], (int)piece + 1);
	atomic_fetch_add(&firsts->arrived, 1);
	while (atomic_load(&firsts->arrived) < 3)
		pause_ms(1);
}

/* What a thread reads lies together: each begins with a range of its own. */
static void threads_have_ranges(void **unused)
{
	struct pool *pool = pool_create(3, NULL);
	assert_non_null(pool);
	struct firsts firsts = { 0 };
	pool_run(pool, note_first, &firsts, 3 * SHARE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(atomic_load(&firsts.piece[i]), i * SHARE + 1);
	pool_destroy(pool);
}

static double process_seconds(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Workers that spun for 200 ms would use 600 ms of processor time. */
static void idle_workers_sleep(void **unused)
{
	struct pool *pool = pool_create(4, NULL);
	assert_non_null(pool);
	struct tally tally = { 0 };
	pool_run(pool, count_piece, &tally, 64);
	const double before = process_seconds();
	pause_ms(200);
	assert_true(process_seconds() - before < 0.1);
	pool_destroy(pool);
}

static void halve(void *context, uint32_t piece, uint32_t thread)
{
	volatile float *values = context;
	values[piece] = values[piece] * 0.5f;
}

static void denormals_are_kept(void **unused)
{
	volatile float values[64];
	for (int i = 0; i < 64; i++)
		values[i] = 0x1p-126f;
	struct pool *pool = pool_create(3, NULL);
	assert_non_null(pool);
	pool_run(pool, halve, (void *)values, 64);
	pool_run(pool, halve, (void *)values, 64);
	for (int i = 0; i < 64; i++)
		assert_true(values[i] == 0x1p-128f);
	pool_destroy(pool);
}

static void odd_counts_are_refused(void **unused)
{
	struct fail fail;
	assert_null(pool_create(0, &fail));
	assert_int_equal(fail.code, FAIL_INVALID);
	assert_null(pool_create(POOL_THREADS_MAX + 1, NULL));
	pool_destroy(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_once),       cmocka_unit_test(many_short_runs),
		cmocka_unit_test(sleepers_wake),          cmocka_unit_test(threads_have_ranges),
		cmocka_unit_test(idle_workers_sleep),     cmocka_unit_test(denormals_are_kept),
		cmocka_unit_test(odd_counts_are_refused),
	};
	kernels_prepare_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
