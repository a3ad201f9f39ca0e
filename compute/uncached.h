/* uncached.h: reading a file around the page cache. One file per system. */
#ifndef COMPUTE_UNCACHED_H
#define COMPUTE_UNCACHED_H

#define UNCACHED_ALIGN 4096u /* of buffers, offsets and sizes */

/* Opens read-only, around the page cache where the file system can; where it cannot, what is cached
 * of the file is dropped first. The file must have no unwritten data. Descriptor, or -1 and errno.
 */
int uncached_open(const char *path);

#endif
