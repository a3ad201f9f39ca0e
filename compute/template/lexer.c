#include "compute/template/lexer.h"

#include "compute/template/glyph.h"
#include "compute/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer ones first: they are tried in this order. */
static const struct {
	const char *text;
	enum sign sign;
} signs[] = {
	{ "//", SIGN_FLOOR_DIVIDE }, { "**", SIGN_POWER },         { "==", SIGN_EQUAL },
	{ "!=", SIGN_UNEQUAL },      { ">=", SIGN_GREATER_EQUAL }, { "<=", SIGN_LESS_EQUAL },
	{ "+", SIGN_ADD },           { "-", SIGN_SUBTRACT },       { "/", SIGN_DIVIDE },
	{ "*", SIGN_MULTIPLY },      { "%", SIGN_MODULO },         { "~", SIGN_CONCAT },
	{ ">", SIGN_GREATER },       { "<", SIGN_LESS },           { "=", SIGN_ASSIGN },
	{ ".", SIGN_DOT },           { ":", SIGN_COLON },          { "|", SIGN_PIPE },
	{ ",", SIGN_COMMA },         { "(", SIGN_ROUND },          { ")", SIGN_ROUND_END },
	{ "[", SIGN_SQUARE },        { "]", SIGN_SQUARE_END },     { "{", SIGN_CURLY },
	{ "}", SIGN_CURLY_END },
};

const char *lexer_sign(enum sign sign)
{
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (signs[i].sign == sign)
			return signs[i].text;
	return "?";
}

/* ---- the source ---- */

static void check_utf8(struct run *run, const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		const int length = utf8_scan((const uint8_t *)text + at, size - at);
		if (length <= 0)
			run_fail(run, FAIL_INVALID, "byte %zu is not UTF-8", at);
		run->line += text[at] == '\n';
		at += (size_t)length;
	}
	run->line = 1;
}

void lexer_init(struct lexer *lexer, struct run *run, const char *text, size_t size)
{
	check_utf8(run, text, size);
	char *source = run_take(run, size + 1);
	uint32_t used = 0;
	for (size_t at = 0; at < size; at++) {
		if (text[at] == '\r' && at + 1 < size && text[at + 1] == '\n')
			continue;
		source[used++] = text[at] == '\r' ? '\n' : text[at];
	}
	if (used > 0 && source[used - 1] == '\n')
		used--;
	*lexer = (struct lexer){ .run = run,
				 .source = source,
				 .size = used,
				 .line = 1,
				 .line_start = true,
				 .tag = TOKEN_TEXT,
				 .begun = TOKEN_TEXT };
}

static bool is_next(const struct lexer *lexer, uint32_t at, const char *word)
{
	const size_t size = strlen(word);
	return lexer->size - at >= size && memcmp(lexer->source + at, word, size) == 0;
}

/* Counts the lines up to `to`, and goes there. */
static void advance(struct lexer *lexer, uint32_t to)
{
	for (; lexer->at < to; lexer->at++)
		lexer->line += lexer->source[lexer->at] == '\n';
	lexer->run->line = lexer->line;
}

/* Where the white space that begins at `at` ends. */
static uint32_t skip_space(const struct lexer *lexer, uint32_t at)
{
	while (at < lexer->size) {
		uint32_t character;
		const size_t size = utf8_decode_loose((const uint8_t *)lexer->source + at,
						      lexer->size - at, &character);
		if (!glyph_is_space(character))
			break;
		at += (uint32_t)size;
	}
	return at;
}

static struct value frozen(struct run *run, const char *text, uint32_t size)
{
	struct string *string = string_create(run, text, size, STRING_OWN);
	string->text->frozen = true;
	return value_string(string);
}

/* ---- between tags ---- */

/* The start of the next tag or comment at or after `at`, or the end. */
static uint32_t find_tag(const struct lexer *lexer, uint32_t at)
{
	for (; at + 1 < lexer->size; at++)
		if (lexer->source[at] == '{' && lexer->source[at + 1] != 0 &&
		    strchr("{%#", lexer->source[at + 1]))
			return at;
	return lexer->size;
}

/* What a tag at `tag` leaves of the text before it, which begins at `start`: gives its end. */
static uint32_t keep(const struct lexer *lexer, uint32_t start, uint32_t tag, char sign,
		     bool is_print)
{
	struct string text = { .text = &(struct text){ .bytes = (char *)(uintptr_t)lexer->source },
			       .start = start,
			       .size = tag - start };
	if (sign == '-')
		return start + string_strip(lexer->run, &text, NULL, false, true)->size;
	if (sign == '+' || is_print)
		return tag;
	uint32_t line = tag;
	while (line > start && lexer->source[line - 1] != '\n')
		line--;
	const bool blank = skip_space(lexer, line) >= tag;
	return blank && (line > start || lexer->line_start) ? line : tag;
}

