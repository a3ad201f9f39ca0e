/* Attention: variants give the bits of the C reference; rows at once, one by one, or in tiles that
 * are joined later give the same; the reference agrees with float64; what a row does not see may
 * hold anything. */
#include "sample.h"

#include "base/half.h"
#include "compute/cpu/cache.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGES 12

struct shape {
	uint32_t head_k, head_v, n_q, n_kv, window, n_rows, position;
	float softcap;
	bool sinks;
};

struct example {
	struct attention attention;
	uint8_t *pages[PAGES];
	float *sinks; /* [n_kv, n_q] or NULL */
	uint32_t n_rows, position;
	size_t q_stride, out_stride;
	float *q, *out, *expected;
	size_t n_results;
};

static const struct kernels *c_kernels, *fast;

static uint8_t *make_page(uint64_t *state, const struct attention *attention, size_t bytes)
{
	static float values[ATTENTION_TILE * ATTENTION_WIDTH_MAX];
	uint8_t *page = sample_alloc(bytes);
	for (size_t i = 0; i < bytes; i++)
		page[i] = (uint8_t)sample_random(state);
	for (uint32_t kv = 0; kv < attention->n_kv; kv++) {
		const struct attention a = attention_head(attention, kv);
		sample_floats(state, values, (size_t)ATTENTION_TILE * a.head_k, -2.0f, 2.0f);
		cache_put_keys(c_kernels, a.kind, page + a.key_offset, 0, ATTENTION_TILE, values,
			       a.head_k, a.head_k);
		sample_floats(state, values, (size_t)ATTENTION_TILE * a.head_v, -2.0f, 2.0f);
		cache_put_values(c_kernels, a.kind, page + a.value_offset, 0, ATTENTION_TILE,
				 values, a.head_v, a.head_v);
	}
	return page;
}

static struct example example_make(uint64_t *state, enum kv_kind kind, struct shape s)
{
	if (!kv_kind_fits(kind, s.head_k) || !kv_kind_fits(kind, s.head_v)) {
		s.head_k = (s.head_k + 31) / 32 * 32;
		s.head_v = (s.head_v + 31) / 32 * 32;
	}
	const size_t key = kv_head_bytes(kind, s.head_k), value = kv_head_bytes(kind, s.head_v);
	const size_t before = 128, n_heads = (size_t)s.n_kv * s.n_q; /* noise, then the heads */
	struct example e = { .n_rows = s.n_rows, .position = s.position };
	e.attention = (struct attention){
		.head_k = s.head_k,
		.head_v = s.head_v,
		.n_q = s.n_q,
		.n_kv = s.n_kv,
		.window = s.window,
		.scale = 1.0f / sqrtf((float)s.head_k),
		.softcap = s.softcap,
		.kind = kind,
		.key_offset = before,
		.value_offset = before + key,
		.head_bytes = key + value,
	};
	const uint32_t last = s.position + s.n_rows - 1;
	for (uint32_t t = 0; t <= last / ATTENTION_TILE; t++)
		e.pages[t] = make_page(state, &e.attention, before + s.n_kv * (key + value));
	if (s.sinks) {
		e.sinks = sample_alloc(n_heads * sizeof(float));
		sample_floats(state, e.sinks, n_heads, -2.0f, 6.0f);
		e.attention.sinks = e.sinks;
	}
	e.q_stride = n_heads * s.head_k + 5;
	e.out_stride = n_heads * s.head_v + 3;
	e.q = sample_alloc(e.q_stride * s.n_rows * sizeof(float));
	sample_floats(state, e.q, e.q_stride * s.n_rows, -3.0f, 3.0f);
	e.n_results = e.out_stride * s.n_rows;
	e.out = sample_alloc(e.n_results * sizeof(float));
	e.expected = sample_alloc(e.n_results * sizeof(float));
	return e;
}

static void example_free(struct example *e)
{
	for (int t = 0; t < PAGES; t++)
		free(e->pages[t]);
	free(e->sinks);
	free(e->q);
	free(e->out);
	free(e->expected);
}

/* A struct that moved must point at its own pages. */
static void run(const struct kernels *kernels, struct example *e, float *out)
{
	e->attention.pages = (const uint8_t *const *)e->pages;
	kernels->attention_rows(&e->attention, e->q, e->q_stride, e->n_rows, e->position, out,
				e->out_stride);
}

static void expect_equal(const struct example *e, const char *what)
{
	const size_t at = sample_difference(e->out, e->expected, e->n_results);
	if (at != e->n_results)
		fail_msg("%s, %s: width %u/%u, %u heads for each of %u, window %u, %u rows from "
			 "%u: float %zu is "
			 "%a, "
			 "not %a",
			 what, kv_kind_name(e->attention.kind), e->attention.head_k,
			 e->attention.head_v, e->attention.n_q, e->attention.n_kv,
			 e->attention.window, e->n_rows, e->position, at, (double)e->out[at],
			 (double)e->expected[at]);
}

