/* The setting kv-cache: a type for all models, and for some by name. */
#include "daemon/kv_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void a_model_may_have_its_own(void **state)
{
	static const struct {
		const char *text, *model;
		enum kv_type type;
	} rows[] = {
		{ "", "m", KV_TYPE_F16 },
		{ "q8_0", "m", KV_TYPE_Q8_0 },
		{ "f32, m:q8_0", "m", KV_TYPE_Q8_0 },
		{ "f32, m:q8_0", "n", KV_TYPE_F32 },
		{ "m:q8_0", "n", KV_TYPE_F16 },
		{ " m : q8_0 , f32 ", "m", KV_TYPE_Q8_0 },
		{ " m : q8_0 , f32 ", "mm", KV_TYPE_F32 },
		{ "a:b:f32,a:q8_0", "a:b", KV_TYPE_F32 },
		{ "a:b:f32,a:q8_0", "a", KV_TYPE_Q8_0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(kv_choice_check(rows[i].text[0] ? rows[i].text : "f16", NULL), 0);
		assert_int_equal(kv_choice_of(rows[i].text, rows[i].model), rows[i].type);
	}
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *text, *fragment;
	} rows[] = {
		{ "", "neither" },
		{ "q4_0", "\"q4_0\" is neither" },
		{ "f16,", "neither" },
		{ "m:", "neither" },
		{ ":f16", "neither" },
		{ "f16, m:q8", "\" m:q8\" is neither" },
		{ "f16, q8_0", "for all models has two" },
		{ "m:f16, f32, m:q8_0", "m has two types" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fail fail = { 0 };
		assert_int_equal(kv_choice_check(rows[i].text, &fail), -FAIL_INVALID);
		if (!strstr(fail.text, rows[i].fragment))
			fail_msg("'%s' does not say '%s'", fail.text, rows[i].fragment);
	}
	char name[300];
	memset(name, 'n', sizeof(name));
	memcpy(name + 290, ":f16", 5);
	assert_int_equal(kv_choice_check(name, NULL), -FAIL_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_model_may_have_its_own),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
