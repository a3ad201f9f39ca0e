#include "../engine/gguf_build.h"
#include "base/file.h"
#include "daemon/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- small models: two layers, an embedding table of 2.5 chunks ---- */

#define EMBD   256
#define VOCAB  2560
#define LAYERS 2

static void add_layer(struct gguf_build *build, uint32_t layer)
{
	static const struct {
		const char *name;
		uint32_t columns, rows;
	} rows[] = {
		{ "attn_norm", EMBD, 0 },      { "attn_q", EMBD, EMBD },
		{ "attn_k", EMBD, EMBD },      { "attn_v", EMBD, EMBD },
		{ "attn_output", EMBD, EMBD }, { "ffn_norm", EMBD, 0 },
		{ "ffn_gate", EMBD, EMBD },    { "ffn_up", EMBD, EMBD },
		{ "ffn_down", EMBD, EMBD },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[64];
		snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, rows[i].name);
		build_tensor(build, name, rows[i].rows ? TENSOR_F16 : TENSOR_F32, rows[i].columns,
			     rows[i].rows);
	}
}

/* A whole file; its data differ with the seed. `padding` makes the metadata larger. */
static void make_file(struct buf *file, uint32_t seed, uint32_t padding)
{
	struct gguf_build build;
	build_init(&build);
	build_string(&build, "general.architecture", "llama");
	build_u32(&build, "llama.block_count", LAYERS);
	build_u32(&build, "llama.context_length", 512);
	build_u32(&build, "llama.embedding_length", EMBD);
	build_u32(&build, "llama.feed_forward_length", EMBD);
	build_u32(&build, "llama.attention.head_count", 4);
	build_u32(&build, "llama.vocab_size", VOCAB);
	build_f32(&build, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	if (build_array(&build, "padding", GGUF_U8, padding))
		for (uint32_t i = 0; i < padding; i++)
			buf_u8(&build.keys, (uint8_t)i);
	build_tensor(&build, "token_embd.weight", TENSOR_F32, EMBD, VOCAB);
	build_tensor(&build, "output_norm.weight", TENSOR_F32, EMBD, 0);
	for (uint32_t i = 0; i < LAYERS; i++)
		add_layer(&build, i);
	buf_init(file);
	build_header(&build, file);
	uint8_t *data = buf_extend(file, build.data_bytes);
	assert_non_null(data);
	uint32_t state = seed * 2654435761u + 1;
	for (uint64_t i = 0; i < build.data_bytes; i++) {
		state = state * 1664525u + 1013904223u;
		data[i] = (uint8_t)(state >> 24);
	}
	build_finish(&build);
}

/* ---- folders ---- */

static char root[] = "/tmp/store_test.XXXXXX";

static void path_in(char path[512], const char *a, const char *b)
{
	snprintf(path, 512, "%s/%s%s%s", root, a, b ? "/" : "", b ? b : "");
}

static void remove_tree(const char *path)
{
	DIR *folder = opendir(path);
	if (folder) {
		for (struct dirent *item; (item = readdir(folder));) {
			char inner[1024];
			snprintf(inner, sizeof(inner), "%s/%s", path, item->d_name);
			if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
				remove_tree(inner);
		}
		closedir(folder);
	}
	remove(path);
}

/* Folders that are neither a model's nor the lock. */
static int count_strays(const char *store)
{
	char path[512];
	int count = 0;
	path_in(path, store, NULL);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *item; (item = readdir(folder));)
		count += strchr(item->d_name, '-') != NULL;
	closedir(folder);
	return count;
}

static struct store *open_store(const char *name, uint64_t limit)
{
	char path[512];
	struct fail fail = { 0 };
	path_in(path, name, NULL);
	struct store *store = store_open(path, limit, &fail);
	if (!store)
		fail_msg("%s", fail.text);
	return store;
}

static void model_file(const struct model_id *id, const char *store, const char *name,
		       char path[512])
{
	char hex[ID_HEX_BYTES], inner[128];
	snprintf(inner, sizeof(inner), "%s/%s", id_hex(id->bytes, hex), name);
	path_in(path, store, inner);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	remove_tree(root);
	return 0;
}

static void flip_byte(const char *path, long from_end)
{
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
	const int byte = fgetc(file);
	assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
	fputc(byte ^ 1, file);
	fclose(file);
}

/* ---- steps that many tests take ---- */

