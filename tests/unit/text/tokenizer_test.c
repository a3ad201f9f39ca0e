/* What holds for every tokenizer: texts come back, hostile ones take no time, bad vocabularies are
 * refused. */
#include "tokenizer_check.h"

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
		cmocka_unit_test(round_trips),  cmocka_unit_test(hostile_texts),
		cmocka_unit_test(longest_text), cmocka_unit_test(bad_vocabularies),
		cmocka_unit_test(bad_merges),   cmocka_unit_test(empty_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
