#include "proto/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void ids_have_a_short_and_a_long_text(void **state)
{
	uint8_t bytes[ID_BYTES], back[ID_BYTES];
	char text[ID_TEXT_BYTES], hex[ID_HEX_BYTES];
	for (int i = 0; i < ID_BYTES; i++)
		bytes[i] = (uint8_t)(i * 37 + 1);
	/* python3: base64.b32encode(bytes(i * 37 + 1 & 255 for i in range(10)))[:10].lower() */
	assert_string_equal(id_text(bytes, text), "aetew4evxl");
	id_hex(bytes, hex);
	assert_int_equal(strlen(hex), 64);
	assert_memory_equal(hex, "01264b7095badf", 14);
	assert_true(id_from_hex(back, hex));
	assert_memory_equal(back, bytes, ID_BYTES);
	memcpy(hex, "01264B7095BADF", 14);
	assert_true(id_from_hex(back, hex));
	assert_memory_equal(back, bytes, ID_BYTES);
	hex[63] = 'g';
	assert_false(id_from_hex(back, hex));
	hex[63] = 0;
	assert_false(id_from_hex(back, hex));
	assert_false(id_from_hex(back, ""));
}

static void epochs_are_ordered_by_counter_then_planner(void **state)
{
	struct epoch low = { 1, { { 9 } } }, high = { 2, { { 1 } } }, same = { 2, { { 1 } } };
	assert_true(epoch_compare(&low, &high) < 0);
	assert_true(epoch_compare(&high, &low) > 0);
	assert_int_equal(epoch_compare(&high, &same), 0);
	same.planner.bytes[0] = 2;
	assert_true(epoch_compare(&high, &same) < 0);
	assert_true(epoch_compare(&same, &high) > 0);
	const struct device_id none = { { 0 } };
	assert_true(device_id_is_none(&none));
	assert_false(device_id_is_none(&low.planner));
}

#define GOOD(text) assert_true(text_printable(text, sizeof(text) - 1))
#define BAD(text) assert_false(text_printable(text, sizeof(text) - 1))

static void names_show_what_they_are(void **state)
{
	GOOD("");
	GOOD("kitchen-pi (upstairs)");
	GOOD("K\u00fcche \u53a8\u623f \U0001f373 \u05d1\u05d9\u05ea");
	BAD("a\nb");
	BAD("a\x1b[31m");
	BAD("a\x7f");
	BAD("a\0b");
	BAD("\xc2\x85");          /* a control character of ISO 6429 */
	BAD("a\u202eb");          /* turns what follows round */
	BAD("a\u2066b");
	BAD("a\u2028b");
	BAD("\xff");
	BAD("\x80");
	BAD("\xc0\xaf");          /* overlong */
	BAD("\xe0\x80\xaf");
	BAD("\xf0\x80\x80\xaf");
	BAD("\xed\xa0\x80");      /* half of a surrogate pair */
	BAD("\xf4\x90\x80\x80");  /* beyond U+10FFFF */
	BAD("\xf8\x88\x80\x80\x80");
	BAD("\xe2\x82");          /* cut */
	BAD("\xe2\x28\xa1");
}

static void own_text_is_made_fit_to_send(void **state)
{
	static const char *const cases[][2] = {
		{ "kitchen \u53a8", "kitchen \u53a8" }, { "a\nb", "a?b" },
		{ "cut \xe5\x8e", "cut ??" },          { "\xff", "?" },
		{ "a\u202e\u00fc", "a???\u00fc" },     { "\xf0\x9f\u00fc", "??\u00fc" },
		{ "", "" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32];
		strcpy(text, cases[i][0]);
		text_make_printable(text, strlen(text));
		assert_string_equal(text, cases[i][1]);
		assert_true(text_printable(text, strlen(text)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_have_a_short_and_a_long_text),
		cmocka_unit_test(epochs_are_ordered_by_counter_then_planner),
		cmocka_unit_test(names_show_what_they_are),
		cmocka_unit_test(own_text_is_made_fit_to_send),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
