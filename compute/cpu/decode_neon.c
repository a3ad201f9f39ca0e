#include "compute/cpu/decode_neon.h"

#include "base/buf.h"
#include "base/half.h"

#include <arm_neon.h>
#include <string.h>

/* d and a single scale for the block. */
static void set_plain(struct block *block, const uint8_t *d)
{
	block->d = f16_to_f32(load_u16le(d));
	block->scale[0] = 1;
}

static int8x16_t low_nibbles(uint8x16_t v)
{
	return vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
}

static int8x16_t high_nibbles(uint8x16_t v)
{
	return vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
}

static void decode_q4_0(const uint8_t *bytes, struct block *block)
{
	const uint8x16_t packed = vld1q_u8(bytes + 2);
	set_plain(block, bytes);
	vst1q_s8(block->q, vsubq_s8(low_nibbles(packed), vdupq_n_s8(8)));
	vst1q_s8(block->q + 16, vsubq_s8(high_nibbles(packed), vdupq_n_s8(8)));
}

/* Bit i of 16, as 16 in byte i. */
static int8x16_t fifth_bits(const uint8_t *bits)
{
	static const uint8_t own[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
	const uint8x16_t copies = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));
	return vreinterpretq_s8_u8(vandq_u8(vtstq_u8(copies, vld1q_u8(own)), vdupq_n_u8(16)));
}

static void decode_q5_0(const uint8_t *bytes, struct block *block)
{
	const uint8x16_t packed = vld1q_u8(bytes + 6);
	const int8x16_t offset = vdupq_n_s8(16);
	set_plain(block, bytes);
	vst1q_s8(block->q, vsubq_s8(vorrq_s8(low_nibbles(packed), fifth_bits(bytes + 2)), offset));
	vst1q_s8(block->q + 16,
		 vsubq_s8(vorrq_s8(high_nibbles(packed), fifth_bits(bytes + 4)), offset));
}

/* d, dmin and the eight pairs of six bits. */
static void decode_head(const uint8_t *bytes, struct block *block)
{
	const uint8_t *packed = bytes + 4;
	block->d = f16_to_f32(load_u16le(bytes));
	block->dmin = f16_to_f32(load_u16le(bytes + 2));
	for (int j = 0; j < 4; j++) {
		block->scale[j] = packed[j] & 63;
		block->min[j] = packed[j + 4] & 63;
		block->scale[j + 4] = (packed[j + 8] & 15) | (packed[j] >> 6) << 4;
		block->min[j + 4] = packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4;
	}
}

static void decode_q4_k(const uint8_t *bytes, struct block *block)
{
	decode_head(bytes, block);
	for (int i = 0; i < 8; i++) {
		const uint8x16_t packed = vld1q_u8(bytes + 16 + 16 * i);
		int8_t *q = block->q + i / 2 * 64 + i % 2 * 16;
		vst1q_s8(q, low_nibbles(packed));
		vst1q_s8(q + 32, high_nibbles(packed));
	}
}

static int8x16_t with_bit(int8x16_t q, uint8x16_t high, int bit)
{
	const uint8x16_t set = vtstq_u8(high, vdupq_n_u8((uint8_t)(1 << bit)));
	return vorrq_s8(q, vreinterpretq_s8_u8(vandq_u8(set, vdupq_n_u8(16))));
}

static void decode_q5_k(const uint8_t *bytes, struct block *block)
{
	decode_head(bytes, block);
	for (int i = 0; i < 8; i++) {
		const uint8x16_t packed = vld1q_u8(bytes + 48 + 16 * i);
		const uint8x16_t high = vld1q_u8(bytes + 16 + i % 2 * 16);
		int8_t *q = block->q + i / 2 * 64 + i % 2 * 16;
		vst1q_s8(q, with_bit(low_nibbles(packed), high, i / 2 * 2));
		vst1q_s8(q + 32, with_bit(high_nibbles(packed), high, i / 2 * 2 + 1));
	}
}

/* Two bits of each byte of `high`, from `bit` on, above four; 32 too large. */
static int8x16_t six_bits(int8x16_t four, uint8x16_t high, int bit)
{
	const uint8x16_t two = vandq_u8(vshlq_u8(high, vdupq_n_s8((int8_t)-bit)), vdupq_n_u8(3));
	const int8x16_t all = vorrq_s8(four, vreinterpretq_s8_u8(vshlq_n_u8(two, 4)));
	return vsubq_s8(all, vdupq_n_s8(32));
}

static void decode_q6_k(const uint8_t *bytes, struct block *block)
{
	block->d = f16_to_f32(load_u16le(bytes + 208));
	for (int j = 0; j < 16; j++)
		block->scale[j] = (int8_t)bytes[192 + j];
	for (int i = 0; i < 4; i++) {
		const int half = i / 2, part = i % 2 * 16;
		const uint8x16_t a = vld1q_u8(bytes + 64 * half + part);
		const uint8x16_t b = vld1q_u8(bytes + 64 * half + 32 + part);
		const uint8x16_t high = vld1q_u8(bytes + 128 + 32 * half + part);
		int8_t *q = block->q + 128 * half + part;
		vst1q_s8(q, six_bits(low_nibbles(a), high, 0));
		vst1q_s8(q + 32, six_bits(low_nibbles(b), high, 2));
		vst1q_s8(q + 64, six_bits(high_nibbles(a), high, 4));
		vst1q_s8(q + 96, six_bits(high_nibbles(b), high, 6));
	}
}

decode_fn *neon_decoder(uint32_t type)
{
	switch (type) {
	case TENSOR_Q4_0:
		return decode_q4_0;
	case TENSOR_Q5_0:
		return decode_q5_0;
	case TENSOR_Q4_K:
		return decode_q4_k;
	case TENSOR_Q5_K:
		return decode_q5_k;
	case TENSOR_Q6_K:
		return decode_q6_k;
	default:
		return format_of(type)->decode;
	}
}
