/* Products: every variant gives the bits of the C reference, whatever the rows, ranges and threads;
 * the reference itself agrees with float64. `--bench` measures instead. */
#include "bench.h"
#include "sample.h"

#include "compute/cpu/c.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/matmul.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/segments.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct shape {
	uint32_t n_in, n_out, n_rows;
};

/* A product of random numbers with room for two results. */
struct example {
	struct matmul product;
	uint8_t *weights; /* product.weights lies 2 bytes in: files align nothing */
	uint8_t *rows;
	float *x; /* [n_rows, n_in] before quantisation */
	float *out, *expected;
	size_t n_results;
};

static struct example example_make(uint64_t *state, uint32_t type, struct shape shape,
				   enum sample_kind kind, float largest)
{
	const enum row_format format = row_format_of(type);
	const size_t weight_bytes = weight_row_bytes(type, shape.n_in) * shape.n_out;
	const size_t stride = row_bytes(format, shape.n_in), out_stride = shape.n_out + 3;
	struct example e = {
		.weights = sample_alloc(weight_bytes + 2),
		.rows = sample_alloc(stride * shape.n_rows),
		.x = sample_alloc((size_t)shape.n_in * shape.n_rows * sizeof(float)),
		.n_results = out_stride * shape.n_rows,
	};
	e.out = sample_alloc(e.n_results * sizeof(float));
	e.expected = sample_alloc(e.n_results * sizeof(float));
	for (uint32_t o = 0; o < shape.n_out; o++)
		sample_weights(state, type, kind,
			       e.weights + 2 + o * weight_row_bytes(type, shape.n_in), shape.n_in);
	sample_floats(state, e.x, (size_t)shape.n_in * shape.n_rows, -largest, largest);
	if (kind == SAMPLE_EXTREME)
		for (size_t i = 0; i < (size_t)shape.n_in * shape.n_rows; i++)
			e.x[i] = i / shape.n_in % 2 ? -largest : largest;
	for (uint32_t r = 0; r < shape.n_rows; r++)
		c_quantize_row(format, e.x + (size_t)r * shape.n_in, shape.n_in,
			       e.rows + r * stride);
	e.product = (struct matmul){ type,          shape.n_in, shape.n_out, shape.n_rows,
				     e.weights + 2, e.rows,     e.out,       out_stride };
	return e;
}

static void example_free(struct example *e)
{
	free(e->weights);
	free(e->rows);
	free(e->x);
	free(e->out);
	free(e->expected);
}

/* Runs the reference into `expected`, and clears `out` to a pattern. */
static void example_expect(struct example *e)
{
	struct matmul product = e->product;
	memset(e->expected, 0x55, e->n_results * sizeof(float));
	memset(e->out, 0x55, e->n_results * sizeof(float));
	product.out = e->expected;
	c_matmul(&product, 0, product.n_out);
}

static void example_check(const struct example *e, const char *what)
{
	const size_t at = sample_difference(e->out, e->expected, e->n_results);
	if (at == e->n_results)
		return;
	const size_t stride = e->product.out_stride;
	fail_msg("%s: %s [%u, %u] x %u rows: row %zu output %zu is %a, not %a", what,
		 tensor_type_name(e->product.type), e->product.n_out, e->product.n_in,
		 e->product.n_rows, at / stride, at % stride, (double)e->out[at],
		 (double)e->expected[at]);
}

/* The variants beside C that this machine can run. */
#ifdef HAVE_EMULATED_VNNI
/* The table of AVX-VNNI with its instruction emulated. */
extern const struct kernels kernels_emulated_vnni;
#endif
static const struct kernels *variants[4];
static size_t variant_count;

