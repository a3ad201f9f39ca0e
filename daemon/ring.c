#include "daemon/ring.h"

#include "base/clock.h"
#include "base/list.h"
#include "daemon/head.h"
#include "daemon/hop.h"
#include "daemon/news.h"
#include "daemon/pulse.h"
#include "daemon/route.h"
#include "daemon/tally.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ring_neighbour {
	struct link *link;
	uint32_t credits; /* outgoing: flights we may still send */
	struct hop *queue[RING_FLIGHTS_MAX]; /* computed, waiting for credit */
	uint32_t n_queue;
};

/* What one epoch needs; all of it is the ring thread's. */
struct ring_epoch {
	struct plan plan;
	uint16_t self;
	struct slice *slice;
	struct model *model;
	uint32_t n_embd;
	struct hop *hops; /* [RING_FLIGHTS_MAX] */
	float *states;    /* one allocation for all hops */
	struct hop *free_hops;
	uint32_t hops_out;
	uint64_t charged_bytes;
	struct ring_neighbour out[PLAN_DEVICES_MAX], in[PLAN_DEVICES_MAX];
	uint32_t n_out, n_in, n_connected;
	struct head *head; /* when self is the head */
	struct buf encoded;
	atomic_bool cancel;
	bool broken, stopping;
};

struct ring {
	uv_loop_t loop;
	pthread_t thread;
	struct mailbox *inbox; /* to the ring thread */
	struct account *account;
	struct news news; /* to the loop thread */
	struct ring_epoch *epoch;
	struct message message; /* decoding */
	struct buf credit;      /* the body of "one more flight", encoded once */
	void (*stopped)(void *context);
	void *stopped_context;
	struct tally tally;
	struct pulse pulse;
	struct letter beat; /* from pulse_ask to pulse_answer it is under way */
};

/* The first failure of an epoch is the one that is told; the node stops the ring then. A neighbour
 * that closed its connection in good order (FAIL_CANCELLED) had a reason, which is on its way to us:
 * requests do not end with a guess. */
static void break_epoch(struct ring *ring, const struct device_id *device, const struct fail *why)
{
	struct ring_epoch *epoch = ring->epoch;
	if (!epoch || epoch->broken || epoch->stopping)
		return;
	epoch->broken = why->code != FAIL_CANCELLED;
	news_broken(&ring->news, &epoch->plan.epoch, device, why);
	if (epoch->head && epoch->broken)
		head_fail_all(epoch->head, why, device);
}

/* ---- counters ---- */

static void publish_counters(struct ring *ring, uint64_t sent, uint64_t received)
{
	tally_add(&ring->tally, sent, received, ring->epoch ? ring->epoch->head : NULL);
}

void ring_counters(struct ring *ring, struct ring_counters *counters)
{
	tally_read(&ring->tally, counters);
}

uint64_t ring_bytes_sent(const struct ring *ring)
{
	return ring->tally.counters.bytes_sent; /* written by this thread only */
}

struct news *ring_news(struct ring *ring)
{
	return &ring->news;
}

const struct plan *ring_plan(const struct ring *ring)
{
	return &ring->epoch->plan;
}

/* ---- hops ---- */

struct hop *ring_hop_take(struct ring *ring)
{
	struct ring_epoch *epoch = ring->epoch;
	struct hop *hop = epoch->free_hops;
	if (!hop)
		return NULL;
	epoch->free_hops = hop->next_free;
	epoch->hops_out++;
	struct flight *flight = &hop->flight;
	memset(flight, 0, offsetof(struct flight, rows));
	memcpy(flight->deployment, epoch->plan.model.bytes, sizeof(flight->deployment));
	flight->epoch = epoch->plan.epoch;
	flight->n_embd = epoch->n_embd;
	flight->dtype = (uint16_t)epoch->plan.wire;
	hop->n_works = 0;
	hop->code = FAIL_NONE;
	hop->on_leader = NULL;
	hop->request = NULL;
	return hop;
}

static void stop_if_quiet(struct ring *ring);

