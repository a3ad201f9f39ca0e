#include "compute/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>
#include <string.h>

/* White_Space of Unicode, for use inside [ ]; \s of PCRE2 has U+180E besides. */
#define SPACE                                                                                      \
	"\\t-\\r "                                                                                 \
	"\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define ENGLISH       "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define SYMBOLS_LINES " ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*"
/* White space up to its last line end; else all but the last, which belongs to the next word. */
#define SPACES_LINES "[" SPACE "]*[\\r\\n]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

#define LLAMA3_LIKE(numbers)                                                                       \
	ENGLISH "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "|" SYMBOLS_LINES "|" SPACES_LINES
#define GPT2                                                                                       \
	"'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|"                    \
	"[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

#define NAMES_MAX    10
#define PATTERNS_MAX 2

/* Sources: the tokenizer.json of each model family; the names are those that GGUF writers use. */
static const struct family {
	const char *names[NAMES_MAX];
	const char *patterns[PATTERNS_MAX];
	bool ignores_merges;
	bool adds_bos;
} families[] = {
	{ { "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
	    "lfm2", "jina-v5-nano" },
	  { LLAMA3_LIKE("\\p{N}{1,3}") },
	  .ignores_merges = true,
	  .adds_bos = true },
	{ { "dbrx", "smaug-bpe" }, { LLAMA3_LIKE("\\p{N}{1,3}") } },
	{ { "qwen2", "deepseek-r1-qwen", "megrez" }, { LLAMA3_LIKE("\\p{N}") } },
	{ { "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "mellum", "gigachat", "a.x-4.0" },
	  { GPT2 } },
	{ { "starcoder", "refact", "command-r", "smollm", "codeshell" }, { "\\p{N}", GPT2 } },
};

struct pretokenizer {
	const struct family *family;
	pcre2_code *codes[PATTERNS_MAX]; /* NULL past the last */
	pcre2_match_context *limits;
};

/* Backing out of a run of white space counts one match step a character, so the limit is above the
 * longest text; a pattern that needs more steps than that does not belong in the table. */
#define MATCH_STEPS_MAX (8u << 20)
#define HEAP_KIB_MAX    (16u << 10)

static const struct family *find_family(const char *name, size_t size)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		for (size_t j = 0; j < NAMES_MAX && families[i].names[j]; j++) {
			const char *known = families[i].names[j];
			if (strlen(known) == size && memcmp(known, name, size) == 0)
				return &families[i];
		}
	}
	return NULL;
}

/* No just-in-time compiler: a daemon that may not make memory executable must work the same. */
static int compile_all(struct pretokenizer *pretokenizer, struct fail *fail)
{
	for (size_t i = 0; i < PATTERNS_MAX && pretokenizer->family->patterns[i]; i++) {
		int error;
		size_t where;
		pretokenizer->codes[i] = pcre2_compile(
			(PCRE2_SPTR)pretokenizer->family->patterns[i], PCRE2_ZERO_TERMINATED,
			PCRE2_UTF | PCRE2_UCP, &error, &where, NULL);
		if (!pretokenizer->codes[i])
			return fail_set(fail, FAIL_MEMORY,
					"the pre-tokenizer's pattern cannot be compiled: error %d",
					error);
	}
	pretokenizer->limits = pcre2_match_context_create(NULL);
	if (!pretokenizer->limits)
		return fail_set(fail, FAIL_MEMORY, "no memory for the pre-tokenizer");
	pcre2_set_match_limit(pretokenizer->limits, MATCH_STEPS_MAX);
	pcre2_set_heap_limit(pretokenizer->limits, HEAP_KIB_MAX);
	return 0;
}

