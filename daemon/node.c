#include "daemon/node_inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/roundtrip.h"
#include "daemon/timer.h"
#include "daemon/whereabouts.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSED_REASON_MS 800 /* for why a neighbour took its ring connection down */
#define REFRESH_MS 15000       /* links are measured by pings; the profile follows slowly */
#define REFRESH_SOON_MS 1200   /* after a device was met */
#define RESERVE_BYTES (32u << 20) /* the daemon itself, queues and buffers */
#define RESERVE_SHARE 3        /* but at most this part of the memory it has */

/* ---- our home changes ---- */

static void announce(struct node *node)
{
	const struct roster *roster = node->home->roster;
	struct device_id ids[ROSTER_MEMBERS_MAX];
	uint32_t n = 0;
	for (uint32_t i = 0; i < roster_count(roster) && n < ROSTER_MEMBERS_MAX; i++)
		ids[n++] = roster_at(roster, i)->keys.id;
	finder_announce(node->finder, roster_home_id(roster), home_self(node->home),
			door_port(node->door));
	finder_members(node->finder, ids, n);
}

static void follow_links(struct node *node)
{
	struct profile *profile = &node->profile;
	struct profile_link links[PROFILE_LINKS_MAX];
	const uint32_t n = peers_links(node->peers, links);
	linkrates_fill(node->linkrates, links, n);
	bool moved = n != profile->n_links;
	for (uint32_t i = 0; i < n && !moved; i++)
		moved = roundtrip_moved(&profile->links[i], &links[i]);
	if (!moved)
		return;
	memcpy(profile->links, links, n * sizeof(links[0]));
	profile->n_links = n;
}

static void tell_profile(struct node *node)
{
	struct buf bytes;
	if (!node->measured)
		return;
	node->profile.device = *home_self(node->home);
	memcpy(node->profile.name, node->home->name, sizeof(node->profile.name));
	follow_links(node);
	buf_init(&bytes);
	profile_encode(&node->profile, &bytes);
	if (!bytes.failed)
		peers_tell(node->peers, FACT_PROFILE, 0, bytes.data, bytes.size);
	buf_finish(&bytes);
	if (node->deployment)
		deployment_members(node->deployment); /* its power ranks a device */
}

static void refresh_soon(struct node *node)
{
	if (uv_timer_get_due_in(node->refresh) > REFRESH_SOON_MS)
		uv_timer_start(node->refresh, node->refresh->timer_cb, REFRESH_SOON_MS, REFRESH_MS);
}

static void follow_power(struct node *node)
{
	const enum power_source power = machine_power("");
	if (power == node->machine.power)
		return;
	log_info("node", "power changed battery=%d", power == POWER_BATTERY);
	node->machine.power = node->profile.power = power; /* tell_profile follows */
}

/* A link is measured when there is nothing else to do. */
static void measure_links(struct node *node)
{
	struct ring_counters counters;
	ring_counters(node->ring, &counters);
	if (node->sessions && sessions_count(node->sessions) == 0 &&
	    counters.requests_running + counters.requests_waiting == 0)
		linkrates_look(node->linkrates, node->home, node->peers);
}

static void on_refresh(uv_timer_t *timer)
{
	struct node *node = timer->data;
	ring_beat(node->ring);
	if (!node->deployment)
		return; /* between two homes */
	whereabouts_tell(node->peers, door_port(node->door));
	follow_power(node);
	measure_links(node);
	tell_profile(node);
}

static void on_replace(uv_timer_t *timer);

void node_replace_home(struct node *node, bool found_anew, enum leaving_reason reason,
		       uint64_t wait_ms)
{
	if (node->replacing)
		return;
	node->replacing = true;
	node->found_anew = found_anew;
	node->leaving = reason;
	uv_timer_start(node->replace, on_replace, wait_ms, 0);
}

void node_was_removed(struct node *node)
{
	log_warn("node", "this device was removed from its home: it becomes a home of its own");
	node_replace_home(node, true, LEAVING_HOME, 0);
}

/* ---- peers ---- */

