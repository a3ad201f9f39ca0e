#include "compute/gguf.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LIMIT          65535u
#define DIM_LIMIT          (UINT64_C(1) << 40)
#define ALIGNMENT_DEFAULT  32u
#define KV_BYTES_LEAST     13u /* key length, a key of one byte, type, no value yet */
#define TENSOR_BYTES_LEAST 33u /* name length, one byte, dims count, one dim, type, offset */
#define READ_FIRST         (1u << 20)
#define LABEL_LIMIT        120u

/* Where a key and its value stand; the metadata part is below 4 GiB. For arrays `type` is
 * GGUF_ARRAY and the value starts at the first element. */
struct kv {
	uint32_t key_at, key_size;
	uint32_t value_at, value_size;
	uint32_t type, element_type;
	uint64_t count;
};

/* An entry of a sorted index of names: lookups and duplicates in O(log n), whatever the names. */
struct name_ref {
	const uint8_t *text;
	uint32_t size;
	uint32_t index;
};

struct gguf {
	char *label; /* what sentences call the file */
	uint8_t *owned;
	const uint8_t *bytes;
	size_t size;
	uint64_t file_size;
	uint64_t data_offset;
	uint32_t alignment;
	uint32_t n_kvs, n_tensors;
	struct kv *kvs;
	struct name_ref *kv_refs; /* sorted */
	struct gguf_tensor *tensors;
	struct name_ref *tensor_refs; /* sorted */
};

struct parse {
	struct gguf *gguf;
	struct reader reader;
	struct fail *fail;
	bool can_read; /* more of the file can be read */
	bool more;     /* bytes ran out, but the file has more of them */
};

/* ---- failing ---- */

#define BAD(parse, ...) bad((parse), FAIL_INVALID, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static bool bad(struct parse *parse, enum fail_code code,
						      const char *format, ...)
{
	char what[270];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	fail_set(parse->fail, code, "%s %s", parse->gguf->label, what);
	return false;
}

/* The bytes ended inside `where`: either more can be read, or the file is cut short. */
static bool ran_out(struct parse *parse, const char *where)
{
	const struct gguf *gguf = parse->gguf;
	parse->more =
		parse->can_read && gguf->size < gguf->file_size && gguf->size < GGUF_METADATA_LIMIT;
	if (parse->more)
		return false;
	if (gguf->file_size > GGUF_METADATA_LIMIT && gguf->size >= GGUF_METADATA_LIMIT)
		return BAD(parse, "has more than %u MiB of metadata, which no real model has",
			   GGUF_METADATA_LIMIT >> 20);
	return BAD(parse, "is cut short: it ends inside %s; fetch it again", where);
}

/* Bytes of the file that may still follow the reader's place, read or not. */
static uint64_t file_left(const struct parse *parse)
{
	const struct gguf *gguf = parse->gguf;
	return gguf->file_size - (uint64_t)(parse->reader.next - gguf->bytes);
}

/* ---- names and values ---- */

static bool is_printable(const uint8_t *text, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return size > 0;
}

/* Reads a length and that many bytes; the length is bounded before anything is taken. */
static bool take_string(struct parse *parse, uint64_t limit, const char *where,
			const uint8_t **text, uint32_t *size)
{
	struct reader *reader = &parse->reader;
	const uint64_t length = reader_u64(reader);
	if (reader->failed)
		return ran_out(parse, where);
	if (length > limit)
		return BAD(parse,
			   "is malformed: a string in %s claims %" PRIu64
			   " bytes, more than the %" PRIu64 " allowed",
			   where, length, limit);
	if (length > file_left(parse))
		return BAD(parse,
			   "is cut short: a string in %s claims %" PRIu64
			   " bytes, more than the file has left; fetch it again",
			   where, length);
	*text = reader_take(reader, (size_t)length);
	*size = (uint32_t)length;
	return *text ? true : ran_out(parse, where);
}

