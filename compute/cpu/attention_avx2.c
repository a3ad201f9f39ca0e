#include "compute/cpu/avx2.h"
#include "compute/cpu/lanes_avx2.h"
#include "compute/cpu/tiles.h"
#include "compute/cpu/unpack_avx2.h"

#include <math.h>
#include <string.h>

/* Queries (rows times heads) that share one turning of a tile's keys. */
#define QUERIES          32
#define POSITION_VECTORS (ATTENTION_TILE / 8)

/* One tile under work. A query is one head of one row. */
struct tile {
	const struct attention *attention;
	const uint16_t *keys, *values;
	uint32_t n_queries;
	const float *q[QUERIES];
	struct seen seen[QUERIES];
	/* [head_k][ATTENTION_TILE]: keys as f32, a lane is a position. */
	float turned[ATTENTION_WIDTH_MAX * ATTENTION_TILE] __attribute__((aligned(32)));
	float weights[QUERIES][ATTENTION_TILE] __attribute__((aligned(32)));
};

struct partial {
	float floats[ATTENTION_WIDTH_MAX + PARTIAL_EXTRA] __attribute__((aligned(32)));
};

/* ---- scores ---- */

static void turn_keys(struct tile *tile)
{
	const size_t stride = tile->attention->key_stride * sizeof(uint16_t);
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const struct octet octet = { (const uint8_t *)tile->keys + 8 * v * stride, stride };
		for (uint32_t i = 0; i < tile->attention->head_k; i += 8) {
			__m256i pairs[4];
			turn_16(octet, i * sizeof(uint16_t), pairs);
			UNROLL
			for (uint32_t c = 0; c < 4; c++) {
				__m256 columns[2];
				split_halves(pairs[c], columns);
				float *to = tile->turned + (i + 2 * c) * ATTENTION_TILE + 8 * v;
				_mm256_store_ps(to, columns[0]);
				_mm256_store_ps(to + ATTENTION_TILE, columns[1]);
			}
		}
	}
}

/* Scores of `n` queries from `first` on with 32 positions from `at` on. */
FORCE_INLINE void score_32(struct tile *tile, uint32_t first, int n, uint32_t at)
{
	__m256 sums[3][4];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < 4; v++)
			sums[q][v] = _mm256_setzero_ps();
	}
	const float *keys = tile->turned + at;
	for (uint32_t i = 0; i < tile->attention->head_k; i++, keys += ATTENTION_TILE) {
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m256 x = _mm256_set1_ps(tile->q[first + (uint32_t)q][i]);
			UNROLL
			for (int v = 0; v < 4; v++)
				sums[q][v] = _mm256_fmadd_ps(x, _mm256_load_ps(keys + 8 * v),
							     sums[q][v]);
		}
	}
	const __m256 scale = _mm256_set1_ps(tile->attention->scale);
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < 4; v++)
			_mm256_store_ps(tile->weights[first + (uint32_t)q] + at + 8 * v,
					_mm256_mul_ps(sums[q][v], scale));
	}
}

static void score_tile(struct tile *tile)
{
	turn_keys(tile);
	for (uint32_t at = 0; at < ATTENTION_TILE; at += 32) {
		uint32_t q = 0;
		for (; q + 3 <= tile->n_queries; q += 3)
			score_32(tile, q, 3, at);
		for (; q < tile->n_queries; q++)
			score_32(tile, q, 1, at);
	}
}

/* ---- weights ---- */

/* All bits set in the lanes of vector v whose positions are seen. */
static __m256 seen_lanes(struct seen seen, uint32_t v)
{
	const __m256i at = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
					    _mm256_set1_epi32((int)(8 * v)));
	const __m256i from = _mm256_cmpgt_epi32(at, _mm256_set1_epi32((int)seen.first - 1));
	const __m256i to = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)seen.end), at);
	return _mm256_castsi256_ps(_mm256_and_si256(from, to));
}

