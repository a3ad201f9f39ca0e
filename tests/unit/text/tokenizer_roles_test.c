/* What single tokens are for. */
#include "tokenizer_check.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(white_space_beside),
		cmocka_unit_test(mask_takes_space_before),
		cmocka_unit_test(messages_and_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
