#include "compute/pretokenizer_rules.h"

#include "compute/character.h"

#include <stdbool.h>

#define LETTER  CHARACTER_LETTER
#define NUMBER  CHARACTER_NUMBER
#define MARK    CHARACTER_MARK
#define SPACE   CHARACTER_SPACE
#define LINE    CHARACTER_LINE
#define OTHER   CHARACTER_OTHER
#define SYMBOLS (CHARACTER_PUNCTUATION | CHARACTER_SYMBOL)
#define BESIDES (SYMBOLS | MARK | OTHER) /* [^\s\p{L}\p{N}] */

/* ---- looking at the text ---- */

static uint32_t decode(const uint8_t *text, uint32_t *size)
{
	if (text[0] < 0xe0) {
		*size = 2;
		return (text[0] & 0x1fu) << 6 | (text[1] & 0x3fu);
	}
	const uint32_t three = (text[0] & 0xfu) << 12 | (text[1] & 0x3fu) << 6 | (text[2] & 0x3fu);
	*size = text[0] < 0xf0 ? 3 : 4;
	return text[0] < 0xf0 ? three : (three & 0x7fff) << 6 | (text[3] & 0x3fu);
}

/* The character at `at` and where the next one begins. At the end it has no class at all. */
static inline uint32_t look(const struct span *span, uint32_t at, uint32_t *next)
{
	if (at >= span->end) {
		*next = at;
		return 0;
	}
	if (span->text[at] < 0x80) {
		*next = at + 1;
		return character_ascii[span->text[at]];
	}
	uint32_t size;
	const uint32_t code = decode(span->text + at, &size);
	*next = at + size;
	return character_class(code);
}

static uint32_t code_at(const struct span *span, uint32_t at)
{
	uint32_t size;
	return span->text[at] < 0x80 ? span->text[at] : decode(span->text + at, &size);
}

/* Past all characters that have a class of `mask`. */
static inline uint32_t run(const struct span *span, uint32_t at, uint32_t mask)
{
	uint32_t next;
	while (look(span, at, &next) & mask)
		at = next;
	return at;
}

/* Past all characters that have none. */
static inline uint32_t run_without(const struct span *span, uint32_t at, uint32_t mask)
{
	uint32_t next, class;
	while ((class = look(span, at, &next)) && !(class & mask))
		at = next;
	return at;
}

/* A rule of "find": what it matches, or all up to its next match. `match` gives the end of what
 * matches at a place, or the place itself; it takes O(1) steps where nothing matches. */
static inline uint32_t find(const struct span *span, uint32_t at, pretokenizer_rule match)
{
	uint32_t end = match(span, at);
	while (end == at) {
		look(span, at, &at);
		if (at == span->end)
			return at;
		end = match(span, at);
		if (end > at)
			return at;
	}
	return end;
}

/* ---- parts of rules ---- */

/* 's 't 'm 'd 're 've 'll; `fold` is 0x20 where capitals count too. Gives `at` when there is none.
 */
static inline uint32_t contraction(const struct span *span, uint32_t at, uint8_t fold)
{
	const uint8_t *text = span->text + at;
	const uint32_t left = span->end - at;
	if (left < 2 || text[0] != '\'')
		return at;
	const uint8_t first = text[1] | fold;
	if (first == 's' || first == 't' || first == 'm' || first == 'd')
		return at + 2;
	const uint8_t second = left > 2 ? text[2] | fold : 0;
	const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
			 (first == 'l' && second == 'l');
	return two ? at + 3 : at;
}

/* \p{N}{1,most} */
static inline uint32_t numbers(const struct span *span, uint32_t at, uint32_t most)
{
	uint32_t next;
	for (uint32_t i = 0; i < most && look(span, at, &next) & NUMBER; i++)
		at = next;
	return at;
}

