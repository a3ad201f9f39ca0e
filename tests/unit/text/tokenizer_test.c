/* Tokenizers of small vocabularies, ids worked out by hand from the rules. The same ids as
 * llama.cpp on real vocabularies: token_vectors.py. */
#include "vocab_build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define END UINT32_MAX

static void check(const struct tokenizer *tokenizer, const char *text, bool special,
		  const uint32_t *expected)
{
	const struct tokenize_options options = { .special = special };
	struct buf out;
	struct fail fail = { 0 };
	buf_init(&out);
	assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), &options, &out, &fail), 0);
	uint32_t n = 0;
	while (expected[n] != END)
		n++;
	bool same = out.size == n * sizeof(uint32_t);
	same = same && (n == 0 || memcmp(out.data, expected, out.size) == 0);
	if (!same) {
		for (size_t i = 0; i < out.size / 4; i++)
			print_message("%u ", ((uint32_t *)out.data)[i]);
		fail_msg("are the ids of \"%s\"", text);
	}
	buf_finish(&out);
}

#define CHECK(tokenizer, text, special, ...)                                                       \
	check(tokenizer, text, special, (const uint32_t[]){ __VA_ARGS__, END })
#define CHECK_NONE(tokenizer, text, special) check(tokenizer, text, special, (uint32_t[]){ END })

/* ---- SentencePiece ---- */

#define SP "\xe2\x96\x81"

enum {
	T_SPACE = SPM_FIRST,
	T_A,
	T_B,
	T_C,
	T_AB,
	T_BC,
	T_AA,
	T_ABC,
	T_SPACE_A,
	T_TWO_SPACES,
	T_LESS,
	T_TURN,
	T_MARK,
	T_MARK_LONG,
	T_EURO,
	T_SPM_END
};

static void start_letters(struct vocab_build *build)
{
	vocab_start_spm(build);
	vocab_add(build, SP, NORMAL, -1);
	vocab_add(build, "a", NORMAL, -1);
	vocab_add(build, "b", NORMAL, -1);
	vocab_add(build, "c", NORMAL, -1);
	vocab_add(build, "ab", NORMAL, -5);
	vocab_add(build, "bc", NORMAL, -4);
	vocab_add(build, "aa", NORMAL, -6);
	vocab_add(build, "abc", NORMAL, -9);
	vocab_add(build, SP "a", NORMAL, -3);
	vocab_add(build, "  ", USER, 0);
	vocab_add(build, "<", NORMAL, -7);
	vocab_add(build, "<|im_end|>", USER, 0);
	vocab_add(build, "<x", USER, 0);
	vocab_add(build, "x<aa", USER, 0);
	vocab_add(build, "\xe2\x82\xac", NORMAL, -8);
	build->space_prefix = 0;
}

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

/* ---- byte-level BPE ---- */

#define G "\xc4\xa0" /* how GPT-2 spells a space */

enum {
	B_HE = BPE_FIRST,
	B_LL,
	B_LLO,
	B_HELLO,
	B_GH,
	B_XY,
	B_12,
	B_123,
	B_E_ACUTE,
	B_BPE_END,
	B_CONTROL = B_BPE_END,
	B_USER,
	B_TURN
};

static void start_words(struct vocab_build *build, const char *pre)
{
	vocab_start_bpe(build, pre);
	vocab_merge(build, "h e", "he");
	vocab_merge(build, "l l", "ll");
	vocab_merge(build, "ll o", "llo");
	vocab_merge(build, "he llo", "hello");
	vocab_merge(build, G " h", G "h");
	vocab_add(build, "xy", NORMAL, 0); /* no merge leads to it */
	vocab_merge(build, "1 2", "12");
	vocab_merge(build, "12 3", "123");
	vocab_merge(build, "\xc3\x83 \xc2\xa9", "\xc3\x83\xc2\xa9"); /* bytes C3 and A9: U+00E9 */
	vocab_add(build, "<|begin_of_text|>", CONTROL, 0);
	vocab_add(build, "<tool \xe2\x96\x81>", USER, 0);
	vocab_add(build, "<|eot_id|>", NORMAL, 0);
	build->id_key = "tokenizer.ggml.bos_token_id";
	build->id = B_CONTROL;
}

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

