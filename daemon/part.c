#include "daemon/part.h"

#include "base/log.h"
#include "daemon/timer.h"
#include "daemon/route.h"
#include "proto/deadlines.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define REDIAL_RING_MS 150 /* the neighbour may still be loading */
#define PROGRESS_MS 500

enum part_phase { PHASE_IDLE, PHASE_FETCHING, PHASE_LOADING, PHASE_SERVING, PHASE_ENDING };

/* A slice being made on a worker; outlives a part that ends meanwhile. */
struct load {
	uv_work_t work;
	struct part *part;
	struct backend *backend;
	char path[PATH_MAX];
	struct layer_range ranges[PLAN_STAGES_MAX];
	struct slice_config config;
	atomic_uint_fast64_t done, total;
	bool unwanted;
	struct model *model;
	struct slice *slice;
	struct fail why;
};

struct part {
	struct deployment_config config;
	struct deployment_services services;
	struct part_events events;
	void *context;
	enum part_phase phase;
	struct plan plan;
	uint16_t self;
	struct layer_range ranges[PLAN_STAGES_MAX];
	struct load *load;
	uv_timer_t *timer; /* redial, or progress while loading */
	/* ring connections that we dial */
	uint16_t successors[PLAN_DEVICES_MAX];
	uint32_t n_successors;
	struct link *dials[PLAN_DEVICES_MAX];
	bool dialled[PLAN_DEVICES_MAX];
	/* what comes after ENDING */
	bool begin_next;
	struct plan next;
	uint16_t next_self;
	void (*ended)(void *context);
	void *ended_context;
};

static void tell(struct part *part, enum part_state state, uint64_t done, uint64_t total)
{
	part->events.state(part->context, state, done, total, NULL);
}

static void fail_part(struct part *part, const struct fail *why)
{
	log_warn("part", "failed epoch=%llu reason=\"%s\"",
		 (unsigned long long)part->plan.epoch.counter, why->text);
	part->events.state(part->context, PART_FAILED, 0, 0, why);
}

/* ---- ring connections ---- */

static void dial_neighbours(struct part *part);

static void on_redial(uv_timer_t *timer)
{
	dial_neighbours(timer->data);
}

static void redial_later(struct part *part)
{
	if (part->phase == PHASE_SERVING && !uv_is_active((uv_handle_t *)part->timer))
		uv_timer_start(part->timer, on_redial, REDIAL_RING_MS, 0);
}

static uint32_t index_of_dial(const struct part *part, const struct link *link)
{
	for (uint32_t i = 0; i < part->n_successors; i++)
		if (part->dials[i] == link)
			return i;
	return UINT32_MAX;
}

/* Each side said in its HELLO which epoch it serves; both look at both, so they agree. */
static bool both_serve(const struct part *part, const struct link *link,
		       const struct message_hello *hello)
{
	return part_serves(part, &hello->epoch) && part_serves(part, link_told_epoch(link));
}

static void on_dial_ready(void *context, struct link *link, const struct message_hello *hello)
{
	struct part *part = context;
	const uint32_t i = index_of_dial(part, link);
	if (i == UINT32_MAX)
		return;
	part->dials[i] = NULL;
	if (!both_serve(part, link, hello)) {
		link_close(link, "serves another plan", true);
		redial_later(part);
		return;
	}
	struct link_parts *parts = link_take_apart(link);
	if (!parts) {
		redial_later(part);
		return;
	}
	part->dialled[i] = ring_link(part->config.ring, parts, part->successors[i], true,
				     &part->plan.epoch) == 0;
	if (!part->dialled[i])
		redial_later(part);
}

static void on_dial_closed(void *context, struct link *link, const struct fail *why)
{
	struct part *part = context;
	const uint32_t i = index_of_dial(part, link);
	if (i == UINT32_MAX)
		return;
	part->dials[i] = NULL;
	redial_later(part);
}

static void dial_neighbour(struct part *part, uint32_t i)
{
	static const struct link_events events = { .ready = on_dial_ready,
						   .closed = on_dial_closed };
	struct sockaddr_storage address;
	struct fail why;
	const struct device_id *id = &part->plan.devices[part->successors[i]].id;
	const struct member *member = roster_find(part->config.home->roster, id);
	if (member && peers_address(part->config.peers, id, &address))
		part->dials[i] = link_dial(part->config.host, (const struct sockaddr *)&address,
					   CONNECTION_RING, &member->keys, &events, part, &why);
	if (!part->dials[i])
		redial_later(part);
}

static void dial_neighbours(struct part *part)
{
	for (uint32_t i = 0; i < part->n_successors && part->phase == PHASE_SERVING; i++)
		if (!part->dialled[i] && !part->dials[i])
			dial_neighbour(part, i);
}

