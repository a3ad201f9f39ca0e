#include "base/clock.h"
#include "base/log.h"
#include "daemon/ring_inside.h"
#include "daemon/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An order is a letter with what belongs to it. Those that may come in any number are allocated,
 * and who gives them is told when that fails; those that must get through lie in the ring and in
 * the epoch. */

static int short_of_memory(const char *for_what)
{
	log_warn("ring", "no memory for %s", for_what);
	return -FAIL_MEMORY;
}

/* ---- connections ---- */

struct link_order {
	struct letter letter;
	struct ring *ring;
	struct link_parts *parts;
	struct epoch epoch;
	uint16_t device;
	bool outgoing;
};

static void do_link(struct letter *letter)
{
	struct link_order *order = (struct link_order *)letter;
	struct ring *ring = order->ring;
	const struct ring_epoch *epoch = ring->epoch;
	const bool wanted = epoch && !epoch->stopping && !epoch->broken &&
			    epoch_compare(&epoch->plan.epoch, &order->epoch) == 0;
	struct link *link = NULL;
	if (wanted)
		link = link_assemble(&ring->loop, order->parts, &ring_link_events, ring);
	else
		link_parts_free(order->parts);
	if (link) {
		ring_put_link(ring, link, order->device, order->outgoing);
	} else if (wanted) {
		struct fail why;
		fail_set(&why, FAIL_MEMORY, "no memory for a ring connection");
		ring_break(ring, NULL, &why);
	}
	free(order);
}

int ring_link(struct ring *ring, struct link_parts *parts, uint16_t device, bool outgoing,
	      const struct epoch *epoch)
{
	struct link_order *order = calloc(1, sizeof(*order));
	if (!order) {
		link_parts_free(parts);
		return short_of_memory("a ring connection");
	}
	order->letter.handle = do_link;
	order->ring = ring;
	order->parts = parts;
	order->device = device;
	order->outgoing = outgoing;
	order->epoch = *epoch;
	mailbox_post(ring->inbox, &order->letter);
	return 0;
}

/* ---- requests ---- */

struct request_order {
	struct letter letter;
	struct ring *ring;
	struct message_request request;
	uint32_t tokens[];
};

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
	struct request_order *order = (struct request_order *)letter;
	struct ring *ring = order->ring;
	const struct ring_epoch *epoch = ring->epoch;
	order->request.tokens = order->tokens;
	if (epoch && epoch->head && !epoch->stopping &&
	    epoch_compare(&epoch->plan.epoch, &order->request.epoch) == 0)
		head_request(epoch->head, &order->request);
	else
		refuse_request(ring, &order->request);
	ring_count(ring, 0, 0);
	free(order);
}

int ring_request(struct ring *ring, const struct message_request *request)
{
	const size_t bytes = (size_t)request->n_tokens * sizeof(uint32_t);
	struct request_order *order = malloc(sizeof(*order) + bytes);
	if (!order)
		return short_of_memory("a request");
	order->letter.handle = do_request;
	order->ring = ring;
	order->request = *request;
	if (bytes)
		memcpy(order->tokens, request->tokens, bytes);
	mailbox_post(ring->inbox, &order->letter);
	return 0;
}

struct cancel_order {
	struct letter letter;
	struct ring *ring;
	struct request_id id; /* number 0: all of its owner */
};

static void do_cancel(struct letter *letter)
{
	struct cancel_order *order = (struct cancel_order *)letter;
	struct ring_epoch *epoch = order->ring->epoch;
	if (epoch && epoch->head && !epoch->stopping) {
		if (order->id.number == 0)
			head_cancel_owner(epoch->head, &order->id.owner);
		else
			head_cancel(epoch->head, &order->id);
	}
	ring_count(order->ring, 0, 0);
	free(order);
}

int ring_cancel(struct ring *ring, const struct request_id *id)
{
	struct cancel_order *order = calloc(1, sizeof(*order));
	if (!order)
		return short_of_memory("cancelling a request");
	order->letter.handle = do_cancel;
	order->ring = ring;
	order->id = *id;
	mailbox_post(ring->inbox, &order->letter);
	return 0;
}

int ring_cancel_owner(struct ring *ring, const struct device_id *owner)
{
	const struct request_id all = { .owner = *owner };
	return ring_cancel(ring, &all);
}

struct hold_order {
	struct letter letter;
	struct ring *ring;
	bool on;
};

