#include "proto/fields.h"

#include <assert.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words travel as they lie in memory");

/* ---- members of any width ---- */

static uint64_t load_uint(const uint8_t *at, size_t size)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	switch (size) {
	case 1: return *at;
	case 2: memcpy(&u16, at, 2); return u16;
	case 4: memcpy(&u32, at, 4); return u32;
	default: assert(size == 8); memcpy(&u64, at, 8); return u64;
	}
}

static void store_uint(uint8_t *at, size_t size, uint64_t value)
{
	const uint16_t u16 = (uint16_t)value;
	const uint32_t u32 = (uint32_t)value;
	switch (size) {
	case 1: *at = (uint8_t)value; return;
	case 2: memcpy(at, &u16, 2); return;
	case 4: memcpy(at, &u32, 4); return;
	default: assert(size == 8); memcpy(at, &value, 8);
	}
}

/* ---- writing ---- */

static void write_list(const struct field *field, const uint8_t *from, struct buf *out)
{
	const uint32_t n = (uint32_t)load_uint(from + field->count, field->count_size);
	assert(n <= field->most);
	msgpack_put_array(out, n);
	for (uint32_t i = 0; i < n; i++)
		fields_write(field->inner, from + field->offset + i * field->size, out);
}

static void write_uints(const struct field *field, const uint8_t *from, struct buf *out)
{
	const uint32_t n = (uint32_t)load_uint(from + field->count, 4);
	assert(n <= field->most);
	msgpack_put_array(out, n);
	for (uint32_t i = 0; i < n; i++)
		msgpack_put_uint(out, load_uint(from + field->offset + i * 4, 4));
}

/* VIEW and WORDS: `unit` bytes each, from where the member points to. */
static void write_view(const struct field *field, const uint8_t *from, size_t unit, struct buf *out)
{
	const uint32_t n = (uint32_t)load_uint(from + field->count, 4);
	const void *bytes;
	assert(n <= field->most);
	memcpy(&bytes, from + field->offset, sizeof(bytes));
	msgpack_put_bin(out, bytes, n * unit);
}

static float load_float(const uint8_t *at)
{
	float value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static double load_double(const uint8_t *at)
{
	double value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static void write_field(const struct field *field, const uint8_t *from, struct buf *out)
{
	const uint8_t *at = from + field->offset;
	switch (field->kind) {
	case FIELD_UINT: msgpack_put_uint(out, load_uint(at, field->size)); break;
	case FIELD_INT: msgpack_put_int(out, (int64_t)load_uint(at, 8)); break;
	case FIELD_BOOL: msgpack_put_bool(out, *at); break;
	case FIELD_FLOAT: msgpack_put_float(out, load_float(at)); break;
	case FIELD_DOUBLE: msgpack_put_double(out, load_double(at)); break;
	case FIELD_TEXT: msgpack_put_text(out, (const char *)at); break;
	case FIELD_BYTES: msgpack_put_bin(out, at, field->size); break;
	case FIELD_STRUCT: fields_write(field->inner, at, out); break;
	case FIELD_LIST: write_list(field, from, out); break;
	case FIELD_UINTS: write_uints(field, from, out); break;
	case FIELD_VIEW: write_view(field, from, field->size, out); break;
	case FIELD_WORDS: write_view(field, from, 4, out); break;
	}
}

void fields_write(const struct fields *fields, const void *from, struct buf *out)
{
	msgpack_put_array(out, fields->n);
	for (uint32_t i = 0; i < fields->n; i++)
		write_field(&fields->field[i], from, out);
}

/* ---- reading ---- */

static const char *read_list(const struct field *field, struct msgpack_reader *reader, uint8_t *to,
			     struct buf *scratch)
{
	const uint32_t n = msgpack_array(reader);
	if (reader->failed || n > field->most)
		return field->name;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *at = to + field->offset + i * field->size;
		const char *bad = fields_read(field->inner, reader, at, scratch);
		if (bad)
			return bad;
	}
	store_uint(to + field->count, field->count_size, n);
	return NULL;
}

static void read_uints(const struct field *field, struct msgpack_reader *reader, uint8_t *to)
{
	const uint32_t n = msgpack_array(reader);
	if (n > field->most || (field->counted && n != load_uint(to + field->count, 4)))
		reader->failed = true;
	for (uint32_t i = 0; i < n && !reader->failed; i++)
		store_uint(to + field->offset + i * 4, 4, msgpack_uint(reader, UINT32_MAX));
	store_uint(to + field->count, 4, n);
}

/* A binary of whole units; gives where it lies and how many there are. */
static const uint8_t *read_units(const struct field *field, struct msgpack_reader *reader,
				 size_t unit, uint32_t *n)
{
	size_t size;
	const uint8_t *bytes = msgpack_bin(reader, 0, field->most * unit, &size);
	if (size % unit != 0)
		reader->failed = true;
	*n = (uint32_t)(size / unit);
	return bytes;
}

static void read_view(const struct field *field, struct msgpack_reader *reader, uint8_t *to)
{
	uint32_t n;
	const uint8_t *bytes = read_units(field, reader, field->size, &n);
	memcpy(to + field->offset, &bytes, sizeof(bytes));
	store_uint(to + field->count, 4, n);
}

/* Words are read from an aligned copy. */
static void read_words(const struct field *field, struct msgpack_reader *reader, uint8_t *to,
		       struct buf *scratch)
{
	uint32_t n;
	const uint8_t *bytes = read_units(field, reader, 4, &n);
	assert(scratch);
	buf_clear(scratch);
	if (!reader->failed)
		buf_append(scratch, bytes, (size_t)n * 4);
	reader->failed |= scratch->failed;
	const uint8_t *words = scratch->data;
	memcpy(to + field->offset, &words, sizeof(words));
	store_uint(to + field->count, 4, n);
}

static double read_real(const struct field *field, struct msgpack_reader *reader)
{
	const double value = msgpack_double(reader);
	if (value < field->least || value > field->greatest)
		reader->failed = true;
	return value;
}

static void read_number(const struct field *field, struct msgpack_reader *reader, uint8_t *at)
{
	const double value = read_real(field, reader);
	const float narrow = (float)value;
	if (field->kind == FIELD_FLOAT)
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &value, sizeof(value));
}