/* Pieces that carry spaces or letters cannot be told by the merges alone. */
static void start_raw(struct vocab_build *build)
{
	static const char *const characters[] = { SP, "a", "b", "c", "\xe2\x82\xac", "\n" };
	vocab_start_raw(build);
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++)
		vocab_add(build, characters[i], NORMAL, 0);
	vocab_merge(build, "a b", "ab");
	vocab_merge(build, SP " a", SP "a");
	vocab_merge(build, SP "a b", SP "ab");
	vocab_merge(build, SP " " SP, SP SP);
	vocab_add(build, "\n\n", NORMAL, 0); /* no merge leads to it */
	build->id_key = "tokenizer.ggml.bos_token_id";
	build->id = 1;
}

enum {
	R_SPACE = SPM_FIRST,
	R_A,
	R_B,
	R_C,
	R_EURO,
	R_LINE,
	R_AB,
	R_SPACE_A,
	R_SPACE_AB,
	R_SPACES,
	R_LINES
};

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

/* ---- what single tokens are for ---- */

static void white_space_beside(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	build.name = "Microsoft Phi-3 mini";
	const uint32_t end = build.n_pieces;
	vocab_add(&build, "<|end|>", CONTROL, 0);
	vocab_add(&build, "\n<|user|>", CONTROL, 0);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "a<|end|> \n\t b", true, T_A, end, T_B);
	CHECK(t, "a<|end|>  ", true, T_A, end);
	CHECK(t, "a<|end|>", true, T_A, end);
	CHECK(t, "<|end|> <|end|> a", true, end, end, T_A);
	CHECK(t, "<|end|>\n<|user|> a", true, end, end + 1, T_A); /* the longer one goes first */
	CHECK(t, "<s> a", true, 1, T_SPACE_A);                    /* but not these */
	CHECK(t, "a <|end|>", true, T_A, T_SPACE, end);
	CHECK(t, "<|end|>\xc2\xa0", true, end, SPM_BYTES + 0xc2, SPM_BYTES + 0xa0);
	tokenizer_destroy(t);
	start_letters(&build);
	vocab_add(&build, "<|end|>", CONTROL, 0);
	t = vocab_tokenizer(&build);
	CHECK(t, "<|end|> a", true, end, T_SPACE_A);
	tokenizer_destroy(t);
}

static void mask_takes_space_before(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	build.pre = "jina-v2-es"; /* of no matter to SentencePiece but for this */
	const uint32_t mask = build.n_pieces;
	vocab_add(&build, "<mask>", CONTROL, 0);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "a \n<mask> b", true, T_A, mask, T_SPACE, T_B);
	CHECK(t, " <mask> <mask>", true, mask, mask);
	tokenizer_destroy(t);
}

static void messages_and_parts(void **state)
{
	struct vocab_build build;
	start_words(&build, "gpt-4o");
	const uint32_t first = build.n_pieces;
	vocab_add(&build, "<|end|>", CONTROL, 0);
	vocab_add(&build, "<|message|>", CONTROL, 0);
	vocab_add(&build, "<fim_prefix>", NORMAL, 0);
	vocab_add(&build, "<|file_sep|>", USER, 0);
	struct tokenizer *t = vocab_tokenizer(&build);
	assert_true(tokenizer_ends(t, first));
	assert_false(tokenizer_ends(t, first + 2));
	assert_true(tokenizer_ends(t, first + 3));
	CHECK(t, "<|message|>", false, first + 1);
	CHECK(t, "<|file_sep|>", true, first + 3);
	CHECK(t, "<fim_prefix>", true, first + 2);
	tokenizer_destroy(t);
	vocab_add(&build, "<|return|>", CONTROL, 0);
	vocab_add(&build, "<|call|>", CONTROL, 0);
	t = vocab_tokenizer(&build);
	assert_false(tokenizer_ends(t, first)); /* a message's end, not the answer's */
	assert_true(tokenizer_ends(t, first + 4));
	CHECK(t, "<|end|>", false, first);
	tokenizer_destroy(t);
	build.id_key = "tokenizer.ggml.fim_pre_token_id"; /* then spelling does not matter */
	build.id = first + 1;
	t = vocab_tokenizer(&build);
	CHECK(t, "<fim_prefix>", true, '<', 'f', 'i', 'm', '_', 'p', 'r', 'e', 'f', 'i', 'x', '>');
	tokenizer_destroy(t);
}

/* ---- all ---- */

