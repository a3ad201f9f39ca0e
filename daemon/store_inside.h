/* store_inside.h: what the files of the store share; for nobody else.
 *
 * store.lock guards the list, counters and every entry's changing fields; it is never held while a
 * model's bytes are read, written or hashed. An entry's id, kind, manifest and paths do not change.
 * Who works on an entry without the lock holds a reference. */
#ifndef DAEMON_STORE_INSIDE_H
#define DAEMON_STORE_INSIDE_H

#include "base/list.h"
#include "daemon/store.h"

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#define STORE_INCOMING "incoming-"
#define STORE_LEAVING "leaving-"
#define STORE_FLUSH_CHUNKS 32

/* By this a file in place is known again. */
struct file_mark {
	uint64_t size;
	int64_t mtime_s, mtime_ns;
	uint64_t inode;
};

struct entry {
	struct list link;
	uint32_t refs; /* the list's own included */
	uint32_t uses;
	enum store_kind kind;
	char name[MODEL_NAME_BYTES]; /* on this device */
	char *folder;
	char *path; /* of the GGUF */
	struct file_mark mark;
	struct manifest *manifest;
	int64_t used_s;

	uint8_t *have; /* bitmap of verified chunks; NULL: all of them */
	uint32_t n_have;
	uint64_t have_bytes;
	uint32_t unflushed; /* chunks since the last flush */
	bool removed;
	struct model_facts *facts; /* NULL until the metadata is here */
	int32_t *units;            /* [tensors] enum tensor_unit; as facts */
	pthread_mutex_t flushing;
};

struct store {
	char folder[PATH_MAX];
	int lock_fd;
	uint64_t limit;
	pthread_mutex_t lock;
	struct list entries;
	uint64_t incoming_bytes; /* announced by uploads that are not finished */
	uint64_t arrived_bytes;  /* of them, written already */
};

/* ---- entry: one model ---- */

/* Takes the manifest, also when it fails. `store` is the store's folder; `path` is used in place
 * only. Of a STORE_COPY nothing is there yet. */
struct entry *entry_create(enum store_kind kind, struct manifest *manifest, const char *name,
			   const char *store, const char *path, struct fail *fail);
void entry_destroy(struct entry *entry); /* accepts NULL */
/* Reads what entry_save wrote. Gives. */
struct entry *entry_load(const char *store, const char *folder, struct fail *fail);
/* Write into `folder`, the entry's own or one that will be: record, manifest and have; or one. */
int entry_save(const struct entry *entry, const char *folder, struct fail *fail);
int entry_save_record(const struct entry *entry, const char *folder, struct fail *fail);
int entry_save_have(const struct entry *entry, const char *folder, const uint8_t *have,
		    struct fail *fail);
/* Opens the model and reads facts and units from it. FAIL_CORRUPT: it is not what the manifest
 * says. Gives both. */
int entry_read_model(const struct entry *entry, struct model_facts **facts, int32_t **units,
		     struct fail *fail);
bool entry_has(const struct entry *entry, uint32_t chunk);
bool entry_has_range(const struct entry *entry, uint32_t first, uint32_t count);
void entry_set(struct entry *entry, uint32_t chunk);
bool entry_has_metadata(const struct entry *entry);
bool entry_is_whole(const struct entry *entry);
size_t entry_bitmap_bytes(const struct entry *entry);
/* Bytes that count against the limit. */
uint64_t entry_held(const struct entry *entry);

void mark_read(struct file_mark *mark, const struct stat *info);
/* 0 when the open file is what it was; FAIL_CORRUPT, FAIL_NOT_FOUND with a sentence. */
int mark_check(const struct entry *entry, struct fail *fail);

/* ---- store.c ---- */

/* NULL: unknown. With the lock held. */
struct entry *store_entry(struct store *store, const struct model_id *id);

/* The others, without the lock. Gives a reference. */
struct entry *store_hold(struct store *store, const struct model_id *id, struct fail *fail);
void store_let_go(struct store *store, struct entry *entry);
void store_delete_folder(const char *folder);
/* Makes an empty folder that a crash leaves to be cleaned away. */
int store_make_incoming(const struct store *store, char folder[PATH_MAX], struct fail *fail);
/* Writes the entry's state files into the folder `incoming`, which holds model.gguf where the store
 * holds it, and makes the model known in one step. An entry of the same id that is worth no less
 * stays instead. Takes the entry, and the folder, whatever happens. */
int store_show(struct store *store, struct entry *entry, const char *incoming, struct fail *fail);
/* Turns what people give as a name into one that can be printed anywhere. */
void store_clean_name(const char *given, char name[MODEL_NAME_BYTES]);
/* Reads facts and units once the metadata is here; forgets a model that is not one. */
int store_look_inside(struct store *store, struct entry *entry, struct fail *fail);
/* After mark_check failed with FAIL_CORRUPT: the file in place is another one now. */
void store_forget(struct store *store, struct entry *entry);

#endif
