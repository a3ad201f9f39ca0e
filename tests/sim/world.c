#include "world.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shared_plan *shared_plan_hold(struct shared_plan *plan)
{
	plan->users++;
	return plan;
}

void shared_plan_drop(struct shared_plan *plan)
{
	if (plan && --plan->users == 0)
		free(plan);
}

/* ---- dice ---- */

uint64_t world_dice(struct world *world) /* splitmix64 */
{
	uint64_t z = world->dice += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t world_below(struct world *world, uint32_t n)
{
	return (uint32_t)((world_dice(world) >> 32) * n >> 32);
}

static double even(struct world *world)
{
	return (double)(world_dice(world) >> 11) * 0x1p-53;
}

bool world_chance(struct world *world, double probability)
{
	return even(world) < probability;
}

double world_exponential(struct world *world, double mean)
{
	return -mean * log(1 - even(world));
}

/* ---- the queue: a binary heap by (time, order) ---- */

static bool sooner(const struct event *a, const struct event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct event *a, struct event *b)
{
	const struct event kept = *a;
	*a = *b;
	*b = kept;
}

void world_schedule(struct world *world, const struct event *event)
{
	if (world->heap_size == world->heap_capacity) {
		world->heap_capacity = world->heap_capacity ? 2 * world->heap_capacity : 256;
		world->heap = realloc(world->heap, world->heap_capacity * sizeof(*event));
		if (!world->heap)
			abort();
	}
	uint32_t at = world->heap_size++;
	world->heap[at] = *event;
	world->heap[at].order = world->orders++;
	while (at > 0 && sooner(&world->heap[at], &world->heap[(at - 1) / 2])) {
		swap(&world->heap[at], &world->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

static void sink(struct world *world)
{
	uint32_t at = 0;
	for (;;) {
		uint32_t least = at;
		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < world->heap_size &&
			    sooner(&world->heap[child], &world->heap[least]))
				least = child;
		if (least == at)
			return;
		swap(&world->heap[at], &world->heap[least]);
		at = least;
	}
}

bool world_next(struct world *world, int64_t until_ms, struct event *event)
{
	if (world->heap_size == 0 || world->heap[0].at_ms > until_ms) {
		world->now_ms = until_ms;
		return false;
	}
	*event = world->heap[0];
	world->heap[0] = world->heap[--world->heap_size];
	sink(world);
	world->now_ms = event->at_ms > world->now_ms ? event->at_ms : world->now_ms;
	world->n_events++;
	return true;
}

void world_finish(struct world *world)
{
	for (uint32_t i = 0; i < world->heap_size; i++)
		parcel_finish(&world->heap[i].parcel);
	free(world->heap);
	world->heap = NULL;
	world->heap_size = world->heap_capacity = 0;
}

/* ---- the network ---- */

void parcel_finish(struct parcel *parcel)
{
	shared_plan_drop(parcel->plan);
	free(parcel->statements);
	parcel->plan = NULL;
	parcel->statements = NULL;
}

int64_t world_delay_ms(struct world *world)
{
	double delay = world_exponential(world, world->network.delay_ms);
	if (world_chance(world, 0.05))
		delay += world_exponential(world, world->network.late_ms);
	return (int64_t)delay;
}

bool world_is_cut(const struct world *world, uint32_t a, uint32_t b)
{
	return world->network.cut[a][b] || world->network.cut[b][a];
}

static struct parcel copy_of(const struct parcel *parcel)
{
	struct parcel copy = *parcel;
	if (copy.plan)
		shared_plan_hold(copy.plan);
	if (copy.statements) {
		const size_t size = (size_t)copy.n_statements * STATEMENT_BYTES;
		copy.statements = malloc(size);
		if (!copy.statements)
			abort();
		memcpy(copy.statements, parcel->statements, size);
	}
	return copy;
}

void world_send(struct world *world, uint32_t from, uint32_t to, uint64_t connection,
		const struct parcel *parcel)
{
	struct event event = { .kind = EVENT_PARCEL, .to = to, .from = from,
			       .connection = connection, .parcel = *parcel };
	if (connection == 0 || world->network.cut[from][to] ||
	    world_chance(world, world->network.loss)) {
		parcel_finish(&event.parcel);
		return;
	}
	if (world_chance(world, world->network.twice)) {
		struct event again = event;
		again.parcel = copy_of(parcel);
		again.at_ms = world->now_ms + world_delay_ms(world);
		world_schedule(world, &again);
	}
	event.at_ms = world->now_ms + world_delay_ms(world);
	world_schedule(world, &event);
}

void world_tell(const struct world *world, uint32_t device, const char *format, ...)
{
	va_list args;
	if (!world->trace)
		return;
	fprintf(stderr, "%8lld ms  device %u  ", (long long)world->now_ms, device);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
