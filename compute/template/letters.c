#include "compute/template/letters.h"

#include "compute/template/glyph.h"

#include <string.h>

#define SIGMA       0x3a3u
#define FINAL_SIGMA 0x3c2u

typedef uint32_t mapping_fn(uint32_t character, uint32_t out[3]);

static bool is_cased(uint32_t character)
{
	return glyph_is_upper(character) || glyph_is_lower(character);
}

static void add_mapped(struct run *run, struct text *text, const struct string *string, uint32_t at,
		       uint32_t character, mapping_fn *map)
{
	uint32_t out[3], size;
	const enum string_mark mark = string_mark(string, at);
	uint32_t count = map(character, out);
	/* the capital sigma is another small letter where it ends a word */
	if (map == glyph_lower && character == SIGMA && at > 0) {
		const uint32_t before = string_before(string, at);
		const uint32_t next = at + 2;
		const bool follows = is_cased(string_character(string, before, &size));
		if (follows &&
		    (next >= string->size || !is_cased(string_character(string, next, &size)))) {
			out[0] = FINAL_SIGMA;
			count = 1;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		text_add_character(run, text, out[i], mark);
}

static struct string *finish(struct run *run, struct text *text, const struct string *from)
{
	struct string *string = string_whole(run, text);
	string->safe = from->safe;
	return string;
}

static struct string *map_all(struct run *run, const struct string *string, mapping_fn *first,
			      mapping_fn *rest)
{
	struct text *text = text_create(run, string->size);
	uint32_t size;
	run_step(run, string->size / 4);
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		add_mapped(run, text, string, at, character, at == 0 ? first : rest);
	}
	return finish(run, text, string);
}

struct string *letters_upper(struct run *run, const struct string *string)
{
	return map_all(run, string, glyph_upper, glyph_upper);
}

struct string *letters_lower(struct run *run, const struct string *string)
{
	return map_all(run, string, glyph_lower, glyph_lower);
}

struct string *letters_capitalize(struct run *run, const struct string *string)
{
	return map_all(run, string, glyph_title, glyph_lower);
}

struct string *letters_title(struct run *run, const struct string *string, bool plain)
{
	struct text *text = text_create(run, string->size);
	uint32_t size;
	bool within = false;
	run_step(run, string->size / 4);
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		/* Jinja's own starts a word anew behind these only */
		const bool begins =
			plain && (glyph_is_space(character) || (character < 0x80 && character > 0 &&
								strchr("-({[<", (int)character)));
		mapping_fn *map = within ? glyph_lower : plain ? glyph_upper : glyph_title;
		add_mapped(run, text, string, at, character, map);
		within = plain ? !begins : is_cased(character);
	}
	return finish(run, text, string);
}

bool letters_all(const struct string *string, bool (*is)(uint32_t character))
{
	uint32_t size;
	for (uint32_t at = 0; at < string->size; at += size)
		if (!is(string_character(string, at, &size)))
			return false;
	return string->size > 0;
}

static bool none_but(const struct string *string, bool (*wanted)(uint32_t character),
		     bool (*other)(uint32_t character))
{
	uint32_t size;
	bool found = false;
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		if (other(character) && !wanted(character))
			return false;
		found = found || wanted(character);
	}
	return found;
}

bool letters_are_upper(const struct string *string)
{
	return none_but(string, glyph_is_upper, glyph_is_lower);
}

bool letters_are_lower(const struct string *string)
{
	return none_but(string, glyph_is_lower, glyph_is_upper);
}
