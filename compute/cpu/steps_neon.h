/* steps_neon.h: what all ways of multiplying on ARM share: the step of a group, the tree. */
#ifndef COMPUTE_CPU_STEPS_NEON_H
#define COMPUTE_CPU_STEPS_NEON_H

#include "compute/cpu/decode_neon.h"
#include "compute/cpu/neon.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"

#include <arm_neon.h>
#include <stddef.h>

#define FORCE_INLINE static inline __attribute__((always_inline))

/* How a format is cut into groups; constants where it matters. */
struct grouping {
	uint32_t width; /* 16 or 32 columns */
	bool minimum;
};

/* One activation row. */
struct input {
	const int8_t *q;
	const float *scales, *weighted;
	const int32_t *narrow;
};

static inline struct input input_of(const uint8_t *row, uint32_t n_in)
{
	return (struct input){
		.q = (const int8_t *)row,
		.scales = (const void *)(row + row_scale_offset(n_in)),
		.weighted = (const void *)(row + row_weighted_offset(n_in)),
		.narrow = (const void *)(row + row_narrow_offset(n_in)),
	};
}

/* Group `group`, counted from the row's beginning, joins the sums of four outputs. */
FORCE_INLINE float32x4_t step(struct grouping grouping, int32x4_t products, const float *scale,
			      const float *min, const struct input *in, uint32_t group,
			      float32x4_t sum)
{
	const uint32_t block = group * grouping.width / ROW_BLOCK;
	const float32x4_t factor = vmulq_n_f32(vld1q_f32(scale), in->scales[block]);
	sum = vfmaq_f32(sum, factor, vcvtq_f32_s32(products));
	if (!grouping.minimum)
		return sum;
	const float weighted = grouping.width == 16 ? in->scales[block] * (float)in->narrow[group]
						    : in->weighted[block];
	return vfmsq_f32(sum, vld1q_f32(min), vdupq_n_f32(weighted));
}

/* The tree over the segments' sums, `stride` floats apart, of four outputs. */
FORCE_INLINE float32x4_t tree(const float *sums, size_t stride)
{
	float32x4_t v[SEGMENTS];
	for (uint32_t s = 0; s < SEGMENTS; s++)
		v[s] = vld1q_f32(sums + s * stride);
	const float32x4_t a = vaddq_f32(vaddq_f32(v[0], v[1]), vaddq_f32(v[2], v[3]));
	return vaddq_f32(a, vaddq_f32(vaddq_f32(v[4], v[5]), vaddq_f32(v[6], v[7])));
}

#endif
