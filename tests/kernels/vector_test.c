/* The small steps between products: variants give the bits of the C reference, which agrees with
 * float64; conversions of the processor are those of base/half.h. */
#include "sample.h"

#include "base/half.h"
#include "compute/cpu/kernels.h"
#include "compute/cpu/rope.h"
#include "compute/cpu/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct kernels *c_kernels, *fast;

/* Widths with every remainder of the vectors. */
static const uint32_t widths[] = { 1, 2, 7, 8, 9, 31, 32, 33, 64, 100, 255, 640, 2049, 4096 };
#define WIDTHS (sizeof(widths) / sizeof(widths[0]))
#define WIDEST 4096

struct buffers {
	float *x, *y, *a, *b;
};

static struct buffers buffers_make(uint64_t *state)
{
	struct buffers s = { sample_alloc(WIDEST * 4), sample_alloc(WIDEST * 4),
			     sample_alloc(WIDEST * 4), sample_alloc(WIDEST * 4) };
	sample_floats(state, s.x, WIDEST, -8.0f, 8.0f);
	sample_floats(state, s.y, WIDEST, -2.0f, 2.0f);
	return s;
}

static void buffers_free(struct buffers *s)
{
	free(s->x);
	free(s->y);
	free(s->a);
	free(s->b);
}

static void expect_equal(const struct buffers *s, uint32_t n, const char *what)
{
	const size_t at = sample_difference(s->a, s->b, n);
	if (at != n)
		fail_msg("%s of %u: float %zu is %a, not %a", what, n, at, (double)s->b[at],
			 (double)s->a[at]);
}

static void rms_norm(void **unused)
{
	uint64_t state = 31;
	struct buffers s = buffers_make(&state);
	for (size_t w = 0; w < WIDTHS; w++) {
		const uint32_t n = widths[w];
		double sum = 0;
		for (uint32_t i = 0; i < n; i++)
			sum += (double)s.x[i] * (double)s.x[i];
		c_kernels->rms_norm(s.a, s.x, s.y, n, 1e-6f);
		fast->rms_norm(s.b, s.x, s.y, n, 1e-6f);
		expect_equal(&s, n, "rms_norm");
		for (uint32_t i = 0; i < n; i++) {
			const double expected =
				(double)s.x[i] / sqrt(sum / n + 1e-6) * (double)s.y[i];
			assert_true(fabs((double)s.a[i] - expected) <= 1e-6 * fabs(expected));
		}
		memcpy(s.b, s.x, n * sizeof(float));
		fast->rms_norm(s.b, s.b, s.y, n, 1e-6f);
		expect_equal(&s, n, "rms_norm in place");
	}
	buffers_free(&s);
}

