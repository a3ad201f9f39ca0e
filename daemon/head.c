#include "daemon/head.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/session.h"
#include "proto/deadlines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KV_PAGE 64 /* reservations are rounded up to whole pages of any backend */

struct head_request {
	struct list entry; /* in head->running or head->waiting */
	struct message_request settings; /* its tokens pointer is not used */
	uint32_t sequence;
	uint32_t *tokens; /* [n_prompt + max_tokens], owned: the request's history */
	uint32_t n_prompt, n_tokens;
	uint32_t sent;        /* positions that left in flights */
	uint32_t flights_out;
	uint32_t kv_reserved; /* positions */
	bool ended;           /* its end was told; the sequence is being dropped */
	enum request_end how;
	bool drop_sent;
	int64_t started_us, first_us, last_us;
	uint64_t flights, bytes_before;
	uint32_t together_max;
};

/* A flight while it is out, and what must come back. */
struct out {
	uint64_t id;
	struct head_request *request; /* NULL: a free place */
	uint32_t position, n_rows;
	bool wanted; /* its last row's logits */
	bool back;   /* it has come round, its logits are computed */
	int64_t left_ms;
};

struct head {
	struct ring *ring;
	struct account *account;
	uint64_t charged_bytes;
	const struct model_shape *shape; /* borrowed */
	uint32_t n_vocab;
	float *logits;     /* [n_vocab]; whose thread computes, while a hop is in HOP_OUTPUT */
	uint32_t *scratch; /* [2 * n_vocab] */
	struct list running, waiting;
	uint32_t n_running, n_waiting;
	uint32_t next_sequence;
	uint64_t next_flight;
	uint32_t flights_out;
	struct out flights[RING_FLIGHTS_MAX];
	uint32_t kv_used;
	double token_s;
	int64_t held_until_ms; /* nothing is started before */
	bool failed;
};

struct head *head_create(struct ring *ring, const struct model_shape *shape, struct account *account,
			 struct fail *fail)
{
	const uint32_t n_vocab = shape->n_vocab;
	const uint64_t bytes = (uint64_t)n_vocab * 3 * sizeof(float);
	if (!account_charge(account, ACCOUNT_BUFFERS, bytes)) {
		fail_set(fail, FAIL_MEMORY, "no memory for the logits of %u tokens", n_vocab);
		return NULL;
	}
	struct head *head = calloc(1, sizeof(*head));
	if (head) {
		head->logits = malloc(n_vocab * sizeof(float));
		head->scratch = malloc(2 * (size_t)n_vocab * sizeof(uint32_t));
	}
	if (!head || !head->logits || !head->scratch) {
		fail_set(fail, FAIL_MEMORY, "no memory for the logits of %u tokens", n_vocab);
		account_release(account, ACCOUNT_BUFFERS, bytes);
		if (head) {
			free(head->logits);
			free(head->scratch);
		}
		free(head);
		return NULL;
	}
	head->ring = ring;
	head->account = account;
	head->charged_bytes = bytes;
	head->shape = shape;
	head->n_vocab = n_vocab;
	list_init(&head->running);
	list_init(&head->waiting);
	return head;
}

static uint64_t request_bytes(const struct head_request *request)
{
	return sizeof(*request) +
	       ((uint64_t)request->n_prompt + request->settings.max_tokens) * sizeof(uint32_t);
}

static void request_free(struct head *head, struct head_request *request)
{
	list_remove(&request->entry);
	account_release(head->account, ACCOUNT_QUEUES, request_bytes(request));
	free(request->tokens);
	free(request);
}

void head_destroy(struct head *head)
{
	if (!head)
		return;
	LIST_EACH(at, &head->running)
		request_free(head, LIST_ITEM(at, struct head_request, entry));
	LIST_EACH(at, &head->waiting)
		request_free(head, LIST_ITEM(at, struct head_request, entry));
	account_release(head->account, ACCOUNT_BUFFERS, head->charged_bytes);
	free(head->logits);
	free(head->scratch);
	free(head);
}

/* ---- telling the owner ---- */

