#include "compute/template/search.h"

#include "compute/template/glyph.h"
#include "compute/template/print.h"

static void add_part(struct run *run, struct sequence *parts, const struct string *string,
		     uint32_t start, uint32_t end)
{
	run_step(run, 1);
	value_append(run, parts, value_string(string_part(run, string, start, end - start)));
}

static void want_separator(struct run *run, const struct string *separator)
{
	if (separator->size == 0)
		run_fail(run, FAIL_INVALID, "a text is split at nothing: the separator is empty");
}

/* Where the white space (or what is none) that begins at `at` ends. */
static uint32_t skip(const struct string *string, uint32_t at, bool space)
{
	uint32_t size;
	while (at < string->size && glyph_is_space(string_character(string, at, &size)) == space)
		at += size;
	return at;
}

static struct value split_at_space(struct run *run, const struct string *string, int64_t most)
{
	struct value parts = value_sequence(run, SEQUENCE_LIST);
	uint32_t at = skip(string, 0, true);
	run_step(run, string->size / 4);
	while (at < string->size) {
		if (most >= 0 && parts.sequence->count == (uint64_t)most) {
			add_part(run, parts.sequence, string, at, string->size);
			break;
		}
		const uint32_t end = skip(string, at, false);
		add_part(run, parts.sequence, string, at, end);
		at = skip(string, end, true);
	}
	return parts;
}

struct value search_split(struct run *run, const struct string *string,
			  const struct string *separator, int64_t most)
{
	uint32_t at = 0;
	if (!separator)
		return split_at_space(run, string, most);
	want_separator(run, separator);
	run_step(run, string->size / 16);
	struct value parts = value_sequence(run, SEQUENCE_LIST);
	while (most < 0 || parts.sequence->count < (uint64_t)most) {
		const uint32_t end = string_find(string, separator, at);
		if (end == STRING_NONE)
			break;
		add_part(run, parts.sequence, string, at, end);
		at = end + separator->size;
	}
	add_part(run, parts.sequence, string, at, string->size);
	return parts;
}

static void reverse(struct sequence *parts)
{
	for (uint32_t i = 0; i < parts->count / 2; i++) {
		const struct value first = parts->items[i];
		parts->items[i] = parts->items[parts->count - 1 - i];
		parts->items[parts->count - 1 - i] = first;
	}
}

struct value search_split_last(struct run *run, const struct string *string,
			       const struct string *separator, int64_t most)
{
	uint32_t end = string->size;
	if (most < 0)
		return search_split(run, string, separator, -1);
	if (!separator)
		run_fail(run, FAIL_UNSUPPORTED,
			 "rsplit at white space with a limit is not known here");
	want_separator(run, separator);
	run_step(run, ((uint64_t)string->size * (1 + separator->size)) / 16);
	struct value parts = value_sequence(run, SEQUENCE_LIST);
	while (parts.sequence->count < (uint64_t)most) {
		const uint32_t at = string_find_last(string, separator, end);
		if (at == STRING_NONE)
			break;
		add_part(run, parts.sequence, string, at + separator->size, end);
		end = at;
	}
	add_part(run, parts.sequence, string, 0, end);
	reverse(parts.sequence);
	return parts;
}

/* Source: Python's documentation of str.splitlines. */
static bool ends_line(uint32_t character)
{
	return (character >= '\n' && character <= '\r') ||
	       (character >= 0x1c && character <= 0x1e) || character == 0x85 ||
	       character == 0x2028 || character == 0x2029;
}

struct value search_lines(struct run *run, const struct string *string, bool keep_ends)
{
	struct value lines = value_sequence(run, SEQUENCE_LIST);
	uint32_t start = 0, size;
	run_step(run, string->size / 4);
	for (uint32_t at = 0; at < string->size; at += size) {
		const uint32_t character = string_character(string, at, &size);
		if (!ends_line(character))
			continue;
		const bool pair = character == '\r' && at + 1 < string->size &&
				  string_bytes(string)[at + 1] == '\n';
		size += pair;
		add_part(run, lines.sequence, string, start, keep_ends ? at + size : at);
		start = at + size;
	}
	if (start < string->size)
		add_part(run, lines.sequence, string, start, string->size);
	return lines;
}

struct value search_partition(struct run *run, const struct string *string,
			      const struct string *separator, bool last)
{
	want_separator(run, separator);
	run_step(run, ((uint64_t)string->size * (1 + (last ? separator->size : 0))) / 16);
	struct value parts = value_sequence(run, SEQUENCE_TUPLE);
	const uint32_t at = last ? string_find_last(string, separator, string->size)
				 : string_find(string, separator, 0);
	const uint32_t none = last ? 0 : string->size;
	const bool found = at != STRING_NONE;
	add_part(run, parts.sequence, string, 0, found ? at : none);
	add_part(run, parts.sequence, string, found ? at : none,
		 found ? at + separator->size : none);
	add_part(run, parts.sequence, string, found ? at + separator->size : none, string->size);
	return parts;
}

/* An empty `old` stands before every character and at the end. */
static struct string *insert_everywhere(struct run *run, const struct string *string,
					const struct string *new, int64_t most)
{
	struct text *text = text_create(run, string->size);
	uint32_t size, at = 0;
	for (; most != 0; most--) {
		run_step(run, 1);
		text_add_string(run, text, new);
		if (at == string->size)
			break;
		string_character(string, at, &size);
		text_add_part(run, text, string, at, size);
		at += size;
	}
	text_add_part(run, text, string, at, string->size - at);
	return string_whole(run, text);
}

struct string *search_replace(struct run *run, const struct string *string,
			      const struct string *old, const struct string *new, int64_t most)
{
	uint32_t at = 0;
	if (old->size == 0)
		return insert_everywhere(run, string, new, most);
	run_step(run, string->size / 16);
	uint32_t found = string_find(string, old, 0);
	if (found == STRING_NONE || most == 0)
		return string_part(run, string, 0, string->size);
	struct text *text = text_create(run, string->size);
	for (; found != STRING_NONE && most != 0; most--) {
		run_step(run, 1);
		text_add_part(run, text, string, at, found - at);
		text_add_string(run, text, new);
		at = found + old->size;
		found = string_find(string, old, at);
	}
	text_add_part(run, text, string, at, string->size - at);
	return string_whole(run, text);
}

struct string *search_join(struct run *run, const struct string *separator,
			   const struct sequence *items, bool strict)
{
	struct text *text = text_create(run, 0);
	for (uint32_t i = 0; i < items->count; i++) {
		if (strict && items->items[i].type != VALUE_STRING)
			run_fail(run, FAIL_INVALID, "join: item %u is %s, no text", i,
				 value_type_name(items->items[i]));
		run_step(run, 1);
		if (i > 0)
			text_add_string(run, text, separator);
		text_add_string(run, text, print_text(run, items->items[i]));
	}
	return string_whole(run, text);
}

int64_t search_count(struct run *run, const struct string *string, const struct string *needle)
{
	int64_t count = 0;
	run_step(run, string->size / 16);
	if (needle->size == 0)
		return (int64_t)string_characters(string) + 1;
	for (uint32_t at = 0; (at = string_find(string, needle, at)) != STRING_NONE; count++)
		at += needle->size;
	return count;
}
