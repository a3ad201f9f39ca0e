#include "compute/merger.h"

#include <stdlib.h>
#include <string.h>

#define FEW 32u

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
		.rank = UINT32_MAX,
	};
	return true;
}

/* Works out what the pair whose left half is `left` would make. */
static void weigh(struct merger *merger, merger_fn join, const void *context, uint32_t left)
{
	struct symbol *a = &merger->symbols[left];
	if (a->next == SYMBOL_END ||
	    !join(context, a, &merger->symbols[a->next], &a->rank, &a->joined))
		a->rank = UINT32_MAX;
}

static void absorb(struct merger *merger, uint32_t left)
{
	struct symbol *a = &merger->symbols[left];
	struct symbol *b = &merger->symbols[a->next];
	a->size += b->size;
	a->token = a->joined;
	a->next = b->next;
	b->size = 0;
	b->rank = UINT32_MAX;
	if (a->next != SYMBOL_END)
		merger->symbols[a->next].prev = left;
}

/* ---- few symbols: looking through them all beats keeping order ---- */

static uint32_t best_pair(const struct merger *merger)
{
	uint32_t best = 0;
	for (uint32_t i = 0; i != SYMBOL_END; i = merger->symbols[i].next) {
		if (merger->symbols[i].rank < merger->symbols[best].rank)
			best = i;
	}
	return best;
}

static void join_few(struct merger *merger, merger_fn join, const void *context)
{
	for (;;) {
		const uint32_t left = best_pair(merger);
		if (merger->symbols[left].rank == UINT32_MAX)
			return;
		absorb(merger, left);
		weigh(merger, join, context, left);
		if (merger->symbols[left].prev != SYMBOL_END)
			weigh(merger, join, context, merger->symbols[left].prev);
	}
}

/* ---- many symbols ---- */

static bool enqueue(struct merger *merger, uint32_t left)
{
	const uint32_t rank = merger->symbols[left].rank;
	return rank == UINT32_MAX || queue_push(&merger->queue, rank, left);
}

static bool reweigh(struct merger *merger, merger_fn join, const void *context, uint32_t left)
{
	if (left == SYMBOL_END)
		return true;
	weigh(merger, join, context, left);
	return enqueue(merger, left);
}

/* A queued pair is stale once its left half has another rank. With the same rank it is either
 * still that pair or its successor, whose turn it is then too. */
static bool join_many(struct merger *merger, merger_fn join, const void *context)
{
	merger->queue.count = 0;
	for (uint32_t i = 0; i < merger->count; i++) {
		if (!enqueue(merger, i))
			return false;
	}
	while (merger->queue.count > 0) {
		const struct queue_entry best = queue_pop(&merger->queue);
		if (merger->symbols[best.place].rank != best.rank)
			continue;
		absorb(merger, best.place);
		if (!reweigh(merger, join, context, merger->symbols[best.place].prev) ||
		    !reweigh(merger, join, context, best.place))
			return false;
	}
	return true;
}

bool merger_run(struct merger *merger, merger_fn join, const void *context)
{
	for (uint32_t i = 0; i < merger->count; i++)
		weigh(merger, join, context, i);
	if (merger->count > FEW)
		return join_many(merger, join, context);
	if (merger->count > 0)
		join_few(merger, join, context);
	return true;
}