static const struct shape shapes[] = {
	{ 256, 1, 1 },   { 256, 8, 1 },    { 512, 19, 1 },  { 768, 16, 2 },   { 1280, 33, 3 },
	{ 2048, 40, 4 }, { 2304, 37, 5 },  { 2560, 24, 7 }, { 4096, 17, 8 },  { 256, 70, 13 },
	{ 768, 31, 16 }, { 1536, 24, 31 }, { 512, 48, 64 }, { 2816, 16, 65 }, { 256, 9, 130 },
	{ 1024, 15, 2 }, { 512, 35, 131 }, { 5632, 32, 6 },
};

/* Shapes with fewer columns than the widest block, for the types that have smaller ones. */
static const struct shape narrow_shapes[] = {
	{ 32, 5, 1 }, { 64, 9, 3 }, { 96, 16, 5 }, { 640, 35, 1 }, { 640, 35, 9 }, { 352, 23, 64 },
};

static const struct shape ragged_shapes[] = {
	{ 1, 1, 1 }, { 7, 9, 2 }, { 13, 40, 1 }, { 63, 33, 4 }, { 67, 70, 6 }, { 333, 21, 17 },
};

static void compare(uint64_t *state, uint32_t type, struct shape shape, enum sample_kind kind)
{
	struct example e = example_make(state, type, shape, kind, kind ? 3e4f : 4.0f);
	example_expect(&e);
	for (size_t v = 0; v < variant_count; v++) {
		memset(e.out, 0x55, e.n_results * sizeof(float));
		variants[v]->matmul(&e.product, 0, shape.n_out);
		example_check(&e, variants[v]->name);
	}
	example_free(&e);
}

static void compare_shapes(enum sample_kind kind)
{
	uint64_t state = 77 + kind;
	for (size_t t = 0; t < sample_type_count; t++) {
		const uint32_t type = sample_types[t];
		const enum row_format format = row_format_of(type);
		for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
			compare(&state, type, shapes[i], kind);
		for (size_t i = 0; i < sizeof(narrow_shapes) / sizeof(shapes[0]); i++)
			if (format == ROW_F32 || format_of(type)->size == 32)
				compare(&state, type, narrow_shapes[i], kind);
		for (size_t i = 0; i < sizeof(ragged_shapes) / sizeof(shapes[0]); i++)
			if (format == ROW_F32)
				compare(&state, type, ragged_shapes[i], kind);
	}
}

static void variants_equal_c_on_plain_weights(void **unused)
{
	compare_shapes(SAMPLE_PLAIN);
}

static void variants_equal_c_on_extreme_weights(void **unused)
{
	compare_shapes(SAMPLE_EXTREME);
}

static void variants_equal_c_on_any_bytes(void **unused)
{
	compare_shapes(SAMPLE_WILD);
}

/* Every count of rows up to the widest tile and beyond. */
static void variants_equal_c_at_every_row_count(void **unused)
{
	uint64_t state = 5;
	for (size_t t = 0; t < sample_type_count; t++)
		for (uint32_t rows = 1; rows <= 70; rows++)
			compare(&state, sample_types[t], (struct shape){ 512, 17, rows },
				SAMPLE_PLAIN);
}

/* Activations with zeros, denormals, infinities and NaN in some blocks. */
static void odd_activations(void **unused)
{
	uint64_t state = 9;
	for (size_t t = 0; t < sample_type_count; t++) {
		const struct shape shape = { 1536, 24, 6 };
		struct example e = example_make(&state, sample_types[t], shape, SAMPLE_PLAIN, 4.0f);
		const enum row_format format = row_format_of(sample_types[t]);
		memset(e.x, 0, 256 * sizeof(float));
		for (int i = 300; i < 600; i++)
			e.x[i] *= 0x1p-140f;
		e.x[1 * 1536 + 700] = INFINITY;
		e.x[2 * 1536 + 900] = NAN;
		e.x[3 * 1536 + 100] = -0.0f;
		for (uint32_t r = 0; r < shape.n_rows; r++)
			c_quantize_row(format, e.x + (size_t)r * shape.n_in, shape.n_in,
				       e.rows + r * row_bytes(format, shape.n_in));
		example_expect(&e);
		if (format != ROW_F32)
			assert_true(isnan(e.expected[e.product.out_stride]));
		assert_true(isnan(e.expected[2 * e.product.out_stride]));
		assert_true(isfinite(e.expected[0]) && isfinite(e.expected[5]));
		for (size_t v = 0; v < variant_count; v++) {
			variants[v]->matmul(&e.product, 0, shape.n_out);
			example_check(&e, variants[v]->name);
		}
		example_free(&e);
	}
}

