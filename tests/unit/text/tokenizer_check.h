/* tokenizer_check.h: comparing ids, and the vocabularies that several tests of tokenizers begin
 * with. */
#ifndef TESTS_TOKENIZER_CHECK_H
#define TESTS_TOKENIZER_CHECK_H

#include "vocab_build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define END UINT32_MAX

static inline void check(const struct tokenizer *tokenizer, const char *text, bool special,
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

static inline void start_letters(struct vocab_build *build)
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

static inline void start_words(struct vocab_build *build, const char *pre)
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

/* Pieces that carry spaces or letters cannot be told by the merges alone. */
static inline void start_raw(struct vocab_build *build)
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

#endif
