#include "gguf_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void small_file(struct gguf_build *build)
{
	build_init(build);
	build_string(build, "general.architecture", "test");
	build_u32(build, "number", 7);
	build_f32(build, "fraction", 0.5f);
	if (build_array(build, "list", GGUF_I16, 2)) {
		buf_u16(&build->keys, 5);
		buf_u16(&build->keys, 0xffff);
	}
	if (build_array(build, "words", GGUF_STRING, 2)) {
		build_text(&build->keys, "one");
		build_text(&build->keys, "");
	}
	build_tensor(build, "a", TENSOR_F32, 3, 0);
	build_tensor(build, "b", TENSOR_Q4_K, 256, 2);
}

static void parse_small(struct gguf **gguf, struct buf *file)
{
	struct gguf_build build;
	struct fail fail = { 0 };
	small_file(&build);
	buf_init(file);
	build_file(&build, file);
	build_finish(&build);
	*gguf = gguf_parse(file->data, file->size, file->size, &fail);
	if (!*gguf)
		fail_msg("%s", fail.text);
}

static void gives_values(void **state)
{
	(void)state;
	struct gguf *gguf;
	struct buf file;
	parse_small(&gguf, &file);
	uint64_t number;
	double fraction;
	const char *text;
	size_t size;
	bool flag;
	assert_true(gguf_u64(gguf, "number", &number));
	assert_int_equal(number, 7);
	assert_true(gguf_f64(gguf, "fraction", &fraction));
	assert_true(fraction == 0.5);
	assert_true(gguf_string(gguf, "general.architecture", &text, &size));
	assert_int_equal(size, 4);
	assert_memory_equal(text, "test", 4);
	assert_true(gguf_has(gguf, "list"));
	assert_false(gguf_has(gguf, "lis"));
	/* of another kind */
	assert_false(gguf_u64(gguf, "fraction", &number));
	assert_false(gguf_f64(gguf, "number", &fraction));
	assert_false(gguf_string(gguf, "number", &text, &size));
	assert_false(gguf_bool(gguf, "number", &flag));
	assert_false(gguf_u64(gguf, "missing", &number));
	gguf_close(gguf);
	buf_finish(&file);
}

static void gives_arrays(void **state)
{
	(void)state;
	struct gguf *gguf;
	struct buf file;
	parse_small(&gguf, &file);
	struct gguf_array array;
	uint64_t number;
	assert_true(gguf_array(gguf, "list", &array));
	assert_int_equal(array.type, GGUF_I16);
	assert_int_equal(array.count, 2);
	assert_int_equal(array.size, 4);
	assert_true(gguf_array_u64(&array, 0, &number));
	assert_int_equal(number, 5);
	assert_false(gguf_array_u64(&array, 1, &number)); /* negative */
	assert_false(gguf_array_u64(&array, 2, &number)); /* past the end */
	assert_true(gguf_array(gguf, "words", &array));
	assert_int_equal(array.type, GGUF_STRING);
	assert_int_equal(array.size, 8 + 3 + 8);
	assert_false(gguf_array_u64(&array, 0, &number));
	assert_false(gguf_array(gguf, "number", &array));
	gguf_close(gguf);
	buf_finish(&file);
}

static void gives_tensors(void **state)
{
	(void)state;
	struct gguf *gguf;
	struct buf file;
	parse_small(&gguf, &file);
	assert_int_equal(gguf_tensor_count(gguf), 2);
	const struct gguf_tensor *a = gguf_tensor_find(gguf, "a");
	const struct gguf_tensor *b = gguf_tensor_find(gguf, "b");
	assert_ptr_equal(a, gguf_tensor_at(gguf, 0));
	assert_null(gguf_tensor_at(gguf, 2));
	assert_null(gguf_tensor_find(gguf, "c"));
	assert_int_equal(a->bytes, 12);
	assert_int_equal(a->offset, gguf_data_offset(gguf));
	assert_int_equal(a->dims[1], 1);
	assert_int_equal(b->bytes, 2 * 144);
	assert_int_equal(b->offset, gguf_data_offset(gguf) + 32);
	assert_int_equal(b->offset + b->bytes, gguf_file_size(gguf));
	assert_int_equal(gguf_data_offset(gguf) % 32, 0);
	gguf_close(gguf);
	buf_finish(&file);
}

