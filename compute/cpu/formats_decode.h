/* formats_decode.h: the decoders that the table of formats.h names, one for each quantised type.
 * Each reads one block's bytes, any alignment, and sets the parts of `block` that its format has.
 */
#ifndef COMPUTE_CPU_FORMATS_DECODE_H
#define COMPUTE_CPU_FORMATS_DECODE_H

#include "base/buf.h"
#include "base/half.h"
#include "compute/cpu/formats.h"

typedef void decode_fn(const uint8_t *bytes, struct block *block);

/* Blocks of 32 */
decode_fn decode_q4_0, decode_q4_1, decode_q5_0, decode_q5_1, decode_q8_0, decode_iq4_nl,
	decode_mxfp4;
/* Blocks of 256 */
decode_fn decode_q2_k, decode_q3_k, decode_q4_k, decode_q5_k, decode_q6_k, decode_iq4_xs;
/* Blocks of 256 whose weights are looked up in a grid */
decode_fn decode_iq2_xxs, decode_iq2_xs, decode_iq2_s, decode_iq3_xxs, decode_iq3_s, decode_iq1_s,
	decode_iq1_m;

/* What the four bits of IQ4_NL and IQ4_XS stand for. */
extern const int8_t decode_iq4_values[16];

static inline float load_f16(const uint8_t *bytes)
{
	return f16_to_f32(load_u16le(bytes));
}

#endif
