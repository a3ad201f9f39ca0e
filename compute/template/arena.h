/* arena.h: memory that is taken in small pieces and given back all at once, up to a limit. */
#ifndef COMPUTE_TEMPLATE_ARENA_H
#define COMPUTE_TEMPLATE_ARENA_H

#include "base/account.h"

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* owned, newest first */
	uint8_t *next, *end;        /* what is left of the newest */
	uint64_t bytes, limit;      /* taken from the system, and the most of it */
	struct account *account;    /* borrowed, or NULL */
};

void arena_init(struct arena *arena, uint64_t limit, struct account *account);
void arena_finish(struct arena *arena);
/* Zeroed, aligned for any type, valid until arena_finish. NULL at the limit. */
void *arena_take(struct arena *arena, size_t size);

#endif