static void on_accept_ready(void *context, struct link *link, const struct message_hello *hello)
{
	struct part *part = context;
	const int device = plan_index_of(&part->plan, &link_peer(link)->id);
	uint16_t from[PLAN_DEVICES_MAX];
	bool expected = false;
	if (both_serve(part, link, hello) && device >= 0) {
		const uint32_t n = route_predecessors(&part->plan, part->self, from);
		for (uint32_t i = 0; i < n; i++)
			expected = expected || from[i] == device;
	}
	if (!expected) {
		link_close(link, "not serving this plan", true);
		return;
	}
	struct link_parts *parts = link_take_apart(link);
	if (parts)
		ring_link(part->config.ring, parts, (uint16_t)device, false, &part->plan.epoch);
}

static void on_accept_closed(void *context, struct link *link, const struct fail *why)
{
	log_debug("part", "a ring connection did not get through address=%s reason=\"%s\"",
		  link_address(link), why->text);
}

void part_accept(struct part *part, uv_os_sock_t socket, const uint8_t preamble[PREAMBLE_BYTES])
{
	static const struct link_events events = { .ready = on_accept_ready,
						   .closed = on_accept_closed };
	struct fail why;
	if (!link_accept(part->config.host, socket, preamble, &events, part, &why))
		log_warn("part", "cannot accept reason=\"%s\"", why.text);
}

bool part_serves(const struct part *part, const struct epoch *epoch)
{
	return part->phase == PHASE_SERVING && epoch_compare(&part->plan.epoch, epoch) == 0;
}

struct epoch part_epoch(const struct part *part)
{
	return part->phase == PHASE_SERVING ? part->plan.epoch : (struct epoch){ 0 };
}

void part_connected(struct part *part, const struct epoch *epoch)
{
	if (part_serves(part, epoch))
		tell(part, PART_READY, 0, 0);
}

/* ---- loading, on a worker ---- */

static void on_slice_progress(void *context, uint64_t done, uint64_t total)
{
	struct load *load = context;
	atomic_store(&load->done, done);
	atomic_store(&load->total, total);
}

static void load_on_worker(uv_work_t *work)
{
	struct load *load = work->data;
	load->model = model_open(load->path, &load->why);
	if (!load->model)
		return;
	load->slice = slice_create(load->backend, load->model, &load->config, &load->why);
	if (!load->slice) {
		model_close(load->model);
		load->model = NULL;
	}
}

static void load_free(struct load *load)
{
	slice_destroy(load->slice);
	model_close(load->model);
	free(load);
}

static void part_over(struct part *part);

static void on_loaded(uv_work_t *work, int status)
{
	struct load *load = work->data;
	struct part *part = load->part;
	part->load = NULL;
	uv_timer_stop(part->timer);
	if (load->unwanted || part->phase != PHASE_LOADING) {
		load_free(load);
		part_over(part);
		return;
	}
	if (!load->slice) {
		const struct fail why = load->why;
		load_free(load);
		fail_part(part, &why);
		return;
	}
	part->phase = PHASE_SERVING;
	struct fail why;
	if (ring_serve(part->config.ring, &part->plan, part->self, load->slice, load->model, &why) !=
	    0) {
		load_free(load);
		fail_part(part, &why);
		return;
	}
	load->slice = NULL;
	load->model = NULL;
	load_free(load);
	part->n_successors = route_successors(&part->plan, part->self, part->successors);
	dial_neighbours(part);
}

static void on_load_tick(uv_timer_t *timer)
{
	struct part *part = timer->data;
	if (part->load)
		tell(part, PART_LOADING, atomic_load(&part->load->done),
		     atomic_load(&part->load->total));
}

static uint32_t own_ranges(const struct part *part, struct layer_range ranges[PLAN_STAGES_MAX])
{
	uint32_t n = 0;
	for (uint16_t i = 0; i < part->plan.n_stages; i++)
		if (route_device(&part->plan, i) == part->self)
			ranges[n++] = (struct layer_range){ part->plan.stages[i].first_layer,
							    part->plan.stages[i].end_layer };
	return n;
}

_Static_assert((int)KV_F16 == (int)KV_TYPE_F16 && (int)KV_Q8_0 == (int)KV_TYPE_Q8_0 &&
		       (int)KV_F32 == (int)KV_TYPE_F32 && (int)KV_KINDS == (int)KV_TYPES,
	       "a plan's KV type is the engine's kind");
_Static_assert(KV_PAGE_POSITIONS == KV_ROOM_PAGE && KV_TRIM_BACK == KV_BACK,
	       "a plan gives the room that the engine takes");