static double gated(enum activation_kind kind, double x, double up)
{
	if (kind == ACTIVATION_SILU)
		return x / (1 + exp(-x)) * up;
	if (kind == ACTIVATION_SIGMOID)
		return up / (1 + exp(-x));
	if (kind == ACTIVATION_CLAMPED) {
		x = fmin(x, 7);
		return x / (1 + exp(-1.702 * x)) * (fmin(fmax(up, -7), 7) + 1);
	}
	return up * 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void activate(void **unused)
{
	uint64_t state = 32;
	struct buffers s = buffers_make(&state);
	static const float odd[] = { 0.0f,   -0.0f,   1e-40f,  -1e-40f, 88.0f,    -88.0f,
				     200.0f, -200.0f, 1e20f,   -1e20f,  INFINITY, -1e38f,
				     NAN,    -104.0f, -103.5f, 3.4e38f };
	memcpy(s.x + 100, odd, sizeof(odd));
	for (int kind = ACTIVATION_SILU; kind <= ACTIVATION_SIGMOID; kind++) {
		for (size_t w = 0; w < WIDTHS; w++) {
			memcpy(s.a, s.x, WIDEST * sizeof(float));
			memcpy(s.b, s.x, WIDEST * sizeof(float));
			c_kernels->activate(kind, s.a, s.y, widths[w]);
			fast->activate(kind, s.b, s.y, widths[w]);
			expect_equal(&s, WIDEST, "activate");
		}
		for (uint32_t i = 120; i < WIDEST; i++) {
			const double expected = gated(kind, (double)s.x[i], (double)s.y[i]);
			/* The tails of gelu are differences of large numbers in the test too. */
			assert_true(fabs((double)s.a[i] - expected) <=
				    4e-6 * fabs(expected) + 1e-7);
		}
		assert_true(fabsf(s.a[107]) < 1e-30f); /* of -200 */
	}
	buffers_free(&s);
}

static void rope(void **unused)
{
	uint64_t state = 33;
	struct buffers s = buffers_make(&state);
	static const uint32_t rotations[] = { 2, 6, 16, 64, 128, 200, 256 };
	static const uint32_t positions[] = { 0, 1, 31, 4095, 131071 };
	double turns[128];
	float table[256];
	for (size_t r = 0; r < 7; r++) {
		const uint32_t n_rot = rotations[r], width = 256;
		const struct rope_shape rope = { .n_rot = n_rot, .base = 1e4f, .scale = 0.125f };
		rope_turns(turns, &rope, NULL);
		for (size_t p = 0; p < 5; p++) {
			rope_table(table, turns, n_rot, 1, positions[p]);
			for (int pairing = ROPE_ADJACENT; pairing <= ROPE_HALVES; pairing++) {
				memcpy(s.a, s.x, WIDEST * sizeof(float));
				memcpy(s.b, s.x, WIDEST * sizeof(float));
				c_kernels->rope(s.a, 3, width, n_rot, pairing, table);
				fast->rope(s.b, 3, width, n_rot, pairing, table);
				expect_equal(&s, WIDEST, "rope");
				const uint32_t i = n_rot / 2 - 1;
				const uint32_t at = pairing == ROPE_HALVES ? i : 2 * i;
				const uint32_t to = pairing == ROPE_HALVES ? i + n_rot / 2 : at + 1;
				const double angle =
					(double)positions[p] * 0.125 * pow(1e4, -2.0 * i / n_rot);
				const double x = (double)s.x[at], y = (double)s.x[to];
				assert_true(fabs(x * cos(angle) - y * sin(angle) -
						 (double)s.a[at]) < 2e-6);
				assert_true(fabs(x * sin(angle) + y * cos(angle) -
						 (double)s.a[to]) < 2e-6);
			}
		}
	}
	buffers_free(&s);
}

static void rope_factors_divide_the_angle(void **unused)
{
	static const float factors[4] = { 1.0f, 2.0f, 4.0f, 8.0f };
	double plain[4], divided[4];
	const struct rope_shape rope = { .n_rot = 8, .base = 5e5f, .scale = 1 };
	rope_turns(plain, &rope, NULL);
	rope_turns(divided, &rope, factors);
	assert_true(plain[0] == 1.0);
	for (int i = 0; i < 4; i++) {
		assert_true(fabs(plain[i] - pow(5e5, -2.0 * i / 8)) < 1e-14);
		assert_true(divided[i] * (double)factors[i] == plain[i]);
	}
}

/* The paper's mix by hand: 64 pairs, base 1e4, 4096 positions made to reach 8 times as far. */
static void yarn_leaves_fast_pairs_and_scales_slow_ones(void **unused)
{
	const struct rope_shape rope = { .n_rot = 128,
					 .base = 1e4f,
					 .scale = 0.125f,
					 .yarn = 1,
					 .beta_fast = 32,
					 .beta_slow = 1,
					 .original = 4096,
					 .magnitude = 1.25f };
	double turns[64];
	float table[128], plain[128];
	rope_turns(turns, &rope, NULL);
	for (int i = 0; i < 64; i++) {
		const double turn = pow(1e4, -2.0 * i / 128);
		/* 32 turns in 4096 positions: pair 20.9; one turn: pair 45.03 */
		const double mixed = i <= 20 ? 0 : i >= 46 ? 1 : (i - 20) / 26.0;
		assert_true(fabs(turns[i] / turn - (1 - mixed + mixed / 8)) < 1e-12);
	}
	rope_table(table, turns, 128, rope.magnitude, 777);
	rope_table(plain, turns, 128, 1, 777);
	for (int i = 0; i < 128; i++)
		assert_true(fabs((double)table[i] - 1.25 * (double)plain[i]) < 2e-7);
}

static void add_and_scale(void **unused)
{
	uint64_t state = 34;
	struct buffers s = buffers_make(&state);
	for (size_t w = 0; w < WIDTHS; w++) {
		memcpy(s.a, s.x, WIDEST * sizeof(float));
		memcpy(s.b, s.x, WIDEST * sizeof(float));
		c_kernels->add(s.a, s.y, widths[w]);
		fast->add(s.b, s.y, widths[w]);
		assert_true(s.a[0] == s.x[0] + s.y[0]);
		c_kernels->scale(s.a, 25.298f, widths[w]);
		fast->scale(s.b, 25.298f, widths[w]);
		expect_equal(&s, WIDEST, "add and scale");
		c_kernels->add_scaled(s.a, s.y, 0.3f, widths[w]);
		fast->add_scaled(s.b, s.y, 0.3f, widths[w]);
		expect_equal(&s, WIDEST, "add scaled");
	}
	buffers_free(&s);
}

static void soft_cap(void **unused)
{
	uint64_t state = 37;
	struct buffers s = buffers_make(&state);
	static const float odd[] = { 0.0f, -0.0f, 1e-40f, 1e4f, -1e4f, INFINITY, -INFINITY, NAN };
	memcpy(s.x + 1, odd, sizeof(odd));
	for (size_t w = 0; w < WIDTHS; w++) {
		memcpy(s.a, s.x, WIDEST * sizeof(float));
		memcpy(s.b, s.x, WIDEST * sizeof(float));
		c_kernels->soft_cap(s.a, 2.5f, widths[w]);
		fast->soft_cap(s.b, 2.5f, widths[w]);
		expect_equal(&s, WIDEST, "soft cap");
		for (uint32_t i = 9; i < widths[w]; i++)
			assert_true(fabs(2.5 * tanh((double)s.x[i] / 2.5) - (double)s.a[i]) < 2e-6);
	}
	buffers_free(&s);
}

/* The parts of a row, without the padding between them. */
static void expect_same_row(uint32_t n, const uint8_t *a, const uint8_t *b)
{
	const size_t floats[] = { row_scale_offset(n), row_weighted_offset(n) };
	assert_memory_equal(a, b, n);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sample_difference((const float *)(const void *)(a + floats[i]),
						   (const float *)(const void *)(b + floats[i]),
						   n / ROW_BLOCK),
				 n / ROW_BLOCK);
	assert_memory_equal(a + row_sum_offset(n), b + row_sum_offset(n), n / 8);
	assert_memory_equal(a + row_narrow_offset(n), b + row_narrow_offset(n), n / 4);
}

