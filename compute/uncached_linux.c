#include "compute/uncached.h"

#include <fcntl.h>

int uncached_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (fd >= 0)
		return fd;
	fd = open(path, O_RDONLY | O_CLOEXEC); /* tmpfs and some network file systems */
	if (fd >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}
