/* patterns.h: pre-tokenizers as regular expressions, run by PCRE2: what the hand-written rules are
 * compared with. */
#ifndef TESTS_PATTERNS_H
#define TESTS_PATTERNS_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* White_Space of Unicode, for use inside [ ]; \s of PCRE2 has U+180E besides. */
#define S                                                                                          \
	"\\t-\\r "                                                                                 \
	"\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define ENGLISH "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define SPACES  "[" S "]+(?![^" S "])|[" S "]+"
#define LINES   "[" S "]*[\\r\\n]+|" SPACES
#define WORDS(letters, numbers)                                                                    \
	"[^\\r\\n\\p{L}\\p{N}]?[" letters "]+|" numbers "| ?[^" S letters "\\p{N}]+[\\r\\n]*"      \
	"|" LINES
#define GPT2  "'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" SPACES
#define UPPER "(?:(?=\\p{L})[^a-z])"
#define LOWER "(?:(?=\\p{L})[^A-Z])"
#define CASED(after, numbers)                                                                      \
	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" after "|[^\\r\\n\\p{L}\\p{N}]?" UPPER         \
	"+" LOWER "*" after "|" numbers "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|" LINES
#define CASED_LETTERS                                                                              \
	"A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"             \
	"\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{391}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{3ff}"    \
	"\\x{410}-\\x{44f}\\x{1e00}-\\x{1eff}\\x{2183}\\x{2184}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{"  \
	"ff5a}"
#define EASTERN  "(?:(?![" S "])[\\x{800}-\\x{9fa5}\\x{ac00}-\\x{d7ff}])+"
#define JAPANESE "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{30ff}]+"
#define WIDE                                                                                       \
	"[" S                                                                                      \
	"]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3001}\\x{3002}]+"
#define DEEPSEEK3                                                                                  \
	"[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"                   \
	" ?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES

static const struct patterns {
	const char *name; /* of `tokenizer.ggml.pre` */
	const char *patterns[7];
} all_patterns[] = {
	{ "default", { "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9]{3}" } },
	{ "llama-bpe", { ENGLISH "|" WORDS("\\p{L}", "\\p{N}{1,3}") } },
	{ "glm4", { ENGLISH "|" WORDS("\\p{L}", "\\p{N}{1,3}") } },
	{ "dbrx", { ENGLISH "|" WORDS("\\p{L}", "\\p{N}{1,3}") } },
	{ "minicpm5", { "\\p{N}{1,3}", ENGLISH "|" WORDS("\\p{L}", "\\p{N}+") } },
	{ "qwen2", { ENGLISH "|" WORDS("\\p{L}", "\\p{N}") } },
	{ "qwen35", { ENGLISH "|" WORDS("\\p{L}\\p{M}", "\\p{N}") } },
	{ "ufakzeka", { WORDS("\\p{L}", "\\p{N}") } },
	{ "laguna", { "[^\\n]+|\\n+", ENGLISH "|" WORDS("\\p{L}", "\\p{N}") } },
	{ "gpt-2", { GPT2 } },
	{ "mpt", { GPT2 } },
	{ "starcoder", { "\\p{N}", GPT2 } },
	{ "refact", { "\\p{N}", GPT2 } },
	{ "command-r", { "\\p{N}", GPT2 } },
	{ "smollm", { "\\p{N}", GPT2 } },
	{ "falcon", { "[\\p{P}$+<=>^~|`]+", GPT2, "[0-9]{3}" } },
	{ "tekken", { CASED("", "\\p{N}") } },
	{ "gpt-4o", { CASED("(?:" ENGLISH ")?", "\\p{N}{1,3}") } },
	{ "llama4", { CASED("(?:" ENGLISH ")?", "\\p{N}{1,3}") } },
	{ "deepseek-llm",
	  { "[\\r\\n]", "[" S "]?[" CASED_LETTERS "]+", WIDE, "[" S "]+\\z", EASTERN, "\\p{N}+" } },
	{ "deepseek-coder",
	  { "[\\r\\n]", "[" S "]?\\p{L}+", "[" S "]?\\p{P}+", EASTERN, "\\p{N}" } },
	{ "deepseek-v3", { "\\p{N}{1,3}", JAPANESE, DEEPSEEK3 } },
	{ "gemma4", { "[^\\n]+|\\n+" } },
};
#define ALL_PATTERNS (sizeof(all_patterns) / sizeof(all_patterns[0]))

static inline pcre2_code *pattern_compile(const char *pattern)
{
	int error;
	size_t where;
	return pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
			     &error, &where, NULL);
}

static inline void pattern_cut_piece(const pcre2_code *code, pcre2_match_data *match,
				     const uint8_t *text, uint32_t start, uint32_t end,
				     struct buf *ends)
{
	const uint32_t size = end - start;
	for (uint32_t at = 0; at < size;) {
		const int found =
			pcre2_match(code, text + start, size, at, PCRE2_NO_UTF_CHECK, match, NULL);
		const size_t *range = pcre2_get_ovector_pointer(match);
		const uint32_t from = found < 0 ? size : (uint32_t)range[0];
		const uint32_t to = found < 0 ? size : (uint32_t)range[1];
		if (found < 0 && found != PCRE2_ERROR_NOMATCH)
			abort();
		if (from > at)
			buf_append(ends, &(uint32_t){ start + from }, sizeof(from));
		if (to > from)
			buf_append(ends, &(uint32_t){ start + to }, sizeof(to));
		at = to;
	}
}

/* Appends the ends (u32) of the words of `text` to `ends`, empty at first: one pattern after the
 * other, each within the pieces of the one before. */
static inline void pattern_split(pcre2_code *const *codes, const uint8_t *text, uint32_t size,
				 struct buf *ends)
{
	pcre2_match_data *match = pcre2_match_data_create(1, NULL);
	struct buf before;
	buf_init(&before);
	buf_append(ends, &size, sizeof(size));
	for (size_t i = 0; codes[i]; i++) {
		const struct buf swap = before;
		before = *ends;
		*ends = swap;
		buf_clear(ends);
		uint32_t start = 0;
		for (size_t at = 0; at < before.size; at += sizeof(uint32_t)) {
			uint32_t end;
			memcpy(&end, before.data + at, sizeof(end));
			pattern_cut_piece(codes[i], match, text, start, end, ends);
			start = end;
		}
	}
	buf_finish(&before);
	pcre2_match_data_free(match);
}

#undef S
#endif
