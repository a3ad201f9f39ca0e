/* The choice of kernels. */
#include "compute/cpu/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* From the slowest to the fastest. A machine need not have all. */
static const char *const names[] = { "c", "avx2", "avxvnni", "avx512", "neon", "i8mm" };

static void forced(void **unused)
{
	const struct kernels *c = kernels_select("c", NULL);
	assert_non_null(c);
	assert_string_equal(c->name, "c");
	assert_ptr_equal(c, kernels_select("c", NULL));
}

static void fastest_when_not_forced(void **unused)
{
	const struct kernels *best = NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct kernels *kernels = kernels_select(names[i], NULL);
		best = kernels ? kernels : best;
	}
	assert_ptr_equal(kernels_select(NULL, NULL), best);
}

static void unknown_is_refused_by_name(void **unused)
{
	struct fail fail;
	assert_null(kernels_select("mmx", &fail));
	assert_int_equal(fail.code, FAIL_NOT_FOUND);
	assert_non_null(strstr(fail.text, "mmx"));
}

/* Every entry of every table is there. */
static void tables_are_whole(void **unused)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct kernels *kernels = kernels_select(names[i], NULL);
		if (!kernels)
			continue;
		const void *entries[sizeof(*kernels) / sizeof(void *)];
		memcpy(entries, kernels, sizeof(*kernels));
		for (size_t k = 0; k < sizeof(entries) / sizeof(entries[0]); k++)
			assert_non_null(entries[k]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(forced),
		cmocka_unit_test(fastest_when_not_forced),
		cmocka_unit_test(unknown_is_refused_by_name),
		cmocka_unit_test(tables_are_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
