#include "daemon/store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/store_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DISK_RESERVE (4u << 20) /* left free for state files */
#define USE_PERIOD_S 3600       /* a use is written down once in so long */

/* ---- folders ---- */

void store_delete_folder(const char *folder)
{
	DIR *open = opendir(folder);
	if (!open)
		return;
	for (struct dirent *item; (item = readdir(open));)
		if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
			unlinkat(dirfd(open), item->d_name, 0);
	closedir(open);
	if (rmdir(folder) != 0)
		log_warn("store", "cannot delete a folder path=%s why=\"%s\"", folder,
			 strerror(errno));
}

int store_make_incoming(const struct store *store, char folder[PATH_MAX], struct fail *fail)
{
	if (!file_join(folder, PATH_MAX, store->folder, STORE_INCOMING "XXXXXX"))
		return fail_set(fail, FAIL_INVALID, "the path %s is too long", store->folder);
	if (!mkdtemp(folder))
		return fail_errno(fail, errno, "cannot make a folder in %s", store->folder);
	return 0;
}

void store_clean_name(const char *given, char name[MODEL_NAME_BYTES])
{
	const char *slash = strrchr(given, '/');
	const char *from = slash ? slash + 1 : given;
	size_t size = strlen(from);
	if (size > 5 && strcmp(from + size - 5, ".gguf") == 0)
		size -= 5;
	if (size > MODEL_NAME_BYTES - 8) /* room for "-2" and the like */
		size = MODEL_NAME_BYTES - 8;
	memset(name, 0, MODEL_NAME_BYTES);
	for (size_t i = 0; i < size; i++) {
		const char c = from[i];
		const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				   (c >= '0' && c <= '9') || (c && strchr("._:+", c));
		name[i] = plain ? c : '-';
	}
	if (size == 0 || strspn(name, ".-") == size)
		snprintf(name, MODEL_NAME_BYTES, "model");
}

/* ---- entries, with the lock held ---- */

struct entry *store_entry(struct store *store, const struct model_id *id)
{
	LIST_EACH(at, &store->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (model_id_equal(&entry->manifest->id, id))
			return entry;
	}
	return NULL;
}

/* Keeps the list in the order of names. */
static void insert(struct store *store, struct entry *entry)
{
	struct list *before = &store->entries;
	LIST_EACH(at, &store->entries)
	{
		if (strcmp(LIST_ITEM(at, struct entry, link)->name, entry->name) > 0) {
			before = at;
			break;
		}
	}
	list_append(before,
		    &entry->link); /* the end of a list headed by `before`: right before it */
}

static bool name_is_taken(struct store *store, const char *name, const struct entry *but)
{
	LIST_EACH(at, &store->entries)
	{
		const struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (entry != but && strcmp(entry->name, name) == 0)
			return true;
	}
	return false;
}

static void free_name(struct store *store, const char *wanted, const struct entry *but, char *name)
{
	memset(name, 0, MODEL_NAME_BYTES);
	snprintf(name, MODEL_NAME_BYTES, "%s", wanted);
	for (unsigned i = 2; name_is_taken(store, name, but); i++)
		snprintf(name, MODEL_NAME_BYTES, "%.*s-%u", MODEL_NAME_BYTES - 12, wanted, i);
}

static void leaving_path(const struct store *store, const struct entry *entry,
			 char leaving[PATH_MAX])
{
	char hex[ID_HEX_BYTES];
	snprintf(leaving, PATH_MAX, "%.*s/" STORE_LEAVING "%s", PATH_MAX - 80, store->folder,
		 id_hex(entry->manifest->id.bytes, hex));
}

/* Takes the entry out of list and sight; what is left on disk is in `leaving`, to be deleted with
 * store_delete_folder after the lock was released. */
static void take_out(struct store *store, struct entry *entry, char leaving[PATH_MAX])
{
	leaving_path(store, entry, leaving);
	if (rename(entry->folder, leaving) != 0) /* deleted where it is, then */
		snprintf(leaving, PATH_MAX, "%s", entry->folder);
	entry->removed = true;
	list_remove(&entry->link);
}

static void drop_reference(struct entry *entry)
{
	if (--entry->refs == 0)
		entry_destroy(entry);
}

/* ---- entries, without the lock ---- */

static int unknown(struct fail *fail)
{
	return fail_set(fail, FAIL_NOT_FOUND, "this model is not known on this device");
}

