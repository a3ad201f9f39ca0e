/* Words by rule: each pre-tokenizer on texts that tell them apart, and all of them against regular
 * expressions (patterns.h) on random texts. */
#include "compute/pretokenizer.h"
#include "compute/utf8.h"
#include "patterns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct pretokenizer open_rules(const char *name)
{
	struct pretokenizer p;
	struct fail fail = { 0 };
	if (pretokenizer_init(&p, name, name ? strlen(name) : 0, &fail) < 0)
		fail_msg("%s: %s", name, fail.text);
	return p;
}

/* `words` is the text with "|" between its words. */
static void check(const char *name, const char *words)
{
	const struct pretokenizer p = open_rules(name);
	char text[256], got[512];
	size_t size = 0, at = 0;
	for (const char *c = words; *c; c++) {
		if (*c != '|')
			text[size++] = *c;
	}
	struct buf ends;
	buf_init(&ends);
	assert_true(pretokenizer_split(&p, (uint8_t *)text, 0, (uint32_t)size, &ends));
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
	check("llama-bpe", "x|\xed\xa0\x80");            /* a surrogate */
}

static void others(void **state)
{
	check("smaug-bpe", "123|4| x");
	check("qwen2", "1|2|3|'LL| x");
	check("qwen35", "e\xcc\x81"
			"a|1|'ll|!");
	check("gpt-2", "123| 45| ab|'ll|'|LL|  \n| x| !?");
	check("starcoder", "a|1|2| |3| b");
	check("falcon", "it|'|s| |(|123|45|)`|x");
	check(NULL, "it|'|s| |123|45|`|x");
	check("tekken", "Hello|World| HTTPServer|ABCabc|1|2|?/\n/|a");
	check("gpt-4o", "Don't|Stop's|HELLO's|123|4|./| x");
	check("deepseek-llm", " abc|\n|\n| |\xe6\xbc\xa2\xe5\xad\x97|12345|!?|  ");
	check("deepseek-coder", " abc|\n| !|\xe6\xbc\xa2|1|2|$");
	check("deepseek-v3", "123|4|\xe6\xbc\xa2\xe3\x81\x82|.abc| ??\n|  | x|\x01\x02");
	check("gemma4", "a b|\n\n|c");
}

/* ---- against regular expressions ---- */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* Characters whose classes are the same in every Unicode that a PCRE2 of today may have. */
static uint32_t random_character(uint64_t *random)
{
	static const uint32_t ranges[][2] = {
		{ 0x1, 0x7f },       { 0x80, 0x2af },    { 0x300, 0x36f },   { 0x391, 0x3a1 },
		{ 0x410, 0x44f },    { 0x5d0, 0x5ea },   { 0x627, 0x669 },   { 0x905, 0x94d },
		{ 0xe01, 0xe3a },    { 0x1e00, 0x1eff }, { 0x2000, 0x206f }, { 0x20a0, 0x20bf },
		{ 0x2150, 0x218b },  { 0x2460, 0x24ff }, { 0x3000, 0x30ff }, { 0x4e00, 0x9fa5 },
		{ 0xac00, 0xd7a3 },  { 0xe000, 0xe010 }, { 0xff01, 0xff5e }, { 0x1f300, 0x1f64f },
		{ 0x1680, 0x1680 },  { 0x180e, 0x180e }, { 0x20, 0x20 },     { 0x9, 0xd },
		{ 0xe0100, 0xe01ef }
	};
	const uint32_t *range = ranges[next_random(random) % (sizeof(ranges) / sizeof(ranges[0]))];
	return range[0] + next_random(random) % (range[1] - range[0] + 1);
}

/* Runs of few characters: what stands beside what is what rules differ in. */
static uint32_t random_text(uint64_t *random, uint8_t *text)
{
	static const char *const parts[] = { " ",    "  ",  "\n", "\r\n",     "'",       "'s",
					     "'LL",  "'re", "a",  "Z",        "1",       "12",
					     "3456", ".",   "/",  "$",        "`",       "\t",
					     "\n ",  "ab",  "AB", "\xcc\x81", "\xc2\x85" };
	uint32_t size = 0;
	for (uint32_t i = next_random(random) % 24; i > 0; i--) {
		uint8_t one[4];
		if (next_random(random) % 3 == 0) {
			const size_t length = utf8_encode(random_character(random), one);
			memcpy(text + size, one, length);
			size += (uint32_t)length;
			continue;
		}
		const char *part = parts[next_random(random) % (sizeof(parts) / sizeof(parts[0]))];
		memcpy(text + size, part, strlen(part));
		size += (uint32_t)strlen(part);
	}
	return size;
}

static void compare(const struct patterns *patterns, uint64_t *random)
{
	const struct pretokenizer p = open_rules(patterns->name);
	pcre2_code *codes[8] = { 0 };
	for (size_t i = 0; i < 7 && patterns->patterns[i]; i++) {
		codes[i] = pattern_compile(patterns->patterns[i]);
		assert_non_null(codes[i]);
	}
	struct buf ours, theirs;
	buf_init(&ours);
	buf_init(&theirs);
	for (int i = 0; i < 3000; i++) {
		uint8_t text[256];
		const uint32_t size = random_text(random, text);
		buf_clear(&ours);
		buf_clear(&theirs);
		assert_true(pretokenizer_split(&p, text, 0, size, &ours));
		pattern_split(codes, text, size, &theirs);
		if (size > 0 &&
		    (ours.size != theirs.size || memcmp(ours.data, theirs.data, ours.size) != 0)) {
			for (uint32_t j = 0; j < size; j++)
				print_message("\\x%02x", text[j]);
			fail_msg(" is cut otherwise by %s", patterns->name);
		}
	}
	buf_finish(&ours);
	buf_finish(&theirs);
	for (size_t i = 0; codes[i]; i++)
		pcre2_code_free(codes[i]);
}

static void same_as_patterns(void **state)
{
	uint64_t random = 1;
	for (size_t i = 0; i < ALL_PATTERNS; i++)
		compare(&all_patterns[i], &random);
}

/* ---- names ---- */

static void same_names(void **state)
{
	static const char *const names[] = { "llama3", "llama-v3", "llama-bpe", "lfm2", "tekken" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct pretokenizer p = open_rules(names[i]);
		assert_true(p.ignores_merges);
		assert_true(p.adds_bos);
		assert_false(p.raw);
	}
	assert_true(open_rules("gemma4").raw);
	assert_false(open_rules("gpt-2").ignores_merges);
	struct pretokenizer p;
	struct fail fail = { 0 };
	assert_int_equal(pretokenizer_init(&p, "llama", 5, &fail), -FAIL_UNSUPPORTED);
	assert_int_equal(fail.code, FAIL_UNSUPPORTED);
	assert_non_null(strstr(fail.text, "\"llama\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(llama_bpe),
		cmocka_unit_test(others),
		cmocka_unit_test(same_as_patterns),
		cmocka_unit_test(same_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
