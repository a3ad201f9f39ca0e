#include "daemon/ring.h"

#include "base/clock.h"
#include "daemon/ring_inside.h"
#include "daemon/route.h"

#include <stdlib.h>
#include <string.h>

#define CREDITS_AT_ONCE (RING_FLIGHTS_MAX / 2)

/* The first failure of an epoch is the one that is told; the node stops the ring then. A neighbour
 * that closed its connection in good order (FAIL_CANCELLED) had a reason, which is on its way to us:
 * requests do not end with a guess. */
void ring_break(struct ring *ring, const struct device_id *device, const struct fail *why)
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

void ring_count(struct ring *ring, uint64_t sent, uint64_t received)
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
	epoch->free_hops = hop->next;
	epoch->hops_out++;
	struct flight *flight = &hop->flight;
	memset(flight, 0, offsetof(struct flight, rows));
	memcpy(flight->deployment, epoch->plan.model.bytes, sizeof(flight->deployment));
	flight->epoch = epoch->plan.epoch;
	flight->dtype = (uint16_t)epoch->plan.wire;
	hop->n_works = 0;
	hop->code = FAIL_NONE;
	hop->after_works = NULL;
	hop->request = NULL;
	return hop;
}

void ring_hop_free(struct ring *ring, struct hop *hop)
{
	struct ring_epoch *epoch = ring->epoch;
	hop->next = epoch->free_hops;
	epoch->free_hops = hop;
	epoch->hops_out--;
}

/* ---- sending on ---- */

/* Several at once: a credit for each flight would wake the neighbour once more for each. It always
 * has some, and no two links can starve each other: to be without, it must have given us more than
 * RING_FLIGHTS_MAX - CREDITS_AT_ONCE flights that we still have, and so must we the next. */
static void grant_credit(struct ring *ring, struct hop *hop)
{
	if (hop->from == HOP_FROM_HEAD)
		return;
	struct ring_neighbour *from = &ring->epoch->in[hop->from];
	hop->from = HOP_FROM_HEAD;
	if (++from->owed < CREDITS_AT_ONCE)
		return;
	from->owed = 0;
	if (from->link)
		link_send_raw(from->link, MESSAGE_CREDIT, ring->credit.data, ring->credit.size,
			      NULL, 0);
}

/* How much of a row is needed from this stage on. */
static uint32_t width_at(const struct ring_epoch *epoch, uint16_t stage)
{
	const struct model_shape *shape = model_shape(epoch->model);
	const bool output = stage >= epoch->plan.n_stages;
	return model_row_needed(shape, output ? shape->n_layers
					      : epoch->plan.stages[stage].first_layer);
}

static void put_on_wire(struct ring *ring, struct ring_neighbour *to, struct hop *hop)
{
	struct buf *encoded = &ring->epoch->encoded;
	const bool as_they_lie = hop->flight.dtype == WIRE_F32;
	size_t size = 0;
	hop->flight.n_embd = width_at(ring->epoch, hop->flight.stage);
	flight_pack(hop->states, hop->flight.n_rows, hop->flight.n_embd, ring->epoch->row_floats);
	buf_clear(encoded);
	if (as_they_lie) {
		flight_encode_head(&hop->flight, encoded);
		size = flight_bytes(&hop->flight) - encoded->size;
	} else {
		flight_encode(&hop->flight, hop->states, encoded);
	}
	if (encoded->failed) {
		struct fail why;
		fail_set(&why, FAIL_MEMORY, "no memory to send a flight");
		ring_break(ring, NULL, &why);
		return;
	}
	to->credits--;
	const uint64_t before = link_bytes_sent(to->link);
	link_send_raw(to->link, MESSAGE_FLIGHT, encoded->data, encoded->size, hop->states, size);
	ring_count(ring, link_bytes_sent(to->link) - before, 0);
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
		ring_break(ring, &ring->epoch->plan.devices[device].id, &why);
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
			ring_break(ring, NULL, &why);
		}
		return;
	}
	hop->phase = HOP_LAYERS;
	hop->n_works = 0;
	hop->after_works = NULL;
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
	ring_break(ring, NULL, &why);
	ring_hop_free(ring, hop); /* the head, where there is one, has failed its requests */
}

void ring_hop_computed(struct hop *hop)
{
	struct ring *ring = hop->ring;
	pulse_end(&ring->pulse);
	if (hop->code || ring->epoch->stopping)
		compute_failed(ring, hop);
	else if (hop->phase == HOP_LAYERS)
		pass_on(ring, hop);
	else
		head_computed(ring->epoch->head, hop);
	ring_count(ring, 0, 0);
	ring_stop_if_quiet(ring);
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
	       route_device(&epoch->plan, flight->stage) == epoch->self &&
	       flight->n_embd == width_at(epoch, flight->stage);
}

