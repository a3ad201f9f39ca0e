/* panel_avx2.h: products of quantised weights with many rows: 256 columns of some outputs are
 * unpacked into a panel once, and the panel meets all rows. Included by panel_avx2.c and
 * panel_avxvnni.c alone, each after the products_*.h of its variant. */
#ifndef COMPUTE_CPU_PANEL_AVX2_H
#define COMPUTE_CPU_PANEL_AVX2_H

#include "compute/cpu/ahead.h"
#include "compute/cpu/avx2.h"
#include "compute/cpu/steps_avx2.h"

#include <string.h>

/* Activation rows that share one unpacking. */
#define ROWS_AT_ONCE 64
/* A tile, held in registers: rows of activations times panels of eight outputs. */
#define TILE_ROWS   4
#define TILE_PANELS 2
/* Panels that meet a tile's rows one after the other, so that activations are read less often. */
#define STRIP 4
/* 32-blocks in a panel. */
#define PANEL_BLOCKS 8
/* Most groups in a panel. */
#define GROUPS 16

/* 256 columns of eight weight rows, or the few 32-blocks that are left of them. Unsigned bytes:
 * w[i] has columns 4i to 4i + 3. Wide ones leave no room for sums in 16 bits and are held
 * in 16 bits: w[i] has columns 2i, 2i + 1. */
struct panel {
	__m256i w[128];
	__m256 scale[GROUPS], min[GROUPS]; /* of each group of columns */
};

#define PANEL_STEP (sizeof(struct panel) / sizeof(__m256i))

/* ---- unpacking ---- */

/* Four columns in bytes to two vectors of two in 16 bits. */
FORCE_INLINE void widen_signed(__m256i w, __m256i out[2])
{
	out[0] = _mm256_srai_epi16(pick(w, -1, 0, -1, 1), 8);
	out[1] = _mm256_srai_epi16(pick(w, -1, 2, -1, 3), 8);
}

FORCE_INLINE void fill_64(uint32_t type, struct octet octet, const struct k_head *head, int part,
			  struct panel *panel)
{
	const int vectors = group_width(type) / 4;
	__m256i w[16];
	unpack_64(type, octet, head, part, w);
	UNROLL
	for (int i = 0; i < 16; i++) {
		const int vector = group_column(type, part, i / vectors) / 4 + i % vectors;
		if (is_wide(type))
			widen_signed(w[i], panel->w + 2 * vector);
		else
			panel->w[vector] = w[i];
	}
}

FORCE_INLINE void fill_256(uint32_t type, struct octet octet, struct panel *panel)
{
	const int groups = 256 / group_width(type);
	struct k_head head;
	unpack_head(type, octet, &head);
	fill_64(type, octet, &head, 0, panel);
	fill_64(type, octet, &head, 1, panel);
	fill_64(type, octet, &head, 2, panel);
	fill_64(type, octet, &head, 3, panel);
	UNROLL
	for (int g = 0; g < groups; g++) {
		panel->scale[g] = head.scale[g];
		if (has_minima(type))
			panel->min[g] = head.min[g];
	}
}

FORCE_INLINE void fill_32(uint32_t type, struct octet octet, uint32_t n, struct panel *panel)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct octet at = { octet.bytes + i * block_bytes(type), octet.stride };
		__m256i w[8];
		panel->scale[i] = unpack_32(type, at, w, &panel->min[i]);
		UNROLL
		for (int c = 0; c < 8; c++) {
			if (is_wide(type))
				widen_signed(w[c], panel->w + 16 * i + 2 * c);
			else
				panel->w[8 * i + (uint32_t)c] = w[c];
		}
	}
}

/* ---- multiplying ---- */

/* Columns of a panel in 16 bits, for wide weights. */
struct wide_rows {
	int16_t x[TILE_ROWS][256] __attribute__((aligned(32)));
};

