#include "compute/cpu/avx2.h"
#include "compute/cpu/c.h"
#include "compute/cpu/lanes_avx2.h"

#include <string.h>

/* Lane c % 32 of the reference is lane c % 8 of vector c / 8 % 4. */
#define NORM_VECTORS 4

static float sum_of_squares(const float *x, uint32_t n)
{
	float last[8 * NORM_VECTORS] = { 0 };
	__m256 sums[NORM_VECTORS];
	for (int v = 0; v < NORM_VECTORS; v++)
		sums[v] = _mm256_setzero_ps();
	const uint32_t whole = n / (8 * NORM_VECTORS) * (8 * NORM_VECTORS);
	memcpy(last, x + whole, (n - whole) * sizeof(float));
	for (uint32_t i = 0; i < n; i += 8 * NORM_VECTORS) {
		const float *from = i < whole ? x + i : last;
		for (int v = 0; v < NORM_VECTORS; v++) {
			const __m256 y = _mm256_loadu_ps(from + 8 * v);
			sums[v] = _mm256_fmadd_ps(y, y, sums[v]);
		}
	}
	return lanes_sum(
		_mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3])));
}

void avx2_rms_norm(float *out, const float *x, const float *weight, uint32_t n, float eps)
{
	const float factor = 1.0f / __builtin_sqrtf(sum_of_squares(x, n) / (float)n + eps);
	const __m256 factors = _mm256_set1_ps(factor);
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8) {
		const __m256 y = _mm256_mul_ps(_mm256_loadu_ps(x + i), factors);
		_mm256_storeu_ps(out + i, _mm256_mul_ps(y, _mm256_loadu_ps(weight + i)));
	}
	for (; i < n; i++)
		out[i] = x[i] * factor * weight[i];
}

static void turn_halves(float *head, uint32_t half, const float *table)
{
	for (uint32_t i = 0; i < half; i += 8) {
		const __m256 cosine = _mm256_loadu_ps(table + i);
		const __m256 sine = _mm256_loadu_ps(table + half + i);
		const __m256 x = _mm256_loadu_ps(head + i);
		const __m256 y = _mm256_loadu_ps(head + half + i);
		_mm256_storeu_ps(head + i, _mm256_fmsub_ps(x, cosine, _mm256_mul_ps(y, sine)));
		_mm256_storeu_ps(head + half + i,
				 _mm256_fmadd_ps(x, sine, _mm256_mul_ps(y, cosine)));
	}
}

/* Four pairs at a time: even lanes become x cos - y sin, odd ones x sin + y cos. */
static void turn_adjacent(float *head, uint32_t half, const float *table)
{
	const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
	for (uint32_t i = 0; i < half; i += 4) {
		const __m256 cosine = _mm256_permutevar8x32_ps(
			_mm256_castps128_ps256(_mm_loadu_ps(table + i)), twice);
		const __m256 sine = _mm256_permutevar8x32_ps(
			_mm256_castps128_ps256(_mm_loadu_ps(table + half + i)), twice);
		const __m256 v = _mm256_loadu_ps(head + 2 * i);
		const __m256 x = _mm256_moveldup_ps(v), y = _mm256_movehdup_ps(v);
		const __m256 across =
			_mm256_blend_ps(_mm256_mul_ps(y, sine), _mm256_mul_ps(y, cosine), 0xaa);
		const __m256 along = _mm256_blend_ps(cosine, sine, 0xaa);
		_mm256_storeu_ps(head + 2 * i, _mm256_fmaddsub_ps(x, along, across));
	}
}

void avx2_rope(float *heads, uint32_t n_heads, uint32_t width, uint32_t n_rot,
	       enum rope_pairing pairing, const float *table)
{
	const uint32_t half = n_rot / 2;
	if (half % 8) {
		c_rope(heads, n_heads, width, n_rot, pairing, table);
		return;
	}
	for (uint32_t h = 0; h < n_heads; h++) {
		float *head = heads + (size_t)h * width;
		if (pairing == ROPE_HALVES)
			turn_halves(head, half, table);
		else
			turn_adjacent(head, half, table);
	}
}

