/* values_avx2.c: the values of a tile, weighed and added up; a lane is a column. */
#include "compute/cpu/attention_avx2.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/unpack_avx2.h"

/* Blocks of columns that are passed together. */
#define UNIT_BLOCKS (KV_SCALE_BLOCK / KV_VALUE_BLOCK)

enum form { FORM_HALVES, FORM_FLOATS, FORM_BYTES };

/* The columns that a pass is at: value blocks of `width` columns, one after the other. */
struct columns {
	const uint8_t *values; /* of the first block */
	enum form form;
	uint32_t at; /* the first column */
};

static inline size_t form_bytes(enum form form)
{
	return form == FORM_BYTES ? 1 : form == FORM_HALVES ? sizeof(uint16_t) : sizeof(float);
}

FORCE_INLINE __m256 value_8(struct columns columns, size_t at)
{
	const uint8_t *from = columns.values + at * form_bytes(columns.form);
	if (columns.form == FORM_HALVES)
		return _mm256_cvtph_ps(load_128(from));
	if (columns.form == FORM_FLOATS)
		return _mm256_load_ps((const float *)(const void *)from);
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from)));
}

/* Adds positions [seen.first, seen.end) of `vectors` times 8 columns to `n` queries. Vectors lie in
 * blocks of two, or one alone in a narrow block. */
FORCE_INLINE void add_vectors(const struct tile *tile, struct columns columns, uint32_t first,
			      int n, int vectors, struct seen seen)
{
	const float(*weights)[ATTENTION_TILE] =
		columns.form == FORM_BYTES || tile->attention->kind == KV_Q8_0 ? tile->scaled
									       : tile->weights;
	const uint32_t width = vectors == 1 ? 8 : KV_VALUE_BLOCK;
	__m256 sums[6][4];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			sums[q][v] = _mm256_loadu_ps(tile->sums[first + (uint32_t)q] + columns.at +
						     8 * v);
	}
	for (uint32_t j = seen.first; j < seen.end; j++) {
		__m256 x[4];
		UNROLL
		for (int v = 0; v < vectors; v++)
			x[v] = value_8(columns, (size_t)(v / 2) * ATTENTION_TILE * KV_VALUE_BLOCK +
							(size_t)j * width + 8 * (size_t)(v % 2));
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m256 weight = _mm256_set1_ps(weights[first + (uint32_t)q][j]);
			UNROLL
			for (int v = 0; v < vectors; v++)
				sums[q][v] = _mm256_fmadd_ps(weight, x[v], sums[q][v]);
		}
	}
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			_mm256_storeu_ps(tile->sums[first + (uint32_t)q] + columns.at + 8 * v,
					 sums[q][v]);
	}
}

/* A unit is two blocks, one, or a narrow one; many queries take the blocks one by one, because the
 * registers hold no more sums. */
FORCE_INLINE void add_unit(const struct tile *tile, struct columns columns, uint32_t left,
			   uint32_t first, int n, struct seen seen)
{
	const uint32_t block = KV_VALUE_BLOCK;
	if (seen.first >= seen.end)
		return;
	if (n <= 2 && left >= 2 * block) {
		add_vectors(tile, columns, first, n, 4, seen);
		return;
	}
	for (uint32_t i = 0; i < UNIT_BLOCKS && left >= block; i++, left -= block) {
		add_vectors(tile, columns, first, n, 2, seen);
		columns.at += block;
		columns.values += (size_t)block * ATTENTION_TILE * form_bytes(columns.form);
		if (i + 1 == UNIT_BLOCKS)
			return;
	}
	if (left > 0)
		add_vectors(tile, columns, first, n, 1, seen);
}

static struct seen seen_by_all(const struct tile *tile, uint32_t first, uint32_t n)
{
	struct seen common = tile->seen[first];
	for (uint32_t q = first + 1; q < first + n; q++) {
		const struct seen seen = tile->seen[q];
		common.first = seen.first > common.first ? seen.first : common.first;
		common.end = seen.end < common.end ? seen.end : common.end;
	}
	return common;
}

