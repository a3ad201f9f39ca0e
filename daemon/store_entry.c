#include "daemon/model_facts.h"
#include "daemon/store_inside.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char record_magic[8] = "PRIMADRC";
static const char manifest_magic[8] = "PRIMADMF";
static const char have_magic[8] = "PRIMADHV";
#define RECORD_VERSION   1u
#define MANIFEST_VERSION 1u
#define HAVE_VERSION     1u

/* ---- lifecycle ---- */

static char *join(const char *folder, const char *name)
{
	char path[PATH_MAX];
	return file_join(path, sizeof(path), folder, name) ? strdup(path) : NULL;
}

struct entry *entry_create(enum store_kind kind, struct manifest *manifest, const char *name,
			   const char *store, const char *path, struct fail *fail)
{
	char hex[ID_HEX_BYTES];
	struct entry *entry = calloc(1, sizeof(*entry));
	if (!entry) {
		manifest_destroy(manifest);
		fail_set(fail, FAIL_MEMORY, "no memory for the model %s", name);
		return NULL;
	}
	list_init(&entry->link);
	pthread_mutex_init(&entry->flushing, NULL);
	entry->refs = 1;
	entry->kind = kind;
	entry->manifest = manifest;
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->folder = join(store, id_hex(manifest->id.bytes, hex));
	if (entry->folder)
		entry->path =
			kind == STORE_IN_PLACE ? strdup(path) : join(entry->folder, "model.gguf");
	entry->n_have = kind == STORE_COPY ? 0 : manifest->n_chunks;
	entry->have_bytes = kind == STORE_COPY ? 0 : manifest->file_bytes;
	if (kind == STORE_COPY)
		entry->have = calloc(1, entry_bitmap_bytes(entry));
	if (entry->folder && entry->path && (kind != STORE_COPY || entry->have))
		return entry;
	entry_destroy(entry);
	fail_set(fail, FAIL_MEMORY, "no memory for the model %s", name);
	return NULL;
}

void entry_destroy(struct entry *entry)
{
	if (!entry)
		return;
	pthread_mutex_destroy(&entry->flushing);
	manifest_destroy(entry->manifest);
	free(entry->folder);
	free(entry->path);
	free(entry->have);
	free(entry->facts);
	free(entry->units);
	free(entry);
}

/* ---- chunks ---- */

size_t entry_bitmap_bytes(const struct entry *entry)
{
	return (entry->manifest->n_chunks + 7u) / 8;
}

bool entry_has(const struct entry *entry, uint32_t chunk)
{
	return !entry->have || (entry->have[chunk / 8] >> chunk % 8 & 1);
}

bool entry_has_range(const struct entry *entry, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!entry_has(entry, first + i))
			return false;
	return true;
}

void entry_set(struct entry *entry, uint32_t chunk)
{
	struct chunk_place place;
	if (entry_has(entry, chunk) || !manifest_chunk(entry->manifest, chunk, &place))
		return;
	entry->have[chunk / 8] |= (uint8_t)(1u << chunk % 8);
	entry->n_have++;
	entry->have_bytes += place.size;
}

bool entry_has_metadata(const struct entry *entry)
{
	return entry_has_range(entry, 0, entry->manifest->parts[0].n_chunks);
}

bool entry_is_whole(const struct entry *entry)
{
	return entry->n_have == entry->manifest->n_chunks;
}

uint64_t entry_held(const struct entry *entry)
{
	return entry->kind == STORE_IN_PLACE ? 0 : entry->have_bytes;
}

/* ---- files in place ---- */

void mark_read(struct file_mark *mark, const struct stat *info)
{
	mark->size = (uint64_t)info->st_size;
	mark->mtime_s = info->st_mtim.tv_sec;
	mark->mtime_ns = info->st_mtim.tv_nsec;
	mark->inode = info->st_ino;
}

int mark_check(const struct entry *entry, struct fail *fail)
{
	struct stat info;
	struct file_mark mark;
	if (entry->kind != STORE_IN_PLACE)
		return 0;
	if (stat(entry->path, &info) != 0)
		return fail_errno(fail, errno, "the model %s cannot be read at %s", entry->name,
				  entry->path);
	mark_read(&mark, &info);
	if (mark.size == entry->mark.size && mark.mtime_s == entry->mark.mtime_s &&
	    mark.mtime_ns == entry->mark.mtime_ns && mark.inode == entry->mark.inode)
		return 0;
	return fail_set(fail, FAIL_CORRUPT,
			"%s has changed since the model %s was added; add it again: primactl model "
			"add --in-place %s",
			entry->path, entry->name, entry->path);
}

