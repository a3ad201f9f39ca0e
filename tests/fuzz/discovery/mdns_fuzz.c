/* What a stranger on the network can make us read before any key: TXT records; and lists of
 * addresses, which come from members only, and peers as a person writes them. */
#include "discovery/address.h"
#include "discovery/txt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was understood is written and read again as the same. */
static void check_txt(const uint8_t *data, size_t size)
{
	struct txt txt, again;
	uint8_t record[TXT_RECORD_BYTES];
	if (!txt_parse(&txt, data, size))
		return;
	assert(strlen(txt.label) < TXT_LABEL_BYTES);
	assert(txt.pairing || txt.label[0] == '\0');
	for (const char *at = txt.label; *at; at++)
		assert((unsigned char)*at >= 0x20 && *at != 0x7f);
	assert(txt_parse(&again, record, txt_build(&txt, record)));
	assert(memcmp(txt.nonce, again.nonce, sizeof(txt.nonce)) == 0);
	assert(memcmp(txt.tag, again.tag, sizeof(txt.tag)) == 0);
	assert(txt.pairing == again.pairing && strcmp(txt.label, again.label) == 0);
}

static void check_addresses(const uint8_t *data, size_t size)
{
	struct address addresses[ADDRESSES_MAX];
	struct buf buf;
	const int count = addresses_decode(addresses, data, size, NULL);
	if (count < 0)
		return;
	buf_init(&buf);
	addresses_encode(addresses, (uint32_t)count, &buf);
	assert(buf.size == size);
	buf_finish(&buf);
	for (int i = 0; i < count; i++) {
		char text[ADDRESS_TEXT_BYTES];
		assert(strlen(address_text(&addresses[i], text)) > 0);
		address_is_near(&addresses[i]);
	}
}

static void check_peer(const uint8_t *data, size_t size)
{
	char host[64];
	uint16_t port = 0;
	char *text = malloc(size + 1);
	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	if (address_split(text, host, sizeof(host), &port, 47600))
		assert(host[0] != '\0' && port != 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_txt(data, size);
	check_addresses(data, size);
	check_peer(data, size);
	return 0;
}
