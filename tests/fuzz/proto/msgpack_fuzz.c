/* What the checker lets pass, msgpack-c accepts too, and our reader can walk to its end. */
#include "proto/msgpack.h"

#include <msgpack/object.h>
#include <msgpack/unpack.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fail fail;
	if (msgpack_check(data, size, &fail) < 0)
		return 0;
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, data, size);
	msgpack_skip(&reader);
	if (reader.failed || reader_left(&reader.bytes) != 0)
		abort();
	msgpack_zone zone;
	msgpack_object object;
	size_t offset = 0;
	if (!msgpack_zone_init(&zone, 4096))
		return 0;
	if (msgpack_unpack((const char *)data, size, &offset, &zone, &object) !=
		    MSGPACK_UNPACK_SUCCESS ||
	    offset != size)
		abort();
	msgpack_zone_destroy(&zone);
	return 0;
}
