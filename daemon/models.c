#include "daemon/models.h"

#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/fetch.h"
#include "daemon/profiler.h"
#include "daemon/serving.h"
#include "daemon/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS_MAX 256
#define ENTRIES_MAX 1024 /* entries stay, and members may announce what they like */

enum tokenizer_state { TOKENIZER_NONE, TOKENIZER_FETCHING, TOKENIZER_LOADING, TOKENIZER_READY };

/* Files may have a template of its own for chats with tools. */
enum { CHAT_PLAIN, CHAT_TOOLS, CHAT_FORMS };

static const char *const form_keys[CHAT_FORMS] = {
	[CHAT_PLAIN] = "tokenizer.chat_template",
	[CHAT_TOOLS] = "tokenizer.chat_template.tool_use",
};

struct chat_form {
	struct template *template; /* NULL when the file has none, or none that works */
	struct fail why;           /* why it does not */
};

/* A model known in the home. Stays until the end: tokenizers are borrowed by sessions. */
struct entry {
	struct list entry;
	struct models *models;
	struct model_facts facts;
	bool announced; /* by somebody now, or here */
	enum tokenizer_state state;
	struct tokenizer *tokenizer;
	struct chat_form forms[CHAT_FORMS];
	uint64_t charged_bytes;
	uint32_t ends[REQUEST_ENDS_MAX];
	uint32_t n_ends;
	struct fetch *fetch; /* metadata */
	struct fail why;     /* the last attempt to get the tokenizer */
};

struct models {
	struct models_config config;
	struct peers *peers; /* NULL while paused */
	struct store *store;
	struct serving *serving;
	struct list entries;
	uint32_t n_entries;
	/* the part that is being fetched, and the model that is in use by the ring */
	struct fetch *part;
	void (*part_progress)(void *context, uint64_t done, uint64_t total);
	void (*part_done)(void *context, const char *path, const struct fail *fail);
	void *part_context;
	struct model_id part_model;
	bool part_used;
};

/* ---- the list ---- */

static struct entry *entry_find(const struct models *models, const struct model_id *id)
{
	LIST_EACH(at, &models->entries) {
		struct entry *entry = LIST_ITEM(at, struct entry, entry);
		if (model_id_equal(&entry->facts.id, id))
			return entry;
	}
	return NULL;
}

static struct entry *entry_make(struct models *models, const struct model_facts *facts)
{
	struct entry *entry = entry_find(models, &facts->id);
	if (!entry && models->n_entries < ENTRIES_MAX) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return NULL;
		entry->models = models;
		entry->facts = *facts;
		list_append(&models->entries, &entry->entry);
		models->n_entries++;
	}
	return entry;
}

static void read_gossip(struct models *models)
{
	struct model_facts *facts = malloc(sizeof(*facts));
	if (!models->peers || !facts) {
		free(facts);
		return;
	}
	const struct gossip *gossip = peers_gossip(models->peers);
	for (const struct fact *fact = gossip_next(gossip, FACT_MODEL, NULL); fact;
	     fact = gossip_next(gossip, FACT_MODEL, fact)) {
		if (facts_decode(facts, fact->bytes, fact->size, NULL) != 0)
			continue;
		struct entry *entry = entry_make(models, facts);
		if (entry)
			entry->announced = true;
	}
	free(facts);
}

static void read_store(struct models *models)
{
	struct store_model *list = calloc(MODELS_MAX, sizeof(*list));
	struct model_facts *facts = malloc(sizeof(*facts));
	const uint32_t n = list && facts ? store_list(models->store, list, MODELS_MAX) : 0;
	for (uint32_t i = 0; i < n && i < MODELS_MAX; i++) {
		if (store_facts(models->store, &list[i].id, facts, NULL) != 0)
			continue;
		struct entry *entry = entry_make(models, facts);
		if (entry)
			entry->announced = entry->announced || list[i].whole;
	}
	free(facts);
	free(list);
}

