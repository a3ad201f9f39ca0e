#include "compute/merger.h"

#include <stdlib.h>
#include <string.h>

void merger_init(struct merger *merger)
{
	memset(merger, 0, sizeof(*merger));
}

void merger_finish(struct merger *merger)
{
	free(merger->symbols);
	queue_finish(&merger->queue);
	merger_init(merger);
}

void merger_clear(struct merger *merger)
{
	merger->count = 0;
}

static bool merger_grow(struct merger *merger)
{
	const uint32_t capacity = merger->capacity ? merger->capacity * 2 : 64;
	struct symbol *symbols = realloc(merger->symbols, capacity * sizeof(*symbols));
	if (!symbols)
		return false;
	merger->symbols = symbols;
	merger->capacity = capacity;
	return true;
}

bool merger_add(struct merger *merger, uint32_t start, uint32_t size, uint32_t token)
{
	if (merger->count == merger->capacity && !merger_grow(merger))
		return false;
	const uint32_t at = merger->count++;
	if (at > 0)
		merger->symbols[at - 1].next = at;
	merger->symbols[at] = (struct symbol){
		.prev = at > 0 ? at - 1 : SYMBOL_END,
		.next = SYMBOL_END,
		.start = start,
		.size = size,
		.token = token,
	};
	return true;
}

/* Queues the pair whose left half is `left`, if there is one and it can be joined. */
static bool consider(struct merger *merger, merger_fn join, const void *context, uint32_t left)
{
	if (left == SYMBOL_END || merger->symbols[left].next == SYMBOL_END)
		return true;
	const struct symbol *a = &merger->symbols[left];
	const struct symbol *b = &merger->symbols[a->next];
	uint32_t rank, token;
	if (!join(context, a, b, &rank, &token))
		return true;
	return queue_push(&merger->queue, rank, left, a->size + b->size, token);
}

static void absorb(struct merger *merger, uint32_t left, uint32_t token)
{
	struct symbol *a = &merger->symbols[left];
	struct symbol *b = &merger->symbols[a->next];
	a->size += b->size;
	a->token = token;
	a->next = b->next;
	b->size = 0;
	if (a->next != SYMBOL_END)
		merger->symbols[a->next].prev = left;
}

/* A queued pair is stale once either half has changed. Symbols only ever grow, so then the left
 * one is gone or the sum of the sizes is another. */
static bool stale(const struct merger *merger, uint32_t left, uint32_t size)
{
	const struct symbol *a = &merger->symbols[left];
	return a->size == 0 || a->next == SYMBOL_END ||
	       a->size + merger->symbols[a->next].size != size;
}

bool merger_run(struct merger *merger, merger_fn join, const void *context)
{
	merger->queue.count = 0;
	for (uint32_t i = 0; i + 1 < merger->count; i++) {
		if (!consider(merger, join, context, i))
			return false;
	}
	while (merger->queue.count > 0) {
		const struct queue_entry best = queue_pop(&merger->queue);
		const uint32_t left = (uint32_t)best.key;
		if (stale(merger, left, best.size))
			continue;
		absorb(merger, left, best.token);
		if (!consider(merger, join, context, merger->symbols[left].prev) ||
		    !consider(merger, join, context, left))
			return false;
	}
	return true;
}
