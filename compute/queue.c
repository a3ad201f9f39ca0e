#include "compute/queue.h"

#include <stdlib.h>
#include <string.h>

/* Four children a node: half as many levels as with two, and siblings share a cache line. */
#define CHILDREN 4

void queue_init(struct queue *queue)
{
	memset(queue, 0, sizeof(*queue));
}

void queue_finish(struct queue *queue)
{
	free(queue->keys);
	queue_init(queue);
}

static bool queue_grow(struct queue *queue)
{
	const size_t capacity = queue->capacity ? queue->capacity * 2 : 64;
	uint64_t *keys = realloc(queue->keys, capacity * sizeof(*keys));
	if (!keys)
		return false;
	queue->keys = keys;
	queue->capacity = capacity;
	return true;
}

bool queue_push(struct queue *queue, uint32_t rank, uint32_t place)
{
	if (queue->count == queue->capacity && !queue_grow(queue))
		return false;
	const uint64_t key = (uint64_t)rank << 32 | place;
	uint64_t *keys = queue->keys;
	size_t at = queue->count++;
	while (at > 0 && keys[(at - 1) / CHILDREN] > key) {
		keys[at] = keys[(at - 1) / CHILDREN];
		at = (at - 1) / CHILDREN;
	}
	keys[at] = key;
	return true;
}

static size_t best_child(const struct queue *queue, size_t first)
{
	size_t best = first;
	const size_t end = first + CHILDREN < queue->count ? first + CHILDREN : queue->count;
	for (size_t i = first + 1; i < end; i++) {
		if (queue->keys[i] < queue->keys[best])
			best = i;
	}
	return best;
}

struct queue_entry queue_pop(struct queue *queue)
{
	uint64_t *keys = queue->keys;
	const uint64_t top = keys[0], last = keys[--queue->count];
	size_t at = 0;
	for (size_t first = 1; first < queue->count; first = CHILDREN * at + 1) {
		const size_t child = best_child(queue, first);
		if (last <= keys[child])
			break;
		keys[at] = keys[child];
		at = child;
	}
	keys[at] = last;
	return (struct queue_entry){ .rank = (uint32_t)(top >> 32), .place = (uint32_t)top };
}
