/* The bits of arithmetic contract version 2 (compute/numerics.md) for fixed inputs, as hashes: the
 * same from every compiler and processor. A change here means a new NUMERICS_VERSION. */
#include "sample.h"

#include "compute/cpu/cache.h"
#include "compute/cpu/rope.h"
#include "compute/numerics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COLUMNS 1536u
#define OUTPUTS 24u
#define ROWS    3u

/* FNV-1a over the bits. No result below is NaN. */
static uint32_t hash(const float *values, size_t n)
{
	uint32_t mixed = 2166136261u;
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;
		assert_false(isnan(values[i]));
		memcpy(&bits, &values[i], sizeof(bits));
		for (int k = 0; k < 4; k++)
			mixed = (mixed ^ (bits >> (8 * k) & 0xff)) * 16777619u;
	}
	return mixed;
}

static void expect_hash(const struct kernels *kernels, const char *what, const float *values,
			size_t n, uint32_t expected)
{
	const uint32_t got = hash(values, n);
	if (got != expected)
		fail_msg("%s, %s: the bits are 0x%08x, those of contract %u are 0x%08x",
			 kernels->name, what, got, NUMERICS_VERSION, expected);
}

static const uint32_t product_hashes[TENSOR_TYPES_END] = {
	[TENSOR_F32] = 0x38947e13u,     [TENSOR_F16] = 0x509c4722u,
	[TENSOR_BF16] = 0x36f104dcu,    [TENSOR_Q4_0] = 0xb8fabff8u,
	[TENSOR_Q4_1] = 0x6b7ca9a6u,    [TENSOR_Q5_0] = 0x24073ba0u,
	[TENSOR_Q5_1] = 0xb391f3e1u,    [TENSOR_Q8_0] = 0x7277f535u,
	[TENSOR_Q2_K] = 0x036e92f0u,    [TENSOR_Q3_K] = 0xbb93f079u,
	[TENSOR_Q4_K] = 0xe73b0632u,    [TENSOR_Q5_K] = 0xb4ba5c4eu,
	[TENSOR_Q6_K] = 0x5d708cc3u,    [TENSOR_IQ4_NL] = 0x3a745faeu,
	[TENSOR_IQ4_XS] = 0xbef832f6u,  [TENSOR_IQ3_S] = 0xbde784ebu,
	[TENSOR_IQ3_XXS] = 0x3c5814d9u, [TENSOR_IQ2_XXS] = 0xe219ecb7u,
	[TENSOR_IQ2_XS] = 0x5fb32924u,  [TENSOR_IQ2_S] = 0x6bc9eeedu,
	[TENSOR_IQ1_S] = 0xa7d07b79u,   [TENSOR_IQ1_M] = 0x51f68b92u,
	[TENSOR_MXFP4] = 0x1f748d92u,
};

static void check_product(const struct kernels *kernels, uint32_t type)
{
	uint64_t state = 41;
	const enum row_format format = row_format_of(type);
	const size_t stride = row_bytes(format, COLUMNS);
	uint8_t *weights = sample_alloc(weight_row_bytes(type, COLUMNS) * OUTPUTS);
	uint8_t *rows = sample_alloc(stride * ROWS);
	float x[COLUMNS], out[ROWS * OUTPUTS];
	sample_weights(&state, type, SAMPLE_PLAIN, weights, (size_t)COLUMNS * OUTPUTS);
	for (uint32_t r = 0; r < ROWS; r++) {
		sample_floats(&state, x, COLUMNS, -3.0f, 3.0f);
		kernels->quantize_row(format, x, COLUMNS, rows + r * stride);
	}
	const struct matmul product = { type, COLUMNS, OUTPUTS, ROWS, weights, rows, out, OUTPUTS };
	kernels->matmul(&product, 0, OUTPUTS);
	expect_hash(kernels, tensor_type_name(type), out, ROWS * OUTPUTS, product_hashes[type]);
	free(weights);
	free(rows);
}

static void check_vectors(const struct kernels *kernels)
{
	uint64_t state = 42;
	float x[640], y[640], out[640], table[128];
	double turns[64];
	sample_floats(&state, x, 640, -6.0f, 6.0f);
	sample_floats(&state, y, 640, -2.0f, 2.0f);
	kernels->rms_norm(out, x, y, 640, 1e-6f);
	expect_hash(kernels, "rms_norm", out, 640, 0xdd7bb2f1u);
	memcpy(out, x, sizeof(out));
	kernels->activate(ACTIVATION_SILU, out, y, 640);
	expect_hash(kernels, "silu", out, 640, 0x5a6abd03u);
	memcpy(out, x, sizeof(out));
	kernels->activate(ACTIVATION_GELU_TANH, out, y, 640);
	expect_hash(kernels, "gelu", out, 640, 0x0c612af6u);
	memcpy(out, x, sizeof(out));
	kernels->activate(ACTIVATION_CLAMPED, out, y, 640);
	expect_hash(kernels, "clamped", out, 640, 0x05c78dd8u);
	memcpy(out, x, sizeof(out));
	kernels->activate(ACTIVATION_SIGMOID, out, y, 640);
	expect_hash(kernels, "sigmoid", out, 640, 0x6cd14707u);
	memcpy(out, x, sizeof(out));
	kernels->add_scaled(out, y, 0.3f, 640);
	kernels->soft_cap(out, 3.5f, 640);
	expect_hash(kernels, "soft cap", out, 640, 0x580686a4u);
	const struct rope_shape linear = { .n_rot = 128, .base = 1e6f, .scale = 0.125f };
	rope_turns(turns, &linear, NULL);
	rope_table(table, turns, 128, 1, 4095);
	memcpy(out, x, sizeof(out));
	kernels->rope(out, 2, 128, 128, ROPE_HALVES, table);
	kernels->rope(out + 256, 3, 128, 128, ROPE_ADJACENT, table);
	expect_hash(kernels, "rope", out, 640, 0xa9fb5dc4u);
}