/* score = cap * tanh(score / cap) */
static void cap_scores(float cap, float *scores)
{
	const __m256 factor = _mm256_set1_ps(cap), inverse = _mm256_set1_ps(1.0f / cap);
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const __m256 x = _mm256_mul_ps(_mm256_load_ps(scores + 8 * v), inverse);
		_mm256_store_ps(scores + 8 * v, _mm256_mul_ps(factor, lanes_tanh(x)));
	}
}

/* Scores to weights; weights that are not seen become zero. */
static void weigh(struct seen seen, float *weights, float *largest, float *sum)
{
	const __m256 lowest = _mm256_set1_ps(-INFINITY);
	__m256 tops = lowest, sums = _mm256_setzero_ps();
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const __m256 scores = _mm256_load_ps(weights + 8 * v);
		/* The second operand where a score is NaN. */
		tops = _mm256_max_ps(_mm256_blendv_ps(lowest, scores, seen_lanes(seen, v)), tops);
	}
	const float top = lanes_max(tops);
	for (uint32_t v = 0; v < POSITION_VECTORS; v++) {
		const __m256 scores = _mm256_load_ps(weights + 8 * v);
		const __m256 e = lanes_exp(_mm256_sub_ps(scores, _mm256_set1_ps(top)));
		const __m256 weight = _mm256_and_ps(e, seen_lanes(seen, v));
		_mm256_store_ps(weights + 8 * v, weight);
		sums = _mm256_add_ps(sums, weight);
	}
	*largest = top + 0.0f;
	*sum = lanes_sum(sums);
}

/* ---- values ---- */

/* Adds positions [seen.first, seen.end) to 16 values of `n` queries, from value `at` on. */
FORCE_INLINE void add_values(const struct tile *tile, uint32_t first, int n, struct seen seen,
			     uint32_t at, int vectors, struct partial *partials)
{
	__m256 sums[6][2];
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			sums[q][v] =
				_mm256_load_ps(partials[first + (uint32_t)q].floats + at + 8 * v);
	}
	for (uint32_t j = seen.first; j < seen.end; j++) {
		const uint16_t *value = tile->values + j * tile->attention->value_stride + at;
		__m256 x[2];
		UNROLL
		for (int v = 0; v < vectors; v++)
			x[v] = _mm256_cvtph_ps(load_128((const uint8_t *)(value + 8 * v)));
		UNROLL
		for (int q = 0; q < n; q++) {
			const __m256 weight = _mm256_set1_ps(tile->weights[first + (uint32_t)q][j]);
			UNROLL
			for (int v = 0; v < vectors; v++)
				sums[q][v] = _mm256_fmadd_ps(weight, x[v], sums[q][v]);
		}
	}
	UNROLL
	for (int q = 0; q < n; q++) {
		UNROLL
		for (int v = 0; v < vectors; v++)
			_mm256_store_ps(partials[first + (uint32_t)q].floats + at + 8 * v,
					sums[q][v]);
	}
}

FORCE_INLINE void add_all_values(const struct tile *tile, uint32_t first, int n, struct seen seen,
				 struct partial *partials)
{
	const uint32_t head_v = tile->attention->head_v;
	uint32_t at = 0;
	if (seen.first >= seen.end)
		return;
	for (; at + 16 <= head_v; at += 16)
		add_values(tile, first, n, seen, at, 2, partials);
	if (at < head_v)
		add_values(tile, first, n, seen, at, 1, partials);
}