static void refresh(struct models *models)
{
	LIST_EACH(at, &models->entries)
		LIST_ITEM(at, struct entry, entry)->announced = false;
	read_store(models);
	read_gossip(models);
}

/* Tells the home what this device holds whole. */
static void announce(struct models *models)
{
	struct store_model *list = calloc(MODELS_MAX, sizeof(*list));
	struct buf ids, facts;
	buf_init(&ids);
	buf_init(&facts);
	const uint32_t n = list && models->peers ? store_list(models->store, list, MODELS_MAX) : 0;
	for (uint32_t i = 0; i < n && i < MODELS_MAX; i++) {
		const struct entry *entry = entry_find(models, &list[i].id);
		if (!list[i].whole || !entry)
			continue;
		buf_append(&ids, list[i].id.bytes, ID_BYTES);
		buf_clear(&facts);
		facts_encode(&entry->facts, &facts);
		if (!facts.failed)
			peers_tell(models->peers, FACT_MODEL, load_u64le(list[i].id.bytes),
				   facts.data, facts.size);
	}
	if (models->peers && !ids.failed)
		peers_tell(models->peers, FACT_MODELS, 0, ids.data, ids.size);
	buf_finish(&facts);
	buf_finish(&ids);
	free(list);
}

static void changed(struct models *models)
{
	models->config.changed(models->config.context);
}

void models_fact(struct models *models, const struct fact *fact)
{
	refresh(models);
	changed(models);
}

static bool name_matches(const struct model_facts *facts, const char *name)
{
	char text[ID_HEX_BYTES];
	const size_t size = strlen(facts->name);
	if (strcmp(id_hex(facts->id.bytes, text), name) == 0 ||
	    strcmp(id_text(facts->id.bytes, text), name) == 0)
		return true;
	return strncmp(facts->name, name, size) == 0 &&
	       (name[size] == 0 || strcmp(name + size, ".gguf") == 0);
}

static void name_all(const struct models *models, char *text, size_t size)
{
	size_t used = 0;
	text[0] = 0;
	LIST_EACH(at, &models->entries) {
		const struct entry *entry = LIST_ITEM(at, struct entry, entry);
		if (entry->announced && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 entry->facts.name);
	}
}

bool models_resolve(struct models *models, const char *name, struct model_id *id,
		    struct fail *fail)
{
	uint32_t count = 0;
	char names[256];
	LIST_EACH(at, &models->entries) {
		const struct entry *entry = LIST_ITEM(at, struct entry, entry);
		if (!entry->announced || (name && !name_matches(&entry->facts, name)))
			continue;
		*id = entry->facts.id;
		count++;
	}
	name_all(models, names, sizeof(names));
	if (count == 0 && names[0] == 0)
		fail_set(fail, FAIL_NOT_FOUND,
			 "there is no model in this home yet: run `primactl model add FILE.gguf`");
	else if (count == 0)
		fail_set(fail, FAIL_NOT_FOUND, "there is no model \"%s\" in this home; it has: %s",
			 name, names);
	else if (count > 1)
		fail_set(fail, FAIL_INVALID, "say which model: %s", names);
	return count == 1;
}

const struct model_facts *models_facts(struct models *models, const struct model_id *id)
{
	const struct entry *entry = entry_find(models, id);
	return entry ? &entry->facts : NULL;
}

void models_each(struct models *models,
		 void (*each)(void *context, const struct model_facts *facts), void *context)
{
	LIST_EACH(at, &models->entries) {
		const struct entry *entry = LIST_ITEM(at, struct entry, entry);
		if (entry->announced)
			each(context, &entry->facts);
	}
}

static void add_types(void *types, const struct model_facts *facts)
{
	*(uint64_t *)types |= profiler_types(facts);
}

uint64_t models_types(struct models *models)
{
	uint64_t types = 0;
	models_each(models, add_types, &types);
	return types ? types : 1ull << TENSOR_Q4_K | 1ull << TENSOR_Q6_K | 1ull << TENSOR_Q8_0;
}

