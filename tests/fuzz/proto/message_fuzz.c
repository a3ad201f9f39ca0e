/* First byte: type. What decodes, encodes to bytes that decode to the same again, and keeps within
 * the limit of its type. */
#include "proto/messages.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct message first, second;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf bytes, again, scratch, other_scratch;
	struct fail fail;
	if (size == 0)
		return 0;
	buf_init(&bytes);
	buf_init(&again);
	buf_init(&scratch);
	buf_init(&other_scratch);
	if (message_decode(&first, data[0], data + 1, size - 1, &scratch, &fail) == 0) {
		message_encode(&first, &bytes);
		if (message_decode(&second, data[0], bytes.data, bytes.size, &other_scratch,
				   &fail) < 0)
			abort();
		message_encode(&second, &again);
		if (bytes.size != again.size || memcmp(bytes.data, again.data, bytes.size) != 0)
			abort();
		uint16_t minor;
		if (first.type == MESSAGE_HELLO)
			message_agree(&first.hello, &minor, &fail);
	} else if (fail.code == FAIL_NONE || fail.text[0] == 0) {
		abort();
	}
	buf_finish(&bytes);
	buf_finish(&again);
	buf_finish(&scratch);
	buf_finish(&other_scratch);
	return 0;
}
