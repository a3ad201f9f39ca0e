/* string.h: texts of templates: UTF-8 that never changes, every byte marked as the template's own
 * or somebody else's.
 *
 * A string is a view of a text; texts grow at their end only, so a string that ends where its text
 * does is extended in place, and joining pieces one by one costs no more than the pieces. Places
 * and sizes are bytes unless a name says characters (code points, as Python counts). */
#ifndef COMPUTE_TEMPLATE_STRING_H
#define COMPUTE_TEMPLATE_STRING_H

#include "compute/template/run.h"

#include <stddef.h>
#include <stdint.h>

enum string_mark {
	STRING_OWN,  /* the template's, or vouched for */
	STRING_USER, /* anybody's: never a special token */
};

struct text {
	char *bytes;
	uint8_t *marks; /* of each byte; NULL while all are `mark` */
	uint32_t size, capacity;
	uint8_t mark;
	bool frozen; /* belongs to the compiled template: never extended */
};

struct string {
	struct text *text;
	uint32_t start, size;
	bool safe; /* Markup: what is added to it by `+` is escaped */
};

/* ---- texts ---- */

struct text *text_create(struct run *run, uint32_t capacity);
void text_add(struct run *run, struct text *text, const char *bytes, size_t size,
	      enum string_mark mark);
void text_add_string(struct run *run, struct text *text, const struct string *string);
/* A part of a string, by its own places. */
void text_add_part(struct run *run, struct text *text, const struct string *string, uint32_t start,
		   uint32_t size);
/* A character that stands for one with `mark`. */
void text_add_character(struct run *run, struct text *text, uint32_t character,
			enum string_mark mark);

/* ---- strings ---- */

struct string *string_whole(struct run *run, struct text *text);
struct string *string_create(struct run *run, const char *bytes, size_t size,
			     enum string_mark mark);
struct string *string_part(struct run *run, const struct string *string, uint32_t start,
			   uint32_t size);
struct string *string_concat(struct run *run, const struct string *left,
			     const struct string *right);
struct string *string_escape(struct run *run, const struct string *string); /* & < > " ' */

const char *string_bytes(const struct string *string);
enum string_mark string_mark(const struct string *string, uint32_t at);
bool string_is(const struct string *string, const char *word);
int string_compare(const struct string *left, const struct string *right); /* as memcmp */
bool string_starts(const struct string *string, const struct string *with);
bool string_ends(const struct string *string, const struct string *with);

#define STRING_NONE UINT32_MAX
/* The first place of `needle` at or after `from`, or the last before `to`; STRING_NONE: nowhere. */
uint32_t string_find(const struct string *string, const struct string *needle, uint32_t from);
uint32_t string_find_last(const struct string *string, const struct string *needle, uint32_t to);

/* ---- characters ---- */

uint32_t string_characters(const struct string *string);
/* The character at a place inside the string, and its size. */
uint32_t string_character(const struct string *string, uint32_t at, uint32_t *size);
/* The place of the character before `at`, which is above 0. */
uint32_t string_before(const struct string *string, uint32_t at);
/* The place of character `index`, at most the number of characters. */
uint32_t string_place(const struct string *string, uint32_t index);

/* Cuts characters of `set` (NULL: white space) off the ends that are asked for. */
struct string *string_strip(struct run *run, const struct string *string, const struct string *set,
			    bool left, bool right);

#endif
