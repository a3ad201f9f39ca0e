/* manifest.h: what a model's file consists of, and the hashes by which its bytes are known.
 *
 * A file has parts: part 0 is the metadata, the others are the tensors in the order of the file's
 * table. A part is cut into chunks of MODEL_CHUNK_BYTES (the last one shorter), and chunks are
 * numbered through the whole file, those of the metadata first. Bytes between parts are padding
 * and belong to nobody.
 *
 * The identity of a model is BLAKE2b-256 over: the text "primad-model-v1"; the hash of part 0; then
 * for each tensor u8 length and name, u32 type, u32 number of dims, u64 dims, and its hash. A
 * part's hash is BLAKE2b-256 over its chunks' BLAKE2b-256 hashes. Name, size and places in the file
 * are not covered: they are checked against the metadata once that is here. */
#ifndef DAEMON_MANIFEST_H
#define DAEMON_MANIFEST_H

#include "base/buf.h"
#include "base/fail.h"
#include "compute/compute.h"
#include "proto/facts.h"
#include "proto/id.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_BYTES_MAX (12u << 20)
#define MANIFEST_HEAD_BYTES 20 /* enough to ask manifest_size */
#define HASH_BYTES 32

struct manifest_part {
	char name[GGUF_NAME_BYTES]; /* "" for the metadata */
	uint32_t type;
	uint32_t n_dims;
	uint64_t dims[4]; /* unused ones are 1 */
	uint64_t offset;  /* in the file */
	uint64_t bytes;
	uint32_t first_chunk, n_chunks;
};

struct manifest {
	char name[MODEL_NAME_BYTES];
	struct model_id id;
	uint64_t file_bytes;
	uint32_t n_parts;
	uint32_t n_chunks;
	struct manifest_part *parts; /* [n_parts] */
	uint32_t *by_offset;         /* [n_parts] indexes of parts in the order of the file */
	uint8_t (*hashes)[HASH_BYTES]; /* [n_chunks] */
};

/* How far a long reading is; any thread may look. `cancel` may be set by any thread. */
struct manifest_progress {
	atomic_uint_fast64_t done_bytes;
	atomic_bool cancel;
};

/* Reads the whole file once and hashes it; the model must have been opened from it. `name` is what
 * people will call it. Blocks (about a second per GiB). FAIL_CANCELLED, FAIL_IO, FAIL_MEMORY.
 * Gives. */
struct manifest *manifest_make(const struct model *model, const char *name,
			       struct manifest_progress *progress, struct fail *fail);
void manifest_destroy(struct manifest *manifest); /* accepts NULL */

/* The form that travels and is stored. */
void manifest_encode(const struct manifest *manifest, struct buf *out);
/* Size of a whole manifest from its first MANIFEST_HEAD_BYTES, or 0 when they cannot be one. */
uint64_t manifest_size(const void *head);
/* Checks every number; fills `id` by computing it. Gives, or NULL with FAIL_INVALID, FAIL_VERSION
 * or FAIL_MEMORY. */
struct manifest *manifest_decode(const void *bytes, size_t size, struct fail *fail);

/* True when the file's own tables say the same as the manifest. */
bool manifest_matches(const struct manifest *manifest, const struct gguf *gguf);

/* Where a chunk lies in the file. */
struct chunk_place {
	uint64_t offset;
	uint32_t size;
	uint32_t part;
};
bool manifest_chunk(const struct manifest *manifest, uint32_t chunk, struct chunk_place *place);
/* The part that holds all of [offset, offset + size), or -1. */
int64_t manifest_part_at(const struct manifest *manifest, uint64_t offset, uint64_t size);
/* True when these are the chunk's bytes. */
bool manifest_chunk_is(const struct manifest *manifest, uint32_t chunk, const void *bytes,
		       size_t size);

#endif
