#include "compute/uncached.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int uncached_create_unlinked(const char *folder)
{
	char path[4096];
	if (!file_join(path, sizeof(path), folder, "primad-disk-XXXXXX")) {
		errno = ENAMETOOLONG;
		return -1;
	}
	const int fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}
