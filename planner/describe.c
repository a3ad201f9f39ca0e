#include "planner/describe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BYTES_MOST 0x1p50
#define RATE_MOST 1e18
#define SECONDS_MOST 3600.0
#define COUNT_MOST 4096.0

/* ---- words ---- */

struct word {
	uint32_t value;
	const char *name;
};

static const struct word type_words[] = {
	{ 0, "F32" },      { 1, "F16" },    { 2, "Q4_0" },    { 3, "Q4_1" },   { 6, "Q5_0" },
	{ 7, "Q5_1" },     { 8, "Q8_0" },   { 9, "Q8_1" },    { 10, "Q2_K" },  { 11, "Q3_K" },
	{ 12, "Q4_K" },    { 13, "Q5_K" },  { 14, "Q6_K" },   { 15, "Q8_K" },  { 16, "IQ2_XXS" },
	{ 17, "IQ2_XS" },  { 18, "IQ3_XXS" }, { 19, "IQ1_S" }, { 20, "IQ4_NL" }, { 21, "IQ3_S" },
	{ 22, "IQ2_S" },   { 23, "IQ4_XS" }, { 24, "I8" },    { 25, "I16" },   { 26, "I32" },
	{ 27, "I64" },     { 28, "F64" },   { 29, "IQ1_M" },  { 30, "BF16" },  { 34, "TQ1_0" },
	{ 35, "TQ2_0" },   { 39, "MXFP4" }, { 0, NULL }
};
static const struct word role_words[] = {
	{ ROLE_ADMIN, "admin" }, { ROLE_WORKER, "worker" }, { ROLE_CLIENT, "client" }, { 0, NULL }
};
static const struct word power_words[] = { { POWER_UNKNOWN, "unknown" },
					   { POWER_MAINS, "mains" },
					   { POWER_BATTERY, "battery" },
					   { 0, NULL } };
static const struct word kind_words[] = { { BACKEND_KIND_CPU, "cpu" },
					  { BACKEND_KIND_VULKAN, "vulkan" },
					  { 0, NULL } };
static const struct word medium_words[] = { { LINK_UNKNOWN, "unknown" },
					    { LINK_WIRED, "wired" },
					    { LINK_WIRELESS, "wireless" },
					    { LINK_LOOPBACK, "loopback" },
					    { 0, NULL } };
static const struct word wire_words[] = { { WIRE_F32, "f32" }, { WIRE_F16, "f16" }, { 0, NULL } };

static const char *name_of(const struct word *words, uint32_t value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words->name;
	return NULL;
}

const char *describe_type_name(uint32_t type)
{
	return name_of(type_words, type);
}

/* ---- reading ---- */

/* An object being read, with what to call it in a sentence. */
struct source {
	const json_t *object;
	const char *what; /* "device desk", "a rate of desk" */
	struct fail *fail;
};

static int bad(const struct source *source, const char *field, const char *why)
{
	return fail_set(source->fail, FAIL_INVALID, "the home description: %s: \"%s\" %s",
			source->what, field, why);
}

/* Optional when `number` already holds something else than NaN. */
static int read_number(const struct source *source, const char *field, double most, double *number)
{
	const json_t *value = json_object_get(source->object, field);
	if (!value && !isnan(*number))
		return 0;
	if (!value)
		return bad(source, field, "is missing");
	*number = json_number_value(value);
	if (!json_is_number(value) || !isfinite(*number) || *number < 0 || *number > most)
		return bad(source, field, "is not a number in its range");
	return 0;
}

static int read_u64(const struct source *source, const char *field, bool required, uint64_t *out)
{
	double number = required ? NAN : (double)*out;
	const int rc = read_number(source, field, BYTES_MOST, &number);
	if (rc == 0)
		*out = (uint64_t)number;
	return rc;
}

static int read_u32(const struct source *source, const char *field, double most, uint32_t *out)
{
	double number = *out;
	const int rc = read_number(source, field, most, &number);
	if (rc == 0)
		*out = (uint32_t)number;
	return rc;
}

static int read_word(const struct source *source, const char *field, const struct word *words,
		     uint32_t *out)
{
	const json_t *value = json_object_get(source->object, field);
	if (!value)
		return 0; /* the default is in place */
	for (; json_is_string(value) && words->name; words++) {
		if (strcmp(words->name, json_string_value(value)) != 0)
			continue;
		*out = words->value;
		return 0;
	}
	return bad(source, field, "is none of the known words");
}

