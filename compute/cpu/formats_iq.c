/* Formats with blocks of 256 weights that are looked up in a grid, four or eight at a time. Scales
 * 1, 3, 5, ... are the formats' halves and a half, times two (and the factor that goes with them is
 * taken into d, a power of two). */
#include "compute/cpu/formats_decode.h"
#include "compute/cpu/grids.h"

static void put_8(int8_t *q, uint64_t entry)
{
	for (int i = 0; i < 8; i++)
		q[i] = (int8_t)(entry >> (8 * i));
}

static void put_4(int8_t *q, uint32_t entry)
{
	for (int i = 0; i < 4; i++)
		q[i] = (int8_t)(entry >> (8 * i));
}

/* Bit i set: q[i] is negative. */
static void sign_8(int8_t *q, unsigned signs)
{
	for (int i = 0; i < 8; i++)
		if (signs >> i & 1)
			q[i] = (int8_t)-q[i];
}

/* Signs in seven bits: the eighth makes the count of the negative ones even. */
static unsigned even_signs(uint32_t seven)
{
	seven &= 127;
	return seven | (unsigned)__builtin_parity(seven) << 7;
}

static int odd(int scale)
{
	return 2 * scale + 1;
}

static int nibble(const uint8_t *bytes, int index)
{
	return bytes[index / 2] >> (4 * (index % 2)) & 15;
}

/* For 32 weights: four bytes of grid, then four times seven bits of signs and the scale. */
void decode_iq2_xxs(const uint8_t *bytes, struct block *block)
{
	block->d = load_f16(bytes) * 0.125f;
	for (int j = 0; j < 8; j++) {
		const uint8_t *grid = bytes + 2 + 8 * j;
		const uint32_t signs = load_u32le(grid + 4);
		block->scale[j] = odd((int)(signs >> 28));
		for (int i = 0; i < 4; i++) {
			int8_t *q = block->q + 32 * j + 8 * i;
			put_8(q, grid_iq2_xxs[grid[i]]);
			sign_8(q, even_signs(signs >> (7 * i)));
		}
	}
}

/* For eight weights a word of nine bits of grid and seven of signs. */
void decode_iq2_xs(const uint8_t *bytes, struct block *block)
{
	block->d = load_f16(bytes) * 0.125f;
	for (int j = 0; j < 16; j++)
		block->scale[j] = odd(nibble(bytes + 66, j));
	for (int i = 0; i < 32; i++) {
		const unsigned word = load_u16le(bytes + 2 + 2 * i);
		put_8(block->q + 8 * i, grid_iq2_xs[word & 511]);
		sign_8(block->q + 8 * i, even_signs(word >> 9));
	}
}

void decode_iq2_s(const uint8_t *bytes, struct block *block)
{
	const uint8_t *low = bytes + 2, *signs = bytes + 34, *high = bytes + 66;
	block->d = load_f16(bytes) * 0.125f;
	for (int j = 0; j < 16; j++)
		block->scale[j] = odd(nibble(bytes + 74, j));
	for (int i = 0; i < 32; i++) {
		const unsigned top = high[i / 4] >> (2 * (i % 4)) & 3;
		put_8(block->q + 8 * i, grid_iq2_s[low[i] | top << 8]);
		sign_8(block->q + 8 * i, signs[i]);
	}
}

void decode_iq3_xxs(const uint8_t *bytes, struct block *block)
{
	block->d = load_f16(bytes) * 0.5f;
	for (int i = 0; i < 64; i++)
		put_4(block->q + 4 * i, grid_iq3_xxs[bytes[2 + i]]);
	for (int j = 0; j < 8; j++) {
		const uint32_t signs = load_u32le(bytes + 66 + 4 * j);
		block->scale[j] = odd((int)(signs >> 28));
		for (int i = 0; i < 4; i++)
			sign_8(block->q + 32 * j + 8 * i, even_signs(signs >> (7 * i)));
	}
}

void decode_iq3_s(const uint8_t *bytes, struct block *block)
{
	const uint8_t *low = bytes + 2, *high = bytes + 66, *signs = bytes + 74;
	block->d = load_f16(bytes);
	for (int j = 0; j < 8; j++)
		block->scale[j] = odd(nibble(bytes + 106, j));
	for (int i = 0; i < 64; i++) {
		const unsigned top = high[i / 8] >> (i % 8) & 1;
		put_4(block->q + 4 * i, grid_iq3_s[low[i] | top << 8]);
	}
	for (int i = 0; i < 32; i++)
		sign_8(block->q + 8 * i, signs[i]);
}

/* Eight weights in eighths, each one more or one less than the grid has. */
static void put_eighths(int8_t *q, unsigned entry, bool less)
{
	put_8(q, grid_iq1[entry]);
	for (int i = 0; i < 8; i++)
		q[i] = (int8_t)(q[i] + (less ? -1 : 1));
}

/* For 32 weights: four bytes of grid; a word of their four times three top bits, the scale, and
 * which way the eighths go. */
void decode_iq1_s(const uint8_t *bytes, struct block *block)
{
	block->d = load_f16(bytes) * 0.125f;
	for (int j = 0; j < 8; j++) {
		const unsigned word = load_u16le(bytes + 34 + 2 * j);
		block->scale[j] = odd((int)(word >> 12 & 7));
		for (int i = 0; i < 4; i++)
			put_eighths(block->q + 32 * j + 8 * i,
				    bytes[2 + 4 * j + i] | (word >> (3 * i) & 7) << 8,
				    word >> 15 & 1);
	}
}

/* The half float lies in the top nibbles of the four words of scales. */
void decode_iq1_m(const uint8_t *bytes, struct block *block)
{
	const uint8_t *low = bytes, *high = bytes + 32, *scales = bytes + 48;
	unsigned d = 0;
	for (int i = 0; i < 4; i++)
		d |= (unsigned)(load_u16le(scales + 2 * i) >> 12) << (4 * i);
	block->d = f16_to_f32((uint16_t)d) * 0.125f;
	for (int j = 0; j < 16; j++)
		block->scale[j] = odd(load_u16le(scales + j / 4 * 2) >> (3 * (j % 4)) & 7);
	for (int i = 0; i < 32; i++) {
		const unsigned four = (unsigned)nibble(high, i);
		put_eighths(block->q + 8 * i, low[i] | (four & 7) << 8, four & 8);
	}
}
