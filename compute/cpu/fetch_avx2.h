/* fetch_avx2.h: asking memory for the weights that come next, for products of one or two rows:
 * there memory is what takes the time. */
#ifndef COMPUTE_CPU_FETCH_AVX2_H
#define COMPUTE_CPU_FETCH_AVX2_H

#include "compute/cpu/avx2.h"
#include "compute/cpu/traits_avx2.h"

/* The eight rows after those at work lie behind them in memory, and are asked for from first to
 * last while these are worked through, a few lines with every 32 columns. Zen 3 drops what is asked
 * for in larger pieces; row by row, each line on another page, it brings little more than half. */
struct fetch {
	const uint8_t *next;
};

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
