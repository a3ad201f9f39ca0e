/* numerics.h: the version of the arithmetic contract (numerics.md, beside the C reference).
 *
 * Devices of different versions never share an exact plan. Any change that can change one bit of a
 * hidden state or logit raises it. */
#ifndef COMPUTE_NUMERICS_H
#define COMPUTE_NUMERICS_H

#define NUMERICS_VERSION 2u

#endif
