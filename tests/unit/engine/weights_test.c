/* Loading from files as they are met: sparse, cut short, gone, with numbers nobody can compute.
 * weights_test MODEL FOLDER (the model has rope_freqs) ODD (its heads are 12 wide) */
#include "compute/compute.h"
#include "tests/tools/drive.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N_ROWS 5u

static const char *source, *odd;
static char copy[4096];

struct fixture {
	struct account account;
	struct backend *backend;
	struct model *model; /* of the copy */
};

static void write_range(int to, int from, uint64_t first, uint64_t end)
{
	uint8_t bytes[4096];
	for (uint64_t at = first; at < end;) {
		const size_t left = end - at < sizeof(bytes) ? (size_t)(end - at) : sizeof(bytes);
		const ssize_t got = pread(from, bytes, left, (off_t)at);
		assert_true(got > 0);
		assert_int_equal(pwrite(to, bytes, (size_t)got, (off_t)at), got);
		at += (uint64_t)got;
	}
}

/* The metadata, and the tensors of these layers; holes elsewhere. */
static void copy_layers(const struct model *model, uint32_t first, uint32_t end)
{
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	const int from = open(source, O_RDONLY), to = open(copy, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(from >= 0 && to >= 0);
	write_range(to, from, 0, gguf_data_offset(model_gguf(model)));
	for (uint32_t i = first; i < end; i++) {
		const uint32_t n = model_unit_tensors(model, UNIT_LAYER, i, tensors);
		for (uint32_t j = 0; j < n; j++)
			write_range(to, from, tensors[j]->offset,
				    tensors[j]->offset + tensors[j]->bytes);
	}
	assert_int_equal(ftruncate(to, (off_t)gguf_file_size(model_gguf(model))), 0);
	close(from);
	close(to);
}

static struct model *open_model(const char *path)
{
	struct fail fail = { 0 };
	struct model *model = model_open(path, &fail);
	if (!model)
		fail_msg("%s", fail.text);
	return model;
}

static int set_up(void **given)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct model *whole = open_model(source);
	const struct backend_config config = { .threads = 2, .account = &f->account };
	account_init(&f->account, 1u << 30);
	f->backend = backend_cpu_create(&config, NULL);
	assert_non_null(f->backend);
	copy_layers(whole, 0, model_shape(whole)->n_layers);
	model_close(whole);
	f->model = open_model(copy);
	*given = f;
	return 0;
}

static int tear_down(void **given)
{
	struct fixture *f = *given;
	model_close(f->model);
	backend_destroy(f->backend);
	assert_int_equal(atomic_load(&f->account.used_bytes), 0);
	unlink(copy);
	free(f);
	return 0;
}

static struct slice *make_slice(struct fixture *f, const struct model *model, uint32_t first,
				uint32_t end, struct fail *fail)
{
	const struct layer_range range = { first, end };
	const struct slice_config config = {
		.ranges = &range, .n_ranges = 1, .kv_positions = 64, .rows_max = N_ROWS
	};
	return slice_create(f->backend, model, &config, fail);
}

static void run_layer(struct slice *slice, uint32_t layer, uint32_t n_embd, float *hidden)
{
	struct work_row rows[N_ROWS];
	for (uint32_t i = 0; i < N_ROWS; i++) {
		rows[i] = (struct work_row){ .sequence = 1, .position = i };
		for (uint32_t j = 0; j < n_embd; j++)
			hidden[i * n_embd + j] = (float)((i * 31 + j * 17) % 101) / 50.0f - 1.0f;
	}
	assert_int_equal(drive_sequence(slice, WORK_OPEN, 1, 0, 0), FAIL_NONE);
	assert_int_equal(drive_layers(slice, layer, layer + 1, rows, N_ROWS, hidden), FAIL_NONE);
}

static void test_a_sparse_file_serves_what_it_has(void **given)
{
	struct fixture *f = *given;
	struct model *whole = open_model(source);
	const uint32_t n_embd = model_shape(whole)->n_embd;
	const size_t size = (size_t)N_ROWS * n_embd * sizeof(float);
	float *expected = calloc(1, size), *got = calloc(1, size);
	struct slice *slice = make_slice(f, whole, 1, 2, NULL);
	assert_non_null(slice);
	run_layer(slice, 1, n_embd, expected);
	slice_destroy(slice);
	copy_layers(whole, 1, 2);
	struct model *sparse = open_model(copy);
	slice = make_slice(f, sparse, 1, 2, NULL);
	assert_non_null(slice);
	run_layer(slice, 1, n_embd, got);
	assert_memory_equal(got, expected, size);
	slice_destroy(slice);
	model_close(sparse);
	model_close(whole);
	free(expected);
	free(got);
}

struct progress {
	uint64_t done, total, calls;
};

static void count_progress(void *context, uint64_t done, uint64_t total)
{
	struct progress *progress = context;
	assert_true(done > progress->done && done <= total);
	*progress = (struct progress){ done, total, progress->calls + 1 };
}

static void test_progress_ends_at_the_whole(void **given)
{
	struct fixture *f = *given;
	const struct layer_range range = { 0, 1 };
	struct progress progress = { 0 };
	const struct slice_config config = {
		.ranges = &range,
		.n_ranges = 1,
		.kv_positions = 64,
		.rows_max = 1,
		.progress = count_progress,
		.progress_context = &progress,
	};
	struct slice *slice = slice_create(f->backend, f->model, &config, NULL);
	assert_non_null(slice);
	assert_true(progress.calls > 0 && progress.done == progress.total);
	assert_true(progress.total >= slice_weight_bytes(f->model, &config));
	slice_destroy(slice);
}