/* Each integer type at its ends. */
static void reads_every_integer_type(void **state)
{
	(void)state;
	static const struct {
		uint32_t type, width;
		uint64_t bits;
		bool good;
	} rows[] = {
		{ GGUF_U8, 1, 255, true },          { GGUF_I8, 1, 127, true },
		{ GGUF_I8, 1, 128, false },         { GGUF_U16, 2, 65535, true },
		{ GGUF_I16, 2, 32768, false },      { GGUF_U32, 4, UINT32_MAX, true },
		{ GGUF_I32, 4, INT32_MAX, true },   { GGUF_I32, 4, UINT32_MAX, false },
		{ GGUF_U64, 8, UINT64_MAX, true },  { GGUF_I64, 8, INT64_MAX, true },
		{ GGUF_I64, 8, UINT64_MAX, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gguf_build build;
		struct buf file;
		build_init(&build);
		buf_init(&file);
		build_key(&build, "n", rows[i].type);
		uint8_t bytes[8];
		store_u64le(bytes, rows[i].bits);
		buf_append(&build.keys, bytes, rows[i].width);
		build_file(&build, &file);
		struct gguf *gguf = gguf_parse(file.data, file.size, file.size, NULL);
		assert_non_null(gguf);
		uint64_t value;
		assert_int_equal(gguf_u64(gguf, "n", &value), rows[i].good);
		if (rows[i].good)
			assert_true(value == rows[i].bits);
		gguf_close(gguf);
		build_finish(&build);
		buf_finish(&file);
	}
}

static void reads_version_2_and_other_alignments(void **state)
{
	(void)state;
	for (uint32_t alignment = 8; alignment <= 65536; alignment *= 2) {
		struct gguf_build build;
		struct buf file;
		struct fail fail = { 0 };
		build_init(&build);
		buf_init(&file);
		build.version = 2;
		build.alignment = alignment;
		build_u32(&build, "general.alignment", alignment);
		build_tensor(&build, "a", TENSOR_F32, 2, 0);
		build_tensor(&build, "b", TENSOR_F32, 2, 0);
		build_file(&build, &file);
		struct gguf *gguf = gguf_parse(file.data, file.size, file.size, &fail);
		if (!gguf)
			fail_msg("%s", fail.text);
		assert_int_equal(gguf_tensor_at(gguf, 1)->offset,
				 gguf_data_offset(gguf) + alignment);
		gguf_close(gguf);
		build_finish(&build);
		buf_finish(&file);
	}
}

/* Metadata without data, as a member gets it first; and a vocabulary alone, without padding. */
static void reads_metadata_alone(void **state)
{
	(void)state;
	struct gguf *whole;
	struct buf file;
	parse_small(&whole, &file);
	const size_t size = gguf_data_offset(whole);
	struct gguf *gguf = gguf_parse(file.data, size, file.size, NULL);
	assert_non_null(gguf);
	assert_int_equal(gguf_file_size(gguf), file.size);
	gguf_close(gguf);
	/* but the size it claims must cover the tensors */
	struct fail fail;
	assert_null(gguf_parse(file.data, size, file.size - 1, &fail));
	assert_non_null(strstr(fail.text, "past the file's end"));
	gguf_close(whole);
	buf_finish(&file);

	struct gguf_build build;
	build_init(&build);
	build_u32(&build, "n", 1);
	build_header(&build, &file);
	const size_t exact = 24 + build.keys.size;
	gguf = gguf_parse(file.data, exact, exact, NULL);
	assert_non_null(gguf);
	assert_int_equal(gguf_data_offset(gguf), exact);
	gguf_close(gguf);
	build_finish(&build);
	buf_finish(&file);
}

/* A file whose metadata is larger than what is read at first; its data section is a hole. */
static void opens_a_file_with_much_metadata(void **state)
{
	(void)state;
	const uint32_t count = 300000;
	struct gguf_build build;
	struct buf file;
	build_init(&build);
	buf_init(&file);
	assert_true(build_array(&build, "words", GGUF_STRING, count));
	for (uint32_t i = 0; i < count; i++)
		build_text(&build.keys, "a word");
	build_u32(&build, "after", 9);
	build_tensor(&build, "a", TENSOR_F32, 1 << 20, 0);
	build_header(&build, &file);
	assert_true(file.size > 4u << 20);

	char path[] = "/tmp/gguf_test.XXXXXX";
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file.data, file.size), file.size);
	assert_int_equal(ftruncate(fd, (off_t)(file.size + build.data_bytes)), 0);
	struct fail fail = { 0 };
	struct gguf *gguf = gguf_open(path, &fail);
	if (!gguf)
		fail_msg("%s", fail.text);
	uint64_t value = 0;
	struct gguf_array words;
	assert_true(gguf_u64(gguf, "after", &value));
	assert_int_equal(value, 9);
	assert_true(gguf_array(gguf, "words", &words));
	assert_int_equal(words.count, count);
	assert_memory_equal(gguf_metadata(gguf), file.data, file.size);
	gguf_close(gguf);

	assert_int_equal(ftruncate(fd, (off_t)file.size), 0);
	assert_null(gguf_open(path, &fail));
	assert_non_null(strstr(fail.text, path)); /* the sentence names the file */
	close(fd);
	unlink(path);
	build_finish(&build);
	buf_finish(&file);
}

