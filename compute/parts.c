#include "compute/parts.h"

#include "base/buf.h"
#include "compute/gguf.h"
#include "compute/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX       ".gguf"
#define SUFFIX_BYTES (sizeof(SUFFIX) - 1)
#define NUMBER_BYTES 15u /* "-00001-of-00003" */

/* Bytes that lie together in a part and in the joined file. */
struct span {
	uint64_t at; /* in the joined file */
	uint64_t bytes;
	uint64_t offset; /* in the part */
	uint32_t part;
};

struct parts {
	char *path; /* of the first */
	uint32_t count;
	uint64_t size;
	struct buf head; /* the joined file's metadata; empty for a whole file */
	struct span *spans;
	uint32_t n_spans;
	int fd; /* of `open_part`, or -1 */
	uint32_t open_part;
};

/* ---- names ---- */

static bool read_five(const char *text, uint32_t *number)
{
	*number = 0;
	for (int i = 0; i < 5; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*number = 10 * *number + (uint32_t)(text[i] - '0');
	}
	return true;
}

/* The two numbers of a part's name. */
static bool read_name(const char *path, uint32_t *number, uint32_t *count)
{
	const size_t length = strlen(path);
	if (length < NUMBER_BYTES + SUFFIX_BYTES)
		return false;
	const char *at = path + length - NUMBER_BYTES - SUFFIX_BYTES;
	return at[0] == '-' && read_five(at + 1, number) && strncmp(at + 6, "-of-", 4) == 0 &&
	       read_five(at + 10, count) && strcmp(at + NUMBER_BYTES, SUFFIX) == 0;
}

size_t parts_stem(const char *path)
{
	uint32_t number, count;
	const size_t length = strlen(path);
	if (read_name(path, &number, &count))
		return length - NUMBER_BYTES - SUFFIX_BYTES;
	if (length > SUFFIX_BYTES && strcmp(path + length - SUFFIX_BYTES, SUFFIX) == 0)
		return length - SUFFIX_BYTES;
	return length;
}

static void part_path(const struct parts *parts, uint32_t part, char path[PATH_MAX])
{
	if (parts->count == 1)
		snprintf(path, PATH_MAX, "%s", parts->path);
	else
		snprintf(path, PATH_MAX, "%.*s-%05" PRIu32 "-of-%05" PRIu32 SUFFIX,
			 (int)parts_stem(parts->path), parts->path, part + 1, parts->count);
}

/* ---- the parts' own headers ---- */

/* Names what is not there, at the cost of a look at each. */
static bool all_there(const struct parts *parts, struct fail *fail)
{
	char path[PATH_MAX], first[PATH_MAX];
	uint32_t missing = 0;
	for (uint32_t i = 0; i < parts->count; i++) {
		part_path(parts, i, path);
		if (access(path, F_OK) == 0)
			continue;
		if (missing++ == 0)
			memcpy(first, path, sizeof(first));
	}
	if (missing == 1)
		fail_set(fail, FAIL_NOT_FOUND,
			 "%s is missing; a model in %" PRIu32 " parts needs all of them", first,
			 parts->count);
	else if (missing)
		fail_set(fail, FAIL_NOT_FOUND,
			 "%s and %" PRIu32 " more parts are missing; a model in %" PRIu32
			 " parts needs all of them",
			 first, missing - 1, parts->count);
	return missing == 0;
}

static bool same_architecture(const struct gguf *first, const struct gguf *part)
{
	const char *a, *b;
	size_t a_size, b_size;
	return !gguf_string(part, "general.architecture", &b,
			    &b_size) || /* parts may leave it out */
	       (gguf_string(first, "general.architecture", &a, &a_size) && a_size == b_size &&
		memcmp(a, b, a_size) == 0);
}

static struct gguf *open_part(const struct parts *parts, const struct gguf *first, uint32_t index,
			      uint64_t n_tensors, struct fail *fail)
{
	char path[PATH_MAX];
	uint64_t number = UINT64_MAX, count = 0, total = 0;
	part_path(parts, index, path);
	struct gguf *part = gguf_open(path, fail);
	if (!part)
		return NULL;
	gguf_u64(part, "split.no", &number);
	gguf_u64(part, "split.count", &count);
	gguf_u64(part, "split.tensors.count", &total);
	if (number == index && count == parts->count && total == n_tensors &&
	    same_architecture(first, part))
		return part;
	fail_set(
		fail, FAIL_INVALID,
		"%s does not belong to %s: its keys split.no, split.count, split.tensors.count and "
		"general.architecture do not fit; fetch it again",
		path, parts->path);
	gguf_close(part);
	return NULL;
}

/* ---- the joined header ---- */

static uint64_t padded(uint64_t size, uint32_t alignment)
{
	return (size + alignment - 1) / alignment * alignment;
}