static void one_query(const struct tile *tile, uint32_t query, uint32_t first, uint32_t end,
		      struct partial *partials)
{
	add_all_values(tile, query, 1, (struct seen){ first, end }, partials);
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
FORCE_INLINE void some_queries(const struct tile *tile, uint32_t first, uint32_t n,
			       struct partial *partials)
{
	const struct seen common = seen_by_all(tile, first, n);
	const bool apart = common.first >= common.end;
	for (uint32_t q = first; q < first + n; q++)
		one_query(tile, q, tile->seen[q].first, apart ? tile->seen[q].end : common.first,
			  partials);
	if (apart)
		return;
	add_all_values(tile, first, (int)n, common, partials);
	for (uint32_t q = first; q < first + n; q++)
		one_query(tile, q, common.end, tile->seen[q].end, partials);
}

static void value_tile(const struct tile *tile, struct partial *partials)
{
	uint32_t q = 0;
	for (; q + 6 <= tile->n_queries; q += 6)
		some_queries(tile, q, 6, partials);
	for (; q + 4 <= tile->n_queries; q += 4)
		some_queries(tile, q, 4, partials);
	for (; q + 2 <= tile->n_queries; q += 2)
		some_queries(tile, q, 2, partials);
	if (q < tile->n_queries)
		one_query(tile, q, tile->seen[q].first, tile->seen[q].end, partials);
}

/* ---- one tile, all its queries ---- */

static void run_tile(struct tile *tile, struct partial *partials)
{
	const uint32_t head_v = tile->attention->head_v;
	score_tile(tile);
	for (uint32_t q = 0; q < tile->n_queries; q++) {
		float *tail = partials[q].floats + head_v;
		memset(partials[q].floats, 0, (head_v + PARTIAL_EXTRA) * sizeof(float));
		if (tile->attention->softcap != 0.0f)
			cap_scores(tile->attention->softcap, tile->weights[q]);
		weigh(tile->seen[q], tile->weights[q], &tail[PARTIAL_MAX], &tail[PARTIAL_SUM]);
	}
	value_tile(tile, partials);
}

static void set_tile(struct tile *tile, const struct attention *attention, uint32_t index)
{
	const uint16_t *page = attention->pages[index];
	tile->attention = attention;
	tile->keys = page + attention->key_offset;
	tile->values = page + attention->value_offset;
	tile->n_queries = 0;
}

static void add_query(struct tile *tile, const float *q, struct seen seen)
{
	tile->q[tile->n_queries] = q;
	tile->seen[tile->n_queries] = seen;
	tile->n_queries++;
}

/* ---- joining ---- */

static void join(float *all, const float *next, uint32_t head_v)
{
	float *tail = all + head_v;
	const float *next_tail = next + head_v;
	const float before = tail[PARTIAL_MAX], here = next_tail[PARTIAL_MAX];
	const float top = here > before ? here : before;
	const float keep = maths_exp(before - top), take = maths_exp(here - top);
	for (uint32_t i = 0; i < head_v; i += 8) {
		const __m256 add = _mm256_mul_ps(_mm256_loadu_ps(next + i), _mm256_set1_ps(take));
		_mm256_storeu_ps(all + i, _mm256_fmadd_ps(_mm256_loadu_ps(all + i),
							  _mm256_set1_ps(keep), add));
	}
	tail[PARTIAL_SUM] = __builtin_fmaf(tail[PARTIAL_SUM], keep, next_tail[PARTIAL_SUM] * take);
	tail[PARTIAL_MAX] = top;
}

static void finish(const struct attention *attention, uint32_t head, const float *all, float *out)
{
	const __m256 factor = _mm256_set1_ps(attention_factor(attention, head, all));
	for (uint32_t i = 0; i < attention->head_v; i += 8)
		_mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(all + i), factor));
}

void avx2_attention_join(const struct attention *attention, const float *partials, uint32_t n_tiles,
			 float *out)
{
	const uint32_t head_v = attention->head_v;
	struct partial all;
	for (uint32_t h = 0; h < attention->n_q; h++) {
		const float *next = partials + h * partial_stride(attention);
		memcpy(all.floats, next, (head_v + PARTIAL_EXTRA) * sizeof(float));
		for (uint32_t tile = 1; tile < n_tiles; tile++) {
			next += attention_partial_floats(attention);
			join(all.floats, next, head_v);
		}
		finish(attention, h, all.floats, out + h * head_v);
	}
}

