/* Byte-level BPE: ids worked out by hand from the rules. The same ids as llama.cpp on real
 * vocabularies: token_vectors.py. */
#include "tokenizer_check.h"

static void first_merge_first(void **state)
{
	struct vocab_build build;
	start_words(&build, "llama-bpe");
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "hello", false, B_HELLO);
	CHECK(t, " hell", false, ' ', B_HE, B_LL); /* "h e" comes before "Gh" */
	CHECK(t, " hill", false, B_GH, 'i', B_LL);
	CHECK(t, "lll", false, B_LL, 'l');
	CHECK(t, "\xc3\xa9", false, B_E_ACUTE);
	CHECK(t, "1234", false, B_123, '4');
	CHECK_NONE(t, "", false);
	tokenizer_destroy(t);
}

static void whole_words(void **state)
{
	struct vocab_build build;
	start_words(&build, "llama3");
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "xy", false, B_XY); /* a token as a whole: merges do not matter */
	CHECK(t, "xyz", false, 'x', 'y', 'z');
	assert_true(tokenizer_adds_bos(t));
	tokenizer_destroy(t);
	start_words(&build, "gpt-2");
	t = vocab_tokenizer(&build);
	CHECK(t, "xy", false, 'x', 'y');
	assert_false(tokenizer_adds_bos(t));
	tokenizer_destroy(t);
}

/* Control tokens stand within one trusted span; text is joined across spans as ever. */
static void spans(void **state)
{
	static struct vocab_build build;
	static const struct {
		struct span spans[3];
		uint32_t ids[4], count;
	} cases[] = {
		{ { { 5, true } }, { 2, SPM_FIRST }, 2 },
		{ { { 5, false } }, { 0 }, 5 },
		{ { { 4, true }, { 1, false } }, { 2, SPM_FIRST }, 2 },
		{ { { 3, true }, { 2, false } }, { 0 }, 5 },
		{ { { 1, false }, { 4, true } }, { 0 }, 5 },
		{ { { 1, true }, { 2, false }, { 2, true } }, { 0 }, 5 },
	};
	vocab_start_spm(&build);
	build.space_prefix = 0;
	vocab_add(&build, "x", NORMAL, 0);
	struct fail fail = { 0 };
	struct tokenizer *t = vocab_open(&build, &fail);
	assert_non_null(t);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tokenize_options options = { .special = true, .spans = cases[i].spans };
		struct buf out;
		while (options.n_spans < 3 && cases[i].spans[options.n_spans].size > 0)
			options.n_spans++;
		buf_init(&out);
		assert_int_equal(tokenizer_encode(t, "</s>x", 5, &options, &out, &fail), 0);
		assert_int_equal(out.size, cases[i].count * sizeof(uint32_t));
		if (cases[i].ids[0])
			assert_memory_equal(out.data, cases[i].ids, out.size);
		buf_finish(&out);
	}
	tokenizer_destroy(t);
}

static void bpe_specials(void **state)
{
	struct vocab_build build;
	start_words(&build, "llama-bpe");
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "<|begin_of_text|>1", true, B_CONTROL, '1');
	CHECK(t, "<tool \xe2\x96\x81>", false, B_USER);
	/* typed as normal in the file, but it ends a turn: never made from plain text */
	CHECK(t, "<|eot_id|>", true, B_TURN);
	CHECK(t, "<|eot_id|>", false, '<', '|', 'e', 'o', 't', '_', 'i', 'd', '|', '>');
	assert_true(tokenizer_ends(t, B_TURN));
	assert_int_equal(tokenizer_eos(t), TOKEN_NONE);
	struct buf out;
	buf_init(&out);
	tokenizer_piece(t, B_USER, false, false, &out);
	tokenizer_piece(t, B_GH, true, false, &out);
	tokenizer_piece(t, B_E_ACUTE, false, false, &out);
	tokenizer_piece(t, B_CONTROL, false, false, &out);
	assert_int_equal(out.size, 14);
	assert_memory_equal(out.data, "<tool \xe2\x96\x81> h\xc3\xa9", 14);
	buf_finish(&out);
	tokenizer_destroy(t);
}

/* A stray byte is U+FFFD (EF BF BD); overlong forms and surrogates pass, as in llama.cpp. */
static void not_utf8(void **state)
{
	struct vocab_build build;
	start_words(&build, "llama-bpe");
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "\xff", false, 0xef, 0xbf, 0xbd);
	CHECK(t, "\xe2\x82", false, 0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd);
	CHECK(t, "\xf4\x90\x80\x80", false, 0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd,
	      0xef, 0xbf, 0xbd);
	CHECK(t, "\xc1\x81", false, 'A');
	CHECK(t, "\xed\xa0\x80!", false, 0xed, 0xa0, 0x80, '!');
	CHECK(t, "\xed\xbf\xbf", false, 0xed, 0xbf, 0xbf);
	CHECK(t, "\xee\x9f\xbf", false, 0xee, 0x9f, 0xbf); /* private use stays what it is */
	tokenizer_destroy(t);
}

static void raw_pieces(void **state)
{
	struct vocab_build build;
	start_raw(&build);
	build.adds_bos = 0;
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, " ab", false, R_SPACE, R_AB); /* "a b" comes before SP "a b" */
	CHECK(t, " ac", false, R_SPACE_A, R_C);
	CHECK(t, "ab   a", false, R_AB, R_SPACES, R_SPACE_A);
	CHECK(t, "a\n\nb\n", false, R_A, R_LINES, R_B, R_LINE);
	CHECK(t, "\n\n\n", false, R_LINE, R_LINE, R_LINE);
	CHECK(t, "\xe2\x82\xac", false, R_EURO);
	CHECK(t, "d\xc3\xa9", false, SPM_BYTES + 'd', SPM_BYTES + 0xc3, SPM_BYTES + 0xa9);
	CHECK(t, "\xff", false, SPM_BYTES + 0xef, SPM_BYTES + 0xbf, SPM_BYTES + 0xbd);
	CHECK_NONE(t, "", false);
	assert_true(tokenizer_adds_bos(t)); /* whatever the file says */
	struct buf out;
	buf_init(&out);
	tokenizer_piece(t, R_SPACE_AB, true, false, &out);
	tokenizer_piece(t, SPM_BYTES + 0xc3, false, false, &out);
	assert_int_equal(out.size, 4);
	assert_memory_equal(out.data, " ab\xc3", 4);
	buf_finish(&out);
	tokenizer_destroy(t);
}

/* A word met again is the same tokens, whatever stood between. */
static void repeated_words(void **state)
{
	struct vocab_build build;
	start_words(&build, "gpt-2");
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t,
	      "hello hello hello\xff hello\xffhello 12 12 hello hello hello hello hello hello "
	      "hello "
	      "<tool \xe2\x96\x81>hello",
	      false, B_HELLO, ' ', B_HELLO, ' ', B_HELLO, 0xef, 0xbf, 0xbd, ' ', B_HELLO, 0xef,
	      0xbf, 0xbd, B_HELLO, ' ', B_12, ' ', B_12, ' ', B_HELLO, ' ', B_HELLO, ' ', B_HELLO,
	      ' ', B_HELLO, ' ', B_HELLO, ' ', B_HELLO, ' ', B_HELLO, ' ', B_USER, B_HELLO);
	tokenizer_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_merge_first),
		cmocka_unit_test(whole_words),
		cmocka_unit_test(spans),
		cmocka_unit_test(bpe_specials),
		cmocka_unit_test(not_utf8),
		cmocka_unit_test(raw_pieces),
		cmocka_unit_test(repeated_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
