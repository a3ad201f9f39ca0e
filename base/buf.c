#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf)
{
	memset(buf, 0, sizeof(*buf));
}

void buf_finish(struct buf *buf)
{
	free(buf->data);
	buf_init(buf);
}

void buf_clear(struct buf *buf)
{
	buf->size = 0;
	buf->failed = false;
}

bool buf_reserve(struct buf *buf, size_t extra)
{
	if (buf->capacity - buf->size >= extra)
		return true;
	if (extra > SIZE_MAX / 2 - buf->size) {
		buf->failed = true;
		return false;
	}
	size_t capacity = buf->capacity ? buf->capacity : 64;
	while (capacity - buf->size < extra)
		capacity *= 2;
	uint8_t *data = realloc(buf->data, capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

uint8_t *buf_extend(struct buf *buf, size_t size)
{
	if (!buf_reserve(buf, size) || !buf->data) /* no space of no bytes */
		return NULL;
	uint8_t *at = buf->data + buf->size;
	buf->size += size;
	return at;
}

void buf_append(struct buf *buf, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	uint8_t *at = buf_extend(buf, size);
	if (at)
		memcpy(at, bytes, size);
}

void buf_consume(struct buf *buf, size_t size)
{
	if (size >= buf->size) {
		buf->size = 0;
		return;
	}
	memmove(buf->data, buf->data + size, buf->size - size);
	buf->size -= size;
}

void buf_u8(struct buf *buf, uint8_t value)
{
	buf_append(buf, &value, 1);
}

void buf_u16(struct buf *buf, uint16_t value)
{
	uint8_t bytes[2];
	store_u16le(bytes, value);
	buf_append(buf, bytes, sizeof(bytes));
}

void buf_u32(struct buf *buf, uint32_t value)
{
	uint8_t bytes[4];
	store_u32le(bytes, value);
	buf_append(buf, bytes, sizeof(bytes));
}

void buf_u64(struct buf *buf, uint64_t value)
{
	uint8_t bytes[8];
	store_u64le(bytes, value);
	buf_append(buf, bytes, sizeof(bytes));
}

void buf_text(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (size < 0 || !buf_reserve(buf, (size_t)size + 1)) {
		buf->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf((char *)buf->data + buf->size, (size_t)size + 1, format, args);
	va_end(args);
	buf->size += (size_t)size;
}

void reader_init(struct reader *reader, const void *bytes, size_t size)
{
	reader->next = bytes;
	reader->end = size ? reader->next + size : reader->next;
	reader->failed = false;
}

size_t reader_left(const struct reader *reader)
{
	return reader->failed ? 0 : (size_t)(reader->end - reader->next);
}

const uint8_t *reader_take(struct reader *reader, size_t size)
{
	if (reader->failed || size > reader_left(reader)) {
		reader->failed = true;
		return NULL;
	}
	const uint8_t *at = reader->next;
	reader->next += size;
	return at;
}

bool reader_copy(struct reader *reader, void *to, size_t size)
{
	const uint8_t *at = reader_take(reader, size);
	if (!at) {
		memset(to, 0, size);
		return false;
	}
	memcpy(to, at, size);
	return true;
}

uint8_t reader_u8(struct reader *reader)
{
	const uint8_t *at = reader_take(reader, 1);
	return at ? *at : 0;
}

uint16_t reader_u16(struct reader *reader)
{
	const uint8_t *at = reader_take(reader, 2);
	return at ? load_u16le(at) : 0;
}

uint32_t reader_u32(struct reader *reader)
{
	const uint8_t *at = reader_take(reader, 4);
	return at ? load_u32le(at) : 0;
}

uint64_t reader_u64(struct reader *reader)
{
	const uint8_t *at = reader_take(reader, 8);
	return at ? load_u64le(at) : 0;
}

float reader_f32(struct reader *reader)
{
	const uint32_t bits = reader_u32(reader);
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint16_t load_u16le(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

uint32_t load_u32le(const uint8_t *bytes)
{
	return (uint32_t)load_u16le(bytes) | (uint32_t)load_u16le(bytes + 2) << 16;
}

uint64_t load_u64le(const uint8_t *bytes)
{
	return (uint64_t)load_u32le(bytes) | (uint64_t)load_u32le(bytes + 4) << 32;
}

void store_u16le(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

void store_u32le(uint8_t *bytes, uint32_t value)
{
	store_u16le(bytes, (uint16_t)value);
	store_u16le(bytes + 2, (uint16_t)(value >> 16));
}

void store_u64le(uint8_t *bytes, uint64_t value)
{
	store_u32le(bytes, (uint32_t)value);
	store_u32le(bytes + 4, (uint32_t)(value >> 32));
}
