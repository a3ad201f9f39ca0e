/* Formats with blocks of 256 weights whose groups of 16 or 32 have scales of their own. */
#include "compute/cpu/formats_decode.h"

/* Bits 2k and 2k + 1 of a byte, for k = 0 to 3. */
static int two_bits(uint8_t byte, int k)
{
	return byte >> (2 * k) & 3;
}

void decode_q2_k(const uint8_t *bytes, struct block *block)
{
	const uint8_t *scales = bytes, *pairs = bytes + 16;
	block->d = load_f16(bytes + 80);
	block->dmin = load_f16(bytes + 82);
	for (int j = 0; j < 16; j++) {
		block->scale[j] = scales[j] & 15;
		block->min[j] = scales[j] >> 4;
	}
	for (int c = 0; c < 256; c++)
		block->q[c] = (int8_t)two_bits(pairs[c / 128 * 32 + c % 32], c / 32 % 4);
}

/* Sixteen scales of six bits, less 32: four bits each in eight bytes, then two bits each in four.
 */
static void decode_q3_k_scales(const uint8_t *packed, struct block *block)
{
	for (int j = 0; j < 16; j++) {
		const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
		block->scale[j] = (low | two_bits(packed[8 + j % 4], j / 4) << 4) - 32;
	}
}

void decode_q3_k(const uint8_t *bytes, struct block *block)
{
	const uint8_t *high = bytes, *pairs = bytes + 32;
	decode_q3_k_scales(bytes + 96, block);
	block->d = load_f16(bytes + 108);
	for (int c = 0; c < 256; c++) {
		const int low = two_bits(pairs[c / 128 * 32 + c % 32], c / 32 % 4);
		const int third = high[c % 32] >> (c / 32) & 1;
		block->q[c] = (int8_t)(low - (third ? 0 : 4));
	}
}

/* Eight pairs of six bits in twelve bytes, after d and dmin. */
static void decode_q45_k_scales(const uint8_t *bytes, struct block *block)
{
	const uint8_t *packed = bytes + 4;
	block->d = load_f16(bytes);
	block->dmin = load_f16(bytes + 2);
	for (int j = 0; j < 4; j++) {
		block->scale[j] = packed[j] & 63;
		block->min[j] = packed[j + 4] & 63;
		block->scale[j + 4] = (packed[j + 8] & 15) | (packed[j] >> 6) << 4;
		block->min[j + 4] = packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4;
	}
}

void decode_q4_k(const uint8_t *bytes, struct block *block)
{
	decode_q45_k_scales(bytes, block);
	for (int c = 0; c < 256; c++) {
		const uint8_t pair = bytes[16 + c / 64 * 32 + c % 32];
		block->q[c] = (int8_t)(c / 32 % 2 ? pair >> 4 : pair & 15);
	}
}

void decode_q5_k(const uint8_t *bytes, struct block *block)
{
	decode_q45_k_scales(bytes, block);
	for (int c = 0; c < 256; c++) {
		const uint8_t pair = bytes[48 + c / 64 * 32 + c % 32];
		const int high = bytes[16 + c % 32] >> (c / 32) & 1;
		block->q[c] = (int8_t)((c / 32 % 2 ? pair >> 4 : pair & 15) | high << 4);
	}
}

void decode_q6_k(const uint8_t *bytes, struct block *block)
{
	const uint8_t *low = bytes, *high = bytes + 128;
	const int8_t *scales = (const int8_t *)bytes + 192;
	block->d = load_f16(bytes + 208);
	for (int j = 0; j < 16; j++)
		block->scale[j] = scales[j];
	for (int c = 0; c < 256; c++) {
		const int half = c / 128, quarter = c / 32 % 4;
		const uint8_t pair = low[64 * half + 32 * (quarter % 2) + c % 32];
		const int four = quarter / 2 ? pair >> 4 : pair & 15;
		const int two = two_bits(high[32 * half + c % 32], quarter);
		block->q[c] = (int8_t)((four | two << 4) - 32);
	}
}

/* Scales of six bits, less 32: two bits of each in one word, four in nibbles. */
void decode_iq4_xs(const uint8_t *bytes, struct block *block)
{
	const uint32_t high = load_u16le(bytes + 2);
	const uint8_t *low = bytes + 4, *pairs = bytes + 8;
	block->d = load_f16(bytes);
	for (int j = 0; j < 8; j++) {
		const int four = low[j / 2] >> (4 * (j % 2)) & 15;
		block->scale[j] = (four | (int)(high >> (2 * j) & 3) << 4) - 32;
	}
	for (int c = 0; c < 256; c++) {
		const uint8_t pair = pairs[c / 32 * 16 + c % 16];
		block->q[c] = decode_iq4_values[c / 16 % 2 ? pair >> 4 : pair & 15];
	}
}
