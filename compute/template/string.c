#include "compute/template/string.h"

#include "compute/template/glyph.h"
#include "compute/utf8.h"

#include <string.h>

#define TEXT_LEAST 32u

/* ---- texts ---- */

struct text *text_create(struct run *run, uint32_t capacity)
{
	struct text *text = run_take(run, sizeof(*text));
	if (capacity > 0)
		text->bytes = run_take(run, capacity);
	text->capacity = capacity;
	return text;
}

static void grow(struct run *run, struct text *text, size_t size)
{
	const uint64_t wanted = (uint64_t)text->size + size;
	uint64_t capacity = wanted + wanted / 2;
	if (wanted <= text->capacity)
		return;
	if (wanted > INT32_MAX)
		run_fail(run, FAIL_MEMORY, "a text grows beyond 2 GiB");
	if (capacity < TEXT_LEAST)
		capacity = TEXT_LEAST;
	char *bytes = run_take(run, capacity);
	if (text->size > 0)
		memcpy(bytes, text->bytes, text->size);
	if (text->marks) {
		uint8_t *marks = run_take(run, capacity);
		memcpy(marks, text->marks, text->size);
		text->marks = marks;
	}
	text->bytes = bytes;
	text->capacity = (uint32_t)capacity;
}

/* From one mark for all to a mark for each. */
static void mark_each(struct run *run, struct text *text)
{
	text->marks = run_take(run, text->capacity);
	memset(text->marks, text->mark, text->size);
}

static void extend(struct run *run, struct text *text, const char *bytes, const uint8_t *marks,
		   enum string_mark mark, size_t size)
{
	if (size == 0)
		return;
	run_step(run, size / 16);
	grow(run, text, size);
	if (text->size == 0 && !marks)
		text->mark = (uint8_t)mark;
	if (!text->marks && (marks || text->mark != mark))
		mark_each(run, text);
	if (marks)
		memcpy(text->marks + text->size, marks, size);
	else if (text->marks)
		memset(text->marks + text->size, mark, size);
	memcpy(text->bytes + text->size, bytes, size);
	text->size += (uint32_t)size;
}

void text_add(struct run *run, struct text *text, const char *bytes, size_t size,
	      enum string_mark mark)
{
	extend(run, text, bytes, NULL, mark, size);
}

void text_add_part(struct run *run, struct text *text, const struct string *string, uint32_t start,
		   uint32_t size)
{
	const struct text *from = string->text;
	start += string->start;
	if (size > 0)
		extend(run, text, from->bytes + start, from->marks ? from->marks + start : NULL,
		       (enum string_mark)from->mark, size);
}

void text_add_string(struct run *run, struct text *text, const struct string *string)
{
	text_add_part(run, text, string, 0, string->size);
}

void text_add_character(struct run *run, struct text *text, uint32_t character,
			enum string_mark mark)
{
	uint8_t bytes[4];
	const size_t size = utf8_encode(character, bytes);
	text_add(run, text, (const char *)bytes, size, mark);
}

/* ---- strings ---- */

struct string *string_whole(struct run *run, struct text *text)
{
	struct string *string = run_take(run, sizeof(*string));
	string->text = text;
	string->size = text->size;
	return string;
}

struct string *string_create(struct run *run, const char *bytes, size_t size, enum string_mark mark)
{
	if (size > INT32_MAX)
		run_fail(run, FAIL_MEMORY, "a text grows beyond 2 GiB");
	struct text *text = text_create(run, (uint32_t)size);
	text_add(run, text, bytes, size, mark);
	return string_whole(run, text);
}

struct string *string_part(struct run *run, const struct string *string, uint32_t start,
			   uint32_t size)
{
	struct string *part = run_take(run, sizeof(*part));
	*part = *string;
	part->start += start;
	part->size = size;
	return part;
}

struct string *string_concat(struct run *run, const struct string *left, const struct string *right)
{
	struct string *both = run_take(run, sizeof(*both));
	*both = *left;
	if (left->size == 0) {
		*both = *right;
	} else if (left->start + left->size == left->text->size && !left->text->frozen) {
		text_add_string(run, left->text, right);
		both->size += right->size;
	} else if (right->size > 0) {
		struct text *text = text_create(run, left->size + right->size);
		text_add_string(run, text, left);
		text_add_string(run, text, right);
		*both = (struct string){ .text = text, .size = text->size };
	}
	both->safe = left->safe || right->safe;
	return both;
}