static void do_hold(struct letter *letter)
{
	struct hold_order *order = (struct hold_order *)letter;
	struct ring_epoch *epoch = order->ring->epoch;
	if (epoch && epoch->head && !epoch->stopping)
		head_hold(epoch->head, order->on);
	ring_count(order->ring, 0, 0);
	free(order);
}

int ring_hold(struct ring *ring, bool on)
{
	struct hold_order *order = calloc(1, sizeof(*order));
	if (!order)
		return short_of_memory("holding requests back");
	order->letter.handle = do_hold;
	order->ring = ring;
	order->on = on;
	mailbox_post(ring->inbox, &order->letter);
	return 0;
}

/* ---- epochs ---- */

static int allocate_hops(struct ring *ring, struct ring_epoch *epoch, struct fail *fail)
{
	const size_t values = (size_t)epoch->plan.chunk_rows * epoch->row_floats;
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
		hop->letter.handle = ring_line_letter;
		hop->states = epoch->states + i * values;
		hop->next = epoch->free_hops;
		epoch->free_hops = hop;
	}
	return 0;
}

static void do_serve(struct letter *letter)
{
	struct ring_epoch *epoch = LIST_ITEM(letter, struct ring_epoch, serve);
	struct ring *ring = epoch->ring;
	struct fail why;
	ring->epoch = epoch;
	ring_line_forget(ring);
	uint16_t neighbours[PLAN_DEVICES_MAX];
	epoch->n_out = route_successors(&epoch->plan, epoch->self, neighbours);
	epoch->n_in = route_predecessors(&epoch->plan, epoch->self, neighbours);
	int result = allocate_hops(ring, epoch, &why);
	if (result == 0 && epoch->self == epoch->plan.head) {
		epoch->head =
			head_create(ring, model_shape(epoch->model), ring->account, &why);
		result = epoch->head ? 0 : -1;
	}
	if (result != 0)
		ring_break(ring, NULL, &why);
	else if (epoch->n_out + epoch->n_in == 0)
		news_connected(&ring->news, &epoch->plan.epoch);
}

int ring_serve(struct ring *ring, const struct plan *plan, uint16_t self, struct slice *slice,
	       struct model *model, struct fail *fail)
{
	struct ring_epoch *epoch = calloc(1, sizeof(*epoch));
	if (!epoch)
		return fail_set(fail, FAIL_MEMORY, "no memory to serve the model");
	epoch->serve.handle = do_serve;
	epoch->ring = ring;
	epoch->plan = *plan;
	epoch->self = self;
	epoch->slice = slice;
	epoch->model = model;
	epoch->row_floats = model_row_floats(model_shape(model));
	atomic_init(&epoch->cancel, false);
	mailbox_post(ring->inbox, &epoch->serve);
	return 0;
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
	struct ring *ring = LIST_ITEM(letter, struct ring, end.letter);
	const struct ring_end *end = &ring->end;
	struct ring_epoch *epoch = ring->epoch;
	if (!epoch) {
		news_stopped(&ring->news, end->stopped, end->context);
		return;
	}
	if (epoch->head)
		head_fail_all(epoch->head, &end->why, end->has_device ? &end->device : NULL);
	epoch->stopping = true;
	atomic_store(&epoch->cancel, true);
	close_links(epoch);
	ring_stop_if_quiet(ring);
}

void ring_stop(struct ring *ring, const struct fail *why, const struct device_id *device,
	       void (*stopped)(void *context), void *context)
{
	ring->end = (struct ring_end){ .letter.handle = do_stop,
				       .why = *why,
				       .has_device = device != NULL,
				       .stopped = stopped,
				       .context = context };
	if (device)
		ring->end.device = *device;
	mailbox_post(ring->inbox, &ring->end.letter);
}

/* ---- is there progress ---- */

void ring_do_beat(struct letter *letter)
{
	struct ring *ring = LIST_ITEM(letter, struct ring, beat);
	struct fail why;
	if (ring->epoch && ring->epoch->head && !ring->epoch->stopping) {
		head_look(ring->epoch->head);
		if (head_overdue(ring->epoch->head, &why))
			ring_break(ring, NULL, &why);
	}
	ring_count(ring, 0, 0);
	pulse_answer(&ring->pulse);
}

bool ring_beat(struct ring *ring)
{
	if (pulse_ask(&ring->pulse, clock_ms()))
		mailbox_post(ring->inbox, &ring->beat);
	return !pulse_stuck(&ring->pulse, clock_ms());
}
