#include "daemon/pair.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/timer.h"
#include "proto/deadlines.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One pairing run, as member or as joiner. */
struct run {
	struct list entry; /* accepting ones: in pair->accepting, oldest first */
	struct pair *pair;
	struct address from;
	uv_tcp_t tcp;
	uv_timer_t deadline;
	uv_connect_t connect;
	uint32_t handles;
	bool joins, ended, spent;
	uint8_t own_preamble[PREAMBLE_BYTES];
	struct pairing *pairing; /* joiner: NULL until the other preamble came */
	struct buf received;
	char code[PAIRING_CODE_BYTES];
	pair_joined *done;
	void *done_context;
};

struct pair {
	uv_loop_t *loop;
	struct home *home;
	struct pair_events events;
	void *context;
	struct list accepting;
	struct run *joining;
	char code[PAIRING_CODE_BYTES];
	enum device_role role;
	int64_t until_ms; /* 0: no window */
	uint32_t attempts_left, failures;
	uv_timer_t *timer;
};

/* ---- the window ---- */

static void close_window(struct pair *pair)
{
	if (!pair->until_ms)
		return;
	pair->until_ms = 0;
	sodium_memzero(pair->code, sizeof(pair->code));
	uv_timer_stop(pair->timer);
	pair->events.window(pair->context, NULL);
}

static void on_window_over(uv_timer_t *timer)
{
	log_info("pair", "the pairing window closed");
	close_window(timer->data);
}

int pair_invite(struct pair *pair, enum device_role role, char code[PAIRING_CODE_BYTES],
		struct fail *fail)
{
	const struct member *self = roster_find(pair->home->roster, home_self(pair->home));
	if (!self || self->role != ROLE_ADMIN)
		return fail_set(fail, FAIL_DENIED,
				"this device is no admin of its home: invite from one that is");
	if (pair->failures >= INVITE_FAILURES_MAX)
		return fail_set(fail, FAIL_DENIED,
				"%u wrong codes were tried on this network: inviting is locked until "
				"primad is restarted",
				pair->failures);
	pairing_code(pair->code);
	pair->role = role;
	pair->attempts_left = INVITE_ATTEMPTS;
	pair->until_ms = clock_boot_ms() + DEADLINE_INVITE_MS;
	uv_timer_start(pair->timer, on_window_over, DEADLINE_INVITE_MS, 0);
	memcpy(code, pair->code, PAIRING_CODE_BYTES);
	pair->events.window(pair->context, pair->home->label);
	return 0;
}

void pair_invite_close(struct pair *pair)
{
	close_window(pair);
}

int64_t pair_invite_left_ms(const struct pair *pair)
{
	const int64_t left = pair->until_ms - clock_boot_ms();
	return pair->until_ms && left > 0 ? left : 0;
}

/* ---- runs ---- */

static void on_run_closed(uv_handle_t *handle)
{
	struct run *run = handle->data;
	if (--run->handles > 0)
		return;
	pairing_destroy(run->pairing);
	sodium_memzero(run->code, sizeof(run->code));
	buf_finish(&run->received);
	free(run);
}

static void end_run(struct run *run, const struct pairing_welcome *welcome, const struct fail *why)
{
	struct pair *pair = run->pair;
	if (run->ended)
		return;
	run->ended = true;
	list_remove(&run->entry);
	if (pair->joining == run)
		pair->joining = NULL;
	if (run->done)
		run->done(run->done_context, welcome, why);
	uv_close((uv_handle_t *)&run->tcp, on_run_closed);
	uv_close((uv_handle_t *)&run->deadline, on_run_closed);
}

static void fail_run(struct run *run, const struct fail *why)
{
	struct pair *pair = run->pair;
	if (!run->ended && !run->joins && run->spent) {
		pair->failures++;
		log_warn("pair", "a device on this network did not know the code attempts_left=%u",
			 pair->attempts_left);
		if (pair->attempts_left == 0)
			close_window(pair);
	}
	end_run(run, NULL, why);
}

static void end_accepting(struct pair *pair, const struct fail *why)
{
	LIST_EACH(at, &pair->accepting)
		end_run(LIST_ITEM(at, struct run, entry), NULL, why);
}

static void on_run_deadline(uv_timer_t *timer)
{
	struct fail why;
	fail_set(&why, FAIL_TIMEOUT, "the other device did not answer in time; try again");
	fail_run(timer->data, &why);
}

/* Pairing messages are small: they always fit into an empty socket buffer. */
static bool send_now(struct run *run, struct buf *out)
{
	const uv_buf_t part = uv_buf_init((char *)out->data, (unsigned)out->size);
	return out->size == 0 || uv_try_write((uv_stream_t *)&run->tcp, &part, 1) == (int)out->size;
}

static void joiner_done(struct run *run)
{
	end_run(run, pairing_welcome(run->pairing), NULL);
}

