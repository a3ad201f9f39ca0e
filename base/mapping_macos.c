#include "base/mapping.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int mapping_init(struct mapping *mapping, int fd, uint64_t first, uint64_t end)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t offset = first / page * page;
	const size_t size = (size_t)(end - offset);
	*mapping = (struct mapping){ .offset = offset, .size = size };
	void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	if (base == MAP_FAILED)
		return errno;
	mapping->base = base;
	return 0;
}

void mapping_finish(struct mapping *mapping)
{
	if (mapping->base)
		munmap(mapping->base, mapping->size);
	mapping->base = NULL;
}

/* Nothing here tells a failing disk from a map by other means than a signal. */
bool mapping_fill(struct mapping *mapping, uint64_t first, uint64_t end)
{
	(void)mapping;
	(void)first;
	(void)end;
	return false;
}

void *mapping_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void mapping_memory_free(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

uint64_t mapping_large(const struct mapping *mapping)
{
	(void)mapping;
	return 0;
}
