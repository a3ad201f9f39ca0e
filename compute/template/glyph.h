/* glyph.h: what Python's `str` says of a character: kinds, and cases. Source: the Unicode Character
 * Database, as compute/character.h and, for cases and digits, Python 3.11 (Unicode 14.0) read it. */
#ifndef COMPUTE_TEMPLATE_GLYPH_H
#define COMPUTE_TEMPLATE_GLYPH_H

#include <stdbool.h>
#include <stdint.h>

bool glyph_is_space(uint32_t character);
bool glyph_is_printable(uint32_t character); /* repr() shows it as it is */
bool glyph_is_letter(uint32_t character);
bool glyph_is_digit(uint32_t character); /* 0 to 9 of any script */
bool glyph_is_upper(uint32_t character); /* or title case, of letters */
bool glyph_is_lower(uint32_t character);

/* The characters (1 to 3) that it becomes; gives how many. */
uint32_t glyph_upper(uint32_t character, uint32_t out[3]);
uint32_t glyph_lower(uint32_t character, uint32_t out[3]);
uint32_t glyph_title(uint32_t character, uint32_t out[3]);

#endif