static const char *read_field(const struct field *field, struct msgpack_reader *reader, uint8_t *to,
			      struct buf *scratch)
{
	uint8_t *at = to + field->offset;
	switch (field->kind) {
	case FIELD_UINT:
		store_uint(at, field->size, msgpack_uint(reader, field->most));
		break;
	case FIELD_INT: store_uint(at, 8, (uint64_t)msgpack_int(reader)); break;
	case FIELD_BOOL: *at = msgpack_bool(reader); break;
	case FIELD_FLOAT:
	case FIELD_DOUBLE: read_number(field, reader, at); break;
	case FIELD_TEXT: msgpack_text(reader, (char *)at, field->size); break;
	case FIELD_BYTES: msgpack_bytes(reader, at, field->size); break;
	case FIELD_STRUCT: return fields_read(field->inner, reader, at, scratch);
	case FIELD_LIST: return read_list(field, reader, to, scratch);
	case FIELD_UINTS: read_uints(field, reader, to); break;
	case FIELD_VIEW: read_view(field, reader, to); break;
	case FIELD_WORDS: read_words(field, reader, to, scratch); break;
	}
	return reader->failed ? field->name : NULL;
}

const char *fields_read(const struct fields *fields, struct msgpack_reader *reader, void *to,
			struct buf *scratch)
{
	const uint32_t n = msgpack_array(reader);
	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->field[i];
		if (i >= n && field->later && !reader->failed)
			continue;
		const char *bad = i < n ? read_field(field, reader, to, scratch) : field->name;
		if (bad)
			return bad;
	}
	for (uint32_t i = fields->n; i < n; i++)
		msgpack_skip(reader);
	return NULL;
}

int fields_decode(const struct fields *fields, const char *what, const void *bytes, size_t size,
		  void *to, struct buf *scratch, struct fail *fail)
{
	struct msgpack_reader reader;
	if (msgpack_check(bytes, size, NULL) < 0)
		return fail_set(fail, FAIL_INVALID, "%s is not well-formed msgpack", what);
	msgpack_reader_init(&reader, bytes, size);
	const char *bad = fields_read(fields, &reader, to, scratch);
	if (bad)
		return fail_set(fail, FAIL_INVALID, "%s has no valid field '%s'", what, bad);
	return 0;
}