/* ---- holders ---- */

static bool holds(const struct models *models, const struct device_id *device,
		  const struct model_id *id)
{
	const struct fact *fact = gossip_get(peers_gossip(models->peers), device, FACT_MODELS, 0);
	for (uint32_t at = 0; fact && at + ID_BYTES <= fact->size; at += ID_BYTES)
		if (memcmp(fact->bytes + at, id->bytes, ID_BYTES) == 0)
			return true;
	return false;
}

static bool find_holder(struct models *models, const struct model_id *id, uint32_t n,
			struct fetch_holder *holder)
{
	const struct roster *roster = models->config.home->roster;
	for (uint32_t i = 0; models->peers && i < roster_count(roster); i++) {
		const struct member *member = roster_at(roster, i);
		if (!peers_address(models->peers, &member->keys.id, &holder->address) ||
		    !holds(models, &member->keys.id, id) || n-- > 0)
			continue;
		holder->keys = member->keys;
		memcpy(holder->name, member->name, sizeof(holder->name));
		return true;
	}
	return false;
}

json_t *models_holders(struct models *models, const struct model_id *id)
{
	struct store_model own;
	json_t *names = json_array();
	const struct roster *roster = models->config.home->roster;
	if (store_get(models->store, id, &own) && own.whole)
		json_array_append_new(names, json_string(models->config.home->name));
	for (uint32_t i = 0; models->peers && i < roster_count(roster); i++)
		if (holds(models, &roster_at(roster, i)->keys.id, id) &&
		    !device_id_equal(&roster_at(roster, i)->keys.id,
				     home_self(models->config.home)))
			json_array_append_new(names, json_string(roster_at(roster, i)->name));
	return names;
}

/* ---- tokenizers ---- */

struct loading {
	uv_work_t work;
	struct entry *entry;
	char path[PATH_MAX];
	struct tokenizer *tokenizer;
	struct chat_form forms[CHAT_FORMS];
	struct fail why;
};

/* A model whose template cannot be compiled still answers prompts: why is told to who chats. */
static void load_forms(struct loading *loading, const struct gguf *gguf)
{
	for (int i = 0; i < CHAT_FORMS; i++) {
		struct chat_form *form = &loading->forms[i];
		const char *text;
		size_t size;
		if (gguf_string(gguf, form_keys[i], &text, &size) && size > 0)
			form->template = template_create(text, size, &form->why);
	}
}

static uint64_t forms_memory(const struct chat_form forms[CHAT_FORMS])
{
	uint64_t bytes = 0;
	for (int i = 0; i < CHAT_FORMS; i++)
		bytes += forms[i].template ? template_memory(forms[i].template) : 0;
	return bytes;
}

static void destroy_forms(struct chat_form forms[CHAT_FORMS])
{
	for (int i = 0; i < CHAT_FORMS; i++)
		template_destroy(forms[i].template);
}

static void load_on_worker(uv_work_t *work)
{
	struct loading *loading = work->data;
	struct gguf *gguf = gguf_open(loading->path, &loading->why);
	if (gguf)
		loading->tokenizer = tokenizer_create(gguf, &loading->why);
	if (loading->tokenizer)
		load_forms(loading, gguf);
	gguf_close(gguf);
}

static void list_ends(struct entry *entry)
{
	const uint32_t n = tokenizer_count(entry->tokenizer);
	entry->n_ends = 0;
	for (uint32_t token = 0; token < n && entry->n_ends < REQUEST_ENDS_MAX; token++)
		if (tokenizer_ends(entry->tokenizer, token))
			entry->ends[entry->n_ends++] = token;
}