/* Several queries: the positions that all of them see together, what is before and behind one by
 * one, so that each query takes its positions in rising order. */
FORCE_INLINE void add_queries(const struct tile *tile, struct columns columns, uint32_t left,
			      uint32_t first, int n)
{
	const struct seen common = seen_by_all(tile, first, (uint32_t)n);
	const bool apart = common.first >= common.end;
	for (uint32_t q = first; q < first + (uint32_t)n; q++)
		add_unit(tile, columns, left, q, 1,
			 (struct seen){ tile->seen[q].first,
					apart ? tile->seen[q].end : common.first });
	if (apart)
		return;
	add_unit(tile, columns, left, first, n, common);
	for (uint32_t q = first; q < first + (uint32_t)n; q++)
		add_unit(tile, columns, left, q, 1, (struct seen){ common.end, tile->seen[q].end });
}

FORCE_INLINE void add_columns(const struct tile *tile, struct columns columns, uint32_t left)
{
	uint32_t q = 0;
	for (; q + 6 <= tile->n; q += 6)
		add_queries(tile, columns, left, q, 6);
	for (; q + 4 <= tile->n; q += 4)
		add_queries(tile, columns, left, q, 4);
	for (; q + 2 <= tile->n; q += 2)
		add_queries(tile, columns, left, q, 2);
	if (q < tile->n)
		add_unit(tile, columns, left, q, 1, tile->seen[q]);
}

/* Weights times the scales of the block of columns that begins at `at`. */
static void scale_weights(struct tile *tile, uint32_t at)
{
	const uint8_t *scales = (const void *)cache_scales(tile->values, tile->attention->head_v);
	const uint8_t *block =
		scales + sizeof(uint16_t) * (size_t)at / KV_SCALE_BLOCK * ATTENTION_TILE;
	for (uint32_t j = 0; j < ATTENTION_TILE; j += 8) {
		const __m256 scale = _mm256_cvtph_ps(load_128(block + j * sizeof(uint16_t)));
		for (uint32_t q = 0; q < tile->n; q++)
			_mm256_store_ps(tile->scaled[q] + j,
					_mm256_mul_ps(_mm256_load_ps(tile->weights[q] + j), scale));
	}
}

/* Many queries: the unit's values as f32 first. */
static void widen(struct tile *tile, struct columns *columns, uint32_t n_columns)
{
	for (size_t i = 0; i < (size_t)n_columns * ATTENTION_TILE; i += 8)
		_mm256_store_ps(tile->floats + i, value_8(*columns, i));
	columns->values = (const void *)tile->floats;
	columns->form = FORM_FLOATS;
}

FORCE_INLINE void add_all(struct tile *tile, enum form form)
{
	const uint32_t head_v = tile->attention->head_v;
	for (uint32_t at = 0; at < head_v; at += KV_SCALE_BLOCK) {
		const uint32_t left = head_v - at;
		const size_t before = (size_t)at * ATTENTION_TILE;
		struct columns columns = { tile->values + before * form_bytes(form), form, at };
		if (form == FORM_BYTES)
			scale_weights(tile, at);
		if (form == FORM_FLOATS || tile->n < TILE_MANY) {
			add_columns(tile, columns, left);
		} else {
			widen(tile, &columns, left < KV_SCALE_BLOCK ? left : KV_SCALE_BLOCK);
			add_columns(tile, (struct columns){ columns.values, FORM_FLOATS, at },
				    left);
		}
	}
}

void avx2_add_values(struct tile *tile)
{
	switch (tile->attention->kind) {
	case KV_Q8_0:
		add_all(tile, FORM_BYTES);
		return;
	case KV_F32:
		add_all(tile, FORM_FLOATS);
		return;
	case KV_F16:
	case KV_KINDS:
		break;
	}
	add_all(tile, FORM_HALVES);
}
