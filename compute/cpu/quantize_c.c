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

static int sum_of(const int8_t *q, uint32_t n)
{
	int sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += q[i];
	return sum;
}

static void write_sums(enum row_format format, uint32_t n, uint8_t *row)
{
	const int8_t *q = (const int8_t *)row;
	float *floats = (void *)(row + row_sum_offset(format, n));
	int16_t *narrow = (void *)floats, *wide = (void *)(row + row_wide_sum_offset(n));
	for (uint32_t i = 0; format == ROW_I8X32 && i < n / 32; i++)
		floats[i] = (float)sum_of(q + 32 * i, 32);
	for (uint32_t i = 0; format == ROW_I8X256 && i < n / 16; i++)
		narrow[i] = (int16_t)sum_of(q + 16 * i, 16);
	for (uint32_t i = 0; format == ROW_I8X256 && i < n / 32; i++)
		wide[i] = (int16_t)sum_of(q + 32 * i, 32);
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
	const uint32_t block = row_block(format);
	for (uint32_t i = 0; i < n; i += block)
		scales[i / block] = quantize_block(x + i, block, q + i);
	write_sums(format, n, bytes);
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
