#include "daemon/door.h"

#include "base/list.h"
#include "base/log.h"
#include "daemon/config.h"
#include "discovery/discovery.h"
#include "proto/deadlines.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct door {
	uv_tcp_t tcp;
	door_arrived *arrived;
	void *context;
	uint16_t port;
	struct list waiting; /* struct guest.entry */
	uint32_t n_waiting;
	uint64_t turned_away;
	bool closing;
};

/* A connection that has not said its preamble yet. */
struct guest {
	struct list entry;
	struct door *door;
	uv_tcp_t tcp;
	uv_timer_t deadline;
	uint32_t handles;
	struct address from;
	uint8_t preamble[PREAMBLE_BYTES];
	size_t received;
	bool gone;
};

static void on_guest_closed(uv_handle_t *handle)
{
	struct guest *guest = handle->data;
	if (--guest->handles == 0)
		free(guest);
}

static void guest_leave(struct guest *guest)
{
	if (guest->gone)
		return;
	guest->gone = true;
	list_remove(&guest->entry);
	guest->door->n_waiting--;
	uv_close((uv_handle_t *)&guest->tcp, on_guest_closed);
	uv_close((uv_handle_t *)&guest->deadline, on_guest_closed);
}

static void on_guest_deadline(uv_timer_t *timer)
{
	guest_leave(timer->data);
}

static void guest_enter(struct guest *guest)
{
	struct door *door = guest->door;
	struct fail why;
	int kind = preamble_check(guest->preamble, &why);
	if (kind < 0 && why.code == FAIL_VERSION) {
		log_warn("door", "refused reason=\"%s\"", why.text);
		kind = guest->preamble[5] == CONNECTION_PAIR ? CONNECTION_PAIR : CONNECTION_CONTROL;
	} else if (kind < 0) {
		guest_leave(guest);
		return;
	}
	uv_os_fd_t socket = -1;
	uv_read_stop((uv_stream_t *)&guest->tcp);
	if (uv_fileno((uv_handle_t *)&guest->tcp, &socket) == 0)
		socket = fcntl(socket, F_DUPFD_CLOEXEC, 3);
	uint8_t preamble[PREAMBLE_BYTES];
	memcpy(preamble, guest->preamble, sizeof(preamble));
	guest_leave(guest);
	if (socket >= 0)
		door->arrived(door->context, socket, (enum connection_kind)kind, preamble);
}

/* Exactly the preamble is taken from the socket: what follows belongs to who comes next. */
static void give_space(uv_handle_t *handle, size_t suggested, uv_buf_t *space)
{
	struct guest *guest = handle->data;
	*space = uv_buf_init((char *)guest->preamble + guest->received,
			     (unsigned)(PREAMBLE_BYTES - guest->received));
}

static void on_guest_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *space)
{
	struct guest *guest = stream->data;
	if (n == 0)
		return;
	if (n < 0) {
		guest_leave(guest);
		return;
	}
	guest->received += (size_t)n;
	if (guest->received == PREAMBLE_BYTES)
		guest_enter(guest);
}

static bool too_many(const struct door *door, const struct address *from)
{
	uint32_t same = 0;
	LIST_EACH(at, &door->waiting) {
		const struct guest *guest = LIST_ITEM(at, struct guest, entry);
		/* IPv6: a /64 is one source */
		const size_t size = from->family == 6 ? 8 : 4;
		same += memcmp(guest->from.bytes, from->bytes, size) == 0;
	}
	return door->n_waiting >= DOOR_HALF_OPEN_MAX || same >= DOOR_PER_SOURCE_MAX;
}

