#include "proto/msgpack.h"

#include "proto/id.h"

#include <math.h>
#include <msgpack/pack.h>
#include <string.h>

/* ---- the walk ---- */

/* What a head byte announces. A container's `count` is its number of values. */
struct head {
	enum { HEAD_BAD, HEAD_NIL, HEAD_BOOL, HEAD_UINT, HEAD_INT, HEAD_FLOAT, HEAD_TEXT, HEAD_BIN,
	       HEAD_EXT, HEAD_ARRAY, HEAD_MAP } kind;
	uint32_t count; /* values of a container, bytes of text, bin and ext */
	uint64_t bits;  /* of a number or boolean */
	uint8_t width;  /* of a float: 4 or 8 */
};

/* Big-endian number of 1, 2, 4 or 8 bytes. */
static uint64_t number(struct reader *reader, size_t width)
{
	const uint8_t *at = reader_take(reader, width);
	uint64_t value = 0;
	for (size_t i = 0; at && i < width; i++)
		value = value << 8 | at[i];
	return value;
}

static uint64_t signed_number(struct reader *reader, size_t width)
{
	const unsigned shift = 64 - 8 * (unsigned)width;
	return (uint64_t)((int64_t)(number(reader, width) << shift) >> shift);
}

static struct head sized(struct reader *reader, int kind, size_t width)
{
	return (struct head){ .kind = kind, .count = (uint32_t)number(reader, width) };
}

static struct head real(struct reader *reader, uint8_t width)
{
	return (struct head){ .kind = HEAD_FLOAT, .bits = number(reader, width), .width = width };
}

/* 0xc0 to 0xdf: what is not contained in the head byte. */
static struct head long_head(struct reader *reader, uint8_t byte)
{
	switch (byte) {
	case 0xc0: return (struct head){ .kind = HEAD_NIL };
	case 0xc2:
	case 0xc3: return (struct head){ .kind = HEAD_BOOL, .bits = byte & 1 };
	case 0xc4: case 0xc5: case 0xc6:
		return sized(reader, HEAD_BIN, 1u << (byte - 0xc4));
	case 0xc7: case 0xc8: case 0xc9:
		return sized(reader, HEAD_EXT, 1u << (byte - 0xc7));
	case 0xca: return real(reader, 4);
	case 0xcb: return real(reader, 8);
	case 0xcc: case 0xcd: case 0xce: case 0xcf:
		return (struct head){ .kind = HEAD_UINT,
				      .bits = number(reader, 1u << (byte - 0xcc)) };
	case 0xd0: case 0xd1: case 0xd2: case 0xd3:
		return (struct head){ .kind = HEAD_INT,
				      .bits = signed_number(reader, 1u << (byte - 0xd0)) };
	case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
		return (struct head){ .kind = HEAD_EXT, .count = 1u << (byte - 0xd4) };
	case 0xd9: case 0xda: case 0xdb:
		return sized(reader, HEAD_TEXT, 1u << (byte - 0xd9));
	case 0xdc: case 0xdd: return sized(reader, HEAD_ARRAY, 2u << (byte - 0xdc));
	case 0xde: case 0xdf: return sized(reader, HEAD_MAP, 2u << (byte - 0xde));
	default: return (struct head){ .kind = HEAD_BAD };
	}
}

static struct head read_head(struct reader *reader)
{
	const uint8_t byte = reader_u8(reader);
	if (reader->failed)
		return (struct head){ .kind = HEAD_BAD };
	if (byte < 0x80)
		return (struct head){ .kind = HEAD_UINT, .bits = byte };
	if (byte < 0x90)
		return (struct head){ .kind = HEAD_MAP, .count = byte & 15 };
	if (byte < 0xa0)
		return (struct head){ .kind = HEAD_ARRAY, .count = byte & 15 };
	if (byte < 0xc0)
		return (struct head){ .kind = HEAD_TEXT, .count = byte & 31 };
	if (byte >= 0xe0)
		return (struct head){ .kind = HEAD_INT, .bits = (uint64_t)(int64_t)(int8_t)byte };
	const struct head head = long_head(reader, byte);
	return reader->failed ? (struct head){ .kind = HEAD_BAD } : head;
}

/* Takes the bytes behind a head; for a container gives how many values follow, else 0. */
static uint64_t take_content(struct reader *reader, const struct head *head)
{
	if (head->kind == HEAD_ARRAY)
		return head->count;
	if (head->kind == HEAD_MAP)
		return 2ull * head->count;
	if (head->kind == HEAD_TEXT || head->kind == HEAD_BIN)
		reader_take(reader, head->count);
	if (head->kind == HEAD_EXT) /* a type byte more */
		reader_take(reader, (size_t)head->count + 1);
	return 0;
}

/* Walks one value without recursion: left[d] values are still due at depth d. */
static bool walk(struct reader *reader)
{
	uint64_t left[MSGPACK_DEPTH_MAX + 1] = { 1 };
	uint64_t values = 0;
	int depth = 0;
	while (depth >= 0) {
		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		const struct head head = read_head(reader);
		if (head.kind == HEAD_BAD || ++values > MSGPACK_VALUES_MAX)
			return false;
		const uint64_t inner = take_content(reader, &head);
		/* each value takes a byte at least, so a count beyond what is left is a lie */
		if (reader->failed || inner > reader_left(reader))
			return false;
		if (head.kind != HEAD_ARRAY && head.kind != HEAD_MAP)
			continue;
		if (++depth > MSGPACK_DEPTH_MAX)
			return false;
		left[depth] = inner;
	}
	return true;
}

