/* Any bytes as the parts of a model file: how many, then of each its size (u32) and its bytes. What
 * opens must be readable from end to end. */
#include "compute/parts.h"

#include "base/buf.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PARTS_MOST 4u
#define READ_MOST  (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[PATH_MAX - 64];

static void remove_folder(void)
{
	rmdir(folder);
}

static void make_folder(void)
{
	const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(folder, sizeof(folder), "%s/parts-fuzz-XXXXXX", place);
	if (!mkdtemp(folder))
		abort();
	atexit(remove_folder);
}

static void part_path(char path[PATH_MAX], uint32_t part, uint32_t count)
{
	snprintf(path, PATH_MAX, "%s/cut-%05u-of-%05u.gguf", folder, part + 1, count);
}

static void write_part(const char *path, const uint8_t *bytes, size_t size)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	close(fd);
}

/* In pieces that do not fit the borders of anything. */
static void read_all(struct parts *parts)
{
	uint8_t piece[777];
	struct fail fail = { 0 };
	const uint64_t size = parts_size(parts);
	for (uint64_t at = 0; at < size && at < READ_MOST; at += sizeof(piece)) {
		const uint64_t left = size - at;
		const size_t n = left < sizeof(piece) ? left : sizeof(piece);
		if (parts_read(parts, at, piece, n, &fail) != 0)
			abort();
	}
}

static void open_parts(uint32_t count)
{
	char path[PATH_MAX];
	struct fail fail = { 0 };
	part_path(path, 0, count);
	struct parts *parts = parts_open(path, &fail);
	if (parts)
		read_all(parts);
	else if (fail.code == FAIL_NONE || !fail.text[0])
		abort();
	parts_close(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[PATH_MAX];
	if (!folder[0])
		make_folder();
	if (size == 0)
		return 0;
	const uint32_t count = data[0] % PARTS_MOST + 1;
	size_t at = 1;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = size - at < 4 ? 0 : load_u32le(data + at);
		at += size - at < 4 ? 0 : 4;
		n = n < size - at ? n : (uint32_t)(size - at);
		part_path(path, i, count);
		write_part(path, data + at, n);
		at += n;
	}
	open_parts(count);
	for (uint32_t i = 0; i < count; i++) {
		part_path(path, i, count);
		unlink(path);
	}
	return 0;
}
