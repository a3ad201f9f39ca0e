#include "compute/uncached.h"

#include <fcntl.h>

int uncached_open(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)fcntl(fd, F_NOCACHE, 1);
	return fd;
}
