/* Products with one or two rows of the formats that are looked up in a grid, but IQ1. */
#include "compute/cpu/direct_avx512.h"
#include "compute/cpu/grid_avx512.h"

/* Columns of a chunk as the fields of codes have them: byte m of each quarter of out[k] is column
 * m * fields + k. */
FORCE_INLINE void sort_columns(uint32_t type, const uint8_t *x, __m512i out[4])
{
	const int fields = fields_of(type);
	const __m128i each = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	const __m512i from = _mm512_slli_epi16(_mm512_broadcast_i32x4(each), fields == 4 ? 2 : 1);
	const __m512i columns =
		fields == 4 ? _mm512_loadu_si512(x) : _mm512_broadcast_i64x4(load_256(x));
	UNROLL
	for (int k = 0; k < fields; k++)
		out[k] = _mm512_permutexvar_epi8(_mm512_add_epi8(from, _mm512_set1_epi8((char)k)),
						 columns);
}

/* Products of a chunk of set j: four sums of each of its rows, in the order of columns. Signs are
 * the activations' here. */
FORCE_INLINE void multiply_set(uint32_t type, const struct found *found, size_t j, size_t chunk,
			       int rows, __m512i x[ROWS_MAX][4], __m512i sums[ROWS_MAX])
{
	const __m512i codes = found->codes[j][chunk], signs = found->signs[j][chunk];
	UNROLL
	for (int r = 0; r < rows; r++)
		sums[r] = _mm512_setzero_si512();
	UNROLL
	for (int k = 0; k < fields_of(type); k++) {
		const __m512i w = field_weights(type, codes, k);
		const __mmask64 negative = field_signs(type, signs, k);
		UNROLL
		for (int r = 0; r < rows; r++) {
			const __m512i y = _mm512_mask_sub_epi8(x[r][k], negative,
							       _mm512_setzero_si512(), x[r][k]);
			sums[r] = _mm512_dpbusd_epi32(sums[r], w, y);
		}
	}
}

/* Four sums a row become those of `n` groups, for sixteen rows. */
FORCE_INLINE void fold_sets(const __m512i sets[SETS], int n, __m512i groups[4])
{
	turn_quarters(sets, groups);
	UNROLL
	for (int left = 4; left > n; left /= 2) {
		UNROLL
		for (int i = 0; i < left / 2; i++)
			groups[i] = _mm512_add_epi32(groups[2 * i], groups[2 * i + 1]);
	}
}

/* The integers of the groups in a chunk, which begins at column `column` of the product. */
FORCE_INLINE void multiply_chunk(uint32_t type, const struct found *found, size_t chunk,
				 const struct meeting *rows, size_t column,
				 __m512i groups[ROWS_MAX][4])
{
	const int n = 16 * fields_of(type) / traits[type].group;
	__m512i x[ROWS_MAX][4], sums[SETS][ROWS_MAX];
	UNROLL
	for (int r = 0; r < rows->n; r++)
		sort_columns(type, rows->in.rows + (size_t)r * rows->in.stride + column, x[r]);
	UNROLL
	for (size_t j = 0; j < SETS; j++)
		multiply_set(type, found, j, chunk, rows->n, x, sums[j]);
	UNROLL
	for (int r = 0; r < rows->n; r++) {
		const __m512i sets[SETS] = { sums[0][r], sums[1][r], sums[2][r], sums[3][r] };
		fold_sets(sets, n, groups[r]);
	}
}

FORCE_INLINE void add_blocks(uint32_t type, struct sixteen weights, struct fetch *fetch,
			     const struct meeting *rows, uint32_t block, uint32_t n,
			     __m512 sums[ROWS_MAX])
{
	const struct kind kind = kind_of(type);
	const uint32_t group = traits[type].group, width = 16 * (uint32_t)fields_of(type);
	struct grid_numbers numbers;
	struct found found;
	__m512 scale[PANEL_GROUPS];
	collect_numbers(type, weights, &numbers);
	find_block(type, weights, &found);
	make_scales(type, weights, &numbers, scale);
	for (uint32_t chunk = 0; chunk < 256 / width; chunk++) {
		__m512i integers[ROWS_MAX][4];
		fetch_columns(type, fetch, width);
		multiply_chunk(type, &found, chunk, rows, 256 * block + width * chunk, integers);
		UNROLL
		for (uint32_t i = 0; i < width / group; i++) {
			const uint32_t g = width / group * chunk + i;
			UNROLL
			for (int r = 0; r < rows->n; r++) {
				const struct group_inputs at = group_inputs(
					kind, &rows->in, r, 8 * block + group * g / 32, g);
				sums[r] = step(kind, integers[r][i], scale[g], scale[g], &at,
					       sums[r]);
			}
		}
	}
}

DIRECT_FUNCTION(direct_iq2_xxs, TENSOR_IQ2_XXS)
DIRECT_FUNCTION(direct_iq2_xs, TENSOR_IQ2_XS)
DIRECT_FUNCTION(direct_iq2_s, TENSOR_IQ2_S)
DIRECT_FUNCTION(direct_iq3_xxs, TENSOR_IQ3_XXS)
DIRECT_FUNCTION(direct_iq3_s, TENSOR_IQ3_S)

static direct_fn *const functions[] = {
	[TENSOR_IQ2_XXS] = direct_iq2_xxs, [TENSOR_IQ2_XS] = direct_iq2_xs,
	[TENSOR_IQ2_S] = direct_iq2_s,     [TENSOR_IQ3_XXS] = direct_iq3_xxs,
	[TENSOR_IQ3_S] = direct_iq3_s,
};

void avx512_matmul_grid(const struct matmul *product, uint32_t first, uint32_t end)
{
	direct_or_c(functions[product->type], product, first, end);
}
