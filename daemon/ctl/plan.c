/* primactl plan: which device would hold what, and why; also for devices one does not own yet. */
#include "base/file.h"
#include "compute/compute.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"
#include "daemon/model_facts.h"
#include "planner/planner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wish {
	const char *model;   /* a name, or with `devices` a file */
	const char *devices; /* NULL: the present home */
	const char *pin;     /* a file */
	const char *context, *kv_cache;
	bool explain, commit, paper;
	long n_context;
	enum kv_type kv_type;
};

/* ---- showing ---- */

static void show_stages(const json_t *plan, const char *device)
{
	const json_t *stage;
	const char *before = "";
	size_t i;
	json_array_foreach(json_object_get(plan, "stages"), i, stage) {
		const char *name = json_string_value(json_object_get(stage, "device"));
		if (!name || strcmp(name, device) != 0)
			continue;
		printf("%s%lld-%lld", before,
		       (long long)json_integer_value(json_object_get(stage, "first_layer")),
		       (long long)json_integer_value(json_object_get(stage, "end_layer")) - 1);
		before = ", ";
	}
}

static void show_device(const json_t *plan, const json_t *device)
{
	char weights[16];
	const char *name = json_string_value(json_object_get(device, "name"));
	const json_int_t layers = json_integer_value(json_object_get(device, "layers"));
	const json_int_t bytes = json_integer_value(json_object_get(device, "weight_bytes"));
	if (!name || (layers == 0 && bytes == 0))
		return;
	printf("  %-20s %3lld layers  %10s  ", name, (long long)layers,
	       term_size((uint64_t)bytes, weights));
	show_stages(plan, name);
	putchar('\n');
}

static void show_short(const json_t *plan)
{
	const json_t *device;
	size_t i;
	const double first_s = json_number_value(json_object_get(plan, "first_token_s"));
	const double token_s = json_number_value(json_object_get(plan, "token_s"));
	const char *head = json_string_value(json_object_get(plan, "head"));
	printf("first token after %.2f s, then %.1f tokens/s; head %s, %lld round%s\n", first_s,
	       token_s > 0 ? 1 / token_s : 0, head ? head : "?",
	       (long long)json_integer_value(json_object_get(plan, "rounds")),
	       json_integer_value(json_object_get(plan, "rounds")) == 1 ? "" : "s");
	json_array_foreach(json_object_get(plan, "devices"), i, device)
		show_device(plan, device);
	printf("primactl plan --explain tells why.\n");
}

/* Takes `answer`: {"plan", "text"}. */
static int show(const struct ctl *ctl, const struct wish *wish, json_t *answer)
{
	const char *text = json_string_value(json_object_get(answer, "text"));
	if (ctl->json) {
		client_print(answer);
		return CTL_OK;
	}
	if ((wish->explain || wish->paper) && text)
		printf("%s%s", text, *text && text[strlen(text) - 1] == '\n' ? "" : "\n");
	else
		show_short(json_object_get(answer, "plan"));
	if (wish->commit)
		printf("agreed; primactl status shows when every device is ready\n");
	json_decref(answer);
	return CTL_OK;
}

/* ---- the pin ---- */

static int read_text(const char *path, size_t limit, struct buf *text)
{
	struct fail fail;
	return file_read(path, limit, text, &fail) < 0 ? ctl_complain(CTL_FAILED, "%s", fail.text)
						       : CTL_OK;
}

/* The file's JSON; `*pin` stays NULL when none is asked for. */
static int read_pin(const struct wish *wish, json_t **pin)
{
	struct buf text;
	json_error_t error;
	if (!wish->pin)
		return CTL_OK;
	buf_init(&text);
	int result = read_text(wish->pin, PIN_FILE_BYTES_MAX, &text);
	if (result == CTL_OK) {
		*pin = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
		if (!*pin)
			result = ctl_complain(CTL_FAILED, "%s line %d: %s", wish->pin, error.line,
					      error.text);
	}
	buf_finish(&text);
	return result;
}

/* ---- the present home ---- */

static int plan_here(struct ctl *ctl, const struct wish *wish, json_t *pin)
{
	json_t *answer, *body = json_pack("{s:s*, s:b, s:b, s:O*}", "model", wish->model, "commit",
					  wish->commit, "paper", wish->paper, "pin", pin);
	if (!body)
		return ctl_complain(CTL_USAGE, "the model's name is not UTF-8");
	if (wish->n_context)
		json_object_set_new(body, "context", json_integer(wish->n_context));
	if (wish->kv_cache)
		json_object_set_new(body, "kv_type", json_string(wish->kv_cache));
	const int result = client_ask(ctl, CLIENT_CONTROL, "POST", "/plan", body, &answer);
	json_decref(body);
	return result == CTL_OK ? show(ctl, wish, answer) : result;
}

/* ---- a described home ---- */

static int read_facts(const struct wish *wish, struct model_facts *facts)
{
	struct fail fail;
	struct model *model = model_open(wish->model, &fail);
	if (!model)
		return ctl_complain(CTL_FAILED, "%s", fail.text);
	model_facts_read(model, facts);
	const char *slash = strrchr(wish->model, '/');
	snprintf(facts->name, sizeof(facts->name), "%.*s", MODEL_NAME_BYTES - 1,
		 slash ? slash + 1 : wish->model);
	model_close(model);
	return CTL_OK;
}

