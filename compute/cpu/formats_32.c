/* Formats with blocks of 32 weights and one scale. Sixteen bytes of pairs hold weights 0 to 15 in
 * their low nibbles, 16 to 31 in the high ones. */
#include "compute/cpu/formats_decode.h"

#include <string.h>

/* Twice the value of the four bits of MXFP4: sign, two bits of exponent, one of mantissa (OCP
 * Microscaling Formats 1.0, E2M1). */
static const int8_t fp4_twice[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

const int8_t decode_iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
				       1,    13,   25,  38,  53,  69,  89,  113 };

static void set_scale(struct block *block, float d)
{
	block->d = d;
	block->scale[0] = 1;
}

/* A minimum that files keep as what is added. */
static void set_minimum(struct block *block, float added)
{
	block->dmin = -added;
	block->min[0] = 1;
}

static void set_nibbles(struct block *block, const uint8_t *pairs, int less)
{
	for (int i = 0; i < 16; i++) {
		block->q[i] = (int8_t)((pairs[i] & 15) - less);
		block->q[i + 16] = (int8_t)((pairs[i] >> 4) - less);
	}
}

static void set_from_table(struct block *block, const uint8_t *pairs, const int8_t table[16])
{
	for (int i = 0; i < 16; i++) {
		block->q[i] = table[pairs[i] & 15];
		block->q[i + 16] = table[pairs[i] >> 4];
	}
}

/* Bit i of `bits` is the fifth of weight i. */
static void add_fifth_bits(struct block *block, uint32_t bits)
{
	for (int i = 0; i < 32; i++)
		block->q[i] = (int8_t)(block->q[i] + (int)(bits >> i & 1) * 16);
}

void decode_q4_0(const uint8_t *bytes, struct block *block)
{
	set_scale(block, load_f16(bytes));
	set_nibbles(block, bytes + 2, 8);
}

void decode_q4_1(const uint8_t *bytes, struct block *block)
{
	set_scale(block, load_f16(bytes));
	set_minimum(block, load_f16(bytes + 2));
	set_nibbles(block, bytes + 4, 0);
}

void decode_q5_0(const uint8_t *bytes, struct block *block)
{
	set_scale(block, load_f16(bytes));
	set_nibbles(block, bytes + 6, 16);
	add_fifth_bits(block, load_u32le(bytes + 2));
}

void decode_q5_1(const uint8_t *bytes, struct block *block)
{
	set_scale(block, load_f16(bytes));
	set_minimum(block, load_f16(bytes + 2));
	set_nibbles(block, bytes + 8, 0);
	add_fifth_bits(block, load_u32le(bytes + 4));
}

void decode_q8_0(const uint8_t *bytes, struct block *block)
{
	set_scale(block, load_f16(bytes));
	memcpy(block->q, bytes + 2, 32);
}

void decode_iq4_nl(const uint8_t *bytes, struct block *block)
{
	set_scale(block, load_f16(bytes));
	set_from_table(block, bytes + 2, decode_iq4_values);
}

/* The scale is the power of two 2^(e - 127), halved for the doubled values; the smallest two are
 * denormal. */
void decode_mxfp4(const uint8_t *bytes, struct block *block)
{
	const uint32_t e = bytes[0];
	set_scale(block, half_bits_to_f32(e < 2 ? 0x00200000u << e : (e - 1) << 23));
	set_from_table(block, bytes + 1, fp4_twice);
}
