#include "daemon/link.h"

#include "base/log.h"
#include "proto/deadlines.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum link_state {
	LINK_CONNECTING, /* TCP connect under way */
	LINK_PREAMBLE,   /* dialler: waits for the other preamble */
	LINK_FIRST,      /* accepter: waits for handshake message 1 */
	LINK_SECOND,     /* dialler: waits for handshake message 2 */
	LINK_HELLO,      /* keys agreed, waits for HELLO */
	LINK_READY,
	LINK_CLOSED /* handles are closing; no event follows */
};

struct link {
	uv_tcp_t tcp;
	uv_timer_t deadline;
	uint32_t handles; /* open ones; the link is freed with the last */
	const struct link_host *host; /* NULL once assembled on another loop */
	uint32_t generation;          /* of the host, when it began */
	enum link_state state;
	enum connection_kind kind;
	bool outgoing, expects_remote;
	uint8_t preamble_dialler[PREAMBLE_BYTES], preamble_accepter[PREAMBLE_BYTES];
	struct handshake *handshake;
	struct channel *channel;
	struct device_keys peer;
	struct epoch told;   /* in our HELLO */
	struct buf received; /* before there is a channel */
	struct buf out;      /* sealed, not yet given to the system */
	struct buf writing;  /* given to libuv, not yet written */
	uv_write_t write;
	uv_connect_t connect;
	bool write_pending;
	uint64_t bytes_sent;
	char address[80];
	struct link_events events;
	void *context;
};

/* ---- ending ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;
	if (--link->handles > 0)
		return;
	handshake_destroy(link->handshake);
	channel_destroy(link->channel);
	buf_finish(&link->received);
	buf_finish(&link->out);
	buf_finish(&link->writing);
	free(link);
}

static void close_handles(struct link *link)
{
	link->state = LINK_CLOSED;
	uv_close((uv_handle_t *)&link->deadline, on_handle_closed);
	uv_close((uv_handle_t *)&link->tcp, on_handle_closed);
}

static bool is_orphan(const struct link *link)
{
	return link->host && link->host->generation != link->generation;
}

static void fail_link(struct link *link, const struct fail *why)
{
	if (link->state == LINK_CLOSED)
		return;
	log_debug("link", "closed peer=%s kind=%d reason=\"%s\"", link->address, link->kind,
		  why->text);
	const bool orphan = is_orphan(link);
	close_handles(link);
	if (link->events.closed && !orphan)
		link->events.closed(link->context, link, why);
}

static void on_deadline(uv_timer_t *timer)
{
	struct link *link = timer->data;
	struct fail why;
	fail_set(&why, FAIL_TIMEOUT, "no answer from %s in time", link->address);
	fail_link(link, &why);
}

static void on_late_close(uv_timer_t *timer)
{
	struct link *link = timer->data;
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "closed by us");
	fail_link(link, &why);
}

void link_close(struct link *link, const char *reason, bool silent)
{
	if (link->state == LINK_CLOSED)
		return;
	if (link->state == LINK_READY) {
		struct message message = { .type = MESSAGE_CLOSE };
		snprintf(message.close.reason, sizeof(message.close.reason), "%s", reason);
		link_send(link, &message);
		if (link->state == LINK_CLOSED)
			return;
	}
	if (silent) {
		link->events.closed = NULL;
		close_handles(link);
		return;
	}
	link->state = LINK_READY; /* whatever it was: `closed` follows from the loop */
	uv_read_stop((uv_stream_t *)&link->tcp);
	uv_timer_start(&link->deadline, on_late_close, 0, 0);
}

/* ---- writing ---- */

static void flush(struct link *link);

static void on_written(uv_write_t *write, int status)
{
	struct link *link = write->data;
	link->write_pending = false;
	buf_clear(&link->writing);
	if (link->state == LINK_CLOSED)
		return;
	if (status < 0) {
		struct fail why;
		fail_set(&why, FAIL_LOST, "writing to %s failed: %s", link->address,
			 uv_strerror(status));
		fail_link(link, &why);
		return;
	}
	flush(link);
}

static void write_rest(struct link *link)
{
	const struct buf swap = link->writing;
	link->writing = link->out;
	link->out = swap;
	link->write_pending = true;
	link->write.data = link;
	const uv_buf_t part =
		uv_buf_init((char *)link->writing.data, (unsigned)link->writing.size);
	uv_write(&link->write, (uv_stream_t *)&link->tcp, &part, 1, on_written);
}

