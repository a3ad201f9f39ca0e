/* msgpack.h: msgpack bytes from outside, read without trust; and the little writing we need.
 *
 * msgpack-c's unpacker allocates what a header claims (five bytes ask for 512 MiB), so nothing that
 * comes from a peer reaches it. msgpack_check walks the bytes first: every count and size is held
 * against the bytes that are left, depth and number of values against fixed limits. Then the reader
 * below takes values one by one, without allocating. Strings and binaries are borrowed views.
 *
 * Writing goes through msgpack-c's packer into a struct buf. */
#ifndef PROTO_MSGPACK_H
#define PROTO_MSGPACK_H

#include "base/buf.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSGPACK_DEPTH_MAX 8
#define MSGPACK_VALUES_MAX 65536u

/* 0 when the bytes are exactly one well-formed value within the limits, else FAIL_INVALID. */
int msgpack_check(const void *bytes, size_t size, struct fail *fail);

/* After the first value of a wrong kind or range `failed` is set and every later read gives zero or
 * NULL, so that a whole record may be read and checked once. */
struct msgpack_reader {
	struct reader bytes;
	bool failed;
};

void msgpack_reader_init(struct msgpack_reader *reader, const void *bytes, size_t size);
uint32_t msgpack_array(struct msgpack_reader *reader); /* number of elements that follow */
uint64_t msgpack_uint(struct msgpack_reader *reader, uint64_t most);
int64_t msgpack_int(struct msgpack_reader *reader);
bool msgpack_bool(struct msgpack_reader *reader);
double msgpack_double(struct msgpack_reader *reader); /* finite; float 32 and 64 */
/* View of a binary of `least` to `most` bytes. */
const uint8_t *msgpack_bin(struct msgpack_reader *reader, size_t least, size_t most, size_t *size);
void msgpack_bytes(struct msgpack_reader *reader, void *to, size_t size); /* exactly so many */
/* A string of printable UTF-8 (text_printable) that fits with a terminator into `to`. */
void msgpack_text(struct msgpack_reader *reader, char *to, size_t capacity);
void msgpack_skip(struct msgpack_reader *reader); /* one value, whatever it is */

/* ---- writing ---- */
void msgpack_put_array(struct buf *out, uint32_t n);
void msgpack_put_uint(struct buf *out, uint64_t value);
void msgpack_put_int(struct buf *out, int64_t value);
void msgpack_put_bool(struct buf *out, bool value);
void msgpack_put_float(struct buf *out, float value);
void msgpack_put_double(struct buf *out, double value);
void msgpack_put_bin(struct buf *out, const void *bytes, size_t size);
void msgpack_put_text(struct buf *out, const char *text); /* made printable */

#endif