struct entry *store_hold(struct store *store, const struct model_id *id, struct fail *fail)
{
	pthread_mutex_lock(&store->lock);
	struct entry *entry = store_entry(store, id);
	if (entry)
		entry->refs++;
	pthread_mutex_unlock(&store->lock);
	if (!entry)
		unknown(fail);
	return entry;
}

void store_let_go(struct store *store, struct entry *entry)
{
	pthread_mutex_lock(&store->lock);
	drop_reference(entry);
	pthread_mutex_unlock(&store->lock);
}

void store_forget(struct store *store, struct entry *entry)
{
	char leaving[PATH_MAX] = "";
	pthread_mutex_lock(&store->lock);
	if (!entry->removed) {
		take_out(store, entry, leaving);
		drop_reference(entry);
	}
	pthread_mutex_unlock(&store->lock);
	if (leaving[0])
		store_delete_folder(leaving);
}

/* ---- opening and closing ---- */

static bool is_temporary(const char *name)
{
	return strncmp(name, STORE_INCOMING, strlen(STORE_INCOMING)) == 0 ||
	       strncmp(name, STORE_LEAVING, strlen(STORE_LEAVING)) == 0;
}

static void load_model(struct store *store, const char *folder)
{
	struct fail fail = { 0 };
	struct entry *entry = entry_load(store->folder, folder, &fail);
	if (entry && mark_check(entry, &fail) == -FAIL_CORRUPT) {
		store_delete_folder(folder);
		entry_destroy(entry);
		entry = NULL;
	}
	if (entry)
		insert(store, entry);
	else
		log_warn("store", "a model cannot be used folder=%s why=\"%s\"", folder, fail.text);
}

static void load_models(struct store *store)
{
	DIR *open = opendir(store->folder);
	if (!open)
		return;
	for (struct dirent *item; (item = readdir(open));) {
		char folder[PATH_MAX];
		struct model_id id;
		if (!file_join(folder, sizeof(folder), store->folder, item->d_name))
			continue;
		if (is_temporary(item->d_name))
			store_delete_folder(folder);
		else if (strlen(item->d_name) == ID_HEX_BYTES - 1 &&
			 id_from_hex(id.bytes, item->d_name))
			load_model(store, folder);
	}
	closedir(open);
}

static int lock_folder(struct store *store, struct fail *fail)
{
	char path[PATH_MAX];
	if (!file_join(path, sizeof(path), store->folder, "lock"))
		return fail_set(fail, FAIL_INVALID, "the path %s is too long", store->folder);
	store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock_fd < 0)
		return fail_errno(fail, errno, "cannot open %s", path);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return fail_set(
			fail, FAIL_BUSY,
			"another primad uses the models in %s; give this one another --state",
			store->folder);
	return 0;
}