/* Three positions of a delta net's head, and the convolution before it. */
static void check_delta(const struct kernels *kernels)
{
	uint64_t state = 44;
	static float s[64 * 64], x[3 * 3 * 64], out[3 * 64];
	struct delta_step steps[3];
	sample_floats(&state, s, 64 * 64, -1.0f, 1.0f);
	sample_floats(&state, x, 3 * 3 * 64, -1.0f, 1.0f);
	for (int i = 0; i < 3; i++)
		steps[i] = (struct delta_step){
			x + 192 * i, x + 192 * i + 64, x + 192 * i + 128, out + 64 * i, 0.9f, 0.4f
		};
	kernels->delta_steps(steps, 3, 64, s, s);
	expect_hash(kernels, "delta net", out, 3 * 64, 0xa8dd9d0du);
	expect_hash(kernels, "delta net's matrix", s, 64 * 64, 0x9d5654fdu);
	const float *const inputs[4] = { x, x + 70, x + 140, x + 210 };
	kernels->convolve(out, inputs, 4, s, 100);
	expect_hash(kernels, "convolution", out, 100, 0xfb836133u);
}

/* A cache of three pages with one head of width 64. */
struct cache {
	uint8_t *pages[3];
	struct attention attention;
	float q[5 * 128];
};

static void fill_cache(const struct kernels *kernels, enum kv_kind kind, struct cache *cache)
{
	uint64_t state = 43;
	static float values[ATTENTION_TILE * 64];
	const size_t head = kv_head_bytes(kind, 64);
	cache->attention = (struct attention){ .head_k = 64,
					       .head_v = 64,
					       .n_q = 2,
					       .n_kv = 1,
					       .window = 100,
					       .scale = 0.125f,
					       .kind = kind,
					       .pages = (const uint8_t *const *)cache->pages,
					       .value_offset = head };
	for (int t = 0; t < 3; t++) {
		cache->pages[t] = sample_alloc(2 * head);
		sample_floats(&state, values, ATTENTION_TILE * 64, -2.0f, 2.0f);
		cache_put_keys(kernels, kind, cache->pages[t], 0, ATTENTION_TILE, values, 64, 64);
		sample_floats(&state, values, ATTENTION_TILE * 64, -2.0f, 2.0f);
		cache_put_values(kernels, kind, cache->pages[t] + head, 0, ATTENTION_TILE, values,
				 64, 64);
	}
	sample_floats(&state, cache->q, 5 * 128, -2.0f, 2.0f);
}

static void check_attention(const struct kernels *kernels)
{
	static const float sinks[2] = { 1.5f, -0.75f };
	static const uint32_t hashes[KV_KINDS][2] = {
		[KV_F16] = { 0x4731c650u, 0x0b407517u },
		[KV_Q8_0] = { 0x8c1bd52bu, 0xd8eda724u },
		[KV_F32] = { 0x911c5a7au, 0x663b657du },
	};
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++) {
		struct cache cache;
		float out[5 * 128];
		fill_cache(kernels, kind, &cache);
		kernels->attention_rows(&cache.attention, cache.q, 128, 5, 150, out, 128);
		expect_hash(kernels, kv_kind_name(kind), out, 5 * 128, hashes[kind][0]);
		cache.attention.softcap = 3.0f;
		cache.attention.sinks = sinks;
		kernels->attention_rows(&cache.attention, cache.q, 128, 5, 150, out, 128);
		expect_hash(kernels, "a cap and sinks", out, 5 * 128, hashes[kind][1]);
		for (int t = 0; t < 3; t++)
			free(cache.pages[t]);
	}
}

static void bits_are_those_of_the_contract(void **unused)
{
	static const char *const names[] = { "c", "avx2", "avxvnni", "avx512", "neon", "i8mm" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct kernels *kernels = kernels_select(names[i], NULL);
		if (!kernels)
			continue;
		for (size_t t = 0; t < sample_type_count; t++)
			check_product(kernels, sample_types[t]);
		check_vectors(kernels);
		check_delta(kernels);
		check_attention(kernels);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_are_those_of_the_contract),
	};
	kernels_prepare_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
