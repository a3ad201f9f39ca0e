/* fill_avx512.h: formats that go from their form in a file into a panel without a decoder between:
 * each as `fill` of struct packing. */
#ifndef COMPUTE_CPU_FILL_AVX512_H
#define COMPUTE_CPU_FILL_AVX512_H

#include "compute/cpu/panel_avx512.h"

/* What is added to make weights unsigned. */
#define OFFSET_ANY     128 /* any int8 */
#define FP4_OFFSET     12  /* MXFP4: twice its values */
#define GRID_OFFSET    64  /* what the grids have, with signs: no more than 43 */
#define EIGHTHS_OFFSET 9   /* IQ1 */

/* Blocks of 32 */
panel_fill fill_q4_0, fill_q4_1, fill_q5_0, fill_q5_1, fill_q8_0, fill_iq4_nl, fill_mxfp4;
/* Blocks of 256 */
panel_fill fill_q2_k, fill_q3_k, fill_q4_k, fill_q5_k, fill_q6_k, fill_iq4_xs;
/* Blocks of 256 whose weights are looked up in a grid */
panel_fill fill_iq2_xxs, fill_iq2_xs, fill_iq2_s, fill_iq3_xxs, fill_iq3_s, fill_iq1_s, fill_iq1_m;

#endif