void ring_hop_free(struct ring *ring, struct hop *hop)
{
	struct ring_epoch *epoch = ring->epoch;
	hop->next_free = epoch->free_hops;
	epoch->free_hops = hop;
	epoch->hops_out--;
}

static void on_work_done(struct work *work)
{
	struct hop *hop = work->context;
	pulse_move(&hop->ring->pulse, clock_ms());
	if (work->code && !hop->code)
		hop->code = work->code;
	if (work != &hop->works[hop->n_works - 1])
		return;
	if (hop->on_leader && !hop->code)
		hop->on_leader(hop);
	mailbox_post(hop->ring->inbox, &hop->letter);
}

void ring_hop_compute(struct ring *ring, struct hop *hop)
{
	struct ring_epoch *epoch = ring->epoch;
	hop->code = FAIL_NONE;
	for (uint32_t i = 0; i < hop->n_works; i++) {
		hop->works[i].cancel = &epoch->cancel;
		hop->works[i].done = on_work_done;
		hop->works[i].context = hop;
	}
	pulse_begin(&ring->pulse, clock_ms());
	for (uint32_t i = 0; i < hop->n_works; i++)
		slice_submit(epoch->slice, &hop->works[i]);
}

/* ---- sending on ---- */

static void grant_credit(struct ring *ring, struct hop *hop)
{
	if (hop->from == HOP_FROM_HEAD)
		return;
	struct link *link = ring->epoch->in[hop->from].link;
	if (link)
		link_send_raw(link, MESSAGE_CREDIT, ring->credit.data, ring->credit.size, NULL, 0);
	hop->from = HOP_FROM_HEAD;
}

static void put_on_wire(struct ring *ring, struct ring_neighbour *to, struct hop *hop)
{
	struct buf *encoded = &ring->epoch->encoded;
	buf_clear(encoded);
	flight_encode(&hop->flight, hop->states, encoded);
	if (encoded->failed) {
		struct fail why;
		fail_set(&why, FAIL_MEMORY, "no memory to send a flight");
		break_epoch(ring, NULL, &why);
		return;
	}
	to->credits--;
	const uint64_t before = link_bytes_sent(to->link);
	link_send_raw(to->link, MESSAGE_FLIGHT, encoded->data, encoded->size, NULL, 0);
	publish_counters(ring, link_bytes_sent(to->link) - before, 0);
}

static void left_device(struct ring *ring, struct hop *hop)
{
	grant_credit(ring, hop);
	ring_hop_free(ring, hop);
}

static void send_to(struct ring *ring, uint16_t device, struct hop *hop)
{
	struct ring_neighbour *to = &ring->epoch->out[device];
	if (!to->link) {
		struct fail why;
		fail_set(&why, FAIL_LOST, "the ring connection to %s is gone",
			 ring->epoch->plan.devices[device].name);
		break_epoch(ring, &ring->epoch->plan.devices[device].id, &why);
		left_device(ring, hop);
		return;
	}
	if (to->credits == 0) {
		to->queue[to->n_queue++] = hop; /* never more than there are hops */
		return;
	}
	put_on_wire(ring, to, hop);
	left_device(ring, hop);
}

static void run_queue(struct ring *ring, struct ring_neighbour *to)
{
	while (to->n_queue > 0 && to->credits > 0 && to->link) {
		struct hop *hop = to->queue[0];
		to->n_queue--;
		memmove(to->queue, to->queue + 1, to->n_queue * sizeof(to->queue[0]));
		put_on_wire(ring, to, hop);
		left_device(ring, hop);
	}
}

/* ---- a flight meets a stage ---- */