static const char *const all_rules[] = {
	"llama-bpe", "default",  "glm4",         "dbrx",           "minicpm5",    "qwen2",
	"qwen35",    "ufakzeka", "laguna",       "gpt-2",          "starcoder",   "falcon",
	"tekken",    "gpt-4o",   "deepseek-llm", "deepseek-coder", "deepseek-v3",
};
#define ALL_RULES (sizeof(all_rules) / sizeof(all_rules[0]))

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* Well-formed UTF-8 of up to 60 characters, rich in what the vocabularies know. */
static size_t random_text(uint64_t *random, char *text)
{
	static const char *const parts[] = {
		"a",
		"b",
		"c",
		" ",
		"  ",
		"\n",
		"hello",
		" he",
		"123",
		"\xe2\x82\xac",
		"\xc3\xa9",
		"<s>",
		"<x",
		"x<aa",
		"'ll",
		"\xf0\x9f\x98\x80",
		"\xe6\xbc\xa2",
		"\r\n",
		"\t",
		"!",
		"\xcc\x81",
		"\xe3\x80\x80",
		"xy",
		"<|eot_id|>",
		"Z",
	};
	size_t size = 0;
	for (uint32_t i = next_random(random) % 60; i > 0; i--) {
		const char *part = parts[next_random(random) % (sizeof(parts) / sizeof(parts[0]))];
		memcpy(text + size, part, strlen(part));
		size += strlen(part);
	}
	return size;
}

/* Pieces put together again are the text. */
static void check_round_trip(const struct tokenizer *t, const char *text, size_t size)
{
	const struct tokenize_options options = { 0 };
	struct buf ids, back;
	struct fail fail = { 0 };
	buf_init(&ids);
	buf_init(&back);
	assert_int_equal(tokenizer_encode(t, text, size, &options, &ids, &fail), 0);
	for (size_t i = 0; i < ids.size / 4; i++)
		tokenizer_piece(t, ((uint32_t *)ids.data)[i], i == 0, false, &back);
	assert_int_equal(back.size, size);
	if (size > 0)
		assert_memory_equal(back.data, text, size);
	buf_finish(&ids);
	buf_finish(&back);
}

static void round_trips(void **state)
{
	struct tokenizer *all[ALL_RULES + 2];
	struct vocab_build build;
	for (size_t i = 0; i < ALL_RULES; i++) {
		start_words(&build, all_rules[i]);
		all[i] = vocab_tokenizer(&build);
	}
	start_letters(&build);
	all[ALL_RULES] = vocab_tokenizer(&build);
	start_raw(&build);
	all[ALL_RULES + 1] = vocab_tokenizer(&build);
	uint64_t random = 1;
	for (int i = 0; i < 1000; i++) {
		char text[1024];
		const size_t size = random_text(&random, text);
		for (size_t j = 0; j < ALL_RULES + 2; j++)
			check_round_trip(all[j], text, size);
	}
	for (size_t i = 0; i < ALL_RULES + 2; i++)
		tokenizer_destroy(all[i]);
}

#define HOSTILE_BYTES (1u << 18)
#define OTHER_BYTES   (1u << 16)

/* Texts that make naive searches, regular expressions and merges quadratic. A quadratic step
 * would run into the suite's time limit. */
static void hostile_texts(void **state)
{
	static const char *const parts[] = {
		" ",        "\n", " \n", "a",     "ab",   "1",   "!",
		"'",        "<x", "<",   "aA",    "$`",   "x<a", "\xe3\x80\x80",
		"\xcc\x81", " a", "\r",  "aaaa ", "\xe2", "he",  "l",
	};
	char *text = malloc(HOSTILE_BYTES);
	assert_non_null(text);
	for (size_t rule = 0; rule < ALL_RULES + 2; rule++) {
		struct vocab_build build;
		if (rule < ALL_RULES)
			start_words(&build, all_rules[rule]);
		else if (rule == ALL_RULES)
			start_letters(&build);
		else
			start_raw(&build);
		struct tokenizer *t = vocab_tokenizer(&build);
		const size_t limit = rule == 0 || rule == ALL_RULES ? HOSTILE_BYTES : OTHER_BYTES;
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			const size_t length = strlen(parts[i]);
			size_t size = 0;
			for (; size + length <= limit; size += length)
				memcpy(text + size, parts[i], length);
			if ((uint8_t)parts[i][0] != 0xe2 || rule == ALL_RULES)
				check_round_trip(t, text, size);
		}
		tokenizer_destroy(t);
	}
	free(text);
}