static const struct shape shapes[] = {
	{ 64, 64, 1, 1, 0, 1, 0 },
	{ 64, 64, 4, 2, 0, 1, 63 },
	{ 64, 64, 4, 2, 0, 1, 64 },
	{ 64, 64, 8, 9, 100, 1, 200, 0.0f, true }, /* more heads than one batch takes */
	{ 32, 64, 3, 5, 70, 5, 170 },
	{ 256, 256, 4, 1, 0, 1, 300 },
	{ 256, 256, 4, 1, 100, 1, 300 },
	{ 128, 128, 5, 1, 0, 70, 0 },
	{ 64, 64, 8, 2, 64, 130, 37 },
	{ 80, 80, 3, 1, 20, 90, 200 },
	{ 8, 16, 2, 1, 1, 66, 5 },
	{ 128, 64, 7, 1, 0, 33, 500 },
	{ 512, 512, 2, 1, 0, 3, 150 },
	{ 24, 8, 40, 1, 65, 9, 120 },
	{ 64, 72, 33, 1, 0, 2, 190 },
	{ 64, 64, 8, 1, 0, 20, 250, 5.0f, false },
	{ 64, 64, 5, 2, 128, 70, 90, 0.0f, true },
	{ 128, 128, 2, 1, 0, 1, 600, 1.5f, true },
};

#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void variants_equal_c(void **unused)
{
	uint64_t state = 21;
	for (size_t i = 0; i < KV_KINDS * N_SHAPES; i++) {
		struct example e = example_make(&state, i % KV_KINDS, shapes[i / KV_KINDS]);
		run(c_kernels, &e, e.expected);
		run(fast, &e, e.out);
		expect_equal(&e, fast->name);
		example_free(&e);
	}
}

static void random_shapes(void **unused)
{
	uint64_t state = 22;
	for (int i = 0; i < 60; i++) {
		struct shape s = {
			.head_k = 8 * (1 + (uint32_t)(sample_random(&state) % 12)),
			.head_v = 8 * (1 + (uint32_t)(sample_random(&state) % 12)),
			.n_q = 1 + (uint32_t)(sample_random(&state) % 9),
			.n_kv = 1 + (uint32_t)(sample_random(&state) % 3),
			.window = (uint32_t)(sample_random(&state) % 200),
			.n_rows = 1 + (uint32_t)(sample_random(&state) % 100),
			.position = (uint32_t)(sample_random(&state) % 400),
		};
		if (i % 2)
			s.window = 0;
		s.sinks = i % 4 == 0;
		s.softcap = i % 5 == 0 ? 4.0f : 0.0f;
		struct example e = example_make(&state, i % KV_KINDS, s);
		run(c_kernels, &e, e.expected);
		run(fast, &e, e.out);
		expect_equal(&e, fast->name);
		example_free(&e);
	}
}

static void one_row_at_a_time(const struct kernels *kernels, struct example *e)
{
	for (uint32_t r = 0; r < e->n_rows; r++)
		kernels->attention_rows(&e->attention, e->q + r * e->q_stride, e->q_stride, 1,
					e->position + r, e->out + r * e->out_stride, e->out_stride);
}

static void head_in_tiles(const struct kernels *kernels, struct example *e, uint32_t kv)
{
	const struct attention a = attention_head(&e->attention, kv);
	const size_t floats = attention_partial_floats(&a), head = (size_t)kv * a.n_q;
	float *partials = sample_alloc(floats * PAGES * sizeof(float));
	for (uint32_t r = 0; r < e->n_rows; r++) {
		uint32_t first, end;
		attention_tiles(&a, e->position + r, &first, &end);
		for (uint32_t tile = end; tile-- > first;)
			kernels->attention_tile(&a, e->q + r * e->q_stride + head * a.head_k,
						e->position + r, tile,
						partials + (tile - first) * floats);
		kernels->attention_join(&a, partials, end - first,
					e->out + r * e->out_stride + head * a.head_v);
	}
	free(partials);
}

static void in_tiles(const struct kernels *kernels, struct example *e)
{
	for (uint32_t kv = 0; kv < e->attention.n_kv; kv++)
		head_in_tiles(kernels, e, kv);
}

static void splits_change_nothing(void **unused)
{
	uint64_t state = 23;
	const struct kernels *both[] = { c_kernels, fast };
	for (size_t i = 0; i < KV_KINDS * N_SHAPES; i++) {
		struct example e = example_make(&state, i % KV_KINDS, shapes[i / KV_KINDS]);
		run(c_kernels, &e, e.expected);
		for (int k = 0; k < 2; k++) {
			memset(e.out, 0, e.n_results * sizeof(float));
			one_row_at_a_time(both[k], &e);
			expect_equal(&e, "row by row");
			memset(e.out, 0, e.n_results * sizeof(float));
			in_tiles(both[k], &e);
			expect_equal(&e, "tile by tile");
		}
		example_free(&e);
	}
}