FORCE_INLINE void widen_rows(const struct inputs *in, int rows, uint32_t column, uint32_t n,
			     struct wide_rows *wide)
{
	for (int r = 0; r < rows; r++) {
		const uint8_t *from = input_row(in, r) + column;
		for (uint32_t i = 0; i < n; i += 16)
			_mm256_store_si256((void *)&wide->x[r][i],
					   _mm256_cvtepi8_epi16(load_128(from + i)));
	}
}

/* Where a tile's rows begin. */
struct tile_rows {
	const uint8_t *row[TILE_ROWS];
};

FORCE_INLINE struct tile_rows tile_rows_of(const struct inputs *in, int rows)
{
	struct tile_rows x;
	UNROLL
	for (int r = 0; r < rows; r++)
		x.row[r] = input_row(in, r);
	return x;
}

/* The compiler forgets that the rows are a stride apart: it would make addresses of their columns
 * anew, more than there are registers, and load them from the stack. */
FORCE_INLINE void keep_rows(struct tile_rows *x, int rows)
{
	UNROLL
	for (int r = 0; r < rows; r++)
		__asm__("" : "+r"(x->row[r]));
}

/* A tile's accumulators. */
struct tile {
	__m256i v[TILE_PANELS][TILE_ROWS];
};

FORCE_INLINE void tile_clear(struct tile *tile, int panels, int rows)
{
	UNROLL
	for (int p = 0; p < panels; p++) {
		UNROLL
		for (int r = 0; r < rows; r++)
			tile->v[p][r] = _mm256_setzero_si256();
	}
}

/* The products of `n` narrow vectors, no more than may be added up, with the columns from byte `at`
 * of each row on. The vectors of panel p begin at w + p * PANEL_STEP. */
FORCE_INLINE void tile_narrow(struct tile *tile, const __m256i *w, int n, int panels,
			      const struct tile_rows *x, size_t at, int rows)
{
	UNROLL
	for (int c = 0; c < n; c++) {
		UNROLL
		for (int r = 0; r < rows; r++) {
			const __m256i y = repeat_32(x->row[r] + at + 4 * (size_t)c);
			UNROLL
			for (int p = 0; p < panels; p++) {
				__m256i *to = &tile->v[p][r];
				const __m256i v = w[(size_t)p * PANEL_STEP + c];
				if (c > 0) {
					*to = add_products(*to, v, y);
					continue;
				}
				*to = products_of(v, y);
				IN_ORDER(*to);
			}
		}
	}
}

/* The same of wide vectors, in 32 bits; `at` counts columns. */
FORCE_INLINE void add_wide(struct tile *tile, const __m256i *w, int n, int panels,
			   const struct wide_rows *wide, size_t at, int rows)
{
	UNROLL
	for (int c = 0; c < n; c++) {
		UNROLL
		for (int r = 0; r < rows; r++) {
			const __m256i y = repeat_32(&wide->x[r][at + 2 * (size_t)c]);
			UNROLL
			for (int p = 0; p < panels; p++) {
				__m256i *to = &tile->v[p][r];
				*to = _mm256_add_epi32(
					*to, _mm256_madd_epi16(w[(size_t)p * PANEL_STEP + c], y));
				IN_ORDER(*to);
			}
		}
	}
}

/* Adds narrow sums; `first`: to nothing. */
FORCE_INLINE void tile_sums(struct tile *tile, const struct tile *narrow, int panels, int rows,
			    bool first)
{
	const __m256i zero = _mm256_setzero_si256();
	UNROLL
	for (int p = 0; p < panels; p++) {
		UNROLL
		for (int r = 0; r < rows; r++)
			tile->v[p][r] = add_sums(first ? zero : tile->v[p][r], narrow->v[p][r]);
	}
}

/* Whether few narrow sums fit together: then four vectors of weights meet one row after the other,
 * as two tiles of sums would not find room in registers. */
