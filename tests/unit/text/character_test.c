/* The table of character classes against PCRE2's of its own Unicode, for every code point that its
 * Unicode knows. */
#include "compute/character.h"
#include "compute/utf8.h"
#include "patterns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CODES 0x110000u

/* All code points but surrogates, one after the other, and where each stands. */
struct characters {
	struct buf text;
	uint32_t *codes; /* of each byte of the text */
};

static void write_all(struct characters *all)
{
	buf_init(&all->text);
	all->codes = calloc(4 * CODES, sizeof(*all->codes));
	assert_non_null(all->codes);
	for (uint32_t code = 0; code < CODES; code++) {
		uint8_t bytes[4];
		if (code >= 0xd800 && code < 0xe000)
			continue;
		all->codes[all->text.size] = code;
		buf_append(&all->text, bytes, utf8_encode(code, bytes));
	}
	assert_false(all->text.failed);
}

/* Sets `bit` for each code point that matches. */
static void mark(const struct characters *all, const char *pattern, uint32_t bit, uint32_t *classes)
{
	pcre2_code *code = pattern_compile(pattern);
	pcre2_match_data *match = pcre2_match_data_create(1, NULL);
	assert_non_null(code);
	size_t at = 0;
	while (pcre2_match(code, all->text.data, all->text.size, at, PCRE2_NO_UTF_CHECK, match,
			   NULL) > 0) {
		const size_t *range = pcre2_get_ovector_pointer(match);
		for (at = range[0]; at < range[1]; at++) {
			if ((all->text.data[at] & 0xc0) != 0x80)
				classes[all->codes[at]] |= bit;
		}
	}
	pcre2_match_data_free(match);
	pcre2_code_free(code);
}

#define UNKNOWN (1u << 31)

static void classes_of_pcre2(void **state)
{
	static const struct {
		const char *pattern;
		uint32_t bit;
	} kinds[] = {
		{ "\\p{L}+", CHARACTER_LETTER },
		{ "\\p{N}+", CHARACTER_NUMBER },
		{ "\\p{P}+", CHARACTER_PUNCTUATION },
		{ "\\p{S}+", CHARACTER_SYMBOL },
		{ "\\p{M}+", CHARACTER_MARK },
		{ "[\\x09-\\x0d\\x{85}\\p{Z}]+", CHARACTER_SPACE },
		{ "[\\r\\n]+", CHARACTER_LINE },
		{ "[A-Z]+", CHARACTER_UPPER },
		{ "[a-z]+", CHARACTER_LOWER },
		{ "[0-9]+", CHARACTER_DIGIT },
		{ "[$+<=>^|~]+", CHARACTER_SIGN },
		{ "`", CHARACTER_TICK },
		{ "\\p{Cn}+", UNKNOWN },
	};
	struct characters all;
	write_all(&all);
	uint32_t *theirs = calloc(CODES, sizeof(*theirs));
	assert_non_null(theirs);
	uint32_t known = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		mark(&all, kinds[i].pattern, kinds[i].bit, theirs);
	for (uint32_t code = 0; code < CODES; code++) {
		const uint32_t ours = character_class(code) & ~(uint32_t)CHARACTER_CASED;
		const uint32_t other = theirs[code] == 0 ? CHARACTER_OTHER : 0;
		if (!(theirs[code] & UNKNOWN) && ours != (theirs[code] | other))
			fail_msg("U+%04X is %x, not %x", code, ours, theirs[code]);
		known += !(theirs[code] & UNKNOWN);
		if (code < 128)
			assert_int_equal(character_class(code), character_ascii[code]);
	}
	assert_in_range(known, 280000, CODES);
	free(theirs);
	free(all.codes);
	buf_finish(&all.text);
}

static void past_unicode(void **state)
{
	assert_int_equal(character_class(0x110000), CHARACTER_OTHER);
	assert_int_equal(character_class(UINT32_MAX), CHARACTER_OTHER);
	assert_int_equal(character_class(0xd800), CHARACTER_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_of_pcre2),
		cmocka_unit_test(past_unicode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
