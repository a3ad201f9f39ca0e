/* Status, models, plans and requests as people and programs see them (node.h, session.h). */
#include "daemon/node_inside.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static json_t *hex_json(const uint8_t bytes[ID_BYTES])
{
	char text[ID_HEX_BYTES];
	return json_string(id_hex(bytes, text));
}

/* ---- members ---- */

static json_t *member_json(const struct node *node, const struct member *member)
{
	char text[ID_TEXT_BYTES];
	const bool self = device_id_equal(&member->keys.id, home_self(node->home));
	const char *state = "alive";
	if (!self && node->peers)
		state = liveness_name(
			membership_liveness(peers_membership(node->peers), &member->keys.id));
	return json_pack("{s:o, s:s, s:s, s:s, s:s, s:b}", "id", hex_json(member->keys.id.bytes),
			 "short", id_text(member->keys.id.bytes, text), "name", member->name,
			 "role", role_name(member->role), "state", state, "self", self);
}

static json_t *members_json(const struct node *node)
{
	json_t *members = json_array();
	for (uint32_t i = 0; i < roster_count(node->home->roster); i++)
		json_array_append_new(members, member_json(node, roster_at(node->home->roster, i)));
	return members;
}

/* The devices as the planner sees them: what `primactl plan --devices` reads. */
static json_t *devices_json(struct node *node)
{
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	json_t *devices = json_array();
	if (!node->peers)
		return devices;
	const uint32_t n = candidates_gather(node->candidates, node->home, node->peers,
					     node->measured ? &node->profile : NULL, candidates);
	for (uint32_t i = 0; i < n; i++) {
		const struct member *member =
			roster_find(node->home->roster, &candidates[i].profile->device);
		json_array_append_new(devices,
				      describe_device(candidates[i].profile,
						      member ? member->role : ROLE_CLIENT));
	}
	return devices;
}

/* ---- the plan in force ---- */

static json_t *parts_json(const struct node *node, const struct plan *plan)
{
	static const char *const names[] = { "fetching", "loading", "ready", "failed" };
	json_t *parts = json_array();
	for (uint16_t i = 0; i < plan->n_devices; i++) {
		uint64_t done, total;
		const enum part_state state = deployment_part(node->deployment, i, &done, &total);
		if (commit_participates(plan, &plan->devices[i].id))
			json_array_append_new(parts, json_pack("{s:s, s:s, s:I, s:I}", "name",
							       plan->devices[i].name, "state",
							       names[state], "done_bytes",
							       (json_int_t)done, "total_bytes",
							       (json_int_t)total));
	}
	return parts;
}

static json_t *deployments_json(struct node *node)
{
	json_t *list = json_array();
	struct ring_counters counters;
	struct buf text;
	const struct plan *plan = node->deployment ? deployment_plan(node->deployment) : NULL;
	if (!plan)
		return list;
	const struct model_facts *facts = models_facts(node->models, &plan->model);
	ring_counters(node->ring, &counters);
	buf_init(&text);
	plan_text(plan, facts, &text);
	buf_u8(&text, 0);
	json_array_append_new(
		list, json_pack("{s:s, s:o, s:o, s:s, s:f, s:f, s:I, s:I}", "model",
				facts ? facts->name : "", "plan", describe_plan(plan), "parts",
				parts_json(node, plan), "text",
				text.failed ? "" : (const char *)text.data, "forecast_token_s",
				plan->token_s, "measured_token_s", counters.token_s, "flights",
				(json_int_t)counters.flights, "bytes_sent",
				(json_int_t)counters.bytes_sent));
	buf_finish(&text);
	return list;
}

static json_t *memory_json(const struct node *node)
{
	json_t *memory = json_pack(
		"{s:I, s:I, s:s}", "limit_bytes",
		(json_int_t)atomic_load(&node->account.limit_bytes), "used_bytes",
		(json_int_t)atomic_load(&node->account.used_bytes), "rule", node->budget_rule);
	for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
		json_object_set_new(
			memory, account_kind_name((enum account_kind)kind),
			json_integer((json_int_t)atomic_load(&node->account.kind_bytes[kind])));
	return memory;
}

static json_t *planner_json(const struct node *node)
{
	if (!node->deployment)
		return json_null();
	const struct device_id *planner = deployment_planner(node->deployment);
	const struct member *member = roster_find(node->home->roster, planner);
	return member ? json_string(member->name) : json_null();
}