/* The end of a tag whose closing mark (with its signs) begins at `at`; 0 when there is none. For
 * block tags and comments, `trims`, the newline after it goes too. */
static uint32_t closing(const struct lexer *lexer, uint32_t at, const char *mark, bool trims)
{
	const char sign = at < lexer->size ? lexer->source[at] : 0;
	const bool signed_ = sign == '-' || (sign == '+' && trims);
	if (!is_next(lexer, at + signed_, mark))
		return 0;
	const uint32_t end = at + signed_ + 2;
	if (signed_)
		return sign == '-' ? skip_space(lexer, end) : end;
	return trims && is_next(lexer, end, "\n") ? end + 1 : end;
}

static void go_past(struct lexer *lexer, uint32_t end)
{
	advance(lexer, end);
	lexer->line_start = end > 0 && lexer->source[end - 1] == '\n';
}

static void skip_comment(struct lexer *lexer, uint32_t at)
{
	for (; at < lexer->size; at++) {
		const uint32_t end = closing(lexer, at, "#}", true);
		if (end > 0) {
			go_past(lexer, end);
			return;
		}
	}
	run_fail(lexer->run, FAIL_INVALID, "a comment does not end");
}

/* The end of "{% raw %}" or "{% endraw %}" that begins at `at`, or 0; its sign. */
static uint32_t raw_tag(const struct lexer *lexer, uint32_t at, const char *word, char *sign)
{
	if (!is_next(lexer, at, "{%"))
		return 0;
	at += 2;
	*sign = at < lexer->size && strchr("+-", lexer->source[at]) ? lexer->source[at] : 0;
	at = skip_space(lexer, at + (*sign != 0));
	if (!is_next(lexer, at, word))
		return 0;
	at = skip_space(lexer, at + (uint32_t)strlen(word));
	return closing(lexer, at, "%}", strcmp(word, "endraw") == 0);
}

/* The text of a raw block whose opening tag ends at `start`. */
static void lex_raw(struct lexer *lexer, uint32_t start, struct token *token)
{
	char sign;
	go_past(lexer, start);
	for (uint32_t at = start; at < lexer->size; at++) {
		const uint32_t end = raw_tag(lexer, at, "endraw", &sign);
		if (end == 0)
			continue;
		const uint32_t kept = keep(lexer, start, at, sign, false);
		token->value = frozen(lexer->run, lexer->source + start, kept - start);
		token->type = TOKEN_TEXT;
		go_past(lexer, end);
		return;
	}
	run_fail(lexer->run, FAIL_INVALID, "a raw block does not end");
}

/* Reads up to the next tag. */
static void lex_text(struct lexer *lexer, struct token *token)
{
	const uint32_t start = lexer->at, tag = find_tag(lexer, start);
	token->line = lexer->line;
	token->type = TOKEN_TEXT;
	if (tag == lexer->size) {
		token->value = frozen(lexer->run, lexer->source + start, tag - start);
		go_past(lexer, tag);
		return;
	}
	const char second = lexer->source[tag + 1];
	const char after = tag + 2 < lexer->size ? lexer->source[tag + 2] : 0;
	const char sign = after == '-' || after == '+' ? after : 0;
	const uint32_t kept = keep(lexer, start, tag, sign, second == '{');
	token->value = frozen(lexer->run, lexer->source + start, kept - start);
	go_past(lexer, tag);
	if (second == '#')
		skip_comment(lexer, tag + 2 + (sign != 0));
	else
		lexer->begun = second == '{' ? TOKEN_PRINT : TOKEN_BLOCK;
}

/* ---- within tags ---- */

static bool is_name(char byte)
{
	return byte == '_' || isalnum((unsigned char)byte);
}

/* Digits with single underscores between them; gives their end. */
static uint32_t digits_end(const struct lexer *lexer, uint32_t at, int (*is_digit)(int))
{
	const char *source = lexer->source;
	while (at < lexer->size &&
	       (is_digit((unsigned char)source[at]) || (source[at] == '_' && at + 1 < lexer->size &&
							is_digit((unsigned char)source[at + 1]))))
		at++;
	return at;
}

static bool digit_at(const struct lexer *lexer, uint32_t at)
{
	return at < lexer->size && isdigit((unsigned char)lexer->source[at]);
}

