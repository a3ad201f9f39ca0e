/* buf.h: a growable byte buffer, and a bounded reader for bytes that came from outside.
 *
 * All pointer arithmetic on wire and file bytes happens here and nowhere else. Integers are
 * little-endian. A buffer that could not grow is marked `failed` and stays valid: check once, at
 * the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned; NULL while capacity is 0 */
	size_t size;   /* bytes in use */
	size_t capacity;
	bool failed; /* an append was lost for want of memory */
};

void buf_init(struct buf *buf);
void buf_finish(struct buf *buf); /* frees; leaves an empty, usable buffer */
void buf_clear(struct buf *buf);  /* size 0, keeps the memory, clears failed */
bool buf_reserve(struct buf *buf, size_t extra);
void buf_append(struct buf *buf, const void *bytes, size_t size);
uint8_t *buf_extend(struct buf *buf, size_t size); /* uninitialised space, or NULL */
void buf_consume(struct buf *buf, size_t size);    /* drops bytes at the front */
void buf_u8(struct buf *buf, uint8_t value);
void buf_u16(struct buf *buf, uint16_t value);
void buf_u32(struct buf *buf, uint32_t value);
void buf_u64(struct buf *buf, uint64_t value);
void buf_text(struct buf *buf, const char *text); /* without the terminator */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads never pass `end`. After the first short read `failed` is set, every later read gives
 * zero or NULL, so a parser may read a whole record and check once. Borrows its bytes. */
struct reader {
	const uint8_t *next;
	const uint8_t *end;
	bool failed;
};

void reader_init(struct reader *reader, const void *bytes, size_t size);
size_t reader_left(const struct reader *reader);
const uint8_t *reader_take(struct reader *reader, size_t size); /* borrowed view, or NULL */
bool reader_copy(struct reader *reader, void *to, size_t size);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
float reader_f32(struct reader *reader);

uint16_t load_u16le(const uint8_t *bytes);
uint32_t load_u32le(const uint8_t *bytes);
uint64_t load_u64le(const uint8_t *bytes);
void store_u16le(uint8_t *bytes, uint16_t value);
void store_u32le(uint8_t *bytes, uint32_t value);
void store_u64le(uint8_t *bytes, uint64_t value);

#endif
