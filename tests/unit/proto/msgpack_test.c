#include "proto/msgpack.h"

#include "proto/fields.h"

#include <math.h>
#include <msgpack/object.h>
#include <msgpack/unpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int check(const void *bytes, size_t size)
{
	/* an exact copy, so that a sanitizer sees a byte of over-read */
	uint8_t *exact = malloc(size ? size : 1);
	assert_non_null(exact);
	memcpy(exact, bytes, size);
	const int result = msgpack_check(exact, size, NULL);
	free(exact);
	return result;
}

#define GOOD(text) assert_int_equal(check(text, sizeof(text) - 1), 0)
#define BAD(text) assert_int_equal(check(text, sizeof(text) - 1), -FAIL_INVALID)

static void every_kind_of_value_is_walked(void **state)
{
	GOOD("\x00");
	GOOD("\x7f");
	GOOD("\xff");
	GOOD("\xc0");
	GOOD("\xc2");
	GOOD("\xc3");
	GOOD("\xcc\xff");
	GOOD("\xcd\x01\x02");
	GOOD("\xce\x01\x02\x03\x04");
	GOOD("\xcf\x01\x02\x03\x04\x05\x06\x07\x08");
	GOOD("\xd0\xff");
	GOOD("\xd3\x01\x02\x03\x04\x05\x06\x07\x08");
	GOOD("\xca\x01\x02\x03\x04");
	GOOD("\xcb\x01\x02\x03\x04\x05\x06\x07\x08");
	GOOD("\xa0");
	GOOD("\xa3""abc");
	GOOD("\xd9\x03""abc");
	GOOD("\xda\x00\x03""abc");
	GOOD("\xdb\x00\x00\x00\x03""abc");
	GOOD("\xc4\x00");
	GOOD("\xc5\x00\x01x");
	GOOD("\xc6\x00\x00\x00\x01x");
	GOOD("\x90");
	GOOD("\x93\x01\x02\x03");
	GOOD("\xdc\x00\x02\x01\x02");
	GOOD("\xdd\x00\x00\x00\x02\x01\x02");
	GOOD("\x81\x01\x02");
	GOOD("\xde\x00\x01\x01\x02");
	GOOD("\xdf\x00\x00\x00\x01\x01\x02");
	GOOD("\xd4\x05x");
	GOOD("\xd8\x05""0123456789abcdef");
	GOOD("\xc7\x02\x05xy");
	BAD("");
	BAD("\xc1");         /* never used */
	BAD("\x01\x02");     /* two values */
	BAD("\x92\x01");
	BAD("\x81\x01");
	BAD("\xa3""ab");
	BAD("\xcd\x01");
	BAD("\xc7\x02\x05x");
	BAD("\xd4\x05");
	BAD("\xcb\x01\x02\x03\x04\x05\x06\x07");
}

/* Five bytes that make msgpack-c 4 reserve 512 MiB, and their relatives. */
static void a_count_beyond_the_bytes_is_refused(void **state)
{
	BAD("\xdd\x00\xff\xff\xff");
	BAD("\xdd\xff\xff\xff\xff");
	BAD("\xdf\xff\xff\xff\xff");
	BAD("\xdf\x80\x00\x00\x00\x01\x01"); /* twice the count wraps in 32 bits */
	BAD("\xdc\xff\xff");
	BAD("\xdb\xff\xff\xff\xff");
	BAD("\xc6\xff\xff\xff\xff");
	BAD("\xc9\xff\xff\xff\xff");
	BAD("\x91\xdd\x00\x00\x00\x02\x01");
}

static void depth_has_a_limit(void **state)
{
	uint8_t bytes[MSGPACK_DEPTH_MAX + 2];
	memset(bytes, 0x91, sizeof(bytes));
	bytes[MSGPACK_DEPTH_MAX] = 0;
	assert_int_equal(check(bytes, MSGPACK_DEPTH_MAX + 1), 0);
	bytes[MSGPACK_DEPTH_MAX] = 0x91;
	bytes[MSGPACK_DEPTH_MAX + 1] = 0;
	assert_int_equal(check(bytes, MSGPACK_DEPTH_MAX + 2), -FAIL_INVALID);
}