static void read_source(struct guest *guest)
{
	struct sockaddr_storage address;
	int size = sizeof(address);
	if (uv_tcp_getpeername(&guest->tcp, (struct sockaddr *)&address, &size) == 0)
		address_from_sockaddr(&guest->from, (const struct sockaddr *)&address);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct door *door = stream->data;
	struct guest *guest = status == 0 ? calloc(1, sizeof(*guest)) : NULL;
	if (!guest)
		return;
	guest->door = door;
	uv_tcp_init(stream->loop, &guest->tcp);
	uv_timer_init(stream->loop, &guest->deadline);
	guest->handles = 2;
	guest->tcp.data = guest->deadline.data = guest;
	list_init(&guest->entry);
	door->n_waiting++;
	if (uv_accept(stream, (uv_stream_t *)&guest->tcp) != 0) {
		guest_leave(guest);
		return;
	}
	read_source(guest);
	if (too_many(door, &guest->from)) {
		if (door->turned_away++ % 100 == 0)
			log_warn("door", "too many connections without a word turned_away=%llu",
				 (unsigned long long)door->turned_away);
		guest_leave(guest);
		return;
	}
	list_append(&door->waiting, &guest->entry);
	uv_timer_start(&guest->deadline, on_guest_deadline, DEADLINE_FIRST_BYTE_MS, 0);
	uv_read_start((uv_stream_t *)&guest->tcp, give_space, on_guest_read);
}

/* ---- opening ---- */

static int listen_at(struct door *door, const char *host, uint16_t port)
{
	struct sockaddr_storage address;
	if (uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address) != 0 &&
	    uv_ip4_addr(host, port, (struct sockaddr_in *)&address) != 0)
		return UV_EINVAL;
	int error = uv_tcp_bind(&door->tcp, (const struct sockaddr *)&address, 0);
	if (!error)
		error = uv_listen((uv_stream_t *)&door->tcp, 32, on_connection);
	if (error)
		return error;
	int size = sizeof(address);
	uv_tcp_getsockname(&door->tcp, (struct sockaddr *)&address, &size);
	door->port = ntohs(((const struct sockaddr_in *)&address)->sin_port); /* same place in v6 */
	return 0;
}

static void on_retried(uv_handle_t *handle)
{
	free(handle);
}

/* A handle that failed to bind cannot be used again: give it to the loop, take a fresh one. */
static struct door *door_create(uv_loop_t *loop)
{
	struct door *door = calloc(1, sizeof(*door));
	if (!door || uv_tcp_init(loop, &door->tcp) != 0) {
		free(door);
		return NULL;
	}
	list_init(&door->waiting);
	door->tcp.data = door;
	return door;
}

static struct door *try_port(uv_loop_t *loop, const char *host, uint16_t port, int *error)
{
	struct door *door = door_create(loop);
	*error = door ? listen_at(door, host, port) : UV_ENOMEM;
	if (door && *error) {
		uv_close((uv_handle_t *)&door->tcp, on_retried);
		return NULL;
	}
	return door;
}

static struct door *try_any(uv_loop_t *loop, uint16_t remembered, int *error)
{
	const char *const hosts[] = { "::", "0.0.0.0" }; /* :: takes IPv4 too, where IPv6 exists */
	const uint16_t ports[] = { remembered ? remembered : DEFAULT_PORT, DEFAULT_PORT, 0 };
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 2; j++) {
			struct door *door = try_port(loop, hosts[j], ports[i], error);
			if (door)
				return door;
		}
	return NULL;
}

struct door *door_open(uv_loop_t *loop, const char *listen, uint16_t remembered,
		       door_arrived *arrived, void *context, struct fail *fail)
{
	char host[128];
	uint16_t port;
	int error;
	struct door *door;
	if (listen[0] == 0) {
		door = try_any(loop, remembered, &error);
	} else if (address_split(listen, host, sizeof(host), &port, DEFAULT_PORT)) {
		door = try_port(loop, host, port, &error);
	} else {
		fail_set(fail, FAIL_INVALID, "--listen %s is not ADDRESS:PORT", listen);
		return NULL;
	}
	if (!door) {
		fail_set(fail, FAIL_IO, "cannot listen on %s: %s; choose another --listen",
			 listen[0] ? listen : "any port", uv_strerror(error));
		return NULL;
	}
	door->arrived = arrived;
	door->context = context;
	return door;
}

uint16_t door_port(const struct door *door)
{
	return door->port;
}

void door_close(struct door *door)
{
	if (!door)
		return;
	LIST_EACH(at, &door->waiting)
		guest_leave(LIST_ITEM(at, struct guest, entry));
	uv_close((uv_handle_t *)&door->tcp, on_retried);
}