json_t *node_status(struct node *node)
{
	char text[ID_TEXT_BYTES];
	json_t *device = json_pack(
		"{s:o, s:s, s:s, s:i, s:s, s:s}", "id", hex_json(home_self(node->home)->bytes),
		"short", id_text(home_self(node->home)->bytes, text), "name", node->home->name,
		"port", (int)door_port(node->door), "backend", backend_name(node->backend), "mdns",
		finder_state_name(finder_state(node->finder)));
	char home[HOME_ID_BYTES * 2 + 1];
	for (int i = 0; i < HOME_ID_BYTES; i++)
		snprintf(home + 2 * i, 3, "%02x", roster_home_id(node->home->roster)[i]);
	return json_pack("{s:i, s:s, s:o, s:{s:s, s:s, s:o}, s:o, s:o, s:o, s:o, s:o}", "schema",
			 NODE_SCHEMA, "version", PRIMAD_VERSION, "device", device, "home", "id",
			 home, "label", node->home->label, "members", members_json(node), "planner",
			 planner_json(node), "devices", devices_json(node), "deployments",
			 deployments_json(node), "memory", memory_json(node), "requests",
			 node->sessions ? sessions_json(node->sessions) : json_array());
}

/* ---- models ---- */

struct listing {
	struct node *node;
	json_t *models;
};

static const char *model_state(const struct node *node, const struct model_id *id)
{
	if (!node->deployment)
		return "idle";
	switch (deployment_state(node->deployment, id, NULL, NULL)) {
	case DEPLOYMENT_READY: return "ready";
	case DEPLOYMENT_FETCHING:
	case DEPLOYMENT_LOADING: return "loading";
	case DEPLOYMENT_NONE:
	case DEPLOYMENT_PLANNING: break;
	}
	return "idle";
}

/* The type that most weights have: what people call the quantisation. */
static const char *main_type(const struct model_facts *facts)
{
	uint64_t weights[64] = { 0 };
	uint32_t best = 0;
	for (uint32_t i = 0; i < facts->n_layers; i++)
		for (uint32_t j = 0; j < facts->layers[i].n_types; j++)
			if (facts->layers[i].types[j].type < 64)
				weights[facts->layers[i].types[j].type] +=
					facts->layers[i].types[j].weights;
	for (uint32_t type = 0; type < 64; type++)
		if (weights[type] > weights[best])
			best = type;
	return tensor_type_name(best);
}

static void add_model(void *context, const struct model_facts *facts)
{
	const struct listing *listing = context;
	json_array_append_new(
		listing->models,
		json_pack("{s:o, s:s, s:s, s:I, s:i, s:i, s:s, s:s, s:o}", "id",
			  hex_json(facts->id.bytes), "name", facts->name, "family", facts->family,
			  "file_bytes", (json_int_t)facts->file_bytes, "layers",
			  (int)facts->n_layers, "context_max", (int)facts->context_max,
			  "quantization", main_type(facts), "state",
			  model_state(listing->node, &facts->id), "holders",
			  models_holders(listing->node->models, &facts->id)));
}

json_t *node_models(struct node *node)
{
	struct listing listing = { node, json_array() };
	if (node->models)
		models_each(node->models, add_model, &listing);
	return json_pack("{s:i, s:o}", "schema", NODE_SCHEMA, "models", listing.models);
}

bool node_settled(const struct node *node, struct fail *fail)
{
	if (node->sessions && !node->replacing)
		return true;
	fail_set(fail, FAIL_BUSY, "this device is changing its home; try again in a moment");
	return false;
}

const struct tokenizer *node_tokenizer(struct node *node, const char *model, struct fail *fail)
{
	struct model_id id;
	if (!node_settled(node, fail) || !models_resolve(node->models, model, &id, fail))
		return NULL;
	return models_tokenizer(node->models, &id, fail);
}

/* ---- plans ---- */

static json_t *plan_answer(const struct plan *plan, const struct model_facts *facts)
{
	struct buf text;
	buf_init(&text);
	plan_text(plan, facts, &text);
	buf_u8(&text, 0);
	json_t *answer = json_pack("{s:i, s:o, s:s}", "schema", NODE_SCHEMA, "plan",
				   describe_plan(plan), "text",
				   text.failed ? "" : (const char *)text.data);
	buf_finish(&text);
	return answer;
}

static int read_wish(const json_t *options, struct plan_wish *wish, struct fail *fail)
{
	const json_t *kv_type = json_object_get(options, "kv_type");
	wish->context = (uint32_t)json_integer_value(json_object_get(options, "context"));
	if (!kv_type)
		return 0;
	wish->has_kv_type = true;
	if (!json_is_string(kv_type) || !kv_type_find(json_string_value(kv_type), &wish->kv_type))
		return fail_set(fail, FAIL_INVALID,
				"\"kv_type\" is one of \"f16\", \"q8_0\" and \"f32\"");
	return 0;
}