FORCE_INLINE bool is_by_rows(uint32_t type)
{
	return vectors_together(type) * group_width(type) <= 32;
}

/* The sums of four vectors and one row, joined by those of the vectors before unless `first`. */
FORCE_INLINE void row_of_four(uint32_t type, struct tile *tile, const __m256i (*w)[4], int panels,
			      const uint8_t *x, int row, bool first)
{
	const int n = vectors_together(type);
	__m256i sums[TILE_PANELS];
	UNROLL
	for (int p = 0; p < panels; p++)
		sums[p] = first ? _mm256_setzero_si256() : tile->v[p][row];
	UNROLL
	for (int c = 0; c < 4; c += n) {
		__m256i narrow[TILE_PANELS];
		UNROLL
		for (int k = c; k < c + n; k++) {
			const __m256i y = repeat_32(x + 4 * k);
			UNROLL
			for (int p = 0; p < panels; p++)
				narrow[p] = k == c ? products_of(w[p][k], y)
						   : add_products(narrow[p], w[p][k], y);
		}
		UNROLL
		for (int p = 0; p < panels; p++)
			sums[p] = add_sums(sums[p], narrow[p]);
	}
	UNROLL
	for (int p = 0; p < panels; p++) {
		tile->v[p][row] = sums[p];
		IN_ORDER(tile->v[p][row]);
	}
}

/* Four vectors of each panel and all rows. */
FORCE_INLINE void tile_four(uint32_t type, struct tile *tile, const __m256i *w, int panels,
			    const struct tile_rows *x, size_t at, int rows, bool first)
{
	__m256i own[TILE_PANELS][4];
	UNROLL
	for (int p = 0; p < panels; p++) {
		UNROLL
		for (int c = 0; c < 4; c++)
			own[p][c] = w[(size_t)p * PANEL_STEP + c];
	}
	UNROLL
	for (int r = 0; r < rows; r++)
		row_of_four(type, tile, (const __m256i(*)[4])own, panels, x->row[r] + at, r, first);
}

/* The products of one group of columns, which begin at byte `at` of each row; wide ones at column
 * `wide_at` of `wide`. */
FORCE_INLINE void tile_group(uint32_t type, struct tile *tile, const __m256i *w, int panels,
			     const struct tile_rows *x, size_t at, const struct wide_rows *wide,
			     size_t wide_at, int rows)
{
	const int vectors = group_width(type) / 4;
	const int n = is_by_rows(type) ? 4 : vectors_together(type);
	if (is_wide(type)) {
		tile_clear(tile, panels, rows);
		add_wide(tile, w, 2 * vectors, panels, wide, wide_at, rows);
		return;
	}
	UNROLL
	for (int c = 0; c < vectors; c += n) {
		const size_t column = at + 4 * (size_t)c;
		struct tile narrow;
		if (is_by_rows(type)) {
			tile_four(type, tile, w + c, panels, x, column, rows, c == 0);
			continue;
		}
		tile_narrow(&narrow, w + c, n, panels, x, column, rows);
		tile_sums(tile, &narrow, panels, rows, c == 0);
	}
}

/* Part of a segment's columns, in blocks or in groups of the format. */
struct part {
	uint32_t first, n; /* counted from the row's beginning */
	bool begins;       /* the segment; its sums so far are nothing */
};

/* Sums of a tile, while its groups join them. */
struct tile_floats {
	__m256 v[TILE_PANELS][TILE_ROWS];
};

FORCE_INLINE void floats_load(struct tile_floats *floats, int panels, int rows, bool begins,
			      __m256 (*sums)[ROWS_AT_ONCE])
{
	UNROLL
	for (int p = 0; p < panels; p++) {
		UNROLL
		for (int r = 0; r < rows; r++)
			floats->v[p][r] = begins ? _mm256_setzero_ps() : sums[p][r];
	}
}