static void begin_loading(struct part *part, const char *path)
{
	struct load *load = calloc(1, sizeof(*load));
	struct fail why;
	if (!load) {
		fail_set(&why, FAIL_MEMORY, "no memory to load the model");
		fail_part(part, &why);
		return;
	}
	part->phase = PHASE_LOADING;
	part->load = load;
	load->part = part;
	load->work.data = load;
	load->backend = part->config.backend;
	snprintf(load->path, sizeof(load->path), "%s", path);
	load->config = (struct slice_config){
		.ranges = load->ranges,
		.n_ranges = own_ranges(part, load->ranges),
		.head = part->self == part->plan.head,
		.kv_kind = (enum kv_kind)part->plan.kv_type,
		.kv_positions = part->plan.kv_positions,
		.kv_sequences = plan_kv_room(&part->plan).sequences,
		.rows_max = part->plan.chunk_rows,
		.progress = on_slice_progress,
		.progress_context = load,
	};
	tell(part, PART_LOADING, 0, 0);
	uv_timer_start(part->timer, on_load_tick, PROGRESS_MS, PROGRESS_MS);
	uv_queue_work(part->config.host->loop, &load->work, load_on_worker, on_loaded);
}

/* ---- fetching ---- */

static void on_fetch_progress(void *context, uint64_t done, uint64_t total)
{
	struct part *part = context;
	if (part->phase == PHASE_FETCHING)
		tell(part, PART_FETCHING, done, total);
}

static void on_fetched(void *context, const char *path, const struct fail *why)
{
	struct part *part = context;
	if (part->phase != PHASE_FETCHING)
		return;
	if (path)
		begin_loading(part, path);
	else
		fail_part(part, why);
}

static void start(struct part *part, const struct plan *plan, uint16_t self)
{
	part->plan = *plan;
	part->self = self;
	part->phase = PHASE_FETCHING;
	part->n_successors = 0;
	memset(part->dialled, 0, sizeof(part->dialled));
	const struct units_wanted units = { .ranges = part->ranges,
					    .n_ranges = own_ranges(part, part->ranges),
					    .head = self == part->plan.head };
	tell(part, PART_FETCHING, 0, 0);
	part->services.fetch(part->services.context, &part->plan.model, &units, on_fetch_progress,
			     on_fetched, part);
}

/* ---- beginning and end ---- */

/* Everything of the old part is gone: what was to come next comes. */
static void part_over(struct part *part)
{
	void (*ended)(void *) = part->ended;
	part->phase = PHASE_IDLE;
	part->services.fetch_cancel(part->services.context); /* the model is not in use any more */
	part->ended = NULL;
	if (ended) {
		ended(part->ended_context); /* the part may be gone after it */
		return;
	}
	if (part->begin_next) {
		part->begin_next = false;
		start(part, &part->next, part->next_self);
	}
}

static void on_ring_stopped(void *context)
{
	part_over(context);
}

void part_end(struct part *part, const struct fail *why, const struct device_id *device,
	      void (*ended)(void *context), void *context)
{
	const enum part_phase phase = part->phase;
	part->begin_next = false;
	if (ended) {
		part->ended = ended;
		part->ended_context = context;
	}
	if (phase == PHASE_ENDING)
		return;
	if (phase == PHASE_IDLE) {
		part_over(part);
		return;
	}
	part->phase = PHASE_ENDING;
	uv_timer_stop(part->timer);
	for (uint32_t i = 0; i < part->n_successors; i++) {
		if (part->dials[i])
			link_close(part->dials[i], "the plan ended", true);
		part->dials[i] = NULL;
	}
	part->n_successors = 0;
	if (phase == PHASE_FETCHING) {
		part_over(part);
	} else if (part->load) {
		part->load->unwanted = true; /* on_loaded goes on */
	} else {
		ring_stop(part->config.ring, why, device, on_ring_stopped, part);
	}
}

void part_begin(struct part *part, const struct plan *plan, uint16_t self)
{
	struct fail why;
	fail_set(&why, FAIL_LOST, "a new plan replaced the one this request ran on; ask again");
	if (part->phase != PHASE_IDLE)
		part_end(part, &why, NULL, NULL, NULL);
	if (part->phase == PHASE_IDLE) {
		start(part, plan, self);
		return;
	}
	part->begin_next = true;
	part->next = *plan;
	part->next_self = self;
}

struct part *part_create(const struct deployment_config *config,
			 const struct deployment_services *services,
			 const struct part_events *events, void *context)
{
	struct part *part = calloc(1, sizeof(*part));
	uv_timer_t *timer = timer_make(config->host->loop, part);
	if (!part || !timer) {
		free(part);
		timer_free(timer);
		return NULL;
	}
	part->config = *config;
	part->services = *services;
	part->events = *events;
	part->context = context;
	part->timer = timer;
	return part;
}

void part_destroy(struct part *part)
{
	if (!part)
		return;
	timer_free(part->timer);
	free(part);
}
