/* values_avx2.c: the values of a tile, weighed and added up; a lane is a column. */
#include "compute/cpu/attention_avx2.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/unpack_avx2.h"

#define RUN_QUERIES 6 /* as many as the registers hold sums of one block */

enum form { FORM_HALVES, FORM_FLOATS, FORM_BYTES };

/* The columns that a pass is at: value blocks, one after the other; one of 8 columns may be last.
 */
struct columns {
	const uint8_t *values; /* of the first block */
	uint32_t at;           /* the first column */
	const float (*weights)[ATTENTION_TILE];
	uintptr_t ahead; /* of the tile; 0 where the values are no longer the cache's */
};

static inline size_t form_bytes(enum form form)
{
	return form == FORM_BYTES ? 1 : form == FORM_HALVES ? sizeof(uint16_t) : sizeof(float);
}

FORCE_INLINE __m256 value_8(const uint8_t *values, enum form form, size_t at)
{
	const uint8_t *from = values + at * form_bytes(form);
	if (form == FORM_HALVES)
		return _mm256_cvtph_ps(load_128(from));
	if (form == FORM_FLOATS)
		return _mm256_load_ps((const float *)(const void *)from);
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from)));
}

/* Adds a run's positions to `vectors` times 8 columns of its `n` queries. Vectors lie in blocks of
 * two, or one alone in a narrow block. */
FORCE_INLINE void add_vectors(const struct tile *tile, struct columns columns, enum form form,
			      const struct run *run, int n, int vectors)
{
	const uint32_t width = vectors == 1 ? 8 : KV_VALUE_BLOCK;
	__m256 sums[RUN_QUERIES][4];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			sums[q][v] = _mm256_loadu_ps(tile->sums[run->first + (uint32_t)q] +
						     columns.at + 8 * v);
	}
	for (uint32_t j = run->seen.first; j < run->seen.end; j++) {
		__m256 x[4];
		UNROLL
		for (int v = 0; v < vectors; v++)
			x[v] = value_8(columns.values, form,
				       (size_t)(v / 2) * ATTENTION_TILE * KV_VALUE_BLOCK +
					       (size_t)j * width + 8 * (size_t)(v % 2));
		if (columns.ahead)
			tile_ask(columns.values, j, 8 * (size_t)vectors * form_bytes(form),
				 columns.ahead);
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m256 weight =
				_mm256_set1_ps(columns.weights[run->first + (uint32_t)q][j]);
			UNROLL
			for (int v = 0; v < vectors; v++)
				sums[q][v] = _mm256_fmadd_ps(weight, x[v], sums[q][v]);
		}
	}
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			_mm256_storeu_ps(tile->sums[run->first + (uint32_t)q] + columns.at + 8 * v,
					 sums[q][v]);
	}
}

/* Two blocks together where the registers hold the sums, else one after the other. */
FORCE_INLINE void add_run(const struct tile *tile, struct columns columns, enum form form,
			  uint32_t n_columns, const struct run *run, int n)
{
	if (n <= 2 && n_columns == 2 * KV_VALUE_BLOCK) {
		add_vectors(tile, columns, form, run, n, 4);
		return;
	}
	for (; n_columns >= KV_VALUE_BLOCK; n_columns -= KV_VALUE_BLOCK) {
		add_vectors(tile, columns, form, run, n, 2);
		columns.at += KV_VALUE_BLOCK;
		columns.values += (size_t)KV_VALUE_BLOCK * ATTENTION_TILE * form_bytes(form);
	}
	if (n_columns > 0)
		add_vectors(tile, columns, form, run, n, 1);
}

FORCE_INLINE void add_columns(const struct tile *tile, struct columns columns, enum form form,
			      uint32_t n_columns, const struct run *runs, uint32_t n_runs)
{
	for (uint32_t i = 0; i < n_runs; i++) {
		const struct run *run = &runs[i];
		if (run->n == 6)
			add_run(tile, columns, form, n_columns, run, 6);
		else if (run->n == 5)
			add_run(tile, columns, form, n_columns, run, 5);
		else if (run->n == 4)
			add_run(tile, columns, form, n_columns, run, 4);
		else if (run->n == 3)
			add_run(tile, columns, form, n_columns, run, 3);
		else if (run->n == 2)
			add_run(tile, columns, form, n_columns, run, 2);
		else
			add_run(tile, columns, form, n_columns, run, 1);
		columns.ahead = 0; /* the first run has asked */
	}
}

/* Weights times the scales of the block of columns that begins at `at`. */
static void scale_weights(struct tile *tile, uint32_t at)
{
	const uint8_t *scales = (const void *)(cache_scales(tile->values, tile->attention->head_v) +
					       (size_t)at / KV_SCALE_BLOCK * ATTENTION_TILE);
	tile_ask(scales, 0, ATTENTION_TILE * sizeof(uint16_t), tile->ahead);
	for (uint32_t j = 0; j < ATTENTION_TILE; j += 8) {
		const __m256 scale = _mm256_cvtph_ps(load_128(scales + j * sizeof(uint16_t)));
		for (uint32_t q = 0; q < tile->n; q++)
			_mm256_store_ps(tile->scaled[q] + j,
					_mm256_mul_ps(_mm256_load_ps(tile->weights[q] + j), scale));
	}
}

/* KV_SCALE_BLOCK columns at a time, so that they lie close while all queries pass. */
FORCE_INLINE void add_all(struct tile *tile, enum form form)
{
	const uint32_t head_v = tile->attention->head_v;
	struct run runs[TILE_RUNS_MAX];
	const uint32_t n_runs = tiles_runs(tile, RUN_QUERIES, runs);
	for (uint32_t at = 0; at < head_v; at += KV_SCALE_BLOCK) {
		const uint32_t left = head_v - at;
		const uint32_t n_columns = left < KV_SCALE_BLOCK ? left : KV_SCALE_BLOCK;
		struct columns columns = { tile->values +
						   (size_t)at * ATTENTION_TILE * form_bytes(form),
					   at, form == FORM_BYTES ? tile->scaled : tile->weights,
					   tile->ahead };
		if (form == FORM_BYTES)
			scale_weights(tile, at);
		if (form == FORM_FLOATS || tile->n < TILE_MANY) {
			add_columns(tile, columns, form, n_columns, runs, n_runs);
			continue;
		}
		for (size_t i = 0; i < (size_t)n_columns * ATTENTION_TILE; i += 8) {
			_mm256_store_ps(tile->floats + i, value_8(columns.values, form, i));
			tile_ask(columns.values, i / 8, 8 * form_bytes(form), tile->ahead);
		}
		columns.values = (const void *)tile->floats;
		columns.ahead = 0;
		add_columns(tile, columns, FORM_FLOATS, n_columns, runs, n_runs);
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