static struct store_model upload(struct store *store, const char *name, const struct buf *file)
{
	struct fail fail = { 0 };
	struct store_model model;
	struct addition *addition = addition_upload(store, name, file->size, &fail);
	if (!addition)
		fail_msg("%s", fail.text);
	for (size_t at = 0; at < file->size; at += 300000) {
		const size_t size = file->size - at < 300000 ? file->size - at : 300000;
		assert_int_equal(addition_write(addition, file->data + at, size, &fail), 0);
	}
	if (addition_check(addition, &fail) != 0 || addition_finish(addition, &model, &fail) != 0)
		fail_msg("%s", fail.text);
	assert_true(addition_hashed(addition) > 0);
	addition_destroy(addition);
	return model;
}

/* Lets `to` know what `from` has. */
static void adopt(struct store *from, struct store *to, const struct model_id *id)
{
	struct buf manifest;
	struct fail fail = { 0 };
	buf_init(&manifest);
	assert_int_equal(store_manifest(from, id, &manifest, &fail), 0);
	assert_int_equal(manifest_size(manifest.data), manifest.size);
	if (store_adopt(to, id, manifest.data, manifest.size, &fail) != 0)
		fail_msg("%s", fail.text);
	buf_finish(&manifest);
}

static int fetch_chunk(struct store *from, struct store *to, const struct model_id *id,
		       uint32_t chunk, struct fail *fail)
{
	struct chunk_place place;
	uint8_t *bytes = malloc(MODEL_CHUNK_BYTES);
	assert_true(store_chunk(to, id, chunk, &place));
	assert_int_equal(store_read(from, id, place.offset, place.size, bytes, fail), 0);
	const int result = store_write(to, id, chunk, bytes, place.size, fail);
	free(bytes);
	return result;
}

/* Fetches all that is wanted; gives the number of chunks. */
static int fetch(struct store *from, struct store *to, const struct model_id *id,
		 const struct store_want *want)
{
	uint32_t chunks[8];
	int count = 0;
	int64_t missing;
	while ((missing = store_missing(to, id, want, chunks, 8)) > 0)
		for (int64_t i = 0; i < missing && i < 8; i++, count++) {
			struct fail fail = { 0 };
			if (fetch_chunk(from, to, id, chunks[i], &fail) != 0)
				fail_msg("%s", fail.text);
		}
	assert_int_equal(missing, 0);
	return count;
}

static const struct layer_range all_layers = { 0, LAYERS };
static const struct store_want want_all = { true, true, &all_layers, 1 };
static const struct store_want want_head = { true, true, NULL, 0 };

/* ---- adding ---- */

static void keeps_an_upload(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *store = open_store("a", 0);
	const struct store_model added = upload(store, "/home/ann/My Model.gguf", &file);
	assert_string_equal(added.name, "My-Model");
	assert_int_equal(added.kind, STORE_OWN);
	assert_true(added.metadata && added.whole);
	assert_int_equal(added.have_bytes, file.size);
	assert_int_equal(store_used(store), file.size);
	assert_int_equal(count_strays("a"), 0);
	store_close(store);

	store = open_store("a", 0);
	struct store_model models[2];
	assert_int_equal(store_list(store, models, 2), 1);
	assert_true(model_id_equal(&models[0].id, &added.id));
	assert_true(models[0].whole && models[0].metadata);
	char path[512];
	assert_int_equal(store_path(store, &added.id, path, sizeof(path), NULL), 0);
	struct buf stored;
	buf_init(&stored);
	assert_int_equal(file_read(path, 1u << 30, &stored, NULL), 0);
	assert_int_equal(stored.size, file.size);
	assert_memory_equal(stored.data, file.data, file.size);
	struct model *model = model_open(path, NULL);
	assert_non_null(model);
	model_close(model);
	buf_finish(&stored);
	buf_finish(&file);
	store_close(store);
}

static void finds_by_name_and_id(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *store = open_store("a", 0);
	struct model_id id;
	struct fail fail;
	assert_int_equal(store_find(store, "tiny", &id, &fail), -FAIL_NOT_FOUND);
	assert_non_null(strstr(fail.text, "it has none yet"));
	const struct store_model added = upload(store, "tiny.gguf", &file);
	char hex[ID_HEX_BYTES], brief[ID_TEXT_BYTES];
	const char *const names[] = { "tiny", "tiny.gguf", id_hex(added.id.bytes, hex),
				      id_text(added.id.bytes, brief) };
	for (size_t i = 0; i < 4; i++) {
		memset(&id, 0, sizeof(id));
		assert_int_equal(store_find(store, names[i], &id, &fail), 0);
		assert_true(model_id_equal(&id, &added.id));
	}
	assert_int_equal(store_find(store, "tin", &id, &fail), -FAIL_NOT_FOUND);
	assert_non_null(strstr(fail.text, "there are: tiny"));
	buf_finish(&file);
	store_close(store);
}

