/* fill_avx512.h: formats that go from their form in a file into a panel without a decoder between:
 * each as `fill` of struct packing. */
#ifndef COMPUTE_CPU_FILL_AVX512_H
#define COMPUTE_CPU_FILL_AVX512_H

#include "compute/cpu/panel_avx512.h"

panel_fill fill_q4_0;
panel_fill fill_q5_0;
panel_fill fill_q8_0;
panel_fill fill_q4_k;
panel_fill fill_q5_k;
panel_fill fill_q6_k;
panel_fill fill_q4_1;
panel_fill fill_q5_1;
panel_fill fill_q2_k;
panel_fill fill_q3_k;
panel_fill fill_iq4_nl;
panel_fill fill_iq4_xs;
panel_fill fill_iq3_s;
panel_fill fill_iq3_xxs;
panel_fill fill_iq2_xxs;
panel_fill fill_iq2_xs;
panel_fill fill_iq2_s;
panel_fill fill_iq1_s;
panel_fill fill_iq1_m;
panel_fill fill_mxfp4;

#endif
