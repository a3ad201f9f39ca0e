#include "compute/uncached.h"

#include <fcntl.h>

int uncached_create(const char *folder)
{
	return uncached_create_unlinked(folder);
}

void uncached_begin(int fd)
{
	(void)fcntl(fd, F_NOCACHE, 1);
}
