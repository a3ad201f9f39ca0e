/* Letters between threads: none lost, each thread's in order, those posted before the end handled. */
#include "base/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 2
#define LETTERS 20000

struct numbered {
	struct letter letter;
	int thread, number;
};

static struct mailbox *mailbox;
static struct numbered letters[THREADS][LETTERS];
static int handled[THREADS];
static bool in_order;

static void take(struct letter *letter)
{
	const struct numbered *it = (const struct numbered *)letter;
	in_order = in_order && handled[it->thread] == it->number;
	handled[it->thread]++;
	if (handled[0] == LETTERS && handled[1] == LETTERS)
		mailbox_close(mailbox);
}

static void *post_all(void *argument)
{
	struct numbered *own = argument;
	for (int i = 0; i < LETTERS; i++)
		mailbox_post(mailbox, &own[i].letter);
	return NULL;
}

static void begin(void)
{
	in_order = true;
	memset(handled, 0, sizeof(handled));
	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j < LETTERS; j++)
			letters[i][j] = (struct numbered){ { .handle = take }, i, j };
}

static void two_threads_post(void **state)
{
	uv_loop_t loop;
	pthread_t threads[THREADS];
	begin();
	assert_int_equal(uv_loop_init(&loop), 0);
	mailbox = mailbox_create(&loop);
	assert_non_null(mailbox);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, letters[i]), 0);
	uv_run(&loop, UV_RUN_DEFAULT); /* until the last letter closes the mailbox */
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(handled[0], LETTERS);
	assert_int_equal(handled[1], LETTERS);
	assert_true(in_order);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void close_handles_what_was_posted(void **state)
{
	uv_loop_t loop;
	begin();
	assert_int_equal(uv_loop_init(&loop), 0);
	mailbox = mailbox_create(&loop);
	assert_non_null(mailbox);
	for (int i = 0; i < 3; i++)
		mailbox_post(mailbox, &letters[0][i].letter);
	mailbox_close(mailbox);
	assert_int_equal(handled[0], 3);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(handled[0], 3);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_post),
		cmocka_unit_test(close_handles_what_was_posted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
