/* uncached.h: a file without a name, and reading it around the page cache. One file per system
 * beside uncached.c, which holds what they share.
 */
#ifndef COMPUTE_UNCACHED_H
#define COMPUTE_UNCACHED_H

#define UNCACHED_ALIGN 4096u /* of buffers, offsets and sizes */

/* A new file on the disk of `folder`, for reading and writing, gone when it is closed. Where the
 * system can, it never has a name, so that nobody sees it and a crash leaves nothing. Descriptor,
 * or -1 and errno.
 */
int uncached_create(const char *folder);

/* The same by a name that is removed at once, for systems that know no other way. */
int uncached_create_unlinked(const char *folder);

/* From now on the file is read around the page cache where the file system can; where it cannot,
 * what is cached of it is dropped. It must have no unwritten data.
 */
void uncached_begin(int fd);

#endif