static void gives_facts(void **state)
{
	(void)state;
	struct buf file, encoded;
	make_file(&file, 1, 0);
	struct store *store = open_store("a", 0);
	const struct store_model added = upload(store, "tiny", &file);
	static struct model_facts facts, decoded;
	assert_int_equal(store_facts(store, &added.id, &facts, NULL), 0);
	assert_string_equal(facts.name, "tiny");
	assert_string_equal(facts.family, "llama");
	assert_int_equal(facts.n_layers, LAYERS);
	assert_int_equal(facts.n_vocab, VOCAB);
	assert_int_equal(facts.file_bytes, file.size);
	assert_int_equal(facts.embedding.bytes, EMBD * VOCAB * 4);
	assert_true(facts.tied);
	assert_int_equal(facts.output.bytes, EMBD * 4);
	assert_int_equal(facts.output.n_types, 1); /* the tied product */
	assert_int_equal(facts.output.types[0].weights, EMBD * VOCAB);
	assert_int_equal(facts.layers[1].n_types, 1);
	assert_int_equal(facts.layers[1].types[0].type, TENSOR_F16);
	assert_int_equal(facts.layers[1].types[0].weights, 7 * EMBD * EMBD);
	assert_int_equal(facts.layers[1].bytes, 7 * EMBD * EMBD * 2 + 2 * EMBD * 4);
	assert_int_equal(facts.kv_bytes[0], 4 * EMBD);
	buf_init(&encoded);
	facts_encode(&facts, &encoded);
	struct fail fail = { 0 };
	if (facts_decode(&decoded, encoded.data, encoded.size, &fail) != 0)
		fail_msg("%s", fail.text);
	assert_memory_equal(&facts, &decoded, sizeof(facts));
	buf_finish(&encoded);
	buf_finish(&file);
	store_close(store);
}

static void gives_each_content_its_name(void **state)
{
	(void)state;
	struct buf one, two;
	make_file(&one, 1, 0);
	make_file(&two, 2, 0);
	struct store *store = open_store("a", 0);
	const struct store_model first = upload(store, "tiny", &one);
	const struct store_model second = upload(store, "tiny", &two);
	assert_string_equal(second.name, "tiny-2");
	assert_false(model_id_equal(&first.id, &second.id));
	/* the same content under another name: nothing new */
	const struct store_model again = upload(store, "other", &one);
	assert_true(model_id_equal(&again.id, &first.id));
	assert_string_equal(again.name, "tiny");
	struct store_model models[4];
	assert_int_equal(store_list(store, models, 4), 2);
	assert_int_equal(store_used(store), one.size + two.size);
	assert_int_equal(count_strays("a"), 0);
	buf_finish(&one);
	buf_finish(&two);
	store_close(store);
}

static void refuses_bad_uploads(void **state)
{
	(void)state;
	struct buf file;
	struct fail fail;
	make_file(&file, 1, 0);
	struct store *store = open_store("a", 0);
	assert_null(addition_upload(store, "x", 0, &fail));
	/* fewer bytes than announced */
	struct addition *addition = addition_upload(store, "short", 1000, &fail);
	assert_int_equal(addition_write(addition, file.data, 400, &fail), 0);
	assert_int_equal(addition_check(addition, &fail), -FAIL_INVALID);
	assert_non_null(strstr(fail.text, "only 400 of the 1000 bytes of the model short"));
	struct store_model model;
	assert_int_equal(addition_finish(addition, &model, &fail), -FAIL_INVALID);
	/* more */
	assert_int_equal(addition_write(addition, file.data, 601, &fail), -FAIL_INVALID);
	addition_destroy(addition);
	/* cut short: the sentence names what was uploaded, not a path in the store */
	addition = addition_upload(store, "cut.gguf", file.size - 100, &fail);
	assert_int_equal(addition_write(addition, file.data, file.size - 100, &fail), 0);
	assert_int_equal(addition_check(addition, &fail), -FAIL_INVALID);
	assert_memory_equal(fail.text, "cut.gguf is cut short", 21);
	addition_destroy(addition);
	/* cancelled */
	addition = addition_upload(store, "slow", file.size, &fail);
	assert_int_equal(addition_write(addition, file.data, file.size, &fail), 0);
	addition_cancel(addition);
	assert_int_equal(addition_check(addition, &fail), -FAIL_CANCELLED);
	addition_destroy(addition);
	assert_int_equal(count_strays("a"), 0);
	assert_int_equal(store_used(store), 0);
	assert_int_equal(store_list(store, NULL, 0), 0);
	addition_destroy(NULL);
	buf_finish(&file);
	store_close(store);
	store_close(NULL);
}

