/* grids.h: the grids of the IQ1, IQ2 and IQ3 formats: which groups of weights may stand together.
 * An entry has eight or four weights, a signed byte each, the first in the lowest bits:
 *   IQ2      8, 25, 43
 *   IQ1      -8, 0, 8: eighths
 *   IQ3_XXS  2, 6, 10, 14, 18, 22, 26, 31: halves of what the format means, all of which are even
 *   IQ3_S    1, 3, 5, 7, 9, 11, 13, 15 */
#ifndef COMPUTE_CPU_GRIDS_H
#define COMPUTE_CPU_GRIDS_H

#include <stdint.h>

extern const uint64_t grid_iq2_xxs[256];
extern const uint64_t grid_iq2_xs[512];
extern const uint64_t grid_iq2_s[1024];
extern const uint64_t grid_iq1[2048];
extern const uint32_t grid_iq3_xxs[256];
extern const uint32_t grid_iq3_s[512];

/* The same entries as codes of 16 bits, their low bytes and then their high ones: for each weight,
 * the first in the lowest bits, which of the values above it has; in two bits where an entry has
 * eight weights, in four where it has four (the last of IQ3_XXS is 15, not 7). Begin at multiples of 64 bytes. */
extern const uint8_t grid_codes_iq2_xxs[2][256];
extern const uint8_t grid_codes_iq2_xs[2][512];
extern const uint8_t grid_codes_iq2_s[2][1024];
extern const uint8_t grid_codes_iq1[2][2048];
extern const uint8_t grid_codes_iq3_xxs[2][256];
extern const uint8_t grid_codes_iq3_s[2][512];

#endif
