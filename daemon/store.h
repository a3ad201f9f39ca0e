/* store.h: the models on this device's disk.
 *
 * Under the store's folder each model known here has a folder named by its id in hex:
 *   record      how it came here, its name, when it was last used
 *   manifest    manifest.h: parts, chunks, hashes
 *   model.gguf  laid out as the original; holes where nothing was fetched yet
 *   have        which chunks of a copy are here and verified
 * Nothing half-added is ever visible: a new model is prepared in a folder of another name, which is
 * cleaned away at the next start if the daemon dies before the last rename.
 *
 * Every function may be called from any thread. Those marked "blocks" read, hash or flush files and
 * belong on a worker thread; the others take a lock for a moment. */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include "base/buf.h"
#include "base/fail.h"
#include "compute/compute.h"
#include "daemon/manifest.h"
#include "proto/facts.h"
#include "proto/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_kind {
	STORE_OWN,     /* added on this device, whole; never evicted */
	STORE_COPY,    /* fetched from members, as far as plans needed it */
	STORE_IN_PLACE /* a file that stays where it is */
};

struct store;

/* `limit` bytes in all (files in place do not count); 0: what is used and nine tenths of the free
 * space. Cleans up after a crash; a model whose files are damaged is left untouched, logged and not
 * listed. Blocks. FAIL_BUSY when another daemon uses the folder. Gives. */
struct store *store_open(const char *folder, uint64_t limit, struct fail *fail);
void store_close(struct store *store); /* flushes; no addition may be left; accepts NULL */
uint64_t store_limit(const struct store *store);
uint64_t store_used(struct store *store);

/* ---- asking ---- */

struct store_model {
	struct model_id id;
	char name[MODEL_NAME_BYTES];
	enum store_kind kind;
	uint64_t file_bytes;
	uint64_t have_bytes; /* verified bytes here */
	bool metadata;       /* facts and tokenizer can be had */
	bool whole;          /* all chunks are here */
};

/* Fills at most `max`, by name; gives how many there are. */
uint32_t store_list(struct store *store, struct store_model *models, uint32_t max);
bool store_get(struct store *store, const struct model_id *id, struct store_model *model);
/* By name (with or without ".gguf"), id in hex, or the short form of the id. FAIL_NOT_FOUND names
 * what is here. */
int store_find(struct store *store, const char *text, struct model_id *id, struct fail *fail);
/* FAIL_NOT_FOUND: unknown here; FAIL_BUSY: its metadata has not been fetched yet. */
int store_facts(struct store *store, const struct model_id *id, struct model_facts *facts,
		struct fail *fail);
/* The file for model_open, once the metadata is here. A file in place that changed since it was
 * added is refused (FAIL_CORRUPT) and forgotten; one that is not there now is FAIL_NOT_FOUND. The
 * first time after it came back blocks while its metadata is read. */
int store_path(struct store *store, const struct model_id *id, char *path, size_t size,
	       struct fail *fail);

/* A used model is neither evicted nor removed; calls are counted. Using it makes it the most
 * recently used one (written down at most once an hour: store_use then blocks for a moment). */
void store_use(struct store *store, const struct model_id *id);
void store_unuse(struct store *store, const struct model_id *id);

/* Forgets a model and deletes what the store itself holds of it. FAIL_BUSY while it is used. */
int store_remove(struct store *store, const struct model_id *id, struct fail *fail);

/* ---- giving to members ---- */

int store_manifest(struct store *store, const struct model_id *id, struct buf *out,
		   struct fail *fail);
/* Reads [offset, offset + size), at most MODEL_CHUNK_BYTES, of verified bytes of one part.
 * FAIL_NOT_FOUND when they are not all here. Blocks. */
int store_read(struct store *store, const struct model_id *id, uint64_t offset, uint32_t size,
	       uint8_t *bytes, struct fail *fail);

/* ---- fetching from members ---- */

/* Makes a model known by a manifest that a member sent; it must be the one of this id. Nothing to
 * do when the model is known already. Blocks. */
int store_adopt(struct store *store, const struct model_id *id, const void *manifest, size_t size,
		struct fail *fail);

/* What a plan needs here, beside the metadata, which is always wanted. */
struct store_want {
	bool embedding, output;
	const struct layer_range *ranges;
	uint32_t n_ranges;
};

/* Fills `chunks` with at most `max` numbers of wanted chunks that are missing; gives how many are,
 * or a negative code. Until the metadata is here only its chunks are known to be wanted: ask again
 * after they came. */
int64_t store_missing(struct store *store, const struct model_id *id, const struct store_want *want,
		      uint32_t *chunks, uint32_t max);
/* Bytes of the wanted chunks, and of those that are here. The same holds for the metadata. */
int store_progress(struct store *store, const struct model_id *id, const struct store_want *want,
		   uint64_t *done_bytes, uint64_t *total_bytes);
/* Where a chunk lies in the file: what to ask a member for. */
bool store_chunk(struct store *store, const struct model_id *id, uint32_t chunk,
		 struct chunk_place *place);
/* Sees to it that `bytes` more fit: deletes copies that are not used, least recently used first,
 * but never `keep`. FAIL_SPACE names the numbers. Blocks. */
int store_make_room(struct store *store, const struct model_id *keep, uint64_t bytes,
		    struct fail *fail);
/* Verifies and keeps a chunk. FAIL_CORRUPT: these are not its bytes, fetch it again. When the last
 * chunk of the metadata arrives, the model is checked whole: FAIL_CORRUPT or FAIL_UNSUPPORTED then
 * mean that the model was forgotten. Blocks. */
int store_write(struct store *store, const struct model_id *id, uint32_t chunk, const void *bytes,
		size_t size, struct fail *fail);
/* Makes what was written survive a power cut. Happens by itself every 32 chunks and on close: call
 * it when a transfer ends. Blocks. */
int store_flush(struct store *store, const struct model_id *id, struct fail *fail);

/* ---- adding ---- */

struct addition; /* a model on its way in; one thread at a time */

/* An upload of `size` bytes. Makes room first. `name` may be a file's name or path. Gives. */
struct addition *addition_upload(struct store *store, const char *name, uint64_t size,
				 struct fail *fail);
/* A file that stays where it is. Gives. */
struct addition *addition_in_place(struct store *store, const char *path, struct fail *fail);
int addition_write(struct addition *addition, const void *bytes, size_t size, struct fail *fail);
/* Checks the file as a model and hashes it. Blocks for a second or more per GiB. */
int addition_check(struct addition *addition, struct fail *fail);
/* How many bytes addition_check has hashed; and cancelling it. Any thread. */
uint64_t addition_hashed(const struct addition *addition);
uint64_t addition_size(const struct addition *addition);
void addition_cancel(struct addition *addition);
/* After a good check: makes the model known. A model that is known already is kept, and good. The
 * addition must be destroyed all the same. Blocks for a moment (renames and flushes). */
int addition_finish(struct addition *addition, struct store_model *model, struct fail *fail);
void addition_destroy(struct addition *addition); /* deletes what was not finished; accepts NULL */

#endif