/* Straight to the system where it takes it: no turn of the loop between a flight and the wire. */
static void flush(struct link *link)
{
	if (link->write_pending || link->out.size == 0)
		return;
	const uv_buf_t part = uv_buf_init((char *)link->out.data, (unsigned)link->out.size);
	const int n = uv_try_write((uv_stream_t *)&link->tcp, &part, 1);
	if (n > 0)
		buf_consume(&link->out, (size_t)n);
	if (link->out.size > 0)
		write_rest(link);
}

static void fail_later(struct link *link)
{
	uv_timer_start(&link->deadline, on_deadline, 0, 0);
}

static void after_seal(struct link *link, size_t before, int result)
{
	link->bytes_sent += link->out.size - before;
	if (result != 0 || link->out.failed || link->out.size > LINK_SEND_BUFFER_MAX) {
		log_warn("link", "peer does not read peer=%s pending_bytes=%zu", link->address,
			 link->out.size);
		fail_later(link);
		return;
	}
	flush(link);
}

void link_send(struct link *link, const struct message *message)
{
	if (link->state != LINK_READY && link->state != LINK_HELLO)
		return;
	const size_t before = link->out.size;
	struct fail why;
	after_seal(link, before, channel_seal_message(link->channel, message, &link->out, &why));
}

void link_send_raw(struct link *link, enum message_type type, const void *head, size_t head_size,
		   const void *body, size_t body_size)
{
	if (link->state != LINK_READY)
		return;
	const size_t before = link->out.size;
	struct fail why;
	after_seal(link, before,
		   channel_seal(link->channel, type, head, head_size, body, body_size, &link->out,
				&why));
}

/* ---- handshake ---- */

static void send_clear(struct link *link, const void *bytes, size_t size)
{
	buf_append(&link->out, bytes, size);
	flush(link);
}

static int begin_channel(struct link *link, struct fail *why)
{
	struct channel_keys keys;
	link->peer = *handshake_peer(link->handshake);
	handshake_keys(link->handshake, &keys);
	link->channel = channel_create(&keys, link->kind);
	handshake_destroy(link->handshake);
	link->handshake = NULL;
	if (!link->channel)
		return fail_set(why, FAIL_MEMORY, "no memory for a connection");
	if (link->received.size > 0 &&
	    channel_feed(link->channel, link->received.data, link->received.size, why) != 0)
		return -(int)why->code;
	buf_finish(&link->received);
	link->state = LINK_HELLO;
	uv_timer_start(&link->deadline, on_deadline, DEADLINE_HELLO_MS, 0);
	struct message message = { .type = MESSAGE_HELLO };
	link->host->hello(link->host->context, link->kind, &message.hello);
	link->told = message.hello.epoch;
	link_send(link, &message);
	return 0;
}

static int take_preamble(struct link *link, struct fail *why)
{
	memcpy(link->preamble_accepter, link->received.data, PREAMBLE_BYTES);
	buf_consume(&link->received, PREAMBLE_BYTES);
	const int kind = preamble_check(link->preamble_accepter, why);
	if (kind < 0)
		return kind;
	struct device_keys hinted;
	if (link->expects_remote &&
	    !preamble_hints(link->preamble_accepter, link->host->home, &link->peer.id))
		return fail_set(why, FAIL_DENIED, "another device answers at %s", link->address);
	if (!link->expects_remote) {
		if (!link->host->hinted(link->host->context, link->preamble_accepter, &hinted))
			return fail_set(why, FAIL_DENIED, "%s is no member of this home",
					link->address);
		link->peer = hinted;
	}
	link->handshake = handshake_create(link->host->identity, link->host->home,
					   link->preamble_dialler, link->preamble_accepter);
	if (!link->handshake)
		return fail_set(why, FAIL_MEMORY, "no memory for a handshake");
	uint8_t statements[HANDSHAKE_STATEMENTS_MAX * STATEMENT_BYTES];
	const uint32_t n = link->host->statements(link->host->context, statements);
	const int result =
		handshake_start(link->handshake, &link->peer, statements, n, &link->out, why);
	link->state = LINK_SECOND;
	flush(link);
	return result;
}

static int take_second(struct link *link, struct fail *why)
{
	uint8_t message[HANDSHAKE_SECOND_BYTES];
	memcpy(message, link->received.data, sizeof(message));
	buf_consume(&link->received, sizeof(message));
	const int result = handshake_end(link->handshake, message, why);
	if (result != 0) {
		const uint8_t *notice = handshake_notice(link->handshake);
		if (notice)
			link->host->removed(link->host->context, notice);
		return result;
	}
	return begin_channel(link, why);
}