static void on_tokenizer_loaded(uv_work_t *work, int status)
{
	struct loading *loading = work->data;
	struct entry *entry = loading->entry;
	struct models *models = entry->models;
	entry->why = loading->why;
	entry->state = TOKENIZER_NONE;
	if (loading->tokenizer) {
		const uint64_t bytes =
			tokenizer_bytes(loading->tokenizer) + forms_memory(loading->forms);
		if (account_charge(models->config.account, ACCOUNT_QUEUES, bytes)) {
			entry->charged_bytes = bytes;
			entry->tokenizer = loading->tokenizer;
			memcpy(entry->forms, loading->forms, sizeof(entry->forms));
			entry->state = TOKENIZER_READY;
			list_ends(entry);
		} else {
			tokenizer_destroy(loading->tokenizer);
			destroy_forms(loading->forms);
			fail_set(&entry->why, FAIL_MEMORY,
				 "no memory for the tokenizer (%llu MiB) on this device: raise "
				 "--memory, or ask on another device",
				 (unsigned long long)(bytes >> 20));
		}
	}
	free(loading);
	changed(models);
}

static void load_tokenizer(struct entry *entry)
{
	struct models *models = entry->models;
	struct loading *loading = calloc(1, sizeof(*loading));
	if (!loading)
		return;
	loading->work.data = loading;
	loading->entry = entry;
	if (store_path(models->store, &entry->facts.id, loading->path, sizeof(loading->path),
		       &entry->why) != 0) {
		free(loading);
		return;
	}
	entry->state = TOKENIZER_LOADING;
	uv_queue_work(models->config.host->loop, &loading->work, load_on_worker,
		      on_tokenizer_loaded);
}

static void on_metadata(void *context, const struct fail *why)
{
	struct entry *entry = context;
	entry->fetch = NULL;
	entry->state = TOKENIZER_NONE;
	if (why) {
		entry->why = *why;
		changed(entry->models);
	} else {
		load_tokenizer(entry);
	}
}

static bool metadata_holder(void *context, uint32_t n, struct fetch_holder *holder)
{
	const struct entry *entry = context;
	return find_holder(entry->models, &entry->facts.id, n, holder);
}

static void fetch_metadata(struct entry *entry)
{
	struct models *models = entry->models;
	const struct fetch_config config = { .host = models->config.host,
					     .store = models->store,
					     .model = entry->facts.id,
					     .holder = metadata_holder,
					     .done = on_metadata,
					     .context = entry };
	entry->fetch = fetch_start(&config, &entry->why);
	if (entry->fetch)
		entry->state = TOKENIZER_FETCHING;
}

const struct tokenizer *models_tokenizer(struct models *models, const struct model_id *id,
					 struct fail *fail)
{
	struct store_model model;
	struct entry *entry = entry_find(models, id);
	if (!entry) {
		fail_set(fail, FAIL_NOT_FOUND, "this model is not known in the home");
		return NULL;
	}
	if (entry->state == TOKENIZER_READY)
		return entry->tokenizer;
	if (entry->state == TOKENIZER_NONE && entry->why.code != FAIL_NONE) {
		*fail = entry->why; /* told once; the next call tries again */
		entry->why.code = FAIL_NONE;
		return NULL;
	}
	if (entry->state == TOKENIZER_NONE) {
		if (store_get(models->store, id, &model) && model.metadata)
			load_tokenizer(entry);
		else
			fetch_metadata(entry);
	}
	fail_set(fail, FAIL_BUSY, "the model's vocabulary is being loaded; try again in a moment");
	return NULL;
}

int models_template(struct models *models, const struct model_id *id, bool tools,
		    const struct template **template, struct fail *fail)
{
	const struct entry *entry = entry_find(models, id);
	const struct chat_form *form = entry ? &entry->forms[tools ? CHAT_TOOLS : CHAT_PLAIN] : NULL;
	if (form && tools && !form->template && form->why.code == FAIL_NONE)
		form = &entry->forms[CHAT_PLAIN];
	*template = form ? form->template : NULL;
	if (!form || form->why.code == FAIL_NONE)
		return 0;
	*fail = form->why;
	return -(int)fail->code;
}