FORCE_INLINE void floats_store(const struct tile_floats *floats, int panels, int rows,
			       __m256 (*sums)[ROWS_AT_ONCE])
{
	UNROLL
	for (int p = 0; p < panels; p++) {
		UNROLL
		for (int r = 0; r < rows; r++)
			sums[p][r] = floats->v[p][r];
	}
}

/* Groups of some panels times some rows; `wide`: the panel's columns in 16 bits, for wide
 * weights. */
FORCE_INLINE void tile_run(uint32_t type, const struct panel *panels, int n_panels,
			   const struct inputs *in, const struct wide_rows *wide, int rows,
			   struct part part, __m256 (*sums)[ROWS_AT_ONCE])
{
	const size_t width = (size_t)group_width(type);
	struct tile_rows x = tile_rows_of(in, rows);
	struct tile_floats floats;
	floats_load(&floats, n_panels, rows, part.begins, sums);
	for (size_t g = 0; g < part.n; g++) {
		const __m256i *w = panels->w + g * (width / (is_wide(type) ? 2 : 4));
		struct tile tile;
		keep_rows(&x, rows);
		tile_group(type, &tile, w, n_panels, &x, width * (part.first + g), wide, width * g,
			   rows);
		UNROLL
		for (int r = 0; r < rows; r++) {
			const struct group_inputs at =
				group_inputs(type, in, x.row[r], part.first + (uint32_t)g);
			UNROLL
			for (int p = 0; p < n_panels; p++)
				floats.v[p][r] = step(type, tile.v[p][r], panels[p].scale[g],
						      panels[p].min[g], &at, floats.v[p][r]);
		}
	}
	floats_store(&floats, n_panels, rows, sums);
}

/* All panels of a strip times some rows. `sums` [panels][ROWS_AT_ONCE], from the first of the rows
 * on. */
FORCE_INLINE void strip_rows(uint32_t type, const struct panel *panels, uint32_t n_panels,
			     const struct inputs *in, int rows, struct part blocks,
			     __m256 (*sums)[ROWS_AT_ONCE])
{
	const uint32_t width = (uint32_t)group_width(type);
	const uint32_t groups = traits[type].columns / width;
	const struct part part = { groups * blocks.first, groups * blocks.n, blocks.begins };
	struct wide_rows wide;
	uint32_t p = 0;
	if (is_wide(type))
		widen_rows(in, rows, width * part.first, width * part.n, &wide);
	for (; p + TILE_PANELS <= n_panels; p += TILE_PANELS)
		tile_run(type, panels + p, TILE_PANELS, in, &wide, rows, part, sums + p);
	if (p < n_panels)
		tile_run(type, panels + p, 1, in, &wide, rows, part, sums + p);
}

/* ---- strips ---- */

/* Some outputs, some rows. */
struct strip {
	struct octet octet; /* the first of its outputs */
	uint32_t n_panels;
	struct inputs in;
	uint32_t n_rows;
	struct cut cut;
	struct panel panels[STRIP];
	/* Sums that wait for their neighbours in the tree, and last those of a segment that joins
	 * others as soon as it is whole. */
	__m256 levels[SEGMENT_LEVELS + 1][STRIP][ROWS_AT_ONCE];
};

/* A share of the next strip's weights, as large as what is unpacked now. */
FORCE_INLINE struct ahead next_weights(uint32_t type, const struct strip *strip, struct part blocks)
{
	const size_t outputs = 8 * (size_t)strip->n_panels, bytes = block_bytes(type);
	const size_t whole = outputs * strip->octet.stride;
	return ahead_of(strip->octet.bytes + whole, whole, outputs * blocks.first * bytes,
			outputs * blocks.n * bytes, strip->n_rows / TILE_ROWS + 1);
}

