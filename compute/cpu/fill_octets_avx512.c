/* Panels from formats without a way of their own: what unpacks eight rows at a time for AVX2,
 * twice. */
#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_256_avx2.h"
#include "compute/cpu/unpack_32_avx2.h"

/* Lanes 8 * half to 8 * half + 7 of a panel's vector. */
FORCE_INLINE void put_floats(__m512 *vector, int half, __m256 v)
{
	_mm256_store_ps((float *)vector + 8 * half, v);
}

/* Wide weights are signed; a panel's are not. */
FORCE_INLINE void put_weights(uint32_t type, __m512i *vector, int half, __m256i w)
{
	const __m256i top = _mm256_set1_epi8((char)0x80);
	_mm256_store_si256((__m256i *)vector + half, is_wide(type) ? _mm256_xor_si256(w, top) : w);
}

FORCE_INLINE __m256 negated(__m256 v)
{
	return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

FORCE_INLINE void fill_256(uint32_t type, struct octet octet, int half, struct panel *panel)
{
	const int vectors = group_width(type) / 4;
	struct k_head head;
	unpack_head(type, octet, &head);
	UNROLL
	for (int part = 0; part < 4; part++) {
		__m256i w[16];
		unpack_64(type, octet, &head, part, w);
		UNROLL
		for (int i = 0; i < 16; i++)
			put_weights(
				type,
				&panel->w[group_column(type, part, i / vectors) / 4 + i % vectors],
				half, w[i]);
	}
	UNROLL
	for (int g = 0; g < 256 / group_width(type); g++) {
		put_floats(&panel->scale[g], half, head.scale[g]);
		if (has_minima(type))
			put_floats(&panel->minimum[g], half, negated(head.min[g]));
	}
}

FORCE_INLINE void fill_32(uint32_t type, struct octet octet, int half, uint32_t n,
			  struct panel *panel)
{
	for (uint32_t i = 0; i < n; i++, octet.bytes += block_bytes(type)) {
		__m256i w[8];
		__m256 min;
		put_floats(&panel->scale[i], half, unpack_32(type, octet, w, &min));
		if (has_minima(type))
			put_floats(&panel->minimum[i], half, negated(min));
		UNROLL
		for (int c = 0; c < 8; c++)
			put_weights(type, &panel->w[8 * i + (uint32_t)c], half, w[c]);
	}
}

FORCE_INLINE void fill(uint32_t type, struct sixteen rows, uint32_t n, struct panel *panel)
{
	for (int half = 0; half < 2; half++) {
		const struct octet octet = { rows.bytes + 8 * (size_t)half * rows.stride,
					     rows.stride };
		if (is_256(type))
			fill_256(type, octet, half, panel);
		else
			fill_32(type, octet, half, n, panel);
	}
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define FILL_FUNCTION(name, type)                                                                  \
	void name(const struct format *format, struct sixteen rows, uint32_t n,                    \
		  struct panel *panel)                                                             \
	{                                                                                          \
		fill(type, rows, n, panel);                                                        \
	}

FILL_FUNCTION(fill_q4_1, TENSOR_Q4_1)
FILL_FUNCTION(fill_q5_1, TENSOR_Q5_1)
FILL_FUNCTION(fill_q2_k, TENSOR_Q2_K)
FILL_FUNCTION(fill_q3_k, TENSOR_Q3_K)
FILL_FUNCTION(fill_iq4_nl, TENSOR_IQ4_NL)
FILL_FUNCTION(fill_iq4_xs, TENSOR_IQ4_XS)
FILL_FUNCTION(fill_iq3_s, TENSOR_IQ3_S)
FILL_FUNCTION(fill_iq3_xxs, TENSOR_IQ3_XXS)
FILL_FUNCTION(fill_iq2_xxs, TENSOR_IQ2_XXS)
FILL_FUNCTION(fill_iq2_xs, TENSOR_IQ2_XS)
FILL_FUNCTION(fill_iq2_s, TENSOR_IQ2_S)
FILL_FUNCTION(fill_iq1_s, TENSOR_IQ1_S)
FILL_FUNCTION(fill_iq1_m, TENSOR_IQ1_M)
FILL_FUNCTION(fill_mxfp4, TENSOR_MXFP4)