static void tell_end(struct head *head, struct head_request *request, enum request_end how,
		     const struct fail *why, const struct device_id *device)
{
	struct message_request_end end = { .id = request->settings.id, .end = (uint8_t)how };
	const int64_t now = clock_us();
	end.prompt_tokens = request->started_us ? request->n_prompt : 0; /* 0: it never ran */
	end.completion_tokens = request->n_tokens - request->n_prompt;
	if (request->first_us) {
		end.prompt_s = (double)(request->first_us - request->started_us) / 1e6;
		end.decode_s = (double)(now - request->first_us) / 1e6;
	}
	end.flights = request->flights;
	if (request->started_us)
		end.bytes_sent = ring_bytes_sent(head->ring) - request->bytes_before;
	end.flights_together_max = request->together_max;
	if (why) {
		end.code = (uint8_t)why->code;
		snprintf(end.reason, sizeof(end.reason), "%.*s", (int)sizeof(end.reason) - 1, why->text);
	}
	if (device)
		end.device = *device;
	news_end(ring_news(head->ring), &end);
}

static void tell_refused(struct head *head, const struct message_request *settings,
			 const struct fail *why)
{
	struct message_request_end end = { .id = settings->id, .end = REQUEST_END_FAILED };
	end.code = (uint8_t)why->code;
	snprintf(end.reason, sizeof(end.reason), "%.*s", (int)sizeof(end.reason) - 1, why->text);
	news_end(ring_news(head->ring), &end);
}

static void tell_tokens(struct head *head, const struct head_request *request, uint32_t first,
			uint32_t n)
{
	struct message_tokens tokens = { .id = request->settings.id };
	tokens.prompt_done = request->sent < request->n_prompt ? request->sent : request->n_prompt;
	tokens.first_position = first;
	tokens.n_tokens = n;
	for (uint32_t i = 0; i < n; i++)
		tokens.tokens[i] = request->tokens[first + i];
	news_tokens(ring_news(head->ring), &tokens);
}

/* The owner missed something: all that was said so far. */
static void tell_again(struct head *head, struct head_request *request)
{
	const uint32_t most = sizeof(((struct message_tokens *)NULL)->tokens) / sizeof(uint32_t);
	tell_tokens(head, request, request->n_tokens, 0);
	for (uint32_t at = request->n_prompt; at < request->n_tokens; at += most)
		tell_tokens(head, request, at,
			    request->n_tokens - at < most ? request->n_tokens - at : most);
	if (request->ended)
		tell_end(head, request, request->how, NULL, NULL);
}

/* ---- admission ---- */

static uint32_t positions_needed(const struct message_request *request)
{
	const uint32_t positions = request->n_tokens + request->max_tokens;
	return (positions + KV_PAGE - 1) / KV_PAGE * KV_PAGE;
}

static bool is_of(const struct head_request *request, const struct device_id *owner)
{
	return device_id_equal(&request->settings.id.owner, owner);
}

static uint32_t count_of(const struct list *requests, const struct device_id *owner)
{
	uint32_t n = 0;
	LIST_EACH(at, requests)
		n += is_of(LIST_ITEM(at, struct head_request, entry), owner);
	return n;
}

/* Cuts max_tokens to the context; refuses what can never run. */
static int admit(const struct head *head, struct message_request *request, struct fail *fail)
{
	const struct plan *plan = ring_plan(head->ring);
	if (head->failed)
		return fail_set(fail, FAIL_LOST, "the ring has just lost a device; ask again");
	if (request->n_tokens == 0)
		return fail_set(fail, FAIL_INVALID, "the prompt has no tokens");
	if (request->n_tokens >= plan->context)
		return fail_set(fail, FAIL_INVALID,
				"the prompt has %u tokens, the context holds %u: shorten the prompt "
				"or start the daemons with a larger --context",
				request->n_tokens, plan->context);
	const uint32_t room = plan->context - request->n_tokens;
	if (request->max_tokens == 0 || request->max_tokens > room)
		request->max_tokens = room;
	for (uint32_t i = 0; i < request->n_tokens; i++)
		if (request->tokens[i] >= head->n_vocab)
			return fail_set(fail, FAIL_INVALID,
					"token id %u at place %u is outside the vocabulary of %u",
					request->tokens[i], i, head->n_vocab);
	const uint32_t own = count_of(&head->waiting, &request->id.owner);
	if (own >= SESSION_QUEUE_MAX)
		return fail_set(fail, FAIL_BUSY,
				"%u requests run and %u wait already of the device that asks; try "
				"again later",
				head->n_running, own);
	if (head->n_waiting >= RING_REQUESTS_MAX)
		return fail_set(fail, FAIL_BUSY,
				"%u requests run and %u wait already; try again later",
				head->n_running, head->n_waiting);
	return 0;
}