static void take_request(struct node *node, const struct message_request *request)
{
	if (ring_request(node->ring, request) == 0)
		return;
	struct message *message = &node->message;
	message->type = MESSAGE_REQUEST_END;
	message->request_end = (struct message_request_end){ .id = request->id,
							     .end = REQUEST_END_FAILED,
							     .code = FAIL_MEMORY };
	snprintf(message->request_end.reason, sizeof(message->request_end.reason),
		 "no memory for the request on %s", node->home->name);
	peers_send(node->peers, &request->id.owner, message);
}

static bool on_peer_message(void *context, const struct device_id *from,
			    const struct message *message)
{
	struct node *node = context;
	if (deployment_message(node->deployment, from, message))
		return true;
	switch (message->type) {
	case MESSAGE_REQUEST:
		if (!device_id_equal(&message->request.id.owner, from))
			return false;
		take_request(node, &message->request);
		return true;
	case MESSAGE_CANCEL:
		if (!device_id_equal(&message->cancel.id.owner, from))
			return false;
		ring_cancel(node->ring, &message->cancel.id);
		return true;
	case MESSAGE_TOKENS:
		if (node->sessions) /* not while the home is left */
			sessions_tokens(node->sessions, from, &message->tokens);
		return true;
	case MESSAGE_REQUEST_END:
		if (node->sessions)
			sessions_end(node->sessions, from, &message->request_end);
		return true;
	default:
		return false;
	}
}

static void on_liveness(void *context, const struct device_id *id, enum liveness from,
			enum liveness to, const char *reason)
{
	struct node *node = context;
	if (!node->deployment)
		return;
	if (to == LIVENESS_LOST || to == LIVENESS_LEFT)
		ring_cancel_owner(node->ring, id);
	deployment_liveness(node->deployment, id, to);
	models_peers_changed(node->models);
	if (to == LIVENESS_ALIVE)
		refresh_soon(node);
}

static void on_returned(void *context, const struct device_id *id)
{
	struct node *node = context;
	ring_cancel_owner(node->ring, id);
	deployment_returned(node->deployment, id);
}

static void on_connected_peer(void *context, const struct device_id *id)
{
	const struct node *node = context;
	if (node->sessions)
		sessions_reconnected(node->sessions, id);
}

static void take_load(struct node *node, const struct fact *fact)
{
	const struct plan *plan = deployment_plan(node->deployment);
	if (plan && fact->size >= 8 && device_id_equal(&plan->devices[plan->head].id, &fact->origin))
		deployment_load(node->deployment, load_u32le(fact->bytes));
}

static void on_fact(void *context, const struct fact *fact)
{
	struct node *node = context;
	if (!node->deployment)
		return;
	if (fact->kind == FACT_PLANNER && fact->size == ID_BYTES)
		deployment_stated(node->deployment, &fact->origin,
				  (const struct device_id *)(const void *)fact->bytes);
	else if (fact->kind == FACT_LOAD)
		take_load(node, fact);
	else if (fact->kind == FACT_MODEL || fact->kind == FACT_MODELS)
		models_fact(node->models, fact);
	else if (fact->kind == FACT_PROFILE)
		deployment_members(node->deployment); /* its power ranks a device */
}

static void on_roster(void *context)
{
	struct node *node = context;
	if (roster_is_removed(node->home->roster, home_self(node->home))) {
		node_was_removed(node);
		return;
	}
	announce(node);
	if (node->deployment)
		deployment_members(node->deployment);
}

/* ---- finder, door, pairing ---- */

static void on_found(void *context, const struct finding *finding)
{
	const struct node *node = context;
	if (node->peers)
		peers_found(node->peers, finding);
}

static void on_gone(void *context, const char *key)
{
	log_debug("node", "a record is gone key=\"%s\"", key);
}

static void on_finder_state(void *context, enum finder_state state, const char *sentence)
{
	log_info("finder", "state=%s %s", finder_state_name(state), sentence);
}

static void on_arrived(void *context, uv_os_sock_t socket, enum connection_kind kind,
		       const uint8_t preamble[PREAMBLE_BYTES])
{
	struct node *node = context;
	if (node->replacing || !node->deployment) {
		close(socket);
		return;
	}
	switch (kind) {
	case CONNECTION_CONTROL:
		peers_accept(node->peers, socket, preamble);
		break;
	case CONNECTION_RING:
		deployment_accept(node->deployment, socket, preamble);
		break;
	case CONNECTION_TRANSFER:
		models_accept(node->models, socket, preamble);
		break;
	case CONNECTION_PAIR:
		pair_accept(node->pair, socket, preamble);
		break;
	}
}

