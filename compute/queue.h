/* queue.h: a heap of things to do in a text, best first: lowest rank, then furthest left. */
#ifndef COMPUTE_QUEUE_H
#define COMPUTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_entry {
	uint64_t key; /* rank << 32 | place */
	uint32_t size;
	uint32_t token;
};

struct queue {
	struct queue_entry *entries; /* owned */
	size_t count, capacity;
};

void queue_init(struct queue *queue);
void queue_finish(struct queue *queue);
bool queue_push(struct queue *queue, uint32_t rank, uint32_t place, uint32_t size, uint32_t token);
struct queue_entry queue_pop(struct queue *queue); /* count > 0 */

#endif