static struct head_request *request_create(struct head *head,
					   const struct message_request *settings)
{
	struct head_request *request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	list_init(&request->entry);
	request->settings = *settings;
	request->settings.tokens = NULL;
	request->n_prompt = request->n_tokens = settings->n_tokens;
	if (account_charge(head->account, ACCOUNT_QUEUES, request_bytes(request))) {
		const size_t n = (size_t)settings->n_tokens + settings->max_tokens;
		request->tokens = malloc(n * sizeof(uint32_t));
		if (request->tokens) {
			memcpy(request->tokens, settings->tokens,
			       settings->n_tokens * sizeof(uint32_t));
			return request;
		}
		account_release(head->account, ACCOUNT_QUEUES, request_bytes(request));
	}
	free(request);
	return NULL;
}

static void start(struct head *head, struct head_request *request)
{
	list_remove(&request->entry);
	list_append(&head->running, &request->entry);
	head->n_running++;
	request->sequence = ++head->next_sequence;
	request->kv_reserved = positions_needed(&request->settings);
	head->kv_used += request->kv_reserved;
	request->started_us = clock_us();
	request->bytes_before = ring_bytes_sent(head->ring);
}

static bool is_held(const struct head *head)
{
	return head->held_until_ms && clock_ms() < head->held_until_ms;
}

/* The oldest of the owner with the fewest running. Of one owner's they run as they came: a long one
 * at the front is not overtaken for ever. */
static struct head_request *next_waiting(const struct head *head)
{
	struct head_request *best = NULL;
	uint32_t best_running = UINT32_MAX;
	LIST_EACH(at, &head->waiting) {
		struct head_request *request = LIST_ITEM(at, struct head_request, entry);
		const uint32_t running = count_of(&head->running, &request->settings.id.owner);
		if (running < best_running) {
			best = request;
			best_running = running;
		}
	}
	return best;
}

/* True when layers with this window have room for a further request of `needed` positions. */
static bool window_fits(const struct head *head, uint32_t window, uint32_t needed)
{
	const struct kv_room room = plan_kv_room(ring_plan(head->ring));
	const uint32_t kept = kv_kept(window, room.rows);
	uint64_t positions = needed < kept ? needed : kept;
	LIST_EACH(at, &head->running) {
		const struct head_request *request = LIST_ITEM(at, struct head_request, entry);
		positions += request->kv_reserved < kept ? request->kv_reserved : kept;
	}
	return positions <= kv_window_positions(&room, window);
}

static bool windows_fit(const struct head *head, uint32_t needed)
{
	const struct model_shape *shape = head->shape;
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		const uint32_t window = shape->layers[i].window;
		const bool again = i > 0 && window == shape->layers[i - 1].window;
		if (window > 0 && !again && !window_fits(head, window, needed))
			return false;
	}
	return true;
}

static void start_waiting(struct head *head)
{
	struct head_request *request;
	while (!is_held(head) && (request = next_waiting(head))) {
		const uint32_t limit = ring_plan(head->ring)->kv_positions;
		const uint32_t needed = positions_needed(&request->settings);
		/* one that is larger than everything runs alone */
		if (head->n_running > 0 &&
		    (head->kv_used > limit || needed > limit - head->kv_used ||
		     head->n_running >= RING_REQUESTS_MAX ||
		     !windows_fit(head, needed)))
			return;
		head->n_waiting--;
		start(head, request);
	}
}

/* ---- the next flight ---- */

static bool wants_flight(const struct head *head, const struct head_request *request)
{
	if (request->ended)
		return request->flights_out == 0 && !request->drop_sent;
	if (request->sent == request->n_tokens)
		return false;
	/* a long prompt leaves places on the ring to the others */
	const uint32_t share = RING_FLIGHTS_MAX / head->n_running;
	return request->flights_out < (share ? share : 1);
}

/* Fewest rows to go first: a token that somebody waits for passes before a long prompt's chunk;
 * the list is rotated, so equals take turns. */
static struct head_request *choose(struct head *head)
{
	struct head_request *best = NULL;
	uint32_t best_rows = UINT32_MAX;
	LIST_EACH(at, &head->running) {
		struct head_request *request = LIST_ITEM(at, struct head_request, entry);
		const uint32_t rows = request->ended ? 0 : request->n_tokens - request->sent;
		if (wants_flight(head, request) && rows < best_rows) {
			best = request;
			best_rows = rows;
		}
	}
	if (best) {
		list_remove(&best->entry);
		list_append(&head->running, &best->entry);
	}
	return best;
}

