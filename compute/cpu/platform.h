/* platform.h: what the kernels need to know of the processor; one .c per family,
 * on ARM with what only the system knows in another. */
#ifndef COMPUTE_CPU_PLATFORM_H
#define COMPUTE_CPU_PLATFORM_H

#include <stdbool.h>

bool platform_has_fma(void);          /* fused multiply-add in hardware */
bool platform_has_avx2(void);         /* AVX2, FMA and F16C, kept by the operating system */
bool platform_has_avxvnni(void);      /* those and AVX-VNNI */
bool platform_has_avx512(void);       /* AVX2 as above, AVX-512 F, BW, VL, DQ, VNNI likewise */
bool platform_has_avx512_grids(void); /* where those are: VBMI and GFNI; quick */
bool platform_has_dotprod(void);      /* ARMv8.2 dot products of bytes */
bool platform_has_i8mm(void);         /* and products of matrices of bytes */
void platform_prepare_float(void);    /* as kernels_prepare_thread */

#endif
