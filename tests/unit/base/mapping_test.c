/* Maps of a file of odd size, whose words tell their own place. */
#include "base/mapping.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE MAPPING_LARGE_BYTES
#define WORDS (5 * LARGE / sizeof(uint64_t) / 2 + 3)
#define BYTES (WORDS * sizeof(uint64_t))

static int file;

static int set_up(void **given)
{
	uint64_t *words = malloc(BYTES);
	FILE *made = tmpfile();
	assert_non_null(words);
	assert_non_null(made);
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = i;
	file = dup(fileno(made));
	assert_int_equal(pwrite(file, words, BYTES, 0), BYTES);
	fclose(made);
	free(words);
	return 0;
}

static int tear_down(void **given)
{
	close(file);
	return 0;
}

static const uint64_t ranges[][2] = {
	{ 0, BYTES },
	{ 8, 16 },
	{ LARGE - 8, LARGE + 8 },
	{ LARGE, 2 * LARGE },
	{ 2 * LARGE + 4096, BYTES },
	{ BYTES - 8, BYTES },
};
#define N_RANGES (sizeof(ranges) / sizeof(ranges[0]))

static void test_all_bytes_are_there(void **given)
{
	for (size_t i = 0; i < N_RANGES; i++) {
		const uint64_t first = ranges[i][0], end = ranges[i][1];
		struct mapping mapping;
		assert_int_equal(mapping_init(&mapping, file, first, end), 0);
		assert_true(mapping.offset <= first && end <= mapping.offset + mapping.size);
		(void)mapping_fill(&mapping, first, end);
		for (uint64_t at = first; at < end; at += sizeof(uint64_t)) {
			uint64_t word;
			memcpy(&word, mapping.base + (at - mapping.offset), sizeof(word));
			assert_int_equal(word, at / sizeof(uint64_t));
		}
		assert_true(mapping_large(&mapping) <= mapping.size);
		mapping_finish(&mapping);
		assert_null(mapping.base);
	}
}

/* Else no large page of the cache can be mapped as one. */
static void test_addresses_agree_with_offsets(void **given)
{
	for (size_t i = 0; i < N_RANGES; i++) {
		struct mapping mapping;
		assert_int_equal(mapping_init(&mapping, file, ranges[i][0], ranges[i][1]), 0);
		assert_int_equal((uintptr_t)mapping.base % LARGE, mapping.offset % LARGE);
		assert_int_equal(mapping.offset % LARGE, 0);
		assert_int_equal(mapping.size % LARGE, 0);
		mapping_finish(&mapping);
	}
}

static void test_what_the_file_lost_cannot_be_filled(void **given)
{
	struct mapping mapping;
	assert_int_equal(mapping_init(&mapping, file, 0, BYTES), 0);
	assert_int_equal(ftruncate(file, LARGE), 0);
	assert_false(mapping_fill(&mapping, LARGE, BYTES));
	mapping_finish(&mapping);
}

static void test_memory_is_zeroed_and_aligned(void **given)
{
	static const size_t sizes[] = { 1, 4096, LARGE + 64, 3 * LARGE };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *memory = mapping_memory(sizes[i]);
		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % LARGE, 0);
		assert_int_equal(memory[0] | memory[sizes[i] - 1], 0);
		memset(memory, 1, sizes[i]);
		mapping_memory_free(memory, sizes[i]);
	}
	assert_null(mapping_memory(SIZE_MAX / 2));
	mapping_memory_free(NULL, 1);
}

static void test_no_file_is_an_error(void **given)
{
	struct mapping mapping;
	assert_int_not_equal(mapping_init(&mapping, -1, 0, 1), 0);
	assert_null(mapping.base);
	mapping_finish(&mapping);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_bytes_are_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_addresses_agree_with_offsets, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_the_file_lost_cannot_be_filled, set_up,
						tear_down),
		cmocka_unit_test(test_memory_is_zeroed_and_aligned),
		cmocka_unit_test(test_no_file_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