static void add_op(struct flight *flight, enum sequence_op_kind kind, uint32_t sequence)
{
	flight->ops[flight->n_ops++] = (struct sequence_op){ .kind = kind, .a = sequence };
}

static uint32_t rows_of_next_flight(const struct head *head, const struct head_request *request)
{
	uint32_t most = ring_plan(head->ring)->chunk_rows;
	if (request->settings.chunk_rows && request->settings.chunk_rows < most)
		most = request->settings.chunk_rows;
	const uint32_t left = request->n_tokens - request->sent;
	return left < most ? left : most;
}

static void fill_rows(struct hop *hop, const struct head_request *request, uint32_t n)
{
	hop->flight.n_rows = n;
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t position = request->sent + i;
		const bool last = position + 1 == request->n_tokens;
		hop->flight.rows[i] = (struct flight_row){
			.sequence = request->sequence,
			.position = position,
			.parent = UINT32_MAX,
			.want = last ? FLIGHT_WANT_LOGITS : 0,
		};
		hop->rows[i] = (struct work_row){
			.sequence = request->sequence,
			.position = position,
			.token = request->tokens[position],
			.want = last,
		};
	}
}

static void count_flight(struct head *head, struct head_request *request, struct hop *hop)
{
	const struct flight *flight = &hop->flight;
	uint32_t i = 0;
	while (head->flights[i].request)
		i++; /* the callers look at flights_out: there is a free place */
	head->flights[i] = (struct out){
		.id = flight->id,
		.request = request,
		.position = flight->n_rows ? flight->rows[0].position : 0,
		.n_rows = flight->n_rows,
		.wanted = flight->n_rows && flight->rows[flight->n_rows - 1].want,
		.left_ms = clock_ms(),
	};
	request->flights_out++;
	request->flights++;
	head->flights_out++;
	LIST_EACH(at, &head->running) {
		struct head_request *other = LIST_ITEM(at, struct head_request, entry);
		if (other->flights_out && head->flights_out > other->together_max)
			other->together_max = head->flights_out;
	}
}

static void send_drop(struct head *head, struct head_request *request, struct hop *hop)
{
	request->drop_sent = true;
	if (request->sent > 0)
		add_op(&hop->flight, SEQUENCE_DROP, request->sequence);
	count_flight(head, request, hop);
	ring_hop_depart(head->ring, hop);
}

static void send_rows(struct head *head, struct head_request *request, struct hop *hop)
{
	const uint32_t n = rows_of_next_flight(head, request);
	if (request->sent == 0)
		add_op(&hop->flight, SEQUENCE_OPEN, request->sequence);
	fill_rows(hop, request, n);
	hop->flight.kind = request->sent < request->n_prompt ? FLIGHT_PREFILL : FLIGHT_DECODE;
	request->sent += n;
	count_flight(head, request, hop);
	hop->phase = HOP_EMBED;
	hop->n_works = 1;
	hop->works[0] = (struct work){ .kind = WORK_EMBED,
				       .n_rows = n,
				       .rows = hop->rows,
				       .hidden = hop->states };
	ring_hop_compute(head->ring, hop);
}

static void pump(struct head *head)
{
	if (head->failed)
		return;
	start_waiting(head);
	while (!head->failed && head->flights_out < RING_FLIGHTS_MAX) {
		struct head_request *request = choose(head);
		struct hop *hop = request ? ring_hop_take(head->ring) : NULL;
		if (!hop)
			return;
		hop->flight.id = ++head->next_flight;
		hop->from = HOP_FROM_HEAD;
		if (request->ended)
			send_drop(head, request, hop);
		else
			send_rows(head, request, hop);
	}
}

/* ---- what comes back ---- */

static void end_request(struct head *head, struct head_request *request, enum request_end how)
{
	if (request->ended)
		return;
	request->ended = true;
	request->how = how;
	tell_end(head, request, how, NULL, NULL);
}

static bool is_end_token(const struct message_request *settings, uint32_t token)
{
	for (uint32_t i = 0; i < settings->n_ends; i++)
		if (settings->ends[i] == token)
			return true;
	return false;
}

static void measure(struct head *head, struct head_request *request)
{
	const int64_t now = clock_us();
	if (!request->first_us)
		request->first_us = now;
	else {
		const double s = (double)(now - request->last_us) / 1e6;
		head->token_s = head->token_s > 0 ? head->token_s * 0.9 + s * 0.1 : s;
	}
	request->last_us = now;
}

