#include "base/file.h"
#include "base/mapping.h"
#include "daemon/model_facts.h"
#include "daemon/store.h"
#include "daemon/store_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UPLOAD_LIMIT (UINT64_C(1) << 48)
#define LABEL_LIMIT  120u /* gguf.c shortens longer paths in its sentences */

/* An upload is written in pieces at multiples of their size: the page cache then keeps it in large
 * pages, and so do the weights that are mapped from it. */
#define PIECE_BYTES MAPPING_LARGE_BYTES

struct addition {
	struct store *store;
	bool in_place;
	char name[MODEL_NAME_BYTES];
	char folder[PATH_MAX]; /* "" once it was handed on */
	char path[PATH_MAX];
	int fd; /* an upload's file, -1 once it is whole */
	uint64_t size, written;
	uint8_t *piece; /* [PIECE_BYTES] an upload's bytes from `written` on */
	size_t gathered;
	struct file_mark mark;
	struct manifest_progress progress;
	struct entry *entry; /* after a good check */
	struct model_id id;
};

static struct addition *create(struct store *store, const char *name, struct fail *fail)
{
	struct addition *addition = calloc(1, sizeof(*addition));
	if (!addition) {
		fail_set(fail, FAIL_MEMORY, "no memory to add the model %s", name);
		return NULL;
	}
	addition->store = store;
	addition->fd = -1;
	store_clean_name(name, addition->name);
	return addition;
}

/* What an upload has announced counts as used until it is finished or given up. */
static void reserve(struct addition *addition, int64_t incoming, int64_t arrived)
{
	struct store *store = addition->store;
	pthread_mutex_lock(&store->lock);
	store->incoming_bytes += (uint64_t)incoming;
	store->arrived_bytes += (uint64_t)arrived;
	pthread_mutex_unlock(&store->lock);
}

static void release(struct addition *addition)
{
	if (addition->in_place)
		return;
	reserve(addition, -(int64_t)addition->size, -(int64_t)addition->written);
	addition->size = 0;
	addition->written = 0;
}

void addition_destroy(struct addition *addition)
{
	if (!addition)
		return;
	if (addition->fd >= 0)
		close(addition->fd);
	release(addition);
	entry_destroy(addition->entry);
	if (addition->folder[0])
		store_delete_folder(addition->folder);
	free(addition->piece);
	free(addition);
}

