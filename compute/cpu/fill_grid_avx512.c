/* Panels from formats with blocks of 256 columns that are looked up in a grid. */
#include "compute/cpu/grid_avx512.h"

/* A field of a chunk, made unsigned by the packing's offset. */
FORCE_INLINE __m512i unsigned_field(uint32_t type, __m512i codes, __m512i signs, int field)
{
	const __m512i w = field_weights(type, codes, field), offset = _mm512_set1_epi8(GRID_OFFSET);
	if (is_iq1(type))
		return add_eighths(w, signs);
	return _mm512_mask_sub_epi8(_mm512_add_epi8(w, offset), field_signs(type, signs, field),
				    offset, w);
}

/* The columns of a chunk in their order, sixteen of each row a vector. */
FORCE_INLINE void set_columns(uint32_t type, const struct found *found, size_t j, size_t chunk,
			      __m512i columns[4])
{
	const int fields = fields_of(type);
	__m512i w[4];
	UNROLL
	for (int k = 0; k < fields; k++)
		w[k] = unsigned_field(type, found->codes[j][chunk], found->signs[j][chunk], k);
	const __m512i low = _mm512_unpacklo_epi8(w[0], w[1]);
	const __m512i high = _mm512_unpackhi_epi8(w[0], w[1]);
	if (fields == 2) {
		columns[0] = low;
		columns[1] = high;
		return;
	}
	const __m512i next_low = _mm512_unpacklo_epi8(w[2], w[3]);
	const __m512i next_high = _mm512_unpackhi_epi8(w[2], w[3]);
	columns[0] = _mm512_unpacklo_epi16(low, next_low);
	columns[1] = _mm512_unpackhi_epi16(low, next_low);
	columns[2] = _mm512_unpacklo_epi16(high, next_high);
	columns[3] = _mm512_unpackhi_epi16(high, next_high);
}

FORCE_INLINE void fill_grid(uint32_t type, struct sixteen rows, struct panel *panel)
{
	const size_t fields = (size_t)fields_of(type);
	struct grid_numbers numbers;
	struct found found;
	collect_numbers(type, rows, &numbers);
	find_block(type, rows, &found);
	for (size_t chunk = 0; chunk < 16 / fields; chunk++) {
		__m512i columns[SETS][4];
		UNROLL
		for (size_t j = 0; j < SETS; j++)
			set_columns(type, &found, j, chunk, columns[j]);
		UNROLL
		for (size_t i = 0; i < fields; i++) {
			const __m512i sets[SETS] = { columns[0][i], columns[1][i], columns[2][i],
						     columns[3][i] };
			turn_quarters(sets, panel->w + 4 * (fields * chunk + i));
		}
	}
	make_scales(type, rows, &numbers, panel->scale);
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define FILL_FUNCTION(name, type)                                                                  \
	void name(const struct format *format, struct sixteen rows, uint32_t n,                    \
		  struct panel *panel)                                                             \
	{                                                                                          \
		fill_grid(type, rows, panel);                                                      \
	}

FILL_FUNCTION(fill_iq2_xxs, TENSOR_IQ2_XXS)
FILL_FUNCTION(fill_iq2_xs, TENSOR_IQ2_XS)
FILL_FUNCTION(fill_iq2_s, TENSOR_IQ2_S)
FILL_FUNCTION(fill_iq3_xxs, TENSOR_IQ3_XXS)
FILL_FUNCTION(fill_iq3_s, TENSOR_IQ3_S)
FILL_FUNCTION(fill_iq1_s, TENSOR_IQ1_S)
FILL_FUNCTION(fill_iq1_m, TENSOR_IQ1_M)