/* Positions that are not written yet, or no longer seen, may hold NaN; pages that nobody sees may
 * be missing. */
static void spoil(struct example *e, uint32_t position)
{
	const struct attention *a = &e->attention;
	uint8_t *page = e->pages[position / ATTENTION_TILE];
	float nans[ATTENTION_WIDTH_MAX];
	for (uint32_t i = 0; i < ATTENTION_WIDTH_MAX; i++)
		nans[i] = NAN;
	cache_put_keys(c_kernels, a->kind, page + a->key_offset, position % ATTENTION_TILE, 1, nans,
		       0, a->head_k);
	cache_put_values(c_kernels, a->kind, page + a->value_offset, position % ATTENTION_TILE, 1,
			 nans, 0, a->head_v);
}

static void what_is_not_seen_does_not_matter(void **unused)
{
	uint64_t state = 24;
	const struct shape s = { 64, 64, 3, 1, 70, 20, 150 };
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++) {
		struct example e = example_make(&state, kind, s);
		run(c_kernels, &e, e.expected);
		for (uint32_t p = 0; p < 3 * ATTENTION_TILE; p++)
			if (p + s.window <= s.position || p >= s.position + s.n_rows)
				spoil(&e, p);
		free(e.pages[0]);
		e.pages[0] = NULL;
		run(c_kernels, &e, e.out);
		expect_equal(&e, "c");
		run(fast, &e, e.out);
		expect_equal(&e, fast->name);
		for (size_t i = 0; i < 64; i++)
			assert_true(isfinite(e.out[i]));
		example_free(&e);
	}
}

/* A sink above all scores takes nearly all of the sum; one of -infinity takes nothing. */
static void sinks_at_the_ends(void **unused)
{
	uint64_t state = 27;
	const struct shape s = { 64, 64, 3, 1, 0, 2, 100, 0.0f, true };
	struct example e = example_make(&state, KV_F16, s);
	e.sinks[0] = -INFINITY;
	e.sinks[1] = 3e4f;
	e.sinks[2] = NAN;
	run(c_kernels, &e, e.expected);
	run(fast, &e, e.out);
	expect_equal(&e, fast->name);
	assert_true(e.out[64] == 0.0f && isnan(e.out[128]));
	e.attention.sinks = NULL;
	run(fast, &e, e.out);
	assert_true(sample_difference(e.out, e.expected, 64) == 64);
	example_free(&e);
}

/* The key or the value of one position with one value in every column. */
static void put_odd(struct example *e, uint32_t position, bool key, float x)
{
	const struct attention *a = &e->attention;
	uint8_t *page = e->pages[position / ATTENTION_TILE];
	const uint32_t at = position % ATTENTION_TILE;
	float values[ATTENTION_WIDTH_MAX];
	for (uint32_t i = 0; i < ATTENTION_WIDTH_MAX; i++)
		values[i] = x;
	if (key)
		cache_put_keys(c_kernels, a->kind, page + a->key_offset, at, 1, values, 0,
			       a->head_k);
	else
		cache_put_values(c_kernels, a->kind, page + a->value_offset, at, 1, values, 0,
				 a->head_v);
}

/* Zero queries (every weight equal), huge scores, infinities and NaN in the cache. */
static void odd_values_of(enum kv_kind kind)
{
	uint64_t state = 25;
	const struct shape s = { 64, 64, 2, 1, 0, 80, 60 };
	struct example e = example_make(&state, kind, s);
	memset(e.q, 0, e.q_stride * sizeof(float));
	for (uint32_t i = 0; i < 64; i++)
		e.q[e.q_stride + i] *= 1e30f;
	e.q[2 * e.q_stride] = NAN;
	e.q[3 * e.q_stride] = INFINITY;
	for (uint32_t p = 0; p <= s.position; p++)
		put_odd(&e, p, false, (float)p / 16.0f);
	put_odd(&e, 84, true, INFINITY);
	put_odd(&e, 89, false, NAN);
	put_odd(&e, 91, true, 1e-33f);
	e.attention.softcap = 2.0f;
	run(c_kernels, &e, e.expected);
	run(fast, &e, e.out);
	expect_equal(&e, "a soft cap");
	e.attention.softcap = 0.0f;
	run(c_kernels, &e, e.expected);
	run(fast, &e, e.out);
	expect_equal(&e, fast->name);
	assert_true(fabs((double)e.out[0] - 60 / 32.0) < 1e-2);
	assert_true(isnan(e.out[2 * e.out_stride]));
	example_free(&e);
}

