#include "daemon/manifest.h"

#include "base/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC                "primadmf"
#define VERSION              1u
#define FILE_BYTES_LIMIT     (UINT64_C(1) << 48)
#define METADATA_BYTES_LEAST 24u
#define TENSOR_BYTES_LEAST   63u /* name of one byte, type, one dim, offset, bytes, one hash */

static uint32_t chunks_of(uint64_t bytes)
{
	return (uint32_t)((bytes + MODEL_CHUNK_BYTES - 1) / MODEL_CHUNK_BYTES);
}

void manifest_destroy(struct manifest *manifest)
{
	if (!manifest)
		return;
	free(manifest->parts);
	free(manifest->by_offset);
	free(manifest->hashes);
	free(manifest);
}

static struct manifest *create(uint32_t n_parts, struct fail *fail)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));
	if (manifest) {
		manifest->n_parts = n_parts;
		manifest->parts = calloc(n_parts, sizeof(*manifest->parts));
		manifest->by_offset = calloc(n_parts, sizeof(*manifest->by_offset));
	}
	if (!manifest || !manifest->parts || !manifest->by_offset) {
		manifest_destroy(manifest);
		fail_set(fail, FAIL_MEMORY, "no memory for a model's manifest");
		return NULL;
	}
	return manifest;
}

struct ordered_part {
	uint64_t offset;
	uint32_t index;
};

static int compare_offsets(const void *a, const void *b)
{
	const uint64_t left = ((const struct ordered_part *)a)->offset;
	const uint64_t right = ((const struct ordered_part *)b)->offset;
	return (left > right) - (left < right);
}

/* Fills by_offset; false when there is no memory. */
static bool order_parts(struct manifest *manifest)
{
	struct ordered_part *order = malloc(manifest->n_parts * sizeof(*order));
	if (!order)
		return false;
	for (uint32_t i = 0; i < manifest->n_parts; i++)
		order[i] = (struct ordered_part){ manifest->parts[i].offset, i };
	qsort(order, manifest->n_parts, sizeof(*order), compare_offsets);
	for (uint32_t i = 0; i < manifest->n_parts; i++)
		manifest->by_offset[i] = order[i].index;
	free(order);
	return true;
}

/* ---- identity ---- */

static void hash_u32(crypto_generichash_state *state, uint32_t value)
{
	uint8_t bytes[4];
	store_u32le(bytes, value);
	crypto_generichash_update(state, bytes, sizeof(bytes));
}

static void hash_part(const struct manifest *manifest, const struct manifest_part *part,
		      uint8_t hash[HASH_BYTES])
{
	crypto_generichash(hash, HASH_BYTES, manifest->hashes[part->first_chunk],
			   (uint64_t)part->n_chunks * HASH_BYTES, NULL, 0);
}

static void hash_tensor(crypto_generichash_state *state, const struct manifest *manifest,
			const struct manifest_part *part)
{
	const uint8_t length = (uint8_t)strlen(part->name);
	uint8_t hash[HASH_BYTES];
	crypto_generichash_update(state, &length, 1);
	crypto_generichash_update(state, (const uint8_t *)part->name, length);
	hash_u32(state, part->type);
	hash_u32(state, part->n_dims);
	for (uint32_t i = 0; i < part->n_dims; i++) {
		uint8_t bytes[8];
		store_u64le(bytes, part->dims[i]);
		crypto_generichash_update(state, bytes, sizeof(bytes));
	}
	hash_part(manifest, part, hash);
	crypto_generichash_update(state, hash, sizeof(hash));
}

static void identify(struct manifest *manifest)
{
	static const char domain[] = "primad-model-v1";
	crypto_generichash_state state;
	uint8_t hash[HASH_BYTES];
	crypto_generichash_init(&state, NULL, 0, ID_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)domain, sizeof(domain) - 1);
	hash_part(manifest, &manifest->parts[0], hash);
	crypto_generichash_update(&state, hash, sizeof(hash));
	for (uint32_t i = 1; i < manifest->n_parts; i++)
		hash_tensor(&state, manifest, &manifest->parts[i]);
	crypto_generichash_final(&state, manifest->id.bytes, ID_BYTES);
}

/* ---- making one from a file ---- */

static void list_parts(struct manifest *manifest, const struct gguf *gguf)
{
	manifest->parts[0].bytes = gguf_data_offset(gguf);
	manifest->parts[0].n_chunks = chunks_of(gguf_data_offset(gguf));
	for (uint32_t i = 1; i < manifest->n_parts; i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i - 1);
		struct manifest_part *part = &manifest->parts[i];
		memcpy(part->name, tensor->name, sizeof(part->name));
		memcpy(part->dims, tensor->dims, sizeof(part->dims));
		part->type = tensor->type;
		part->n_dims = tensor->n_dims;
		part->offset = tensor->offset;
		part->bytes = tensor->bytes;
		part->n_chunks = chunks_of(tensor->bytes);
	}
	manifest->n_chunks = 0;
	for (uint32_t i = 0; i < manifest->n_parts; i++) {
		manifest->parts[i].first_chunk = manifest->n_chunks;
		manifest->n_chunks += manifest->parts[i].n_chunks;
	}
}