struct store *store_open(const char *folder, uint64_t limit, struct fail *fail)
{
	struct store *store = calloc(1, sizeof(*store));
	if (!store) {
		fail_set(fail, FAIL_MEMORY, "no memory for the store");
		return NULL;
	}
	store->lock_fd = -1;
	list_init(&store->entries);
	pthread_mutex_init(&store->lock, NULL);
	if ((size_t)snprintf(store->folder, sizeof(store->folder), "%s", folder) >=
	    sizeof(store->folder) - 128) {
		fail_set(fail, FAIL_INVALID, "the path %s is too long", folder);
		goto fail;
	}
	if (file_make_folder(folder, 0700, fail) != 0 || lock_folder(store, fail) != 0)
		goto fail;
	load_models(store);
	store->limit = limit ? limit : store_used(store) + file_space_left(folder) / 10 * 9;
	return store;
fail:
	store_close(store);
	return NULL;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	LIST_EACH(at, &store->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		struct fail fail;
		if (entry->unflushed && store_flush(store, &entry->manifest->id, &fail) != 0)
			log_warn("store", "fetched chunks may be lost model=%s why=\"%s\"",
				 entry->name, fail.text);
		list_remove(&entry->link);
		drop_reference(entry);
	}
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

/* ---- asking ---- */

uint64_t store_limit(const struct store *store)
{
	return store->limit;
}

static uint64_t used_bytes(struct store *store)
{
	uint64_t used = store->incoming_bytes;
	LIST_EACH(at, &store->entries)
	used += entry_held(LIST_ITEM(at, struct entry, link));
	return used;
}

uint64_t store_used(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	const uint64_t used = used_bytes(store);
	pthread_mutex_unlock(&store->lock);
	return used;
}

static void describe(const struct entry *entry, struct store_model *model)
{
	model->id = entry->manifest->id;
	memcpy(model->name, entry->name, sizeof(model->name));
	model->kind = entry->kind;
	model->file_bytes = entry->manifest->file_bytes;
	model->metadata = entry->facts != NULL;
	const bool away = entry->kind == STORE_IN_PLACE && !entry->facts;
	model->have_bytes = away ? 0 : entry->have_bytes;
	model->whole = !away && entry_is_whole(entry);
}

uint32_t store_list(struct store *store, struct store_model *models, uint32_t max)
{
	uint32_t count = 0;
	pthread_mutex_lock(&store->lock);
	LIST_EACH(at, &store->entries)
	{
		if (count < max)
			describe(LIST_ITEM(at, struct entry, link), &models[count]);
		count++;
	}
	pthread_mutex_unlock(&store->lock);
	return count;
}

bool store_get(struct store *store, const struct model_id *id, struct store_model *model)
{
	pthread_mutex_lock(&store->lock);
	const struct entry *entry = store_entry(store, id);
	if (entry)
		describe(entry, model);
	pthread_mutex_unlock(&store->lock);
	return entry != NULL;
}

static bool is_called(const struct entry *entry, const char *text, size_t size)
{
	char hex[ID_HEX_BYTES], brief[ID_TEXT_BYTES];
	const char *const names[] = { entry->name, id_hex(entry->manifest->id.bytes, hex),
				      id_text(entry->manifest->id.bytes, brief) };
	for (size_t i = 0; i < 3; i++)
		if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0)
			return true;
	return false;
}

static int not_found(struct store *store, const char *text, struct fail *fail)
{
	char known[200] = "";
	LIST_EACH(at, &store->entries)
	{
		const size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
			 LIST_ITEM(at, struct entry, link)->name);
	}
	return fail_set(fail, FAIL_NOT_FOUND, "there is no model '%.80s' on this device; %s%s",
			text, known[0] ? "there are: " : "it has none yet", known);
}

int store_find(struct store *store, const char *text, struct model_id *id, struct fail *fail)
{
	size_t size = strlen(text);
	int result = -1;
	if (size > 5 && strcmp(text + size - 5, ".gguf") == 0)
		size -= 5;
	pthread_mutex_lock(&store->lock);
	LIST_EACH(at, &store->entries)
	{
		const struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (result != 0 && is_called(entry, text, size)) {
			*id = entry->manifest->id;
			result = 0;
		}
	}
	if (result != 0)
		result = not_found(store, text, fail);
	pthread_mutex_unlock(&store->lock);
	return result;
}

static int not_ready(const struct entry *entry, struct fail *fail)
{
	if (entry->kind == STORE_IN_PLACE)
		return fail_set(fail, FAIL_NOT_FOUND, "the file of the model %s is not at %s now",
				entry->name, entry->path);
	return fail_set(fail, FAIL_BUSY,
			"the head of the model %s is not on this device yet; try again",
			entry->name);
}

int store_facts(struct store *store, const struct model_id *id, struct model_facts *facts,
		struct fail *fail)
{
	int result = 0;
	pthread_mutex_lock(&store->lock);
	const struct entry *entry = store_entry(store, id);
	if (!entry) {
		result = unknown(fail);
	} else if (!entry->facts) {
		result = not_ready(entry, fail);
	} else {
		*facts = *entry->facts;
		memcpy(facts->name, entry->name, sizeof(facts->name));
	}
	pthread_mutex_unlock(&store->lock);
	return result;
}

int store_look_inside(struct store *store, struct entry *entry, struct fail *fail)
{
	struct model_facts *facts;
	int32_t *units;
	const int result = entry_read_model(entry, &facts, &units, fail);
	if (result) {
		store_forget(store, entry);
		return result;
	}
	pthread_mutex_lock(&store->lock);
	if (entry->facts) { /* another thread was first */
		free(facts);
		free(units);
	} else {
		entry->facts = facts;
		entry->units = units;
	}
	pthread_mutex_unlock(&store->lock);
	return 0;
}

