/* fetch_avx2.h: asking memory for the weights that come next, for products of one or two rows:
 * there memory is what takes the time. */
#ifndef COMPUTE_CPU_FETCH_AVX2_H
#define COMPUTE_CPU_FETCH_AVX2_H

#include "compute/cpu/avx2.h"
#include "compute/cpu/traits_avx2.h"

/* The rows after the eight at work lie behind them in memory, and are asked for from first to last
 * while these are worked through, a few lines with every 32 columns. Zen 3 drops what is asked
 * for in larger pieces; row by row, each line on another page, it brings little more than half.
 * The last of the next eight rows would be read right after it is asked for: all is asked for so
 * many bytes earlier. */
#define FETCH_LEAD (12u << 10)

struct fetch {
	const uint8_t *next;
};

/* `rows`: the first of those to be worked through, `stride` bytes apart. */
FORCE_INLINE struct fetch fetch_after(const uint8_t *rows, size_t stride)
{
	return (struct fetch){ rows + AVX2_LANES * stride + FETCH_LEAD };
}

/* Asks for what 32 columns of eight rows take. The compiler would gather the questions of a block
 * in one place. */
FORCE_INLINE void fetch_32(uint32_t type, struct fetch *fetch)
{
	const size_t bytes = AVX2_LANES * block_bytes(type) / (traits[type].columns / 32u);
	UNROLL
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)fetch->next + i, _MM_HINT_T1);
	fetch->next += bytes;
	__asm__ volatile("" ::: "memory");
}

#endif
