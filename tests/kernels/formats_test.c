/* Weight formats against another decoder's values: tests/vectors/dequantize.txt, and llama.cpp's
 * own functions on many random blocks where PRIMAD_TEST_GGML names its libggml-base.so. */
#include "sample.h"

#include "compute/cpu/kernels.h"

#include <ctype.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_BYTES 4096
#define VALUES_MAX 256
#define BLOCKS     12000 /* of a format, against the library */
#define AT_ONCE    40    /* blocks of one call */

static const char *vectors_path;

static uint32_t type_named(const char *name)
{
	for (size_t i = 0; i < sample_type_count; i++)
		if (strcmp(tensor_type_name(sample_types[i]), name) == 0)
			return sample_types[i];
	fail_msg("unknown type %s", name);
	return 0;
}

static size_t read_hex(const char *text, uint8_t *out, size_t limit)
{
	size_t n = 0;
	unsigned byte;
	for (; n < limit && sscanf(text + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

static void check_line(char *line)
{
	uint8_t block[VALUES_MAX];
	float expected[VALUES_MAX], values[VALUES_MAX];
	char *rest = NULL;
	const uint32_t type = type_named(strtok_r(line, " ", &rest));
	const size_t bytes = read_hex(strtok_r(NULL, " ", &rest), block, sizeof(block));
	const size_t n =
		read_hex(strtok_r(NULL, " ", &rest), (uint8_t *)expected, sizeof(expected)) /
		sizeof(float);
	assert_int_equal(bytes, weight_row_bytes(type, (uint32_t)n));
	assert_int_equal(n % tensor_type_block(type), 0);
	kernels_select(NULL, NULL)->dequantize_row(type, block, (uint32_t)n, values);
	const size_t at = sample_difference(values, expected, n);
	if (at != n)
		fail_msg("%s: value %zu is %a, not %a", tensor_type_name(type), at,
			 (double)values[at], (double)expected[at]);
}

static void values_are_those_of_another_decoder(void **unused)
{
	char line[LINE_BYTES];
	int lines = 0;
	FILE *file = fopen(vectors_path, "r");
	assert_non_null(file);
	for (; fgets(line, sizeof(line), file); lines++)
		check_line(line);
	fclose(file);
	assert_in_range(lines, 160, 200);
}

/* ---- a library's decoders ---- */

typedef void dequantize_fn(const void *blocks, float *out, int64_t n);

/* dequantize_row_q4_K, dequantize_row_iq2_xxs: small letters but for the K after an underscore. */
static dequantize_fn *decoder_of(void *library, uint32_t type)
{
	char name[64];
	size_t length =
		(size_t)snprintf(name, sizeof(name), "dequantize_row_%s", tensor_type_name(type));
	for (size_t i = 0; i < length; i++)
		if (!(name[i] == 'K' && name[i - 1] == '_'))
			name[i] = (char)tolower((unsigned char)name[i]);
	void *symbol = dlsym(library, name);
	dequantize_fn *decoder;
	memcpy(&decoder, &symbol, sizeof(decoder)); /* ISO C has no cast from one to the other */
	return decoder;
}

static void compare_blocks(uint64_t *state, uint32_t type, dequantize_fn *decoder)
{
	static uint8_t blocks[AT_ONCE * VALUES_MAX];
	static float values[AT_ONCE * VALUES_MAX], expected[AT_ONCE * VALUES_MAX];
	const uint32_t n = AT_ONCE * tensor_type_block(type);
	for (int i = 0; i < BLOCKS / AT_ONCE; i++) {
		sample_weights(state, type, i % 4 ? SAMPLE_WILD : SAMPLE_PLAIN, blocks, n);
		decoder(blocks, expected, n);
		kernels_select(NULL, NULL)->dequantize_row(type, blocks, n, values);
		const size_t at = sample_difference(values, expected, n);
		if (at != n)
			fail_msg("%s: value %zu of call %d is %a, not %a", tensor_type_name(type),
				 at, i, (double)values[at], (double)expected[at]);
	}
}

static void values_are_those_of_a_library(void **unused)
{
	uint64_t state = 23;
	const char *path = getenv("PRIMAD_TEST_GGML");
	if (!path)
		skip();
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(library);
	for (size_t i = 0; i < sample_type_count; i++) {
		const uint32_t type = sample_types[i];
		if (tensor_type_block(type) == 1)
			continue; /* floats */
		dequantize_fn *decoder = decoder_of(library, type);
		assert_non_null(decoder);
		compare_blocks(&state, type, decoder);
	}
	dlclose(library);
}

/* The sizes that the reader of files computes with are those of the kernels. */
static void sizes_agree(void **unused)
{
	for (size_t i = 0; i < sample_type_count; i++) {
		const uint32_t type = sample_types[i];
		assert_int_equal(weight_row_bytes(type, 1024),
				 1024 / tensor_type_block(type) * tensor_type_block_bytes(type));
		assert_true(tensor_type_supported(type));
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_those_of_another_decoder),
		cmocka_unit_test(values_are_those_of_a_library),
		cmocka_unit_test(sizes_agree),
	};
	if (argc != 2) {
		fprintf(stderr, "usage: formats_test VECTORS\n");
		return 2;
	}
	vectors_path = argv[1];
	kernels_prepare_thread();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
