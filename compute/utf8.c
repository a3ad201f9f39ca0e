#include "compute/utf8.h"

/* Bytes that a lead byte announces, 0 for a byte that cannot lead; `low` and `high` bound the
 * second byte, which is where overlong forms, surrogates and what lies past U+10FFFF show. */
static int announced(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	*high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

int utf8_scan(const uint8_t *bytes, size_t size)
{
	uint8_t low, high;
	const int length = announced(bytes[0], &low, &high);
	if (length == 0)
		return -1;
	for (int i = 1; i < length; i++) {
		if ((size_t)i == size)
			return 0;
		if (bytes[i] < low || bytes[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

size_t utf8_decode_loose(const uint8_t *bytes, size_t size, uint32_t *character)
{
	const uint8_t lead = bytes[0];
	if (lead < 0x80) {
		*character = lead;
		return 1;
	}
	if (lead < 0xc0 || lead > 0xf7)
		return 0;
	const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if (length > size)
		return 0;
	uint32_t value = lead & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (bytes[i] & 0x3f);
	}
	*character = value;
	return value <= 0x10ffff ? length : 0;
}

size_t utf8_encode(uint32_t character, uint8_t out[4])
{
	if (character < 0x80) {
		out[0] = (uint8_t)character;
		return 1;
	}
	const size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	for (size_t i = length - 1; i > 0; i--) {
		out[i] = (uint8_t)(0x80 | (character & 0x3f));
		character >>= 6;
	}
	out[0] = (uint8_t)(0xf00 >> length | character);
	return length;
}
