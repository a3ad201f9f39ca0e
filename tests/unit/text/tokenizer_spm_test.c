/* SentencePiece: ids worked out by hand from the rules. The same ids as llama.cpp on real
 * vocabularies: token_vectors.py. */
#include "tokenizer_check.h"

static void best_score_first(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "abc", false, T_ABC);     /* bc (-4), then a + bc */
	CHECK(t, "aaa", false, T_AA, T_A); /* equal scores: the left pair */
	CHECK(t, "aaaa", false, T_AA, T_AA);
	CHECK(t, "aab", false, T_A, T_AB);        /* ab (-5) before aa (-6) */
	CHECK(t, " abc", false, T_SPACE_A, T_BC); /* SP a (-3) first; bc; nothing joins them */
	CHECK(t, " a", false, T_SPACE_A);
	CHECK(t, SP "a", false, T_SPACE_A); /* cannot be told from a space */
	CHECK_NONE(t, "", false);
	tokenizer_destroy(t);
}

static void bytes_fall_back(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "\xe2\x82\xac", false, T_EURO);
	CHECK(t, "\xc3\xa9", false, SPM_BYTES + 0xc3, SPM_BYTES + 0xa9);
	CHECK(t, "\n", false, SPM_BYTES + '\n');
	CHECK(t,
	      "\xff"
	      "a",
	      false, SPM_BYTES + 0xff, SPM_BYTES + 'a'); /* takes what it announces */
	CHECK(t,
	      "\x80"
	      "a",
	      false, SPM_BYTES + 0x80, T_A);
	CHECK(t, "\xe2\x82", false, SPM_BYTES + 0xe2, SPM_BYTES + 0x82);
	CHECK(t, "\xe2 a", false, SPM_BYTES + 0xe2, SPM_BYTES + 0xe2, SPM_BYTES + 0x96,
	      SPM_BYTES + 0x81, T_A);
	tokenizer_destroy(t);
}

static void unknown_without_bytes(void **state)
{
	struct vocab_build build;
	vocab_start(&build, "llama", NULL);
	vocab_add(&build, "<unk>", UNKNOWN, 0);
	vocab_add(&build, "a", NORMAL, 0);
	vocab_add(&build, "b", NORMAL, 0);
	build.space_prefix = 0;
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "axb", false, 1, 0, 2);
	tokenizer_destroy(t);
}

static void specials(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "a  b", false, T_A, T_TWO_SPACES, T_B);
	CHECK(t, "a   b", false, T_A, T_TWO_SPACES, T_SPACE, T_B);
	/* control tokens in text are text, unless asked for; so is whatever ends a turn */
	CHECK(t, "a<s>", true, T_A, 1);
	CHECK(t, "a<s>", false, T_A, T_LESS, SPM_BYTES + 's', SPM_BYTES + '>');
	CHECK(t, "<|im_end|>", true, T_TURN);
	assert_true(tokenizer_ends(t, T_TURN));
	/* the longer token wins though the shorter one starts before it */
	CHECK(t, "<x", false, T_MARK);
	CHECK(t, "<x<aa", false, T_LESS, T_MARK_LONG);
	CHECK(t, "<x<a", false, T_MARK, T_LESS, T_A);
	tokenizer_destroy(t);
}

static void never_joined_to_control(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	const uint32_t first = build.n_pieces;
	vocab_add(&build, "<s", NORMAL, -1);
	vocab_add(&build, ">", NORMAL, -1);
	vocab_add(&build, "s", NORMAL, -1);
	vocab_add(&build, "<0x4", NORMAL, -1);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "<s>", false, first, first + 1);
	tokenizer_destroy(t);
}

static void prefix_space(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	build.space_prefix = -1; /* the default is a prefix */
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "a", false, T_SPACE_A);
	CHECK_NONE(t, "", false);
	CHECK(t, " a", false, T_SPACE, T_SPACE_A);
	CHECK(t, "b<s>a", true, T_SPACE, T_B, 1, T_SPACE_A); /* a text begins after a special */
	struct buf out;
	buf_init(&out);
	tokenizer_piece(t, T_SPACE_A, true, false, &out);
	tokenizer_piece(t, T_SPACE_A, false, false, &out);
	assert_int_equal(out.size, 3);
	assert_memory_equal(out.data, "a a", 3);
	buf_finish(&out);
	tokenizer_destroy(t);
}

static void begins_and_ends(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	struct tokenizer *t = vocab_tokenizer(&build);
	const struct tokenize_options options = { .bos = true };
	struct buf out;
	buf_init(&out);
	assert_int_equal(tokenizer_encode(t, "b", 1, &options, &out, NULL), 0);
	assert_int_equal(out.size, 8);
	assert_memory_equal(out.data, ((uint32_t[]){ 1, T_B }), 8);
	assert_int_equal(tokenizer_bos(t), 1);
	assert_int_equal(tokenizer_eos(t), 2);
	assert_true(tokenizer_adds_bos(t));
	assert_true(tokenizer_ends(t, 2));
	assert_false(tokenizer_ends(t, 1));
	assert_false(tokenizer_ends(t, TOKEN_NONE));
	assert_int_equal(tokenizer_count(t), T_SPM_END);
	assert_in_range(tokenizer_bytes(t), 1000, 100000);
	buf_finish(&out);
	tokenizer_destroy(t);
}

/* Where "</s>" is an HTML tag it ends nothing, but is read as llama.cpp reads it. */
static void html_end(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	build.pieces[2].kind = USER;
	build.id_key = "tokenizer.ggml.eos_token_id";
	build.id = 1;
	struct tokenizer *t = vocab_tokenizer(&build);
	assert_false(tokenizer_ends(t, 2));
	assert_true(tokenizer_ends(t, 1));
	CHECK(t, "</s>", true, 2);
	CHECK(t, "</s>", false, T_LESS, SPM_BYTES + '/', SPM_BYTES + 's', SPM_BYTES + '>');
	tokenizer_destroy(t);
}

static void pieces(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	struct tokenizer *t = vocab_tokenizer(&build);
	static const struct {
		uint32_t token;
		bool special;
		const char *text;
	} cases[] = {
		{ T_SPACE_A, false, " a" },
		{ T_TWO_SPACES, false, "  " },
		{ 1, false, "" },
		{ 1, true, "<s>" },
		{ 0, false, "" },
		{ 0, true, "<unk>" },
		{ SPM_BYTES + 0xe2, false, "\xe2" },
		{ T_MARK, false, "<x" },
		{ T_SPM_END, true, "" },
		{ TOKEN_NONE, true, "" },
	};
	struct buf out;
	buf_init(&out);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&out);
		tokenizer_piece(t, cases[i].token, false, cases[i].special, &out);
		assert_int_equal(out.size, strlen(cases[i].text));
		if (out.size > 0)
			assert_memory_equal(out.data, cases[i].text, out.size);
	}
	buf_finish(&out);
	tokenizer_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(best_score_first),
		cmocka_unit_test(bytes_fall_back),
		cmocka_unit_test(unknown_without_bytes),
		cmocka_unit_test(specials),
		cmocka_unit_test(never_joined_to_control),
		cmocka_unit_test(prefix_space),
		cmocka_unit_test(begins_and_ends),
		cmocka_unit_test(html_end),
		cmocka_unit_test(pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
