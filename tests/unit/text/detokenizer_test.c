/* Streaming text: what comes out does not depend on how an answer was cut into tokens. */
#include "vocab_build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct tokenizer *spm(void)
{
	struct vocab_build build;
	vocab_start_spm(&build);
	vocab_add(&build,
		  "\xe2\x96\x81"
		  "a",
		  NORMAL, -1);
	vocab_add(&build, "stop", NORMAL, -1);
	vocab_add(&build, "<|x|>", CONTROL, 0);
	vocab_add(&build, "\xe2\x82", NORMAL, 0); /* two thirds of a euro sign */
	return vocab_tokenizer(&build);
}

enum { D_SPACE_A = SPM_FIRST, D_STOP, D_CONTROL, D_HALF_EURO };

/* Pushes until the stop; gives the text after each push, "|" between, then what flush gave. */
static void check(const char *const *stops, uint32_t n_stops, const uint32_t *tokens, uint32_t n,
		  bool stopped, const char *expected)
{
	struct tokenizer *tokenizer = spm();
	struct detokenizer *d = detokenizer_create(tokenizer, stops, n_stops);
	assert_non_null(d);
	struct buf out;
	buf_init(&out);
	bool stop = false;
	for (uint32_t i = 0; i < n && !stop; i++) {
		stop = detokenizer_push(d, tokens[i], &out);
		buf_text(&out, "|");
	}
	assert_int_equal(stop, stopped);
	detokenizer_flush(d, &out);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.data, expected);
	buf_finish(&out);
	detokenizer_destroy(d);
	tokenizer_destroy(tokenizer);
}

#define BYTE_TOKEN(byte) (SPM_BYTES + (byte))
#define TOKENS(...)      (const uint32_t[]){ __VA_ARGS__ }, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4

static void whole_characters(void **state)
{
	check(NULL, 0, TOKENS(D_HALF_EURO, BYTE_TOKEN(0xac), BYTE_TOKEN('!')), false,
	      "|\xe2\x82\xac|!|");
	check(NULL, 0, TOKENS(D_HALF_EURO, BYTE_TOKEN('a')), false,
	      "|\xef\xbf\xbd"
	      "a|");
	check(NULL, 0, TOKENS(D_HALF_EURO), false, "|\xef\xbf\xbd");
	check(NULL, 0, TOKENS(BYTE_TOKEN(0xff), BYTE_TOKEN(0xf0), BYTE_TOKEN(0x9f)), false,
	      "\xef\xbf\xbd|||\xef\xbf\xbd");
	check(NULL, 0, TOKENS(BYTE_TOKEN(0xed), BYTE_TOKEN(0xa0)), false,
	      "|\xef\xbf\xbd\xef\xbf\xbd|");
}

/* An answer goes on where its prompt ended, so its first space is text; control tokens are not. */
static void spaces_and_control(void **state)
{
	check(NULL, 0, TOKENS(D_SPACE_A, D_CONTROL, D_SPACE_A), false, " a|| a|");
}

static void stop_strings(void **state)
{
	static const char *const stops[] = { "stop!", "\n\n" };
	check(stops, 2, TOKENS(D_SPACE_A, D_STOP, BYTE_TOKEN('!'), D_SPACE_A), true, " a|||");
	check(stops, 2, TOKENS(D_STOP, BYTE_TOKEN('?')), false, "|stop?|");
	check(stops, 2, TOKENS(D_STOP), false, "|stop");
	check(stops, 2, TOKENS(BYTE_TOKEN('\n'), D_SPACE_A, BYTE_TOKEN('\n'), BYTE_TOKEN('\n')),
	      true, "|\n a|||");
	check(stops, 2, TOKENS(D_STOP, D_STOP, BYTE_TOKEN('!')), true, "|stop||");
	static const char *const euro[] = { "\xe2\x82\xac" };
	check(euro, 1, TOKENS(D_SPACE_A, D_HALF_EURO, BYTE_TOKEN(0xac)), true, " a|||");
}

