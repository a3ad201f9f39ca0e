#include "compute/cpu/platform.h"

#include <stdint.h>

bool platform_has_fma(void)
{
	return true;
}

bool platform_has_avx2(void)
{
	return false;
}

bool platform_has_avxvnni(void)
{
	return false;
}

bool platform_has_avx512(void)
{
	return false;
}

bool platform_has_avx512_grids(void)
{
	return false;
}

/* FPCR zero: nearest even, no flush to zero, default NaN off, no traps. */
void platform_prepare_float(void)
{
	__asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
}