static void the_number_of_values_has_a_limit(void **state)
{
	struct buf buf;
	buf_init(&buf);
	for (uint32_t extra = 0; extra < 2; extra++) {
		const uint32_t n = MSGPACK_VALUES_MAX - 1 + extra; /* and the array itself */
		buf_clear(&buf);
		msgpack_put_array(&buf, n);
		memset(buf_extend(&buf, n), 0, n);
		assert_int_equal(check(buf.data, buf.size), extra ? -FAIL_INVALID : 0);
	}
	buf_finish(&buf);
}

/* On input of two or three bytes of any kind we accept what msgpack-c accepts, but for the limits.
 */
static void we_agree_with_msgpack_c(void **state)
{
	for (uint32_t word = 0; word < 1u << 24; word += 1 + word / 70000 % 3) {
		const uint8_t bytes[3] = { (uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word };
		const uint8_t lead = bytes[0];
		if (lead == 0xdc || lead == 0xdd || lead == 0xde || lead == 0xdf)
			continue; /* msgpack-c would reserve what they claim */
		msgpack_zone zone;
		msgpack_object object;
		size_t offset = 0;
		if (!msgpack_zone_init(&zone, 256))
			fail_msg("no memory");
		const msgpack_unpack_return theirs = msgpack_unpack((const char *)bytes, 3, &offset,
								    &zone, &object);
		const bool whole = theirs == MSGPACK_UNPACK_SUCCESS && offset == 3;
		msgpack_zone_destroy(&zone);
		if (whole != (msgpack_check(bytes, 3, NULL) == 0))
			fail_msg("%02x %02x %02x: msgpack-c says %d", bytes[0], bytes[1], bytes[2],
				 theirs);
		if (word > 3000000)
			word += 97;
	}
}

static struct msgpack_reader reader_of(const struct buf *buf)
{
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, buf->data, buf->size);
	return reader;
}

static void numbers_come_back(void **state)
{
	static const uint64_t uints[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX,
					  1ull << 32, INT64_MAX, UINT64_MAX };
	static const int64_t ints[] = { 0, -1, -32, -33, -128, -129, -32768, -32769, INT32_MIN,
					INT32_MIN - 1ll, INT64_MIN, 5, 200, INT64_MAX };
	static const double doubles[] = { 0, -0.0, 1.5, -3e300, 0x1p-1074 };
	struct buf buf;
	buf_init(&buf);
	for (size_t i = 0; i < sizeof(uints) / sizeof(uints[0]); i++)
		msgpack_put_uint(&buf, uints[i]);
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
		msgpack_put_int(&buf, ints[i]);
	for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
		msgpack_put_double(&buf, doubles[i]);
	msgpack_put_float(&buf, 0.1f);
	msgpack_put_bool(&buf, true);
	msgpack_put_bool(&buf, false);
	struct msgpack_reader reader = reader_of(&buf);
	for (size_t i = 0; i < sizeof(uints) / sizeof(uints[0]); i++)
		assert_true(msgpack_uint(&reader, UINT64_MAX) == uints[i]);
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
		assert_true(msgpack_int(&reader) == ints[i]);
	for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
		assert_true(msgpack_double(&reader) == doubles[i]);
	assert_true((float)msgpack_double(&reader) == 0.1f);
	assert_true(msgpack_bool(&reader));
	assert_false(msgpack_bool(&reader));
	assert_false(reader.failed);
	msgpack_bool(&reader); /* there is no more */
	assert_true(reader.failed);
	buf_finish(&buf);
}

static void what_is_out_of_range_fails_for_good(void **state)
{
	struct buf buf;
	buf_init(&buf);
	msgpack_put_uint(&buf, 10);
	msgpack_put_uint(&buf, 11);
	msgpack_put_uint(&buf, 1);
	struct msgpack_reader reader = reader_of(&buf);
	assert_int_equal(msgpack_uint(&reader, 10), 10);
	assert_int_equal(msgpack_uint(&reader, 10), 0);
	assert_true(reader.failed);
	assert_int_equal(msgpack_uint(&reader, 10), 0);
	buf_clear(&buf);
	msgpack_put_int(&buf, -1);
	reader = reader_of(&buf);
	msgpack_uint(&reader, UINT64_MAX);
	assert_true(reader.failed);
	buf_clear(&buf);
	msgpack_put_uint(&buf, 1ull << 63);
	reader = reader_of(&buf);
	msgpack_int(&reader);
	assert_true(reader.failed);
	static const double wrong[] = { NAN, INFINITY, -INFINITY };
	for (int i = 0; i < 3; i++) {
		buf_clear(&buf);
		msgpack_put_double(&buf, wrong[i]);
		reader = reader_of(&buf);
		assert_true(msgpack_double(&reader) == 0);
		assert_true(reader.failed);
	}
	buf_finish(&buf);
}