static void on_window(void *context, const char *label)
{
	const struct node *node = context;
	finder_pairing(node->finder, label);
}

static void on_admitted(void *context, const struct device_id *id, const char *name)
{
	struct node *node = context;
	node_roster_changed(node);
}

void node_roster_changed(struct node *node)
{
	peers_roster_changed(node->peers);
	on_roster(node);
}

/* ---- ring ---- */

static void tell_load(struct node *node)
{
	struct ring_counters counters;
	uint8_t bytes[8];
	ring_counters(node->ring, &counters);
	const uint32_t running =
		counters.requests_running + (counters.holding ? 0 : counters.requests_waiting);
	const struct plan *plan = deployment_plan(node->deployment);
	if (plan && device_id_equal(&plan->devices[plan->head].id, home_self(node->home)))
		deployment_load(node->deployment, running);
	if ((running > 0) == (node->running_told > 0))
		return;
	node->running_told = running;
	store_u32le(bytes, counters.requests_running);
	store_u32le(bytes + 4, counters.requests_waiting);
	peers_tell(node->peers, FACT_LOAD, 0, bytes, sizeof(bytes));
}

static bool is_ours(const struct node *node, const struct request_id *id)
{
	return device_id_equal(&id->owner, home_self(node->home));
}

static void on_load(void *context)
{
	struct node *node = context;
	if (node->deployment)
		tell_load(node);
}

static void on_tokens(void *context, const struct message_tokens *tokens)
{
	struct node *node = context;
	if (!node->deployment || !node->sessions)
		return;
	if (is_ours(node, &tokens->id)) {
		sessions_tokens(node->sessions, home_self(node->home), tokens);
		return;
	}
	struct message *message = &node->message;
	message->type = MESSAGE_TOKENS;
	message->tokens = *tokens;
	peers_send(node->peers, &tokens->id.owner, message);
}

static void on_request_end(void *context, const struct message_request_end *end)
{
	struct node *node = context;
	if (!node->deployment || !node->sessions)
		return;
	if (is_ours(node, &end->id)) {
		sessions_end(node->sessions, home_self(node->home), end);
		return;
	}
	struct message *message = &node->message;
	message->type = MESSAGE_REQUEST_END;
	message->request_end = *end;
	peers_send(node->peers, &end->id.owner, message);
}

/* A neighbour closed its ring connection in good order, and no reason followed. */
static void on_no_reason(uv_timer_t *timer)
{
	const struct node *node = timer->data;
	if (node->deployment)
		deployment_broken(node->deployment, &node->closed_epoch, &node->closed_device,
				  &node->closed_why);
}

static void on_broken(void *context, const struct epoch *epoch, const struct device_id *device,
		      const struct fail *why)
{
	struct node *node = context;
	if (!node->deployment)
		return;
	if (why->code != FAIL_CANCELLED) {
		deployment_broken(node->deployment, epoch, device, why);
		return;
	}
	if (uv_is_active((uv_handle_t *)node->closed))
		return;
	node->closed_epoch = *epoch;
	node->closed_device = device ? *device : *home_self(node->home);
	fail_set(&node->closed_why, FAIL_LOST, "%s", why->text);
	uv_timer_start(node->closed, on_no_reason, CLOSED_REASON_MS, 0);
}

static void on_connected(void *context, const struct epoch *epoch)
{
	const struct node *node = context;
	if (node->deployment)
		deployment_connected(node->deployment, epoch);
}

/* ---- services of parts for each other ---- */

static const struct model_facts *service_facts(void *context, const struct model_id *id)
{
	const struct node *node = context;
	return models_facts(node->models, id);
}

static uint32_t service_candidates(void *context, struct plan_candidate *candidates)
{
	const struct node *node = context;
	return candidates_gather(node->candidates, node->home, node->peers,
				 node->measured ? &node->profile : NULL, candidates);
}

