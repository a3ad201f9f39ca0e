#include "compute/uncached.h"

#include <fcntl.h>

int uncached_create(const char *folder)
{
	const int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	return fd >= 0 ? fd : uncached_create_unlinked(folder); /* NFS, old overlays */
}

void uncached_begin(int fd)
{
	if (fcntl(fd, F_SETFL, O_DIRECT) < 0) /* tmpfs and some network file systems */
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
