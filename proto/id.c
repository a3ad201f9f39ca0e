#include "proto/id.h"

bool device_id_is_none(const struct device_id *id)
{
	static const struct device_id none;
	return device_id_equal(id, &none);
}

int epoch_compare(const struct epoch *a, const struct epoch *b)
{
	if (a->counter != b->counter)
		return a->counter < b->counter ? -1 : 1;
	return device_id_compare(&a->planner, &b->planner);
}

const char *id_text(const uint8_t bytes[ID_BYTES], char text[ID_TEXT_BYTES])
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648 */
	uint64_t bits = 0;
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | bytes[i];
	for (int i = 0; i < ID_TEXT_BYTES - 1; i++)
		text[i] = alphabet[bits >> (59 - 5 * i) & 31];
	text[ID_TEXT_BYTES - 1] = 0;
	return text;
}

const char *id_hex(const uint8_t bytes[ID_BYTES], char text[ID_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < ID_BYTES; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * ID_BYTES] = 0;
	return text;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool id_from_hex(uint8_t bytes[ID_BYTES], const char *text)
{
	if (strlen(text) != 2 * ID_BYTES)
		return false;
	for (int i = 0; i < ID_BYTES; i++) {
		const int high = hex_digit(text[2 * i]);
		const int low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Size of the UTF-8 sequence at `text` and its code point, or 0: malformed, overlong, surrogate. */
static size_t code_point(const uint8_t *text, size_t size, uint32_t *point)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t lead = text[0];
	const size_t n = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3
							       : lead < 0xf8 ? 4 : 0;
	if (n == 0 || n > size)
		return 0;
	*point = n == 1 ? lead : lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (text[i] & 0x3f);
	}
	const bool surrogate = *point >= 0xd800 && *point <= 0xdfff;
	return *point < least[n] || *point > 0x10ffff || surrogate ? 0 : n;
}

static bool shows_as_itself(uint32_t point)
{
	static const uint32_t hidden[][2] = {
		{ 0x0000, 0x001f }, { 0x007f, 0x009f }, /* controls */
		{ 0x061c, 0x061c }, { 0x200e, 0x200f }, /* direction marks */
		{ 0x2028, 0x202e },                     /* separators, embeddings, overrides */
		{ 0x2066, 0x2069 },                     /* isolates */
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, /* byte order mark, annotations */
	};
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (point >= hidden[i][0] && point <= hidden[i][1])
			return false;
	return true;
}

/* Size of the character at `text` when it may be shown, else 0. */
static size_t shown(const uint8_t *text, size_t size)
{
	uint32_t point;
	const size_t n = code_point(text, size, &point);
	return n > 0 && shows_as_itself(point) ? n : 0;
}

bool text_printable(const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)text;
	while (size > 0) {
		const size_t n = shown(at, size);
		if (n == 0)
			return false;
		at += n;
		size -= n;
	}
	return true;
}

void text_make_printable(char *text, size_t size)
{
	size_t n;
	for (size_t at = 0; at < size; at += n ? n : 1) {
		n = shown((const uint8_t *)text + at, size - at);
		if (n == 0)
			text[at] = '?';
	}
}