static enum unmeasured service_unmeasured(void *context, const struct model_id *model)
{
	const struct node *node = context;
	const struct model_facts *facts = models_facts(node->models, model);
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	if (!node->measured)
		return UNMEASURED_SELF;
	if (!candidates_known(node->home, node->peers))
		return UNMEASURED_OTHER;
	const uint32_t n = service_candidates(context, candidates);
	return facts && candidates_lack(candidates, n, profiler_types(facts)) ? UNMEASURED_TYPE
									   : UNMEASURED_NOBODY;
}

static void service_fetch(void *context, const struct model_id *id,
			  const struct units_wanted *units,
			  void (*progress)(void *context, uint64_t done, uint64_t total),
			  void (*done)(void *context, const char *path, const struct fail *fail),
			  void *done_context)
{
	const struct node *node = context;
	models_fetch(node->models, id, units, progress, done, done_context);
}

static void service_fetch_cancel(void *context)
{
	const struct node *node = context;
	models_fetch_cancel(node->models);
}

static void service_changed(void *context)
{
	const struct node *node = context;
	if (node->sessions)
		sessions_poke(node->sessions);
}

static void on_link_rate(void *context)
{
	refresh_soon(context);
}

static void on_came(void *context, const struct device_id *from, uint64_t bytes, int64_t us)
{
	const struct node *node = context;
	linkrates_add(node->linkrates, from, bytes, us);
}

/* ---- the parts that speak in the name of a home ---- */

static int create_deployment(struct node *node, struct fail *fail)
{
	const struct deployment_config config = {
		.host = &node->host,
		.home = node->home,
		.peers = node->peers,
		.ring = node->ring,
		.backend = node->backend,
		.power = &node->machine.power,
		.context_positions = node->config.context,
		.kv_cache = node->config.kv_cache,
	};
	const struct deployment_services services = {
		.facts = service_facts,
		.candidates = service_candidates,
		.unmeasured = service_unmeasured,
		.fetch = service_fetch,
		.fetch_cancel = service_fetch_cancel,
		.changed = service_changed,
		.context = node,
	};
	node->deployment = deployment_create(&config, &services, fail);
	return node->deployment ? 0 : -(int)fail->code;
}

static int create_sessions(struct node *node, struct fail *fail)
{
	const struct sessions_config config = {
		.loop = node->loop,
		.home = node->home,
		.models = node->models,
		.deployment = node->deployment,
		.peers = node->peers,
		.ring = node->ring,
		.account = &node->account,
	};
	node->sessions = sessions_create(&config);
	return node->sessions ? 0 : fail_set(fail, FAIL_MEMORY, "no memory for requests");
}

static int create_home_parts(struct node *node, struct fail *fail)
{
	const struct peers_events peers_events = {
		.message = on_peer_message,
		.liveness = on_liveness,
		.returned = on_returned,
		.connected = on_connected_peer,
		.fact = on_fact,
		.roster = on_roster,
	};
	const struct pair_events pair_events = { .window = on_window, .admitted = on_admitted };
	node->host.identity = node->home->identity;
	memcpy(node->host.home, roster_home_id(node->home->roster), HOME_ID_BYTES);
	node->peers = peers_create(&node->host, node->home, &peers_events, node, fail);
	if (!node->peers)
		return -(int)fail->code;
	node->pair = pair_create(node->loop, node->home, &pair_events, node);
	if (!node->pair)
		return fail_set(fail, FAIL_MEMORY, "no memory for pairing");
	models_resume(node->models, node->peers);
	int result = create_deployment(node, fail);
	if (result == 0)
		result = create_sessions(node, fail);
	if (result != 0)
		return result;
	deployment_members(node->deployment);
	announce(node);
	finder_each(node->finder, on_found, node);
	whereabouts_tell(node->peers, door_port(node->door));
	tell_profile(node);
	return 0;
}

static void destroy_home_parts(struct node *node, enum leaving_reason reason)
{
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "primad is stopping on this device");
	node->host.generation++;
	sessions_destroy(node->sessions, &why);
	node->sessions = NULL;
	deployment_destroy(node->deployment);
	node->deployment = NULL;
	if (node->models)
		models_pause(node->models);
	if (node->linkrates)
		linkrates_rest(node->linkrates);
	pair_destroy(node->pair);
	node->pair = NULL;
	peers_destroy(node->peers, reason);
	node->peers = NULL;
}

