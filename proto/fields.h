/* fields.h: a table that says how a struct travels, walked once to write it and once to read it.
 *
 * A struct is a msgpack array of its fields in the table's order. A minor version may append
 * fields, marked `later` in the table: a reader passes over fields that its table does not have,
 * and takes zeros for later ones that an older writer did not send. Other missing fields, wrong
 * kinds and values out of the table's range are refused. No struct goes to the wire or comes back
 * as memory. */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/msgpack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
	FIELD_UINT,   /* u8, u16, u32, u64 or an enum: 0 to `most` */
	FIELD_INT,    /* i64 */
	FIELD_BOOL,
	FIELD_FLOAT,  /* float, `least` to `greatest`; travels as float 32 */
	FIELD_DOUBLE, /* double, likewise as float 64 */
	FIELD_TEXT,   /* char [size], printable, terminated */
	FIELD_BYTES,  /* u8 [size], a binary of that size */
	FIELD_STRUCT, /* one `inner` */
	FIELD_LIST,   /* up to `most` of `inner` side by side, `size` apart; number at `count` */
	FIELD_UINTS,  /* up to `most` u32 side by side; their number at `count`, a u32 */
	FIELD_VIEW,   /* const u8 *: a borrowed binary of up to `most` units of `size` bytes; their
	                 number at `count`, a u32 */
	FIELD_WORDS   /* const u32 *: up to `most` words as a little-endian binary; number at
	                 `count`, a u32; read into the scratch buffer, one such field a message */
};

struct fields;

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	size_t size;
	uint64_t most;
	double least, greatest;
	size_t count;      /* offset of the number */
	size_t count_size; /* LIST: 2 or 4 */
	bool counted;      /* UINTS: an earlier list has the same number, which stands at `count` */
	const struct fields *inner;
	bool later; /* appended by a minor version after the first: may be missing */
};

struct fields {
	uint32_t n;
	const struct field *field;
};

#define FIELDS_N(table) (sizeof(table) / sizeof((table)[0]))
#define FIELD_SIZE(type, member) sizeof(((type *)0)->member)
#define FIELD_AT(type, member) .name = #member, .offset = offsetof(type, member)

#define F_UINT(type, member, greatest_value)                                                       \
	{ FIELD_AT(type, member), .kind = FIELD_UINT, .size = FIELD_SIZE(type, member),            \
	  .most = (greatest_value) }
#define F_UINT_LATER(type, member, greatest_value)                                                 \
	{ FIELD_AT(type, member), .kind = FIELD_UINT, .size = FIELD_SIZE(type, member),            \
	  .most = (greatest_value), .later = true }
#define F_INT(type, member) { FIELD_AT(type, member), .kind = FIELD_INT }
#define F_BOOL(type, member) { FIELD_AT(type, member), .kind = FIELD_BOOL }
#define F_FLOAT(type, member, from, to)                                                            \
	{ FIELD_AT(type, member), .kind = FIELD_FLOAT, .least = (from), .greatest = (to) }
#define F_DOUBLE(type, member, from, to)                                                           \
	{ FIELD_AT(type, member), .kind = FIELD_DOUBLE, .least = (from), .greatest = (to) }
#define F_TEXT(type, member)                                                                       \
	{ FIELD_AT(type, member), .kind = FIELD_TEXT, .size = FIELD_SIZE(type, member) }
#define F_BYTES(type, member)                                                                      \
	{ FIELD_AT(type, member), .kind = FIELD_BYTES, .size = FIELD_SIZE(type, member) }
#define F_BYTES_LATER(type, member)                                                                \
	{ FIELD_AT(type, member), .kind = FIELD_BYTES, .size = FIELD_SIZE(type, member),           \
	  .later = true }
#define F_STRUCT(type, member, table)                                                              \
	{ FIELD_AT(type, member), .kind = FIELD_STRUCT, .inner = (table) }
#define F_LIST(type, member, number, capacity, table)                                              \
	{ FIELD_AT(type, member), .kind = FIELD_LIST, .size = FIELD_SIZE(type, member[0]),         \
	  .most = (capacity), .count = offsetof(type, number),                                     \
	  .count_size = FIELD_SIZE(type, number), .inner = (table) }
#define F_UINTS(type, member, number, capacity)                                                    \
	{ FIELD_AT(type, member), .kind = FIELD_UINTS, .most = (capacity),                         \
	  .count = offsetof(type, number) }
#define F_UINTS_COUNTED(type, member, number, capacity)                                            \
	{ FIELD_AT(type, member), .kind = FIELD_UINTS, .most = (capacity),                         \
	  .count = offsetof(type, number), .counted = true }
#define F_UINTS_COUNTED_LATER(type, member, number, capacity)                                      \
	{ FIELD_AT(type, member), .kind = FIELD_UINTS, .most = (capacity),                         \
	  .count = offsetof(type, number), .counted = true, .later = true }
#define F_VIEW(type, member, number, capacity, unit)                                               \
	{ FIELD_AT(type, member), .kind = FIELD_VIEW, .size = (unit), .most = (capacity),          \
	  .count = offsetof(type, number) }
#define F_WORDS(type, member, number, capacity)                                                    \
	{ FIELD_AT(type, member), .kind = FIELD_WORDS, .most = (capacity),                         \
	  .count = offsetof(type, number) }

void fields_write(const struct fields *fields, const void *from, struct buf *out);

/* Reads one struct into `to`, which was cleared before; gives NULL, or the name of the first field
 * that is wrong. `scratch` may be NULL for a table without FIELD_WORDS. */
const char *fields_read(const struct fields *fields, struct msgpack_reader *reader, void *to,
			struct buf *scratch);

/* Checks that `bytes` are one well-formed value (msgpack_check) and reads it. `what` begins the
 * sentence of a failure: "the profile", "a hello message". */
int fields_decode(const struct fields *fields, const char *what, const void *bytes, size_t size,
		  void *to, struct buf *scratch, struct fail *fail);

#endif
