/* gguf_build.h: puts GGUF bytes together for tests. */
#ifndef TESTS_GGUF_BUILD_H
#define TESTS_GGUF_BUILD_H

#include "base/buf.h"
#include "compute/gguf.h"

#include <stdlib.h>
#include <string.h>

struct gguf_build {
	uint32_t version, alignment;
	uint64_t n_keys, n_tensors;
	uint64_t data_bytes;
	const char *drop; /* a key or tensor of this name is left out */
	struct buf keys, tensors;
};

static inline void build_init(struct gguf_build *build)
{
	memset(build, 0, sizeof(*build));
	build->version = 3;
	build->alignment = 32;
}

static inline void build_text(struct buf *buf, const char *text)
{
	buf_u64(buf, strlen(text));
	buf_text(buf, text);
}

/* False when the name is the one to be dropped. */
static inline bool build_key(struct gguf_build *build, const char *key, uint32_t type)
{
	if (build->drop && strcmp(build->drop, key) == 0)
		return false;
	build->n_keys++;
	build_text(&build->keys, key);
	buf_u32(&build->keys, type);
	return true;
}

static inline void build_u32(struct gguf_build *build, const char *key, uint32_t value)
{
	if (build_key(build, key, GGUF_U32))
		buf_u32(&build->keys, value);
}

static inline void build_f32(struct gguf_build *build, const char *key, float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	if (build_key(build, key, GGUF_F32))
		buf_u32(&build->keys, bits);
}

static inline void build_string(struct gguf_build *build, const char *key, const char *value)
{
	if (build_key(build, key, GGUF_STRING))
		build_text(&build->keys, value);
}

/* The caller appends the elements to build->keys when this gives true. */
static inline bool build_array(struct gguf_build *build, const char *key, uint32_t type,
			       uint64_t count)
{
	if (!build_key(build, key, GGUF_ARRAY))
		return false;
	buf_u32(&build->keys, type);
	buf_u64(&build->keys, count);
	return true;
}

/* `rows` 0 makes a vector. Data follows the tensors before it. */
static inline void build_tensor(struct gguf_build *build, const char *name, uint32_t type,
				uint64_t columns, uint64_t rows)
{
	if (build->drop && strcmp(build->drop, name) == 0)
		return;
	build->n_tensors++;
	build_text(&build->tensors, name);
	buf_u32(&build->tensors, rows ? 2 : 1);
	buf_u64(&build->tensors, columns);
	if (rows)
		buf_u64(&build->tensors, rows);
	buf_u32(&build->tensors, type);
	buf_u64(&build->tensors, build->data_bytes);
	const uint64_t bytes = columns / tensor_type_block(type) * (rows ? rows : 1) *
			       tensor_type_block_bytes(type);
	build->data_bytes += (bytes + build->alignment - 1) / build->alignment * build->alignment;
}

/* Appends the header and tables, padded; the data section is left to the caller. */
static inline void build_header(const struct gguf_build *build, struct buf *out)
{
	buf_text(out, "GGUF");
	buf_u32(out, build->version);
	buf_u64(out, build->n_tensors);
	buf_u64(out, build->n_keys);
	buf_append(out, build->keys.data, build->keys.size);
	buf_append(out, build->tensors.data, build->tensors.size);
	while (out->size % build->alignment)
		buf_u8(out, 0);
}

/* Appends the whole file, its data all zero. */
static inline void build_file(const struct gguf_build *build, struct buf *out)
{
	build_header(build, out);
	uint8_t *data = buf_extend(out, build->data_bytes);
	if (data && build->data_bytes)
		memset(data, 0, build->data_bytes);
}

static inline void build_finish(struct gguf_build *build)
{
	buf_finish(&build->keys);
	buf_finish(&build->tensors);
}

#endif