static void on_old_home_stopped(void *context)
{
	struct node *node = context;
	struct fail why;
	destroy_home_parts(node, node->leaving);
	if (node->found_anew && home_reset(node->home, &why) != 0)
		log_error("node", "cannot found a new home reason=\"%s\"", why.text);
	node->replacing = false;
	node->running_told = 0;
	if (create_home_parts(node, &why) != 0)
		log_error("node", "cannot go on in the new home reason=\"%s\"", why.text);
}

static void on_replace(uv_timer_t *timer)
{
	struct node *node = timer->data;
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "this device changed its home");
	sessions_destroy(node->sessions, &why);
	node->sessions = NULL;
	deployment_stop(node->deployment, on_old_home_stopped, node);
}

/* ---- beginning ---- */

static void on_profiled(void *context, const struct profile_backend *rates,
			double disk_bytes_per_s)
{
	struct node *node = context;
	struct profile_backend *backend = &node->profile.backends[0];
	*backend = *rates;
	backend->memory_bytes = atomic_load(&node->account.limit_bytes);
	backend->reserve_bytes = RESERVE_BYTES < backend->memory_bytes / RESERVE_SHARE
					 ? RESERVE_BYTES
					 : backend->memory_bytes / RESERVE_SHARE;
	node->profile.n_backends = 1;
	node->profile.disk_bytes_per_s = disk_bytes_per_s;
	node->profile.numerics = NUMERICS_VERSION;
	node->profile.cores = node->machine.cores;
	node->profile.memory_total_bytes = node->machine.memory.total_bytes;
	node->profile.power = node->machine.power;
	node->profile.battery_use_allowed = node->config.battery;
	node->measured = true;
	log_info("node", "measured backend=\"%s\" memory_bytes=%llu", backend_name(node->backend),
		 (unsigned long long)backend->memory_bytes);
	if (node->peers) {
		tell_profile(node);
		service_changed(node);
	}
}

static void on_models_changed(void *context)
{
	struct node *node = context;
	service_changed(node);
	if (node->models && node->profiler)
		profiler_want(node->profiler, models_types(node->models));
}

static int create_models(struct node *node, struct fail *fail)
{
	const struct models_config config = {
		.host = &node->host,
		.home = node->home,
		.account = &node->account,
		.state = node->config.state,
		.store_limit_bytes = node->config.store_limit_bytes,
		.came = on_came,
		.changed = on_models_changed,
		.context = node,
	};
	node->models = models_create(&config, fail);
	return node->models ? 0 : -(int)fail->code;
}

static void create_profiler(struct node *node)
{
	const struct profiler_config config = { .loop = node->loop,
						.backend = node->backend,
						.machine = &node->machine,
						.state = node->config.state,
						.types = models_types(node->models),
						.limit_ms = PROFILER_LIMIT_MS,
						.done = on_profiled,
						.context = node };
	node->profiler = profiler_create(&config);
}

static void set_budget(struct node *node)
{
	machine_read(&node->machine, "");
	uint64_t budget = node->config.memory_bytes;
	if (!budget)
		budget = machine_memory_budget(&node->machine.memory, node->budget_rule,
					       sizeof(node->budget_rule));
	account_init(&node->account, budget);
}

static int create_compute(struct node *node, struct fail *fail)
{
	const struct backend_config backend = {
		.threads = node->config.threads ? node->config.threads
						: machine_threads(&node->machine),
		.account = &node->account,
		.cpu = node->config.cpu[0] ? node->config.cpu : NULL,
	};
	const struct ring_events ring = {
		.tokens = on_tokens,
		.request_end = on_request_end,
		.broken = on_broken,
		.connected = on_connected,
		.load = on_load,
	};
	node->backend = backend_cpu_create(&backend, fail);
	node->mailbox = mailbox_create(node->loop);
	node->candidates = candidates_create();
	node->linkrates = linkrates_create(&node->host, on_link_rate, node);
	if (!node->backend)
		return -(int)fail->code;
	if (!node->mailbox || !node->candidates || !node->linkrates)
		return fail_set(fail, FAIL_MEMORY, "no memory to begin");
	node->ring = ring_create(node->mailbox, &node->account, &ring, node, fail);
	return node->ring ? 0 : -(int)fail->code;
}

