/* mapping.h: a stretch of a file in memory, read-only, or memory of our own, in large pages where
 * the system has them. One file per system.
 *
 * A large page spares the processor most of its walks through the tables of addresses, which cost
 * more than the reading itself on some. A file's memory stays the page cache's own: it is no copy,
 * other processes share it, and the system may take it back. */
#ifndef BASE_MAPPING_H
#define BASE_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPING_LARGE_BYTES (UINT64_C(2) << 20) /* a large page, and its place in a file */

struct mapping {
	uint8_t *base; /* NULL: not mapped */
	size_t size;
	uint64_t offset; /* of `base` in the file, at or before the first byte asked for */
	bool large;      /* the system reads the file in steps of large pages */
	bool settled;    /* it turns no more small pages into large ones */
};

/* Maps [first, end) of the file, first < end, and what shares a large page with it. Nothing is read
 * yet; to touch what lies beyond the file's end is SIGBUS. 0 or errno. */
int mapping_init(struct mapping *mapping, int fd, uint64_t first, uint64_t end);
void mapping_finish(struct mapping *mapping); /* accepts one that is not mapped */

/* Brings [first, end) into memory, with large pages where they can be had; best in steps that end
 * at multiples of MAPPING_LARGE_BYTES. False: the system cannot do this, or the file ends earlier,
 * or the disk failed; reading the same bytes tells which. */
bool mapping_fill(struct mapping *mapping, uint64_t first, uint64_t end);

/* Bytes that are in large pages now. Takes milliseconds for each GiB that is not. */
uint64_t mapping_large(const struct mapping *mapping);

/* Zeroed memory, which costs nothing before it is written: 2 MiB at the first write into them where
 * that much of it lies in one large page. NULL and errno. Gives. */
void *mapping_memory(size_t size);
void mapping_memory_free(void *memory, size_t size); /* accepts NULL */

#endif
