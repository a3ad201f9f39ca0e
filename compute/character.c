#include "compute/character.h"

#include "compute/character_table.h"

const uint16_t *const character_ascii = ascii;

/* Two stages: a page for each 128 code points, sixteen classes of four bits in each word of it. */
uint32_t character_class(uint32_t code)
{
	if (code >= CHARACTER_LIMIT)
		return code >= 0xe0100 && code < 0xe01f0 ? CHARACTER_MARK : CHARACTER_OTHER;
	const uint32_t page = page_of[code / CHARACTER_PAGE];
	const uint64_t word = pages[page * (CHARACTER_PAGE / 16) + code % CHARACTER_PAGE / 16];
	return classes[word >> code % 16 * 4 & 15];
}