int msgpack_check(const void *bytes, size_t size, struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, bytes, size);
	if (!walk(&reader) || reader_left(&reader) > 0)
		return fail_set(fail, FAIL_INVALID, "a message is not well-formed msgpack");
	return 0;
}

/* ---- reading ---- */

void msgpack_reader_init(struct msgpack_reader *reader, const void *bytes, size_t size)
{
	reader_init(&reader->bytes, bytes, size);
	reader->failed = false;
}

/* The next head if it is of this kind; fails the reader otherwise. */
static struct head expect(struct msgpack_reader *reader, int kind)
{
	struct head head = { .kind = HEAD_BAD };
	if (!reader->failed)
		head = read_head(&reader->bytes);
	if ((int)head.kind != kind) {
		reader->failed = true;
		head = (struct head){ .kind = HEAD_BAD };
	}
	return head;
}

/* True when the next value is of this kind; takes nothing. */
static bool next_is(const struct msgpack_reader *reader, int kind)
{
	struct reader ahead = reader->bytes;
	return !reader->failed && (int)read_head(&ahead).kind == kind;
}

uint32_t msgpack_array(struct msgpack_reader *reader)
{
	const struct head head = expect(reader, HEAD_ARRAY);
	if (head.count > reader_left(&reader->bytes)) {
		reader->failed = true;
		return 0;
	}
	return head.count;
}

uint64_t msgpack_uint(struct msgpack_reader *reader, uint64_t most)
{
	const uint64_t value = expect(reader, HEAD_UINT).bits;
	if (value <= most)
		return value;
	reader->failed = true;
	return 0;
}

int64_t msgpack_int(struct msgpack_reader *reader)
{
	if (!next_is(reader, HEAD_INT))
		return (int64_t)msgpack_uint(reader, INT64_MAX);
	return (int64_t)expect(reader, HEAD_INT).bits;
}

bool msgpack_bool(struct msgpack_reader *reader)
{
	return expect(reader, HEAD_BOOL).bits;
}

double msgpack_double(struct msgpack_reader *reader)
{
	const struct head head = expect(reader, HEAD_FLOAT);
	double value = 0;
	if (head.width == 4) {
		const uint32_t bits = (uint32_t)head.bits;
		float narrow;
		memcpy(&narrow, &bits, sizeof(narrow));
		value = narrow;
	} else {
		memcpy(&value, &head.bits, sizeof(value));
	}
	if (isfinite(value))
		return value;
	reader->failed = true;
	return 0;
}

const uint8_t *msgpack_bin(struct msgpack_reader *reader, size_t least, size_t most, size_t *size)
{
	const struct head head = expect(reader, HEAD_BIN);
	const uint8_t *at = NULL;
	if (!reader->failed && head.count >= least && head.count <= most)
		at = reader_take(&reader->bytes, head.count);
	reader->failed |= !at;
	*size = at ? head.count : 0;
	return at;
}

void msgpack_bytes(struct msgpack_reader *reader, void *to, size_t size)
{
	size_t found;
	const uint8_t *at = msgpack_bin(reader, size, size, &found);
	if (at)
		memcpy(to, at, size);
	else
		memset(to, 0, size);
}

void msgpack_text(struct msgpack_reader *reader, char *to, size_t capacity)
{
	const struct head head = expect(reader, HEAD_TEXT);
	const char *at = NULL;
	memset(to, 0, capacity);
	if (!reader->failed && head.count < capacity)
		at = (const char *)reader_take(&reader->bytes, head.count);
	if (at && text_printable(at, head.count))
		memcpy(to, at, head.count);
	else
		reader->failed = true;
}

void msgpack_skip(struct msgpack_reader *reader)
{
	if (!reader->failed && !walk(&reader->bytes))
		reader->failed = true;
}

/* ---- writing ---- */

static int write_bytes(void *context, const char *bytes, size_t size)
{
	struct buf *out = context;
	buf_append(out, bytes, size);
	return out->failed ? -1 : 0;
}

static msgpack_packer packer_of(struct buf *out)
{
	msgpack_packer packer;
	msgpack_packer_init(&packer, out, write_bytes);
	return packer;
}

void msgpack_put_array(struct buf *out, uint32_t n)
{
	msgpack_packer packer = packer_of(out);
	msgpack_pack_array(&packer, n);
}

void msgpack_put_uint(struct buf *out, uint64_t value)
{
	msgpack_packer packer = packer_of(out);
	msgpack_pack_uint64(&packer, value);
}

void msgpack_put_int(struct buf *out, int64_t value)
{
	msgpack_packer packer = packer_of(out);
	msgpack_pack_int64(&packer, value);
}

void msgpack_put_bool(struct buf *out, bool value)
{
	msgpack_packer packer = packer_of(out);
	if (value)
		msgpack_pack_true(&packer);
	else
		msgpack_pack_false(&packer);
}

void msgpack_put_float(struct buf *out, float value)
{
	msgpack_packer packer = packer_of(out);
	msgpack_pack_float(&packer, value);
}

void msgpack_put_double(struct buf *out, double value)
{
	msgpack_packer packer = packer_of(out);
	msgpack_pack_double(&packer, value);
}

void msgpack_put_bin(struct buf *out, const void *bytes, size_t size)
{
	msgpack_packer packer = packer_of(out);
	msgpack_pack_bin(&packer, size);
	buf_append(out, bytes, size);
}

void msgpack_put_text(struct buf *out, const char *text)
{
	const size_t size = strlen(text);
	msgpack_packer packer = packer_of(out);
	msgpack_pack_str(&packer, size);
	char *copy = (char *)buf_extend(out, size);
	if (!copy)
		return;
	memcpy(copy, text, size);
	text_make_printable(copy, size);
}
