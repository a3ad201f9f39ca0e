/* fetch_avx2.h: what of the weights is asked for with 32 columns of eight rows. */
#ifndef COMPUTE_CPU_FETCH_AVX2_H
#define COMPUTE_CPU_FETCH_AVX2_H

#include "compute/cpu/avx2.h"
#include "compute/cpu/fetch.h"
#include "compute/cpu/traits_avx2.h"

FORCE_INLINE void fetch_32(uint32_t type, struct fetch *fetch)
{
	fetch_next(fetch, AVX2_LANES * block_bytes(type) / (traits[type].columns / 32u));
	/* the work around it stays in place by the order of its loads */
	__asm__ volatile("" ::: "memory");
}

#endif