/* Bytes of one value; 0 for strings, arrays and unknown types. */
static uint32_t value_width(uint32_t type)
{
	static const uint8_t widths[GGUF_TYPES] = {
		[GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
		[GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
		[GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
	};
	return type < GGUF_TYPES ? widths[type] : 0;
}

static bool are_bools(const uint8_t *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (bytes[i] > 1)
			return false;
	return true;
}

/* Reads `count` values of a type that is not an array, back to back. */
static bool take_values(struct parse *parse, uint32_t type, uint64_t count, const char *key)
{
	const uint32_t width = value_width(type);
	if (type == GGUF_STRING) {
		const uint8_t *text;
		uint32_t size;
		for (uint64_t i = 0; i < count; i++)
			if (!take_string(parse, GGUF_STRING_LIMIT, key, &text, &size))
				return false;
		return true;
	}
	if (width == 0)
		return BAD(parse, "is malformed: the key %s has the unknown value type %" PRIu32,
			   key, type);
	if (count * width > file_left(parse)) /* count is bounded: no overflow */
		return BAD(parse,
			   "is cut short: the key %s claims %" PRIu64
			   " values, more than the file has left; fetch it again",
			   key, count);
	const uint8_t *values = reader_take(&parse->reader, (size_t)(count * width));
	if (!values)
		return ran_out(parse, key);
	if (type == GGUF_BOOL && !are_bools(values, count))
		return BAD(parse, "is malformed: the key %s holds a bool that is neither 0 nor 1",
			   key);
	return true;
}

static bool take_array_head(struct parse *parse, struct kv *kv, const char *key)
{
	kv->element_type = reader_u32(&parse->reader);
	kv->count = reader_u64(&parse->reader);
	if (parse->reader.failed)
		return ran_out(parse, key);
	if (kv->element_type == GGUF_ARRAY)
		return BAD(parse, "is malformed: the key %s is an array of arrays", key);
	if (kv->count > GGUF_ARRAY_LIMIT)
		return BAD(parse,
			   "is malformed: the key %s claims %" PRIu64
			   " elements, more than the %u allowed",
			   key, kv->count, GGUF_ARRAY_LIMIT);
	return true;
}

static uint32_t place(const struct parse *parse)
{
	return (uint32_t)(parse->reader.next - parse->gguf->bytes);
}

static bool parse_kv(struct parse *parse, struct kv *kv)
{
	const uint8_t *text;
	if (!take_string(parse, KEY_LIMIT, "the key table", &text, &kv->key_size))
		return false;
	if (!is_printable(text, kv->key_size))
		return BAD(parse, "is malformed: a key is empty or not plain ASCII");
	kv->key_at = (uint32_t)(text - parse->gguf->bytes);
	char key[80];
	snprintf(key, sizeof(key), "%.*s", (int)kv->key_size, (const char *)text);
	kv->type = reader_u32(&parse->reader);
	if (parse->reader.failed)
		return ran_out(parse, key);
	kv->count = 1;
	kv->element_type = kv->type;
	if (kv->type == GGUF_ARRAY && !take_array_head(parse, kv, key))
		return false;
	kv->value_at = place(parse);
	if (!take_values(parse, kv->element_type, kv->count, key))
		return false;
	kv->value_size = place(parse) - kv->value_at;
	return true;
}

/* ---- tensors ---- */

/* Sets `bytes` from type and dims; every product is checked. */
static bool measure(struct parse *parse, struct gguf_tensor *tensor)
{
	const uint32_t block = tensor_type_block(tensor->type);
	if (block == 0)
		return bad(parse, FAIL_UNSUPPORTED,
			   "has the tensor %s in the unknown type %" PRIu32
			   "; this version does not know it",
			   tensor->name, tensor->type);
	uint64_t elements = 1;
	for (uint32_t i = 0; i < 4; i++) {
		const uint64_t dim = tensor->dims[i];
		if (dim < 1 || dim > DIM_LIMIT || __builtin_mul_overflow(elements, dim, &elements))
			return BAD(parse,
				   "is malformed: dimension %" PRIu32
				   " of the tensor %s is %" PRIu64 ", which cannot be",
				   i, tensor->name, dim);
	}
	if (tensor->dims[0] % block)
		return BAD(parse,
			   "is malformed: the tensor %s has %" PRIu64
			   " columns, not a multiple of the %" PRIu32 " in a block of %s",
			   tensor->name, tensor->dims[0], block, tensor_type_name(tensor->type));
	if (__builtin_mul_overflow(elements / block, tensor_type_block_bytes(tensor->type),
				   &tensor->bytes))
		return BAD(parse, "is malformed: the size of the tensor %s overflows",
			   tensor->name);
	return true;
}

static bool parse_dims(struct parse *parse, struct gguf_tensor *tensor)
{
	tensor->n_dims = reader_u32(&parse->reader);
	if (parse->reader.failed)
		return ran_out(parse, "the tensor table");
	if (tensor->n_dims < 1 || tensor->n_dims > 4)
		return BAD(parse,
			   "is malformed: the tensor %s has %" PRIu32
			   " dimensions; 1 to 4 are allowed",
			   tensor->name, tensor->n_dims);
	for (uint32_t i = 0; i < 4; i++)
		tensor->dims[i] = i < tensor->n_dims ? reader_u64(&parse->reader) : 1;
	return true;
}

/* Here `offset` is still relative to the data section. */
static bool parse_tensor(struct parse *parse, struct gguf_tensor *tensor)
{
	const uint8_t *name;
	uint32_t size;
	if (!take_string(parse, GGUF_NAME_BYTES - 1, "the tensor table", &name, &size))
		return false;
	if (!is_printable(name, size))
		return BAD(parse, "is malformed: a tensor's name is empty or not plain ASCII");
	memcpy(tensor->name, name, size);
	tensor->name[size] = 0;
	if (!parse_dims(parse, tensor))
		return false;
	tensor->type = reader_u32(&parse->reader);
	tensor->offset = reader_u64(&parse->reader);
	if (parse->reader.failed)
		return ran_out(parse, "the tensor table");
	return measure(parse, tensor);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct gguf_tensor *left = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *right = *(const struct gguf_tensor *const *)b;
	return (left->offset > right->offset) - (left->offset < right->offset);
}

static bool check_overlap(struct parse *parse)
{
	const struct gguf *gguf = parse->gguf;
	const struct gguf_tensor **order = malloc((gguf->n_tensors + 1) * sizeof(*order));
	if (!order)
		return bad(parse, FAIL_MEMORY, "does not fit into memory");
	for (uint32_t i = 0; i < gguf->n_tensors; i++)
		order[i] = &gguf->tensors[i];
	qsort(order, gguf->n_tensors, sizeof(*order), compare_offsets);
	bool good = true;
	for (uint32_t i = 1; i < gguf->n_tensors && good; i++)
		if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes)
			good = BAD(parse, "is malformed: the tensors %s and %s overlap",
				   order[i - 1]->name, order[i]->name);
	free(order);
	return good;
}

/* Turns offsets into places in the file and checks that each tensor lies inside it. */
static bool place_tensors(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	for (uint32_t i = 0; i < gguf->n_tensors; i++) {
		struct gguf_tensor *tensor = &gguf->tensors[i];
		uint64_t end;
		if (tensor->offset % gguf->alignment)
			return BAD(parse,
				   "is malformed: the tensor %s is not aligned to %" PRIu32
				   " bytes",
				   tensor->name, gguf->alignment);
		if (__builtin_add_overflow(tensor->offset, gguf->data_offset, &tensor->offset) ||
		    __builtin_add_overflow(tensor->offset, tensor->bytes, &end) ||
		    end > gguf->file_size)
			return BAD(parse,
				   "is cut short or malformed: the tensor %s reaches past "
				   "the file's end at %" PRIu64 "; fetch it again",
				   tensor->name, gguf->file_size);
	}
	return check_overlap(parse);
}

/* ---- indexes ---- */

static int compare_names(const void *a, const void *b)
{
	const struct name_ref *left = a;
	const struct name_ref *right = b;
	if (left->size != right->size)
		return left->size < right->size ? -1 : 1;
	return memcmp(left->text, right->text, left->size);
}

static bool sort_names(struct parse *parse, struct name_ref *refs, uint32_t count, const char *what)
{
	qsort(refs, count, sizeof(*refs), compare_names);
	for (uint32_t i = 1; i < count; i++)
		if (compare_names(&refs[i - 1], &refs[i]) == 0)
			return BAD(parse, "is malformed: it has the %s %.*s twice", what,
				   (int)(refs[i].size < 80 ? refs[i].size : 80),
				   (const char *)refs[i].text);
	return true;
}

static bool index_kvs(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	for (uint32_t i = 0; i < gguf->n_kvs; i++)
		gguf->kv_refs[i] = (struct name_ref){ gguf->bytes + gguf->kvs[i].key_at,
						      gguf->kvs[i].key_size, i };
	return sort_names(parse, gguf->kv_refs, gguf->n_kvs, "key");
}

static bool index_tensors(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	for (uint32_t i = 0; i < gguf->n_tensors; i++) {
		const char *name = gguf->tensors[i].name;
		gguf->tensor_refs[i] =
			(struct name_ref){ (const uint8_t *)name, (uint32_t)strlen(name), i };
	}
	return sort_names(parse, gguf->tensor_refs, gguf->n_tensors, "tensor");
}

static const struct name_ref *find_name(const struct name_ref *refs, uint32_t count,
					const char *name)
{
	const size_t size = strlen(name);
	if (size > KEY_LIMIT)
		return NULL;
	const struct name_ref wanted = { (const uint8_t *)name, (uint32_t)size, 0 };
	return bsearch(&wanted, refs, count, sizeof(*refs), compare_names);
}

/* ---- the whole header ---- */

static void drop_tables(struct gguf *gguf)
{
	free(gguf->kvs);
	free(gguf->kv_refs);
	free(gguf->tensors);
	free(gguf->tensor_refs);
	gguf->kvs = NULL;
	gguf->kv_refs = NULL;
	gguf->tensors = NULL;
	gguf->tensor_refs = NULL;
}

static bool parse_counts(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	struct reader *reader = &parse->reader;
	const uint8_t *magic = reader_take(reader, 4);
	if (!magic || memcmp(magic, "GGUF", 4) != 0)
		return BAD(parse, "is not a GGUF file");
	const uint32_t version = reader_u32(reader);
	const uint64_t n_tensors = reader_u64(reader);
	const uint64_t n_kvs = reader_u64(reader);
	if (reader->failed)
		return ran_out(parse, "the header");
	if ((version & 0xffff) == 0)
		return bad(parse, FAIL_UNSUPPORTED, "is a big-endian GGUF file; convert it");
	if (version != 2 && version != 3)
		return bad(parse, FAIL_UNSUPPORTED,
			   "is of GGUF version %" PRIu32 "; this version reads 2 and 3", version);
	if (n_kvs > GGUF_COUNT_LIMIT || n_kvs > file_left(parse) / KV_BYTES_LEAST)
		return BAD(parse, "is malformed: it claims %" PRIu64 " keys", n_kvs);
	if (n_tensors > GGUF_COUNT_LIMIT || n_tensors > file_left(parse) / TENSOR_BYTES_LEAST)
		return BAD(parse, "is malformed: it claims %" PRIu64 " tensors", n_tensors);
	gguf->n_kvs = (uint32_t)n_kvs;
	gguf->n_tensors = (uint32_t)n_tensors;
	return true;
}

static bool make_tables(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	drop_tables(gguf);
	gguf->kvs = calloc(gguf->n_kvs + 1u, sizeof(*gguf->kvs));
	gguf->kv_refs = calloc(gguf->n_kvs + 1u, sizeof(*gguf->kv_refs));
	gguf->tensors = calloc(gguf->n_tensors + 1u, sizeof(*gguf->tensors));
	gguf->tensor_refs = calloc(gguf->n_tensors + 1u, sizeof(*gguf->tensor_refs));
	if (!gguf->kvs || !gguf->kv_refs || !gguf->tensors || !gguf->tensor_refs)
		return bad(parse, FAIL_MEMORY, "does not fit into memory");
	return true;
}

static bool read_alignment(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	gguf->alignment = ALIGNMENT_DEFAULT;
	const struct name_ref *ref = find_name(gguf->kv_refs, gguf->n_kvs, "general.alignment");
	if (!ref)
		return true;
	const struct kv *kv = &gguf->kvs[ref->index];
	if (kv->type != GGUF_U32)
		return BAD(parse, "is malformed: general.alignment is not a 32-bit number");
	gguf->alignment = load_u32le(gguf->bytes + kv->value_at);
	if (gguf->alignment < 8 || gguf->alignment > 65536 ||
	    (gguf->alignment & (gguf->alignment - 1)))
		return BAD(parse,
			   "is malformed: general.alignment is %" PRIu32
			   ", not a power of two from 8 to 65536",
			   gguf->alignment);
	return true;
}

/* A file without tensors (a vocabulary alone) may end without padding. */
static bool find_data(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	const uint64_t end = place(parse);
	gguf->data_offset = (end + gguf->alignment - 1) / gguf->alignment * gguf->alignment;
	if (gguf->n_tensors == 0 && gguf->data_offset > gguf->file_size)
		gguf->data_offset = gguf->file_size;
	if (gguf->data_offset > gguf->size)
		return ran_out(parse, "the padding before its data");
	return true;
}

static bool parse_all(struct parse *parse)
{
	struct gguf *gguf = parse->gguf;
	reader_init(&parse->reader, gguf->bytes, gguf->size);
	if (!parse_counts(parse) || !make_tables(parse))
		return false;
	for (uint32_t i = 0; i < gguf->n_kvs; i++)
		if (!parse_kv(parse, &gguf->kvs[i]))
			return false;
	if (!index_kvs(parse) || !read_alignment(parse))
		return false;
	for (uint32_t i = 0; i < gguf->n_tensors; i++)
		if (!parse_tensor(parse, &gguf->tensors[i]))
			return false;
	return index_tensors(parse) && find_data(parse) && place_tensors(parse);
}

/* ---- opening ---- */

static struct gguf *create(const char *label, uint64_t file_size, struct fail *fail)
{
	struct gguf *gguf = calloc(1, sizeof(*gguf));
	const size_t length = strlen(label);
	if (length > LABEL_LIMIT)
		label += length - LABEL_LIMIT; /* the end of a path tells more */
	if (gguf)
		gguf->label = strdup(label);
	if (!gguf || !gguf->label) {
		gguf_close(gguf);
		fail_set(fail, FAIL_MEMORY, "no memory to read %s", label);
		return NULL;
	}
	gguf->file_size = file_size;
	return gguf;
}

struct gguf *gguf_parse(const void *bytes, size_t size, uint64_t file_size, struct fail *fail)
{
	struct gguf *gguf = create("the model's metadata", file_size, fail);
	if (!gguf)
		return NULL;
	gguf->bytes = bytes;
	gguf->size = size < file_size ? size : (size_t)file_size;
	if (gguf->size > GGUF_METADATA_LIMIT)
		gguf->size = GGUF_METADATA_LIMIT;
	struct parse parse = { .gguf = gguf, .fail = fail };
	if (parse_all(&parse))
		return gguf;
	gguf_close(gguf);
	return NULL;
}

/* Grows what was read to `size` bytes. */
static bool read_up_to(struct parse *parse, int fd, size_t size)
{
	struct gguf *gguf = parse->gguf;
	uint8_t *bytes = realloc(gguf->owned, size ? size : 1);
	if (!bytes)
		return bad(parse, FAIL_MEMORY, "does not fit into memory");
	gguf->owned = bytes;
	gguf->bytes = bytes;
	while (gguf->size < size) {
		const ssize_t n =
			pread(fd, bytes + gguf->size, size - gguf->size, (off_t)gguf->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fail_errno(parse->fail, errno, "cannot read %s", gguf->label);
			return false;
		}
		if (n == 0)
			return BAD(parse, "became shorter while it was read; try again");
		gguf->size += (size_t)n;
	}
	return true;
}

/* The size of the metadata part is known only once it was parsed: read more until it is enough. */
static bool parse_file(struct parse *parse, int fd)
{
	struct gguf *gguf = parse->gguf;
	for (size_t want = READ_FIRST;; want *= 4) {
		if (want > GGUF_METADATA_LIMIT)
			want = GGUF_METADATA_LIMIT;
		if (want > gguf->file_size)
			want = (size_t)gguf->file_size;
		parse->more = false;
		if (!read_up_to(parse, fd, want))
			return false;
		if (parse_all(parse))
			break;
		if (!parse->more)
			return false;
	}
	uint8_t *fitting = realloc(gguf->owned, gguf->data_offset ? gguf->data_offset : 1);
	if (fitting) {
		gguf->owned = fitting;
		gguf->bytes = fitting;
	}
	gguf->size = gguf->data_offset;
	return index_kvs(parse); /* the bytes may have moved */
}

struct gguf *gguf_open(const char *path, struct fail *fail)
{
	struct stat info;
	struct gguf *gguf = NULL;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fail_errno(fail, errno, "cannot open %s", path);
		return NULL;
	}
	if (fstat(fd, &info) != 0)
		fail_errno(fail, errno, "cannot examine %s", path);
	else if (!S_ISREG(info.st_mode))
		fail_set(fail, FAIL_INVALID, "%s is not a regular file", path);
	else
		gguf = create(path, (uint64_t)info.st_size, fail);
	struct parse parse = { .gguf = gguf, .fail = fail, .can_read = true };
	if (gguf && !parse_file(&parse, fd)) {
		gguf_close(gguf);
		gguf = NULL;
	}
	close(fd);
	return gguf;
}

void gguf_close(struct gguf *gguf)
{
	if (!gguf)
		return;
	drop_tables(gguf);
	free(gguf->owned);
	free(gguf->label);
	free(gguf);
}

/* ---- looking up ---- */

uint64_t gguf_data_offset(const struct gguf *gguf)
{
	return gguf->data_offset;
}

uint64_t gguf_file_size(const struct gguf *gguf)
{
	return gguf->file_size;
}

const uint8_t *gguf_metadata(const struct gguf *gguf)
{
	return gguf->bytes;
}

const char *gguf_label(const struct gguf *gguf)
{
	return gguf->label;
}

uint32_t gguf_tensor_count(const struct gguf *gguf)
{
	return gguf->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, uint32_t index)
{
	return index < gguf->n_tensors ? &gguf->tensors[index] : NULL;
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *gguf, const char *name)
{
	const struct name_ref *ref = find_name(gguf->tensor_refs, gguf->n_tensors, name);
	return ref ? &gguf->tensors[ref->index] : NULL;
}

uint32_t gguf_alignment(const struct gguf *gguf)
{
	return gguf->alignment;
}

bool gguf_record_at(const struct gguf *gguf, uint32_t index, struct gguf_record *record)
{
	if (index >= gguf->n_kvs)
		return false;
	const struct kv *kv = &gguf->kvs[index];
	const uint32_t at =
		kv->key_at - (uint32_t)sizeof(uint64_t); /* its length comes before it */
	record->key = gguf->bytes + kv->key_at;
	record->key_size = kv->key_size;
	record->bytes = gguf->bytes + at;
	record->size = kv->value_at + kv->value_size - at;
	return true;
}

static const struct kv *find_kv(const struct gguf *gguf, const char *key)
{
	const struct name_ref *ref = find_name(gguf->kv_refs, gguf->n_kvs, key);
	return ref ? &gguf->kvs[ref->index] : NULL;
}

bool gguf_has(const struct gguf *gguf, const char *key)
{
	return find_kv(gguf, key) != NULL;
}

static bool load_u64(uint32_t type, const uint8_t *at, uint64_t *value)
{
	int64_t number;
	switch (type) {
	case GGUF_U8:
		*value = at[0];
		return true;
	case GGUF_U16:
		*value = load_u16le(at);
		return true;
	case GGUF_U32:
		*value = load_u32le(at);
		return true;
	case GGUF_U64:
		*value = load_u64le(at);
		return true;
	case GGUF_I8:
		number = (int8_t)at[0];
		break;
	case GGUF_I16:
		number = (int16_t)load_u16le(at);
		break;
	case GGUF_I32:
		number = (int32_t)load_u32le(at);
		break;
	case GGUF_I64:
		number = (int64_t)load_u64le(at);
		break;
	default:
		return false;
	}
	*value = (uint64_t)number;
	return number >= 0;
}

bool gguf_u64(const struct gguf *gguf, const char *key, uint64_t *value)
{
	const struct kv *kv = find_kv(gguf, key);
	return kv && load_u64(kv->type, gguf->bytes + kv->value_at, value);
}

bool gguf_f64(const struct gguf *gguf, const char *key, double *value)
{
	const struct kv *kv = find_kv(gguf, key);
	if (!kv || (kv->type != GGUF_F32 && kv->type != GGUF_F64))
		return false;
	struct reader reader;
	reader_init(&reader, gguf->bytes + kv->value_at, kv->value_size);
	if (kv->type == GGUF_F32) {
		*value = (double)reader_f32(&reader);
	} else {
		const uint64_t bits = reader_u64(&reader);
		memcpy(value, &bits, sizeof(*value));
	}
	return true;
}

bool gguf_bool(const struct gguf *gguf, const char *key, bool *value)
{
	const struct kv *kv = find_kv(gguf, key);
	if (!kv || kv->type != GGUF_BOOL)
		return false;
	*value = gguf->bytes[kv->value_at] == 1;
	return true;
}

bool gguf_string(const struct gguf *gguf, const char *key, const char **text, size_t *size)
{
	const struct kv *kv = find_kv(gguf, key);
	if (!kv || kv->type != GGUF_STRING)
		return false;
	*text = (const char *)gguf->bytes + kv->value_at + sizeof(uint64_t); /* after its length */
	*size = kv->value_size - sizeof(uint64_t);
	return true;
}

bool gguf_array(const struct gguf *gguf, const char *key, struct gguf_array *array)
{
	const struct kv *kv = find_kv(gguf, key);
	if (!kv || kv->type != GGUF_ARRAY)
		return false;
	array->type = kv->element_type;
	array->count = kv->count;
	array->bytes = gguf->bytes + kv->value_at;
	array->size = kv->value_size;
	return true;
}

bool gguf_array_u64(const struct gguf_array *array, uint64_t index, uint64_t *value)
{
	const uint32_t width = value_width(array->type);
	return width && index < array->count &&
	       load_u64(array->type, array->bytes + index * width, value);
}
