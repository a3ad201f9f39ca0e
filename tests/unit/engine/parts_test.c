/* A model in several parts, made from a whole one: parts_test MODEL FOLDER. */
#include "compute/parts.h"

#include "base/buf.h"
#include "compute/gguf.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PARTS 3u

static const char *whole_path, *folder;

/* What a part says of itself; the right numbers unless a test wants others. */
struct claim {
	uint32_t number, count, tensors;
};

static void part_path(char path[PATH_MAX], uint32_t part)
{
	snprintf(path, PATH_MAX, "%s/cut-%05u-of-%05u.gguf", folder, part + 1, PARTS);
}

static void put_text(struct buf *buf, const char *text)
{
	buf_u64(buf, strlen(text));
	buf_text(buf, text);
}

static void put_number(struct buf *buf, const char *key, uint32_t value)
{
	put_text(buf, key);
	buf_u32(buf, GGUF_U32);
	buf_u32(buf, value);
}

/* Keys of a part: those of the whole file come with the first. Gives how many. */
static uint64_t put_keys(struct buf *buf, const struct gguf *whole, uint32_t part,
			 struct claim claim)
{
	struct gguf_record record;
	uint64_t n = 3;
	for (uint32_t i = 0; part == 0 && gguf_record_at(whole, i, &record); i++, n++)
		buf_append(buf, record.bytes, record.size);
	put_number(buf, "split.no", claim.number);
	put_number(buf, "split.count", claim.count);
	put_number(buf, "split.tensors.count", claim.tensors);
	return n;
}

/* Tensor i goes to part i % PARTS. */
static uint64_t put_tensors(struct buf *buf, struct buf *data, const struct gguf *whole, int fd,
			    uint32_t part)
{
	uint64_t n = 0;
	for (uint32_t i = part; i < gguf_tensor_count(whole); i += PARTS, n++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(whole, i);
		put_text(buf, tensor->name);
		buf_u32(buf, tensor->n_dims);
		for (uint32_t d = 0; d < tensor->n_dims; d++)
			buf_u64(buf, tensor->dims[d]);
		buf_u32(buf, tensor->type);
		buf_u64(buf, data->size);
		uint8_t *bytes = buf_extend(data, tensor->bytes);
		assert_int_equal(pread(fd, bytes, tensor->bytes, (off_t)tensor->offset),
				 tensor->bytes);
		while (data->size % 32)
			buf_u8(data, 0xee); /* not what the joined file has there */
	}
	return n;
}

static void write_part(const struct gguf *whole, int fd, uint32_t part, struct claim claim)
{
	char path[PATH_MAX];
	struct buf keys = { 0 }, tensors = { 0 }, data = { 0 }, head = { 0 };
	const uint64_t n_keys = put_keys(&keys, whole, part, claim);
	const uint64_t n_tensors = put_tensors(&tensors, &data, whole, fd, part);
	buf_text(&head, "GGUF");
	buf_u32(&head, 3);
	buf_u64(&head, n_tensors);
	buf_u64(&head, n_keys);
	buf_append(&head, keys.data, keys.size);
	buf_append(&head, tensors.data, tensors.size);
	while (head.size % 32)
		buf_u8(&head, 0);
	part_path(path, part);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(head.data, 1, head.size, file), head.size);
	assert_int_equal(fwrite(data.data, 1, data.size, file), data.size);
	assert_int_equal(fclose(file), 0);
	buf_finish(&keys);
	buf_finish(&tensors);
	buf_finish(&data);
	buf_finish(&head);
}

/* All parts, the last one with a claim of its own. */
static struct gguf *write_parts(int *fd, const struct claim *last)
{
	struct gguf *whole = gguf_open(whole_path, NULL);
	*fd = open(whole_path, O_RDONLY);
	assert_non_null(whole);
	assert_true(*fd >= 0);
	for (uint32_t part = 0; part < PARTS; part++) {
		const struct claim right = { part, PARTS, gguf_tensor_count(whole) };
		write_part(whole, *fd, part, last && part == PARTS - 1 ? *last : right);
	}
	return whole;
}

static void same_tensors(const struct gguf *whole, int fd, const struct gguf *joined,
			 const uint8_t *bytes)
{
	assert_int_equal(gguf_tensor_count(joined), gguf_tensor_count(whole));
	for (uint32_t i = 0; i < gguf_tensor_count(whole); i++) {
		const struct gguf_tensor *from = gguf_tensor_at(whole, i);
		const struct gguf_tensor *to = gguf_tensor_find(joined, from->name);
		assert_non_null(to);
		assert_int_equal(to->type, from->type);
		assert_memory_equal(to->dims, from->dims, sizeof(to->dims));
		uint8_t *expected = malloc(from->bytes);
		assert_int_equal(pread(fd, expected, from->bytes, (off_t)from->offset),
				 from->bytes);
		assert_memory_equal(bytes + to->offset, expected, from->bytes);
		free(expected);
	}
}

