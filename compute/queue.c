#include "compute/queue.h"

#include <stdlib.h>
#include <string.h>

void queue_init(struct queue *queue)
{
	memset(queue, 0, sizeof(*queue));
}

void queue_finish(struct queue *queue)
{
	free(queue->entries);
	queue_init(queue);
}

static bool queue_grow(struct queue *queue)
{
	const size_t capacity = queue->capacity ? queue->capacity * 2 : 64;
	struct queue_entry *entries = realloc(queue->entries, capacity * sizeof(*entries));
	if (!entries)
		return false;
	queue->entries = entries;
	queue->capacity = capacity;
	return true;
}

bool queue_push(struct queue *queue, uint32_t rank, uint32_t place, uint32_t size, uint32_t token)
{
	if (queue->count == queue->capacity && !queue_grow(queue))
		return false;
	const uint64_t key = (uint64_t)rank << 32 | place;
	struct queue_entry *entries = queue->entries;
	size_t at = queue->count++;
	while (at > 0 && entries[(at - 1) / 2].key > key) {
		entries[at] = entries[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	entries[at] = (struct queue_entry){ .key = key, .size = size, .token = token };
	return true;
}

struct queue_entry queue_pop(struct queue *queue)
{
	struct queue_entry *entries = queue->entries;
	const struct queue_entry best = entries[0];
	const struct queue_entry last = entries[--queue->count];
	size_t at = 0;
	for (size_t child = 1; child < queue->count; child = 2 * at + 1) {
		if (child + 1 < queue->count && entries[child + 1].key < entries[child].key)
			child++;
		if (last.key <= entries[child].key)
			break;
		entries[at] = entries[child];
		at = child;
	}
	entries[at] = last;
	return best;
}