static int take_first(struct link *link, struct fail *why)
{
	uint8_t message[HANDSHAKE_FIRST_BYTES];
	memcpy(message, link->received.data, sizeof(message));
	buf_consume(&link->received, sizeof(message));
	const int result = handshake_answer(link->handshake, message, link->host->lookup,
					    link->host->context, &link->out, why);
	flush(link);
	return result ? result : begin_channel(link, why);
}

static size_t bytes_wanted(const struct link *link)
{
	switch (link->state) {
	case LINK_PREAMBLE: return PREAMBLE_BYTES;
	case LINK_FIRST: return HANDSHAKE_FIRST_BYTES;
	case LINK_SECOND: return HANDSHAKE_SECOND_BYTES;
	case LINK_CONNECTING:
	case LINK_HELLO:
	case LINK_READY:
	case LINK_CLOSED: break;
	}
	return SIZE_MAX;
}

static int shake_hands(struct link *link, struct fail *why)
{
	int result = 0;
	while (result == 0 && link->received.size >= bytes_wanted(link)) {
		if (link->state == LINK_PREAMBLE)
			result = take_preamble(link, why);
		else if (link->state == LINK_FIRST)
			result = take_first(link, why);
		else
			result = take_second(link, why);
	}
	return result;
}

/* ---- messages ---- */

static bool minor_versions_meet(const struct message_hello *hello)
{
	const int ours_min = PROTOCOL_MINOR_MIN, ours_max = PROTOCOL_MINOR_MAX;
	return hello->minor_min <= ours_max && hello->minor_max >= ours_min;
}

static int take_hello(struct link *link, const struct channel_message *incoming, struct fail *why)
{
	struct message message;
	struct buf scratch;
	buf_init(&scratch);
	int result = message_decode(&message, incoming->type, incoming->body, incoming->size, &scratch,
				    why);
	buf_finish(&scratch);
	if (result == 0 && incoming->type != MESSAGE_HELLO)
		result = fail_set(why, FAIL_INVALID, "%s did not begin with HELLO", link->address);
	if (result == 0 && !minor_versions_meet(&message.hello))
		result = fail_set(why, FAIL_VERSION,
				  "%s speaks protocol %u.%u to %u.%u, this device %u.%u to %u.%u: "
				  "upgrade the older one",
				  message.hello.name, PROTOCOL_MAJOR, message.hello.minor_min,
				  PROTOCOL_MAJOR, message.hello.minor_max, PROTOCOL_MAJOR,
				  PROTOCOL_MINOR_MIN, PROTOCOL_MAJOR, PROTOCOL_MINOR_MAX);
	if (result != 0)
		return result;
	link->state = LINK_READY;
	uv_timer_stop(&link->deadline);
	link->events.ready(link->context, link, &message.hello);
	return 0;
}

static int take_message(struct link *link, const struct channel_message *incoming, struct fail *why)
{
	if (link->state == LINK_HELLO)
		return take_hello(link, incoming, why);
	if (incoming->type == MESSAGE_CLOSE)
		return fail_set(why, FAIL_CANCELLED, "%s closed the connection", link->address);
	if (!link->events.message(link->context, link, incoming->type, incoming->body,
				  incoming->size))
		return fail_set(why, FAIL_INVALID, "%s broke the protocol with a %s message",
				link->address, message_name(incoming->type));
	return 0;
}

/* A message handler may close the link or take it apart: then the rest is not ours any more. */
static void take_messages(struct link *link)
{
	struct fail why;
	struct channel_message incoming;
	while (link->state == LINK_HELLO || link->state == LINK_READY) {
		int result = channel_next(link->channel, &incoming, &why);
		if (result == 0)
			return;
		if (result > 0)
			result = take_message(link, &incoming, &why);
		if (result < 0) {
			fail_link(link, &why);
			return;
		}
	}
}

/* ---- reading ---- */