static void refuses_what_is_no_file(void **state)
{
	(void)state;
	struct fail fail;
	assert_null(gguf_open("/nonexistent/model.gguf", &fail));
	assert_int_equal(fail.code, FAIL_NOT_FOUND);
	assert_null(gguf_open("/tmp", &fail));
	assert_non_null(strstr(fail.text, "not a regular file"));
	gguf_close(NULL);
}

/* Tensors may stand in any order in the file, with gaps, but never over each other. */
static void admits_gaps_and_any_order(void **state)
{
	(void)state;
	static const struct {
		uint64_t offsets[2];
		bool good;
	} rows[] = {
		{ { 64, 0 }, true },
		{ { 0, 128 }, true },
		{ { 32, 0 }, true },
		{ { 0, 0 }, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gguf_build build;
		struct buf file;
		build_init(&build);
		buf_init(&file);
		for (uint32_t j = 0; j < 2; j++) {
			build.data_bytes = rows[i].offsets[j];
			build_tensor(&build, j ? "b" : "a", TENSOR_F32, 8, 0);
		}
		build.data_bytes = 256;
		build_file(&build, &file);
		struct fail fail = { 0 };
		struct gguf *gguf = gguf_parse(file.data, file.size, file.size, &fail);
		assert_int_equal(gguf != NULL, rows[i].good);
		if (!gguf)
			assert_non_null(strstr(fail.text, "overlap"));
		gguf_close(gguf);
		build_finish(&build);
		buf_finish(&file);
	}
}

/* However short it is cut: a sentence, never a read past the end (run under a sanitizer). */
static void survives_every_cut(void **state)
{
	(void)state;
	struct gguf *gguf;
	struct buf file;
	parse_small(&gguf, &file);
	for (size_t size = 0; size < file.size; size++) {
		uint8_t *exact = malloc(size ? size : 1);
		assert_non_null(exact);
		memcpy(exact, file.data, size);
		struct fail fail = { 0 };
		assert_null(gguf_parse(exact, size, size, &fail));
		assert_int_not_equal(fail.code, FAIL_NONE);
		assert_true(strlen(fail.text) > 10);
		/* the same bytes as metadata of a file that claims to have more */
		fail = (struct fail){ 0 };
		struct gguf *part = gguf_parse(exact, size, file.size, &fail);
		assert_int_equal(part != NULL, size >= gguf_data_offset(gguf));
		assert_int_equal(part == NULL, fail.code != FAIL_NONE);
		gguf_close(part);
		free(exact);
	}
	gguf_close(gguf);
	buf_finish(&file);
}

static void knows_types(void **state)
{
	(void)state;
	assert_string_equal(tensor_type_name(TENSOR_Q4_K), "Q4_K");
	assert_string_equal(tensor_type_name(4), "unknown");
	assert_string_equal(tensor_type_name(UINT32_MAX), "unknown");
	assert_int_equal(tensor_type_block(TENSOR_Q6_K), 256);
	assert_int_equal(tensor_type_block_bytes(TENSOR_Q6_K), 210);
	assert_int_equal(tensor_type_block(97), 0);
	static const uint32_t supported[] = {
		TENSOR_F32,    TENSOR_F16,     TENSOR_BF16,  TENSOR_Q4_0,    TENSOR_Q4_1,
		TENSOR_Q5_0,   TENSOR_Q5_1,    TENSOR_Q8_0,  TENSOR_Q2_K,    TENSOR_Q3_K,
		TENSOR_Q4_K,   TENSOR_Q5_K,    TENSOR_Q6_K,  TENSOR_IQ2_XXS, TENSOR_IQ2_XS,
		TENSOR_IQ2_S,  TENSOR_IQ3_XXS, TENSOR_IQ3_S, TENSOR_IQ1_S,   TENSOR_IQ1_M,
		TENSOR_IQ4_NL, TENSOR_IQ4_XS,  TENSOR_MXFP4
	};
	uint32_t count = 0;
	for (uint32_t type = 0; type < 200; type++)
		count += tensor_type_supported(type);
	assert_int_equal(count, sizeof(supported) / sizeof(supported[0]));
	for (size_t i = 0; i < sizeof(supported) / sizeof(supported[0]); i++)
		assert_true(tensor_type_supported(supported[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_values),
		cmocka_unit_test(gives_arrays),
		cmocka_unit_test(gives_tensors),
		cmocka_unit_test(reads_every_integer_type),
		cmocka_unit_test(reads_version_2_and_other_alignments),
		cmocka_unit_test(reads_metadata_alone),
		cmocka_unit_test(opens_a_file_with_much_metadata),
		cmocka_unit_test(refuses_what_is_no_file),
		cmocka_unit_test(admits_gaps_and_any_order),
		cmocka_unit_test(survives_every_cut),
		cmocka_unit_test(knows_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
