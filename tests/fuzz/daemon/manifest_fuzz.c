/* Any bytes as a manifest from a member. What is accepted must describe a file that can be. */
#include "daemon/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct manifest *manifest)
{
	struct chunk_place place;
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < manifest->n_chunks; i++) {
		if (!manifest_chunk(manifest, i, &place) || place.size == 0 ||
		    place.size > MODEL_CHUNK_BYTES || place.part >= manifest->n_parts ||
		    place.offset + place.size > manifest->file_bytes ||
		    manifest_part_at(manifest, place.offset, place.size) != place.part)
			abort();
		bytes += place.size;
	}
	if (bytes > manifest->file_bytes || manifest_chunk(manifest, manifest->n_chunks, &place))
		abort();
	manifest_part_at(manifest, UINT64_MAX, UINT64_MAX);
}

/* Encoding what was decoded gives the same bytes: there is one form only. */
static void check_form(const struct manifest *manifest, const uint8_t *data, size_t size)
{
	struct buf again;
	buf_init(&again);
	manifest_encode(manifest, &again);
	if (!again.failed && (again.size != size || memcmp(again.data, data, size) != 0))
		abort();
	buf_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fail fail = { 0 };
	struct manifest *manifest = manifest_decode(data, size, &fail);
	if (manifest) {
		check(manifest);
		check_form(manifest, data, size);
	} else if (fail.code == FAIL_NONE || !fail.text[0]) {
		abort();
	}
	if (size >= MANIFEST_HEAD_BYTES && manifest && manifest_size(data) != size)
		abort();
	manifest_destroy(manifest);
	return 0;
}
