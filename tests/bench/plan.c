/* Planning time over homes of several sizes: 128 layers of four kinds, all heads, every measured
 * pair of links different. Prints best, median and worst of a number of random homes, in time of the
 * processor.
 *
 *   bench_plan [homes]      default 20 homes a row */
#include "tests/unit/planner/homes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LAYERS 128

static int compare(const void *left, const void *right)
{
	const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
	return a < b ? -1 : a > b;
}

/* Time of the processor, not of the wall: other work on the machine does not count. */
static int64_t cpu_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct row {
	uint32_t devices;
	double room; /* memory of all devices together, in models */
	bool streaming;
};

static void run(const struct row *row, uint32_t homes)
{
	static struct test_home home;
	static struct plan plan;
	struct dice dice = { row->devices };
	int64_t *times = calloc(homes, sizeof(times[0]));
	uint32_t planned = 0, holders = 0;
	for (uint32_t i = 0; times && i < homes; i++) {
		struct fail fail;
		test_home_roll(&home, &dice, row->devices, LAYERS, row->room);
		home.options.turn = (struct plan_turn){ 512, 0, 128 };
		home.options.streaming = row->streaming;
		const int64_t begin = cpu_us();
		const int rc = plan_make(&plan, home.candidates, home.n, &home.facts,
					 &home.options, &fail);
		times[i] = cpu_us() - begin;
		for (uint32_t j = 0; rc == 0 && j < plan.n_devices; j++)
			holders += plan.devices[j].n_layers > 0;
		planned += rc == 0;
	}
	if (times)
		qsort(times, homes, sizeof(times[0]), compare);
	printf("%2u devices x %d layers, %4.1f models of room%s: best %6.2f, median %6.2f, worst %6.2f "
	       "ms; %u of %u planned, %.1f devices hold layers\n",
	       row->devices, LAYERS, row->room, row->streaming ? ", streaming" : "",
	       times ? (double)times[0] / 1e3 : 0, times ? (double)times[homes / 2] / 1e3 : 0,
	       times ? (double)times[homes - 1] / 1e3 : 0, planned, homes,
	       planned ? (double)holders / planned : 0);
	free(times);
}

int main(int argc, char **argv)
{
	static const struct row rows[] = {
		{ 2, 4, false },   { 4, 8, false },   { 8, 8, false },   { 8, 1.5, false },
		{ 12, 12, false }, { 12, 4, false },  { 12, 1.5, false }, { 32, 32, false },
		{ 32, 8, false },  { 32, 2, false },  { 4, 1, true },    { 12, 1, true },
		{ 32, 1, true },
	};
	const int homes = argc > 1 ? atoi(argv[1]) : 20;
	for (size_t i = 0; homes > 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		run(&rows[i], (uint32_t)homes);
	return 0;
}
