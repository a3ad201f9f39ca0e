/* Panels from formats without a grid. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_256_avx512.h"
#include "compute/cpu/unpack_32_avx512.h"

FORCE_INLINE void fill_256(uint32_t type, struct sixteen rows, struct panel *panel)
{
	const int vectors = traits[type].part / 4, groups = 256 / traits[type].group;
	struct k_scales scales;
	struct k_part part;
	unpack_scales(type, rows, &scales);
	UNROLL
	for (int g = 0; g < groups; g++) {
		panel->scale[g] = scales.scale[g];
		if (traits[type].minima)
			panel->minimum[g] = scales.minimum[g];
	}
	turn_shared(type, rows, &part);
	UNROLL
	for (int p = 0; p < 64 / vectors; p++) {
		turn_part(type, rows, (size_t)p, &part);
		UNROLL
		for (int i = 0; i < vectors; i++)
			panel->w[vectors * p + i] = part_columns(type, &part, p, i);
	}
}

FORCE_INLINE void fill_32(uint32_t type, struct sixteen rows, uint32_t n, struct panel *panel)
{
	struct beside beside;
	struct small_part part;
	collect_beside(type, rows, n, &beside);
	for (uint32_t b = 0; b < n; b++, rows.bytes += traits[type].bytes) {
		turn_small(type, rows, &beside, b, &part);
		UNROLL
		for (int i = 0; i < 8; i++)
			panel->w[8 * b + (uint32_t)i] = small_columns(type, &part, i);
	}
	for (uint32_t b = 0; b < n; b++) {
		panel->scale[b] = small_scale(type, &beside, b);
		if (traits[type].minima)
			panel->minimum[b] = small_minimum(&beside, b);
	}
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define FILL_FUNCTION(name, type)                                                                  \
	void name(const struct format *format, struct sixteen rows, uint32_t n,                    \
		  struct panel *panel)                                                             \
	{                                                                                          \
		if (traits[type].columns == 256)                                                   \
			fill_256(type, rows, panel);                                               \
		else                                                                               \
			fill_32(type, rows, n, panel);                                             \
	}

FILL_FUNCTION(fill_q4_0, TENSOR_Q4_0)
FILL_FUNCTION(fill_q4_1, TENSOR_Q4_1)
FILL_FUNCTION(fill_q5_0, TENSOR_Q5_0)
FILL_FUNCTION(fill_q5_1, TENSOR_Q5_1)
FILL_FUNCTION(fill_q8_0, TENSOR_Q8_0)
FILL_FUNCTION(fill_iq4_nl, TENSOR_IQ4_NL)
FILL_FUNCTION(fill_mxfp4, TENSOR_MXFP4)
FILL_FUNCTION(fill_q2_k, TENSOR_Q2_K)
FILL_FUNCTION(fill_q3_k, TENSOR_Q3_K)
FILL_FUNCTION(fill_q4_k, TENSOR_Q4_K)
FILL_FUNCTION(fill_q5_k, TENSOR_Q5_K)
FILL_FUNCTION(fill_q6_k, TENSOR_Q6_K)
FILL_FUNCTION(fill_iq4_xs, TENSOR_IQ4_XS)
