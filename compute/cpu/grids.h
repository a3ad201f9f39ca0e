/* grids.h: the grids of the IQ1, IQ2 and IQ3 formats: which groups of weights may stand together.
 *
 * An entry has a field for each weight, the first weight in the lowest bits: eight fields of two
 * bits (IQ1, IQ2) or four of four bits (IQ3). The field says which of the format's few values it
 * is: IQ2      8, 25, 43 IQ1      -1, 0, 1 IQ3_XXS  4, 12, 20, 28, 36, 44, 52, 62 IQ3_S    1, 3, 5,
 * 7, 9, 11, 13, 15 */
#ifndef COMPUTE_CPU_GRIDS_H
#define COMPUTE_CPU_GRIDS_H

#include <stdint.h>

extern const uint16_t grid_iq2_xxs[256];
extern const uint16_t grid_iq2_xs[512];
extern const uint16_t grid_iq2_s[1024];
extern const uint16_t grid_iq1[2048];
extern const uint16_t grid_iq3_xxs[256];
extern const uint16_t grid_iq3_s[512];

#endif