static void texts_and_binaries_have_exact_limits(void **state)
{
	struct buf buf;
	char text[5];
	size_t size;
	buf_init(&buf);
	msgpack_put_text(&buf, "abcd");
	struct msgpack_reader reader = reader_of(&buf);
	msgpack_text(&reader, text, sizeof(text));
	assert_string_equal(text, "abcd");
	reader = reader_of(&buf);
	msgpack_text(&reader, text, 4); /* no room for the terminator */
	assert_true(reader.failed);
	assert_string_equal(text, "");
	buf_clear(&buf);
	msgpack_put_text(&buf, "a\nb"); /* what we send can be read */
	reader = reader_of(&buf);
	msgpack_text(&reader, text, sizeof(text));
	assert_string_equal(text, "a?b");
	assert_int_equal(buf.data[2], '?');
	buf.data[2] = '\n'; /* what others send is refused */
	reader = reader_of(&buf);
	msgpack_text(&reader, text, sizeof(text));
	assert_true(reader.failed);
	buf_clear(&buf);
	msgpack_put_bin(&buf, "abcd", 4);
	reader = reader_of(&buf);
	assert_memory_equal(msgpack_bin(&reader, 4, 4, &size), "abcd", 4);
	assert_int_equal(size, 4);
	reader = reader_of(&buf);
	assert_null(msgpack_bin(&reader, 5, 9, &size));
	reader = reader_of(&buf);
	assert_null(msgpack_bin(&reader, 0, 3, &size));
	reader = reader_of(&buf);
	msgpack_text(&reader, text, sizeof(text)); /* a binary is no text */
	assert_true(reader.failed);
	buf_finish(&buf);
}

/* ---- fields ---- */

struct inner {
	uint8_t small;
};

struct outer {
	uint16_t number;
	int64_t offset;
	bool flag;
	float narrow;
	double wide;
	char text[4];
	uint8_t bytes[3];
	struct inner one;
	uint16_t n_list;
	struct inner list[2];
	uint32_t n_uints;
	uint32_t uints[3];
	uint32_t n_units;
	const uint8_t *units;
	uint32_t n_words;
	const uint32_t *words;
};

static const struct field inner_field[] = { F_UINT(struct inner, small, 9) };
static const struct fields inner_fields = { FIELDS_N(inner_field), inner_field };
static const struct field outer_field[] = {
	F_UINT(struct outer, number, 1000),
	F_INT(struct outer, offset),
	F_BOOL(struct outer, flag),
	F_FLOAT(struct outer, narrow, 0, 1),
	F_DOUBLE(struct outer, wide, -5, 5),
	F_TEXT(struct outer, text),
	F_BYTES(struct outer, bytes),
	F_STRUCT(struct outer, one, &inner_fields),
	F_LIST(struct outer, list, n_list, 2, &inner_fields),
	F_UINTS(struct outer, uints, n_uints, 3),
	F_VIEW(struct outer, units, n_units, 2, 5),
	F_WORDS(struct outer, words, n_words, 4),
};
static const struct fields outer_fields = { FIELDS_N(outer_field), outer_field };

static const struct outer full = {
	.number = 1000, .offset = -7, .flag = true, .narrow = 1, .wide = -5, .text = "abc",
	.bytes = { 1, 2, 3 }, .one = { 9 }, .n_list = 2, .list = { { 1 }, { 2 } },
	.n_uints = 3, .uints = { 0, 5, UINT32_MAX }, .n_units = 2,
	.units = (const uint8_t *)"0123456789", .n_words = 4,
	.words = (const uint32_t[]){ 1, 2, 3, UINT32_MAX },
};

static int decode(const struct buf *buf, struct outer *outer, struct buf *scratch,
		  struct fail *fail)
{
	memset(outer, 0, sizeof(*outer));
	return fields_decode(&outer_fields, "the thing", buf->data, buf->size, outer, scratch, fail);
}