struct pretokenizer *pretokenizer_create(const char *name, size_t size, struct fail *fail)
{
	const struct family *family = find_family(name, size);
	if (!family) {
		fail_set(fail, FAIL_UNSUPPORTED,
			 "the pre-tokenizer \"%.*s\" is not known to this version",
			 (int)(size < 64 ? size : 64), name);
		return NULL;
	}
	struct pretokenizer *pretokenizer = calloc(1, sizeof(*pretokenizer));
	if (!pretokenizer) {
		fail_set(fail, FAIL_MEMORY, "no memory for the pre-tokenizer");
		return NULL;
	}
	pretokenizer->family = family;
	if (compile_all(pretokenizer, fail) < 0) {
		pretokenizer_destroy(pretokenizer);
		return NULL;
	}
	return pretokenizer;
}

void pretokenizer_destroy(struct pretokenizer *pretokenizer)
{
	if (!pretokenizer)
		return;
	for (size_t i = 0; i < PATTERNS_MAX; i++)
		pcre2_code_free(pretokenizer->codes[i]);
	pcre2_match_context_free(pretokenizer->limits);
	free(pretokenizer);
}

bool pretokenizer_ignores_merges(const struct pretokenizer *pretokenizer)
{
	return pretokenizer->family->ignores_merges;
}

bool pretokenizer_adds_bos(const struct pretokenizer *pretokenizer)
{
	return pretokenizer->family->adds_bos;
}

/* ---- splitting ---- */

struct splitter {
	const struct pretokenizer *pretokenizer;
	const uint8_t *text;
	pcre2_match_data *match;
	struct fail *fail;
};

static void add_end(struct buf *ends, uint32_t end)
{
	buf_append(ends, &end, sizeof(end));
}

/* Cuts one word [start, end) by one pattern; look-aheads do not see past its end. */
static int cut(const struct splitter *splitter, const pcre2_code *code, uint32_t start,
	       uint32_t end, struct buf *ends)
{
	const uint8_t *word = splitter->text + start;
	const uint32_t size = end - start;
	for (uint32_t at = 0; at < size;) {
		const int found = pcre2_match(code, word, size, at, PCRE2_NO_UTF_CHECK,
					      splitter->match, splitter->pretokenizer->limits);
		if (found == PCRE2_ERROR_NOMATCH) {
			add_end(ends, end);
			break;
		}
		if (found < 0)
			return fail_set(splitter->fail, FAIL_INVALID,
					"the text could not be cut into words: error %d", found);
		const size_t *range = pcre2_get_ovector_pointer(splitter->match);
		if (range[0] > at)
			add_end(ends, start + (uint32_t)range[0]);
		add_end(ends, start + (uint32_t)range[1]);
		at = (uint32_t)range[1];
	}
	return ends->failed ? fail_set(splitter->fail, FAIL_MEMORY, "no memory for the words") : 0;
}

static int cut_all(const struct splitter *splitter, const pcre2_code *code,
		   const struct buf *before, struct buf *after)
{
	uint32_t start = 0;
	for (size_t i = 0; i < before->size; i += sizeof(uint32_t)) {
		uint32_t end;
		memcpy(&end, before->data + i, sizeof(end));
		const int result = cut(splitter, code, start, end, after);
		if (result < 0)
			return result;
		start = end;
	}
	return 0;
}

static int split(const struct splitter *splitter, uint32_t size, struct buf *ends)
{
	pcre2_code *const *codes = splitter->pretokenizer->codes;
	int result = cut(splitter, codes[0], 0, size, ends);
	struct buf before;
	buf_init(&before);
	for (size_t i = 1; i < PATTERNS_MAX && codes[i] && result == 0; i++) {
		const struct buf swap = before;
		before = *ends;
		*ends = swap;
		buf_clear(ends);
		result = cut_all(splitter, codes[i], &before, ends);
	}
	buf_finish(&before);
	return result;
}

int pretokenizer_split(const struct pretokenizer *pretokenizer, const uint8_t *text, uint32_t size,
		       struct buf *ends, struct fail *fail)
{
	struct splitter splitter = {
		.pretokenizer = pretokenizer,
		.text = text,
		.match = pcre2_match_data_create(1, NULL),
		.fail = fail,
	};
	if (!splitter.match)
		return fail_set(fail, FAIL_MEMORY, "no memory for the words");
	const int result = split(&splitter, size, ends);
	pcre2_match_data_free(splitter.match);
	return result;
}
