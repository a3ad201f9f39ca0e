/* values_avx512.c: the values of a tile, weighed and added up; a lane is a column. */
#include "compute/cpu/attention_avx512.h"
#include "compute/cpu/cache.h"
#include "compute/cpu/unpack_avx2.h"

#define RUN_QUERIES 8

enum form { FORM_HALVES, FORM_FLOATS, FORM_BYTES };

/* The columns that a pass is at: one value block, or two. */
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

FORCE_INLINE __m512 value_16(const uint8_t *values, enum form form, size_t at)
{
	const uint8_t *from = values + at * form_bytes(form);
	if (form == FORM_HALVES)
		return _mm512_cvtph_ps(_mm256_load_si256((const void *)from));
	if (form == FORM_FLOATS)
		return _mm512_load_ps(from);
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_128(from)));
}

/* Adds a run's positions to `blocks` blocks of its `n` queries. */
FORCE_INLINE void add_blocks(const struct tile *tile, struct columns columns, enum form form,
			     const struct run *run, int n, int blocks)
{
	__m512 sums[RUN_QUERIES][2];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int b = 0; b < blocks; b++)
			sums[q][b] = _mm512_loadu_ps(tile->sums[run->first + (uint32_t)q] +
						     columns.at + 16 * b);
	}
	for (uint32_t j = run->seen.first; j < run->seen.end; j++) {
		__m512 x[2];
		UNROLL
		for (int b = 0; b < blocks; b++)
			x[b] = value_16(columns.values, form,
					((size_t)b * ATTENTION_TILE + j) * KV_VALUE_BLOCK);
		if (columns.ahead)
			tile_ask(columns.values, j,
				 (size_t)blocks * KV_VALUE_BLOCK * form_bytes(form), columns.ahead);
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m512 weight =
				_mm512_set1_ps(columns.weights[run->first + (uint32_t)q][j]);
			UNROLL
			for (int b = 0; b < blocks; b++)
				sums[q][b] = _mm512_fmadd_ps(weight, x[b], sums[q][b]);
		}
	}
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int b = 0; b < blocks; b++)
			_mm512_storeu_ps(tile->sums[run->first + (uint32_t)q] + columns.at + 16 * b,
					 sums[q][b]);
	}
}

/* A last block of 8 columns; rare, so one query at a time. */
FORCE_INLINE void add_narrow(const struct tile *tile, struct columns columns, enum form form,
			     const struct run *run)
{
	for (uint32_t q = run->first; q < run->first + run->n; q++) {
		__m256 sum = _mm256_loadu_ps(tile->sums[q] + columns.at);
		for (uint32_t j = run->seen.first; j < run->seen.end; j++) {
			const uint8_t *from = columns.values + (size_t)j * 8 * form_bytes(form);
			const __m256 x = form == FORM_HALVES ? _mm256_cvtph_ps(load_128(from))
							     : _mm256_load_ps((const void *)from);
			sum = _mm256_fmadd_ps(_mm256_set1_ps(columns.weights[q][j]), x, sum);
		}
		_mm256_storeu_ps(tile->sums[q] + columns.at, sum);
	}
}

FORCE_INLINE void add_run(const struct tile *tile, struct columns columns, enum form form,
			  uint32_t n_columns, const struct run *run, int n)
{
	if (n_columns == 2 * KV_VALUE_BLOCK) {
		add_blocks(tile, columns, form, run, n, 2);
		return;
	}
	if (n_columns >= KV_VALUE_BLOCK) {
		add_blocks(tile, columns, form, run, n, 1);
		columns.at += KV_VALUE_BLOCK;
		columns.values += (size_t)KV_VALUE_BLOCK * ATTENTION_TILE * form_bytes(form);
	}
	if (n_columns % KV_VALUE_BLOCK && form != FORM_BYTES)
		add_narrow(tile, columns, form, run);
}

FORCE_INLINE void add_columns(const struct tile *tile, struct columns columns, enum form form,
			      uint32_t n_columns, const struct run *runs, uint32_t n_runs)
{
	for (uint32_t i = 0; i < n_runs; i++) {
		const struct run *run = &runs[i];
		switch (run->n) {
		case 8:
			add_run(tile, columns, form, n_columns, run, 8);
			break;
		case 7:
			add_run(tile, columns, form, n_columns, run, 7);
			break;
		case 6:
			add_run(tile, columns, form, n_columns, run, 6);
			break;
		case 5:
			add_run(tile, columns, form, n_columns, run, 5);
			break;
		case 4:
			add_run(tile, columns, form, n_columns, run, 4);
			break;
		case 3:
			add_run(tile, columns, form, n_columns, run, 3);
			break;
		case 2:
			add_run(tile, columns, form, n_columns, run, 2);
			break;
		default:
			add_run(tile, columns, form, n_columns, run, 1);
		}
		columns.ahead = 0; /* the first run has asked */
	}
}

/* Weights times the scales of the block of columns that begins at `at`. */
static void scale_weights(struct tile *tile, uint32_t at)
{
	const uint16_t *scales = cache_scales(tile->values, tile->attention->head_v) +
				 (size_t)at / KV_SCALE_BLOCK * ATTENTION_TILE;
	tile_ask(scales, 0, ATTENTION_TILE * sizeof(*scales), tile->ahead);
	for (uint32_t j = 0; j < ATTENTION_TILE; j += 16) {
		const __m512 scale = _mm512_cvtph_ps(_mm256_load_si256((const void *)(scales + j)));
		for (uint32_t q = 0; q < tile->n; q++)
			_mm512_store_ps(tile->scaled[q] + j,
					_mm512_mul_ps(_mm512_load_ps(tile->weights[q] + j), scale));
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
		for (size_t i = 0; i < (size_t)n_columns * ATTENTION_TILE; i += 16) {
			_mm512_store_ps(tile->floats + i, value_16(columns.values, form, i));
			tile_ask(columns.values, i / 16, 16 * form_bytes(form), tile->ahead);
		}
		columns.values = (const void *)tile->floats;
		columns.ahead = 0;
		add_columns(tile, columns, FORM_FLOATS, n_columns, runs, n_runs);
	}
}

void avx512_add_values(struct tile *tile)
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