static void take_token(struct head *head, struct head_request *request, uint32_t token)
{
	measure(head, request);
	if (request->ended)
		return;
	if (is_end_token(&request->settings, token)) {
		end_request(head, request, REQUEST_END_STOP);
		return;
	}
	request->tokens[request->n_tokens++] = token;
	const bool full = request->n_tokens - request->n_prompt == request->settings.max_tokens;
	if (!full)
		pump(head); /* the next flight leaves before anybody is told */
	tell_tokens(head, request, request->n_tokens - 1, 1);
	if (full)
		end_request(head, request, REQUEST_END_LENGTH);
}

/* Right after the output product, on the thread that made it: the logits are still in its cache, and
 * nobody else touches them or the request's tokens while this flight is the request's newest. */
static void sample(struct hop *hop)
{
	const struct head *head = hop->head;
	const struct head_request *request = hop->request;
	const struct sampler_settings *s = &request->settings.sampler;
	const struct sampler_config config = {
		.temperature = s->temperature,
		.top_k = s->top_k,
		.top_p = s->top_p,
		.min_p = s->min_p,
		.repeat_penalty = s->repeat_penalty,
		.repeat_last = s->repeat_last,
		.seed = s->seed,
	};
	hop->token = sampler_pick(&config, head->logits, head->n_vocab, request->tokens,
				  request->n_tokens, request->n_tokens, head->scratch);
}

static void compute_logits(struct head *head, struct hop *hop)
{
	hop->phase = HOP_OUTPUT;
	hop->head = head;
	hop->after_works = sample;
	hop->n_works = 1;
	hop->works[0] = (struct work){ .kind = WORK_OUTPUT,
				       .n_rows = hop->flight.n_rows,
				       .rows = hop->rows,
				       .hidden = hop->states,
				       .logits = head->logits };
	/* one row's logits, whatever came back: there is room for no more */
	for (uint32_t i = 0; i < hop->flight.n_rows; i++)
		hop->rows[i] = (struct work_row){
			.sequence = hop->flight.rows[i].sequence,
			.position = hop->flight.rows[i].position,
			.want = i + 1 == hop->flight.n_rows,
		};
	ring_hop_compute(head->ring, hop);
}

/* The sequence is gone from every device: its room may be given to others. */
static void finish(struct head *head, struct head_request *request)
{
	head->kv_used -= request->kv_reserved;
	head->n_running--;
	request_free(head, request);
}

static struct out *out_of(struct head *head, uint64_t flight)
{
	for (uint32_t i = 0; i < RING_FLIGHTS_MAX; i++)
		if (head->flights[i].request && head->flights[i].id == flight)
			return &head->flights[i];
	return NULL;
}

/* It went out so, and it comes back for the first time. */
static bool is_as_sent(const struct out *out, const struct flight *flight)
{
	if (!out || out->back || flight->n_rows != out->n_rows)
		return false;
	for (uint32_t i = 0; i < flight->n_rows; i++)
		if (flight->rows[i].sequence != out->request->sequence ||
		    flight->rows[i].position != out->position + i)
			return false;
	return true;
}

static void flight_over(struct head *head, struct hop *hop)
{
	struct out *out = out_of(head, hop->flight.id);
	struct head_request *request = out->request;
	out->request = NULL;
	request->flights_out--;
	head->flights_out--;
	ring_hop_free(head->ring, hop);
	if (request->ended && request->drop_sent)
		finish(head, request);
}

bool head_returned(struct head *head, struct hop *hop)
{
	struct out *out = out_of(head, hop->flight.id);
	if (!is_as_sent(out, &hop->flight)) {
		ring_hop_free(head->ring, hop);
		return false;
	}
	struct head_request *request = out->request;
	const uint32_t n = out->n_rows;
	out->back = true;
	hop->request = request;
	if (out->wanted && !request->ended && !head->failed) {
		compute_logits(head, hop);
		return true;
	}
	if (n > 0 && !request->ended && !head->failed)
		tell_tokens(head, request, request->n_tokens, 0); /* the prompt's progress */
	flight_over(head, hop);
	pump(head);
	return true;
}

void head_computed(struct head *head, struct hop *hop)
{
	if (hop->phase == HOP_EMBED) {
		ring_hop_depart(head->ring, hop);
		return;
	}
	struct head_request *request = hop->request;
	const uint32_t token = hop->token;
	/* the flight is over before the next is chosen, so that the next may be this request's;
	   an ended request lives on until its drop has come round */
	flight_over(head, hop);
	if (!head->failed)
		take_token(head, request, token);
	pump(head);
}