static int read_exactly(int fd, uint8_t *to, size_t size, uint64_t offset, const char *path,
			struct fail *fail)
{
	while (size > 0) {
		const ssize_t n = pread(fd, to, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(fail, errno, "cannot read %s", path);
		if (n == 0)
			return fail_set(fail, FAIL_IO, "%s became shorter while it was read", path);
		to += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Only a look through a map makes the page cache read in large pages, in which the file then stays
 * for those who map it; what cannot be filled is for the reading to find out. */
static void fill(int fd, const struct chunk_place *place)
{
	struct mapping mapping;
	if (mapping_init(&mapping, fd, place->offset, place->offset + place->size) == 0)
		(void)mapping_fill(&mapping, place->offset, place->offset + place->size);
	mapping_finish(&mapping);
}

static int hash_file(struct manifest *manifest, int fd, const char *path,
		     struct manifest_progress *progress, uint8_t *buffer, struct fail *fail)
{
	for (uint32_t i = 0; i < manifest->n_parts; i++) {
		const struct manifest_part *part = &manifest->parts[manifest->by_offset[i]];
		for (uint32_t j = 0; j < part->n_chunks; j++) {
			struct chunk_place place;
			if (atomic_load(&progress->cancel))
				return fail_set(fail, FAIL_CANCELLED, "reading %s was cancelled",
						path);
			manifest_chunk(manifest, part->first_chunk + j, &place);
			fill(fd, &place);
			const int result =
				read_exactly(fd, buffer, place.size, place.offset, path, fail);
			if (result)
				return result;
			crypto_generichash(manifest->hashes[part->first_chunk + j], HASH_BYTES,
					   buffer, place.size, NULL, 0);
			atomic_fetch_add(&progress->done_bytes, place.size);
		}
	}
	return 0;
}

struct manifest *manifest_make(const struct model *model, const char *name,
			       struct manifest_progress *progress, struct fail *fail)
{
	const struct gguf *gguf = model_gguf(model);
	struct manifest *manifest = create(gguf_tensor_count(gguf) + 1, fail);
	if (!manifest)
		return NULL;
	snprintf(manifest->name, sizeof(manifest->name), "%s", name);
	manifest->file_bytes = gguf_file_size(gguf);
	list_parts(manifest, gguf);
	manifest->hashes = calloc(manifest->n_chunks, HASH_BYTES);
	uint8_t *buffer = malloc(MODEL_CHUNK_BYTES);
	const int fd = open(model_path(model), O_RDONLY | O_CLOEXEC);
	int result;
	if (!manifest->hashes || !buffer || !order_parts(manifest))
		result = fail_set(fail, FAIL_MEMORY, "no memory for a model's manifest");
	else if (fd < 0)
		result = fail_errno(fail, errno, "cannot open %s", model_path(model));
	else
		result = hash_file(manifest, fd, model_path(model), progress, buffer, fail);
	if (fd >= 0)
		close(fd);
	free(buffer);
	if (result) {
		manifest_destroy(manifest);
		return NULL;
	}
	identify(manifest);
	return manifest;
}

/* ---- the form that travels ---- */

static void encode_hashes(const struct manifest *manifest, const struct manifest_part *part,
			  struct buf *out)
{
	buf_append(out, manifest->hashes[part->first_chunk], (size_t)part->n_chunks * HASH_BYTES);
}

/* Little-endian: magic, u32 version, u64 size of the whole; u8 length and name; u64 file size, u64
 * metadata size, u32 tensors; hashes of the metadata; for each tensor u8 length and name, u32 type,
 * u8 dims, u64 each, u64 offset, u64 bytes, hashes. */
void manifest_encode(const struct manifest *manifest, struct buf *out)
{
	const size_t start = out->size;
	const size_t length = strlen(manifest->name);
	buf_text(out, MAGIC);
	buf_u32(out, VERSION);
	buf_u64(out, 0);
	buf_u8(out, (uint8_t)length);
	buf_append(out, manifest->name, length);
	buf_u64(out, manifest->file_bytes);
	buf_u64(out, manifest->parts[0].bytes);
	buf_u32(out, manifest->n_parts - 1);
	encode_hashes(manifest, &manifest->parts[0], out);
	for (uint32_t i = 1; i < manifest->n_parts; i++) {
		const struct manifest_part *part = &manifest->parts[i];
		buf_u8(out, (uint8_t)strlen(part->name));
		buf_text(out, part->name);
		buf_u32(out, part->type);
		buf_u8(out, (uint8_t)part->n_dims);
		for (uint32_t j = 0; j < part->n_dims; j++)
			buf_u64(out, part->dims[j]);
		buf_u64(out, part->offset);
		buf_u64(out, part->bytes);
		encode_hashes(manifest, part, out);
	}
	if (!out->failed)
		store_u64le(out->data + start + 12, out->size - start);
}

uint64_t manifest_size(const void *head)
{
	const uint8_t *bytes = head;
	const uint64_t size = load_u64le(bytes + 12);
	if (memcmp(bytes, MAGIC, 8) != 0 || size < MANIFEST_HEAD_BYTES || size > MANIFEST_BYTES_MAX)
		return 0;
	return size;
}

static int broken(struct fail *fail, const char *what)
{
	return fail_set(fail, FAIL_INVALID, "a model's manifest is malformed: %s", what);
}

static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return size > 0;
}

/* Reads u8 length and text into `to`, which has room for `room` bytes with the terminator. */
static bool decode_text(struct reader *reader, char *to, size_t room)
{
	const uint8_t length = reader_u8(reader);
	if (length >= room || !reader_copy(reader, to, length))
		return false;
	to[length] = 0;
	return is_printable(to, length);
}

/* Numbers the part's chunks and takes their hashes; false when the bytes do not hold them. */
static bool decode_hashes(struct manifest *manifest, struct manifest_part *part,
			  struct reader *reader)
{
	const uint64_t n_chunks = (part->bytes + MODEL_CHUNK_BYTES - 1) / MODEL_CHUNK_BYTES;
	if (n_chunks > reader_left(reader) / HASH_BYTES)
		return false;
	part->first_chunk = manifest->n_chunks;
	part->n_chunks = (uint32_t)n_chunks;
	manifest->n_chunks += part->n_chunks;
	return reader_copy(reader, manifest->hashes[part->first_chunk], n_chunks * HASH_BYTES);
}

static bool size_is_right(const struct manifest_part *part)
{
	const uint32_t block = tensor_type_block(part->type);
	uint64_t elements = 1, bytes;
	for (uint32_t i = 0; i < 4; i++)
		if (part->dims[i] == 0 ||
		    __builtin_mul_overflow(elements, part->dims[i], &elements))
			return false;
	return block && part->dims[0] % block == 0 &&
	       !__builtin_mul_overflow(elements / block, tensor_type_block_bytes(part->type),
				       &bytes) &&
	       bytes == part->bytes;
}

static int decode_tensor(struct manifest *manifest, struct manifest_part *part,
			 struct reader *reader, struct fail *fail)
{
	if (!decode_text(reader, part->name, sizeof(part->name)))
		return broken(fail, "a tensor's name");
	part->type = reader_u32(reader);
	part->n_dims = reader_u8(reader);
	if (part->n_dims < 1 || part->n_dims > 4)
		return broken(fail, "a tensor's dimensions");
	for (uint32_t i = 0; i < 4; i++)
		part->dims[i] = i < part->n_dims ? reader_u64(reader) : 1;
	part->offset = reader_u64(reader);
	part->bytes = reader_u64(reader);
	if (reader->failed || !size_is_right(part))
		return broken(fail, "a tensor's size");
	if (!decode_hashes(manifest, part, reader))
		return broken(fail, "it ends early");
	return 0;
}

/* Parts must lie in the file, one after the other. */
static bool parts_fit(const struct manifest *manifest)
{
	uint64_t end = 0;
	for (uint32_t i = 0; i < manifest->n_parts; i++) {
		const struct manifest_part *part = &manifest->parts[manifest->by_offset[i]];
		if (part->offset < end || part->offset > manifest->file_bytes ||
		    part->bytes > manifest->file_bytes - part->offset)
			return false;
		end = part->offset + part->bytes;
	}
	return manifest->by_offset[0] == 0;
}

static int decode_parts(struct manifest *manifest, struct reader *reader, struct fail *fail)
{
	manifest->hashes = calloc(reader_left(reader) / HASH_BYTES + 1, HASH_BYTES);
	if (!manifest->hashes)
		return fail_set(fail, FAIL_MEMORY, "no memory for a model's manifest");
	if (!decode_hashes(manifest, &manifest->parts[0], reader))
		return broken(fail, "it ends early");
	for (uint32_t i = 1; i < manifest->n_parts; i++) {
		const int result = decode_tensor(manifest, &manifest->parts[i], reader, fail);
		if (result)
			return result;
	}
	if (reader_left(reader) > 0)
		return broken(fail, "it goes on after its end");
	if (!order_parts(manifest))
		return fail_set(fail, FAIL_MEMORY, "no memory for a model's manifest");
	if (!parts_fit(manifest))
		return broken(fail, "its tensors do not fit into the file");
	return 0;
}

static int check_head(struct reader *reader, size_t size, struct fail *fail)
{
	const uint8_t *magic = reader_take(reader, 8);
	const uint32_t version = reader_u32(reader);
	const uint64_t stated = reader_u64(reader);
	if (!magic || memcmp(magic, MAGIC, 8) != 0 || reader->failed)
		return broken(fail, "it is none");
	if (version != VERSION)
		return fail_set(fail, FAIL_VERSION,
				"a model's manifest has format %" PRIu32
				", this version reads %u; upgrade primad on all devices",
				version, VERSION);
	if (stated != size || size > MANIFEST_BYTES_MAX)
		return broken(fail, "its size");
	return 0;
}

struct manifest *manifest_decode(const void *bytes, size_t size, struct fail *fail)
{
	struct reader reader;
	char name[MODEL_NAME_BYTES];
	reader_init(&reader, bytes, size);
	if (check_head(&reader, size, fail) != 0)
		return NULL;
	const bool named = decode_text(&reader, name, sizeof(name));
	const uint64_t file_bytes = reader_u64(&reader);
	const uint64_t metadata_bytes = reader_u64(&reader);
	const uint32_t n_tensors = reader_u32(&reader);
	if (!named || file_bytes > FILE_BYTES_LIMIT || metadata_bytes < METADATA_BYTES_LEAST ||
	    metadata_bytes > GGUF_METADATA_LIMIT || n_tensors > GGUF_COUNT_LIMIT ||
	    n_tensors > reader_left(&reader) / TENSOR_BYTES_LEAST) {
		broken(fail, "its head");
		return NULL;
	}
	struct manifest *manifest = create(n_tensors + 1, fail);
	if (!manifest)
		return NULL;
	memcpy(manifest->name, name, sizeof(name));
	manifest->file_bytes = file_bytes;
	manifest->parts[0].bytes = metadata_bytes;
	if (decode_parts(manifest, &reader, fail) != 0) {
		manifest_destroy(manifest);
		return NULL;
	}
	identify(manifest);
	return manifest;
}

/* ---- asking ---- */

bool manifest_matches(const struct manifest *manifest, const struct gguf *gguf)
{
	if (gguf_data_offset(gguf) != manifest->parts[0].bytes ||
	    gguf_file_size(gguf) != manifest->file_bytes ||
	    gguf_tensor_count(gguf) != manifest->n_parts - 1)
		return false;
	for (uint32_t i = 1; i < manifest->n_parts; i++) {
		const struct manifest_part *part = &manifest->parts[i];
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i - 1);
		if (strcmp(part->name, tensor->name) != 0 || part->type != tensor->type ||
		    part->n_dims != tensor->n_dims || part->offset != tensor->offset ||
		    part->bytes != tensor->bytes ||
		    memcmp(part->dims, tensor->dims, sizeof(part->dims)) != 0)
			return false;
	}
	return true;
}

/* The part in which a chunk lies: the last one that begins at or before it. */
static uint32_t part_of_chunk(const struct manifest *manifest, uint32_t chunk)
{
	uint32_t low = 0, high = manifest->n_parts;
	while (high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;
		if (manifest->parts[middle].first_chunk <= chunk)
			low = middle;
		else
			high = middle;
	}
	return low;
}

bool manifest_chunk(const struct manifest *manifest, uint32_t chunk, struct chunk_place *place)
{
	if (chunk >= manifest->n_chunks)
		return false;
	place->part = part_of_chunk(manifest, chunk);
	const struct manifest_part *part = &manifest->parts[place->part];
	const uint64_t within = (uint64_t)(chunk - part->first_chunk) * MODEL_CHUNK_BYTES;
	const uint64_t left = part->bytes - within;
	place->offset = part->offset + within;
	place->size = left < MODEL_CHUNK_BYTES ? (uint32_t)left : MODEL_CHUNK_BYTES;
	return true;
}

int64_t manifest_part_at(const struct manifest *manifest, uint64_t offset, uint64_t size)
{
	uint32_t low = 0, high = manifest->n_parts;
	while (high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;
		if (manifest->parts[manifest->by_offset[middle]].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	const struct manifest_part *part = &manifest->parts[manifest->by_offset[low]];
	if (offset < part->offset || offset - part->offset > part->bytes ||
	    size > part->bytes - (offset - part->offset))
		return -1;
	return manifest->by_offset[low];
}

bool manifest_chunk_is(const struct manifest *manifest, uint32_t chunk, const void *bytes,
		       size_t size)
{
	struct chunk_place place;
	uint8_t hash[HASH_BYTES];
	if (!manifest_chunk(manifest, chunk, &place) || place.size != size)
		return false;
	crypto_generichash(hash, sizeof(hash), bytes, size, NULL, 0);
	return memcmp(hash, manifest->hashes[chunk], HASH_BYTES) == 0;
}