uint32_t models_ends(struct models *models, const struct model_id *id,
		     uint32_t ends[REQUEST_ENDS_MAX])
{
	const struct entry *entry = entry_find(models, id);
	if (!entry)
		return 0;
	memcpy(ends, entry->ends, sizeof(entry->ends));
	return entry->n_ends;
}

/* ---- this device's part of a plan ---- */

static void on_part_fetched(void *context, const struct fail *why)
{
	struct models *models = context;
	char path[PATH_MAX];
	struct fail own;
	models->part = NULL;
	if (!why && store_path(models->store, &models->part_model, path, sizeof(path), &own) != 0)
		why = &own;
	if (!why) {
		store_use(models->store, &models->part_model);
		models->part_used = true;
	}
	models->part_done(models->part_context, why ? NULL : path, why);
}

static void on_part_progress(void *context, uint64_t done, uint64_t total)
{
	const struct models *models = context;
	models->part_progress(models->part_context, done, total);
}

static void on_came(void *context, const struct device_id *from, uint64_t bytes, int64_t us)
{
	const struct models *models = context;
	models->config.came(models->config.context, from, bytes, us);
}

static bool part_holder(void *context, uint32_t n, struct fetch_holder *holder)
{
	struct models *models = context;
	return find_holder(models, &models->part_model, n, holder);
}

void models_fetch_cancel(struct models *models)
{
	if (models->part)
		fetch_abandon(models->part);
	models->part = NULL;
	if (models->part_used)
		store_unuse(models->store, &models->part_model);
	models->part_used = false;
}

void models_fetch(struct models *models, const struct model_id *id,
		  const struct units_wanted *units,
		  void (*progress)(void *context, uint64_t done, uint64_t total),
		  void (*done)(void *context, const char *path, const struct fail *fail),
		  void *context)
{
	struct fail why;
	models_fetch_cancel(models);
	models->part_progress = progress;
	models->part_done = done;
	models->part_context = context;
	models->part_model = *id;
	const struct fetch_config config = {
		.host = models->config.host,
		.store = models->store,
		.model = *id,
		.want = { .embedding = units->head,
			  .output = units->head,
			  .ranges = units->ranges,
			  .n_ranges = units->n_ranges },
		.holder = part_holder,
		.progress = on_part_progress,
		.came = on_came,
		.done = on_part_fetched,
		.context = models,
	};
	models->part = fetch_start(&config, &why);
	if (!models->part)
		done(context, NULL, &why);
}

void models_peers_changed(struct models *models)
{
	if (models->part)
		fetch_poke(models->part);
	LIST_EACH(at, &models->entries) {
		const struct entry *entry = LIST_ITEM(at, struct entry, entry);
		if (entry->fetch)
			fetch_poke(entry->fetch);
	}
}

void models_accept(struct models *models, uv_os_sock_t socket,
		   const uint8_t preamble[PREAMBLE_BYTES])
{
	serving_accept(models->serving, socket, preamble);
}

/* ---- additions ---- */

struct upload {
	uv_work_t work;
	struct models *models;
	struct addition *addition;
	struct store_model added;
	node_answer *answer;
	void *context;
	int result;
	struct fail why;
};

static struct upload *upload_create(struct models *models, struct addition *addition)
{
	struct upload *upload = addition ? calloc(1, sizeof(*upload)) : NULL;
	if (!upload) {
		addition_destroy(addition);
		return NULL;
	}
	upload->work.data = upload;
	upload->models = models;
	upload->addition = addition;
	return upload;
}

struct upload *models_upload_begin(struct models *models, const char *name, uint64_t size,
				   struct fail *fail)
{
	return upload_create(models, addition_upload(models->store, name, size, fail));
}

int models_upload_write(struct upload *upload, const void *bytes, size_t size, struct fail *fail)
{
	return addition_write(upload->addition, bytes, size, fail);
}

void models_upload_abort(struct upload *upload)
{
	if (!upload)
		return;
	addition_destroy(upload->addition);
	free(upload);
}