static void odd_values(void **unused)
{
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++)
		odd_values_of(kind);
}

/* ---- against float64, over what the cache holds ---- */

/* Element `at` of a head; `scale` is the place of its block's scale. */
static double cached(enum kv_kind kind, const uint8_t *head, uint32_t width, size_t at,
		     size_t scale)
{
	if (kind == KV_F32)
		return (double)((const float *)(const void *)head)[at];
	if (kind == KV_F16)
		return (double)f16_to_f32(((const uint16_t *)(const void *)head)[at]);
	return (int8_t)head[at] * (double)f16_to_f32(cache_scales(head, width)[scale]);
}

static double score_float64(const struct attention *a, const uint8_t *page, uint32_t j,
			    const double *q)
{
	double score = 0;
	for (uint32_t i = 0; i < a->head_k; i++)
		score += q[i] * cached(a->kind, page + a->key_offset, a->head_k,
				       cache_key_at(a->kind, i, j), i / 32 * 64 + j);
	score *= (double)a->scale;
	return a->softcap == 0.0f ? score : (double)a->softcap * tanh(score / (double)a->softcap);
}

/* The query as the kind's scores see it. */
static void query_float64(const struct attention *a, const float *x, double *q)
{
	int8_t bytes[ATTENTION_WIDTH_MAX];
	float scales[ATTENTION_WIDTH_MAX / KV_SCALE_BLOCK];
	if (a->kind == KV_Q8_0)
		cache_quantise(x, a->head_k, bytes, scales);
	for (uint32_t i = 0; i < a->head_k; i++)
		q[i] = a->kind == KV_Q8_0 ? bytes[i] * (double)scales[i / KV_SCALE_BLOCK]
					  : (double)x[i];
}

static void one_float64(const struct example *e, uint32_t row, uint32_t head, double *out)
{
	const struct attention one = attention_head(&e->attention, head / e->attention.n_q);
	const struct attention *a = &one;
	const uint32_t position = e->position + row;
	const uint32_t first = a->window && position >= a->window ? position - a->window + 1 : 0;
	double q[ATTENTION_WIDTH_MAX], sum = a->sinks ? exp((double)e->sinks[head]) : 0;
	query_float64(a, e->q + row * e->q_stride + head * a->head_k, q);
	memset(out, 0, a->head_v * sizeof(double));
	for (uint32_t p = first; p <= position; p++) {
		const uint8_t *page = e->pages[p / ATTENTION_TILE];
		const uint32_t j = p % ATTENTION_TILE;
		const double weight = exp(score_float64(a, page, j, q));
		sum += weight;
		for (uint32_t i = 0; i < a->head_v; i++)
			out[i] += weight * cached(a->kind, page + a->value_offset, a->head_v,
						  cache_value_at(a->head_v, i, j), i / 32 * 64 + j);
	}
	for (uint32_t i = 0; i < a->head_v; i++)
		out[i] /= sum;
}

static void c_agrees_with_float64(void **unused)
{
	uint64_t state = 26;
	double expected[ATTENTION_WIDTH_MAX];
	for (size_t i = 0; i < KV_KINDS * N_SHAPES; i++) {
		struct example e = example_make(&state, i % KV_KINDS, shapes[i / KV_KINDS]);
		run(c_kernels, &e, e.out);
		for (uint32_t r = 0; r < e.n_rows; r += 7) {
			for (uint32_t h = 0; h < e.attention.n_q * e.attention.n_kv; h++) {
				const float *out =
					e.out + r * e.out_stride + h * e.attention.head_v;
				one_float64(&e, r, h, expected);
				for (uint32_t v = 0; v < e.attention.head_v; v++)
					assert_true(fabs((double)out[v] - expected[v]) < 1e-5);
			}
		}
		example_free(&e);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(variants_equal_c),
		cmocka_unit_test(random_shapes),
		cmocka_unit_test(splits_change_nothing),
		cmocka_unit_test(what_is_not_seen_does_not_matter),
		cmocka_unit_test(sinks_at_the_ends),
		cmocka_unit_test(odd_values),
	}, reference[] = {
		cmocka_unit_test(c_agrees_with_float64),
	};
	static const char *const names[] = { "avx2", "avxvnni", "avx512", "neon", "i8mm" };
	kernels_prepare_thread();
	c_kernels = kernels_select("c", NULL);
	fast = c_kernels;
	int failed = cmocka_run_group_tests(reference, NULL, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct kernels *kernels = kernels_select(names[i], NULL);
		if (!kernels || kernels->attention_rows == fast->attention_rows)
			continue; /* another's functions, which have been tested */
		fast = kernels;
		failed += cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
