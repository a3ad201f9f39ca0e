/* Characters well formed and not: every lead byte, every border of the code space. */
#include "compute/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_character(void **state)
{
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		uint8_t bytes[4];
		uint32_t back;
		const size_t length = utf8_encode(c, bytes);
		assert_int_equal(length, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
		assert_int_equal(utf8_decode_loose(bytes, length, &back), length);
		assert_int_equal(back, c);
		const bool surrogate = c >= 0xd800 && c < 0xe000;
		assert_int_equal(utf8_scan(bytes, length), surrogate ? -1 : (int)length);
		for (size_t cut = 1; cut < length && !surrogate; cut++)
			assert_int_equal(utf8_scan(bytes, cut), 0);
	}
}

/* Table 3-8 of the Unicode standard and its neighbours: how much one U+FFFD replaces. */
static void maximal_subparts(void **state)
{
	static const struct {
		const char *bytes;
		int found;
	} cases[] = {
		{ "\x80", -1 },
		{ "\xbf", -1 },
		{ "\xc0\xaf", -1 },
		{ "\xc1\xbf", -1 },
		{ "\xe0\x80\xbf", -1 },
		{ "\xe0\x9f\xbf", -1 },
		{ "\xe0\xa0\x41", -2 },
		{ "\xed\xa0\x80", -1 },
		{ "\xf0\x8f\xbf\xbf", -1 },
		{ "\xf0\x90\x80\x41", -3 },
		{ "\xf4\x90\x80\x80", -1 },
		{ "\xf5\x80\x80\x80", -1 },
		{ "\xff", -1 },
		{ "\xe1\x80\xe2", -2 },
		{ "\xf1\x80\x80\xe1", -3 },
		{ "\xc2\x41", -1 },
		{ "\xc2\x80", 2 },
		{ "\xf4\x8f\xbf\xbf", 4 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(utf8_scan((const uint8_t *)cases[i].bytes, strlen(cases[i].bytes)),
				 cases[i].found);
}

static void loose_reading(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		uint32_t character;
	} cases[] = {
		{ "\xc1\x81", 2, 'A' },         { "\xe0\x80\xaf", 3, '/' },
		{ "\xf0\x80\x81\x81", 4, 'A' }, { "\xed\xbf\xbf", 3, 0xdfff },
		{ "\xf4\x90\x80\x80", 0, 0 },   { "\xf7\xbf\xbf\xbf", 0, 0 },
		{ "\xf8\x80\x80\x80", 0, 0 },   { "\x80", 0, 0 },
		{ "\xe2\x82", 0, 0 },           { "\xe2\x41\x82", 0, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t character = 0;
		const size_t length = utf8_decode_loose((const uint8_t *)cases[i].bytes,
							strlen(cases[i].bytes), &character);
		assert_int_equal(length, cases[i].length);
		if (length > 0)
			assert_int_equal(character, cases[i].character);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character),
		cmocka_unit_test(maximal_subparts),
		cmocka_unit_test(loose_reading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