/* \s+(?!\S)|\s+: all but the last space, which belongs to the next word. */
static uint32_t spaces(const struct span *span, uint32_t at)
{
	uint32_t next, last = at, end = at;
	while (look(span, end, &next) & SPACE) {
		last = end;
		end = next;
	}
	return end == span->end || last == at ? end : last;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static uint32_t spaces_and_lines(const struct span *span, uint32_t at)
{
	uint32_t next, class, last = at, end = at, lines = at;
	while ((class = look(span, end, &next)) & SPACE) {
		if (class & LINE)
			lines = next;
		last = end;
		end = next;
	}
	if (lines > at)
		return lines;
	return end == span->end || last == at ? end : last;
}

/* Where the piece goes on after the space that may stand before a word. */
static inline uint32_t skip_space(const struct span *span, uint32_t at)
{
	return span->text[at] == ' ' ? at + 1 : at;
}

/* " ?[symbols]+[\r\n]*", with '/' among the line ends where `slash`; `at` when there is none. */
static inline uint32_t symbols(const struct span *span, uint32_t at, uint32_t mask, bool slash)
{
	const uint32_t from = skip_space(span, at);
	uint32_t end = run(span, from, mask);
	if (end == from)
		return at;
	while (end < span->end && (span->text[end] == '\r' || span->text[end] == '\n' ||
				   (slash && span->text[end] == '/')))
		end++;
	return end;
}

/* ---- rules for words ---- */

uint32_t rule_gpt2(const struct span *span, uint32_t at)
{
	const uint32_t end = contraction(span, at, 0);
	if (end > at)
		return end;
	uint32_t next;
	const uint32_t from = skip_space(span, at);
	const uint32_t class = look(span, from, &next);
	if (class & LETTER)
		return run(span, next, LETTER);
	if (class & NUMBER)
		return run(span, next, NUMBER);
	if (class & BESIDES)
		return run(span, next, BESIDES);
	return spaces(span, at);
}

/* llama3 and its kin; they are alike but for these few things. */
struct words {
	uint32_t letters;
	uint32_t numbers;
	bool contractions;
};

static inline uint32_t cut_word(const struct span *span, uint32_t at, struct words words)
{
	uint32_t next, second;
	const uint32_t end = words.contractions ? contraction(span, at, 0x20) : at;
	if (end > at)
		return end;
	const uint32_t class = look(span, at, &next);
	if (class & words.letters)
		return run(span, next, words.letters);
	if (class & NUMBER)
		return numbers(span, at, words.numbers);
	if (!(class & LINE) && look(span, next, &second) & words.letters)
		return run(span, second, words.letters);
	const uint32_t symbols_end = symbols(span, at, BESIDES & ~words.letters, false);
	return symbols_end > at ? symbols_end : spaces_and_lines(span, at);
}

uint32_t rule_llama3(const struct span *span, uint32_t at)
{
	return cut_word(span, at, (struct words){ LETTER, 3, true });
}

uint32_t rule_qwen2(const struct span *span, uint32_t at)
{
	return cut_word(span, at, (struct words){ LETTER, 1, true });
}

uint32_t rule_qwen35(const struct span *span, uint32_t at)
{
	return cut_word(span, at, (struct words){ LETTER | MARK, 1, true });
}

uint32_t rule_ufakzeka(const struct span *span, uint32_t at)
{
	return cut_word(span, at, (struct words){ LETTER, 1, false });
}

/* Letters by case, from a letter on: [U]*[L]+ (of the capitals no more than that [L]+ still finds
 * one that is either), else [U]+. */
static uint32_t cased_run(const struct span *span, uint32_t at)
{
	uint32_t next, class, either = at, end = at;
	while ((class = look(span, end, &next)) & LETTER && !(class & CHARACTER_LOWER)) {
		if (!(class & CHARACTER_UPPER))
			either = next;
		end = next;
	}
	if (!(class & CHARACTER_LOWER))
		return either > at ? either : end;
	while ((class = look(span, end, &next)) & LETTER && !(class & CHARACTER_UPPER))
		end = next;
	return end;
}

/* [^\r\n\p{L}\p{N}]? and letters by case; `at` when there are none. */
static inline uint32_t cased_word(const struct span *span, uint32_t at)
{
	uint32_t next, second;
	const uint32_t class = look(span, at, &next);
	if (class & LETTER)
		return cased_run(span, at);
	if (!(class & (LINE | NUMBER)) && look(span, next, &second) & LETTER)
		return cased_run(span, next);
	return at;
}

static inline uint32_t cut_cased(const struct span *span, uint32_t at, uint32_t most_numbers,
				 bool contractions)
{
	uint32_t end = cased_word(span, at);
	if (end > at)
		return contractions ? contraction(span, end, 0x20) : end;
	end = numbers(span, at, most_numbers);
	if (end > at)
		return end;
	end = symbols(span, at, BESIDES, true);
	return end > at ? end : spaces_and_lines(span, at);
}

uint32_t rule_tekken(const struct span *span, uint32_t at)
{
	return cut_cased(span, at, 1, false);
}

uint32_t rule_gpt4o(const struct span *span, uint32_t at)
{
	return cut_cased(span, at, 3, true);
}

static uint32_t match_deepseek3(const struct span *span, uint32_t at)
{
	uint32_t next, second;
	const uint32_t class = look(span, at, &next);
	const uint32_t follows = look(span, next, &second);
	const bool ascii = span->text[at] < 0x80;
	if (ascii && class & SYMBOLS && follows & (CHARACTER_UPPER | CHARACTER_LOWER))
		return run(span, second, CHARACTER_UPPER | CHARACTER_LOWER);
	if (class & (LETTER | MARK))
		return run(span, next, LETTER | MARK);
	if (!(class & (LINE | SYMBOLS)) && follows & (LETTER | MARK))
		return run(span, second, LETTER | MARK);
	const uint32_t end = symbols(span, at, SYMBOLS, false);
	return end > at ? end : spaces_and_lines(span, at);
}

uint32_t rule_deepseek3(const struct span *span, uint32_t at)
{
	return find(span, at, match_deepseek3);
}

/* ---- rules for one kind of character ---- */

/* \s?[mask]+ */
static inline uint32_t match_spaced(const struct span *span, uint32_t at, uint32_t mask)
{
	uint32_t next;
	const uint32_t class = look(span, at, &next);
	if (class & mask)
		return run(span, next, mask);
	const uint32_t end = class & SPACE ? run(span, next, mask) : next;
	return end > next ? end : at;
}

/* [mask]+ taken out of the rest: needs no second look. */
static inline uint32_t cut_out(const struct span *span, uint32_t at, uint32_t mask)
{
	const uint32_t end = run(span, at, mask);
	return end > at ? end : run_without(span, at, mask);
}

uint32_t rule_number(const struct span *span, uint32_t at)
{
	const uint32_t end = numbers(span, at, 1);
	return end > at ? end : run_without(span, at, NUMBER);
}

uint32_t rule_numbers(const struct span *span, uint32_t at)
{
	return cut_out(span, at, NUMBER);
}

uint32_t rule_three_numbers(const struct span *span, uint32_t at)
{
	const uint32_t end = numbers(span, at, 3);
	return end > at ? end : run_without(span, at, NUMBER);
}

static uint32_t match_three_digits(const struct span *span, uint32_t at)
{
	const uint8_t *text = span->text + at;
	for (uint32_t i = 0; i < 3; i++) {
		if (span->end - at <= i || text[i] < '0' || text[i] > '9')
			return at;
	}
	return at + 3;
}

uint32_t rule_three_digits(const struct span *span, uint32_t at)
{
	return find(span, at, match_three_digits);
}

uint32_t rule_line_end(const struct span *span, uint32_t at)
{
	uint32_t next;
	return look(span, at, &next) & LINE ? next : run_without(span, at, LINE);
}

uint32_t rule_lines(const struct span *span, uint32_t at)
{
	const bool line = span->text[at] == '\n';
	while (at < span->end && (span->text[at] == '\n') == line)
		at++;
	return at;
}

static uint32_t before(const struct span *span, uint32_t at)
{
	do
		at--;
	while ((span->text[at] & 0xc0) == 0x80);
	return at;
}

uint32_t rule_last_spaces(const struct span *span, uint32_t at)
{
	uint32_t last = span->end, next;
	while (last > at && look(span, before(span, last), &next) & SPACE)
		last = before(span, last);
	return last > at ? last : span->end;
}

static uint32_t match_letters(const struct span *span, uint32_t at)
{
	return match_spaced(span, at, LETTER);
}

uint32_t rule_letters(const struct span *span, uint32_t at)
{
	return find(span, at, match_letters);
}

static uint32_t match_cased_letters(const struct span *span, uint32_t at)
{
	return match_spaced(span, at, CHARACTER_CASED);
}

uint32_t rule_cased_letters(const struct span *span, uint32_t at)
{
	return find(span, at, match_cased_letters);
}

static uint32_t match_punctuation(const struct span *span, uint32_t at)
{
	return match_spaced(span, at, CHARACTER_PUNCTUATION);
}

uint32_t rule_punctuation(const struct span *span, uint32_t at)
{
	return find(span, at, match_punctuation);
}

uint32_t rule_signs(const struct span *span, uint32_t at)
{
	return cut_out(span, at, CHARACTER_PUNCTUATION | CHARACTER_SIGN);
}

uint32_t rule_signs_and_ticks(const struct span *span, uint32_t at)
{
	return cut_out(span, at, CHARACTER_PUNCTUATION | CHARACTER_SIGN | CHARACTER_TICK);
}

/* ---- rules for ranges of code points ---- */

struct range {
	uint32_t first, last; /* last 0 ends a list */
};

/* The class of what is in the ranges, or 0; spaces are in none. */
static uint32_t look_in(const struct span *span, uint32_t at, const struct range *ranges,
			uint32_t *next)
{
	const uint32_t class = look(span, at, next);
	if (class == 0 || class & SPACE)
		return 0;
	const uint32_t code = code_at(span, at);
	for (; ranges->last > 0; ranges++) {
		if (code >= ranges->first && code <= ranges->last)
			return class;
	}
	return 0;
}

static uint32_t run_in(const struct span *span, uint32_t at, const struct range *ranges)
{
	uint32_t next;
	while (look_in(span, at, ranges, &next))
		at = next;
	return at;
}

static uint32_t cut_out_ranges(const struct span *span, uint32_t at, const struct range *ranges)
{
	uint32_t end = run_in(span, at, ranges), next;
	if (end > at)
		return end;
	while (end < span->end && !look_in(span, end, ranges, &next))
		end = next;
	return end;
}

uint32_t rule_eastern(const struct span *span, uint32_t at)
{
	static const struct range ranges[] = { { 0x800, 0x9fa5 }, { 0xac00, 0xd7ff }, { 0, 0 } };
	return cut_out_ranges(span, at, ranges);
}

uint32_t rule_japanese(const struct span *span, uint32_t at)
{
	static const struct range ranges[] = { { 0x4e00, 0x9fa5 }, { 0x3040, 0x30ff }, { 0, 0 } };
	return cut_out_ranges(span, at, ranges);
}

/* Of ASCII all that is printed but digits; it holds the letters too, which an earlier rule took. */
static uint32_t match_marks_of_width(const struct span *span, uint32_t at)
{
	static const struct range ranges[] = { { 0x21, 0x2f },
					       { 0x3a, 0x7e },
					       { 0xff01, 0xff0f },
					       { 0xff1a, 0xff5e },
					       { 0x2018, 0x201f },
					       { 0x3001, 0x3002 },
					       { 0, 0 } };
	uint32_t end = run_in(span, at, ranges), next;
	if (end > at || !(look(span, at, &next) & SPACE))
		return end;
	end = run_in(span, next, ranges);
	return end > next ? end : at;
}

uint32_t rule_marks_of_width(const struct span *span, uint32_t at)
{
	return find(span, at, match_marks_of_width);
}