static int read_home(const struct wish *wish, struct home_description *home)
{
	struct buf text;
	struct fail fail;
	buf_init(&text);
	int result = read_text(wish->devices, DESCRIBE_BYTES_MAX, &text);
	if (result == CTL_OK && describe_read(home, (const char *)text.data, text.size,
					      NUMERICS_VERSION, &fail) < 0)
		result = ctl_complain(CTL_FAILED, "%s: %s", wish->devices, fail.text);
	buf_finish(&text);
	return result;
}

/* What planning reads and gives; large, so on the heap. */
struct desk {
	struct home_description home;
	struct model_facts facts;
	struct plan_options options;
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	struct plan plan;
	struct plan_comparison comparison; /* instead of `plan`, when the wish is so */
};

static void set_candidates(struct desk *desk)
{
	for (uint32_t i = 0; i < desk->home.n_devices; i++) {
		desk->candidates[i].profile = &desk->home.profiles[i];
		if (desk->home.roles[i] == ROLE_CLIENT)
			desk->candidates[i].barred = "its role is client: it only asks";
	}
}

static int make(struct desk *desk, const struct wish *wish, json_t *pin)
{
	struct fail fail;
	const uint32_t n = desk->home.n_devices;
	plan_options_init(&desk->options, &desk->facts);
	if (wish->n_context)
		desk->options.context = (uint32_t)wish->n_context;
	desk->options.kv_type = wish->kv_type;
	if (pin && pin_from_json(&desk->options.pin, pin, &fail) < 0)
		return ctl_complain(CTL_FAILED, "%s: %s", wish->pin, fail.text);
	const int rc = wish->paper ? plan_compare(&desk->comparison, desk->candidates, n,
						  &desk->facts, &desk->options, &fail)
				   : plan_make(&desk->plan, desk->candidates, n, &desk->facts,
					       &desk->options, &fail);
	return rc < 0 ? ctl_complain(CTL_FAILED, "%s", fail.text) : CTL_OK;
}

static json_t *described(const struct desk *desk, const struct wish *wish)
{
	struct buf text;
	buf_init(&text);
	if (wish->paper)
		plan_comparison_text(&desk->comparison, desk->facts.name, &text);
	else
		plan_text(&desk->plan, &desk->facts, &text);
	const bool both = wish->paper && desk->comparison.has_paper;
	json_t *answer = json_pack("{s:i, s:o, s:o*, s:o}", "schema", CTL_SCHEMA, "plan",
				   describe_plan(wish->paper ? &desk->comparison.ours : &desk->plan),
				   "paper", both ? describe_plan(&desk->comparison.paper) : NULL,
				   "text", json_stringn((const char *)text.data, text.size));
	buf_finish(&text);
	return answer;
}

static int plan_described(struct ctl *ctl, const struct wish *wish, json_t *pin)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	if (!desk)
		return ctl_complain(CTL_FAILED, "out of memory");
	int result = read_facts(wish, &desk->facts);
	if (result == CTL_OK)
		result = read_home(wish, &desk->home);
	if (result == CTL_OK) {
		set_candidates(desk);
		result = make(desk, wish, pin);
	}
	if (result == CTL_OK)
		result = show(ctl, wish, described(desk, wish));
	free(desk);
	return result;
}

/* ---- the command line ---- */

static int check(struct wish *wish, const char *word)
{
	if (word && wish->model)
		return ctl_complain(CTL_USAGE, "the model is named twice");
	if (word)
		wish->model = word;
	if (wish->devices && !wish->model)
		return ctl_complain(CTL_USAGE, "--devices needs --model FILE");
	if (wish->commit && wish->paper)
		return ctl_complain(CTL_USAGE, "--paper only compares: nothing is put in force");
	if (wish->commit && (!wish->pin || wish->devices))
		return ctl_complain(CTL_USAGE, "--commit is for a --pin in the present home");
	if (wish->context && !ctl_number(wish->context, "context", 16, 1 << 20, &wish->n_context))
		return CTL_USAGE;
	if (wish->kv_cache && !kv_type_find(wish->kv_cache, &wish->kv_type))
		return ctl_complain(CTL_USAGE, "--kv-cache is f16, q8_0 or f32, not %s",
				    wish->kv_cache);
	return CTL_OK;
}

int ctl_plan(struct ctl *ctl)
{
	struct wish wish = { 0 };
	const char *word = NULL;
	json_t *pin = NULL;
	const struct ctl_option options[] = {
		{ "explain", NULL, "a sentence for each device", NULL, &wish.explain },
		{ "context", "N", "positions that a prompt and its answer may have", &wish.context,
		  NULL },
		{ "kv-cache", "TYPE", "cache keys and values as f16, q8_0 or f32", &wish.kv_cache,
		  NULL },
		{ "pin", "FILE", "settle layers, rounds, head or order: see primactl(1)", &wish.pin,
		  NULL },
		{ "commit", NULL, "put the pinned plan in force", NULL, &wish.commit },
		{ "paper", NULL, "beside the plan of the paper's own method, to compare", NULL,
		  &wish.paper },
		{ "devices", "FILE", "plan for the devices described there (what status --json "
				     "prints); needs no daemon", &wish.devices, NULL },
		{ "model", "FILE", "with --devices: the GGUF file", &wish.model, NULL },
		{ NULL },
	};
	int result = ctl_options(ctl, options, &word, 0, 1);
	if (result == CTL_OK)
		result = check(&wish, word);
	if (result == CTL_OK)
		result = read_pin(&wish, &pin);
	if (result == CTL_OK)
		result = wish.devices ? plan_described(ctl, &wish, pin) : plan_here(ctl, &wish, pin);
	json_decref(pin);
	return result;
}