static void first_complete_wins(void **state)
{
	static const char *const inner[] = { "stop", "to" };
	check(inner, 2, TOKENS(D_STOP), true, "s|");
	static const char *const longer[] = { "p", "top" };
	check(longer, 2, TOKENS(D_STOP), true, "s|");
}

static void refused(void **state)
{
	static char long_stop[DETOKENIZER_STOP_BYTES + 2];
	memset(long_stop, 'x', DETOKENIZER_STOP_BYTES + 1);
	struct tokenizer *tokenizer = spm();
	const char *stops[DETOKENIZER_STOPS_MAX + 1] = { "a", "", "c", "d", "e" };
	assert_null(detokenizer_create(tokenizer, stops, 2));
	stops[1] = long_stop;
	assert_null(detokenizer_create(tokenizer, stops, 2));
	stops[1] = "b";
	assert_null(detokenizer_create(tokenizer, stops, DETOKENIZER_STOPS_MAX + 1));
	long_stop[DETOKENIZER_STOP_BYTES] = 0;
	stops[1] = long_stop;
	struct detokenizer *d = detokenizer_create(tokenizer, stops, DETOKENIZER_STOPS_MAX);
	assert_non_null(d);
	detokenizer_destroy(d);
	detokenizer_destroy(NULL);
	tokenizer_destroy(tokenizer);
}

/* ---- against a slow and simple reading of the rule ---- */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* The prefix of `text` before the stop string that ends first; of those, the longest. */
static size_t cut_at_stop(const char *text, size_t size, const char *const *stops, uint32_t n)
{
	for (size_t end = 1; end <= size; end++) {
		size_t longest = 0;
		for (uint32_t i = 0; i < n; i++) {
			const size_t length = strlen(stops[i]);
			if (length <= end && length > longest &&
			    memcmp(text + end - length, stops[i], length) == 0)
				longest = length;
		}
		if (longest > 0)
			return end - longest;
	}
	return size;
}

/* Well-formed text as byte tokens, cut by pushes that join several of them at random. */
static void any_cut_gives_the_same(void **state)
{
	static const char *const stops[] = { "aab", "abab", "b\xc3\xa9", "\xc3\xa9\xc3\xa9" };
	static const char *const parts[] = { "a", "b", "a", "b", "\xc3\xa9" };
	struct tokenizer *tokenizer = spm();
	uint64_t random = 5;
	for (int round = 0; round < 20000; round++) {
		char text[64];
		size_t size = 0;
		for (uint32_t i = next_random(&random) % 16; i > 0; i--) {
			const char *part = parts[next_random(&random) % 5];
			memcpy(text + size, part, strlen(part));
			size += strlen(part);
		}
		const uint32_t first = next_random(&random) % 4,
			       n = next_random(&random) % (5 - first);
		struct detokenizer *d = detokenizer_create(tokenizer, stops + first, n);
		struct buf out;
		buf_init(&out);
		bool stop = false;
		for (size_t i = 0; i < size && !stop; i++)
			stop = detokenizer_push(d, BYTE_TOKEN((uint8_t)text[i]), &out);
		detokenizer_flush(d, &out);
		const size_t expected = cut_at_stop(text, size, stops + first, n);
		assert_int_equal(out.size, expected);
		if (expected > 0)
			assert_memory_equal(out.data, text, expected);
		if (stop) /* nothing comes after */
			assert_true(detokenizer_push(d, D_SPACE_A, &out));
		assert_int_equal(out.size, expected);
		buf_finish(&out);
		detokenizer_destroy(d);
	}
	tokenizer_destroy(tokenizer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_characters), cmocka_unit_test(spaces_and_control),
		cmocka_unit_test(stop_strings),     cmocka_unit_test(first_complete_wins),
		cmocka_unit_test(refused),          cmocka_unit_test(any_cut_gives_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