static int read_array(const struct source *source, const char *field, size_t most,
		      const json_t **array)
{
	*array = json_object_get(source->object, field);
	if (*array && !json_is_array(*array))
		return bad(source, field, "is not a list");
	if (json_array_size(*array) > most)
		return bad(source, field, "is too long");
	return 0;
}

static int read_type(const struct source *source, uint32_t *type)
{
	const json_t *value = json_object_get(source->object, "type");
	const json_int_t number = json_integer_value(value);
	if (json_is_integer(value) && number >= 0 && number <= 255) {
		*type = (uint32_t)number;
		return 0;
	}
	if (!json_is_string(value))
		return bad(source, "type", "is not a GGUF type");
	return read_word(source, "type", type_words, type);
}

static int read_rate(struct profile_backend *backend, const json_t *object, const char *what,
		     struct fail *fail)
{
	const struct source source = { object, what, fail };
	struct profile_rate *rate = &backend->rates[backend->n_rates++];
	*rate = (struct profile_rate){ .rows = 1 };
	int rc = read_type(&source, &rate->type);
	if (rc == 0)
		rc = read_u32(&source, "rows", 65536, &rate->rows);
	if (rc == 0 && rate->rows == 0)
		rc = bad(&source, "rows", "is 0");
	rate->weights_per_s = NAN;
	return rc < 0 ? rc : read_number(&source, "weights_per_s", RATE_MOST, &rate->weights_per_s);
}

static int read_backend(struct profile *profile, const json_t *object, struct fail *fail)
{
	struct profile_backend *backend = &profile->backends[profile->n_backends++];
	char what[DEVICE_NAME_BYTES + 16];
	const json_t *rates;
	uint32_t kind = BACKEND_KIND_CPU;
	snprintf(what, sizeof(what), "a backend of %s", profile->name);
	const struct source source = { object, what, fail };
	*backend = (struct profile_backend){ .threads = 1 };
	int rc = read_word(&source, "kind", kind_words, &kind);
	backend->kind = (enum backend_kind)kind;
	if (rc == 0)
		rc = read_u32(&source, "threads", COUNT_MOST, &backend->threads);
	if (rc == 0)
		rc = read_u64(&source, "memory_bytes", true, &backend->memory_bytes);
	if (rc == 0)
		rc = read_u64(&source, "reserve_bytes", false, &backend->reserve_bytes);
	if (rc == 0 && backend->reserve_bytes > backend->memory_bytes)
		rc = bad(&source, "reserve_bytes", "is more than memory_bytes");
	if (rc == 0)
		rc = read_number(&source, "layer_overhead_s", SECONDS_MOST,
				 &backend->layer_overhead_s);
	if (rc == 0)
		rc = read_number(&source, "kv_bytes_per_s", RATE_MOST, &backend->kv_bytes_per_s);
	if (rc == 0)
		rc = read_array(&source, "rates", PROFILE_RATES_MAX, &rates);
	for (size_t i = 0; rc == 0 && i < json_array_size(rates); i++)
		rc = read_rate(backend, json_array_get(rates, i), what, fail);
	return rc;
}