static void add_operations(const struct flight *flight, struct hop *hop)
{
	static const enum work_kind kinds[SEQUENCE_OPS] = {
		[SEQUENCE_OPEN] = WORK_OPEN,       [SEQUENCE_FORK] = WORK_FORK,
		[SEQUENCE_TRIM] = WORK_TRIM,       [SEQUENCE_CHECKPOINT] = WORK_CHECKPOINT,
		[SEQUENCE_RESTORE] = WORK_RESTORE, [SEQUENCE_DROP] = WORK_DROP,
	};
	for (uint32_t i = 0; i < flight->n_ops; i++)
		hop->works[hop->n_works++] = (struct work){
			.kind = kinds[flight->ops[i].kind],
			.sequence_a = flight->ops[i].a,
			.sequence_b = flight->ops[i].b,
			.position = flight->ops[i].position,
		};
}

static void add_layers(const struct ring_epoch *epoch, struct hop *hop)
{
	const struct flight *flight = &hop->flight;
	const struct plan_stage *stage = &epoch->plan.stages[flight->stage];
	for (uint32_t i = 0; i < flight->n_rows; i++)
		hop->rows[i] = (struct work_row){ .sequence = flight->rows[i].sequence,
						  .position = flight->rows[i].position };
	hop->works[hop->n_works++] = (struct work){
		.kind = WORK_LAYERS,
		.layers = { stage->first_layer, stage->end_layer },
		.n_rows = flight->n_rows,
		.rows = hop->rows,
		.hidden = hop->states,
	};
}

static void meet_stage(struct ring *ring, struct hop *hop);

static void pass_on(struct ring *ring, struct hop *hop)
{
	hop->flight.stage++;
	if (hop->flight.stage < ring->epoch->plan.n_stages)
		hop->flight.round = ring->epoch->plan.stages[hop->flight.stage].round;
	const uint16_t next = route_device(&ring->epoch->plan, hop->flight.stage);
	if (next == ring->epoch->self)
		meet_stage(ring, hop);
	else
		send_to(ring, next, hop);
}

/* The hop's stage is this device's (or it has come back to its head). */
static void meet_stage(struct ring *ring, struct hop *hop)
{
	struct ring_epoch *epoch = ring->epoch;
	if (hop->flight.stage == epoch->plan.n_stages) {
		grant_credit(ring, hop);
		if (!head_returned(epoch->head, hop)) {
			struct fail why;
			fail_set(&why, FAIL_INVALID, "a flight came back that was never sent");
			break_epoch(ring, NULL, &why);
		}
		return;
	}
	hop->phase = HOP_LAYERS;
	hop->n_works = 0;
	hop->on_leader = NULL;
	if (route_first_visit(&epoch->plan, hop->flight.stage))
		add_operations(&hop->flight, hop);
	if (hop->flight.n_rows > 0)
		add_layers(epoch, hop);
	if (hop->n_works > 0)
		ring_hop_compute(ring, hop);
	else
		pass_on(ring, hop);
}

void ring_hop_depart(struct ring *ring, struct hop *hop)
{
	hop->flight.stage = 0;
	hop->flight.round = 0;
	const uint16_t next = route_device(&ring->epoch->plan, 0);
	if (next == ring->epoch->self)
		meet_stage(ring, hop);
	else
		send_to(ring, next, hop);
}

static void compute_failed(struct ring *ring, struct hop *hop)
{
	struct fail why;
	fail_set(&why, hop->code, "computing a flight failed (%s)", fail_code_name(hop->code));
	break_epoch(ring, NULL, &why);
	ring_hop_free(ring, hop); /* the head, where there is one, has failed its requests */
}

static void on_hop_computed(struct letter *letter)
{
	struct hop *hop = LIST_ITEM(letter, struct hop, letter);
	struct ring *ring = hop->ring;
	pulse_end(&ring->pulse);
	if (hop->code || ring->epoch->stopping)
		compute_failed(ring, hop);
	else if (hop->phase == HOP_LAYERS)
		pass_on(ring, hop);
	else
		head_computed(ring->epoch->head, hop);
	publish_counters(ring, 0, 0);
	stop_if_quiet(ring);
}

/* ---- links ---- */

static uint16_t device_of_link(const struct ring_epoch *epoch, const struct link *link, bool *outgoing)
{
	*outgoing = false;
	for (uint16_t i = 0; i < epoch->plan.n_devices; i++) {
		*outgoing = epoch->out[i].link == link;
		if (*outgoing || epoch->in[i].link == link)
			return i;
	}
	return UINT16_MAX;
}

