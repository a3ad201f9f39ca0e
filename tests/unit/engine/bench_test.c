/* Measurements give sane numbers, say why when they cannot, and leave nothing behind. */
#include "compute/compute.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct account account;
	struct backend *backend;
};

static int set_up(void **given)
{
	struct fixture *f = calloc(1, sizeof(*f));
	account_init(&f->account, 1u << 30);
	const struct backend_config config = { .threads = 2, .account = &f->account };
	f->backend = backend_cpu_create(&config, NULL);
	assert_non_null(f->backend);
	*given = f;
	return 0;
}

static int tear_down(void **given)
{
	struct fixture *f = *given;
	backend_destroy(f->backend);
	assert_int_equal(atomic_load(&f->account.used_bytes), 0);
	free(f);
	return 0;
}

static void test_products(void **given)
{
	struct fixture *f = *given;
	for (uint32_t type = 0; type < TENSOR_TYPES_END; type++) {
		const double rate = bench_product(f->backend, type, 64, 512, 2, 1);
		if (tensor_type_supported(type))
			assert_true(rate > 1e5 && rate < 1e14);
		else
			assert_true(rate == 0);
	}
	assert_true(bench_product(f->backend, TENSOR_Q4_K, 64, 255, 1, 1) == 0);
	assert_true(bench_product(f->backend, TENSOR_F32, 0, 64, 1, 1) == 0);
}

static void test_little_memory(void **given)
{
	struct fixture *f = *given;
	atomic_store(&f->account.limit_bytes, 1u << 20); /* fewer copies */
	assert_true(bench_product(f->backend, TENSOR_Q8_0, 64, 512, 1, 1) > 0);
	atomic_store(&f->account.limit_bytes, 100);
	assert_true(bench_product(f->backend, TENSOR_Q8_0, 64, 512, 1, 1) == 0);
	assert_true(bench_attention(f->backend, 64, 1) == 0);
	assert_true(bench_layer_overhead(f->backend, 640, 1) == 0);
}

static void test_layers(void **given)
{
	struct fixture *f = *given;
	const double overhead = bench_layer_overhead(f->backend, 640, 1);
	assert_true(overhead > 0 && overhead < 1);
	assert_true(bench_layer_overhead(f->backend, 7, 1) > 0);
	assert_true(bench_attention(f->backend, 64, 1) > 1e4);
	assert_true(bench_attention(f->backend, 256, 1) > 1e4);
	assert_true(bench_attention(f->backend, 100000, 1) == 0);
}

static uint32_t count_files(const char *folder)
{
	uint32_t count = 0;
	DIR *dir = opendir(folder);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void test_disk(void **given)
{
	char folder[] = "/tmp/primad-bench-XXXXXX";
	struct fail fail = { 0 };
	assert_non_null(mkdtemp(folder));
	const double rate = bench_disk(folder, 10, &fail);
	assert_true(rate > 0 || fail.code == FAIL_SPACE);
	assert_int_equal(count_files(folder), 0);
	rmdir(folder);
	assert_true(bench_disk(folder, 10, &fail) == 0);
	assert_true(fail.code != FAIL_NONE && strstr(fail.text, folder));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_products, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_little_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_layers, set_up, tear_down),
		cmocka_unit_test(test_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
