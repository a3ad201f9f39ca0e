/* The part of the store that members see: giving verified bytes, and taking them in. */
#include "base/file.h"
#include "base/log.h"
#include "daemon/model_facts.h"
#include "daemon/store.h"
#include "daemon/store_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- giving ---- */

int store_manifest(struct store *store, const struct model_id *id, struct buf *out,
		   struct fail *fail)
{
	struct entry *entry = store_hold(store, id, fail);
	if (!entry)
		return -FAIL_NOT_FOUND;
	manifest_encode(entry->manifest, out);
	const int result =
		out->failed ? fail_set(fail, FAIL_MEMORY, "no memory for a model's manifest") : 0;
	store_let_go(store, entry);
	return result;
}

/* True when all chunks that hold these bytes are here and verified. */
static bool has_bytes(struct store *store, const struct entry *entry, uint64_t offset,
		      uint32_t size)
{
	const int64_t at = manifest_part_at(entry->manifest, offset, size);
	if (at < 0 || size == 0)
		return false;
	const struct manifest_part *part = &entry->manifest->parts[at];
	const uint64_t first = (offset - part->offset) / MODEL_CHUNK_BYTES;
	const uint64_t last = (offset - part->offset + size - 1) / MODEL_CHUNK_BYTES;
	pthread_mutex_lock(&store->lock);
	const bool here = entry_has_range(entry, part->first_chunk + (uint32_t)first,
					  (uint32_t)(last - first + 1));
	pthread_mutex_unlock(&store->lock);
	return here;
}

static int read_file(const char *path, uint64_t offset, uint32_t size, uint8_t *bytes,
		     struct fail *fail)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(fail, errno, "cannot open %s", path);
	int result = 0;
	while (size > 0 && result == 0) {
		const ssize_t n = pread(fd, bytes, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			result = fail_errno(fail, errno, "cannot read %s", path);
		} else if (n == 0) {
			result = fail_set(fail, FAIL_IO, "%s became shorter", path);
		} else {
			bytes += n;
			offset += (uint64_t)n;
			size -= (uint32_t)n;
		}
	}
	close(fd);
	return result;
}

int store_read(struct store *store, const struct model_id *id, uint64_t offset, uint32_t size,
	       uint8_t *bytes, struct fail *fail)
{
	if (size > MODEL_CHUNK_BYTES)
		return fail_set(fail, FAIL_INVALID, "%" PRIu32 " bytes were asked for at once",
				size);
	struct entry *entry = store_hold(store, id, fail);
	if (!entry)
		return -FAIL_NOT_FOUND;
	int result;
	if (!has_bytes(store, entry, offset, size))
		result = fail_set(fail, FAIL_NOT_FOUND,
				  "this device does not have these bytes of the model %s",
				  entry->name);
	else
		result = mark_check(entry, fail);
	if (result == 0)
		result = read_file(entry->path, offset, size, bytes, fail);
	else if (result == -FAIL_CORRUPT)
		store_forget(store, entry);
	store_let_go(store, entry);
	return result;
}

/* ---- becoming known ---- */

/* A file of the original's size without any of its bytes. */
static int make_sparse(const char *folder, uint64_t size, struct fail *fail)
{
	char path[PATH_MAX];
	if (!file_join(path, sizeof(path), folder, "model.gguf"))
		return fail_set(fail, FAIL_INVALID, "the path %s is too long", folder);
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(fail, errno, "cannot make %s", path);
	int result = 0;
	if (ftruncate(fd, (off_t)size) != 0)
		result = fail_errno(fail, errno, "cannot make %s", path);
	close(fd);
	return result;
}