static bool take_flight(struct ring *ring, uint16_t from, const uint8_t *body, size_t size)
{
	struct ring_epoch *epoch = ring->epoch;
	struct hop *hop = ring_hop_take(ring);
	if (!hop)
		return false; /* more flights than credits */
	struct fail why;
	if (flight_decode(&hop->flight, hop->states, epoch->plan.chunk_rows,
			  epoch->row_floats, body, size, &why) != 0 ||
	    !flight_is_ours(epoch, &hop->flight)) {
		ring_hop_free(ring, hop);
		return false;
	}
	if (epoch_compare(&hop->flight.epoch, &epoch->plan.epoch) != 0) {
		ring_hop_free(ring, hop); /* stale: dropped unanswered */
		return true;
	}
	flight_spread(hop->states, hop->flight.n_rows, hop->flight.n_embd, epoch->row_floats);
	hop->from = from;
	meet_stage(ring, hop);
	ring_count(ring, 0, size);
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
	ring_break(ring, &epoch->plan.devices[device].id, &told);
	ring_stop_if_quiet(ring);
}

const struct link_events ring_link_events = {
	.message = on_link_message,
	.closed = on_link_closed,
};

void ring_put_link(struct ring *ring, struct link *link, uint16_t device, bool outgoing)
{
	struct ring_epoch *epoch = ring->epoch;
	struct ring_neighbour *neighbour = outgoing ? &epoch->out[device] : &epoch->in[device];
	if (neighbour->link) {
		link_close(neighbour->link, "replaced by a newer connection", true);
		epoch->n_connected--;
	}
	neighbour->link = link;
	neighbour->owed = 0;
	epoch->n_connected++;
	if (!outgoing) {
		ring->message.type = MESSAGE_CREDIT;
		ring->message.credit.flights = RING_FLIGHTS_MAX;
		link_send(link, &ring->message);
	}
	if (epoch->n_connected == epoch->n_out + epoch->n_in)
		news_connected(&ring->news, &epoch->plan.epoch);
}

/* ---- the end of an epoch ---- */

void ring_epoch_destroy(struct ring_epoch *epoch, struct account *account)
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

/* The epoch may go when no hop is on the backend: their letters would find nothing. */
void ring_stop_if_quiet(struct ring *ring)
{
	struct ring_epoch *epoch = ring->epoch;
	if (!epoch || !epoch->stopping || epoch->hops_out > 0)
		return;
	ring_epoch_destroy(epoch, ring->account);
	ring->epoch = NULL;
	tally_rest(&ring->tally);
	news_stopped(&ring->news, ring->end.stopped, ring->end.context);
}

/* ---- the thread ---- */

static void *run_thread(void *argument)
{
	struct ring *ring = argument;
	uv_run(&ring->loop, UV_RUN_DEFAULT);
	return NULL;
}

/* It computes too, now and then. */
static int start_thread(struct ring *ring)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);
	if (error)
		return error;
	error = pthread_attr_setstacksize(&attributes, BACKEND_STACK_BYTES);
	if (!error)
		error = pthread_create(&ring->thread, &attributes, run_thread, ring);
	pthread_attr_destroy(&attributes);
	return error;
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
	news_init(&ring->news, home, events, context);
	ring->account = account;
	ring->beat.handle = ring_do_beat;
	pulse_init(&ring->pulse);
	tally_init(&ring->tally, &ring->news);
	buf_init(&ring->credit);
	ring->message.type = MESSAGE_CREDIT;
	ring->message.credit.flights = CREDITS_AT_ONCE;
	message_encode(&ring->message, &ring->credit);
	ring_line_init(ring);
	ring->inbox = mailbox_create(&ring->loop);
	if (ring->inbox && start_thread(ring) == 0)
		return ring;
	fail_set(fail, FAIL_MEMORY, "cannot start the ring thread");
	ring_line_close(ring);
	if (ring->inbox)
		mailbox_close(ring->inbox);
	uv_run(&ring->loop, UV_RUN_DEFAULT);
	uv_loop_close(&ring->loop);
	free(ring);
	return NULL;
}

static void do_end(struct letter *letter)
{
	struct ring *ring = LIST_ITEM(letter, struct ring, end.letter);
	ring_line_close(ring);
	mailbox_close(ring->inbox);
}

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	ring->end.letter.handle = do_end;
	mailbox_post(ring->inbox, &ring->end.letter);
	pthread_join(ring->thread, NULL);
	uv_loop_close(&ring->loop);
	tally_finish(&ring->tally);
	buf_finish(&ring->credit);
	free(ring);
}