static int create_network(struct node *node, struct fail *fail)
{
	const char *statics[CONFIG_PEERS_MAX];
	for (uint32_t i = 0; i < node->config.n_peers; i++)
		statics[i] = node->config.peers[i];
	const struct finder_settings settings = { .mdns = node->config.mdns,
						  .statics = statics,
						  .n_statics = node->config.n_peers,
						  .port_default = DEFAULT_PORT };
	const struct finder_events events = { on_found, on_gone, on_finder_state };
	node->door = door_open(node->loop, node->config.listen, node->home->port, on_arrived, node,
			       fail);
	if (!node->door)
		return -(int)fail->code;
	if (node->config.listen[0] == 0 && node->home->port != door_port(node->door)) {
		node->home->port = door_port(node->door);
		if (home_save_numbers(node->home, fail) != 0)
			return -(int)fail->code;
	}
	node->finder = finder_create(node->loop, &settings, &events, node, fail);
	return node->finder ? 0 : -(int)fail->code;
}

struct node *node_create(uv_loop_t *loop, const struct config *config, struct fail *fail)
{
	struct node *node = calloc(1, sizeof(*node));
	if (!node || sodium_init() < 0) {
		free(node);
		fail_set(fail, FAIL_MEMORY, "cannot begin");
		return NULL;
	}
	node->loop = loop;
	node->config = *config;
	randombytes_buf(&node->boot, sizeof(node->boot));
	node_fill_host(node);
	node->refresh = timer_make(loop, node);
	node->replace = timer_make(loop, node);
	node->closed = timer_make(loop, node);
	set_budget(node);
	node->home = home_open(config->state, config->name, fail);
	if (!node->home || create_compute(node, fail) != 0 || create_network(node, fail) != 0 ||
	    create_models(node, fail) != 0 ||
	    create_home_parts(node, fail) != 0) {
		node_destroy(node);
		return NULL;
	}
	uv_timer_start(node->refresh, on_refresh, REFRESH_MS, REFRESH_MS);
	create_profiler(node);
	log_info("node", "ready name=\"%s\" port=%u home=\"%s\" members=%u", node->home->name,
		 door_port(node->door), node->home->label, roster_count(node->home->roster));
	return node;
}

/* ---- the end ---- */

static void close_timer(uv_timer_t **timer)
{
	timer_free(*timer);
	*timer = NULL;
}

static void on_finder_closed(void *context)
{
	const struct node *node = context;
	node->stopped(node->stopped_context);
}

static void on_stopped(void *context)
{
	struct node *node = context;
	struct finder *finder = node->finder;
	destroy_home_parts(node, LEAVING_STOP);
	profiler_destroy(node->profiler);
	node->profiler = NULL;
	node_removal_abandon(node);
	door_close(node->door);
	node->door = NULL;
	ring_destroy(node->ring);
	node->ring = NULL;
	mailbox_close(node->mailbox);
	node->mailbox = NULL;
	close_timer(&node->refresh);
	close_timer(&node->replace);
	close_timer(&node->closed);
	node->finder = NULL;
	finder_destroy(finder, on_finder_closed, node);
}

void node_stop(struct node *node, void (*stopped)(void *context), void *context)
{
	struct fail why;
	node->stopped = stopped;
	node->stopped_context = context;
	node->replacing = true; /* nothing new comes in */
	fail_set(&why, FAIL_CANCELLED, "primad is stopping on this device");
	sessions_destroy(node->sessions, &why);
	node->sessions = NULL;
	uv_timer_stop(node->replace);
	if (node->deployment)
		deployment_stop(node->deployment, on_stopped, node);
	else
		on_stopped(node);
}

void node_destroy(struct node *node)
{
	if (!node)
		return;
	node_removal_abandon(node);
	destroy_home_parts(node, LEAVING_STOP);
	finder_destroy(node->finder, NULL, NULL);
	door_close(node->door);
	ring_destroy(node->ring);
	if (node->mailbox)
		mailbox_close(node->mailbox);
	close_timer(&node->refresh);
	close_timer(&node->replace);
	close_timer(&node->closed);
	models_destroy(node->models);
	candidates_destroy(node->candidates);
	linkrates_destroy(node->linkrates);
	backend_destroy(node->backend);
	home_close(node->home);
	free(node);
}