static __m256 gated(enum activation_kind kind, __m256 x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	__m256 y = x;
	if (kind == ACTIVATION_GELU_TANH) {
		const __m256 cubed = _mm256_mul_ps(_mm256_set1_ps(GELU_CUBIC), _mm256_mul_ps(x, x));
		y = _mm256_mul_ps(_mm256_set1_ps(GELU_FACTOR), _mm256_fmadd_ps(cubed, x, x));
	}
	const __m256 e = lanes_exp(_mm256_xor_ps(y, sign));
	return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

static __m256 clamped(__m256 gate, __m256 up)
{
	const __m256 one = _mm256_set1_ps(1.0f), sign = _mm256_set1_ps(-0.0f);
	const __m256 limit = _mm256_set1_ps(CLAMPED_LIMIT);
	const __m256 g = _mm256_min_ps(limit, gate);
	const __m256 u = _mm256_min_ps(limit, _mm256_max_ps(_mm256_xor_ps(limit, sign), up));
	const __m256 y = _mm256_mul_ps(_mm256_set1_ps(CLAMPED_SLOPE), g);
	const __m256 e = lanes_exp(_mm256_xor_ps(y, sign));
	return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(one, e)), _mm256_add_ps(u, one));
}

static __m256 sigmoid_times(__m256 gate, __m256 up)
{
	const __m256 e = lanes_exp(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));
	return _mm256_div_ps(up, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

static __m256 activated(enum activation_kind kind, __m256 gate, __m256 up)
{
	if (kind == ACTIVATION_CLAMPED)
		return clamped(gate, up);
	if (kind == ACTIVATION_SIGMOID)
		return sigmoid_times(gate, up);
	return _mm256_mul_ps(gated(kind, gate), up);
}

void avx2_activate(enum activation_kind kind, float *gate, const float *up, uint32_t n)
{
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8) {
		const __m256 x = _mm256_loadu_ps(gate + i), y = _mm256_loadu_ps(up + i);
		_mm256_storeu_ps(gate + i, activated(kind, x, y));
	}
	c_activate(kind, gate + i, up + i, n - i);
}

void avx2_add(float *x, const float *y, uint32_t n)
{
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i,
				 _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
	c_add(x + i, y + i, n - i);
}

void avx2_add_scaled(float *x, const float *y, float factor, uint32_t n)
{
	const __m256 factors = _mm256_set1_ps(factor);
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i, _mm256_fmadd_ps(factors, _mm256_loadu_ps(y + i),
							_mm256_loadu_ps(x + i)));
	c_add_scaled(x + i, y + i, factor, n - i);
}

void avx2_scale(float *x, float factor, uint32_t n)
{
	const __m256 factors = _mm256_set1_ps(factor);
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), factors));
	c_scale(x + i, factor, n - i);
}

void avx2_soft_cap(float *x, float cap, uint32_t n)
{
	const __m256 caps = _mm256_set1_ps(cap), inverse = _mm256_set1_ps(1.0f / cap);
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8) {
		const __m256 y = _mm256_mul_ps(_mm256_loadu_ps(x + i), inverse);
		_mm256_storeu_ps(x + i, _mm256_mul_ps(caps, lanes_tanh(y)));
	}
	c_soft_cap(x + i, cap, n - i);
}

/* vcvtps2ph gives the bits of base/half.h: tests/kernels tries all of them. */
void avx2_to_f16(uint16_t *out, const float *x, uint32_t n)
{
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8)
		_mm_storeu_si128((void *)(out + i),
				 _mm256_cvtps_ph(_mm256_loadu_ps(x + i),
						 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
	c_to_f16(out + i, x + i, n - i);
}