/* Copies a number without its underscores, bounded. */
static void plain_number(const struct lexer *lexer, uint32_t end, char out[64])
{
	uint32_t used = 0;
	for (uint32_t at = lexer->at; at < end; at++) {
		if (used == 63)
			run_fail(lexer->run, FAIL_UNSUPPORTED, "a number has too many digits");
		if (lexer->source[at] != '_')
			out[used++] = lexer->source[at];
	}
	out[used] = 0;
}

static struct value whole_number(struct run *run, const char *digits, int base)
{
	errno = 0;
	const long long whole = strtoll(digits, NULL, base);
	if (errno == ERANGE)
		run_fail(run, FAIL_UNSUPPORTED, "the number %s needs more than 64 bits", digits);
	return value_integer(whole);
}

static void lex_number(struct lexer *lexer, struct token *token)
{
	char digits[64];
	const char *source = lexer->source;
	const bool zero = source[lexer->at] == '0' && lexer->at + 1 < lexer->size;
	const char letter = zero ? (char)tolower((unsigned char)source[lexer->at + 1]) : 0;
	const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
	token->type = TOKEN_CONSTANT;
	if (base != 10) {
		const uint32_t end = digits_end(lexer, lexer->at + 2, isxdigit);
		plain_number(lexer, end, digits);
		token->value = whole_number(lexer->run, digits + 2, base);
		advance(lexer, end);
		return;
	}
	uint32_t end = digits_end(lexer, lexer->at, isdigit);
	bool real = false;
	const bool index = source[lexer->at - 1] == '.'; /* item.0.1 */
	if (!index && end < lexer->size && source[end] == '.' && digit_at(lexer, end + 1)) {
		real = true;
		end = digits_end(lexer, end + 1, isdigit);
	}
	if (!index && end < lexer->size && tolower((unsigned char)source[end]) == 'e') {
		const bool sign = end + 1 < lexer->size && strchr("+-", source[end + 1]);
		if (digit_at(lexer, end + 1 + sign)) {
			real = true;
			end = digits_end(lexer, end + 1 + sign, isdigit);
		}
	}
	plain_number(lexer, end, digits);
	token->value =
		real ? value_real(strtod(digits, NULL)) : whole_number(lexer->run, digits, 10);
	advance(lexer, end);
}

/* The value of up to `most` digits at `*at`, which goes past them. */
static uint32_t escaped_number(const struct lexer *lexer, uint32_t *at, uint32_t end, int most,
			       int base)
{
	uint32_t number = 0;
	int count = 0;
	for (; count < most && *at < end; count++, ++*at) {
		const char digit = lexer->source[*at];
		const int value = isdigit((unsigned char)digit) ? digit - '0'
				  : isxdigit((unsigned char)digit)
					  ? tolower((unsigned char)digit) - 'a' + 10
					  : 16;
		if (value >= base)
			break;
		number = number * (uint32_t)base + (uint32_t)value;
	}
	if (count == 0 || (base == 16 && count < most) || number > 0x10ffff ||
	    (number >= 0xd800 && number < 0xe000))
		run_fail(lexer->run, FAIL_UNSUPPORTED, "a string escapes what is no character");
	return number;
}

/* What follows a backslash at `at`; gives where the string goes on. */
static uint32_t lex_escape(struct lexer *lexer, uint32_t at, uint32_t end, struct text *text)
{
	static const char plain[] = "\\\\''\"\"n\nt\tr\ra\ab\bf\fv\v";
	const char letter = lexer->source[at];
	for (size_t i = 0; i + 1 < sizeof(plain); i += 2) {
		if (plain[i] == letter) {
			text_add(lexer->run, text, &plain[i + 1], 1, STRING_OWN);
			return at + 1;
		}
	}
	if (letter == '\n')
		return at + 1;
	if (letter == 'N')
		run_fail(lexer->run, FAIL_UNSUPPORTED, "a string has a character by name (\\N)");
	const int most = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
	const bool octal = letter >= '0' && letter < '8';
	if (most == 0 && !octal) {
		text_add(lexer->run, text, "\\", 1, STRING_OWN);
		return at;
	}
	uint32_t next = at + !octal;
	const uint32_t character =
		escaped_number(lexer, &next, end, octal ? 3 : most, octal ? 8 : 16);
	text_add_character(lexer->run, text, character, STRING_OWN);
	return next;
}