/* No randomness here: the same name gives the same id, other names other ones. */
static void id_from_name(struct device_id *id, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, then spread over the bytes */
	for (const char *at = name; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
	for (uint32_t i = 0; i < ID_BYTES; i++) {
		hash = (hash ^ i) * 0x100000001b3u;
		id->bytes[i] = (uint8_t)(hash >> 32);
	}
}

static int read_name(struct profile *profile, const struct source *source)
{
	const char *name = json_string_value(json_object_get(source->object, "name"));
	const char *id = json_string_value(json_object_get(source->object, "id"));
	if (!name || !name[0] || strlen(name) >= DEVICE_NAME_BYTES ||
	    !text_printable(name, strlen(name)))
		return bad(source, "name", "is missing, too long or not printable");
	memcpy(profile->name, name, strlen(name) + 1);
	if (!id)
		id_from_name(&profile->device, name);
	else if (!id_from_hex(profile->device.bytes, id) || device_id_is_none(&profile->device))
		return bad(source, "id", "is not 64 hex digits");
	return 0;
}

static int read_device(struct home_description *home, const json_t *object, uint32_t numerics,
		       struct fail *fail)
{
	struct profile *profile = &home->profiles[home->n_devices];
	uint32_t role = ROLE_ADMIN, power = POWER_UNKNOWN;
	const json_t *backends;
	struct source source = { object, "a device", fail };
	if (!json_is_object(object))
		return fail_set(fail, FAIL_INVALID, "the home description: a device is no object");
	memset(profile, 0, sizeof(*profile));
	profile->version = 1;
	profile->numerics = numerics;
	profile->cores = 1;
	int rc = read_name(profile, &source);
	source.what = profile->name;
	if (rc == 0)
		rc = read_word(&source, "role", role_words, &role);
	if (rc == 0)
		rc = read_word(&source, "power", power_words, &power);
	if (rc == 0)
		rc = read_u32(&source, "numerics", UINT32_MAX, &profile->numerics);
	if (rc == 0)
		rc = read_u32(&source, "cores", COUNT_MOST, &profile->cores);
	if (rc == 0)
		rc = read_u64(&source, "memory_total_bytes", false, &profile->memory_total_bytes);
	if (rc == 0)
		rc = read_number(&source, "disk_bytes_per_s", RATE_MOST, &profile->disk_bytes_per_s);
	if (rc == 0)
		rc = read_array(&source, "backends", PROFILE_BACKENDS_MAX, &backends);
	for (size_t i = 0; rc == 0 && i < json_array_size(backends); i++)
		rc = read_backend(profile, json_array_get(backends, i), fail);
	profile->power = (enum power_source)power;
	profile->battery_use_allowed =
		json_is_true(json_object_get(object, "battery_use_allowed"));
	home->roles[home->n_devices++] = (enum device_role)role;
	return rc;
}

/* ---- links ---- */

/* The device that a link names; `unknown`: an id of none of them, as `status` may print it. */
static const struct profile *find_peer(const struct home_description *home, const char *name,
				       bool *unknown)
{
	const struct profile *found = NULL;
	struct device_id id;
	uint32_t n = 0;
	const bool is_id = id_from_hex(id.bytes, name);
	for (uint32_t i = 0; i < home->n_devices; i++) {
		const struct profile *profile = &home->profiles[i];
		if (is_id ? device_id_equal(&profile->device, &id)
			  : strcmp(profile->name, name) == 0) {
			found = profile;
			n++;
		}
	}
	*unknown = is_id && n == 0;
	return n == 1 ? found : NULL;
}

static int read_line(const struct source *source, struct profile_link *link)
{
	uint32_t medium = LINK_UNKNOWN;
	int rc = read_word(source, "medium", medium_words, &medium);
	link->medium = (enum link_medium)medium;
	link->rtt_p50_s = NAN;
	link->bytes_per_s = NAN;
	if (rc == 0)
		rc = read_number(source, "rtt_p50_s", SECONDS_MOST, &link->rtt_p50_s);
	link->rtt_p95_s = link->rtt_p50_s;
	if (rc == 0)
		rc = read_number(source, "rtt_p95_s", SECONDS_MOST, &link->rtt_p95_s);
	if (rc == 0)
		rc = read_number(source, "bytes_per_s", RATE_MOST, &link->bytes_per_s);
	return rc;
}

static const struct profile_link *link_to(const struct profile *profile,
					  const struct device_id *peer)
{
	for (uint32_t i = 0; i < profile->n_links; i++)
		if (device_id_equal(&profile->links[i].peer, peer))
			return &profile->links[i];
	return NULL;
}

static int read_link(const struct home_description *home, struct profile *profile,
		     const json_t *object, struct fail *fail)
{
	char what[DEVICE_NAME_BYTES + 16];
	snprintf(what, sizeof(what), "a link of %s", profile->name);
	const struct source source = { object, what, fail };
	const char *name = json_string_value(json_object_get(object, "peer"));
	bool unknown = false;
	const struct profile *peer = name ? find_peer(home, name, &unknown) : NULL;
	if (unknown)
		return 0;
	if (!peer || peer == profile)
		return bad(&source, "peer", "is not another device of this home, or not one alone");
	if (link_to(profile, &peer->device))
		return bad(&source, "peer", "is linked twice");
	struct profile_link *link = &profile->links[profile->n_links++];
	*link = (struct profile_link){ .peer = peer->device };
	return read_line(&source, link);
}

static int read_links(struct home_description *home, const json_t *devices, struct fail *fail)
{
	for (uint32_t i = 0; i < home->n_devices; i++) {
		struct profile *profile = &home->profiles[i];
		const struct source source = { json_array_get(devices, i), profile->name, fail };
		const json_t *links;
		int rc = read_array(&source, "links", PROFILE_LINKS_MAX, &links);
		for (size_t j = 0; rc == 0 && j < json_array_size(links); j++)
			rc = read_link(home, profile, json_array_get(links, j), fail);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Gives a pair without any link the default one. */
static int add_default_link(struct home_description *home, const json_t *object,
			    struct fail *fail)
{
	const struct source source = { object, "default_link", fail };
	struct profile_link link = { 0 };
	if (!object)
		return 0;
	const int rc = read_line(&source, &link);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < home->n_devices; i++) {
		struct profile *from = &home->profiles[i];
		for (uint32_t j = 0; j < home->n_devices; j++) {
			const struct profile *to = &home->profiles[j];
			if (i == j || link_to(from, &to->device) || link_to(to, &from->device) ||
			    from->n_links == PROFILE_LINKS_MAX)
				continue;
			link.peer = to->device;
			from->links[from->n_links++] = link;
		}
	}
	return 0;
}

/* ---- the whole ---- */

static int check_distinct(const struct home_description *home, struct fail *fail)
{
	for (uint32_t i = 0; i < home->n_devices; i++)
		for (uint32_t j = 0; j < i; j++)
			if (device_id_equal(&home->profiles[i].device, &home->profiles[j].device))
				return fail_set(fail, FAIL_INVALID,
						"the home description: %s and %s are one device; give "
						"each its own name or id",
						home->profiles[i].name, home->profiles[j].name);
	return 0;
}

static int read_home(struct home_description *home, const json_t *root, uint32_t numerics,
		     struct fail *fail)
{
	const json_t *devices = json_object_get(root, "devices");
	const size_t n = json_array_size(devices);
	int rc = 0;
	if (!json_is_array(devices) || n == 0 || n > PLAN_DEVICES_MAX)
		return fail_set(fail, FAIL_INVALID,
				"the home description needs \"devices\", a list of 1 to %d",
				PLAN_DEVICES_MAX);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = read_device(home, json_array_get(devices, i), numerics, fail);
	if (rc == 0)
		rc = check_distinct(home, fail);
	if (rc == 0)
		rc = read_links(home, devices, fail);
	if (rc == 0)
		rc = add_default_link(home, json_object_get(root, "default_link"), fail);
	return rc;
}

int describe_read(struct home_description *home, const char *text, size_t size, uint32_t numerics,
		  struct fail *fail)
{
	json_error_t error;
	memset(home, 0, sizeof(*home));
	if (size > DESCRIBE_BYTES_MAX)
		return fail_set(fail, FAIL_INVALID,
				"the home description has %zu bytes, more than %u", size,
				DESCRIBE_BYTES_MAX);
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return fail_set(fail, FAIL_INVALID,
				"the home description is not JSON: %s (line %d)", error.text,
				error.line);
	const int rc = read_home(home, root, numerics, fail);
	json_decref(root);
	return rc;
}

/* ---- writing ---- */

static json_t *describe_rates(const struct profile_backend *backend)
{
	json_t *rates = json_array();
	for (uint32_t i = 0; i < backend->n_rates; i++) {
		const struct profile_rate *rate = &backend->rates[i];
		const char *name = describe_type_name(rate->type);
		json_t *type = name ? json_string(name) : json_integer(rate->type);
		json_array_append_new(rates, json_pack("{s:o,s:i,s:f}", "type", type, "rows",
						       (int)rate->rows, "weights_per_s",
						       rate->weights_per_s));
	}
	return rates;
}

static json_t *describe_backend(const struct profile_backend *backend)
{
	return json_pack("{s:s,s:i,s:I,s:I,s:f,s:f,s:o}", "kind",
			 name_of(kind_words, backend->kind), "threads", (int)backend->threads,
			 "memory_bytes", (json_int_t)backend->memory_bytes, "reserve_bytes",
			 (json_int_t)backend->reserve_bytes, "layer_overhead_s",
			 backend->layer_overhead_s, "kv_bytes_per_s", backend->kv_bytes_per_s,
			 "rates", describe_rates(backend));
}

static json_t *describe_link(const struct profile_link *link)
{
	char hex[ID_HEX_BYTES];
	return json_pack("{s:s,s:s,s:f,s:f,s:f}", "peer", id_hex(link->peer.bytes, hex), "medium",
			 name_of(medium_words, link->medium), "rtt_p50_s", link->rtt_p50_s,
			 "rtt_p95_s", link->rtt_p95_s, "bytes_per_s", link->bytes_per_s);
}

json_t *describe_device(const struct profile *profile, enum device_role role)
{
	char hex[ID_HEX_BYTES];
	json_t *backends = json_array(), *links = json_array();
	for (uint32_t i = 0; i < profile->n_backends; i++)
		json_array_append_new(backends, describe_backend(&profile->backends[i]));
	for (uint32_t i = 0; i < profile->n_links; i++)
		json_array_append_new(links, describe_link(&profile->links[i]));
	return json_pack("{s:s,s:s,s:s,s:I,s:i,s:I,s:f,s:s,s:b,s:o,s:o}", "name", profile->name,
			 "id", id_hex(profile->device.bytes, hex), "role",
			 name_of(role_words, role), "numerics", (json_int_t)profile->numerics,
			 "cores", (int)profile->cores, "memory_total_bytes",
			 (json_int_t)profile->memory_total_bytes, "disk_bytes_per_s",
			 profile->disk_bytes_per_s, "power", name_of(power_words, profile->power),
			 "battery_use_allowed", profile->battery_use_allowed, "backends", backends,
			 "links", links);
}

static json_t *describe_plan_device(const struct plan_device *device)
{
	char hex[ID_HEX_BYTES];
	return json_pack("{s:s,s:s,s:i,s:I,s:I,s:I,s:f,s:f,s:f,s:s}", "id",
			 id_hex(device->id.bytes, hex), "name", device->name, "layers",
			 (int)device->n_layers, "weight_bytes", (json_int_t)device->weight_bytes,
			 "kv_bytes", (json_int_t)device->kv_bytes, "budget_bytes",
			 (json_int_t)device->budget_bytes, "busy_s", device->busy_s, "hop_s",
			 device->hop_s, "disk_s", device->disk_s, "sentence", device->sentence);
}

static json_t *describe_stages(const struct plan *plan)
{
	json_t *stages = json_array();
	for (uint32_t i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];
		json_array_append_new(
			stages, json_pack("{s:s,s:i,s:i,s:i,s:i}", "device",
					  plan->devices[stage->group[0].device].name, "index",
					  stage->group[0].device, "first_layer",
					  stage->first_layer, "end_layer", stage->end_layer,
					  "round", stage->round));
	}
	return stages;
}

json_t *describe_plan(const struct plan *plan)
{
	char planner[ID_HEX_BYTES], model[ID_HEX_BYTES];
	json_t *devices = json_array();
	for (uint32_t i = 0; i < plan->n_devices; i++)
		json_array_append_new(devices, describe_plan_device(&plan->devices[i]));
	return json_pack("{s:{s:I,s:s},s:s,s:b,s:i,s:s,s:I,s:I,s:I,s:s,s:s,s:o,s:o,s:f,s:f,s:s}",
			 "epoch", "counter", (json_int_t)plan->epoch.counter, "planner",
			 id_hex(plan->epoch.planner.bytes, planner), "model",
			 id_hex(plan->model.bytes, model), "pinned", plan->pinned, "rounds",
			 plan->rounds, "head", plan->devices[plan->head].name, "context",
			 (json_int_t)plan->context, "kv_positions", (json_int_t)plan->kv_positions,
			 "chunk_rows", (json_int_t)plan->chunk_rows, "wire",
			 name_of(wire_words, plan->wire), "kv_type",
			 kv_type_name(plan->kv_type), "devices", devices, "stages",
			 describe_stages(plan), "first_token_s", plan->first_token_s, "token_s",
			 plan->token_s, "limit", plan->limit);
}
