#include "compute/template/glyph.h"

#include "compute/character.h"
#include "compute/template/glyph_tables.h"

#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* True when `character` lies after an odd number of edges. */
static bool is_inside(const uint32_t *edges, size_t count, uint32_t character)
{
	size_t low = 0, high = count; /* edges below `low` are at or before the character */
	while (low < high) {
		const size_t middle = (low + high) / 2;
		if (edges[middle] <= character)
			low = middle + 1;
		else
			high = middle;
	}
	return low % 2 == 1;
}

bool glyph_is_space(uint32_t character)
{
	/* the separators of files, groups, records and units are spaces for Python alone */
	return (character >= 0x1c && character <= 0x1f) ||
	       (character_class(character) & CHARACTER_SPACE);
}

bool glyph_is_printable(uint32_t character)
{
	return character == ' ' ||
	       !(character_class(character) & (CHARACTER_OTHER | CHARACTER_SPACE));
}

bool glyph_is_letter(uint32_t character)
{
	return character_class(character) & CHARACTER_LETTER;
}

bool glyph_is_digit(uint32_t character)
{
	return is_inside(digit_edges, COUNT(digit_edges), character);
}

static uint32_t map_one(const struct case_row *rows, size_t count, uint32_t character)
{
	size_t low = 0, high = count;
	while (low < high) {
		const size_t middle = (low + high) / 2;
		if (rows[middle].first <= character)
			low = middle + 1;
		else
			high = middle;
	}
	const struct case_row *row = low > 0 ? &rows[low - 1] : NULL;
	if (row && character <= row->last && (character - row->first) % row->step == 0)
		return (uint32_t)((int64_t)character + row->delta);
	return character;
}

static uint32_t map(const struct case_row *rows, size_t count, const struct case_many *many,
		    size_t n_many, uint32_t character, uint32_t out[3])
{
	for (size_t i = 0; character >= 0x80 && i < n_many; i++) {
		if (many[i].from != character)
			continue;
		uint32_t size = 0;
		for (; size < 3 && many[i].to[size]; size++)
			out[size] = many[i].to[size];
		return size;
	}
	out[0] = map_one(rows, count, character);
	return 1;
}

uint32_t glyph_upper(uint32_t character, uint32_t out[3])
{
	return map(upper_rows, COUNT(upper_rows), upper_many, COUNT(upper_many), character, out);
}

uint32_t glyph_lower(uint32_t character, uint32_t out[3])
{
	return map(lower_rows, COUNT(lower_rows), lower_many, COUNT(lower_many), character, out);
}

uint32_t glyph_title(uint32_t character, uint32_t out[3])
{
	return map(title_rows, COUNT(title_rows), title_many, COUNT(title_many), character, out);
}

bool glyph_is_upper(uint32_t character)
{
	uint32_t out[3];
	return glyph_lower(character, out) > 1 || out[0] != character;
}

bool glyph_is_lower(uint32_t character)
{
	uint32_t out[3];
	return glyph_upper(character, out) > 1 || out[0] != character;
}
