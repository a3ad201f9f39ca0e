/* tiles.h: which positions of an attention tile a row sees, how a tile's result lies, and the
 * order in which a variant's steps over tiles and queries are taken. */
#ifndef COMPUTE_CPU_TILES_H
#define COMPUTE_CPU_TILES_H

#include "compute/cpu/kernels.h"

/* A tile's result for one query head: values [head_v], then these two, then padding. */
#define PARTIAL_MAX   0 /* the largest score */
#define PARTIAL_SUM   1 /* of e^(score - largest) */
#define PARTIAL_EXTRA 8

/* Sums over the positions of a tile run in so many lanes: position j goes to lane j % SUM_LANES. */
#define SUM_LANES 16

static inline size_t partial_stride(const struct attention *attention)
{
	return attention->head_v + PARTIAL_EXTRA;
}

/* What the values of all tiles joined are multiplied by at the end: one over the sum, with the
 * head's sink in it. */
float attention_factor(const struct attention *attention, uint32_t head, const float *all);

static inline uint32_t first_seen(const struct attention *attention, uint32_t position)
{
	const uint32_t window = attention->window;
	return window && position >= window ? position - window + 1 : 0;
}

/* Positions [first, end) of a tile, counted from its beginning, that a row at `position` sees. */
struct seen {
	uint32_t first, end;
};

static inline struct seen tile_seen(const struct attention *attention, uint32_t position,
				    uint32_t tile)
{
	const uint32_t begin = tile * ATTENTION_TILE, first = first_seen(attention, position);
	const uint32_t left = position - begin + 1;
	return (struct seen){
		.first = first > begin ? first - begin : 0,
		.end = left < ATTENTION_TILE ? left : ATTENTION_TILE,
	};
}

/* ---- tiles under work ---- */

/* Queries (rows times heads) that share a tile's keys and values. */
#define TILE_QUERIES 64u
/* From so many queries on it pays to turn keys and values to f32 once. */
#define TILE_MANY 12u

/* One head of one row. For KV_Q8_0 alone: `q` and `scales` as cache_quantise makes them, and the
 * sum of each block of q. */
struct query {
	const float *x;
	const int8_t *q;
	const float *scales;
	const int32_t *sums;
};

struct tile {
	const struct attention *attention;
	const uint8_t *keys, *values;
	uintptr_t ahead; /* how far from these the next tile's lie; 0: there is none */
	uint32_t n;
	struct query queries[TILE_QUERIES];
	struct seen seen[TILE_QUERIES];
	float *sums[TILE_QUERIES]; /* each query's values of this tile, [head_v] */
	/* Scores, then weights. */
	float weights[TILE_QUERIES][ATTENTION_TILE] __attribute__((aligned(64)));
	/* Room for a variant: weights times the scales of a block; keys or values as f32. */
	float scaled[TILE_QUERIES][ATTENTION_TILE] __attribute__((aligned(64)));
	float floats[ATTENTION_WIDTH_MAX * ATTENTION_TILE] __attribute__((aligned(64)));
};

/* Asks for lines of the next tile: those that begin in part `i`, of `bytes` each, counted from
 * where `from`, the beginning of a line, lies in this tile. Parts go forward through the next tile,
 * in whatever order this one is met: only such a stream makes the processor fetch more itself. */
static inline void tile_ask(const void *from, size_t i, size_t bytes, uintptr_t ahead)
{
	const size_t part = i * bytes;
	for (size_t at = -part % 64; at < bytes; at += 64)
		__builtin_prefetch((const void *)((uintptr_t)from + ahead + part + at), 0, 2);
}

/* Neighbouring queries that take the same positions of the tile. */
struct run {
	uint32_t first, n;
	struct seen seen;
};

#define TILE_RUNS_MAX (3 * TILE_QUERIES)

/* The tile's queries in groups of at most `most`: the positions that all of a group see together,
 * what is before and behind one by one, so that runs in their order give each query its positions
 * in rising order. Gives their number. */
uint32_t tiles_runs(const struct tile *tile, uint32_t most, struct run runs[TILE_RUNS_MAX]);

/* What a variant does with its vectors. */
struct tile_steps {
	/* As cache_quantise. */
	void (*quantise)(const float *x, uint32_t n, int8_t *q, float *scales);
	/* weights[query][j] = q.k * scale for all positions of the tile, unseen ones too. */
	void (*score)(struct tile *tile);
	/* Scores [ATTENTION_TILE] become cap * tanh(score / cap). */
	void (*cap)(float cap, float *scores);
	/* Scores to weights; those that are not seen become zero. */
	void (*weigh)(struct seen seen, float *weights, float *largest, float *sum);
	/* Adds the seen values, weighed, to the sums. */
	void (*add_values)(struct tile *tile);
	/* x becomes e^x; n is a multiple of SUM_LANES. */
	void (*exp)(float *x, uint32_t n);
	/* all = all * keep + next * take, over [head_v]. */
	void (*join)(uint32_t head_v, float *all, const float *next, float keep, float take);
	void (*finish)(const struct attention *attention, uint32_t head, const float *all,
		       float *out);
};

/* The functions of struct kernels, by these steps. */
void tiles_rows(const struct tile_steps *steps, const struct attention *attention, const float *q,
		size_t q_stride, uint32_t n_rows, uint32_t position, float *out, size_t out_stride);
void tiles_one(const struct tile_steps *steps, const struct attention *attention, const float *q,
	       uint32_t position, uint32_t index, float *partial);
void tiles_join(const struct tile_steps *steps, const struct attention *attention,
		const float *partials, uint32_t n_tiles, float *out);

#endif