static void cleans_up_after_a_crash(void **state)
{
	(void)state;
	char path[512];
	struct fail fail;
	store_close(open_store("a", 0));
	const pid_t child = fork();
	if (child == 0) {
		struct store *store = open_store("a", 0);
		struct addition *addition = addition_upload(store, "x", 100, &fail);
		_exit(addition && addition_write(addition, "abc", 3, &fail) == 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(count_strays("a"), 1);
	path_in(path, "a", "unrelated");
	assert_int_equal(mkdir(path, 0700), 0);
	struct store *store = open_store("a", 0);
	assert_int_equal(count_strays("a"), 0);
	assert_int_equal(access(path, F_OK), 0); /* what is not ours stays */
	/* and two daemons cannot share a store */
	char folder[512];
	path_in(folder, "a", NULL);
	assert_null(store_open(folder, 0, &fail));
	assert_int_equal(fail.code, FAIL_BUSY);
	store_close(store);
}

static void keeps_a_file_in_place(void **state)
{
	(void)state;
	struct buf file;
	char path[512], away[512], found[512];
	struct fail fail;
	make_file(&file, 1, 0);
	path_in(path, "in place.gguf", NULL);
	path_in(away, "away.gguf", NULL);
	assert_int_equal(file_replace(path, file.data, file.size, 0600, &fail), 0);
	struct store *store = open_store("a", 0);
	assert_null(addition_in_place(store, "/nonexistent.gguf", &fail));
	assert_non_null(strstr(fail.text, "/nonexistent.gguf"));
	struct addition *addition = addition_in_place(store, path, &fail);
	struct store_model model;
	assert_int_equal(addition_check(addition, &fail), 0);
	assert_int_equal(addition_finish(addition, &model, &fail), 0);
	addition_destroy(addition);
	assert_string_equal(model.name, "in-place");
	assert_int_equal(model.kind, STORE_IN_PLACE);
	assert_int_equal(store_used(store), 0);
	assert_int_equal(store_path(store, &model.id, found, sizeof(found), &fail), 0);
	assert_string_equal(found, path);
	store_close(store);

	/* away for a while: refused, but not forgotten */
	assert_int_equal(rename(path, away), 0);
	store = open_store("a", 0);
	assert_int_equal(store_path(store, &model.id, found, sizeof(found), &fail),
			 -FAIL_NOT_FOUND);
	assert_non_null(strstr(fail.text, path));
	assert_true(store_get(store, &model.id, &model));
	assert_false(model.metadata || model.whole);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(store_path(store, &model.id, found, sizeof(found), &fail), 0);
	assert_true(store_get(store, &model.id, &model) && model.metadata);

	/* changed: refused and forgotten, and the file is not touched */
	flip_byte(path, 5);
	uint8_t byte;
	assert_int_equal(store_read(store, &model.id, 0, 1, &byte, &fail), -FAIL_CORRUPT);
	assert_non_null(strstr(fail.text, "has changed since"));
	assert_false(store_get(store, &model.id, &model));
	assert_int_equal(access(path, F_OK), 0);
	buf_finish(&file);
	store_close(store);
}

/* ---- members ---- */

static void fetches_what_is_wanted(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 3u << 20); /* metadata of four chunks */
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	const struct model_id *id = &added.id;
	adopt(a, b, id);
	adopt(a, b, id); /* once more is nothing */
	static struct model_facts facts, theirs;
	struct fail fail;
	char path[512];
	assert_int_equal(store_facts(b, id, &facts, &fail), -FAIL_BUSY);
	assert_int_equal(store_path(b, id, path, sizeof(path), &fail), -FAIL_BUSY);

	/* the metadata alone */
	const struct store_want nothing = { 0 };
	assert_int_equal(store_missing(b, id, &want_all, NULL, 0), 4);
	assert_int_equal(fetch(a, b, id, &nothing), 4);
	assert_int_equal(store_facts(b, id, &facts, &fail), 0);
	assert_int_equal(store_facts(a, id, &theirs, &fail), 0);
	assert_memory_equal(&facts, &theirs, sizeof(facts));
	/* then one layer: nine tensors */
	const struct layer_range range = { 1, 2 };
	const struct store_want layer = { false, false, &range, 1 };
	assert_int_equal(fetch(a, b, id, &layer), 9);
	uint64_t done, total;
	assert_int_equal(store_progress(b, id, &layer, &done, &total), 0);
	assert_int_equal(done, total);
	assert_int_equal(total, facts.metadata_bytes + facts.layers[1].bytes);
	assert_int_equal(store_progress(b, id, &want_all, &done, &total), 0);
	assert_true(done < total);
	struct store_model model;
	assert_true(store_get(b, id, &model));
	assert_int_equal(model.kind, STORE_COPY);
	assert_false(model.whole);
	assert_int_equal(model.have_bytes, done);
	assert_int_equal(store_used(b), done);
	/* then the rest */
	assert_int_equal(fetch(a, b, id, &want_head), 3 + 1);
	assert_int_equal(fetch(a, b, id, &want_all), 9);
	assert_true(store_get(b, id, &model) && model.whole);
	assert_int_equal(store_path(b, id, path, sizeof(path), &fail), 0);
	struct model *opened = model_open(path, &fail);
	assert_non_null(opened);
	for (uint32_t i = 0; i < gguf_tensor_count(model_gguf(opened)); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(model_gguf(opened), i);
		struct buf stored;
		buf_init(&stored);
		assert_int_equal(file_read(path, 1u << 30, &stored, &fail), 0);
		assert_memory_equal(stored.data + tensor->offset, file.data + tensor->offset,
				    tensor->bytes);
		buf_finish(&stored);
	}
	model_close(opened);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

static void refuses_damaged_chunks(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	const struct model_id *id = &added.id;
	adopt(a, b, id);
	struct chunk_place place;
	struct fail fail;
	uint8_t *bytes = malloc(MODEL_CHUNK_BYTES);
	assert_true(store_chunk(b, id, 1, &place)); /* of the embedding table */
	assert_int_equal(place.size, MODEL_CHUNK_BYTES);
	assert_int_equal(store_read(a, id, place.offset, place.size, bytes, &fail), 0);
	bytes[77777] ^= 8;
	assert_int_equal(store_write(b, id, 1, bytes, place.size, &fail), -FAIL_CORRUPT);
	assert_non_null(strstr(fail.text, "token_embd.weight"));
	bytes[77777] ^= 8;
	assert_int_equal(store_write(b, id, 1, bytes, place.size - 1, &fail), -FAIL_CORRUPT);
	assert_int_equal(store_write(b, id, 2, bytes, place.size, &fail), -FAIL_CORRUPT);
	assert_int_equal(store_write(b, id, 100000, bytes, 1, &fail), -FAIL_INVALID);
	struct store_model model;
	assert_true(store_get(b, id, &model));
	assert_int_equal(model.have_bytes, 0);
	assert_int_equal(store_write(b, id, 1, bytes, place.size, &fail), 0);
	assert_true(store_get(b, id, &model));
	assert_int_equal(model.have_bytes, MODEL_CHUNK_BYTES);
	free(bytes);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

static void gives_verified_bytes_only(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	const struct model_id *id = &added.id;
	struct chunk_place head, first, second;
	struct fail fail;
	uint8_t *bytes = malloc(MODEL_CHUNK_BYTES + 1);
	adopt(a, b, id);
	assert_true(store_chunk(b, id, 0, &head));
	assert_true(store_chunk(b, id, 1, &first));
	assert_true(store_chunk(b, id, 2, &second));
	assert_int_equal(store_read(b, id, head.offset, head.size, bytes, &fail), -FAIL_NOT_FOUND);
	assert_int_equal(fetch_chunk(a, b, id, 1, &fail), 0);
	assert_int_equal(store_read(b, id, first.offset, first.size, bytes, &fail), 0);
	assert_memory_equal(bytes, file.data + first.offset, first.size);
	/* one byte into what is missing; across parts; nothing; too much; past the end */
	assert_int_equal(store_read(b, id, first.offset + 1, first.size, bytes, &fail),
			 -FAIL_NOT_FOUND);
	assert_int_equal(store_read(b, id, head.offset, 0, bytes, &fail), -FAIL_NOT_FOUND);
	assert_int_equal(store_read(a, id, first.offset - 1, 2, bytes, &fail), -FAIL_NOT_FOUND);
	assert_int_equal(store_read(a, id, first.offset, MODEL_CHUNK_BYTES + 1, bytes, &fail),
			 -FAIL_INVALID);
	assert_int_equal(store_read(a, id, file.size, 1, bytes, &fail), -FAIL_NOT_FOUND);
	assert_int_equal(store_read(a, id, UINT64_MAX, 1, bytes, &fail), -FAIL_NOT_FOUND);
	/* across chunks of one part is fine */
	assert_int_equal(store_read(a, id, second.offset - 10, 20, bytes, &fail), 0);
	assert_memory_equal(bytes, file.data + second.offset - 10, 20);
	const struct model_id other = { { 1 } };
	assert_int_equal(store_read(a, &other, 0, 1, bytes, &fail), -FAIL_NOT_FOUND);
	free(bytes);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

/* A process that fetches a part and dies; what it flushed is there afterwards, and right. */
static void resumes_after_a_restart(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0);
	const struct store_model added = upload(a, "tiny", &file);
	const struct model_id *id = &added.id;
	fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		struct fail fail;
		struct store *b = open_store("b", 0);
		adopt(a, b, id);
		const bool good = fetch_chunk(a, b, id, 0, &fail) == 0 &&
				  fetch_chunk(a, b, id, 1, &fail) == 0 &&
				  store_flush(b, id, &fail) == 0 &&
				  fetch_chunk(a, b, id, 2, &fail) == 0;
		_exit(good ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	struct store *b = open_store("b", 0);
	struct store_model model;
	uint32_t chunks[64];
	assert_true(store_get(b, id, &model) && model.metadata);
	assert_int_equal(store_missing(b, id, &want_all, chunks, 64), 3 + 1 + 18 - 1);
	assert_int_equal(chunks[0], 2);
	assert_int_equal(fetch(a, b, id, &want_all), 21);
	store_close(b); /* flushes */
	b = open_store("b", 0);
	assert_true(store_get(b, id, &model) && model.whole);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

static void refuses_manifests_that_lie(void **state)
{
	(void)state;
	struct buf file, manifest;
	struct fail fail;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	const struct model_id *id = &added.id;
	buf_init(&manifest);
	assert_int_equal(store_manifest(a, id, &manifest, &fail), 0);
	for (size_t size = 0; size < manifest.size; size++) {
		uint8_t *exact = malloc(size ? size : 1);
		memcpy(exact, manifest.data, size);
		assert_true(store_adopt(b, id, exact, size, &fail) < 0);
		free(exact);
	}
	const struct model_id other = { { 1 } };
	assert_int_equal(store_adopt(b, &other, manifest.data, manifest.size, &fail),
			 -FAIL_CORRUPT);
	assert_int_equal(store_list(b, NULL, 0), 0);

	/* The place of the last tensor is not covered by the id: 4096 bytes further the file would
	 * still be a good one, but its own table says otherwise. */
	const size_t tail = 2 * 8 + 32;
	uint8_t *place = manifest.data + manifest.size - tail;
	const uint64_t offset = load_u64le(place);
	assert_int_equal(offset + EMBD * EMBD * 2, file.size);
	store_u64le(place, offset + 4096);
	assert_true(store_adopt(b, id, manifest.data, manifest.size, &fail) < 0); /* past the end */
	const size_t name = 8 + 4 + 8;
	uint8_t *file_bytes = manifest.data + name + 1 + manifest.data[name];
	assert_int_equal(load_u64le(file_bytes), file.size);
	store_u64le(file_bytes, file.size + 4096);
	assert_int_equal(store_adopt(b, id, manifest.data, manifest.size, &fail), 0);
	assert_int_equal(fetch_chunk(a, b, id, 0, &fail), -FAIL_CORRUPT);
	assert_non_null(strstr(fail.text, "not the one its manifest describes"));
	assert_int_equal(store_list(b, NULL, 0), 0);
	assert_int_equal(count_strays("b"), 0);
	buf_finish(&manifest);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

struct writer {
	struct store *from, *to;
	const struct model_id *id;
	uint32_t first, step, end;
};

static void *write_chunks(void *context)
{
	const struct writer *writer = context;
	struct fail fail;
	for (uint32_t i = writer->first; i < writer->end; i += writer->step)
		if (fetch_chunk(writer->from, writer->to, writer->id, i, &fail) != 0)
			return context;
	return NULL;
}

static void admits_threads(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	adopt(a, b, &added.id);
	struct writer writers[3];
	pthread_t threads[3];
	for (uint32_t i = 0; i < 3; i++) {
		/* the third writes what the others write */
		writers[i] = (struct writer){ a, b, &added.id, i % 2, 2 - i / 2, 23 };
		pthread_create(&threads[i], NULL, write_chunks, &writers[i]);
	}
	struct store_model model;
	struct fail fail;
	uint64_t done, total;
	for (uint32_t i = 0; i < 50; i++) {
		assert_true(store_get(b, &added.id, &model));
		assert_int_equal(store_progress(b, &added.id, &want_all, &done, &total), 0);
		assert_int_equal(store_flush(b, &added.id, &fail), 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		void *result;
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_true(store_get(b, &added.id, &model) && model.whole);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

/* ---- room ---- */

static void keeps_to_its_limit(void **state)
{
	(void)state;
	struct buf file[4];
	struct store_model models[4];
	struct fail fail;
	struct store *a = open_store("a", 0);
	for (uint32_t i = 0; i < 4; i++) {
		char name[8];
		snprintf(name, sizeof(name), "m%u", i);
		make_file(&file[i], 10 + i, 0);
		models[i] = upload(a, name, &file[i]);
	}
	const uint64_t size = file[0].size;
	struct store *b = open_store("b", 3 * size + size / 2);
	assert_int_equal(store_limit(b), 3 * size + size / 2);
	for (uint32_t i = 0; i < 3; i++) {
		adopt(a, b, &models[i].id);
		assert_int_equal(store_make_room(b, &models[i].id, size, &fail), 0);
		fetch(a, b, &models[i].id, &want_all);
	}
	/* m1 was used last, m0 is in use: m2 goes */
	store_use(b, &models[2].id);
	store_unuse(b, &models[2].id);
	store_use(b, &models[1].id);
	store_unuse(b, &models[1].id);
	store_use(b, &models[0].id);
	assert_int_equal(store_make_room(b, &models[3].id, size, &fail), 0);
	struct store_model model;
	assert_true(store_get(b, &models[0].id, &model) && store_get(b, &models[1].id, &model));
	assert_false(store_get(b, &models[2].id, &model));
	assert_int_equal(count_strays("b"), 0);
	/* an upload pushes copies out, but is never pushed out; m0 stays since it is in use */
	const struct store_model own = upload(b, "own", &file[3]);
	assert_int_equal(own.kind, STORE_OWN);
	assert_int_equal(store_make_room(b, NULL, 2 * size, &fail), -FAIL_SPACE);
	assert_non_null(strstr(fail.text, "--store-limit"));
	assert_non_null(strstr(fail.text, "MiB"));
	assert_true(store_get(b, &models[1].id, &model)); /* in vain is not at all */
	assert_int_equal(store_make_room(b, NULL, size, &fail), 0);
	assert_false(store_get(b, &models[1].id, &model));
	assert_true(store_get(b, &models[0].id, &model) && store_get(b, &own.id, &model));
	assert_null(addition_upload(b, "huge", 2 * size, &fail));
	assert_int_equal(fail.code, FAIL_SPACE);
	/* what is on its way counts */
	struct addition *addition = addition_upload(b, "half", size, &fail);
	assert_non_null(addition);
	assert_null(addition_upload(b, "half", size, &fail));
	addition_destroy(addition);
	assert_int_equal(store_used(b), 2 * size);
	for (uint32_t i = 0; i < 4; i++)
		buf_finish(&file[i]);
	store_close(a);
	store_close(b);
}

/* An upload or a copy in place of a copy; a copy never in place of more. */
static void prefers_what_is_worth_more(void **state)
{
	(void)state;
	struct buf file, manifest;
	struct fail fail;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	adopt(a, b, &added.id);
	store_use(b, &added.id);
	const struct store_model own = upload(b, "tiny", &file);
	assert_int_equal(own.kind, STORE_OWN);
	assert_string_equal(own.name, "tiny");
	assert_int_equal(store_remove(b, &own.id, &fail), -FAIL_BUSY); /* still in use */
	buf_init(&manifest);
	assert_int_equal(store_manifest(a, &added.id, &manifest, &fail), 0);
	assert_int_equal(store_adopt(b, &added.id, manifest.data, manifest.size, &fail), 0);
	struct store_model model;
	assert_true(store_get(b, &added.id, &model));
	assert_int_equal(model.kind, STORE_OWN);
	assert_int_equal(store_used(b), file.size);
	buf_finish(&manifest);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

static void removes(void **state)
{
	(void)state;
	struct buf file;
	struct fail fail;
	make_file(&file, 1, 0);
	struct store *store = open_store("a", 0);
	const struct store_model added = upload(store, "tiny", &file);
	char path[512];
	model_file(&added.id, "a", "model.gguf", path);
	assert_int_equal(access(path, F_OK), 0);
	store_use(store, &added.id);
	assert_int_equal(store_remove(store, &added.id, &fail), -FAIL_BUSY);
	assert_non_null(strstr(fail.text, "tiny"));
	store_unuse(store, &added.id);
	assert_int_equal(store_remove(store, &added.id, &fail), 0);
	assert_int_equal(store_remove(store, &added.id, &fail), -FAIL_NOT_FOUND);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(count_strays("a"), 0);
	assert_int_equal(store_used(store), 0);
	buf_finish(&file);
	store_close(store);
}

/* ---- damage ---- */

static void survives_broken_state_files(void **state)
{
	(void)state;
	static const char *const names[] = { "record", "manifest" };
	struct buf file;
	make_file(&file, 1, 0);
	for (size_t i = 0; i < 2; i++) {
		struct store *store = open_store("a", 0);
		const struct store_model added = upload(store, "tiny", &file);
		store_close(store);
		char path[512], data[512];
		model_file(&added.id, "a", names[i], path);
		model_file(&added.id, "a", "model.gguf", data);
		flip_byte(path, 3);
		store = open_store("a", 0);
		assert_int_equal(store_list(store, NULL, 0), 0);
		assert_int_equal(access(data, F_OK), 0); /* nothing is deleted */
		/* adding it again mends it */
		const struct store_model again = upload(store, "tiny", &file);
		assert_true(again.whole);
		assert_int_equal(count_strays("a"), 0);
		store_close(store);
		store = open_store("a", 0);
		assert_int_equal(store_list(store, NULL, 0), 1);
		store_close(store);
	}
	buf_finish(&file);
}

static void fetches_again_when_the_bitmap_is_lost(void **state)
{
	(void)state;
	struct buf file;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("b", 0);
	const struct store_model added = upload(a, "tiny", &file);
	adopt(a, b, &added.id);
	fetch(a, b, &added.id, &want_all);
	store_close(b);
	char path[512];
	struct store_model model;
	for (int i = 0; i < 2; i++) {
		model_file(&added.id, "b", "have", path);
		if (i == 0)
			flip_byte(path, 1);
		else
			assert_int_equal(unlink(path), 0);
		b = open_store("b", 0);
		assert_true(store_get(b, &added.id, &model));
		assert_int_equal(model.have_bytes, 0);
		assert_int_equal(fetch(a, b, &added.id, &want_all), 23);
		store_close(b);
	}
	/* a file that someone cut is no copy any more */
	model_file(&added.id, "b", "model.gguf", path);
	assert_int_equal(truncate(path, 1000), 0);
	b = open_store("b", 0);
	assert_false(store_get(b, &added.id, &model));
	adopt(a, b, &added.id);
	fetch(a, b, &added.id, &want_all);
	assert_true(store_get(b, &added.id, &model) && model.whole);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

/* ---- a full disk: a small file system of its own, where that is allowed ---- */

static void fill(const char *folder)
{
	char path[600], block[4096] = { 0 };
	snprintf(path, sizeof(path), "%s/filler", folder);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	while (fwrite(block, 1, sizeof(block), file) == sizeof(block) && fflush(file) == 0)
		;
	fclose(file);
}

static void on_a_small_disk(const char *disk)
{
	struct buf file;
	struct fail fail;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("disk/b", 1u << 30);
	const struct store_model added = upload(a, "tiny", &file);
	assert_null(addition_upload(b, "big", 15u << 20, &fail));
	assert_int_equal(fail.code, FAIL_SPACE);
	assert_non_null(strstr(fail.text, "the disk of"));
	adopt(a, b, &added.id);
	struct addition *addition = addition_upload(b, "tiny", file.size, &fail);
	if (!addition)
		fail_msg("%s", fail.text);
	fill(disk); /* somebody else was faster */
	assert_int_equal(addition_write(addition, file.data, file.size, &fail), -FAIL_SPACE);
	assert_non_null(strstr(fail.text, "No space left"));
	assert_int_equal(fetch_chunk(a, b, &added.id, 1, &fail), -FAIL_SPACE);
	assert_non_null(strstr(fail.text, "model rm"));
	addition_destroy(addition);
	char path[600];
	snprintf(path, sizeof(path), "%s/filler", disk);
	assert_int_equal(unlink(path), 0);
	/* with room again everything goes on */
	assert_int_equal(fetch(a, b, &added.id, &want_all), 23);
	struct store_model model;
	assert_true(store_get(b, &added.id, &model) && model.whole);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

static void says_when_the_disk_is_full(void **state)
{
	(void)state;
	char disk[512];
	path_in(disk, "disk", NULL);
	assert_int_equal(mkdir(disk, 0700), 0);
	/* in a namespace of this process: nothing is left mounted, whatever happens */
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", disk, "tmpfs", 0, "size=16m") != 0)
		skip();
	on_a_small_disk(disk);
	assert_int_equal(umount2(disk, MNT_DETACH), 0);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(keeps_an_upload),
		STORE_TEST(finds_by_name_and_id),
		STORE_TEST(gives_facts),
		STORE_TEST(gives_each_content_its_name),
		STORE_TEST(refuses_bad_uploads),
		STORE_TEST(cleans_up_after_a_crash),
		STORE_TEST(keeps_a_file_in_place),
		STORE_TEST(fetches_what_is_wanted),
		STORE_TEST(refuses_damaged_chunks),
		STORE_TEST(gives_verified_bytes_only),
		STORE_TEST(resumes_after_a_restart),
		STORE_TEST(refuses_manifests_that_lie),
		STORE_TEST(admits_threads),
		STORE_TEST(keeps_to_its_limit),
		STORE_TEST(prefers_what_is_worth_more),
		STORE_TEST(removes),
		STORE_TEST(survives_broken_state_files),
		STORE_TEST(fetches_again_when_the_bitmap_is_lost),
		STORE_TEST(says_when_the_disk_is_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
