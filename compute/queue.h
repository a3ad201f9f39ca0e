/* queue.h: a heap of places in a text, best first: lowest rank, then furthest left. */
#ifndef COMPUTE_QUEUE_H
#define COMPUTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue {
	uint64_t *keys; /* owned; rank << 32 | place */
	size_t count, capacity;
};

struct queue_entry {
	uint32_t rank, place;
};

void queue_init(struct queue *queue);
void queue_finish(struct queue *queue);
bool queue_push(struct queue *queue, uint32_t rank, uint32_t place);
struct queue_entry queue_pop(struct queue *queue); /* count > 0 */

#endif