static void lex_string(struct lexer *lexer, struct token *token)
{
	const char *source = lexer->source;
	const char quote = source[lexer->at];
	uint32_t end = lexer->at + 1;
	while (end < lexer->size && source[end] != quote)
		end += source[end] == '\\' ? 2 : 1;
	if (end >= lexer->size)
		run_fail(lexer->run, FAIL_INVALID, "a string does not end");
	struct text *text = text_create(lexer->run, end - lexer->at);
	for (uint32_t at = lexer->at + 1; at < end;) {
		if (source[at] == '\\')
			at = lex_escape(lexer, at + 1, end, text);
		else
			text_add(lexer->run, text, &source[at++], 1, STRING_OWN);
	}
	text->frozen = true;
	token->type = TOKEN_CONSTANT;
	token->value = value_string(string_whole(lexer->run, text));
	advance(lexer, end + 1);
}

static void balance(struct lexer *lexer, char bracket)
{
	static const char pairs[] = "()[]{}";
	const char *place = strchr(pairs, bracket);
	if (!place)
		return;
	if ((place - pairs) % 2 == 0) {
		if (lexer->n_open == sizeof(lexer->open))
			run_fail(lexer->run, FAIL_INVALID, "brackets nest too deep");
		lexer->open[lexer->n_open++] = place[1];
	} else if (lexer->n_open == 0 || lexer->open[--lexer->n_open] != bracket) {
		run_fail(lexer->run, FAIL_INVALID, "there is a '%c' too many", bracket);
	}
}

static void lex_sign(struct lexer *lexer, struct token *token)
{
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (!is_next(lexer, lexer->at, signs[i].text))
			continue;
		if (signs[i].text[1] == 0)
			balance(lexer, signs[i].text[0]);
		token->type = TOKEN_SIGN;
		token->sign = signs[i].sign;
		advance(lexer, lexer->at + (uint32_t)strlen(signs[i].text));
		return;
	}
	run_fail(lexer->run, FAIL_INVALID, "a character stands where none may: \"%.*s\"", 1,
		 (unsigned char)lexer->source[lexer->at] < 0x80 ? lexer->source + lexer->at : "?");
}

/* True when the tag ended. */
static bool lex_end(struct lexer *lexer, struct token *token)
{
	const bool block = lexer->tag == TOKEN_BLOCK;
	if (lexer->n_open > 0)
		return false;
	const uint32_t end = closing(lexer, lexer->at, block ? "%}" : "}}", block);
	if (end == 0)
		return false;
	token->type = block ? TOKEN_BLOCK_END : TOKEN_PRINT_END;
	lexer->tag = TOKEN_TEXT;
	go_past(lexer, end);
	return true;
}

static void lex_tag(struct lexer *lexer, struct token *token)
{
	/* a sign that closes the tag comes before white space and operators */
	if (lex_end(lexer, token))
		return;
	advance(lexer, skip_space(lexer, lexer->at));
	token->line = lexer->line;
	if (lexer->at == lexer->size)
		run_fail(lexer->run, FAIL_INVALID, "a tag does not end");
	if (lex_end(lexer, token))
		return;
	const char next = lexer->source[lexer->at];
	if (isdigit((unsigned char)next)) {
		lex_number(lexer, token);
	} else if (next == '"' || next == '\'') {
		lex_string(lexer, token);
	} else if (is_name(next)) {
		token->type = TOKEN_NAME;
		token->text = lexer->source + lexer->at;
		uint32_t end = lexer->at;
		while (end < lexer->size && is_name(lexer->source[end]))
			end++;
		token->size = end - lexer->at;
		advance(lexer, end);
	} else {
		lex_sign(lexer, token);
	}
}

/* A tag whose text was told: enters it, or reads a raw block. */
static bool begin_tag(struct lexer *lexer, struct token *token)
{
	char sign;
	const uint32_t raw = raw_tag(lexer, lexer->at, "raw", &sign);
	const enum token_type tag = lexer->begun;
	lexer->begun = TOKEN_TEXT;
	if (raw > 0) {
		lex_raw(lexer, raw, token);
		return token->value.string->size > 0;
	}
	const char after = lexer->at + 2 < lexer->size ? lexer->source[lexer->at + 2] : 0;
	go_past(lexer, lexer->at + 2 + (after == '-' || after == '+'));
	lexer->tag = tag;
	lexer->n_open = 0;
	token->type = tag;
	return true;
}

void lexer_next(struct lexer *lexer, struct token *token)
{
	for (;;) {
		*token = (struct token){ .line = lexer->line, .sign = SIGN_NONE };
		if (lexer->begun != TOKEN_TEXT) {
			if (begin_tag(lexer, token))
				return;
		} else if (lexer->tag != TOKEN_TEXT) {
			lex_tag(lexer, token);
			return;
		} else if (lexer->at == lexer->size) {
			token->type = TOKEN_END;
			return;
		} else {
			lex_text(lexer, token);
			if (token->value.string->size > 0)
				return;
		}
	}
}