static bool is_split_key(const struct gguf_record *record)
{
	return record->key_size > 6 && memcmp(record->key, "split.", 6) == 0;
}

static void put_keys(struct parts *parts, const struct gguf *first, uint64_t n_tensors)
{
	struct gguf_record record;
	uint64_t kept = 0;
	for (uint32_t i = 0; gguf_record_at(first, i, &record); i++)
		kept += !is_split_key(&record);
	buf_text(&parts->head, "GGUF");
	buf_u32(&parts->head, 3);
	buf_u64(&parts->head, n_tensors);
	buf_u64(&parts->head, kept);
	for (uint32_t i = 0; gguf_record_at(first, i, &record); i++)
		if (!is_split_key(&record))
			buf_append(&parts->head, record.bytes, record.size);
}

/* `at`: in the joined data section. */
static void put_tensor(struct parts *parts, const struct gguf_tensor *tensor, uint64_t at)
{
	buf_u64(&parts->head, strlen(tensor->name));
	buf_text(&parts->head, tensor->name);
	buf_u32(&parts->head, tensor->n_dims);
	for (uint32_t i = 0; i < tensor->n_dims; i++)
		buf_u64(&parts->head, tensor->dims[i]);
	buf_u32(&parts->head, tensor->type);
	buf_u64(&parts->head, at);
}

static bool put_part(struct parts *parts, const struct gguf *part, uint32_t index,
		     uint64_t n_tensors, uint32_t alignment, struct fail *fail)
{
	if (gguf_tensor_count(part) > n_tensors - parts->n_spans) {
		fail_set(fail, FAIL_INVALID,
			 "the parts of %s have more tensors than the %" PRIu64
			 " that they announce; fetch them again",
			 parts->path, n_tensors);
		return false;
	}
	for (uint32_t i = 0; i < gguf_tensor_count(part); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(part, i);
		put_tensor(parts, tensor, parts->size);
		parts->spans[parts->n_spans++] = (struct span){ .at = parts->size,
								.bytes = tensor->bytes,
								.offset = tensor->offset,
								.part = index };
		parts->size = padded(parts->size + tensor->bytes, alignment);
	}
	return true;
}

/* Pads the header; what was counted from the data section is counted from the file then. */
static bool end_head(struct parts *parts, uint32_t alignment, struct fail *fail)
{
	while (parts->head.size % alignment && !parts->head.failed)
		buf_u8(&parts->head, 0);
	if (parts->head.failed) {
		fail_set(fail, FAIL_MEMORY, "no memory for the metadata of %s", parts->path);
		return false;
	}
	for (uint32_t i = 0; i < parts->n_spans; i++)
		parts->spans[i].at += parts->head.size;
	parts->size += parts->head.size;
	return true;
}

static bool join(struct parts *parts, const struct gguf *first, uint64_t n_tensors,
		 struct fail *fail)
{
	const uint32_t alignment = gguf_alignment(first);
	put_keys(parts, first, n_tensors);
	for (uint32_t i = 0; i < parts->count; i++) {
		struct gguf *part = open_part(parts, first, i, n_tensors, fail);
		const bool good = part && put_part(parts, part, i, n_tensors, alignment, fail);
		gguf_close(part);
		if (!good)
			return false;
	}
	if (parts->n_spans == n_tensors)
		return end_head(parts, alignment, fail);
	fail_set(fail, FAIL_INVALID,
		 "the parts of %s have %" PRIu32 " tensors, not the %" PRIu64
		 " that they announce; fetch them again",
		 parts->path, parts->n_spans, n_tensors);
	return false;
}

/* ---- opening ---- */

static bool check_model(struct model *model)
{
	model_close(model);
	return model != NULL;
}

static bool open_several(struct parts *parts, const struct gguf *first, uint64_t count,
			 struct fail *fail)
{
	uint32_t number, named;
	uint64_t no = 0, n_tensors = 0;
	gguf_u64(first, "split.no", &no);
	gguf_u64(first, "split.tensors.count", &n_tensors);
	if (count > PARTS_LIMIT || n_tensors == 0 || n_tensors > GGUF_COUNT_LIMIT) {
		fail_set(fail, FAIL_INVALID,
			 "%s is malformed: it claims %" PRIu64 " parts with %" PRIu64 " tensors",
			 parts->path, count, n_tensors);
		return false;
	}
	if (no != 0 || !read_name(parts->path, &number, &named) || number != 1 || named != count) {
		fail_set(fail, FAIL_INVALID,
			 "%s is part %" PRIu64 " of a model in %" PRIu64
			 " parts; name the first, whose name must end in -00001-of-%05" PRIu64
			 ".gguf",
			 parts->path, no + 1, count, count);
		return false;
	}
	parts->count = (uint32_t)count;
	parts->spans = calloc(n_tensors, sizeof(*parts->spans));
	if (!parts->spans) {
		fail_set(fail, FAIL_MEMORY, "no memory to read %s", parts->path);
		return false;
	}
	return all_there(parts, fail) && join(parts, first, n_tensors, fail) &&
	       check_model(model_parse(parts->head.data, parts->head.size, parts->size, fail));
}

