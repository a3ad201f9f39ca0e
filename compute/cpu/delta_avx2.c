/* delta_avx2.c: the matrix of a gated delta net through positions; a lane is a column. Columns do
 * not meet each other, so some of them pass all positions while they lie in the first cache; and
 * one pass over them ends a position (s gets the difference, q meets s) and begins the next (s
 * decays, k meets s). */
#include "compute/cpu/avx2.h"
#include "compute/cpu/c.h"
#include "compute/cpu/unpack_avx2.h"

/* Vectors of columns at once: enough chains of additions to hide their latency. */
#define VECTORS 4

/* Where a pass is. */
struct columns {
	uint32_t width, at; /* at: the first column */
	float *s;           /* [width, width] from `at` on */
};

FORCE_INLINE void load(const float *from, int vectors, __m256 *x)
{
	UNROLL
	for (int v = 0; v < vectors; v++)
		x[v] = _mm256_loadu_ps(from + 8 * v);
}

FORCE_INLINE void store(float *to, int vectors, const __m256 *x)
{
	UNROLL
	for (int v = 0; v < vectors; v++)
		_mm256_storeu_ps(to + 8 * v, x[v]);
}

FORCE_INLINE void clear(int vectors, __m256 *x)
{
	UNROLL
	for (int v = 0; v < vectors; v++)
		x[v] = _mm256_setzero_ps();
}

/* s decays, and k meets it: met = k^T s. */
FORCE_INLINE void begin_step(const struct delta_step *step, struct columns at, const float *before,
			     int vectors, __m256 *met)
{
	const __m256 decay = _mm256_set1_ps(step->decay);
	clear(vectors, met);
	for (uint32_t i = 0; i < at.width; i++) {
		__m256 s[VECTORS];
		const __m256 k = _mm256_set1_ps(step->k[i]);
		const size_t row = (size_t)i * at.width;
		clear(vectors, s);
		if (before)
			load(before + row, vectors, s);
		UNROLL
		for (int v = 0; v < vectors; v++) {
			s[v] = _mm256_mul_ps(s[v], decay);
			met[v] = _mm256_fmadd_ps(k, s[v], met[v]);
		}
		store(at.s + row, vectors, s);
	}
}

/* s gets the difference, and q meets it; then, if there is a next step, that begins. */
FORCE_INLINE void end_step(const struct delta_step *step, const struct delta_step *next,
			   struct columns at, int vectors, const __m256 *difference, __m256 *met)
{
	__m256 out[VECTORS];
	const __m256 decay = _mm256_set1_ps(next ? next->decay : 0.0f);
	clear(vectors, out);
	clear(vectors, met);
	for (uint32_t i = 0; i < at.width; i++) {
		__m256 s[VECTORS];
		const __m256 k = _mm256_set1_ps(step->k[i]), q = _mm256_set1_ps(step->q[i]);
		float *row = at.s + (size_t)i * at.width;
		load(row, vectors, s);
		UNROLL
		for (int v = 0; v < vectors; v++) {
			s[v] = _mm256_fmadd_ps(k, difference[v], s[v]);
			out[v] = _mm256_fmadd_ps(q, s[v], out[v]);
		}
		if (next) {
			const __m256 next_k = _mm256_set1_ps(next->k[i]);
			UNROLL
			for (int v = 0; v < vectors; v++) {
				s[v] = _mm256_mul_ps(s[v], decay);
				met[v] = _mm256_fmadd_ps(next_k, s[v], met[v]);
			}
		}
		store(row, vectors, s);
	}
	store(step->out + at.at, vectors, out);
}

FORCE_INLINE void take_steps(const struct delta_step *steps, uint32_t n, struct columns at,
			     const float *before, int vectors)
{
	__m256 met[VECTORS], v[VECTORS];
	begin_step(&steps[0], at, before, vectors, met);
	for (uint32_t i = 0; i < n; i++) {
		const __m256 beta = _mm256_set1_ps(steps[i].beta);
		load(steps[i].v + at.at, vectors, v);
		UNROLL
		for (int c = 0; c < vectors; c++)
			v[c] = _mm256_mul_ps(_mm256_sub_ps(v[c], met[c]), beta);
		if (i + 1 < n)
			end_step(&steps[i], &steps[i + 1], at, vectors, v, met);
		else
			end_step(&steps[i], NULL, at, vectors, v, met);
	}
}

/* Widths that are no multiple of a vector are the reference's. */
void avx2_delta_steps(const struct delta_step *steps, uint32_t n, uint32_t width,
		      const float *before, float *s)
{
	if (width % 8) {
		c_delta_steps(steps, n, width, before, s);
		return;
	}
	uint32_t at = 0;
	for (; at + 8 * VECTORS <= width; at += 8 * VECTORS)
		take_steps(steps, n, (struct columns){ width, at, s + at },
			   before ? before + at : NULL, VECTORS);
	for (; at < width; at += 8)
		take_steps(steps, n, (struct columns){ width, at, s + at },
			   before ? before + at : NULL, 1);
}

/* ---- convolution ---- */

#define TAPS 4 /* of all models there are */

/* Turns the weights of eight channels, [8, TAPS], to one vector a tap. */
static inline void turn_taps(const float *weights, __m256 w[TAPS])
{
	__m256 rows[4], pairs[4];
	for (int r = 0; r < 4; r++)
		rows[r] = _mm256_insertf128_ps(
			_mm256_castps128_ps256(_mm_loadu_ps(weights + r * TAPS)),
			_mm_loadu_ps(weights + (r + 4) * TAPS), 1);
	for (int p = 0; p < 2; p++) {
		pairs[p] = _mm256_unpacklo_ps(rows[2 * p], rows[2 * p + 1]);
		pairs[p + 2] = _mm256_unpackhi_ps(rows[2 * p], rows[2 * p + 1]);
	}
	for (int p = 0; p < 2; p++) {
		w[2 * p] = _mm256_shuffle_ps(pairs[2 * p], pairs[2 * p + 1], 0x44);
		w[2 * p + 1] = _mm256_shuffle_ps(pairs[2 * p], pairs[2 * p + 1], 0xee);
	}
}

void avx2_convolve(float *out, const float *const *inputs, uint32_t taps, const float *weights,
		   uint32_t n)
{
	const uint32_t whole = taps == TAPS ? n / 8 * 8 : 0;
	uint32_t i = 0;
	for (; i < whole; i += 8) {
		__m256 w[TAPS], sum = _mm256_setzero_ps();
		turn_taps(weights + (size_t)i * TAPS, w);
		for (int t = 0; t < TAPS; t++) {
			const __m256 x = _mm256_loadu_ps(inputs[t] + i);
			sum = _mm256_add_ps(sum, _mm256_mul_ps(x, w[t]));
		}
		_mm256_storeu_ps(out + i, sum);
	}
	for (; i < n; i++) {
		out[i] = 0.0f;
		for (uint32_t t = 0; t < taps; t++)
			out[i] += inputs[t][i] * weights[(size_t)i * taps + t];
	}
}
