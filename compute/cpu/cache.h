/* cache.h: keys and values on their way into the cache, and where they lie there (kv.h). */
#ifndef COMPUTE_CPU_CACHE_H
#define COMPUTE_CPU_CACHE_H

#include "compute/cpu/kernels.h"
#include "compute/kv.h"

/* Index of column i of position j, counted in elements. */
static inline size_t cache_key_at(enum kv_kind kind, uint32_t i, uint32_t j)
{
	if (kind == KV_Q8_0)
		return ((size_t)i / 4 * KV_PAGE_POSITIONS + j) * 4 + i % 4;
	return (size_t)i * KV_PAGE_POSITIONS + j;
}

/* Columns of the value block that holds column i. */
static inline uint32_t cache_value_block(uint32_t width, uint32_t i)
{
	const uint32_t left = width - i / KV_VALUE_BLOCK * KV_VALUE_BLOCK;
	return left < KV_VALUE_BLOCK ? left : KV_VALUE_BLOCK;
}

static inline size_t cache_value_at(uint32_t width, uint32_t i, uint32_t j)
{
	const uint32_t block = i / KV_VALUE_BLOCK * KV_VALUE_BLOCK;
	return (size_t)block * KV_PAGE_POSITIONS + (size_t)j * cache_value_block(width, i) +
	       (i - block);
}

/* The scales of a Q8_0 head: [width / KV_SCALE_BLOCK, KV_PAGE_POSITIONS]. */
static inline const uint16_t *cache_scales(const uint8_t *head, uint32_t width)
{
	return (const uint16_t *)(const void *)(head + (size_t)KV_PAGE_POSITIONS * width);
}

/* A block whose largest magnitude is below this is all zero. */
#define CACHE_LARGEST_MIN 0x1p-100f

/* `n` values in blocks of KV_SCALE_BLOCK to int8 and one scale a block. */
void cache_quantise(const float *x, uint32_t n, int8_t *q, float *scales);

/* Keys (values) of `n` positions, x[r * stride + i], to positions [at, at + n) of a page; `head` is
 * where the head's keys (values) begin. */
void cache_put_keys(const struct kernels *kernels, enum kv_kind kind, uint8_t *head, uint32_t at,
		    uint32_t n, const float *x, size_t stride, uint32_t width);
void cache_put_values(const struct kernels *kernels, enum kv_kind kind, uint8_t *head, uint32_t at,
		      uint32_t n, const float *x, size_t stride, uint32_t width);

#endif