static int sum_of(const int8_t *q, uint32_t n)
{
	int sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += q[i];
	return sum;
}

/* Every value is within half a step, sums are right, no -128. */
static void expect_close(const float *x, uint32_t n, const uint8_t *row)
{
	const int8_t *q = (const int8_t *)row;
	const float *scales = (const void *)(row + row_scale_offset(n));
	const float *weighted = (const void *)(row + row_weighted_offset(n));
	const int32_t *sums = (const void *)(row + row_sum_offset(n));
	const int32_t *narrow = (const void *)(row + row_narrow_offset(n));
	for (uint32_t i = 0; i < n; i++) {
		const double scale = (double)scales[i / ROW_BLOCK];
		assert_true(fabs((double)q[i] * scale - (double)x[i]) <= scale * 0.50001);
		assert_true(q[i] > -128);
	}
	for (uint32_t i = 0; i < n; i += 32) {
		assert_int_equal(narrow[i / 16], sum_of(q + i, 16));
		assert_int_equal(narrow[i / 16 + 1], sum_of(q + i + 16, 16));
		assert_int_equal(sums[i / 32], sum_of(q + i, 32));
		assert_true(weighted[i / 32] == scales[i / 32] * (float)sums[i / 32]);
	}
}

static void quantize(void **unused)
{
	uint64_t state = 35;
	struct buffers s = buffers_make(&state);
	memset(s.x + 512, 0, 256 * sizeof(float));
	for (int i = 768; i < 1024; i++)
		s.x[i] *= 0x1p-130f;
	for (int i = 1024; i < 1280; i++) /* halves: ties go to even */
		s.x[i] = i % 32 ? (float)(i - 1152) * 0.5f : 127.0f;
	uint8_t *a = sample_alloc(row_bytes(ROW_I8, WIDEST));
	uint8_t *b = sample_alloc(row_bytes(ROW_I8, WIDEST));
	for (uint32_t n = 32; n <= WIDEST; n += n < 256 ? 32 : 1280) {
		c_kernels->quantize_row(ROW_I8, s.x, n, a);
		fast->quantize_row(ROW_I8, s.x, n, b);
		expect_same_row(n, a, b);
		if (n <= 512)
			expect_close(s.x, n, a);
	}
	free(a);
	free(b);
	buffers_free(&s);
}

