/* decode_neon.h: one block of weights to signed bytes, as struct format's decode gives them, and
 * the scales of neighbouring outputs side by side. */
#ifndef COMPUTE_CPU_DECODE_NEON_H
#define COMPUTE_CPU_DECODE_NEON_H

#include "compute/cpu/formats.h"
#include "compute/cpu/kernels.h"

typedef void decode_fn(const uint8_t *bytes, struct block *block);

/* The fastest decoder of the type. */
decode_fn *neon_decoder(uint32_t type);

#endif