static void a_struct_comes_back(void **state)
{
	struct buf buf, scratch;
	struct outer back;
	buf_init(&buf);
	buf_init(&scratch);
	fields_write(&outer_fields, &full, &buf);
	assert_int_equal(decode(&buf, &back, &scratch, NULL), 0);
	assert_int_equal(back.number, 1000);
	assert_int_equal(back.offset, -7);
	assert_true(back.flag);
	assert_true(back.narrow == 1 && back.wide == -5);
	assert_string_equal(back.text, "abc");
	assert_memory_equal(back.bytes, full.bytes, 3);
	assert_int_equal(back.one.small, 9);
	assert_int_equal(back.n_list, 2);
	assert_memory_equal(back.list, full.list, sizeof(back.list));
	assert_int_equal(back.n_uints, 3);
	assert_memory_equal(back.uints, full.uints, sizeof(back.uints));
	assert_int_equal(back.n_units, 2);
	assert_memory_equal(back.units, full.units, 10);
	assert_int_equal(back.n_words, 4);
	assert_memory_equal(back.words, full.words, 16);
	buf_finish(&buf);
	buf_finish(&scratch);
}

/* Each field one step beyond its limit: refused, and the sentence names it. */
static void every_limit_of_a_field_is_exact(void **state)
{
	struct buf buf, scratch;
	struct fail fail;
	struct outer back;
	buf_init(&buf);
	buf_init(&scratch);
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = { "number", "narrow", "wide", "small", "small" };
		struct outer wrong = full;
		wrong.number = i == 0 ? 1001 : 1000;
		wrong.narrow = i == 1 ? 1.0000001f : 1;
		wrong.wide = i == 2 ? -5.000000001 : -5;
		wrong.one.small = i == 3 ? 10 : 9;
		wrong.list[1].small = i == 4 ? 10 : 2;
		buf_clear(&buf);
		fields_write(&outer_fields, &wrong, &buf);
		assert_int_equal(decode(&buf, &back, &scratch, &fail), -FAIL_INVALID);
		char expected[64];
		snprintf(expected, sizeof(expected), "the thing has no valid field '%s'", names[i]);
		assert_string_equal(fail.text, expected);
	}
	buf_finish(&buf);
	buf_finish(&scratch);
}

/* The limit of a list is the reader's own: a writer of another opinion is refused. */
static void every_limit_of_a_list_is_exact(void **state)
{
	static const struct field other_field[] = {
		F_LIST(struct outer, list, n_list, 2, &inner_fields),
	};
	static const struct field one_field[] = {
		F_LIST(struct outer, list, n_list, 1, &inner_fields),
	};
	static const struct field three_field[] = { F_UINTS(struct outer, uints, n_uints, 3) };
	static const struct field two_field[] = { F_UINTS(struct outer, uints, n_uints, 2) };
	static const struct field units_field[] = { F_VIEW(struct outer, units, n_units, 2, 5) };
	static const struct field unit_field[] = { F_VIEW(struct outer, units, n_units, 1, 5) };
	static const struct field sixes_field[] = { F_VIEW(struct outer, units, n_units, 2, 6) };
	static const struct field words_field[] = { F_WORDS(struct outer, words, n_words, 4) };
	static const struct field few_field[] = { F_WORDS(struct outer, words, n_words, 3) };
	static const struct {
		const struct field *write, *read;
		int result;
	} cases[] = {
		{ other_field, other_field, 0 }, { other_field, one_field, -FAIL_INVALID },
		{ three_field, three_field, 0 }, { three_field, two_field, -FAIL_INVALID },
		{ units_field, units_field, 0 }, { units_field, unit_field, -FAIL_INVALID },
		{ units_field, sixes_field, -FAIL_INVALID }, /* 10 bytes are no whole units of 6 */
		{ words_field, words_field, 0 }, { words_field, few_field, -FAIL_INVALID },
	};
	struct buf buf, scratch;
	struct outer back;
	buf_init(&buf);
	buf_init(&scratch);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fields write = { 1, cases[i].write }, read = { 1, cases[i].read };
		buf_clear(&buf);
		fields_write(&write, &full, &buf);
		assert_int_equal(fields_decode(&read, "x", buf.data, buf.size, &back, &scratch, NULL),
				 cases[i].result);
	}
	buf_finish(&buf);
	buf_finish(&scratch);
}

