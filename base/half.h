/* half.h: exact conversions between IEEE binary16, bfloat16 and float; nearest even, no hardware
 * instruction, so that every machine gives the same bits. NaN stays NaN (made quiet). */
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_bits_to_f32(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline float f16_to_f32(uint16_t half)
{
	const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	const uint32_t exponent = (half >> 10) & 31;
	const uint32_t mantissa = half & 0x3ff;
	if (exponent == 31)
		return half_bits_to_f32(sign | 0x7f800000 | mantissa << 13 |
					(mantissa ? 0x400000 : 0));
	if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact */
		const float magnitude = (float)mantissa * 0x1p-24f;
		return sign ? -magnitude : magnitude;
	}
	return half_bits_to_f32(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t f32_to_f16(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	bits &= 0x7fffffff;
	if (bits > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
	if (bits >= 0x477ff000) /* rounds to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (bits < 0x33000001) /* rounds to zero */
		return sign;
	uint32_t mantissa, shift, base;
	if (bits < 0x38800000) { /* subnormal half */
		mantissa = (bits & 0x7fffff) | 0x800000;
		shift = 126 - (bits >> 23);
		base = 0;
	} else {
		mantissa = bits & 0x7fffff;
		shift = 13;
		base = ((bits >> 23) - 112) << 10;
	}
	const uint32_t kept = mantissa >> shift;
	const uint32_t rest = mantissa & ((1u << shift) - 1);
	const uint32_t middle = 1u << (shift - 1);
	const uint32_t up = rest > middle || (rest == middle && (kept & 1));
	return (uint16_t)(sign | (base + kept + up)); /* a carry into the exponent is right */
}

static inline float bf16_to_f32(uint16_t bits)
{
	return half_bits_to_f32((uint32_t)bits << 16);
}

#endif
