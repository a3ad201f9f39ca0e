#include "compute/cpu/formats.h"

#include "base/buf.h"
#include "base/half.h"
#include "compute/gguf.h"

#include <stddef.h>
#include <string.h>

static float load_f16(const uint8_t *bytes)
{
	return f16_to_f32(load_u16le(bytes));
}

/* One scale for the whole block. */
static void set_plain(struct block *block, float d)
{
	block->d = d;
	block->scale[0] = 1;
}

static void decode_q4_0(const uint8_t *bytes, struct block *block)
{
	set_plain(block, load_f16(bytes));
	for (int i = 0; i < 16; i++) {
		block->q[i] = (int8_t)((bytes[2 + i] & 15) - 8);
		block->q[i + 16] = (int8_t)((bytes[2 + i] >> 4) - 8);
	}
}

static void decode_q5_0(const uint8_t *bytes, struct block *block)
{
	const uint32_t high = load_u32le(bytes + 2);
	set_plain(block, load_f16(bytes));
	for (int i = 0; i < 16; i++) {
		const int low = (bytes[6 + i] & 15) | (int)(high >> i & 1) << 4;
		const int upper = bytes[6 + i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
		block->q[i] = (int8_t)(low - 16);
		block->q[i + 16] = (int8_t)(upper - 16);
	}
}

static void decode_q8_0(const uint8_t *bytes, struct block *block)
{
	set_plain(block, load_f16(bytes));
	memcpy(block->q, bytes + 2, 32);
}

/* Eight pairs of six bits in twelve bytes, after d and dmin. */
static void decode_k_scales(const uint8_t *bytes, struct block *block)
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

static void decode_q4_k(const uint8_t *bytes, struct block *block)
{
	decode_k_scales(bytes, block);
	for (int c = 0; c < 256; c++) {
		const uint8_t pair = bytes[16 + c / 64 * 32 + c % 32];
		block->q[c] = (int8_t)(c / 32 % 2 ? pair >> 4 : pair & 15);
	}
}

static void decode_q5_k(const uint8_t *bytes, struct block *block)
{
	decode_k_scales(bytes, block);
	for (int c = 0; c < 256; c++) {
		const uint8_t pair = bytes[48 + c / 64 * 32 + c % 32];
		const int high = bytes[16 + c % 32] >> (c / 32) & 1;
		block->q[c] = (int8_t)((c / 32 % 2 ? pair >> 4 : pair & 15) | high << 4);
	}
}

static void decode_q6_k(const uint8_t *bytes, struct block *block)
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
		const int two = high[32 * half + c % 32] >> (2 * quarter) & 3;
		block->q[c] = (int8_t)((four | two << 4) - 32);
	}
}

static const struct format formats[] = {
	[TENSOR_Q4_0] = { 32, 18, 32, false, decode_q4_0 },
	[TENSOR_Q5_0] = { 32, 22, 32, false, decode_q5_0 },
	[TENSOR_Q8_0] = { 32, 34, 32, false, decode_q8_0 },
	[TENSOR_Q4_K] = { 256, 144, 32, true, decode_q4_k },
	[TENSOR_Q5_K] = { 256, 176, 32, true, decode_q5_k },
	[TENSOR_Q6_K] = { 256, 210, 16, false, decode_q6_k },
};

const struct format *format_of(uint32_t tensor_type)
{
	if (tensor_type >= sizeof(formats) / sizeof(formats[0]) || !formats[tensor_type].decode)
		return NULL;
	return &formats[tensor_type];
}

float format_float(uint32_t tensor_type, const uint8_t *row, uint32_t index)
{
	if (tensor_type == TENSOR_F16)
		return load_f16(row + 2 * (size_t)index);
	if (tensor_type == TENSOR_BF16)
		return bf16_to_f32(load_u16le(row + 2 * (size_t)index));
	return half_bits_to_f32(load_u32le(row + 4 * (size_t)index));
}