/* Two versions of a struct: minor 1 appended `number` to it, and to what it contains. */
static const struct field old_inner_field[] = { F_UINT(struct inner, small, 9) };
static const struct fields old_inner = { 1, old_inner_field };
static const struct field new_inner_field[] = { F_UINT(struct inner, small, 9),
						{ .name = "more", .kind = FIELD_UINT, .offset = 1,
						  .size = 1, .most = 9, .later = true } };
static const struct fields new_inner = { 2, new_inner_field };
struct wide_inner {
	struct inner first;
	uint8_t more;
};
struct home_of_inner {
	uint16_t n_list;
	struct wide_inner list[2];
	uint16_t number;
};
static const struct field old_field[] = {
	F_LIST(struct home_of_inner, list, n_list, 2, &old_inner),
};
static const struct fields old_version = { 1, old_field };
static const struct field new_field[] = {
	F_LIST(struct home_of_inner, list, n_list, 2, &new_inner),
	{ FIELD_AT(struct home_of_inner, number), .kind = FIELD_UINT, .size = 2, .most = 9,
	  .later = true },
};
static const struct fields new_version = { 2, new_field };

static int pass(const struct fields *writer, const struct fields *reader,
		const struct home_of_inner *from, struct home_of_inner *to)
{
	struct buf buf;
	buf_init(&buf);
	memset(to, 0, sizeof(*to));
	fields_write(writer, from, &buf);
	const int result = fields_decode(reader, "x", buf.data, buf.size, to, NULL, NULL);
	buf_finish(&buf);
	return result;
}

static void minor_versions_understand_each_other(void **state)
{
	const struct home_of_inner from = { 2, { { { 1 }, 5 }, { { 2 }, 6 } }, 7 };
	struct home_of_inner to;
	assert_int_equal(pass(&new_version, &new_version, &from, &to), 0);
	assert_memory_equal(&to, &from, sizeof(to));
	assert_int_equal(pass(&new_version, &old_version, &from, &to), 0);
	assert_int_equal(to.list[1].first.small, 2);
	assert_int_equal(to.number, 0);
	assert_int_equal(pass(&old_version, &new_version, &from, &to), 0);
	assert_int_equal(to.list[1].first.small, 2);
	assert_int_equal(to.list[1].more, 0);
	assert_int_equal(to.number, 0);
}

/* What the first version had must be there, whoever writes. */
static void missing_fields_are_refused(void **state)
{
	struct buf buf, scratch;
	struct fail fail;
	struct outer back;
	buf_init(&buf);
	buf_init(&scratch);
	fields_write(&outer_fields, &full, &buf);
	const uint8_t n = FIELDS_N(outer_field);
	assert_int_equal(buf.data[0], 0x90 | n);
	buf_append(&buf, "\x92\xc0\x81\x01\xc4\x01x", 7); /* [nil, {1: bin}]: more is fine */
	buf.data[0] = 0x90 | (n + 1);
	assert_int_equal(decode(&buf, &back, &scratch, NULL), 0);
	assert_int_equal(back.n_words, 4);
	const struct fields fewer = { n - 1, outer_field };
	buf_clear(&buf);
	fields_write(&fewer, &full, &buf);
	assert_int_equal(decode(&buf, &back, &scratch, &fail), -FAIL_INVALID);
	assert_string_equal(fail.text, "the thing has no valid field 'words'");
	buf_clear(&buf);
	msgpack_put_array(&buf, 0);
	assert_int_equal(decode(&buf, &back, &scratch, &fail), -FAIL_INVALID);
	assert_string_equal(fail.text, "the thing has no valid field 'number'");
	buf_clear(&buf);
	msgpack_put_uint(&buf, 1); /* no array at all */
	assert_int_equal(decode(&buf, &back, &scratch, &fail), -FAIL_INVALID);
	buf_finish(&buf);
	buf_finish(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_value_is_walked),
		cmocka_unit_test(a_count_beyond_the_bytes_is_refused),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(the_number_of_values_has_a_limit),
		cmocka_unit_test(we_agree_with_msgpack_c),
		cmocka_unit_test(numbers_come_back),
		cmocka_unit_test(what_is_out_of_range_fails_for_good),
		cmocka_unit_test(texts_and_binaries_have_exact_limits),
		cmocka_unit_test(a_struct_comes_back),
		cmocka_unit_test(every_limit_of_a_field_is_exact),
		cmocka_unit_test(every_limit_of_a_list_is_exact),
		cmocka_unit_test(minor_versions_understand_each_other),
		cmocka_unit_test(missing_fields_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
