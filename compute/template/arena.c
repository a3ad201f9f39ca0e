#include "compute/template/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_BYTES (16u << 10)

struct arena_chunk {
	struct arena_chunk *older;
	size_t size;
	alignas(max_align_t) uint8_t bytes[];
};

void arena_init(struct arena *arena, uint64_t limit, struct account *account)
{
	*arena = (struct arena){ .limit = limit, .account = account };
}

void arena_finish(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;
		arena->chunks = chunk->older;
		free(chunk);
	}
	if (arena->account)
		account_release(arena->account, ACCOUNT_QUEUES, arena->bytes);
	arena_init(arena, arena->limit, arena->account);
}

/* Chunks grow with what is in use, so that their number stays small. */
static struct arena_chunk *grow(struct arena *arena, size_t size)
{
	size_t room = arena->bytes / 4 > CHUNK_BYTES ? (size_t)(arena->bytes / 4) : CHUNK_BYTES;
	if (room < size)
		room = size;
	if (room > arena->limit - arena->bytes)
		room = size;
	const size_t total = sizeof(struct arena_chunk) + room;
	if (total > arena->limit - arena->bytes ||
	    (arena->account && !account_charge(arena->account, ACCOUNT_QUEUES, total)))
		return NULL;
	struct arena_chunk *chunk = calloc(1, total);
	if (!chunk) {
		if (arena->account)
			account_release(arena->account, ACCOUNT_QUEUES, total);
		return NULL;
	}
	chunk->older = arena->chunks;
	chunk->size = room;
	arena->chunks = chunk;
	arena->bytes += total;
	return chunk;
}

void *arena_take(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	if (size > arena->limit)
		return NULL;
	size = (size + align - 1) / align * align;
	if (!arena->next || size > (size_t)(arena->end - arena->next)) {
		struct arena_chunk *chunk = grow(arena, size);
		if (!chunk)
			return NULL;
		arena->next = chunk->bytes;
		arena->end = chunk->bytes + chunk->size;
	}
	void *taken = arena->next;
	arena->next += size;
	return taken;
}
