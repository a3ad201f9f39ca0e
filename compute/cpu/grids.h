/* grids.h: the grids of the IQ1, IQ2 and IQ3 formats: which groups of weights may stand together.
 * An entry has eight or four weights, a signed byte each, the first in the lowest bits. IQ2      8,
 * 25, 43 IQ1      -8, 0, 8: eighths IQ3_XXS  2, 6, 10, 14, 18, 22, 26, 31: halves of what the
 * format means, all of which are even IQ3_S    1, 3, 5, 7, 9, 11, 13, 15 */
#ifndef COMPUTE_CPU_GRIDS_H
#define COMPUTE_CPU_GRIDS_H

#include <stdint.h>

extern const uint64_t grid_iq2_xxs[256];
extern const uint64_t grid_iq2_xs[512];
extern const uint64_t grid_iq2_s[1024];
extern const uint64_t grid_iq1[2048];
extern const uint32_t grid_iq3_xxs[256];
extern const uint32_t grid_iq3_s[512];

#endif
