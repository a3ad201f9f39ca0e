/* Words by rule: each rule of the table on texts that tell them apart. */
#include "compute/pretokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* `words` is the text with "|" between its words. */
static void check(const char *name, const char *words)
{
	struct fail fail = { 0 };
	struct pretokenizer *p = pretokenizer_create(name, strlen(name), &fail);
	assert_non_null(p);
	char text[256], got[512];
	size_t size = 0, at = 0;
	for (const char *c = words; *c; c++) {
		if (*c != '|')
			text[size++] = *c;
	}
	struct buf ends;
	buf_init(&ends);
	assert_int_equal(pretokenizer_split(p, (uint8_t *)text, (uint32_t)size, &ends, &fail), 0);
	uint32_t start = 0;
	for (size_t i = 0; i < ends.size / 4; i++) {
		const uint32_t end = ((uint32_t *)ends.data)[i];
		if (i > 0)
			got[at++] = '|';
		memcpy(got + at, text + start, end - start);
		at += end - start;
		start = end;
	}
	got[at] = 0;
	assert_string_equal(got, words);
	buf_finish(&ends);
	pretokenizer_destroy(p);
}

static void llama_bpe(void **state)
{
	check("llama-bpe", "");
	check("llama-bpe", "Hello| world|!|  | a");
	check("llama-bpe", "I|'ll| say|'S| it|'x");
	check("llama-bpe", "123|456|7| |12|.|5");
	check("llama-bpe", "a|  \n\n| | b|\t\t\n");
	check("llama-bpe", "x| ...\r\n\n| y");
	check("llama-bpe", "$abc|(def|)");
	check("llama-bpe", "\xe6\xbc\xa2\xe5\xad\x97|\xe3\x80\x82|\xe2\x85\xa7|a|\xcc\x81"
			   "b");
	check("llama-bpe", "\xc2\xa0"
			   "a|  \xe3\x80\x80");          /* other spaces than the ASCII ones */
	check("llama-bpe", "\xe1\xa0\x8e|\xe3\x80\x80"); /* U+180E is none */
	check("llama-bpe", "'\xc5\xbf");                 /* a long s is no s */
}

static void others(void **state)
{
	check("smaug-bpe", "123|4| x");
	check("qwen2", "1|2|3|'LL| x");
	check("gpt-2", "123| 45| ab|'ll|'|LL|  \n| x| !?");
	check("starcoder", "a|1|2| |3| b");
}

static void same_names(void **state)
{
	static const char *const names[] = { "llama3", "llama-v3", "llama-bpe", "lfm2" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct pretokenizer *p = pretokenizer_create(names[i], strlen(names[i]), NULL);
		assert_non_null(p);
		assert_true(pretokenizer_ignores_merges(p));
		assert_true(pretokenizer_adds_bos(p));
		pretokenizer_destroy(p);
	}
	struct fail fail = { 0 };
	assert_null(pretokenizer_create("llama", 5, &fail));
	assert_int_equal(fail.code, FAIL_UNSUPPORTED);
	assert_non_null(strstr(fail.text, "\"llama\""));
	pretokenizer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(llama_bpe),
		cmocka_unit_test(others),
		cmocka_unit_test(same_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
