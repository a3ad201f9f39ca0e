#include "daemon/listen.h"

#include "base/log.h"
#include "daemon/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG         64
#define FIRST_INHERITED 3 /* SD_LISTEN_FDS_START */

static bool set_flags(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static int open_socket(int family, struct fail *fail)
{
	const int fd = socket(family, SOCK_STREAM, 0);
	if (fd >= 0 && set_flags(fd))
		return fd;
	const int error = errno;
	if (fd >= 0)
		close(fd);
	return fail_errno(fail, error, "cannot make a socket");
}

static int socket_address(const char *path, struct sockaddr_un *address, struct fail *fail)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	const int size = snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	if (size < 0 || (size_t)size >= sizeof(address->sun_path))
		return fail_set(fail, FAIL_INVALID,
				"%s is too long for a socket (at most %zu bytes): give a shorter "
				"--run DIR",
				path, sizeof(address->sun_path) - 1);
	return 0;
}

/* What is at the path already: 0 when nothing is (any more). */
static int remove_stale(const char *path, const struct sockaddr_un *address, struct fail *fail)
{
	struct stat info;
	if (lstat(path, &info) != 0)
		return errno == ENOENT ? 0 : fail_errno(fail, errno, "cannot examine %s", path);
	if (!S_ISSOCK(info.st_mode))
		return fail_set(fail, FAIL_INVALID,
				"%s is in the way and not a socket: remove it or give another "
				"--run DIR",
				path);
	const int fd = open_socket(AF_UNIX, fail);
	if (fd < 0)
		return fd;
	const bool alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
	const int error = errno;
	close(fd);
	if (alive || error == EAGAIN)
		return fail_set(fail, FAIL_BUSY,
				"another primad answers at %s: stop it, or give this one its own "
				"--run and --state",
				path);
	if (error != ECONNREFUSED)
		return fail_errno(fail, error, "cannot tell whether %s is in use", path);
	if (unlink(path) != 0)
		return fail_errno(fail, errno, "cannot remove the old %s", path);
	return 0;
}

/* Before listen(), so that nobody connects by the first owner's rights alone. */
static void give_to_group(const char *path, const char *name)
{
	char text[4096];
	struct group group, *found = NULL;
	if (getgrnam_r(name, &group, text, sizeof(text), &found) != 0 || !found)
		return;
	if (lchown(path, (uid_t)-1, group.gr_gid) != 0)
		log_info("listen", "group=%s path=%s not given: %s", name, path, strerror(errno));
}

int listen_unix(const char *path, const char *group, struct fail *fail)
{
	struct sockaddr_un address;
	int result = socket_address(path, &address, fail);
	if (result == 0)
		result = remove_stale(path, &address, fail);
	if (result < 0)
		return result;
	const int fd = open_socket(AF_UNIX, fail);
	if (fd < 0)
		return fd;
	const mode_t before = umask(0117);
	const int bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	const int error = errno;
	umask(before);
	if (bound == 0) {
		give_to_group(path, group);
		if (listen(fd, BACKLOG) == 0)
			return fd;
	}
	result = fail_errno(fail, bound == 0 ? errno : error, "cannot listen at %s", path);
	close(fd);
	return result;
}

/* Fills a numeric address; false when it is not one that only this machine reaches. */
static bool loopback_address(const char *host, uint16_t port, struct sockaddr_storage *address,
			     socklen_t *size)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	memset(address, 0, sizeof(*address));
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		memcpy(address, &v4, sizeof(v4));
		*size = sizeof(v4);
		return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	}
	if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		return false;
	memcpy(address, &v6, sizeof(v6));
	*size = sizeof(v6);
	return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

int listen_loopback(const char *text, struct fail *fail)
{
	char host[128];
	uint16_t port;
	struct sockaddr_storage address;
	socklen_t size;
	if (!config_address(text, host, sizeof(host), 0, &port))
		return fail_set(fail, FAIL_INVALID, "\"%s\" is not ADDRESS:PORT", text);
	if (!loopback_address(host, port, &address, &size))
		return fail_set(fail, FAIL_DENIED,
				"%s can be reached from outside this machine, and requests over "
				"TCP are not authenticated: give a loopback address, for example "
				"127.0.0.1:%u",
				text, port);
	const int fd = open_socket(address.ss_family, fail);
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	const int result = fail_errno(fail, errno, "cannot listen at %s", text);
	close(fd);
	return result;
}

/* The position of `name` among colon-separated names, or -1. */
static int index_of_name(const char *names, const char *name)
{
	const size_t size = strlen(name);
	for (int index = 0; names; index++) {
		if (strncmp(names, name, size) == 0 && (names[size] == ':' || !names[size]))
			return index;
		names = strchr(names, ':');
		names += names != NULL;
	}
	return -1;
}

int listen_inherited(const char *name)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid())
		return -1;
	const int index = index_of_name(getenv("LISTEN_FDNAMES"), name);
	if (index < 0 || index >= strtol(count, NULL, 10) || !set_flags(FIRST_INHERITED + index))
		return -1;
	return FIRST_INHERITED + index;
}