static bool open_whole(struct parts *parts, const struct gguf *gguf, struct fail *fail)
{
	parts->count = 1;
	parts->size = gguf_file_size(gguf);
	parts->n_spans = 1;
	parts->spans = calloc(1, sizeof(*parts->spans));
	if (!parts->spans) {
		fail_set(fail, FAIL_MEMORY, "no memory to read %s", parts->path);
		return false;
	}
	parts->spans[0].bytes = parts->size;
	return check_model(model_open(parts->path, fail));
}

struct parts *parts_open(const char *path, struct fail *fail)
{
	struct gguf *first = gguf_open(path, fail);
	if (!first)
		return NULL;
	struct parts *parts = calloc(1, sizeof(*parts));
	uint64_t count = 1;
	bool good = false;
	gguf_u64(first, "split.count", &count);
	if (parts) {
		parts->fd = -1;
		parts->path = strdup(path);
	}
	if (!parts || !parts->path)
		fail_set(fail, FAIL_MEMORY, "no memory to read %s", path);
	else
		good = count > 1 ? open_several(parts, first, count, fail)
				 : open_whole(parts, first, fail);
	gguf_close(first);
	if (good)
		return parts;
	parts_close(parts);
	return NULL;
}

void parts_close(struct parts *parts)
{
	if (!parts)
		return;
	if (parts->fd >= 0)
		close(parts->fd);
	buf_finish(&parts->head);
	free(parts->spans);
	free(parts->path);
	free(parts);
}

uint32_t parts_count(const struct parts *parts)
{
	return parts->count;
}

uint64_t parts_size(const struct parts *parts)
{
	return parts->size;
}

/* ---- reading ---- */

static int turn_to(struct parts *parts, uint32_t part, struct fail *fail)
{
	char path[PATH_MAX];
	if (parts->fd >= 0 && parts->open_part == part)
		return 0;
	if (parts->fd >= 0)
		close(parts->fd);
	part_path(parts, part, path);
	parts->fd = open(path, O_RDONLY | O_CLOEXEC);
	parts->open_part = part;
	return parts->fd >= 0 ? 0 : fail_errno(fail, errno, "cannot open %s", path);
}

static int read_span(struct parts *parts, const struct span *span, uint64_t skip, uint8_t *bytes,
		     size_t size, struct fail *fail)
{
	char path[PATH_MAX];
	const int result = turn_to(parts, span->part, fail);
	if (result)
		return result;
	while (size > 0) {
		const ssize_t n = pread(parts->fd, bytes, size, (off_t)(span->offset + skip));
		if (n < 0 && errno == EINTR)
			continue;
		part_path(parts, span->part, path);
		if (n < 0)
			return fail_errno(fail, errno, "cannot read %s", path);
		if (n == 0)
			return fail_set(fail, FAIL_CORRUPT,
					"%s became shorter while it was read; try again", path);
		bytes += n;
		skip += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* The last span that begins at or before `offset`; -1: the header is there. */
static int64_t span_at(const struct parts *parts, uint64_t offset)
{
	int64_t low = -1, high = (int64_t)parts->n_spans - 1;
	while (low < high) {
		const int64_t middle = low + (high - low + 1) / 2;
		if (parts->spans[middle].at <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* Bytes from `offset` on that come from one place; gives how many there are. */
static int read_some(struct parts *parts, uint64_t offset, uint8_t *bytes, size_t size,
		     size_t *done, struct fail *fail)
{
	const int64_t index = span_at(parts, offset);
	const struct span *span = index < 0 ? NULL : &parts->spans[index];
	const uint64_t begin = span ? span->at : 0, skip = offset - begin;
	const uint64_t filled = span ? span->bytes : parts->head.size;
	const uint64_t next =
		index + 1 < (int64_t)parts->n_spans ? parts->spans[index + 1].at : parts->size;
	const bool padding = skip >= filled;
	const uint64_t left = (padding ? next : begin + filled) - offset;
	*done = left < size ? (size_t)left : size;
	if (!padding && span)
		return read_span(parts, span, skip, bytes, *done, fail);
	if (padding)
		memset(bytes, 0, *done);
	else
		memcpy(bytes, parts->head.data + skip, *done);
	return 0;
}

int parts_read(struct parts *parts, uint64_t offset, void *bytes, size_t size, struct fail *fail)
{
	uint8_t *to = bytes;
	while (size > 0) {
		size_t done = 0;
		const int result = read_some(parts, offset, to, size, &done, fail);
		if (result)
			return result;
		to += done;
		offset += done;
		size -= done;
	}
	return 0;
}