static void assert_refused(struct fixture *f, const struct model *model, enum fail_code code,
			   const char *word)
{
	struct fail fail = { 0 };
	assert_null(make_slice(f, model, 0, 1, &fail));
	assert_int_equal(fail.code, code);
	if (!strstr(fail.text, word))
		fail_msg("'%s' does not name '%s'", fail.text, word);
	assert_int_equal(atomic_load(&f->account.used_bytes), 0);
}

static void test_a_file_cut_short_is_refused(void **given)
{
	struct fixture *f = *given;
	assert_int_equal(truncate(copy, (off_t)gguf_file_size(model_gguf(f->model)) - 1), 0);
	assert_refused(f, f->model, FAIL_CORRUPT, copy);
}

static void cut_off(void *context, uint64_t done, uint64_t total)
{
	const struct model *model = context;
	(void)done, (void)total;
	assert_int_equal(truncate(copy, (off_t)gguf_data_offset(model_gguf(model))), 0);
}

/* Two maps: the second one's bytes are gone when they are asked for. */
static void test_a_file_cut_short_while_it_loads_is_refused(void **given)
{
	struct fixture *f = *given;
	struct fail fail = { 0 };
	const struct layer_range ranges[] = { { 0, 1 }, { 3, 4 } };
	const struct slice_config config = {
		.ranges = ranges,
		.n_ranges = 2,
		.kv_positions = 64,
		.rows_max = 1,
		.progress = cut_off,
		.progress_context = f->model,
	};
	assert_null(slice_create(f->backend, f->model, &config, &fail));
	assert_int_equal(fail.code, FAIL_CORRUPT);
	assert_non_null(strstr(fail.text, copy));
	assert_non_null(strstr(fail.text, "became shorter"));
	assert_int_equal(atomic_load(&f->account.used_bytes), 0);
}

static void cut_one_byte(void *context, uint64_t done, uint64_t total)
{
	const struct model *model = context;
	if (done == total)
		assert_int_equal(truncate(copy, (off_t)gguf_file_size(model_gguf(model)) - 1), 0);
}

/* A map shows zeros for it, and nothing fails. */
static void test_a_lost_last_byte_is_noticed(void **given)
{
	struct fixture *f = *given;
	struct fail fail = { 0 };
	const struct layer_range range = { 0, 1 };
	const struct slice_config config = {
		.ranges = &range,
		.n_ranges = 1,
		.kv_positions = 64,
		.rows_max = 1,
		.progress = cut_one_byte,
		.progress_context = f->model,
	};
	assert_null(slice_create(f->backend, f->model, &config, &fail));
	assert_int_equal(fail.code, FAIL_CORRUPT);
	assert_non_null(strstr(fail.text, copy));
}

static void test_a_file_that_is_gone_is_refused(void **given)
{
	struct fixture *f = *given;
	assert_int_equal(unlink(copy), 0);
	assert_refused(f, f->model, FAIL_NOT_FOUND, copy);
}

static void test_metadata_alone_cannot_load(void **given)
{
	struct fixture *f = *given;
	const struct gguf *gguf = model_gguf(f->model);
	struct model *bare = model_parse(gguf_metadata(gguf), (size_t)gguf_data_offset(gguf),
					 gguf_file_size(gguf), NULL);
	assert_non_null(bare);
	assert_refused(f, bare, FAIL_INVALID, "metadata");
	model_close(bare);
}

static void put_factor(const struct model *model, const void *bytes)
{
	const struct gguf_tensor *tensor = gguf_tensor_find(model_gguf(model), "rope_freqs.weight");
	const int fd = open(copy, O_WRONLY);
	assert_non_null(tensor);
	assert_int_equal(pwrite(fd, bytes, sizeof(float), (off_t)tensor->offset), sizeof(float));
	close(fd);
}

static void test_angles_out_of_range_are_refused(void **given)
{
	struct fixture *f = *given;
	const float bad[] = { 0.0f, -1.0f, 1e-30f, __builtin_nanf("") };
	const float good = 2.0f;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_factor(f->model, &bad[i]);
		assert_refused(f, f->model, FAIL_UNSUPPORTED, "RoPE");
	}
	put_factor(f->model, &good);
	struct slice *slice = make_slice(f, f->model, 0, 1, NULL);
	assert_non_null(slice);
	slice_destroy(slice);
}

static void test_odd_heads_are_refused(void **given)
{
	struct fixture *f = *given;
	struct model *model = open_model(odd);
	assert_refused(f, model, FAIL_UNSUPPORTED, "heads of width 12");
	model_close(model);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_sparse_file_serves_what_it_has, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_progress_ends_at_the_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_file_cut_short_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_file_cut_short_while_it_loads_is_refused,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_lost_last_byte_is_noticed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_gone_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_metadata_alone_cannot_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_angles_out_of_range_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_odd_heads_are_refused, set_up, tear_down),
	};
	if (argc != 4)
		return 2;
	source = argv[1];
	odd = argv[3];
	snprintf(copy, sizeof(copy), "%s/weights-%d.gguf", argv[2], (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
