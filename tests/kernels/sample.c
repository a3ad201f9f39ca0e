#include "sample.h"

#include "base/buf.h"
#include "base/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint32_t sample_types[] = { TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_Q4_0, TENSOR_Q5_0,
				  TENSOR_Q8_0, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K };
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

/* Where the halves of a block's scale and minimum lie. */
struct scale_place {
	uint32_t block;
	int scale, min; /* -1: none */
};

static struct scale_place place_of(uint32_t type)
{
	switch (type) {
	case TENSOR_Q4_0:
	case TENSOR_Q5_0:
	case TENSOR_Q8_0:
		return (struct scale_place){ 32, 0, -1 };
	case TENSOR_Q6_K:
		return (struct scale_place){ 256, 208, -1 };
	default:
		return (struct scale_place){ 256, 0, 2 };
	}
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
	const struct scale_place place = place_of(type);
	const size_t block_bytes = weight_row_bytes(type, place.block);
	for (uint8_t *block = out; block < out + bytes; block += block_bytes) {
		const bool extreme = kind == SAMPLE_EXTREME;
		store_u16le(block + place.scale,
			    extreme ? 0x7bff : f32_to_f16(sample_uniform(state, -0.02f, 0.02f)));
		if (place.min >= 0)
			store_u16le(block + place.min,
				    extreme ? 0x7bff
					    : f32_to_f16(sample_uniform(state, 0.0f, 0.02f)));
	}
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