/* ---- saving ---- */

static int save(const struct entry *entry, const char *folder, const char *name,
		const char magic[8], uint32_t version, const struct buf *payload, struct fail *fail)
{
	char path[PATH_MAX];
	if (payload->failed || !file_join(path, sizeof(path), folder, name))
		return fail_set(fail, FAIL_MEMORY, "no memory to write the %s of the model %s",
				name, entry->name);
	return state_file_write(path, magic, version, payload->data, payload->size, fail);
}

/* u8 kind, u64 last use; u16 and name, u16 and path; u64 size, u64 mtime s, u64 mtime ns, u64
 * inode. */
int entry_save_record(const struct entry *entry, const char *folder, struct fail *fail)
{
	struct buf payload;
	const bool in_place = entry->kind == STORE_IN_PLACE;
	const size_t path_size = in_place ? strlen(entry->path) : 0;
	buf_init(&payload);
	buf_u8(&payload, (uint8_t)entry->kind);
	buf_u64(&payload, (uint64_t)entry->used_s);
	buf_u16(&payload, (uint16_t)strlen(entry->name));
	buf_text(&payload, entry->name);
	buf_u16(&payload, (uint16_t)path_size);
	buf_append(&payload, entry->path, path_size);
	buf_u64(&payload, entry->mark.size);
	buf_u64(&payload, (uint64_t)entry->mark.mtime_s);
	buf_u64(&payload, (uint64_t)entry->mark.mtime_ns);
	buf_u64(&payload, entry->mark.inode);
	const int result =
		save(entry, folder, "record", record_magic, RECORD_VERSION, &payload, fail);
	buf_finish(&payload);
	return result;
}

/* The bitmap alone; its size follows from the manifest. */
int entry_save_have(const struct entry *entry, const char *folder, const uint8_t *have,
		    struct fail *fail)
{
	struct buf payload;
	buf_init(&payload);
	buf_append(&payload, have, entry_bitmap_bytes(entry));
	const int result = save(entry, folder, "have", have_magic, HAVE_VERSION, &payload, fail);
	buf_finish(&payload);
	return result;
}

static int save_manifest(const struct entry *entry, const char *folder, struct fail *fail)
{
	struct buf payload;
	buf_init(&payload);
	manifest_encode(entry->manifest, &payload);
	const int result =
		save(entry, folder, "manifest", manifest_magic, MANIFEST_VERSION, &payload, fail);
	buf_finish(&payload);
	return result;
}

int entry_save(const struct entry *entry, const char *folder, struct fail *fail)
{
	int result = save_manifest(entry, folder, fail);
	if (result == 0 && entry->have)
		result = entry_save_have(entry, folder, entry->have, fail);
	return result ? result : entry_save_record(entry, folder, fail);
}

/* ---- loading ---- */

static int load(const char *folder, const char *name, const char magic[8], uint32_t newest,
		struct buf *payload, struct fail *fail)
{
	char path[PATH_MAX];
	uint32_t version;
	if (!file_join(path, sizeof(path), folder, name))
		return fail_set(fail, FAIL_INVALID, "the path %s is too long", folder);
	return state_file_read(path, magic, newest, &version, payload, fail);
}

struct record {
	enum store_kind kind;
	int64_t used_s;
	char name[MODEL_NAME_BYTES];
	char path[PATH_MAX];
	struct file_mark mark;
};

static bool read_text(struct reader *reader, char *to, size_t room)
{
	const uint16_t size = reader_u16(reader);
	if (size >= room || !reader_copy(reader, to, size))
		return false;
	to[size] = 0;
	return strlen(to) == size;
}

static int parse_record(const struct buf *payload, const char *folder, struct record *record,
			struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, payload->data, payload->size);
	const uint8_t kind = reader_u8(&reader);
	record->kind = (enum store_kind)kind;
	record->used_s = (int64_t)reader_u64(&reader);
	const bool texts = read_text(&reader, record->name, sizeof(record->name)) &&
			   read_text(&reader, record->path, sizeof(record->path));
	record->mark.size = reader_u64(&reader);
	record->mark.mtime_s = (int64_t)reader_u64(&reader);
	record->mark.mtime_ns = (int64_t)reader_u64(&reader);
	record->mark.inode = reader_u64(&reader);
	if (reader.failed || !texts || kind > STORE_IN_PLACE || record->name[0] == 0 ||
	    (record->kind == STORE_IN_PLACE) != (record->path[0] == '/'))
		return fail_set(fail, FAIL_CORRUPT, "the record in %s is damaged", folder);
	return 0;
}