/* Rows one at a time and outputs in odd ranges give what one call gives. */
static void split_calls(const struct kernels *kernels, struct example *e)
{
	static const uint32_t cuts[] = { 0, 1, 8, 11, 16, 29, 32, 61 };
	struct matmul product = e->product;
	const size_t stride = row_bytes(row_format_of(product.type), product.n_in);
	for (uint32_t r = 0; r < e->product.n_rows; r += r % 3 + 1) {
		const uint32_t left = e->product.n_rows - r, rows = r % 3 + 1;
		product.n_rows = rows < left ? rows : left;
		product.rows = e->product.rows + r * stride;
		product.out = e->out + r * product.out_stride;
		for (size_t i = 0; i + 1 < sizeof(cuts) / sizeof(cuts[0]); i++)
			kernels->matmul(&product, cuts[i], cuts[i + 1]);
	}
}

static void splits_change_nothing(void **unused)
{
	uint64_t state = 11;
	for (size_t t = 0; t < sample_type_count; t++) {
		const struct shape shape = { 1792, 61, 19 };
		struct example e = example_make(&state, sample_types[t], shape, SAMPLE_PLAIN, 1.0f);
		example_expect(&e);
		split_calls(&kernels_c, &e);
		example_check(&e, "c in pieces");
		for (size_t v = 0; v < variant_count; v++) {
			memset(e.out, 0x55, e.n_results * sizeof(float));
			split_calls(variants[v], &e);
			example_check(&e, "in pieces");
		}
		example_free(&e);
	}
}

/* A range of outputs, wherever it begins and ends, is written whole and nothing beside it. */
static void ranges_stay_within(void **unused)
{
	uint64_t state = 19;
	for (size_t t = 0; t < sample_type_count; t++) {
		const struct shape shape = { 256, 37, 2 };
		struct example e = example_make(&state, sample_types[t], shape, SAMPLE_PLAIN, 1.0f);
		struct matmul expected = e.product;
		expected.out = e.expected;
		for (uint32_t first = 0; first < shape.n_out; first++)
			for (uint32_t end = first; end <= shape.n_out; end++) {
				memset(e.expected, 0x55, e.n_results * sizeof(float));
				c_matmul(&expected, first, end);
				for (size_t v = 0; v < variant_count; v++) {
					memset(e.out, 0x55, e.n_results * sizeof(float));
					variants[v]->matmul(&e.product, first, end);
					example_check(&e, variants[v]->name);
				}
			}
		example_free(&e);
	}
}

/* The columns of segments [first, first + 8 / parts) of an example, as a device of a group holds
 * them, quantised there. */
static struct matmul cut_out(const struct example *e, uint32_t first, uint32_t parts,
			     uint8_t **weights, uint8_t **rows)
{
	const struct matmul *whole = &e->product;
	const struct format *format = format_of(whole->type);
	const enum row_format row_format = row_format_of(whole->type);
	const uint32_t block = format ? format->size : FLOAT_BLOCK;
	const uint32_t n_blocks = (whole->n_in + block - 1) / block;
	const uint32_t begin = segment_border(first, n_blocks) * block;
	const uint32_t border = segment_border(first + SEGMENTS / parts, n_blocks) * block;
	const uint32_t n_in = (border < whole->n_in ? border : whole->n_in) - begin;
	const size_t stride = weight_row_bytes(whole->type, n_in);
	struct matmul part = *whole;
	*weights = sample_alloc(stride * whole->n_out);
	*rows = sample_alloc(row_bytes(row_format, n_in) * whole->n_rows);
	for (uint32_t o = 0; o < whole->n_out; o++)
		memcpy(*weights + o * stride,
		       whole->weights + o * weight_row_bytes(whole->type, whole->n_in) +
			       weight_row_bytes(whole->type, begin),
		       stride);
	for (uint32_t r = 0; r < whole->n_rows; r++)
		c_quantize_row(row_format, e->x + (size_t)r * whole->n_in + begin, n_in,
			       *rows + r * row_bytes(row_format, n_in));
	part.weights = *weights;
	part.rows = *rows;
	part.n_in = n_in;
	part.n_whole = whole->n_in;
	part.first_segment = first;
	return part;
}