int store_adopt(struct store *store, const struct model_id *id, const void *bytes, size_t size,
		struct fail *fail)
{
	char incoming[PATH_MAX], name[MODEL_NAME_BYTES];
	struct store_model known;
	if (store_get(store, id, &known))
		return 0;
	struct manifest *manifest = manifest_decode(bytes, size, fail);
	if (!manifest)
		return -(int)(fail ? fail->code : FAIL_INVALID);
	store_clean_name(manifest->name, name);
	const uint64_t file_bytes = manifest->file_bytes;
	if (!model_id_equal(&manifest->id, id)) {
		manifest_destroy(manifest);
		return fail_set(
			fail, FAIL_CORRUPT,
			"a member sent the manifest of another model than the one asked for");
	}
	struct entry *entry = entry_create(STORE_COPY, manifest, name, store->folder, NULL, fail);
	if (!entry)
		return -FAIL_MEMORY;
	int result = store_make_incoming(store, incoming, fail);
	if (result) {
		entry_destroy(entry);
		return result;
	}
	result = make_sparse(incoming, file_bytes, fail);
	if (result == 0)
		return store_show(store, entry, incoming, fail);
	entry_destroy(entry);
	store_delete_folder(incoming);
	return result;
}

/* ---- what is wanted ---- */

static bool wants_layer(const struct store_want *want, uint32_t layer)
{
	for (uint32_t i = 0; i < want->n_ranges; i++)
		if (layer >= want->ranges[i].first && layer < want->ranges[i].end)
			return true;
	return false;
}

/* With the lock held. Which unit a tensor belongs to is known once the metadata is here. */
static bool wants_part(const struct entry *entry, uint32_t part, const struct store_want *want)
{
	if (part == 0)
		return true;
	if (!entry->units)
		return false;
	const int32_t unit = entry->units[part - 1];
	switch (unit) {
	case TENSOR_UNIT_EVERY:
		return want->output || want->n_ranges > 0;
	case TENSOR_UNIT_EMBEDDING:
		return want->embedding;
	case TENSOR_UNIT_OUTPUT:
		return want->output;
	default:
		return wants_layer(want, (uint32_t)unit);
	}
}

int64_t store_missing(struct store *store, const struct model_id *id, const struct store_want *want,
		      uint32_t *chunks, uint32_t max)
{
	int64_t count = 0;
	pthread_mutex_lock(&store->lock);
	const struct entry *entry = store_entry(store, id);
	const uint32_t n_parts = entry ? entry->manifest->n_parts : 0;
	for (uint32_t i = 0; i < n_parts; i++) {
		const struct manifest_part *part = &entry->manifest->parts[i];
		if (!wants_part(entry, i, want))
			continue;
		for (uint32_t j = part->first_chunk; j < part->first_chunk + part->n_chunks; j++) {
			if (entry_has(entry, j))
				continue;
			if (count < max)
				chunks[count] = j;
			count++;
		}
	}
	pthread_mutex_unlock(&store->lock);
	return entry ? count : -(int64_t)FAIL_NOT_FOUND;
}

static uint64_t part_bytes_here(const struct entry *entry, const struct manifest_part *part)
{
	uint64_t bytes = 0;
	struct chunk_place place;
	for (uint32_t i = part->first_chunk; i < part->first_chunk + part->n_chunks; i++)
		if (entry_has(entry, i) && manifest_chunk(entry->manifest, i, &place))
			bytes += place.size;
	return bytes;
}

int store_progress(struct store *store, const struct model_id *id, const struct store_want *want,
		   uint64_t *done_bytes, uint64_t *total_bytes)
{
	*done_bytes = 0;
	*total_bytes = 0;
	pthread_mutex_lock(&store->lock);
	const struct entry *entry = store_entry(store, id);
	const uint32_t n_parts = entry ? entry->manifest->n_parts : 0;
	for (uint32_t i = 0; i < n_parts; i++) {
		const struct manifest_part *part = &entry->manifest->parts[i];
		if (!wants_part(entry, i, want))
			continue;
		*done_bytes += part_bytes_here(entry, part);
		*total_bytes += part->bytes;
	}
	pthread_mutex_unlock(&store->lock);
	return entry ? 0 : -FAIL_NOT_FOUND;
}

bool store_chunk(struct store *store, const struct model_id *id, uint32_t chunk,
		 struct chunk_place *place)
{
	pthread_mutex_lock(&store->lock);
	const struct entry *entry = store_entry(store, id);
	const bool good = entry && manifest_chunk(entry->manifest, chunk, place);
	pthread_mutex_unlock(&store->lock);
	return good;
}

