#include "discovery/txt.h"

#include "base/buf.h"

#include <sodium.h>
#include <string.h>

void txt_key(const uint8_t home_id[HOME_ID_BYTES], uint8_t key[TXT_KEY_BYTES])
{
	static const char prefix[] = "primad-discovery-v1";
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, TXT_KEY_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)prefix, sizeof(prefix) - 1);
	crypto_generichash_update(&state, home_id, HOME_ID_BYTES);
	crypto_generichash_final(&state, key, TXT_KEY_BYTES);
}

void txt_tag(const uint8_t key[TXT_KEY_BYTES], const uint8_t nonce[TXT_NONCE_BYTES],
	     const struct device_id *id, uint8_t tag[TXT_TAG_BYTES])
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, key, TXT_KEY_BYTES, TXT_TAG_BYTES);
	crypto_generichash_update(&state, nonce, TXT_NONCE_BYTES);
	crypto_generichash_update(&state, id->bytes, ID_BYTES);
	crypto_generichash_final(&state, tag, TXT_TAG_BYTES);
}

/* One entry: a length byte, a letter, '=', the value. */
static size_t put(uint8_t *to, char letter, const char *value)
{
	const size_t length = strlen(value);
	to[0] = (uint8_t)(2 + length);
	to[1] = (uint8_t)letter;
	to[2] = '=';
	memcpy(to + 3, value, length);
	return 3 + length;
}

size_t txt_build(const struct txt *txt, uint8_t record[TXT_RECORD_BYTES])
{
	char hex[2 * TXT_TAG_BYTES + 1];
	size_t size = put(record, 'v', "1");
	size += put(record + size, 'n',
		    sodium_bin2hex(hex, sizeof(hex), txt->nonce, TXT_NONCE_BYTES));
	size += put(record + size, 't', sodium_bin2hex(hex, sizeof(hex), txt->tag, TXT_TAG_BYTES));
	if (!txt->pairing)
		return size;
	size += put(record + size, 'p', "1");
	return size + put(record + size, 'l', txt->label);
}

static bool hex_value(uint8_t *to, size_t to_size, const uint8_t *value, size_t size)
{
	size_t written = 0;
	return size == 2 * to_size &&
	       sodium_hex2bin(to, to_size, (const char *)value, size, NULL, &written, NULL) == 0 &&
	       written == to_size;
}

/* Length of the well-formed UTF-8 character at `at` (RFC 3629), 0 when there is none. */
static size_t character_size(const uint8_t *at, size_t left)
{
	const uint8_t lead = at[0];
	const size_t size = lead < 0x80   ? 1
			    : lead < 0xc2 ? 0
			    : lead < 0xe0 ? 2
			    : lead < 0xf0 ? 3
					  : 4;
	if (size == 0 || size > left || lead > 0xf4)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	const bool overlong = (lead == 0xe0 && at[1] < 0xa0) || (lead == 0xf0 && at[1] < 0x90);
	const bool beyond = (lead == 0xed && at[1] >= 0xa0) || (lead == 0xf4 && at[1] >= 0x90);
	return overlong || beyond ? 0 : size;
}

/* Control characters would let a stranger write to the terminal of who reads the label; the
 * C1 range of U+0080 to U+009F is that too. */
static void copy_label(char label[TXT_LABEL_BYTES], const uint8_t *value, size_t size)
{
	size_t length = 0;
	for (size_t at = 0; at < size;) {
		size_t step = character_size(value + at, size - at);
		const bool control = value[at] < 0x20 || value[at] == 0x7f ||
				     (value[at] == 0xc2 && step == 2 && value[at + 1] < 0xa0);
		const bool shown = step != 0 && !control;
		if (step == 0)
			step = 1;
		if (length + (shown ? step : 1) >= TXT_LABEL_BYTES)
			break;
		if (shown)
			memcpy(label + length, value + at, step);
		else
			label[length] = '?';
		length += shown ? step : 1;
		at += step;
	}
	label[length] = '\0';
}

struct parse {
	struct txt *txt;
	uint32_t seen; /* bit per letter, so that a second one is refused */
	bool ok;
};

static void take_entry(struct parse *parse, char letter, const uint8_t *value, size_t size)
{
	struct txt *txt = parse->txt;
	const uint32_t bit = 1u << (letter - 'a');
	parse->ok = parse->ok && !(parse->seen & bit);
	parse->seen |= bit;
	if (letter == 'v')
		parse->ok = parse->ok && size == 1 && value[0] == '1';
	else if (letter == 'n')
		parse->ok = parse->ok && hex_value(txt->nonce, TXT_NONCE_BYTES, value, size);
	else if (letter == 't')
		parse->ok = parse->ok && hex_value(txt->tag, TXT_TAG_BYTES, value, size);
	else if (letter == 'p')
		txt->pairing = size == 1 && value[0] == '1';
	else if (letter == 'l')
		copy_label(txt->label, value, size);
}

bool txt_parse(struct txt *txt, const void *record, size_t size)
{
	memset(txt, 0, sizeof(*txt));
	struct parse parse = { .txt = txt, .ok = true };
	struct reader reader;
	reader_init(&reader, record, size);
	for (int entries = 0; reader_left(&reader) > 0 && entries < TXT_ENTRIES_MAX; entries++) {
		const size_t length = reader_u8(&reader);
		const uint8_t *entry = reader_take(&reader, length);
		if (!entry)
			return false;
		if (length >= 2 && entry[1] == '=' && entry[0] >= 'a' && entry[0] <= 'z')
			take_entry(&parse, (char)entry[0], entry + 2, length - 2);
	}
	const uint32_t needed = 1u << ('v' - 'a') | 1u << ('n' - 'a') | 1u << ('t' - 'a');
	if (!txt->pairing)
		txt->label[0] = '\0';
	return parse.ok && (parse.seen & needed) == needed;
}
