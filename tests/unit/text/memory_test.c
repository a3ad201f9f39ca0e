/* Lets every allocation of creating a tokenizer and of encoding fail, one after the other: each
 * time a sentence comes, nothing is left behind in the output and, as a sanitizer shows, nothing
 * leaks. The linker sends allocations here (--wrap); PCRE2's own are not reached. */
#include "vocab_build.h"

static long left = -1; /* allocations until one fails; -1: never */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

/* Gives whether the try was spared: then every allocation has had its turn. */
static bool spared(void)
{
	const bool untouched = left >= 0;
	left = -1;
	return untouched;
}

static int bad(const char *what, long turn, const struct fail *fail)
{
	printf("%s, allocation %ld: %d '%s'\n", what, turn, fail->code, fail->text);
	return 1;
}

/* Gives the tokenizer, or NULL when a failure was not told as it should. */
static struct tokenizer *create(const struct gguf *gguf)
{
	for (long turn = 0; turn < 1000; turn++) {
		struct fail fail = { 0 };
		left = turn;
		struct tokenizer *tokenizer = tokenizer_create(gguf, &fail);
		if (spared() && tokenizer) {
			printf("creating: %ld allocations failed in turn\n", turn);
			return tokenizer;
		}
		/* giving spare memory back may fail without harm */
		if (!tokenizer && (fail.code != FAIL_MEMORY || !strstr(fail.text, "memory"))) {
			bad("creating", turn, &fail);
			return NULL;
		}
		tokenizer_destroy(tokenizer);
	}
	return NULL;
}

/* 0 when every failure was told as it should. */
static int encode(const struct tokenizer *tokenizer, const char *text)
{
	const struct tokenize_options options = { .bos = true };
	for (long turn = 0; turn < 1000; turn++) {
		struct fail fail = { 0 };
		struct buf out;
		buf_init(&out);
		left = turn;
		const int result =
			tokenizer_encode(tokenizer, text, strlen(text), &options, &out, &fail);
		const bool done = spared();
		const size_t size = out.size;
		buf_finish(&out);
		if (done && result == 0) {
			printf("encoding: %ld allocations failed in turn\n", turn);
			return turn < 4;
		}
		if (result != -FAIL_MEMORY || fail.code != FAIL_MEMORY || size > 0)
			return bad("encoding", turn, &fail);
	}
	return 1;
}

static int detokenize(const struct tokenizer *tokenizer)
{
	for (long turn = 0; turn < 2; turn++) {
		left = turn;
		struct detokenizer *detokenizer = detokenizer_create(tokenizer, NULL, 0);
		left = -1;
		if (detokenizer) {
			printf("the detokenizer did without allocation %ld\n", turn);
			return 1;
		}
	}
	return 0;
}

static int check(const struct vocab_build *build)
{
	struct buf bytes;
	struct fail fail = { 0 };
	buf_init(&bytes);
	vocab_file(build, &bytes);
	struct gguf *gguf = gguf_parse(bytes.data, bytes.size, bytes.size, &fail);
	struct tokenizer *tokenizer = gguf ? create(gguf) : NULL;
	const int result = !tokenizer || encode(tokenizer, "  a<x> ababab \xed\xa0\x80 xyz") ||
			   detokenize(tokenizer);
	tokenizer_destroy(tokenizer);
	gguf_close(gguf);
	buf_finish(&bytes);
	return result;
}

int main(void)
{
	struct vocab_build build;
	vocab_start_spm(&build);
	vocab_add(&build, "ab", NORMAL, 1);
	vocab_add(&build, "<x>", USER, 0);
	vocab_add(&build, "x> a", USER, 0);
	if (check(&build))
		return 1;
	vocab_start_bpe(&build, "llama-bpe");
	vocab_merge(&build, "a b", "ab");
	vocab_merge(&build, "ab ab", "abab");
	vocab_add(&build, "<x>", USER, 0);
	vocab_add(&build, "x> a", USER, 0);
	return check(&build);
}
