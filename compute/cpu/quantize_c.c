#include "compute/cpu/c.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/rows.h"

#include <string.h>

/* Nearest even, for |x| < 2^22: above 2^23 a float has no fraction. */
static int32_t round_even(float x)
{
	return (int32_t)((x + 0x1.8p23f) - 0x1.8p23f);
}

/* The bits of the largest magnitude; 0x7f800000 and up when a value is infinite or NaN. */
static uint32_t largest_bits(const float *x, uint32_t n)
{
	uint32_t largest = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits;
		memcpy(&bits, &x[i], sizeof(bits));
		bits &= 0x7fffffff;
		largest = bits > largest ? bits : largest;
	}
	return largest;
}

/* Gives the scale. A block that holds an infinity or NaN has the scale NaN, so that its products
 * are NaN too. */
static float quantize_block(const float *x, uint32_t n, int8_t *q)
{
	const uint32_t bits = largest_bits(x, n);
	float largest;
	memcpy(&largest, &bits, sizeof(largest));
	if (bits >= 0x7f800000 || largest < ROW_LARGEST_MIN) {
		memset(q, 0, n);
		return bits >= 0x7f800000 ? __builtin_nanf("") : 0.0f;
	}
	const float inverse = 127.0f / largest;
	for (uint32_t i = 0; i < n; i++)
		q[i] = (int8_t)round_even(x[i] * inverse);
	return largest / 127.0f;
}

static int32_t sum_of(const int8_t *q, uint32_t n)
{
	int32_t sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += q[i];
	return sum;
}

void c_quantize_row(enum row_format format, const float *x, uint32_t n, void *row)
{
	uint8_t *bytes = row;
	if (format == ROW_F32) {
		memcpy(bytes, x, n * sizeof(float));
		return;
	}
	int8_t *q = (int8_t *)bytes;
	float *scales = (void *)(bytes + row_scale_offset(n));
	float *weighted = (void *)(bytes + row_weighted_offset(n));
	int32_t *sums = (void *)(bytes + row_sum_offset(n));
	int32_t *narrow = (void *)(bytes + row_narrow_offset(n));
	for (uint32_t i = 0; i < n / ROW_BLOCK; i++) {
		int8_t *block = q + i * ROW_BLOCK;
		scales[i] = quantize_block(x + i * ROW_BLOCK, ROW_BLOCK, block);
		narrow[2 * i] = sum_of(block, 16);
		narrow[2 * i + 1] = sum_of(block + 16, 16);
		sums[i] = narrow[2 * i] + narrow[2 * i + 1];
		weighted[i] = scales[i] * (float)sums[i];
	}
}

static void dequantize_block(const struct format *format, const struct block *block, float *out)
{
	for (uint32_t c = 0; c < format->size; c++) {
		const uint32_t g = c / format->group;
		const float value = block->d * (float)block->scale[g] * (float)block->q[c];
		out[c] = format->minimum ? value - block->dmin * (float)block->min[g] : value;
	}
}

void c_dequantize_row(uint32_t type, const uint8_t *weights, uint32_t n, float *out)
{
	const struct format *format = format_of(type);
	for (uint32_t i = 0; !format && i < n; i++)
		out[i] = format_float(type, weights, i);
	for (uint32_t i = 0; format && i < n; i += format->size) {
		struct block block;
		format->decode(weights + (size_t)(i / format->size) * format->bytes, &block);
		dequantize_block(format, &block, out + i);
	}
}
