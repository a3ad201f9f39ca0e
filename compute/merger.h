/* merger.h: joins neighbouring symbols of a text, best pair first, until no pair can be joined.
 * Both tokenizer kinds do just this; they differ in which pairs may be joined and in what order.
 * O(n log n) for n symbols. */
#ifndef COMPUTE_MERGER_H
#define COMPUTE_MERGER_H

#include "compute/queue.h"

#define SYMBOL_END UINT32_MAX

struct symbol {
	uint32_t prev, next;  /* SYMBOL_END at the ends */
	uint32_t start, size; /* bytes of the text; size 0: joined to the one before it */
	uint32_t token;       /* or TOKEN_NONE */
	uint32_t rank;   /* of the pair with the next one, UINT32_MAX when it cannot be joined */
	uint32_t joined; /* the token of that pair */
};

struct merger {
	struct symbol *symbols; /* owned; symbol 0 is never joined away */
	uint32_t count, capacity;
	struct queue queue;
};

/* True when the two may be joined, to `token`; lower ranks (below UINT32_MAX) go first, then what
 * is further left. */
typedef bool (*merger_fn)(const void *context, const struct symbol *left,
			  const struct symbol *right, uint32_t *rank, uint32_t *token);

void merger_init(struct merger *merger);
void merger_finish(struct merger *merger);
void merger_clear(struct merger *merger); /* no symbols; keeps the memory */
/* Appends a symbol that begins where the last one ends. False when memory is short. */
bool merger_add(struct merger *merger, uint32_t start, uint32_t size, uint32_t token);
/* Afterwards follow `next` from symbol 0. False when memory is short. */
bool merger_run(struct merger *merger, merger_fn join, const void *context);

#endif
