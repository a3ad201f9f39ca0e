/* tiles.h: which positions of an attention tile a row sees, and how a tile's result lies. */
#ifndef COMPUTE_CPU_TILES_H
#define COMPUTE_CPU_TILES_H

#include "compute/cpu/kernels.h"

/* A tile's result for one query head: values [head_v], then these two, then padding. */
#define PARTIAL_MAX   0 /* the largest score */
#define PARTIAL_SUM   1 /* of e^(score - largest) */
#define PARTIAL_EXTRA 8

static inline size_t partial_stride(const struct attention *attention)
{
	return attention->head_v + PARTIAL_EXTRA;
}

/* What the values of all tiles joined are multiplied by at the end: one over the sum, with the
 * head's sink in it. */
float attention_factor(const struct attention *attention, uint32_t head, const float *all);

static inline uint32_t first_seen(const struct attention *attention, uint32_t position)
{
	const uint32_t window = attention->window;
	return window && position >= window ? position - window + 1 : 0;
}

/* Positions [first, end) of a tile, counted from its beginning, that a row at `position` sees. */
struct seen {
	uint32_t first, end;
};

static inline struct seen tile_seen(const struct attention *attention, uint32_t position,
				    uint32_t tile)
{
	const uint32_t begin = tile * ATTENTION_TILE, first = first_seen(attention, position);
	const uint32_t left = position - begin + 1;
	return (struct seen){
		.first = first > begin ? first - begin : 0,
		.end = left < ATTENTION_TILE ? left : ATTENTION_TILE,
	};
}

#endif