static int load_record(const char *folder, struct record *record, struct fail *fail)
{
	struct buf payload;
	buf_init(&payload);
	int result = load(folder, "record", record_magic, RECORD_VERSION, &payload, fail);
	if (result == 0)
		result = parse_record(&payload, folder, record, fail);
	buf_finish(&payload);
	return result;
}

static struct manifest *load_manifest(const char *folder, struct fail *fail)
{
	struct buf payload;
	struct manifest *manifest = NULL;
	buf_init(&payload);
	if (load(folder, "manifest", manifest_magic, MANIFEST_VERSION, &payload, fail) == 0)
		manifest = manifest_decode(payload.data, payload.size, fail);
	buf_finish(&payload);
	return manifest;
}

/* A copy whose bitmap is lost or damaged is not: its chunks are fetched again. */
static void load_have(struct entry *entry)
{
	struct buf payload;
	struct fail fail = { 0 };
	buf_init(&payload);
	if (load(entry->folder, "have", have_magic, HAVE_VERSION, &payload, &fail) != 0)
		log_warn("store",
			 "what was fetched of a model is fetched again model=%s why=\"%s\"",
			 entry->name, fail.text);
	else if (payload.size == entry_bitmap_bytes(entry))
		for (uint32_t i = 0; i < entry->manifest->n_chunks; i++)
			if (payload.data[i / 8] >> i % 8 & 1)
				entry_set(entry, i);
	buf_finish(&payload);
}

/* The file must be as long as the manifest says, or something else has written to it. */
static int check_file(const struct entry *entry, struct fail *fail)
{
	struct stat info;
	if (entry->kind == STORE_IN_PLACE)
		return 0;
	if (stat(entry->path, &info) != 0)
		return fail_errno(fail, errno, "cannot examine %s", entry->path);
	if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != entry->manifest->file_bytes)
		return fail_set(fail, FAIL_CORRUPT,
				"%s has %lld bytes instead of %" PRIu64
				"; remove its folder and add the model again",
				entry->path, (long long)info.st_size, entry->manifest->file_bytes);
	return 0;
}

struct entry *entry_load(const char *store, const char *folder, struct fail *fail)
{
	struct record record;
	if (load_record(folder, &record, fail) != 0)
		return NULL;
	struct manifest *manifest = load_manifest(folder, fail);
	if (!manifest)
		return NULL;
	struct entry *entry =
		entry_create(record.kind, manifest, record.name, store, record.path, fail);
	if (!entry)
		return NULL;
	if (strcmp(entry->folder, folder) != 0) {
		fail_set(fail, FAIL_CORRUPT, "%s is not the folder of the model in it", folder);
		goto fail;
	}
	entry->used_s = record.used_s;
	entry->mark = record.mark;
	if (check_file(entry, fail) != 0)
		goto fail;
	if (entry->have)
		load_have(entry);
	const bool readable = entry_has_metadata(entry) && mark_check(entry, NULL) == 0;
	if (readable && entry_read_model(entry, &entry->facts, &entry->units, fail) != 0)
		goto fail;
	return entry;
fail:
	entry_destroy(entry);
	return NULL;
}

int entry_read_model(const struct entry *entry, struct model_facts **facts, int32_t **units,
		     struct fail *fail)
{
	struct model *model = model_open(entry->path, fail);
	if (!model)
		return -(int)(fail ? fail->code : FAIL_INVALID);
	int result = 0;
	*facts = malloc(sizeof(**facts));
	*units = calloc(gguf_tensor_count(model_gguf(model)), sizeof(**units));
	if (!*facts || !*units)
		result = fail_set(fail, FAIL_MEMORY, "no memory for the model %s", entry->name);
	else if (!manifest_matches(entry->manifest, model_gguf(model)))
		result = fail_set(fail, FAIL_CORRUPT,
				  "the file of the model %s is not the one its manifest describes",
				  entry->name);
	if (result == 0) {
		model_facts_read(model, *facts);
		model_facts_units(model, *units);
		(*facts)->id = entry->manifest->id;
	} else {
		free(*facts);
		free(*units);
		*facts = NULL;
		*units = NULL;
	}
	model_close(model);
	return result;
}
