/* pingpong: the floor under a hop: bytes to another host and back over bare TCP, by two threads
 * that sleep in read and do nothing else.
 *
 *   pingpong                          serves one connection on any port, whose number it prints
 *   pingpong ADDRESS PORT BYTES COUNT prints the best and the middle time of one way in
 * microseconds (half of there and back) */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MAX (1u << 20)
#define WARM      200 /* rounds not counted */

static uint8_t bytes[BYTES_MAX];

static bool receive(int socket, size_t size)
{
	for (size_t at = 0; at < size;) {
		const ssize_t n = read(socket, bytes + at, size - at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool give(int socket, size_t size)
{
	return write(socket, bytes, size) == (ssize_t)size;
}

static void no_delay(int socket)
{
	const int yes = 1;
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static int serve(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	uint32_t told;
	const int door = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(door, (struct sockaddr *)&address, size) != 0 || listen(door, 1) != 0 ||
	    getsockname(door, (struct sockaddr *)&address, &size) != 0)
		return 1;
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	const int peer = accept(door, NULL, NULL);
	no_delay(peer);
	if (read(peer, &told, sizeof(told)) != sizeof(told) || told > BYTES_MAX)
		return 1;
	while (receive(peer, told) && give(peer, told))
		;
	return 0;
}

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

static bool exchange(int peer, size_t size, double *times, size_t count)
{
	for (size_t i = 0; i < WARM + count; i++) {
		const double begin = now_us();
		if (!give(peer, size) || !receive(peer, size))
			return false;
		if (i >= WARM)
			times[i - WARM] = (now_us() - begin) / 2;
	}
	return true;
}

static int measure(const char *where, int port, uint32_t size, size_t count)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	double *times = calloc(count, sizeof(*times));
	const int peer = socket(AF_INET, SOCK_STREAM, 0);
	if (!times || inet_pton(AF_INET, where, &address.sin_addr) != 1 ||
	    connect(peer, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    write(peer, &size, sizeof(size)) != sizeof(size))
		return 1;
	no_delay(peer);
	if (!exchange(peer, size, times, count))
		return 1;
	qsort(times, count, sizeof(*times), compare);
	printf("%.1f %.1f\n", times[0], times[count / 2]);
	free(times);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 1)
		return serve();
	const long size = argc == 5 ? strtol(argv[3], NULL, 10) : 0;
	const long count = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
	if (size < 1 || size > (long)BYTES_MAX || count < 1) {
		fputs("usage: pingpong [ADDRESS PORT BYTES COUNT]\n", stderr);
		return 2;
	}
	return measure(argv[1], (int)strtol(argv[2], NULL, 10), (uint32_t)size, (size_t)count);
}