static void add_on_worker(uv_work_t *work)
{
	struct upload *upload = work->data;
	upload->result = addition_check(upload->addition, &upload->why);
	if (upload->result == 0)
		upload->result = addition_finish(upload->addition, &upload->added, &upload->why);
	addition_destroy(upload->addition);
}

static void on_added(uv_work_t *work, int status)
{
	struct upload *upload = work->data;
	struct models *models = upload->models;
	char text[ID_HEX_BYTES];
	if (upload->result == 0) {
		refresh(models);
		announce(models);
		changed(models);
		upload->answer(upload->context,
			       json_pack("{s:i, s:s, s:s, s:I}", "schema", NODE_SCHEMA, "id",
					 id_hex(upload->added.id.bytes, text), "name",
					 upload->added.name, "file_bytes",
					 (json_int_t)upload->added.file_bytes),
			       NULL);
	} else {
		upload->answer(upload->context, NULL, &upload->why);
	}
	free(upload);
}

void models_upload_end(struct upload *upload, node_answer *answer, void *context)
{
	upload->answer = answer;
	upload->context = context;
	uv_queue_work(upload->models->config.host->loop, &upload->work, add_on_worker, on_added);
}

void models_add_path(struct models *models, const char *path, node_answer *answer, void *context)
{
	struct fail why;
	struct upload *upload =
		upload_create(models, addition_in_place(models->store, path, &why));
	if (upload)
		models_upload_end(upload, answer, context);
	else
		answer(context, NULL, &why);
}

int models_remove(struct models *models, const char *name, json_t **result, struct fail *fail)
{
	struct model_id id;
	struct store_model model;
	int error = store_find(models->store, name, &id, fail);
	if (error)
		return error;
	store_get(models->store, &id, &model);
	error = store_remove(models->store, &id, fail);
	if (error)
		return error;
	if (models->peers)
		peers_tell(models->peers, FACT_MODEL, load_u64le(id.bytes), NULL, 0);
	refresh(models);
	announce(models);
	changed(models);
	*result = json_pack("{s:i, s:s}", "schema", NODE_SCHEMA, "removed", model.name);
	return 0;
}

/* ---- beginning and end ---- */

struct models *models_create(const struct models_config *config, struct fail *fail)
{
	char folder[PATH_MAX];
	struct models *models = calloc(1, sizeof(*models));
	if (!models) {
		fail_set(fail, FAIL_MEMORY, "no memory for models");
		return NULL;
	}
	models->config = *config;
	list_init(&models->entries);
	file_join(folder, sizeof(folder), config->state, "store");
	models->store = store_open(folder, config->store_limit_bytes, fail);
	if (models->store)
		models->serving = serving_create(config->host, models->store);
	if (!models->serving) {
		models_destroy(models);
		return NULL;
	}
	refresh(models);
	return models;
}

void models_pause(struct models *models)
{
	models_fetch_cancel(models);
	LIST_EACH(at, &models->entries) {
		struct entry *entry = LIST_ITEM(at, struct entry, entry);
		if (!entry->fetch)
			continue;
		fetch_abandon(entry->fetch);
		entry->fetch = NULL;
		entry->state = TOKENIZER_NONE;
	}
	serving_stop(models->serving);
	models->peers = NULL;
}

void models_resume(struct models *models, struct peers *peers)
{
	models->peers = peers;
	refresh(models);
	announce(models);
}

void models_destroy(struct models *models)
{
	if (!models)
		return;
	LIST_EACH(at, &models->entries) {
		struct entry *entry = LIST_ITEM(at, struct entry, entry);
		tokenizer_destroy(entry->tokenizer);
		destroy_forms(entry->forms);
		if (entry->charged_bytes)
			account_release(models->config.account, ACCOUNT_QUEUES,
					entry->charged_bytes);
		free(entry);
	}
	serving_destroy(models->serving);
	store_close(models->store);
	free(models);
}