struct addition *addition_upload(struct store *store, const char *name, uint64_t size,
				 struct fail *fail)
{
	if (size == 0 || size > UPLOAD_LIMIT) {
		fail_set(fail, FAIL_INVALID, "a model of %" PRIu64 " bytes cannot be added", size);
		return NULL;
	}
	struct addition *addition = create(store, name, fail);
	if (!addition)
		return NULL;
	if (store_make_room(store, NULL, size, fail) != 0 ||
	    store_make_incoming(store, addition->folder, fail) != 0)
		goto fail;
	addition->size = size;
	reserve(addition, (int64_t)size, 0);
	addition->piece = malloc(PIECE_BYTES);
	if (!addition->piece) {
		fail_set(fail, FAIL_MEMORY, "no memory to add the model %s", name);
		goto fail;
	}
	file_join(addition->path, sizeof(addition->path), addition->folder, "model.gguf");
	addition->fd = open(addition->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (addition->fd >= 0)
		return addition;
	fail_errno(fail, errno, "cannot make %s", addition->path);
fail:
	addition_destroy(addition);
	return NULL;
}

struct addition *addition_in_place(struct store *store, const char *path, struct fail *fail)
{
	char *real = realpath(path, NULL);
	if (!real) {
		fail_errno(
			fail, errno,
			"the daemon cannot read %s in place (without --in-place the file is sent "
			"to it)",
			path);
		return NULL;
	}
	struct addition *addition = create(store, path, fail);
	struct stat info;
	if (addition) {
		addition->in_place = true;
		snprintf(addition->path, sizeof(addition->path), "%s", real);
		if (store_make_incoming(store, addition->folder, fail) != 0) {
			addition_destroy(addition);
			addition = NULL;
		} else if (stat(real, &info) == 0) {
			addition->size = (uint64_t)info.st_size;
		}
	}
	free(real);
	return addition;
}

static uint64_t came(const struct addition *addition)
{
	return addition->written + addition->gathered;
}

static int write_piece(struct addition *addition, struct fail *fail)
{
	const uint8_t *from = addition->piece;
	while (addition->gathered > 0) {
		const ssize_t n = write(addition->fd, from, addition->gathered);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(fail, errno,
					  "the model %s cannot be stored after %" PRIu64
					  " of its %" PRIu64 " bytes",
					  addition->name, addition->written, addition->size);
		from += n;
		addition->gathered -= (size_t)n;
		addition->written += (uint64_t)n;
		reserve(addition, 0, n);
	}
	return 0;
}

int addition_write(struct addition *addition, const void *bytes, size_t size, struct fail *fail)
{
	const uint8_t *from = bytes;
	int result = 0;
	if (addition->fd < 0 || size > addition->size - came(addition))
		return fail_set(fail, FAIL_INVALID,
				"more bytes came for the model %s than the %" PRIu64
				" that were announced",
				addition->name, addition->size);
	while (size > 0 && result == 0) {
		const size_t room = PIECE_BYTES - addition->gathered;
		const size_t n = size < room ? size : room;
		memcpy(addition->piece + addition->gathered, from, n);
		addition->gathered += n;
		from += n;
		size -= n;
		if (n == room || came(addition) == addition->size)
			result = write_piece(addition, fail);
	}
	return result;
}

uint64_t addition_hashed(const struct addition *addition)
{
	return atomic_load(&addition->progress.done_bytes);
}

uint64_t addition_size(const struct addition *addition)
{
	return addition->size;
}

void addition_cancel(struct addition *addition)
{
	atomic_store(&addition->progress.cancel, true);
}

/* Nobody knows an upload by its path in the store: its sentences shall name what was uploaded. */
static void name_in_sentence(const struct addition *addition, struct fail *fail)
{
	const size_t length = strlen(addition->path);
	const char *label = addition->path + (length > LABEL_LIMIT ? length - LABEL_LIMIT : 0);
	if (!fail || addition->in_place || strncmp(fail->text, label, strlen(label)) != 0)
		return;
	struct fail named = *fail;
	fail_set(fail, named.code, "%s.gguf%s", addition->name, named.text + strlen(label));
}

static int end_upload(struct addition *addition, struct fail *fail)
{
	if (addition->in_place)
		return 0;
	if (addition->written != addition->size)
		return fail_set(fail, FAIL_INVALID,
				"only %" PRIu64 " of the %" PRIu64
				" bytes of the model %s came; send it again",
				came(addition), addition->size, addition->name);
	const int failed = addition->fd >= 0 && fsync(addition->fd) != 0;
	if (failed)
		return fail_errno(fail, errno, "cannot store the model %s", addition->name);
	if (addition->fd >= 0)
		close(addition->fd);
	addition->fd = -1;
	return 0;
}

static int look(const struct addition *addition, struct file_mark *mark, struct fail *fail)
{
	struct stat info;
	if (stat(addition->path, &info) != 0)
		return fail_errno(fail, errno, "cannot examine %s", addition->path);
	mark_read(mark, &info);
	return 0;
}

static bool same_mark(const struct file_mark *a, const struct file_mark *b)
{
	return a->size == b->size && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
	       a->inode == b->inode;
}

/* Hashes the file and makes the entry, from a model that was opened from it. */
static int make_entry(struct addition *addition, const struct model *model, struct fail *fail)
{
	struct manifest *manifest = manifest_make(model, addition->name, &addition->progress, fail);
	if (!manifest)
		return -(int)(fail ? fail->code : FAIL_INVALID);
	addition->id = manifest->id;
	const enum store_kind kind = addition->in_place ? STORE_IN_PLACE : STORE_OWN;
	struct entry *entry = entry_create(kind, manifest, addition->name, addition->store->folder,
					   addition->path, fail);
	if (!entry)
		return -FAIL_MEMORY;
	addition->entry = entry;
	entry->mark = addition->mark;
	entry->facts = malloc(sizeof(*entry->facts));
	entry->units = calloc(gguf_tensor_count(model_gguf(model)), sizeof(*entry->units));
	if (!entry->facts || !entry->units)
		return fail_set(fail, FAIL_MEMORY, "no memory for the model %s", addition->name);
	model_facts_read(model, entry->facts);
	model_facts_units(model, entry->units);
	entry->facts->id = addition->id;
	return 0;
}

/* Better refused now than when somebody asks. A model without a tokenizer takes token ids. */
static int check_tokenizer(const struct addition *addition, const struct model *model,
			   struct fail *fail)
{
	struct fail why = { 0 };
	if (!gguf_has(model_gguf(model), "tokenizer.ggml.model"))
		return 0;
	struct tokenizer *tokenizer = tokenizer_create(model_gguf(model), &why);
	tokenizer_destroy(tokenizer);
	return tokenizer ? 0
			 : fail_set(fail, why.code, "%s.gguf cannot be used: %.300s",
				    addition->name, why.text);
}

static int check(struct addition *addition, struct fail *fail)
{
	struct file_mark after;
	int result = end_upload(addition, fail);
	if (result == 0)
		result = look(addition, &addition->mark, fail);
	if (result)
		return result;
	struct model *model = model_open(addition->path, fail);
	if (!model)
		return -(int)(fail ? fail->code : FAIL_INVALID);
	result = check_tokenizer(addition, model, fail);
	if (result == 0)
		result = make_entry(addition, model, fail);
	model_close(model);
	if (result == 0)
		result = look(addition, &after, fail);
	if (result == 0 && !same_mark(&addition->mark, &after))
		result = fail_set(fail, FAIL_CORRUPT, "%s changed while it was read; try again",
				  addition->path);
	return result;
}

int addition_check(struct addition *addition, struct fail *fail)
{
	const int result = check(addition, fail);
	if (result == 0)
		return 0;
	entry_destroy(addition->entry);
	addition->entry = NULL;
	name_in_sentence(addition, fail);
	return result;
}

int addition_finish(struct addition *addition, struct store_model *model, struct fail *fail)
{
	char incoming[PATH_MAX];
	struct entry *entry = addition->entry;
	if (!entry)
		return fail_set(fail, FAIL_INVALID, "the model %s was not checked", addition->name);
	memcpy(incoming, addition->folder, sizeof(incoming));
	addition->folder[0] = 0;
	addition->entry = NULL;
	const int result = store_show(addition->store, entry, incoming, fail);
	if (result)
		return result;
	release(addition);
	if (!store_get(addition->store, &addition->id, model))
		return fail_set(fail, FAIL_NOT_FOUND, "the model %s was removed at once",
				addition->name);
	return 0;
}