static bool flight_is_ours(const struct ring_epoch *epoch, const struct flight *flight)
{
	return flight->stage <= epoch->plan.n_stages &&
	       route_device(&epoch->plan, flight->stage) == epoch->self;
}

static bool take_flight(struct ring *ring, uint16_t from, const uint8_t *body, size_t size)
{
	struct ring_epoch *epoch = ring->epoch;
	struct hop *hop = ring_hop_take(ring);
	if (!hop)
		return false; /* more flights than credits */
	struct fail why;
	if (flight_decode(&hop->flight, hop->states, epoch->plan.chunk_rows, epoch->n_embd, body,
			  size, &why) != 0 ||
	    !flight_is_ours(epoch, &hop->flight)) {
		ring_hop_free(ring, hop);
		return false;
	}
	if (epoch_compare(&hop->flight.epoch, &epoch->plan.epoch) != 0) {
		ring_hop_free(ring, hop); /* stale: dropped unanswered */
		return true;
	}
	hop->from = from;
	meet_stage(ring, hop);
	publish_counters(ring, 0, size);
	return true;
}

static bool take_credit(struct ring *ring, uint16_t from, const uint8_t *body, size_t size)
{
	struct buf scratch;
	struct fail why;
	buf_init(&scratch);
	const int result = message_decode(&ring->message, MESSAGE_CREDIT, body, size, &scratch, &why);
	buf_finish(&scratch);
	struct ring_neighbour *to = &ring->epoch->out[from];
	if (result != 0 || ring->message.credit.flights > RING_FLIGHTS_MAX - to->credits)
		return false;
	to->credits += ring->message.credit.flights;
	run_queue(ring, to);
	return true;
}

static bool on_link_message(void *context, struct link *link, enum message_type type,
			    const uint8_t *body, size_t size)
{
	struct ring *ring = context;
	bool outgoing;
	const uint16_t device = device_of_link(ring->epoch, link, &outgoing);
	if (ring->epoch->stopping)
		return true;
	if (type == MESSAGE_FLIGHT && !outgoing)
		return take_flight(ring, device, body, size);
	if (type == MESSAGE_CREDIT && outgoing)
		return take_credit(ring, device, body, size);
	return false;
}

static void on_link_closed(void *context, struct link *link, const struct fail *why)
{
	struct ring *ring = context;
	bool outgoing;
	const uint16_t device = device_of_link(ring->epoch, link, &outgoing);
	struct ring_epoch *epoch = ring->epoch;
	if (outgoing)
		epoch->out[device].link = NULL;
	else
		epoch->in[device].link = NULL;
	epoch->n_connected--;
	struct fail told;
	fail_set(&told, why->code == FAIL_CANCELLED ? FAIL_CANCELLED : FAIL_LOST,
		 "the ring connection with %s broke: %.200s", epoch->plan.devices[device].name,
		 why->text);
	break_epoch(ring, &epoch->plan.devices[device].id, &told);
	stop_if_quiet(ring);
}

static const struct link_events the_link_events = {
	.message = on_link_message,
	.closed = on_link_closed,
};

static void put_link(struct ring *ring, struct link *link, uint16_t device, bool outgoing)
{
	struct ring_epoch *epoch = ring->epoch;
	struct ring_neighbour *neighbour = outgoing ? &epoch->out[device] : &epoch->in[device];
	if (neighbour->link) {
		link_close(neighbour->link, "replaced by a newer connection", true);
		epoch->n_connected--;
	}
	neighbour->link = link;
	epoch->n_connected++;
	if (!outgoing) {
		ring->message.type = MESSAGE_CREDIT;
		ring->message.credit.flights = RING_FLIGHTS_MAX;
		link_send(link, &ring->message);
	}
	if (epoch->n_connected == epoch->n_out + epoch->n_in)
		news_connected(&ring->news, &epoch->plan.epoch);
}