static void give_space(uv_handle_t *handle, size_t suggested, uv_buf_t *space)
{
	struct link *link = handle->data;
	size_t size = 4096;
	uint8_t *at;
	if (link->channel)
		at = channel_space(link->channel, &size);
	else
		at = buf_reserve(&link->received, size) ? link->received.data + link->received.size
							: NULL;
	*space = uv_buf_init((char *)at, at ? (unsigned)size : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *space)
{
	struct link *link = stream->data;
	struct fail why;
	if (n == 0 || link->state == LINK_CLOSED)
		return;
	if (is_orphan(link)) {
		close_handles(link);
		return;
	}
	if (n < 0) {
		fail_set(&why, FAIL_LOST, "the connection with %s ended: %s", link->address,
			 n == UV_EOF ? "it closed it" : uv_strerror((int)n));
		fail_link(link, &why);
		return;
	}
	if (link->channel) {
		channel_received(link->channel, (size_t)n);
	} else {
		link->received.size += (size_t)n;
		if (shake_hands(link, &why) != 0) {
			fail_link(link, &why);
			return;
		}
	}
	if (link->channel)
		take_messages(link);
}

static void begin_reading(struct link *link)
{
	uv_tcp_nodelay(&link->tcp, 1);
	uv_read_start((uv_stream_t *)&link->tcp, give_space, on_read);
}

/* ---- beginning ---- */

static struct link *link_create(uv_loop_t *loop, const struct link_events *events, void *context)
{
	struct link *link = calloc(1, sizeof(*link));
	if (!link)
		return NULL;
	if (uv_tcp_init(loop, &link->tcp) != 0) {
		free(link);
		return NULL;
	}
	uv_timer_init(loop, &link->deadline);
	link->handles = 2;
	link->tcp.data = link;
	link->deadline.data = link;
	link->events = *events;
	link->context = context;
	return link;
}

static void write_address(struct link *link, const struct sockaddr *address)
{
	char host[64] = "?";
	uint16_t port = 0;
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;
		uv_ip4_name(in, host, sizeof(host));
		port = ntohs(in->sin_port);
		snprintf(link->address, sizeof(link->address), "%s:%u", host, port);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
		uv_ip6_name(in, host, sizeof(host));
		port = ntohs(in->sin6_port);
		snprintf(link->address, sizeof(link->address), "[%s]:%u", host, port);
	}
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct link *link = connect->data;
	if (link->state == LINK_CLOSED)
		return;
	if (status < 0) {
		struct fail why;
		fail_set(&why, status == UV_ECONNREFUSED ? FAIL_NOT_FOUND : FAIL_LOST,
			 "cannot connect to %s: %s", link->address, uv_strerror(status));
		fail_link(link, &why);
		return;
	}
	link->state = LINK_PREAMBLE;
	uv_timer_start(&link->deadline, on_deadline, DEADLINE_HANDSHAKE_MS, 0);
	begin_reading(link);
	preamble_make(link->preamble_dialler, link->kind);
	send_clear(link, link->preamble_dialler, PREAMBLE_BYTES);
}

struct link *link_dial(const struct link_host *host, const struct sockaddr *address,
		       enum connection_kind kind, const struct device_keys *remote,
		       const struct link_events *events, void *context, struct fail *fail)
{
	struct link *link = link_create(host->loop, events, context);
	if (!link) {
		fail_set(fail, FAIL_MEMORY, "no memory for a connection");
		return NULL;
	}
	link->host = host;
	link->generation = host->generation;
	link->kind = kind;
	link->outgoing = true;
	link->expects_remote = remote != NULL;
	if (remote)
		link->peer = *remote;
	write_address(link, address);
	link->connect.data = link;
	const int error = uv_tcp_connect(&link->connect, &link->tcp, address, on_connected);
	if (error) {
		fail_set(fail, FAIL_IO, "cannot dial %s: %s", link->address, uv_strerror(error));
		close_handles(link);
		return NULL;
	}
	uv_timer_start(&link->deadline, on_deadline, DEADLINE_DIAL_MS, 0);
	return link;
}

static int open_socket(struct link *link, uv_os_sock_t socket, struct fail *fail)
{
	const int error = uv_tcp_open(&link->tcp, socket);
	if (error) {
		close(socket);
		close_handles(link);
		return fail_set(fail, FAIL_IO, "cannot use a connection: %s", uv_strerror(error));
	}
	struct sockaddr_storage address;
	int size = sizeof(address);
	if (uv_tcp_getpeername(&link->tcp, (struct sockaddr *)&address, &size) == 0)
		write_address(link, (const struct sockaddr *)&address);
	return 0;
}