static void parts_read_as_one_file(void **unused)
{
	int fd;
	char path[PATH_MAX];
	struct fail fail = { 0 };
	struct gguf *whole = write_parts(&fd, NULL);
	part_path(path, 0);
	struct parts *parts = parts_open(path, &fail);
	assert_string_equal(fail.text, "");
	assert_non_null(parts);
	assert_int_equal(parts_count(parts), PARTS);
	const uint64_t size = parts_size(parts);
	uint8_t *bytes = malloc(size);
	for (uint64_t at = 0; at < size; at += 997) /* across every border */
		assert_int_equal(
			parts_read(parts, at, bytes + at, size - at < 997 ? size - at : 997, &fail),
			0);
	struct gguf *joined = gguf_parse(bytes, size, size, &fail);
	assert_non_null(joined);
	assert_false(gguf_has(joined, "split.count"));
	assert_true(gguf_has(joined, "general.architecture"));
	same_tensors(whole, fd, joined, bytes);
	gguf_close(joined);
	free(bytes);
	parts_close(parts);
	gguf_close(whole);
	close(fd);
}

static void a_whole_file_is_read_as_it_is(void **unused)
{
	uint8_t ours[4096], theirs[4096];
	struct parts *parts = parts_open(whole_path, NULL);
	const int fd = open(whole_path, O_RDONLY);
	assert_non_null(parts);
	assert_int_equal(parts_count(parts), 1);
	assert_int_equal(parts_size(parts), lseek(fd, 0, SEEK_END));
	assert_int_equal(parts_read(parts, 100, ours, sizeof(ours), NULL), 0);
	assert_int_equal(pread(fd, theirs, sizeof(theirs), 100), sizeof(theirs));
	assert_memory_equal(ours, theirs, sizeof(ours));
	parts_close(parts);
	close(fd);
}

static void expect_refused(const struct claim *last, uint32_t named, const char *sentence)
{
	int fd;
	char path[PATH_MAX];
	struct fail fail = { 0 };
	gguf_close(write_parts(&fd, last));
	close(fd);
	part_path(path, named);
	assert_null(parts_open(path, &fail));
	if (!strstr(fail.text, sentence))
		fail_msg("\"%s\" lacks \"%s\"", fail.text, sentence);
}

static void parts_that_do_not_fit_are_refused(void **unused)
{
	struct gguf *whole = gguf_open(whole_path, NULL);
	const uint32_t n = gguf_tensor_count(whole);
	gguf_close(whole);
	expect_refused(&(struct claim){ 1, PARTS, n }, 0,
		       "cut-00003-of-00003.gguf does not belong");
	expect_refused(&(struct claim){ 2, PARTS + 1, n }, 0, "does not belong");
	expect_refused(&(struct claim){ 2, PARTS, n + 1 }, 0, "does not belong");
	expect_refused(NULL, 2, "is part 3 of a model in 3 parts; name the first");
}

/* A part becomes shorter between the look at its header and the reading. */
static void a_part_cut_short_is_noticed(void **unused)
{
	int fd;
	char path[PATH_MAX];
	struct fail fail = { 0 };
	gguf_close(write_parts(&fd, NULL));
	close(fd);
	part_path(path, 0);
	struct parts *parts = parts_open(path, NULL);
	part_path(path, 2);
	assert_int_equal(truncate(path, 64), 0);
	const uint64_t size = parts_size(parts);
	uint8_t *bytes = malloc(size);
	assert_int_equal(parts_read(parts, 0, bytes, size, &fail), -FAIL_CORRUPT);
	assert_non_null(strstr(fail.text, "cut-00003-of-00003.gguf became shorter"));
	free(bytes);
	parts_close(parts);
}

static void stems(void **unused)
{
	assert_int_equal(parts_stem("a-00001-of-00003.gguf"), 1);
	assert_int_equal(parts_stem("a-0001-of-00003.gguf"), 15);
	assert_int_equal(parts_stem("a-00001-of-00003.ggu"), 20);
	assert_int_equal(parts_stem("a.gguf"), 1);
	assert_int_equal(parts_stem(".gguf"), 5);
	assert_int_equal(parts_stem(""), 0);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_read_as_one_file),
		cmocka_unit_test(a_whole_file_is_read_as_it_is),
		cmocka_unit_test(parts_that_do_not_fit_are_refused),
		cmocka_unit_test(a_part_cut_short_is_noticed),
		cmocka_unit_test(stems),
	};
	if (argc != 3) {
		fprintf(stderr, "usage: parts_test MODEL FOLDER\n");
		return 2;
	}
	whole_path = argv[1];
	folder = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