/* The sum of segments [first, first + 8 / parts) and its neighbours, as the tree has it: one part
 * is multiplied, more are two halves added up. */
static void add_parts(const struct example *e, const struct kernels *kernels, uint32_t first,
		      uint32_t parts, uint32_t all, float *out)
{
	uint8_t *weights, *rows;
	if (parts == all) {
		struct matmul part = cut_out(e, first, parts, &weights, &rows);
		part.out = out;
		if (part.n_in > 0)
			kernels->matmul(&part, 0, part.n_out);
		else /* fewer blocks than parts: nothing is held, nothing is summed */
			memset(out, 0, e->n_results * sizeof(float));
		free(weights);
		free(rows);
		return;
	}
	float *other = sample_alloc(e->n_results * sizeof(float));
	add_parts(e, kernels, first, 2 * parts, all, out);
	add_parts(e, kernels, first + SEGMENTS / parts / 2, 2 * parts, all, other);
	for (size_t i = 0; i < e->n_results; i++)
		out[i] += other[i];
	free(other);
}

/* A product of which each device of a group holds some columns: the parts, added up as the tree has
 * them, are the whole, down to the bits. */
static void segments_add_up(void **unused)
{
	static const struct shape cuts[] = { { 2560, 35, 3 }, { 256, 16, 1 }, { 5632, 8, 1 } };
	uint64_t state = 23;
	for (size_t t = 0; t < sample_type_count; t++)
		for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			struct example e =
				example_make(&state, sample_types[t], cuts[i], SAMPLE_PLAIN, 1.0f);
			example_expect(&e);
			for (uint32_t parts = 2; parts <= SEGMENTS; parts *= 2)
				for (size_t v = 0; v < variant_count + 1; v++) {
					const struct kernels *kernels =
						v < variant_count ? variants[v] : &kernels_c;
					for (size_t k = 0; k < e.n_results; k++)
						e.out[k] =
							e.expected[k]; /* what lies between rows */
					add_parts(&e, kernels, 0, 1, parts, e.out);
					for (uint32_t r = 0; r < cuts[i].n_rows; r++)
						memcpy(e.out + r * e.product.out_stride +
							       cuts[i].n_out,
						       e.expected + r * e.product.out_stride +
							       cuts[i].n_out,
						       3 * sizeof(float));
					example_check(&e, kernels->name);
				}
			example_free(&e);
		}
}

static void threads_change_nothing(void **unused)
{
	uint64_t state = 13;
	for (uint32_t threads = 1; threads <= 4; threads++) {
		struct pool *pool = pool_create(threads, NULL);
		assert_non_null(pool);
		for (size_t t = 0; t < sample_type_count; t++) {
			struct example a =
				example_make(&state, sample_types[t],
					     (struct shape){ 2048, 203, 3 }, SAMPLE_PLAIN, 1.0f);
			struct example b =
				example_make(&state, sample_types[t], (struct shape){ 512, 77, 3 },
					     SAMPLE_PLAIN, 1.0f);
			example_expect(&a);
			example_expect(&b);
			const struct matmul products[2] = { a.product, b.product };
			matmul_run(pool, kernels_select(NULL, NULL), products, 2);
			example_check(&a, "on threads");
			example_check(&b, "on threads");
			example_free(&a);
			example_free(&b);
		}
		pool_destroy(pool);
	}
}