FORCE_INLINE void strip_fill(uint32_t type, struct strip *strip, struct part blocks)
{
	for (uint32_t p = 0; p < strip->n_panels; p++) {
		const struct octet at = { strip->octet.bytes + 8 * p * strip->octet.stride +
						  (size_t)blocks.first * block_bytes(type),
					  strip->octet.stride };
		if (is_256(type))
			fill_256(type, at, &strip->panels[p]);
		else
			fill_32(type, at, blocks.n, &strip->panels[p]);
	}
}

FORCE_INLINE void strip_multiply(uint32_t type, struct strip *strip, struct part blocks,
				 __m256 (*sums)[ROWS_AT_ONCE])
{
	struct inputs in = strip->in;
	struct ahead ahead = next_weights(type, strip, blocks);
	uint32_t r = 0;
	ahead_ask(&ahead);
	for (; r + TILE_ROWS <= strip->n_rows; r += TILE_ROWS) {
		ahead_ask(&ahead);
		strip_rows(type, strip->panels, strip->n_panels, &in, TILE_ROWS, blocks,
			   (void *)&sums[0][r]);
		in.rows += TILE_ROWS * in.stride;
	}
	for (; r < strip->n_rows; r++, in.rows += in.stride)
		strip_rows(type, strip->panels, strip->n_panels, &in, 1, blocks,
			   (void *)&sums[0][r]);
}

/* The newest sums join those that wait at the lowest `joins` levels, and wait above them. */
FORCE_INLINE void strip_join(struct strip *strip, uint32_t joins)
{
	for (uint32_t p = 0; p < strip->n_panels; p++)
		for (uint32_t r = 0; r < strip->n_rows; r++) {
			__m256 sum = strip->levels[SEGMENT_LEVELS][p][r];
			UNROLL
			for (uint32_t level = 0; level < joins; level++)
				sum = _mm256_add_ps(strip->levels[level][p][r], sum);
			strip->levels[joins][p][r] = sum;
		}
}

/* As tree_add, for all sums of an odd segment; one of an even number waits where it was made. */
static inline void strip_tree(struct strip *strip, uint32_t segment)
{
	if (segment % 8 == 7)
		strip_join(strip, 3);
	else if (segment % 4 == 3)
		strip_join(strip, 2);
	else if (segment % 2 == 1)
		strip_join(strip, 1);
}

FORCE_INLINE void strip_segment(uint32_t type, struct strip *strip, uint32_t segment)
{
	const uint32_t step = is_256(type) ? 1 : PANEL_BLOCKS;
	const uint32_t first = segment_first(segment, strip->cut);
	const uint32_t end = segment_first(segment + 1, strip->cut);
	__m256(*sums)[ROWS_AT_ONCE] = strip->levels[segment % 2 ? SEGMENT_LEVELS : 0];
	if (first == end)
		memset(sums, 0, sizeof(strip->levels[0]));
	for (uint32_t b = first; b < end; b += step) {
		const struct part blocks = { b, end - b < step ? end - b : step, b == first };
		strip_fill(type, strip, blocks);
		strip_multiply(type, strip, blocks, sums);
	}
	strip_tree(strip, segment);
}

FORCE_INLINE void strip_run(uint32_t type, struct strip *strip, float *out, size_t out_stride)
{
	for (uint32_t s = 0; s < SEGMENTS; s++)
		strip_segment(type, strip, s);
	for (uint32_t p = 0; p < strip->n_panels; p++)
		for (uint32_t r = 0; r < strip->n_rows; r++)
			_mm256_storeu_ps(out + r * out_stride + 8 * p,
					 strip->levels[SEGMENT_LEVELS][p][r]);
}

/* One function a type: the compiler sees the type as a constant throughout. */
#define STRIP_FUNCTION(name, type)                                                                 \
	static void name(struct strip *strip, float *out, size_t out_stride)                       \
	{                                                                                          \
		strip_run(type, strip, out, out_stride);                                           \
	}

