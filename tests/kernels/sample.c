#include "sample.h"

#include "base/buf.h"
#include "base/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint32_t sample_types[] = { TENSOR_F32,     TENSOR_F16,     TENSOR_BF16,   TENSOR_Q4_0,
				  TENSOR_Q4_1,    TENSOR_Q5_0,    TENSOR_Q5_1,   TENSOR_Q8_0,
				  TENSOR_Q2_K,    TENSOR_Q3_K,    TENSOR_Q4_K,   TENSOR_Q5_K,
				  TENSOR_Q6_K,    TENSOR_IQ4_NL,  TENSOR_IQ4_XS, TENSOR_IQ3_S,
				  TENSOR_IQ3_XXS, TENSOR_IQ2_XXS, TENSOR_IQ2_XS, TENSOR_IQ2_S,
				  TENSOR_IQ1_S,   TENSOR_IQ1_M,   TENSOR_MXFP4 };
const size_t sample_type_count = sizeof(sample_types) / sizeof(sample_types[0]);

uint64_t sample_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull >> 8;
}

float sample_uniform(uint64_t *state, float low, float high)
{
	return low + (high - low) * (float)(sample_random(state) & 0xffffff) * 0x1p-24f;
}

void sample_floats(uint64_t *state, float *out, size_t n, float low, float high)
{
	for (size_t i = 0; i < n; i++)
		out[i] = sample_uniform(state, low, high);
}

/* Where the half floats of a block's scale and minimum lie; -1: there is none. */
static const struct scale_place {
	int scale, min;
} places[] = {
	[TENSOR_Q4_0] = { 0, -1 },   [TENSOR_Q4_1] = { 0, 2 },     [TENSOR_Q5_0] = { 0, -1 },
	[TENSOR_Q5_1] = { 0, 2 },    [TENSOR_Q8_0] = { 0, -1 },    [TENSOR_Q2_K] = { 80, 82 },
	[TENSOR_Q3_K] = { 108, -1 }, [TENSOR_Q4_K] = { 0, 2 },     [TENSOR_Q5_K] = { 0, 2 },
	[TENSOR_Q6_K] = { 208, -1 }, [TENSOR_IQ4_NL] = { 0, -1 },  [TENSOR_IQ4_XS] = { 0, -1 },
	[TENSOR_IQ3_S] = { 0, -1 },  [TENSOR_IQ3_XXS] = { 0, -1 }, [TENSOR_IQ2_XXS] = { 0, -1 },
	[TENSOR_IQ2_XS] = { 0, -1 }, [TENSOR_IQ2_S] = { 0, -1 },   [TENSOR_IQ1_S] = { 0, -1 },
	[TENSOR_IQ1_M] = { -1, -1 }, [TENSOR_MXFP4] = { -1, -1 },
};

/* IQ1_M: its half float lies in the top nibbles of four words. */
static void spread_half(uint8_t *block, uint16_t half)
{
	for (int i = 0; i < 4; i++) {
		uint8_t *at = block + 49 + 2 * i;
		*at = (uint8_t)((*at & 15) | (half >> (4 * i) & 15) << 4);
	}
}

static void set_scales(uint64_t *state, uint32_t type, bool extreme, uint8_t *block)
{
	const struct scale_place place = places[type];
	const uint16_t scale = extreme ? 0x7bff : f32_to_f16(sample_uniform(state, -0.02f, 0.02f));
	if (type == TENSOR_MXFP4) /* a power of two: eight bits of exponent */
		block[0] = extreme ? 143 : (uint8_t)(119 + sample_random(state) % 4);
	if (type == TENSOR_IQ1_M)
		spread_half(block, scale);
	if (place.scale >= 0)
		store_u16le(block + place.scale, scale);
	if (place.min >= 0)
		store_u16le(block + place.min,
			    extreme ? 0x7bff : f32_to_f16(sample_uniform(state, 0.0f, 0.02f)));
}

static void sample_plain_floats(uint64_t *state, uint32_t type, enum sample_kind kind, uint8_t *out,
				size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const float value =
			kind == SAMPLE_EXTREME ? 60000.0f : sample_uniform(state, -0.1f, 0.1f);
		uint32_t bits;
		memcpy(&bits, &value, sizeof(bits));
		if (type == TENSOR_F32)
			store_u32le(out + 4 * i, bits);
		else
			store_u16le(out + 2 * i, type == TENSOR_F16 ? f32_to_f16(value)
								    : (uint16_t)(bits >> 16));
	}
}

void sample_weights(uint64_t *state, uint32_t type, enum sample_kind kind, uint8_t *out, size_t n)
{
	const size_t bytes = weight_row_bytes(type, (uint32_t)n);
	for (size_t i = 0; i < bytes; i++)
		out[i] = kind == SAMPLE_EXTREME ? 0xff : (uint8_t)sample_random(state);
	if (kind == SAMPLE_WILD)
		return;
	if (type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16) {
		sample_plain_floats(state, type, kind, out, n);
		return;
	}
	const size_t block_bytes = tensor_type_block_bytes(type);
	for (uint8_t *block = out; block < out + bytes; block += block_bytes)
		set_scales(state, type, kind == SAMPLE_EXTREME, block);
}

void *sample_alloc(size_t bytes)
{
	const size_t size = (bytes + ROW_ALIGN) / ROW_ALIGN * ROW_ALIGN;
	void *memory = aligned_alloc(ROW_ALIGN, size);
	if (!memory) {
		perror("aligned_alloc");
		abort();
	}
	return memset(memory, 0, size);
}

size_t sample_difference(const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&a[i], &b[i], sizeof(float)) != 0 && !(isnan(a[i]) && isnan(b[i])))
			return i;
	return n;
}
