/* pretokenizer_rules.h: the rules that pre-tokenizers are made of. Each says where the piece that
 * begins at a place ends; hand-written instead of regular expressions, so that no text can make
 * them slow: a character is looked at a bounded number of times.
 *
 * The comment at each rule is the regular expression that it stands for, in PCRE2's syntax with \s
 * for Unicode's White_Space. Rules with "find" leave what they do not match in one piece. */
#ifndef COMPUTE_PRETOKENIZER_RULES_H
#define COMPUTE_PRETOKENIZER_RULES_H

#include <stdint.h>

/* Bytes of UTF-8 up to `end`, surrogates allowed; no rule looks past it. */
struct span {
	const uint8_t *text;
	uint32_t end;
};

/* The end of the piece that begins at `at` (below span->end): above `at`, at most span->end. */
typedef uint32_t (*pretokenizer_rule)(const struct span *span, uint32_t at);

/* '(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
uint32_t rule_gpt2(const struct span *span, uint32_t at);
/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ */
uint32_t rule_llama3(const struct span *span, uint32_t at);
/* The same with \p{N} for \p{N}{1,3} */
uint32_t rule_qwen2(const struct span *span, uint32_t at);
/* The same as qwen2 with [\p{L}\p{M}]+ for \p{L}+, and no marks among the symbols */
uint32_t rule_qwen35(const struct span *span, uint32_t at);
/* The same as qwen2 without the contractions */
uint32_t rule_ufakzeka(const struct span *span, uint32_t at);
/* Words by case, where a letter outside of ASCII has either case:
 * [^\r\n\p{L}\p{N}]?[U]*[L]+|[^\r\n\p{L}\p{N}]?[U]+[L]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ with U for \p{L} but a to z and L for \p{L} but A to Z */
uint32_t rule_tekken(const struct span *span, uint32_t at);
/* The same with a contraction (as in llama3) after either kind of word, and \p{N}{1,3} */
uint32_t rule_gpt4o(const struct span *span, uint32_t at);
/* [!-/:-@[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+, find */
uint32_t rule_deepseek3(const struct span *span, uint32_t at);

uint32_t rule_number(const struct span *span, uint32_t at);        /* \p{N}, find */
uint32_t rule_numbers(const struct span *span, uint32_t at);       /* \p{N}+, find */
uint32_t rule_three_numbers(const struct span *span, uint32_t at); /* \p{N}{1,3}, find */
uint32_t rule_three_digits(const struct span *span, uint32_t at);  /* [0-9]{3}, find */
uint32_t rule_line_end(const struct span *span, uint32_t at);      /* [\r\n], find */
uint32_t rule_lines(const struct span *span, uint32_t at);         /* [^\n]+|\n+ */
uint32_t rule_last_spaces(const struct span *span, uint32_t at);   /* \s+\z, find */
uint32_t rule_letters(const struct span *span, uint32_t at);       /* \s?\p{L}+, find */
uint32_t rule_cased_letters(const struct span *span, uint32_t at); /* \s?[CHARACTER_CASED]+, find */
uint32_t rule_punctuation(const struct span *span, uint32_t at);   /* \s?\p{P}+, find */
uint32_t rule_marks_of_width(const struct span *span,
			     uint32_t at); /* \s?[!-/:-~ and wide]+, find */
/* [\p{P}$+<=>^~|]+ and the same with `, find */
uint32_t rule_signs(const struct span *span, uint32_t at);
uint32_t rule_signs_and_ticks(const struct span *span, uint32_t at);
/* [\x{800}-\x{9fa5}\x{ac00}-\x{d7ff}]+ but spaces, find */
uint32_t rule_eastern(const struct span *span, uint32_t at);
/* [\x{4e00}-\x{9fa5}\x{3040}-\x{30ff}]+, find */
uint32_t rule_japanese(const struct span *span, uint32_t at);

#endif