static void longest_text(void **state)
{
	struct vocab_build build;
	start_words(&build, "llama-bpe");
	struct tokenizer *t = vocab_tokenizer(&build);
	const struct tokenize_options options = { .bos = true };
	char *text = malloc(TOKENIZER_TEXT_MAX + 1);
	assert_non_null(text);
	memset(text, ' ', TOKENIZER_TEXT_MAX + 1);
	check_round_trip(t, text, TOKENIZER_TEXT_MAX);
	struct fail fail = { 0 };
	struct buf out;
	buf_init(&out);
	buf_u8(&out, 7);
	assert_int_equal(tokenizer_encode(t, text, TOKENIZER_TEXT_MAX + 1, &options, &out, &fail),
			 -FAIL_INVALID);
	assert_non_null(strstr(fail.text, "4194305 bytes"));
	assert_int_equal(out.size, 1);
	buf_finish(&out);
	free(text);
	tokenizer_destroy(t);
}

/* ---- refusals ---- */

static void refused(const struct vocab_build *build, const char *sentence)
{
	struct fail fail = { 0 };
	struct tokenizer *t = vocab_open(build, &fail);
	if (t || !strstr(fail.text, sentence))
		fail_msg("'%s' instead of '%s'", t ? "accepted" : fail.text, sentence);
}

static void bad_vocabularies(void **state)
{
	static char long_piece[1026];
	memset(long_piece, 'x', 1025);
	struct vocab_build build;
	start_letters(&build);
	build.model = NULL;
	refused(&build, "has no tokenizer");
	start_letters(&build);
	build.model = "unigram";
	refused(&build, "\"unigram\" is not known");
	start_letters(&build);
	build.n_pieces = 0;
	refused(&build, "has no vocabulary");
	start_letters(&build);
	build.n_kinds = 7;
	refused(&build, "tokenizer.ggml.token_type has 7 entries");
	start_letters(&build);
	build.n_scores = 0;
	refused(&build, "tokenizer.ggml.scores has 0 entries");
	start_letters(&build);
	build.pieces[T_B].score = 0.0f / 0.0f;
	refused(&build, "no number as score");
	start_letters(&build);
	build.pieces[T_B].text = "a";
	refused(&build, "are equal");
	start_letters(&build);
	build.pieces[T_B].text = long_piece;
	refused(&build, "has 1025 bytes");
	start_letters(&build);
	build.id_key = "tokenizer.ggml.bos_token_id";
	build.id = T_SPM_END;
	refused(&build, "tokenizer.ggml.bos_token_id is 274");
	start_letters(&build);
	build.pieces[SPM_BYTES].text = "x";
	build.id_key = "tokenizer.ggml.unknown_token_id";
	build.id = UINT32_MAX;
	refused(&build, "tokenizer.ggml.unknown_token_id is");
}

static void bad_merges(void **state)
{
	static const char *const merges[] = { "he", "h  e", "h z", "zz e", "he h", "" };
	struct vocab_build build;
	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
		start_words(&build, "llama-bpe");
		build.merges[3] = merges[i];
		refused(&build, "merge 3");
	}
	start_words(&build, "llama-bpe");
	build.n_merges = 0;
	refused(&build, "no merges");
	start_words(&build, "llama-bpe");
	build.pieces['A'].text = "there";
	refused(&build, "no token for byte 65");
	start_raw(&build);
	build.pieces[SPM_BYTES + 0xc3].text = "there";
	refused(&build, "no token for byte 195");
	start_words(&build, "tekken-2");
	refused(&build, "\"tekken-2\" is not known");
}

/* Empty pieces occur; they are no duplicates of one another and are never made. */
static void empty_pieces(void **state)
{
	struct vocab_build build;
	start_letters(&build);
	vocab_add(&build, "", NORMAL, 5);
	vocab_add(&build, "", CONTROL, 5);
	vocab_add(&build, "", USER, 5);
	struct tokenizer *t = vocab_tokenizer(&build);
	CHECK(t, "ab", true, T_AB);
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
		cmocka_unit_test(first_merge_first),
		cmocka_unit_test(whole_words),
		cmocka_unit_test(spans),
		cmocka_unit_test(bpe_specials),
		cmocka_unit_test(not_utf8),
		cmocka_unit_test(raw_pieces),
		cmocka_unit_test(repeated_words),
		cmocka_unit_test(white_space_beside),
		cmocka_unit_test(mask_takes_space_before),
		cmocka_unit_test(messages_and_parts),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(hostile_texts),
		cmocka_unit_test(longest_text),
		cmocka_unit_test(bad_vocabularies),
		cmocka_unit_test(bad_merges),
		cmocka_unit_test(empty_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
