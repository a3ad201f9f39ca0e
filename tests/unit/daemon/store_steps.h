/* store_steps.h: what the tests of the store share: small models, stores in a temporary folder, and
 * the steps that many tests take. */
#ifndef TESTS_STORE_STEPS_H
#define TESTS_STORE_STEPS_H

#include "../engine/gguf_build.h"
#include "base/file.h"
#include "daemon/store.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- small models: two layers, an embedding table of 2.5 chunks ---- */

#define EMBD   256
#define VOCAB  2560
#define LAYERS 2

static inline void add_layer(struct gguf_build *build, uint32_t layer)
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
static inline void make_file(struct buf *file, uint32_t seed, uint32_t padding)
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

static inline void path_in(char path[512], const char *a, const char *b)
{
	snprintf(path, 512, "%s/%s%s%s", root, a, b ? "/" : "", b ? b : "");
}

static inline void remove_tree(const char *path)
{
	DIR *folder = opendir(path);
	if (folder) {
		for (struct dirent *item; (item = readdir(folder));) {
			char inner[1024];
			if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 &&
			    file_join(inner, sizeof(inner), path, item->d_name))
				remove_tree(inner);
		}
		closedir(folder);
	}
	remove(path);
}

/* Folders that are neither a model's nor the lock. */
static inline int count_strays(const char *store)
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

static inline struct store *open_store(const char *name, uint64_t limit)
{
	char path[512];
	struct fail fail = { 0 };
	path_in(path, name, NULL);
	struct store *store = store_open(path, limit, &fail);
	if (!store)
		fail_msg("%s", fail.text);
	return store;
}

static inline void model_file(const struct model_id *id, const char *store, const char *name,
			      char path[512])
{
	char hex[ID_HEX_BYTES], inner[128];
	snprintf(inner, sizeof(inner), "%s/%s", id_hex(id->bytes, hex), name);
	path_in(path, store, inner);
}

static inline int make_root(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static inline int remove_root(void **state)
{
	(void)state;
	remove_tree(root);
	return 0;
}

static inline void flip_byte(const char *path, long from_end)
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

static inline struct store_model upload(struct store *store, const char *name,
					const struct buf *file)
{
	struct fail fail = { 0 };
	struct store_model model = { 0 };
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
static inline void adopt(struct store *from, struct store *to, const struct model_id *id)
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

static inline int fetch_chunk(struct store *from, struct store *to, const struct model_id *id,
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
static inline int fetch(struct store *from, struct store *to, const struct model_id *id,
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

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

#endif