STRIP_FUNCTION(strip_q4_0, TENSOR_Q4_0)
STRIP_FUNCTION(strip_q4_1, TENSOR_Q4_1)
STRIP_FUNCTION(strip_q5_0, TENSOR_Q5_0)
STRIP_FUNCTION(strip_q5_1, TENSOR_Q5_1)
STRIP_FUNCTION(strip_q8_0, TENSOR_Q8_0)
STRIP_FUNCTION(strip_q2_k, TENSOR_Q2_K)
STRIP_FUNCTION(strip_q3_k, TENSOR_Q3_K)
STRIP_FUNCTION(strip_q4_k, TENSOR_Q4_K)
STRIP_FUNCTION(strip_q5_k, TENSOR_Q5_K)
STRIP_FUNCTION(strip_q6_k, TENSOR_Q6_K)
STRIP_FUNCTION(strip_iq2_xxs, TENSOR_IQ2_XXS)
STRIP_FUNCTION(strip_iq2_xs, TENSOR_IQ2_XS)
STRIP_FUNCTION(strip_iq2_s, TENSOR_IQ2_S)
STRIP_FUNCTION(strip_iq3_xxs, TENSOR_IQ3_XXS)
STRIP_FUNCTION(strip_iq3_s, TENSOR_IQ3_S)
STRIP_FUNCTION(strip_iq1_s, TENSOR_IQ1_S)
STRIP_FUNCTION(strip_iq1_m, TENSOR_IQ1_M)
STRIP_FUNCTION(strip_iq4_nl, TENSOR_IQ4_NL)
STRIP_FUNCTION(strip_iq4_xs, TENSOR_IQ4_XS)
STRIP_FUNCTION(strip_mxfp4, TENSOR_MXFP4)

typedef void strip_fn(struct strip *strip, float *out, size_t out_stride);

static strip_fn *const functions[] = {
	[TENSOR_Q4_0] = strip_q4_0,       [TENSOR_Q4_1] = strip_q4_1,
	[TENSOR_Q5_0] = strip_q5_0,       [TENSOR_Q5_1] = strip_q5_1,
	[TENSOR_Q8_0] = strip_q8_0,       [TENSOR_Q2_K] = strip_q2_k,
	[TENSOR_Q3_K] = strip_q3_k,       [TENSOR_Q4_K] = strip_q4_k,
	[TENSOR_Q5_K] = strip_q5_k,       [TENSOR_Q6_K] = strip_q6_k,
	[TENSOR_IQ2_XXS] = strip_iq2_xxs, [TENSOR_IQ2_XS] = strip_iq2_xs,
	[TENSOR_IQ2_S] = strip_iq2_s,     [TENSOR_IQ3_XXS] = strip_iq3_xxs,
	[TENSOR_IQ3_S] = strip_iq3_s,     [TENSOR_IQ1_S] = strip_iq1_s,
	[TENSOR_IQ1_M] = strip_iq1_m,     [TENSOR_IQ4_NL] = strip_iq4_nl,
	[TENSOR_IQ4_XS] = strip_iq4_xs,   [TENSOR_MXFP4] = strip_mxfp4,
};

static void panels_run(const struct matmul *product, uint32_t first, uint32_t end)
{
	struct strip strip;
	strip.in = inputs_of(product);
	strip.octet.stride = weight_row_bytes(product->type, product->n_in);
	strip.cut = cut_of(product, traits[product->type].columns);
	for (uint32_t o = first; o < end; o += STRIP * AVX2_LANES) {
		const uint32_t panels = (end - o) / AVX2_LANES;
		strip.octet.bytes = product->weights + o * strip.octet.stride;
		strip.n_panels = panels < STRIP ? panels : STRIP;
		for (uint32_t r = 0; r < product->n_rows; r += ROWS_AT_ONCE) {
			const uint32_t left = product->n_rows - r;
			strip.in.rows = product->rows + r * strip.in.stride;
			strip.n_rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
			functions[product->type](&strip, product->out + r * product->out_stride + o,
						 product->out_stride);
		}
	}
}

#endif