/* ---- taking in ---- */

static int write_file(const struct entry *entry, uint64_t offset, const uint8_t *bytes, size_t size,
		      struct fail *fail)
{
	const int fd = open(entry->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(fail, errno, "cannot open %s", entry->path);
	int result = 0;
	while (size > 0 && result == 0) {
		const ssize_t n = pwrite(fd, bytes, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			result = fail_errno(fail, errno,
					    "the model %s cannot be fetched further (free some of "
					    "the disk, or remove a model with primactl model rm)",
					    entry->name);
		} else {
			bytes += n;
			offset += (uint64_t)n;
			size -= (size_t)n;
		}
	}
	if (close(fd) != 0 && result == 0)
		result = fail_errno(fail, errno, "cannot write %s", entry->path);
	return result;
}

static int flush(struct store *store, struct entry *entry, struct fail *fail)
{
	int result = 0;
	const size_t size = entry_bitmap_bytes(entry);
	uint8_t *have = malloc(size);
	if (!have)
		return fail_set(fail, FAIL_MEMORY, "no memory to flush the model %s", entry->name);
	pthread_mutex_lock(&entry->flushing);
	pthread_mutex_lock(&store->lock);
	memcpy(have, entry->have, size);
	entry->unflushed = 0;
	pthread_mutex_unlock(&store->lock);
	/* the data first: a chunk that the bitmap names must be there after a power cut */
	const int fd = open(entry->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		result = fail_errno(fail, errno, "cannot flush %s", entry->path);
	if (fd >= 0)
		close(fd);
	if (result == 0)
		result = entry_save_have(entry, entry->folder, have, fail);
	pthread_mutex_unlock(&entry->flushing);
	free(have);
	return result;
}

/* Marks the chunk as here; true when the metadata is whole and nobody has looked at it yet. */
static bool mark_chunk(struct store *store, struct entry *entry, uint32_t chunk, bool *flush_now)
{
	pthread_mutex_lock(&store->lock);
	entry_set(entry, chunk);
	*flush_now = ++entry->unflushed >= STORE_FLUSH_CHUNKS;
	const bool look = !entry->facts && entry_has_metadata(entry);
	pthread_mutex_unlock(&store->lock);
	return look;
}

static int take_chunk(struct store *store, struct entry *entry, uint32_t chunk, const void *bytes,
		      size_t size, struct fail *fail)
{
	struct chunk_place place;
	bool flush_now;
	if (entry->kind != STORE_COPY)
		return 0; /* all of it is here */
	if (!manifest_chunk(entry->manifest, chunk, &place))
		return fail_set(fail, FAIL_INVALID, "the model %s has no chunk %" PRIu32,
				entry->name, chunk);
	const struct manifest_part *part = &entry->manifest->parts[place.part];
	if (!manifest_chunk_is(entry->manifest, chunk, bytes, size))
		return fail_set(fail, FAIL_CORRUPT,
				"bytes of the model %s (%s) arrived damaged and were refused",
				entry->name, part->name[0] ? part->name : "its head");
	int result = write_file(entry, place.offset, bytes, size, fail);
	if (result)
		return result;
	if (mark_chunk(store, entry, chunk, &flush_now))
		result = store_look_inside(store, entry, fail);
	return result == 0 && flush_now ? flush(store, entry, fail) : result;
}

int store_write(struct store *store, const struct model_id *id, uint32_t chunk, const void *bytes,
		size_t size, struct fail *fail)
{
	struct entry *entry = store_hold(store, id, fail);
	if (!entry)
		return -FAIL_NOT_FOUND;
	const int result = take_chunk(store, entry, chunk, bytes, size, fail);
	store_let_go(store, entry);
	return result;
}

int store_flush(struct store *store, const struct model_id *id, struct fail *fail)
{
	struct entry *entry = store_hold(store, id, fail);
	if (!entry)
		return -FAIL_NOT_FOUND;
	const int result = entry->have ? flush(store, entry, fail) : 0;
	store_let_go(store, entry);
	return result;
}
