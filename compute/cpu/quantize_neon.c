#include "compute/cpu/c.h"
#include "compute/cpu/neon.h"
#include "compute/cpu/rows.h"

#include <arm_neon.h>
#include <string.h>

/* The bits of the largest magnitude of a block. */
static uint32_t largest_bits(const float *x)
{
	uint32x4_t largest = vdupq_n_u32(0);
	for (uint32_t i = 0; i < ROW_BLOCK; i += 4) {
		const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i));
		largest = vmaxq_u32(largest, vandq_u32(bits, vdupq_n_u32(0x7fffffff)));
	}
	return vmaxvq_u32(largest);
}

/* Nearest even, four values in 16 bits. */
static int16x4_t rounded(const float *x, float inverse)
{
	return vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse)));
}

static int8x16_t round_16(const float *x, float inverse)
{
	const int16x8_t low = vcombine_s16(rounded(x, inverse), rounded(x + 4, inverse));
	const int16x8_t high = vcombine_s16(rounded(x + 8, inverse), rounded(x + 12, inverse));
	return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}

/* Gives the scale; the cases of the reference. */
static float quantize_block(const float *x, int8_t *q, int32_t sums[2])
{
	const uint32_t bits = largest_bits(x);
	float largest;
	memcpy(&largest, &bits, sizeof(largest));
	if (bits >= 0x7f800000 || largest < ROW_LARGEST_MIN) {
		memset(q, 0, ROW_BLOCK);
		sums[0] = sums[1] = 0;
		return bits >= 0x7f800000 ? __builtin_nanf("") : 0.0f;
	}
	const float inverse = 127.0f / largest;
	for (int i = 0; i < 2; i++) {
		const int8x16_t v = round_16(x + 16 * i, inverse);
		vst1q_s8(q + 16 * i, v);
		sums[i] = vaddlvq_s8(v);
	}
	return largest / 127.0f;
}

void neon_quantize_row(enum row_format format, const float *x, uint32_t n, void *row)
{
	if (format == ROW_F32) {
		c_quantize_row(format, x, n, row);
		return;
	}
	uint8_t *bytes = row;
	float *scales = (void *)(bytes + row_scale_offset(n));
	float *weighted = (void *)(bytes + row_weighted_offset(n));
	int32_t *sums = (void *)(bytes + row_sum_offset(n));
	int32_t *narrow = (void *)(bytes + row_narrow_offset(n));
	for (uint32_t i = 0; i < n / ROW_BLOCK; i++) {
		scales[i] = quantize_block(x + i * ROW_BLOCK, (int8_t *)bytes + i * ROW_BLOCK,
					   narrow + 2 * i);
		sums[i] = narrow[2 * i] + narrow[2 * i + 1];
		weighted[i] = scales[i] * (float)sums[i];
	}
}
