#include "compute/cpu/platform.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>

#define XCR0_SSE_AVX  0x06u
#define XCR0_AVX512   0xe6u   /* masks, upper halves, registers 16 to 31 too */
#define MXCSR_DEFAULT 0x1f80u /* nearest even, all exceptions masked, no FTZ, no DAZ */

struct registers {
	unsigned a, b, c, d;
};

static struct registers ask(unsigned leaf)
{
	struct registers r = { 0 };
	__cpuid_count(0, 0, r.a, r.b, r.c, r.d);
	if (r.a < leaf)
		return (struct registers){ 0 };
	__cpuid_count(leaf, 0, r.a, r.b, r.c, r.d);
	return r;
}

/* The second page of features; the first one's a says how many more there are. */
static struct registers ask_further(void)
{
	struct registers r = ask(7);
	if (r.a < 1)
		return (struct registers){ 0 };
	__cpuid_count(7, 1, r.a, r.b, r.c, r.d);
	return r;
}

/* Whether the operating system saves these registers. */
static bool system_keeps(uint32_t state)
{
	uint32_t low, high;
	if (!(ask(1).c & bit_OSXSAVE))
		return false;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & state) == state;
}

bool platform_has_fma(void)
{
	return (ask(1).c & bit_FMA) && system_keeps(XCR0_SSE_AVX);
}

bool platform_has_avx2(void)
{
	return platform_has_fma() && (ask(1).c & bit_F16C) && (ask(7).b & bit_AVX2);
}

bool platform_has_avxvnni(void)
{
	return platform_has_avx2() && (ask_further().a & bit_AVXVNNI);
}

bool platform_has_avx512(void)
{
	const unsigned needed = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
	const struct registers features = ask(7);
	return platform_has_avx2() && system_keeps(XCR0_AVX512) &&
	       (features.b & needed) == needed && (features.c & bit_AVX512VNNI);
}

/* Asked of each product, so it is the compiler's library that remembers. */
bool platform_has_avx512_grids(void)
{
	return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni");
}

bool platform_has_dotprod(void)
{
	return false;
}

bool platform_has_i8mm(void)
{
	return false;
}

void platform_prepare_float(void)
{
	_mm_setcsr(MXCSR_DEFAULT);
}
