#include "store_steps.h"

#include <pthread.h>
#include <sys/wait.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(fetches_what_is_wanted),     STORE_TEST(refuses_damaged_chunks),
		STORE_TEST(gives_verified_bytes_only),  STORE_TEST(resumes_after_a_restart),
		STORE_TEST(refuses_manifests_that_lie), STORE_TEST(admits_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