static void quantize_odd_values(void **unused)
{
	static const float odd[] = { NAN, INFINITY, -INFINITY, 3.4e38f, 1e-38f, -1e-44f, -0.0f };
	uint8_t *a = sample_alloc(row_bytes(ROW_I8, 256));
	uint8_t *b = sample_alloc(row_bytes(ROW_I8, 256));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		float x[256] = { 0 };
		x[37] = odd[i];
		c_kernels->quantize_row(ROW_I8, x, 256, a);
		fast->quantize_row(ROW_I8, x, 256, b);
		expect_same_row(256, a, b);
		const float *scales = (const void *)(a + row_scale_offset(256));
		const float scale = scales[37 / ROW_BLOCK];
		assert_true(isfinite(odd[i]) ? isfinite(scale) : isnan(scale));
		assert_true(scales[0] == 0);
	}
	free(a);
	free(b);
}

/* A matrix of a delta net, and what five positions bring to it. */
#define DELTA_WIDEST 136
#define DELTA_STEPS  5

struct delta {
	float *s, *x,
		*out; /* [2, width, width], [DELTA_STEPS, 3, width], [2, DELTA_STEPS, width] */
	struct delta_step steps[2][DELTA_STEPS];
};

static void delta_make(uint64_t *state, uint32_t width, struct delta *d)
{
	const size_t size = (size_t)width * width;
	d->s = sample_alloc(2 * size * sizeof(float));
	d->x = sample_alloc(3 * DELTA_STEPS * width * sizeof(float));
	d->out = sample_alloc(2 * DELTA_STEPS * width * sizeof(float));
	sample_floats(state, d->s, size, -1.0f, 1.0f);
	memcpy(d->s + size, d->s, size * sizeof(float));
	sample_floats(state, d->x, 3 * DELTA_STEPS * width, -1.0f, 1.0f);
	for (uint32_t i = 0; i < 2 * DELTA_STEPS; i++) {
		const float *x = d->x + 3 * (i % DELTA_STEPS) * width;
		d->steps[i / DELTA_STEPS][i % DELTA_STEPS] =
			(struct delta_step){ .q = x,
					     .k = x + width,
					     .v = x + 2 * width,
					     .out = d->out + i * width,
					     .decay = 0.9f - 0.1f * (float)(i % DELTA_STEPS),
					     .beta = 0.3f + 0.1f * (float)(i % DELTA_STEPS) };
	}
}

static void delta_free(struct delta *d)
{
	free(d->s);
	free(d->x);
	free(d->out);
}

static void expect_same_delta(const struct delta *d, uint32_t width)
{
	const size_t size = (size_t)width * width, n_out = DELTA_STEPS * (size_t)width;
	assert_int_equal(sample_difference(d->s, d->s + size, size), size);
	assert_int_equal(sample_difference(d->out, d->out + n_out, n_out), n_out);
}

static void delta_steps(void **unused)
{
	static const uint32_t delta_widths[] = { 8, 12, 24, 32, 40, 64, 128, DELTA_WIDEST };
	uint64_t state = 38;
	for (size_t w = 0; w < sizeof(delta_widths) / sizeof(delta_widths[0]); w++) {
		const uint32_t width = delta_widths[w];
		struct delta d;
		delta_make(&state, width, &d);
		float *s[2] = { d.s, d.s + (size_t)width * width };
		c_kernels->delta_steps(d.steps[0], DELTA_STEPS, width, s[0], s[0]);
		/* in parts that say the same */
		fast->delta_steps(d.steps[1], 2, width, s[1], s[1]);
		fast->delta_steps(d.steps[1] + 2, DELTA_STEPS - 2, width, s[1], s[1]);
		expect_same_delta(&d, width);
		c_kernels->delta_steps(d.steps[0], DELTA_STEPS, width, NULL, s[0]);
		fast->delta_steps(d.steps[1], DELTA_STEPS, width, NULL, s[1]);
		expect_same_delta(&d, width);
		delta_free(&d);
	}
}

/* One position against float64. */
static void delta_step_is_right(void **unused)
{
	uint64_t state = 39;
	const uint32_t width = 64;
	struct delta d;
	delta_make(&state, width, &d);
	const struct delta_step *step = &d.steps[0][0];
	fast->delta_steps(step, 1, width, d.s, d.s);
	for (uint32_t j = 0; j < width; j++) {
		double met = 0, out = 0;
		for (uint32_t i = 0; i < width; i++)
			met += (double)step->k[i] * (double)step->decay *
			       (double)d.s[(size_t)width * width + i * width + j];
		const double difference = ((double)step->v[j] - met) * (double)step->beta;
		for (uint32_t i = 0; i < width; i++)
			out += (double)step->q[i] *
			       ((double)step->decay *
					(double)d.s[(size_t)width * width + i * width + j] +
				(double)step->k[i] * difference);
		assert_true(fabs(out - (double)step->out[j]) < 1e-4);
	}
	delta_free(&d);
}

