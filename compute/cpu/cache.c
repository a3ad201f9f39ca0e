#include "compute/cpu/cache.h"

#include "base/half.h"

#include <string.h>

/* Nearest even, for |x| < 2^22. */
static int32_t round_even(float x)
{
	return (int32_t)((x + 0x1.8p23f) - 0x1.8p23f);
}

static uint32_t largest_bits(const float *x)
{
	uint32_t largest = 0;
	for (uint32_t i = 0; i < KV_SCALE_BLOCK; i++) {
		uint32_t bits;
		memcpy(&bits, &x[i], sizeof(bits));
		bits &= 0x7fffffff;
		largest = bits > largest ? bits : largest;
	}
	return largest;
}

static float quantise_block(const float *x, int8_t *q)
{
	const uint32_t bits = largest_bits(x);
	const float largest = half_bits_to_f32(bits);
	if (bits >= 0x7f800000 || largest < CACHE_LARGEST_MIN) {
		memset(q, 0, KV_SCALE_BLOCK);
		return bits >= 0x7f800000 ? __builtin_nanf("") : 0.0f;
	}
	const float inverse = 127.0f / largest;
	for (uint32_t i = 0; i < KV_SCALE_BLOCK; i++)
		q[i] = (int8_t)round_even(x[i] * inverse);
	return largest / 127.0f;
}

void cache_quantise(const float *x, uint32_t n, int8_t *q, float *scales)
{
	for (uint32_t i = 0; i < n; i += KV_SCALE_BLOCK)
		scales[i / KV_SCALE_BLOCK] = quantise_block(x + i, q + i);
}

/* ---- into the page ---- */

/* One row in the form of the cache. */
struct row {
	union {
		float floats[ATTENTION_WIDTH_MAX];
		uint16_t halves[ATTENTION_WIDTH_MAX];
		int8_t bytes[ATTENTION_WIDTH_MAX];
	} values;
	uint16_t scales[ATTENTION_WIDTH_MAX / KV_SCALE_BLOCK];
};

static void convert(const struct kernels *kernels, enum kv_kind kind, const float *x,
		    uint32_t width, struct row *row)
{
	float scales[ATTENTION_WIDTH_MAX / KV_SCALE_BLOCK];
	switch (kind) {
	case KV_F32:
		memcpy(row->values.floats, x, width * sizeof(float));
		return;
	case KV_Q8_0:
		cache_quantise(x, width, row->values.bytes, scales);
		for (uint32_t i = 0; i < width / KV_SCALE_BLOCK; i++)
			row->scales[i] = f32_to_f16(scales[i]);
		return;
	case KV_F16:
	case KV_KINDS:
		break;
	}
	kernels->to_f16(row->values.halves, x, width);
}

static void put_scales(uint8_t *head, uint32_t width, uint32_t at, const struct row *row)
{
	uint16_t *scales = (uint16_t *)(void *)(head + (size_t)KV_PAGE_POSITIONS * width);
	for (uint32_t i = 0; i < width / KV_SCALE_BLOCK; i++)
		scales[(size_t)i * KV_PAGE_POSITIONS + at] = row->scales[i];
}

static void put_key(enum kv_kind kind, uint8_t *head, uint32_t at, const struct row *row,
		    uint32_t width)
{
	if (kind == KV_Q8_0) {
		for (uint32_t i = 0; i < width; i += 4)
			memcpy(head + cache_key_at(kind, i, at), row->values.bytes + i, 4);
		put_scales(head, width, at, row);
	} else if (kind == KV_F16) {
		uint16_t *to = (uint16_t *)(void *)head + at;
		for (uint32_t i = 0; i < width; i++)
			to[(size_t)i * KV_PAGE_POSITIONS] = row->values.halves[i];
	} else {
		float *to = (float *)(void *)head + at;
		for (uint32_t i = 0; i < width; i++)
			to[(size_t)i * KV_PAGE_POSITIONS] = row->values.floats[i];
	}
}

static void put_value(enum kv_kind kind, uint8_t *head, uint32_t at, const struct row *row,
		      uint32_t width)
{
	const size_t size = kind == KV_Q8_0 ? 1 : kind == KV_F16 ? sizeof(uint16_t) : sizeof(float);
	const uint8_t *from = (const void *)&row->values;
	for (uint32_t i = 0; i < width; i += KV_VALUE_BLOCK)
		memcpy(head + cache_value_at(width, i, at) * size, from + i * size,
		       cache_value_block(width, i) * size);
	if (kind == KV_Q8_0)
		put_scales(head, width, at, row);
}

void cache_put_keys(const struct kernels *kernels, enum kv_kind kind, uint8_t *head, uint32_t at,
		    uint32_t n, const float *x, size_t stride, uint32_t width)
{
	struct row row;
	for (uint32_t r = 0; r < n; r++) {
		convert(kernels, kind, x + r * stride, width, &row);
		put_key(kind, head, at + r, &row, width);
	}
}

void cache_put_values(const struct kernels *kernels, enum kv_kind kind, uint8_t *head, uint32_t at,
		      uint32_t n, const float *x, size_t stride, uint32_t width)
{
	struct row row;
	for (uint32_t r = 0; r < n; r++) {
		convert(kernels, kind, x + r * stride, width, &row);
		put_value(kind, head, at + r, &row, width);
	}
}