static json_t *comparison_answer(const struct plan_comparison *comparison, const char *name)
{
	struct buf text;
	buf_init(&text);
	plan_comparison_text(comparison, name, &text);
	buf_u8(&text, 0);
	json_t *paper = comparison->has_paper ? describe_plan(&comparison->paper) : NULL;
	json_t *answer = json_pack("{s:i, s:o, s:o*, s:s}", "schema", NODE_SCHEMA, "plan",
				   describe_plan(&comparison->ours), "paper", paper, "text",
				   text.failed ? "" : (const char *)text.data);
	buf_finish(&text);
	return answer;
}

/* What is planned, and with what; large, so on the heap. */
struct planning {
	struct model_id id;
	struct plan_pin pin;
	struct plan_wish wish; /* its pin is the one above, or NULL */
	bool paper;
	struct plan plan;
	struct plan_options options; /* of a comparison */
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	struct plan_comparison comparison;
};

static int read_planning(struct planning *planning, struct node *node, const char *model,
			 const json_t *options, struct fail *fail)
{
	const json_t *pin = json_object_get(options, "pin");
	if (!node_settled(node, fail) || !models_resolve(node->models, model, &planning->id, fail) ||
	    read_wish(options, &planning->wish, fail) != 0)
		return -(int)fail->code;
	planning->paper = json_is_true(json_object_get(options, "paper"));
	planning->wish.pin = pin ? &planning->pin : NULL;
	return pin ? pin_from_json(&planning->pin, pin, fail) : 0;
}

static int compare(struct planning *planning, struct node *node, struct fail *fail)
{
	const struct model_facts *facts = models_facts(node->models, &planning->id);
	if (!facts)
		return fail_set(fail, FAIL_NOT_FOUND, "this model is not known in the home");
	deployment_options(node->deployment, &planning->options, facts);
	if (planning->wish.context)
		planning->options.context = planning->wish.context;
	if (planning->wish.has_kv_type)
		planning->options.kv_type = planning->wish.kv_type;
	planning->options.pin = planning->pin;
	const uint32_t n = deployment_gather(node->deployment, planning->candidates);
	return plan_compare(&planning->comparison, planning->candidates, n, facts,
			    &planning->options, fail);
}

static int try_planning(struct planning *planning, struct node *node, bool commit,
			struct fail *fail)
{
	if (!planning->paper)
		return deployment_try(node->deployment, &planning->id, &planning->wish, commit,
				      &planning->plan, fail);
	if (commit)
		return fail_set(fail, FAIL_INVALID,
				"a comparison with the paper's plan puts nothing in force");
	return compare(planning, node, fail);
}

void node_plan(struct node *node, const char *model, const json_t *options, bool commit,
	       node_answer *answer, void *context)
{
	struct fail why;
	struct planning *planning = calloc(1, sizeof(*planning));
	if (!planning) {
		fail_set(&why, FAIL_MEMORY, "no memory to plan");
		answer(context, NULL, &why);
		return;
	}
	if (read_planning(planning, node, model, options, &why) != 0 ||
	    try_planning(planning, node, commit, &why) != 0) {
		answer(context, NULL, &why);
	} else {
		const struct model_facts *facts = models_facts(node->models, &planning->id);
		answer(context,
		       planning->paper ? comparison_answer(&planning->comparison,
							   facts ? facts->name : NULL)
				       : plan_answer(&planning->plan, facts),
		       NULL);
	}
	free(planning);
}

/* ---- models come and go ---- */

struct upload *node_upload_begin(struct node *node, const char *name, uint64_t size,
				 struct fail *fail)
{
	return node_settled(node, fail) ? models_upload_begin(node->models, name, size, fail) : NULL;
}

int node_upload_write(struct upload *upload, const void *bytes, size_t size, struct fail *fail)
{
	return models_upload_write(upload, bytes, size, fail);
}

void node_upload_end(struct upload *upload, node_answer *answer, void *context)
{
	models_upload_end(upload, answer, context);
}

void node_upload_abort(struct upload *upload)
{
	models_upload_abort(upload);
}

void node_model_add_path(struct node *node, const char *path, node_answer *answer, void *context)
{
	struct fail why;
	if (node_settled(node, &why))
		models_add_path(node->models, path, answer, context);
	else
		answer(context, NULL, &why);
}

/* ---- requests ---- */

struct session *session_start(struct node *node, const struct session_request *request,
			      const struct session_events *events, void *context,
			      struct fail *fail)
{
	return node_settled(node, fail) ? sessions_start(node->sessions, request, events, context, fail)
				   : NULL;
}

bool node_healthy(struct node *node)
{
	/* asked from the loop: that it turns is shown already */
	return !node->ring || ring_beat(node->ring);
}