static void convolve(void **unused)
{
	uint64_t state = 40;
	struct buffers s = buffers_make(&state);
	for (uint32_t taps = 2; taps <= 5; taps++)
		for (uint32_t n = 1; n <= 67; n += 3) {
			const float *inputs[5];
			for (uint32_t t = 0; t < taps; t++)
				inputs[t] = s.x + 100 * t;
			c_kernels->convolve(s.a, inputs, taps, s.y, n);
			fast->convolve(s.b, inputs, taps, s.y, n);
			expect_equal(&s, n, "convolve");
			double sum = 0;
			for (uint32_t t = 0; t < taps; t++)
				sum += (double)inputs[t][n - 1] * (double)s.y[(n - 1) * taps + t];
			assert_true(fabs(sum - (double)s.b[n - 1]) < 1e-5);
		}
	buffers_free(&s);
}

/* Every exponent, sign and rounding case; all four billion floats were tried once by hand. */
static void to_f16(void **unused)
{
	uint64_t state = 36;
	float x[256];
	uint16_t a[256], b[256];
	for (uint32_t high = 0; high < 0x10000; high++) {
		for (uint32_t i = 0; i < 256; i++) {
			const uint32_t low =
				i < 8 ? i * 0x1000 + (i & 1) : (uint32_t)sample_random(&state);
			x[i] = half_bits_to_f32(high << 16 | (low & 0xffff));
		}
		c_kernels->to_f16(a, x, 251);
		fast->to_f16(b, x, 251);
		for (uint32_t i = 0; i < 251; i++) {
			const bool both_nan = (a[i] & 0x7fff) > 0x7c00 && (b[i] & 0x7fff) > 0x7c00;
			if (a[i] != b[i] && !both_nan)
				fail_msg("%a becomes %04x, not %04x", (double)x[i], b[i], a[i]);
		}
	}
}

/* F16 weights pass through the processor's conversion: a product with one gives each of them. */
static void from_f16(void **unused)
{
	uint8_t *weights = sample_alloc(0x10000 * 2);
	float *row = sample_alloc(64), *a = sample_alloc(0x10000 * 4),
	      *b = sample_alloc(0x10000 * 4);
	for (uint32_t i = 0; i < 0x10000; i++) {
		weights[2 * i] = (uint8_t)i;
		weights[2 * i + 1] = (uint8_t)(i >> 8);
	}
	row[0] = 1.0f;
	struct matmul product = { .type = TENSOR_F16,
				  .n_in = 8,
				  .n_out = 0x10000 / 8,
				  .n_rows = 1,
				  .weights = weights,
				  .rows = (const uint8_t *)row,
				  .out_stride = 0x10000 / 8 };
	for (int c = 0; c < 8; c++) {
		memset(row, 0, 64);
		row[c] = 1.0f;
		product.out = a;
		c_kernels->matmul(&product, 0, product.n_out);
		product.out = b;
		fast->matmul(&product, 0, product.n_out);
		assert_int_equal(sample_difference(a, b, product.n_out), product.n_out);
	}
	free(weights);
	free(row);
	free(a);
	free(b);
}

/* A variant may differ from another in its products alone. */
static bool same_steps(const struct kernels *a, const struct kernels *b)
{
	struct kernels x = *a, y = *b;
	x.name = y.name = NULL;
	x.matmul = y.matmul = NULL;
	return memcmp(&x, &y, sizeof(x)) == 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rms_norm),
		cmocka_unit_test(activate),
		cmocka_unit_test(rope),
		cmocka_unit_test(soft_cap),
		cmocka_unit_test(yarn_leaves_fast_pairs_and_scales_slow_ones),
		cmocka_unit_test(rope_factors_divide_the_angle),
		cmocka_unit_test(add_and_scale),
		cmocka_unit_test(quantize),
		cmocka_unit_test(quantize_odd_values),
		cmocka_unit_test(delta_steps),
		cmocka_unit_test(delta_step_is_right),
		cmocka_unit_test(convolve),
		cmocka_unit_test(to_f16),
		cmocka_unit_test(from_f16),
	};
	static const char *const names[] = { "avx2", "avxvnni", "avx512", "neon", "i8mm" };
	const struct kernels *last = NULL;
	int failed = 0, ran = 0;
	kernels_prepare_thread();
	c_kernels = kernels_select("c", NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		fast = kernels_select(names[i], NULL);
		if (!fast || (last && same_steps(fast, last)))
			continue;
		last = fast;
		failed += cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
		ran++;
	}
	fast = c_kernels;
	return ran ? failed : cmocka_run_group_tests(tests, NULL, NULL);
}