static int admit(struct run *run, struct buf *out, struct fail *why)
{
	struct pair *pair = run->pair;
	const char *name;
	uint32_t n;
	const struct device_keys *keys = pairing_peer(run->pairing, &name);
	int result = roster_add(pair->home->roster, pair->home->identity, keys, pair->role, name,
				why);
	if (result == 0)
		result = home_save_roster(pair->home, why);
	if (result != 0)
		return result;
	const uint8_t *statements = roster_statements(pair->home->roster, &n);
	return pairing_admit(run->pairing, roster_home_id(pair->home->roster), statements, n, out,
			     why);
}

static void member_met(struct run *run)
{
	struct pair *pair = run->pair;
	struct fail why;
	struct buf out;
	const char *name;
	const struct device_id id = pairing_peer(run->pairing, &name)->id;
	buf_init(&out);
	if (admit(run, &out, &why) != 0 || !send_now(run, &out)) {
		log_error("pair", "could not admit a device reason=\"%s\"", why.text);
		fail_run(run, &why);
	} else {
		pair->failures = 0;
		log_info("pair", "admitted name=\"%s\"", name);
		close_window(pair);
		pair->events.admitted(pair->context, &id, name);
		end_run(run, NULL, NULL);
		fail_set(&why, FAIL_DENIED, "another device was faster");
		end_accepting(pair, &why);
	}
	buf_finish(&out);
}

static int take_preamble(struct run *run, struct fail *why)
{
	const uint8_t *other = run->received.data;
	const int kind = preamble_check(other, why);
	if (kind < 0)
		return kind;
	run->pairing = pairing_create_joiner(run->pair->home->identity, run->pair->home->name,
					     run->code, run->own_preamble, other, why);
	buf_consume(&run->received, PREAMBLE_BYTES);
	return run->pairing ? 0 : -1;
}

static size_t wants(const struct run *run)
{
	return run->pairing ? pairing_wants(run->pairing) : PREAMBLE_BYTES;
}

static int advance(struct run *run, struct fail *why)
{
	struct buf out;
	buf_init(&out);
	int result = 0;
	while (result == 0 && wants(run) > 0 && run->received.size >= wants(run)) {
		if (!run->pairing) {
			result = take_preamble(run, why);
			continue;
		}
		const size_t n = wants(run);
		result = pairing_step(run->pairing, run->received.data, &out, why);
		buf_consume(&run->received, n);
	}
	if (result >= 0 && !send_now(run, &out))
		result = fail_set(why, FAIL_LOST, "the connection broke while pairing");
	buf_finish(&out);
	return result;
}

static void give_space(uv_handle_t *handle, size_t suggested, uv_buf_t *space)
{
	struct run *run = handle->data;
	const bool room = buf_reserve(&run->received, 4096);
	*space = uv_buf_init(room ? (char *)run->received.data + run->received.size : NULL,
			     room ? 4096 : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *space)
{
	struct run *run = stream->data;
	struct fail why;
	if (n == 0 || run->ended)
		return;
	if (n < 0) {
		fail_set(&why, FAIL_DENIED,
			 run->pairing ? "the other device refused: the code was wrong or has expired"
				      : "the other device is not inviting at this moment: run "
					"`primactl invite` there");
		fail_run(run, &why);
		return;
	}
	run->received.size += (size_t)n;
	const int result = advance(run, &why);
	if (result < 0)
		fail_run(run, &why);
	else if (result == PAIRING_MET)
		member_met(run);
	else if (result == PAIRING_DONE)
		joiner_done(run);
}

static struct run *run_create(struct pair *pair)
{
	struct run *run = calloc(1, sizeof(*run));
	if (!run || uv_tcp_init(pair->loop, &run->tcp) != 0) {
		free(run);
		return NULL;
	}
	uv_timer_init(pair->loop, &run->deadline);
	list_init(&run->entry);
	run->pair = pair;
	run->handles = 2;
	run->tcp.data = run->deadline.data = run;
	uv_timer_start(&run->deadline, on_run_deadline, DEADLINE_PAIR_MS, 0);
	return run;
}

static bool spend_attempt(void *context, char code[PAIRING_CODE_BYTES])
{
	struct run *run = context;
	struct pair *pair = run->pair;
	if (pair_invite_left_ms(pair) == 0 || pair->attempts_left == 0)
		return false;
	pair->attempts_left--;
	run->spent = true;
	memcpy(code, pair->code, PAIRING_CODE_BYTES);
	return true;
}

/* Whole IPv6 networks belong to one host; behind a link's own addresses stand many. */
static bool same_source(const struct address *a, const struct address *b)
{
	const size_t size = a->family == 4 ? 4 : address_is_link_local(a) ? 16 : 8;
	return a->family == b->family && memcmp(a->bytes, b->bytes, size) == 0;
}

static uint32_t count_source(const struct pair *pair, const struct address *from)
{
	uint32_t n = 0;
	LIST_EACH(at, &pair->accepting)
		n += same_source(&LIST_ITEM(at, struct run, entry)->from, from);
	return n;
}

/* The oldest of the source with the most, of those that have not tried a code. */
static struct run *least_deserving(const struct pair *pair, const struct address *only)
{
	struct run *worst = NULL;
	uint32_t worst_n = 0;
	LIST_EACH(at, &pair->accepting) {
		struct run *run = LIST_ITEM(at, struct run, entry);
		const uint32_t n = count_source(pair, &run->from);
		if (!run->spent && n > worst_n && (!only || same_source(&run->from, only))) {
			worst = run;
			worst_n = n;
		}
	}
	return worst;
}

/* False when all there are have spent an attempt: they end soon. */
static bool make_room(struct pair *pair, const struct address *from)
{
	struct fail why;
	uint32_t n = 0;
	LIST_EACH(at, &pair->accepting)
		n++;
	const bool of_source = count_source(pair, from) >= PAIR_RUNS_PER_SOURCE;
	if (!of_source && n < PAIR_RUNS_MAX)
		return true;
	struct run *out = least_deserving(pair, of_source ? from : NULL);
	if (!out)
		return false;
	fail_set(&why, FAIL_BUSY, "too many devices are pairing; try again");
	end_run(out, NULL, &why);
	return true;
}

static struct run *run_accept(struct pair *pair, uv_os_sock_t socket)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	struct address from = { 0 };
	if (getpeername(socket, (struct sockaddr *)&peer, &size) == 0)
		address_from_sockaddr(&from, (const struct sockaddr *)&peer);
	if (pair_invite_left_ms(pair) == 0 || !make_room(pair, &from))
		return NULL;
	struct run *run = run_create(pair);
	if (!run)
		return NULL;
	run->from = from;
	list_append(&pair->accepting, &run->entry);
	return run;
}