/* ---- commands from the loop thread ---- */

struct command {
	struct letter letter;
	struct ring *ring;
	struct ring_epoch *epoch;
	struct link_parts *parts;
	struct epoch stamp;
	uint16_t device;
	bool outgoing;
	struct message_request request;
	uint32_t *tokens;
	struct request_id id;
	struct device_id owner;
	struct fail why;
	bool has_device;
	void (*stopped)(void *context);
	void *context;
};

static struct command *command_create(struct ring *ring, void (*handle)(struct letter *))
{
	struct command *command = calloc(1, sizeof(*command));
	if (!command)
		abort();
	command->letter.handle = handle;
	command->ring = ring;
	return command;
}

static void do_link(struct letter *letter)
{
	struct command *command = (struct command *)letter;
	struct ring *ring = command->ring;
	const struct ring_epoch *epoch = ring->epoch;
	const bool wanted = epoch && !epoch->stopping && !epoch->broken &&
			    epoch_compare(&epoch->plan.epoch, &command->stamp) == 0;
	struct link *link = NULL;
	if (wanted)
		link = link_assemble(&ring->loop, command->parts, &the_link_events, ring);
	else
		link_parts_free(command->parts);
	if (link) {
		put_link(ring, link, command->device, command->outgoing);
	} else if (wanted) {
		struct fail why;
		fail_set(&why, FAIL_MEMORY, "no memory for a ring connection");
		break_epoch(ring, NULL, &why);
	}
	free(command);
}

void ring_link(struct ring *ring, struct link_parts *parts, uint16_t device, bool outgoing,
	       const struct epoch *epoch)
{
	struct command *command = command_create(ring, do_link);
	command->parts = parts;
	command->device = device;
	command->outgoing = outgoing;
	command->stamp = *epoch;
	mailbox_post(ring->inbox, &command->letter);
}

static void refuse_request(struct ring *ring, const struct message_request *request)
{
	struct message_request_end end = { .id = request->id,
					   .end = REQUEST_END_FAILED,
					   .code = FAIL_LOST };
	snprintf(end.reason, sizeof(end.reason), "the plan has just changed; ask again");
	news_end(&ring->news, &end);
}

static void do_request(struct letter *letter)
{
	struct command *command = (struct command *)letter;
	struct ring *ring = command->ring;
	const struct ring_epoch *epoch = ring->epoch;
	command->request.tokens = command->tokens;
	if (epoch && epoch->head && !epoch->stopping &&
	    epoch_compare(&epoch->plan.epoch, &command->request.epoch) == 0)
		head_request(epoch->head, &command->request);
	else
		refuse_request(ring, &command->request);
	publish_counters(ring, 0, 0);
	free(command->tokens);
	free(command);
}

void ring_request(struct ring *ring, const struct message_request *request)
{
	struct command *command = command_create(ring, do_request);
	command->request = *request;
	command->tokens = malloc((size_t)request->n_tokens * sizeof(uint32_t) + 1);
	if (!command->tokens)
		abort();
	memcpy(command->tokens, request->tokens, (size_t)request->n_tokens * sizeof(uint32_t));
	mailbox_post(ring->inbox, &command->letter);
}

static void do_cancel(struct letter *letter)
{
	struct command *command = (struct command *)letter;
	struct ring_epoch *epoch = command->ring->epoch;
	if (epoch && epoch->head && !epoch->stopping) {
		if (command->has_device)
			head_cancel_owner(epoch->head, &command->owner);
		else
			head_cancel(epoch->head, &command->id);
	}
	publish_counters(command->ring, 0, 0);
	free(command);
}

void ring_cancel(struct ring *ring, const struct request_id *id)
{
	struct command *command = command_create(ring, do_cancel);
	command->id = *id;
	mailbox_post(ring->inbox, &command->letter);
}

void ring_cancel_owner(struct ring *ring, const struct device_id *owner)
{
	struct command *command = command_create(ring, do_cancel);
	command->owner = *owner;
	command->has_device = true;
	mailbox_post(ring->inbox, &command->letter);
}

