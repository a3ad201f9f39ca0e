/* The bits of arithmetic contract version 2 (compute/numerics.md) for fixed inputs, as hashes: the
 * same from every compiler and processor. A change here means a new NUMERICS_VERSION. */
#include "sample.h"

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

static uint32_t product_hash(uint32_t type)
{
	switch (type) {
	case TENSOR_F32:
		return 0x38947e13u;
	case TENSOR_F16:
		return 0x509c4722u;
	case TENSOR_BF16:
		return 0x36f104dcu;
	case TENSOR_Q4_0:
		return 0xb8fabff8u;
	case TENSOR_Q5_0:
		return 0x24073ba0u;
	case TENSOR_Q8_0:
		return 0x7277f535u;
	case TENSOR_Q4_K:
		return 0xe73b0632u;
	case TENSOR_Q5_K:
		return 0xb4ba5c4eu;
	default:
		return 0x5d708cc3u; /* Q6_K */
	}
}

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
	expect_hash(kernels, tensor_type_name(type), out, ROWS * OUTPUTS, product_hash(type));
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
	rope_turns(turns, 128, 1e6f, 0.125f, NULL);
	rope_table(table, turns, 128, 4095);
	memcpy(out, x, sizeof(out));
	kernels->rope(out, 2, 128, 128, ROPE_HALVES, table);
	kernels->rope(out + 256, 3, 128, 128, ROPE_ADJACENT, table);
	expect_hash(kernels, "rope", out, 640, 0xa9fb5dc4u);
}

static void check_attention(const struct kernels *kernels)
{
	uint64_t state = 43;
	static uint16_t pages[3][ATTENTION_TILE * 128];
	const uint16_t *const page_list[3] = { pages[0], pages[1], pages[2] };
	static const float sinks[2] = { 1.5f, -0.75f };
	struct attention attention = { .head_k = 64,
				       .head_v = 64,
				       .n_q = 2,
				       .window = 100,
				       .scale = 0.125f,
				       .pages = page_list,
				       .key_stride = 64,
				       .value_offset = (size_t)ATTENTION_TILE * 64,
				       .value_stride = 64 };
	float q[5 * 128], out[5 * 128], values[ATTENTION_TILE * 128];
	for (int t = 0; t < 3; t++) {
		sample_floats(&state, values, ATTENTION_TILE * 128, -2.0f, 2.0f);
		kernels->to_f16(pages[t], values, ATTENTION_TILE * 128);
	}
	sample_floats(&state, q, 5 * 128, -2.0f, 2.0f);
	kernels->attention_rows(&attention, q, 128, 5, 150, out, 128);
	expect_hash(kernels, "attention", out, 5 * 128, 0xbd62b851u);
	attention.softcap = 3.0f;
	attention.sinks = sinks;
	kernels->attention_rows(&attention, q, 128, 5, 150, out, 128);
	expect_hash(kernels, "attention with a cap and sinks", out, 5 * 128, 0x50f93b58u);
}

static void bits_are_those_of_the_contract(void **unused)
{
	static const char *const names[] = { "c", "avx2" };
	for (size_t i = 0; i < 2; i++) {
		const struct kernels *kernels = kernels_select(names[i], NULL);
		if (!kernels)
			continue;
		for (size_t t = 0; t < sample_type_count; t++)
			check_product(kernels, sample_types[t]);
		check_vectors(kernels);
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
