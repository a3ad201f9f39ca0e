#include "store_steps.h"

#include <sys/wait.h>

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
	assert_int_equal(facts.kv_windows[0], 0);
	assert_true(facts.kv_types & 1u << KV_TYPE_F16);
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
		STORE_TEST(keeps_to_its_limit),
		STORE_TEST(prefers_what_is_worth_more),
		STORE_TEST(removes),
		STORE_TEST(survives_broken_state_files),
		STORE_TEST(fetches_again_when_the_bitmap_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
