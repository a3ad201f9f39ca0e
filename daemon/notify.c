#include "daemon/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const size_t size = path ? strlen(path) : 0;
	if (size < 2 || size >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, size);
	if (path[0] == '@') /* an abstract socket's name begins with a zero byte */
		address.sun_path[0] = 0;
	const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
	close(fd);
}

uint64_t notify_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *time_us = getenv("WATCHDOG_USEC");
	if (!time_us || !getenv("NOTIFY_SOCKET") ||
	    (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	return strtoull(time_us, NULL, 10) / 1000;
}