/* ---- whole calls ---- */

void avx2_attention_tile(const struct attention *attention, const float *q, uint32_t position,
			 uint32_t index, float *partial)
{
	struct tile tile;
	struct partial partials[QUERIES];
	const struct seen seen = tile_seen(attention, position, index);
	for (uint32_t first = 0; first < attention->n_q; first += QUERIES) {
		set_tile(&tile, attention, index);
		for (uint32_t h = first; h < attention->n_q && h < first + QUERIES; h++)
			add_query(&tile, q + h * attention->head_k, seen);
		run_tile(&tile, partials);
		for (uint32_t i = 0; i < tile.n_queries; i++)
			memcpy(partial + (first + i) * partial_stride(attention),
			       partials[i].floats, partial_stride(attention) * sizeof(float));
	}
}

/* Up to QUERIES queries, numbered row after row, head after head. */
struct batch {
	const struct attention *attention;
	const float *q;
	size_t q_stride;
	float *out;
	size_t out_stride;
	uint32_t position;   /* of row 0 */
	uint32_t first, end; /* queries */
	struct tile tile;
	struct partial all[QUERIES], next[QUERIES];
};

static uint32_t query_position(const struct batch *batch, uint32_t query)
{
	return batch->position + query / batch->attention->n_q;
}

static bool sees(const struct batch *batch, uint32_t query, uint32_t index, bool *is_first)
{
	uint32_t first, end;
	attention_tiles(batch->attention, query_position(batch, query), &first, &end);
	*is_first = index == first;
	return index >= first && index < end;
}

static void batch_tile(struct batch *batch, uint32_t index)
{
	const struct attention *attention = batch->attention;
	uint32_t queries[QUERIES];
	bool is_first[QUERIES];
	set_tile(&batch->tile, attention, index);
	for (uint32_t query = batch->first; query < batch->end; query++) {
		const uint32_t n = batch->tile.n_queries;
		if (!sees(batch, query, index, &is_first[n]))
			continue;
		queries[n] = query - batch->first;
		add_query(&batch->tile,
			  batch->q + query / attention->n_q * batch->q_stride +
				  query % attention->n_q * attention->head_k,
			  tile_seen(attention, query_position(batch, query), index));
	}
	run_tile(&batch->tile, batch->next);
	for (uint32_t i = 0; i < batch->tile.n_queries; i++) {
		float *all = batch->all[queries[i]].floats;
		if (is_first[i])
			memcpy(all, batch->next[i].floats,
			       partial_stride(attention) * sizeof(float));
		else
			join(all, batch->next[i].floats, attention->head_v);
	}
}

static void run_batch(struct batch *batch)
{
	const struct attention *attention = batch->attention;
	uint32_t first, end, unused;
	attention_tiles(attention, query_position(batch, batch->first), &first, &unused);
	attention_tiles(attention, query_position(batch, batch->end - 1), &unused, &end);
	for (uint32_t index = first; index < end; index++)
		batch_tile(batch, index);
	for (uint32_t query = batch->first; query < batch->end; query++)
		finish(attention, query % attention->n_q, batch->all[query - batch->first].floats,
		       batch->out + query / attention->n_q * batch->out_stride +
			       query % attention->n_q * attention->head_v);
}

void avx2_attention_rows(const struct attention *attention, const float *q, size_t q_stride,
			 uint32_t n_rows, uint32_t position, float *out, size_t out_stride)
{
	struct batch batch;
	batch.attention = attention;
	batch.q = q;
	batch.q_stride = q_stride;
	batch.out = out;
	batch.out_stride = out_stride;
	batch.position = position;
	const uint32_t n_queries = n_rows * attention->n_q;
	for (uint32_t first = 0; first < n_queries; first += QUERIES) {
		batch.first = first;
		batch.end = n_queries - first < QUERIES ? n_queries : first + QUERIES;
		run_batch(&batch);
	}
}
