/* segments.h: the order in which a product's columns are summed: eight segments, cut at block
 * borders, and a fixed tree over their sums (numerics.md). */
#ifndef COMPUTE_CPU_SEGMENTS_H
#define COMPUTE_CPU_SEGMENTS_H

#include <stdint.h>

#define SEGMENTS       8u
#define SEGMENT_LEVELS 3u

/* F32, F16 and BF16 rows count as blocks of so many columns; the last may be short. */
#define FLOAT_BLOCK 8u

/* First block of segment i; segment i ends where the next begins. */
static inline uint32_t segment_first(uint32_t segment, uint32_t n_blocks)
{
	return (uint32_t)((uint64_t)segment * n_blocks / SEGMENTS);
}

#endif