/* ---- epochs ---- */

static void epoch_destroy(struct ring_epoch *epoch, struct account *account)
{
	if (!epoch)
		return;
	head_destroy(epoch->head);
	slice_destroy(epoch->slice);
	model_close(epoch->model);
	account_release(account, ACCOUNT_BUFFERS, epoch->charged_bytes);
	buf_finish(&epoch->encoded);
	free(epoch->states);
	free(epoch->hops);
	free(epoch);
}

static int allocate_hops(struct ring *ring, struct ring_epoch *epoch, struct fail *fail)
{
	const size_t values = (size_t)epoch->plan.chunk_rows * epoch->n_embd;
	const uint64_t bytes = RING_FLIGHTS_MAX * (sizeof(struct hop) + values * sizeof(float));
	if (!account_charge(ring->account, ACCOUNT_BUFFERS, bytes))
		return fail_set(fail, FAIL_MEMORY, "no memory for %d flights of %u rows",
				RING_FLIGHTS_MAX, epoch->plan.chunk_rows);
	epoch->charged_bytes = bytes;
	epoch->hops = calloc(RING_FLIGHTS_MAX, sizeof(*epoch->hops));
	epoch->states = malloc(RING_FLIGHTS_MAX * values * sizeof(float));
	if (!epoch->hops || !epoch->states)
		return fail_set(fail, FAIL_MEMORY, "no memory for %d flights", RING_FLIGHTS_MAX);
	for (uint32_t i = 0; i < RING_FLIGHTS_MAX; i++) {
		struct hop *hop = &epoch->hops[i];
		hop->ring = ring;
		hop->letter.handle = on_hop_computed;
		hop->states = epoch->states + i * values;
		hop->next_free = epoch->free_hops;
		epoch->free_hops = hop;
	}
	return 0;
}

static void do_serve(struct letter *letter)
{
	struct command *command = (struct command *)letter;
	struct ring *ring = command->ring;
	struct ring_epoch *epoch = command->epoch;
	struct fail why;
	ring->epoch = epoch;
	uint16_t neighbours[PLAN_DEVICES_MAX];
	epoch->n_out = route_successors(&epoch->plan, epoch->self, neighbours);
	epoch->n_in = route_predecessors(&epoch->plan, epoch->self, neighbours);
	int result = allocate_hops(ring, epoch, &why);
	if (result == 0 && epoch->self == epoch->plan.head) {
		epoch->head = head_create(ring, model_shape(epoch->model)->n_vocab, ring->account,
					  &why);
		result = epoch->head ? 0 : -1;
	}
	if (result != 0)
		break_epoch(ring, NULL, &why);
	else if (epoch->n_out + epoch->n_in == 0)
		news_connected(&ring->news, &epoch->plan.epoch);
	free(command);
}

void ring_serve(struct ring *ring, const struct plan *plan, uint16_t self, struct slice *slice,
		struct model *model)
{
	struct ring_epoch *epoch = calloc(1, sizeof(*epoch));
	if (!epoch)
		abort();
	epoch->plan = *plan;
	epoch->self = self;
	epoch->slice = slice;
	epoch->model = model;
	epoch->n_embd = model_shape(model)->n_embd;
	atomic_init(&epoch->cancel, false);
	struct command *command = command_create(ring, do_serve);
	command->epoch = epoch;
	mailbox_post(ring->inbox, &command->letter);
}

/* The epoch may go when no hop is on the backend: their letters would find nothing. */
static void stop_if_quiet(struct ring *ring)
{
	struct ring_epoch *epoch = ring->epoch;
	if (!epoch || !epoch->stopping || epoch->hops_out > 0)
		return;
	epoch_destroy(epoch, ring->account);
	ring->epoch = NULL;
	tally_rest(&ring->tally);
	news_stopped(&ring->news, ring->stopped, ring->stopped_context);
}

