/* The page cache reads a file in large pages when the first access comes through a map that is
 * advised MADV_HUGEPAGE and whose addresses agree with the file's offsets modulo their size (ext4
 * since Linux 6.16, XFS since 5.18). What was cached in small pages before stays small, but for
 * kernels with CONFIG_READ_ONLY_THP_FOR_FS, which can collapse it.
 *
 * While bytes are brought in, MADV_RANDOM makes a miss read its own large page and nothing ahead:
 * what is read ahead carries a mark, and a later load that meets it goes on in small pages. The
 * advice must not stay, since the system takes back pages under it as if nobody used them. */
#include "base/mapping.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Numbers of the kernel, which older headers of the C library lack. */
#define POPULATE_READ 22 /* Linux 5.14 */
#define COLLAPSE      25 /* Linux 6.1 */

static uint64_t round_down(uint64_t at, uint64_t to)
{
	return at / to * to;
}

static uint64_t round_up(uint64_t at, uint64_t to)
{
	return (at + to - 1) / to * to;
}

/* Addresses of `size` bytes from a multiple of the large page on, reserved; NULL and errno. */
static uint8_t *reserve(size_t size)
{
	uint8_t *room = mmap(NULL, size + MAPPING_LARGE_BYTES, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return NULL;
	const size_t before = -(uintptr_t)room % MAPPING_LARGE_BYTES;
	if (before > 0)
		munmap(room, before);
	munmap(room + before + size, MAPPING_LARGE_BYTES - before);
	return room + before;
}

/* Kernels that know COLLAPSE, of which no bytes ask, read 2 MiB for a miss in such a map on every
 * file system; others would read page after page. */
static bool advise_large(uint8_t *base, size_t size)
{
	return madvise(base, 0, COLLAPSE) == 0 && madvise(base, size, MADV_HUGEPAGE) == 0;
}

int mapping_init(struct mapping *mapping, int fd, uint64_t first, uint64_t end)
{
	const uint64_t offset = round_down(first, MAPPING_LARGE_BYTES);
	const size_t size = (size_t)(round_up(end, MAPPING_LARGE_BYTES) - offset);
	*mapping = (struct mapping){ .offset = offset, .size = size };
	uint8_t *base = reserve(size);
	if (!base)
		return errno;
	if (mmap(base, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
		const int error = errno;
		munmap(base, size);
		return error;
	}
	mapping->base = base;
	mapping->large = advise_large(base, size);
	return 0;
}

void mapping_finish(struct mapping *mapping)
{
	if (mapping->base)
		munmap(mapping->base, mapping->size);
	mapping->base = NULL;
}

static int advise(const struct mapping *mapping, uint64_t first, uint64_t end, uint64_t page,
		  int advice)
{
	const uint64_t from = round_down(first, page), to = round_up(end, page);
	return madvise(mapping->base + (from - mapping->offset), (size_t)(to - from), advice);
}

static bool populate(const struct mapping *mapping, uint64_t first, uint64_t end)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	(void)madvise(mapping->base, mapping->size, MADV_RANDOM);
	const bool good = advise(mapping, first, end, page, POPULATE_READ) == 0;
	(void)madvise(mapping->base, mapping->size, MADV_NORMAL);
	return good;
}

bool mapping_fill(struct mapping *mapping, uint64_t first, uint64_t end)
{
	if (!mapping->large || !populate(mapping, first, end))
		return false;
	/* Costs next to nothing where the pages are large. EAGAIN: some were in use just now. */
	if (!mapping->settled && advise(mapping, first, end, MAPPING_LARGE_BYTES, COLLAPSE) != 0 &&
	    errno != EAGAIN)
		mapping->settled = true;
	return true;
}

void *mapping_memory(size_t size)
{
	uint8_t *base = reserve(round_up(size, (uint64_t)sysconf(_SC_PAGESIZE)));
	if (!base)
		return NULL;
	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED) {
		const int error = errno;
		munmap(base, size);
		errno = error;
		return NULL;
	}
	(void)madvise(base, size, MADV_HUGEPAGE);
	return base;
}

void mapping_memory_free(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

uint64_t mapping_large(const struct mapping *mapping)
{
	const uintptr_t base = (uintptr_t)mapping->base;
	uint64_t kib, sum = 0;
	uintptr_t first, end;
	bool inside = false;
	char line[512];
	FILE *smaps = fopen("/proc/self/smaps", "re");
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &end) == 2)
			inside = first >= base && end <= base + mapping->size;
		else if (inside && sscanf(line, "FilePmdMapped: %" SCNu64, &kib) == 1)
			sum += kib << 10;
	}
	if (smaps)
		fclose(smaps);
	return sum;
}