/* As many products as go together, of unlike sizes: the pieces of each are its own. */
static void many_products_at_once(void **unused)
{
	uint64_t state = 29;
	struct example examples[MATMUL_MAX];
	struct matmul products[MATMUL_MAX];
	struct pool *pool = pool_create(3, NULL);
	assert_non_null(pool);
	for (uint32_t i = 0; i < MATMUL_MAX; i++) {
		const uint32_t type = sample_types[i % sample_type_count];
		const struct shape shape = { 256, 1 + 37 * i % 150, 1 + i % 3 };
		examples[i] = example_make(&state, type, shape, SAMPLE_PLAIN, 1.0f);
		example_expect(&examples[i]);
		products[i] = examples[i].product;
	}
	matmul_run(pool, kernels_select(NULL, NULL), products, MATMUL_MAX);
	for (uint32_t i = 0; i < MATMUL_MAX; i++) {
		example_check(&examples[i], "among others");
		example_free(&examples[i]);
	}
	pool_destroy(pool);
}

/* An activation as the kernel reads it: quantised and scaled back. */
static double activation(const struct matmul *product, uint32_t row, uint32_t column)
{
	const enum row_format format = row_format_of(product->type);
	const uint8_t *bytes = product->rows + row * row_bytes(format, product->n_in);
	if (format == ROW_F32)
		return ((const float *)(const void *)bytes)[column];
	const float *scales = (const void *)(bytes + row_scale_offset(product->n_in));
	return (double)((const int8_t *)bytes)[column] * (double)scales[column / ROW_BLOCK];
}

static void c_agrees_with_float64(void **unused)
{
	uint64_t state = 17;
	for (size_t t = 0; t < sample_type_count; t++) {
		const struct shape shape = { 4096, 20, 3 };
		struct example e = example_make(&state, sample_types[t], shape, SAMPLE_PLAIN, 4.0f);
		float *weights = sample_alloc(shape.n_in * sizeof(float));
		example_expect(&e);
		for (uint32_t o = 0; o < shape.n_out; o++) {
			c_dequantize_row(e.product.type,
					 e.product.weights +
						 o * weight_row_bytes(e.product.type, shape.n_in),
					 shape.n_in, weights);
			for (uint32_t r = 0; r < shape.n_rows; r++) {
				double sum = 0, size = 0;
				for (uint32_t c = 0; c < shape.n_in; c++) {
					const double term =
						(double)weights[c] * activation(&e.product, r, c);
					sum += term;
					size += fabs(term);
				}
				const double error =
					(double)e.expected[r * e.product.out_stride + o] - sum;
				assert_true(fabs(error) <= 1e-6 * size);
			}
		}
		free(weights);
		example_free(&e);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(variants_equal_c_on_plain_weights),
		cmocka_unit_test(variants_equal_c_on_extreme_weights),
		cmocka_unit_test(variants_equal_c_on_any_bytes),
		cmocka_unit_test(variants_equal_c_at_every_row_count),
		cmocka_unit_test(odd_activations),
		cmocka_unit_test(splits_change_nothing),
		cmocka_unit_test(ranges_stay_within),
		cmocka_unit_test(segments_add_up),
		cmocka_unit_test(threads_change_nothing),
		cmocka_unit_test(many_products_at_once),
		cmocka_unit_test(c_agrees_with_float64),
	};
	kernels_prepare_thread();
	if (argc > 1 && strcmp(argv[1], "--bench") == 0)
		return bench_products(argc - 2, argv + 2);
	static const char *const names[] = { "avx2", "avxvnni", "avx512", "neon", "i8mm" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		variants[variant_count] = kernels_select(names[i], NULL);
		variant_count += variants[variant_count] != NULL;
	}
#ifdef HAVE_EMULATED_VNNI
	if (kernels_select("avx2", NULL) && !kernels_select("avxvnni", NULL))
		variants[variant_count++] = &kernels_emulated_vnni;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