struct link *link_accept(const struct link_host *host, uv_os_sock_t socket,
			 const uint8_t preamble[PREAMBLE_BYTES], const struct link_events *events,
			 void *context, struct fail *fail)
{
	struct link *link = link_create(host->loop, events, context);
	if (!link) {
		close(socket);
		fail_set(fail, FAIL_MEMORY, "no memory for a connection");
		return NULL;
	}
	if (open_socket(link, socket, fail) != 0)
		return NULL;
	const int kind = preamble_check(preamble, fail);
	link->host = host;
	link->generation = host->generation;
	link->kind = (enum connection_kind)kind;
	memcpy(link->preamble_dialler, preamble, PREAMBLE_BYTES);
	preamble_answer(link->preamble_accepter, link->kind, host->home, &host->identity->keys.id);
	link->handshake = handshake_create(host->identity, host->home, link->preamble_dialler,
					   link->preamble_accepter);
	if (kind < 0 || !link->handshake) {
		fail_set(fail, FAIL_MEMORY, "no memory for a handshake");
		close_handles(link);
		return NULL;
	}
	link->state = LINK_FIRST;
	uv_timer_start(&link->deadline, on_deadline, DEADLINE_HANDSHAKE_MS, 0);
	begin_reading(link);
	send_clear(link, link->preamble_accepter, PREAMBLE_BYTES);
	return link;
}

/* ---- moving ---- */

struct link_parts {
	uv_os_sock_t socket;
	enum connection_kind kind;
	bool outgoing;
	struct channel *channel;
	struct device_keys peer;
	char address[80];
};

void link_parts_free(struct link_parts *parts)
{
	if (!parts)
		return;
	channel_destroy(parts->channel);
	close(parts->socket);
	free(parts);
}

struct link_parts *link_take_apart(struct link *link)
{
	struct link_parts *parts = calloc(1, sizeof(*parts));
	uv_os_fd_t socket = -1;
	if (parts && !link->write_pending && link->out.size == 0 &&
	    uv_fileno((uv_handle_t *)&link->tcp, &socket) == 0)
		socket = fcntl(socket, F_DUPFD_CLOEXEC, 3);
	else
		socket = -1;
	link->events.closed = NULL;
	if (socket < 0) {
		free(parts);
		close_handles(link);
		return NULL;
	}
	uv_read_stop((uv_stream_t *)&link->tcp);
	parts->socket = socket;
	parts->kind = link->kind;
	parts->outgoing = link->outgoing;
	parts->channel = link->channel;
	parts->peer = link->peer;
	memcpy(parts->address, link->address, sizeof(parts->address));
	link->channel = NULL;
	close_handles(link);
	return parts;
}

/* Messages that came together with the last one before the move. */
static void on_assembled(uv_timer_t *timer)
{
	struct link *link = timer->data;
	if (link->state == LINK_READY)
		take_messages(link);
}

struct link *link_assemble(uv_loop_t *loop, struct link_parts *parts,
			   const struct link_events *events, void *context)
{
	struct link *link = link_create(loop, events, context);
	struct fail why;
	if (!link) {
		link_parts_free(parts);
		return NULL;
	}
	link->channel = parts->channel;
	link->kind = parts->kind;
	link->outgoing = parts->outgoing;
	link->peer = parts->peer;
	const uv_os_sock_t socket = parts->socket;
	free(parts);
	if (open_socket(link, socket, &why) != 0)
		return NULL;
	link->state = LINK_READY;
	begin_reading(link);
	uv_timer_start(&link->deadline, on_assembled, 0, 0);
	return link;
}

/* ---- asking ---- */

enum connection_kind link_kind(const struct link *link)
{
	return link->kind;
}

bool link_outgoing(const struct link *link)
{
	return link->outgoing;
}

bool link_is_ready(const struct link *link)
{
	return link->state == LINK_READY;
}

const struct epoch *link_told_epoch(const struct link *link)
{
	return &link->told;
}

const struct device_keys *link_peer(const struct link *link)
{
	return &link->peer;
}

void *link_context(const struct link *link)
{
	return link->context;
}

void link_set_events(struct link *link, const struct link_events *events, void *context)
{
	link->events = *events;
	link->context = context;
}

uint64_t link_bytes_sent(const struct link *link)
{
	return link->bytes_sent;
}

const char *link_address(const struct link *link)
{
	return link->address;
}

bool link_address_of_peer(const struct link *link, struct sockaddr_storage *address)
{
	int size = sizeof(*address);
	return uv_tcp_getpeername(&link->tcp, (struct sockaddr *)address, &size) == 0;
}