static void close_links(struct ring_epoch *epoch)
{
	for (uint16_t i = 0; i < epoch->plan.n_devices; i++) {
		struct ring_neighbour *out = &epoch->out[i];
		for (uint32_t j = 0; j < out->n_queue; j++)
			ring_hop_free(out->queue[j]->ring, out->queue[j]);
		out->n_queue = 0;
		if (out->link)
			link_close(out->link, "the plan ended", true);
		if (epoch->in[i].link)
			link_close(epoch->in[i].link, "the plan ended", true);
		out->link = epoch->in[i].link = NULL;
	}
}

static void do_stop(struct letter *letter)
{
	struct command *command = (struct command *)letter;
	struct ring *ring = command->ring;
	struct ring_epoch *epoch = ring->epoch;
	ring->stopped = command->stopped;
	ring->stopped_context = command->context;
	if (!epoch) {
		news_stopped(&ring->news, command->stopped, command->context);
	} else {
		if (epoch->head)
			head_fail_all(epoch->head, &command->why,
				      command->has_device ? &command->owner : NULL);
		epoch->stopping = true;
		atomic_store(&epoch->cancel, true);
		close_links(epoch);
		stop_if_quiet(ring);
	}
	free(command);
}

void ring_stop(struct ring *ring, const struct fail *why, const struct device_id *device,
	       void (*stopped)(void *context), void *context)
{
	struct command *command = command_create(ring, do_stop);
	command->why = *why;
	command->has_device = device != NULL;
	if (device)
		command->owner = *device;
	command->stopped = stopped;
	command->context = context;
	mailbox_post(ring->inbox, &command->letter);
}

/* ---- is there progress ---- */

static void do_beat(struct letter *letter)
{
	struct ring *ring = LIST_ITEM(letter, struct ring, beat);
	struct fail why;
	if (ring->epoch && ring->epoch->head && head_overdue(ring->epoch->head, &why))
		break_epoch(ring, NULL, &why);
	publish_counters(ring, 0, 0);
	pulse_answer(&ring->pulse);
}

bool ring_beat(struct ring *ring)
{
	if (pulse_ask(&ring->pulse, clock_ms()))
		mailbox_post(ring->inbox, &ring->beat);
	return !pulse_stuck(&ring->pulse, clock_ms());
}

/* ---- the thread ---- */

static void *run_thread(void *argument)
{
	struct ring *ring = argument;
	uv_run(&ring->loop, UV_RUN_DEFAULT);
	return NULL;
}

struct ring *ring_create(struct mailbox *home, struct account *account,
			 const struct ring_events *events, void *context, struct fail *fail)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	if (!ring || uv_loop_init(&ring->loop) != 0) {
		free(ring);
		fail_set(fail, FAIL_MEMORY, "no memory for the ring");
		return NULL;
	}
	ring->news = (struct news){ .home = home, .events = *events, .context = context };
	ring->account = account;
	ring->beat.handle = do_beat;
	pulse_init(&ring->pulse);
	tally_init(&ring->tally, &ring->news);
	buf_init(&ring->credit);
	ring->message.type = MESSAGE_CREDIT;
	ring->message.credit.flights = 1;
	message_encode(&ring->message, &ring->credit);
	ring->inbox = mailbox_create(&ring->loop);
	if (ring->inbox && pthread_create(&ring->thread, NULL, run_thread, ring) == 0)
		return ring;
	fail_set(fail, FAIL_MEMORY, "cannot start the ring thread");
	if (ring->inbox)
		mailbox_close(ring->inbox);
	uv_run(&ring->loop, UV_RUN_DEFAULT);
	uv_loop_close(&ring->loop);
	free(ring);
	return NULL;
}

static void do_end(struct letter *letter)
{
	struct command *command = (struct command *)letter;
	mailbox_close(command->ring->inbox);
	free(command);
}

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	struct command *command = command_create(ring, do_end);
	mailbox_post(ring->inbox, &command->letter);
	pthread_join(ring->thread, NULL);
	uv_loop_close(&ring->loop);
	tally_finish(&ring->tally);
	buf_finish(&ring->credit);
	free(ring);
}