/* ---- requests come and go ---- */

static struct head_request *find_in(const struct list *requests, const struct request_id *id)
{
	LIST_EACH(at, requests) {
		struct head_request *request = LIST_ITEM(at, struct head_request, entry);
		if (request_id_equal(&request->settings.id, id))
			return request;
	}
	return NULL;
}

void head_request(struct head *head, const struct message_request *message)
{
	struct message_request settings = *message;
	struct fail fail;
	struct head_request *known = find_in(&head->running, &message->id);
	if (!known)
		known = find_in(&head->waiting, &message->id);
	if (known) {
		tell_again(head, known);
		return;
	}
	if (admit(head, &settings, &fail) != 0) {
		tell_refused(head, &settings, &fail);
		return;
	}
	struct head_request *request = request_create(head, &settings);
	if (!request) {
		fail_set(&fail, FAIL_MEMORY, "no memory for a prompt of %u tokens at the head",
			 settings.n_tokens);
		tell_refused(head, &settings, &fail);
		return;
	}
	list_append(&head->waiting, &request->entry);
	head->n_waiting++;
	pump(head);
}

static void cancel(struct head *head, struct head_request *request, bool waits)
{
	if (!waits) {
		end_request(head, request, REQUEST_END_CANCELLED);
		return;
	}
	tell_end(head, request, REQUEST_END_CANCELLED, NULL, NULL);
	head->n_waiting--;
	request_free(head, request);
}

typedef bool request_match(const struct head_request *request, const void *key);

static void cancel_matching(struct head *head, request_match *match, const void *key)
{
	LIST_EACH(at, &head->running) {
		struct head_request *request = LIST_ITEM(at, struct head_request, entry);
		if (match(request, key))
			cancel(head, request, false);
	}
	LIST_EACH(at2, &head->waiting) {
		struct head_request *request = LIST_ITEM(at2, struct head_request, entry);
		if (match(request, key))
			cancel(head, request, true);
	}
	pump(head);
}

static bool has_id(const struct head_request *request, const void *key)
{
	return request_id_equal(&request->settings.id, key);
}

static bool has_owner(const struct head_request *request, const void *key)
{
	return is_of(request, key);
}

void head_cancel(struct head *head, const struct request_id *id)
{
	cancel_matching(head, has_id, id);
}

void head_cancel_owner(struct head *head, const struct device_id *owner)
{
	cancel_matching(head, has_owner, owner);
}

void head_fail_all(struct head *head, const struct fail *why, const struct device_id *device)
{
	head->failed = true;
	LIST_EACH(at, &head->running) {
		struct head_request *request = LIST_ITEM(at, struct head_request, entry);
		if (!request->ended)
			tell_end(head, request, REQUEST_END_FAILED, why, device);
		request->ended = true;
	}
	LIST_EACH(at2, &head->waiting) {
		struct head_request *request = LIST_ITEM(at2, struct head_request, entry);
		tell_end(head, request, REQUEST_END_FAILED, why, device);
		head->n_waiting--;
		request_free(head, request);
	}
}

void head_hold(struct head *head, bool on)
{
	head->held_until_ms = on ? clock_ms() + HEAD_HOLD_MS : 0;
	pump(head);
}

void head_look(struct head *head)
{
	pump(head);
}

bool head_overdue(const struct head *head, struct fail *why)
{
	for (uint32_t i = 0; i < RING_FLIGHTS_MAX; i++) {
		const struct out *out = &head->flights[i];
		if (!out->request || clock_ms() - out->left_ms < DEADLINE_FLIGHT_MS)
			continue;
		fail_set(why, FAIL_TIMEOUT, "the model's work stood still for %d s; ask again",
			 DEADLINE_FLIGHT_MS / 1000);
		return true;
	}
	return false;
}

void head_counters(const struct head *head, struct ring_counters *counters)
{
	counters->requests_running = 0;
	LIST_EACH(at, &head->running) /* the others only wait for their drop to come round */
		counters->requests_running += !LIST_ITEM(at, struct head_request, entry)->ended;
	counters->requests_waiting = head->n_waiting;
	counters->flights_out = head->flights_out;
	counters->holding = is_held(head);
	counters->token_s = head->token_s;
}
