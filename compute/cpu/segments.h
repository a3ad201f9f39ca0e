/* segments.h: the order in which a product's columns are summed: eight segments, cut at block
 * borders, and a fixed tree over their sums (numerics.md). */
#ifndef COMPUTE_CPU_SEGMENTS_H
#define COMPUTE_CPU_SEGMENTS_H

#include "compute/cpu/kernels.h"

#include <stdint.h>

#define SEGMENTS       8u
#define SEGMENT_LEVELS 3u

/* F32, F16 and BF16 rows count as blocks of so many columns; the last may be short. */
#define FLOAT_BLOCK 8u

/* The blocks of a product, of which some may lie elsewhere. */
struct cut {
	uint32_t n_whole; /* of the whole product */
	uint32_t begin;   /* the first of those held here */
	uint32_t n_held;
};

static inline uint32_t segment_border(uint32_t segment, uint32_t n_blocks)
{
	return (uint32_t)((uint64_t)segment * n_blocks / SEGMENTS);
}

/* `block`: columns of one. */
static inline struct cut cut_of(const struct matmul *product, uint32_t block)
{
	const uint32_t held = (product->n_in + block - 1) / block;
	const uint32_t whole = (product->n_whole + block - 1) / block;
	if (product->n_whole == 0)
		return (struct cut){ held, 0, held };
	return (struct cut){ whole, segment_border(product->first_segment, whole), held };
}

/* First block of segment i, counted from the first one held; segment i ends where the next begins.
 * Segments that lie elsewhere are empty, and their sums +0. */
static inline uint32_t segment_first(uint32_t segment, struct cut cut)
{
	const uint32_t border = segment_border(segment, cut.n_whole);
	const uint32_t first = border > cut.begin ? border - cut.begin : 0;
	return first < cut.n_held ? first : cut.n_held;
}

#endif