struct string *string_escape(struct run *run, const struct string *string)
{
	static const struct {
		char character;
		const char *name;
	} names[] = { { '&', "&amp;" },
		      { '<', "&lt;" },
		      { '>', "&gt;" },
		      { '"', "&#34;" },
		      { '\'', "&#39;" } };
	struct text *text = text_create(run, string->size);
	const char *bytes = string_bytes(string);
	for (uint32_t at = 0; at < string->size; at++) {
		size_t i = 0;
		while (i < 5 && names[i].character != bytes[at])
			i++;
		if (i < 5)
			text_add(run, text, names[i].name, strlen(names[i].name),
				 string_mark(string, at));
		else
			text_add_part(run, text, string, at, 1);
	}
	struct string *escaped = string_whole(run, text);
	escaped->safe = true;
	return escaped;
}

const char *string_bytes(const struct string *string)
{
	return string->text->bytes ? string->text->bytes + string->start : "";
}

enum string_mark string_mark(const struct string *string, uint32_t at)
{
	const struct text *text = string->text;
	return (enum string_mark)(text->marks ? text->marks[string->start + at] : text->mark);
}

bool string_is(const struct string *string, const char *word)
{
	return strlen(word) == string->size &&
	       memcmp(string_bytes(string), word, string->size) == 0;
}

int string_compare(const struct string *left, const struct string *right)
{
	const uint32_t size = left->size < right->size ? left->size : right->size;
	const int order = memcmp(string_bytes(left), string_bytes(right), size);
	return order ? order : left->size < right->size ? -1 : left->size > right->size;
}

bool string_starts(const struct string *string, const struct string *with)
{
	return with->size <= string->size &&
	       memcmp(string_bytes(string), string_bytes(with), with->size) == 0;
}

bool string_ends(const struct string *string, const struct string *with)
{
	return with->size <= string->size &&
	       memcmp(string_bytes(string) + string->size - with->size, string_bytes(with),
		      with->size) == 0;
}

uint32_t string_find(const struct string *string, const struct string *needle, uint32_t from)
{
	if (from > string->size)
		return STRING_NONE;
	const char *bytes = string_bytes(string);
	const char *found =
		memmem(bytes + from, string->size - from, string_bytes(needle), needle->size);
	return found ? (uint32_t)(found - bytes) : STRING_NONE;
}

uint32_t string_find_last(const struct string *string, const struct string *needle, uint32_t to)
{
	const char *bytes = string_bytes(string);
	if (needle->size > to)
		return STRING_NONE;
	for (uint32_t at = to - needle->size + 1; at-- > 0;)
		if (memcmp(bytes + at, string_bytes(needle), needle->size) == 0)
			return at;
	return STRING_NONE;
}

/* ---- characters ---- */

static bool is_first(char byte)
{
	return ((uint8_t)byte & 0xc0) != 0x80;
}

uint32_t string_characters(const struct string *string)
{
	const char *bytes = string_bytes(string);
	uint32_t count = 0;
	for (uint32_t at = 0; at < string->size; at++)
		count += is_first(bytes[at]);
	return count;
}

uint32_t string_character(const struct string *string, uint32_t at, uint32_t *size)
{
	uint32_t character = UTF8_REPLACEMENT;
	const uint8_t *bytes = (const uint8_t *)string_bytes(string) + at;
	const size_t length = utf8_decode_loose(bytes, string->size - at, &character);
	*size = length ? (uint32_t)length : 1;
	return character;
}

uint32_t string_before(const struct string *string, uint32_t at)
{
	const char *bytes = string_bytes(string);
	do
		at--;
	while (at > 0 && !is_first(bytes[at]));
	return at;
}

uint32_t string_place(const struct string *string, uint32_t index)
{
	const char *bytes = string_bytes(string);
	uint32_t at = 0;
	while (index > 0 && at < string->size) {
		at++;
		while (at < string->size && !is_first(bytes[at]))
			at++;
		index--;
	}
	return at;
}

static bool in_set(const struct string *set, const char *bytes, uint32_t size, uint32_t character)
{
	if (!set)
		return glyph_is_space(character);
	return memmem(string_bytes(set), set->size, bytes, size) != NULL;
}

struct string *string_strip(struct run *run, const struct string *string, const struct string *set,
			    bool left, bool right)
{
	const char *bytes = string_bytes(string);
	uint32_t start = 0, end = string->size, size;
	while (left && start < end) {
		const uint32_t character = string_character(string, start, &size);
		if (!in_set(set, bytes + start, size, character))
			break;
		start += size;
	}
	while (right && end > start) {
		const uint32_t last = string_before(string, end);
		const uint32_t character = string_character(string, last, &size);
		if (!in_set(set, bytes + last, size, character))
			break;
		end = last;
	}
	run_step(run, (string->size - (end - start)) / 16 * (set ? 1 + set->size / 16 : 1));
	return string_part(run, string, start, end - start);
}