/* The file must be there and unchanged, and its head must have been read. */
static int make_ready(struct store *store, struct entry *entry, struct fail *fail)
{
	const int result = mark_check(entry, fail);
	if (result == -FAIL_CORRUPT)
		store_forget(store, entry);
	if (result)
		return result;
	pthread_mutex_lock(&store->lock);
	const bool ready = entry->facts != NULL;
	pthread_mutex_unlock(&store->lock);
	if (!ready && entry->kind == STORE_IN_PLACE) /* it was away when the daemon started */
		return store_look_inside(store, entry, fail);
	return ready ? 0 : not_ready(entry, fail);
}

int store_path(struct store *store, const struct model_id *id, char *path, size_t size,
	       struct fail *fail)
{
	struct entry *entry = store_hold(store, id, fail);
	if (!entry)
		return -FAIL_NOT_FOUND;
	int result = make_ready(store, entry, fail);
	if (result == 0 && (size_t)snprintf(path, size, "%s", entry->path) >= size)
		result = fail_set(fail, FAIL_INVALID, "the path %s is too long", entry->path);
	store_let_go(store, entry);
	return result;
}

/* The time of a use, in seconds, later than that of every other: an order, also when clocks jump.
 */
static int64_t next_use(struct store *store)
{
	int64_t next = clock_wall_s();
	LIST_EACH(at, &store->entries)
	{
		const int64_t other = LIST_ITEM(at, struct entry, link)->used_s;
		if (other >= next)
			next = other + 1;
	}
	return next;
}

void store_use(struct store *store, const struct model_id *id)
{
	struct fail fail;
	int result = 0;
	pthread_mutex_lock(&store->lock);
	struct entry *entry = store_entry(store, id);
	if (entry) {
		const int64_t before = entry->used_s;
		entry->uses++;
		entry->used_s = next_use(store);
		const bool late = entry->used_s - before >= USE_PERIOD_S;
		if (late)
			result = entry_save_record(entry, entry->folder, &fail);
	}
	pthread_mutex_unlock(&store->lock);
	if (result)
		log_warn("store", "a use was not written down why=\"%s\"", fail.text);
}

void store_unuse(struct store *store, const struct model_id *id)
{
	pthread_mutex_lock(&store->lock);
	struct entry *entry = store_entry(store, id);
	if (entry && entry->uses > 0)
		entry->uses--;
	pthread_mutex_unlock(&store->lock);
}

/* ---- showing ---- */