void pair_accept(struct pair *pair, uv_os_sock_t socket, const uint8_t preamble[PREAMBLE_BYTES])
{
	struct fail why;
	struct buf out;
	struct run *run = run_accept(pair, socket);
	if (!run) {
		close(socket);
		return;
	}
	buf_init(&out);
	preamble_answer(run->own_preamble, CONNECTION_PAIR, roster_home_id(pair->home->roster),
			home_self(pair->home));
	buf_append(&out, run->own_preamble, PREAMBLE_BYTES);
	if (uv_tcp_open(&run->tcp, socket) != 0) {
		close(socket);
		fail_set(&why, FAIL_IO, "cannot use the connection");
		fail_run(run, &why);
	} else {
		run->pairing = pairing_create_member(pair->home->identity, pair->home->label, preamble,
						     run->own_preamble, spend_attempt, run, &out,
						     &why);
		if (!run->pairing || !send_now(run, &out))
			fail_run(run, &why);
		else
			uv_read_start((uv_stream_t *)&run->tcp, give_space, on_read);
	}
	buf_finish(&out);
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct run *run = connect->data;
	struct fail why;
	struct buf out;
	if (run->ended)
		return;
	if (status < 0) {
		fail_set(&why, FAIL_LOST, "cannot reach that home: %s", uv_strerror(status));
		fail_run(run, &why);
		return;
	}
	buf_init(&out);
	preamble_make(run->own_preamble, CONNECTION_PAIR);
	buf_append(&out, run->own_preamble, PREAMBLE_BYTES);
	uv_read_start((uv_stream_t *)&run->tcp, give_space, on_read);
	send_now(run, &out);
	buf_finish(&out);
}

int pair_join(struct pair *pair, const struct sockaddr *address, const char *code,
	      pair_joined *done, void *context, struct fail *fail)
{
	char digits[PAIRING_CODE_BYTES];
	if (!pairing_code_read(digits, code))
		return fail_set(fail, FAIL_INVALID, "the code has six digits");
	if (pair->joining)
		return fail_set(fail, FAIL_BUSY, "this device is joining a home already");
	struct run *run = run_create(pair);
	if (!run)
		return fail_set(fail, FAIL_MEMORY, "no memory to join");
	run->joins = true;
	run->connect.data = run;
	memcpy(run->code, digits, sizeof(digits));
	const int error = uv_tcp_connect(&run->connect, &run->tcp, address, on_connected);
	if (error) {
		end_run(run, NULL, NULL);
		return fail_set(fail, FAIL_IO, "cannot dial that home: %s", uv_strerror(error));
	}
	pair->joining = run;
	run->done = done;
	run->done_context = context;
	return 0;
}

/* ---- beginning and end ---- */

struct pair *pair_create(uv_loop_t *loop, struct home *home, const struct pair_events *events,
			 void *context)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	uv_timer_t *timer = timer_make(loop, pair);
	if (!pair || !timer) {
		free(pair);
		timer_free(timer);
		return NULL;
	}
	list_init(&pair->accepting);
	pair->timer = timer;
	pair->loop = loop;
	pair->home = home;
	pair->events = *events;
	pair->context = context;
	return pair;
}

void pair_destroy(struct pair *pair)
{
	if (!pair)
		return;
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "primad is stopping");
	end_accepting(pair, &why);
	if (pair->joining)
		end_run(pair->joining, NULL, &why);
	timer_free(pair->timer);
	free(pair);
}