static void sync_folder(const char *folder)
{
	const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* With the lock held. `old` may be NULL; what it leaves behind is in `leaving`. */
static int replace(struct store *store, struct entry *old, struct entry *entry,
		   const char *incoming, char leaving[PATH_MAX], struct fail *fail)
{
	char name[MODEL_NAME_BYTES];
	free_name(store, entry->name, old, name);
	memcpy(entry->name, name, sizeof(name));
	entry->used_s = next_use(store);
	const int result = entry_save(entry, incoming, fail);
	if (result)
		return result;
	if (old) {
		entry->uses = old->uses;
		take_out(store, old, leaving);
		drop_reference(old);
	}
	if (rename(incoming, entry->folder) != 0) {
		/* a folder that could not be read at start: the same model, so it may go */
		leaving_path(store, entry, leaving);
		if (rename(entry->folder, leaving) != 0 || rename(incoming, entry->folder) != 0)
			return fail_errno(fail, errno, "cannot rename %s", incoming);
	}
	sync_folder(store->folder);
	insert(store, entry);
	return 0;
}

int store_show(struct store *store, struct entry *entry, const char *incoming, struct fail *fail)
{
	static const int worth[] = { [STORE_COPY] = 0, [STORE_IN_PLACE] = 1, [STORE_OWN] = 2 };
	char leaving[PATH_MAX] = "";
	int result = 0;
	pthread_mutex_lock(&store->lock);
	struct entry *old = store_entry(store, &entry->manifest->id);
	const bool moved = old && old->kind == STORE_IN_PLACE && entry->kind == STORE_IN_PLACE;
	const bool stays = old && worth[old->kind] >= worth[entry->kind] && !moved;
	if (!stays)
		result = replace(store, old, entry, incoming, leaving, fail);
	if (stays || result)
		drop_reference(entry);
	pthread_mutex_unlock(&store->lock);
	if (leaving[0])
		store_delete_folder(leaving);
	if (stays || result)
		store_delete_folder(incoming);
	return result;
}

/* ---- removing ---- */

int store_remove(struct store *store, const struct model_id *id, struct fail *fail)
{
	char leaving[PATH_MAX] = "";
	int result = 0;
	pthread_mutex_lock(&store->lock);
	struct entry *entry = store_entry(store, id);
	if (!entry) {
		result = unknown(fail);
	} else if (entry->uses > 0) {
		result = fail_set(fail, FAIL_BUSY, "the model %s is in use; try again when its requests have ended",
				  entry->name);
	} else {
		take_out(store, entry, leaving);
		drop_reference(entry);
	}
	pthread_mutex_unlock(&store->lock);
	if (leaving[0])
		store_delete_folder(leaving);
	return result;
}

/* ---- room ---- */

static const char *size_text(uint64_t bytes, char text[32])
{
	if (bytes >= UINT64_C(1) << 30)
		snprintf(text, 32, "%.1f GiB", (double)bytes / (1u << 30));
	else
		snprintf(text, 32, "%.1f MiB", (double)bytes / (1u << 20));
	return text;
}

static bool may_evict(const struct entry *entry, const struct model_id *keep)
{
	return entry->kind == STORE_COPY && entry->uses == 0 &&
	       !(keep && model_id_equal(&entry->manifest->id, keep));
}

static struct entry *least_recent(struct store *store, const struct model_id *keep)
{
	struct entry *oldest = NULL;
	LIST_EACH(at, &store->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (may_evict(entry, keep) && (!oldest || entry->used_s < oldest->used_s))
			oldest = entry;
	}
	return oldest;
}

static uint64_t evictable_bytes(struct store *store, const struct model_id *keep)
{
	uint64_t bytes = 0;
	LIST_EACH(at, &store->entries)
	{
		const struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (may_evict(entry, keep))
			bytes += entry_held(entry);
	}
	return bytes;
}

/* Bytes that are lacking under the limit, and on the disk. */
static uint64_t lacking(struct store *store, uint64_t bytes, bool *on_disk)
{
	const uint64_t used = used_bytes(store);
	const uint64_t to_come = store->incoming_bytes - store->arrived_bytes + DISK_RESERVE;
	const uint64_t left = file_space_left(store->folder);
	const uint64_t usable = left > to_come ? left - to_come : 0;
	const uint64_t by_limit = used + bytes > store->limit ? used + bytes - store->limit : 0;
	const uint64_t by_disk = bytes > usable ? bytes - usable : 0;
	*on_disk = by_disk > by_limit;
	return *on_disk ? by_disk : by_limit;
}

static int no_room(struct store *store, uint64_t bytes, bool on_disk, struct fail *fail)
{
	char need[32], used[32], limit[32];
	size_text(bytes, need);
	if (on_disk)
		return fail_set(fail, FAIL_SPACE,
				"%s more are needed, and the disk of %s has %s left; free some, or "
				"remove a model (primactl model rm)",
				need, store->folder,
				size_text(file_space_left(store->folder), limit));
	return fail_set(fail, FAIL_SPACE,
			"%s more are needed, and models use %s of the %s they may use; remove one "
			"(primactl model rm) or raise --store-limit",
			need, size_text(used_bytes(store), used), size_text(store->limit, limit));
}

/* With the lock held. Nothing is evicted when even all of it would not be enough. */
static int room_or_evict(struct store *store, const struct model_id *keep, uint64_t bytes,
			 char leaving[PATH_MAX], struct fail *fail)
{
	bool on_disk;
	const uint64_t lack = lacking(store, bytes, &on_disk);
	if (lack == 0)
		return 0;
	if (lack > evictable_bytes(store, keep))
		return no_room(store, bytes, on_disk, fail);
	struct entry *entry = least_recent(store, keep);
	log_info("store", "deleting a copy to make room model=%s bytes=%" PRIu64, entry->name,
		 entry->have_bytes);
	take_out(store, entry, leaving);
	drop_reference(entry);
	return 1;
}

int store_make_room(struct store *store, const struct model_id *keep, uint64_t bytes,
		    struct fail *fail)
{
	for (;;) {
		char leaving[PATH_MAX];
		pthread_mutex_lock(&store->lock);
		const int result = room_or_evict(store, keep, bytes, leaving, fail);
		pthread_mutex_unlock(&store->lock);
		if (result <= 0)
			return result;
		store_delete_folder(leaving);
	}
}
