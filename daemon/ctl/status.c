/* primactl status: this device, its home, what is deployed and what is asked. */
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static void show_device(const json_t *status)
{
	const json_t *device = json_object_get(status, "device");
	const json_t *memory = json_object_get(status, "memory");
	char used[16], limit[16];
	printf("device   %s (%s), primad %s, port %llu\n", text_of(device, "name"),
	       text_of(device, "short"), text_of(status, "version"),
	       (unsigned long long)number_of(device, "port"));
	if (*text_of(device, "backend"))
		printf("computes %s\n", text_of(device, "backend"));
	printf("memory   %s of %s in use\n", term_size(number_of(memory, "used_bytes"), used),
	       term_size(number_of(memory, "limit_bytes"), limit));
}

static void show_home(const json_t *status)
{
	const json_t *home = json_object_get(status, "home"), *member;
	const char *planner = text_of(status, "planner");
	size_t i;
	printf("home     %s, %zu device%s%s%s\n", text_of(home, "label"),
	       json_array_size(json_object_get(home, "members")),
	       json_array_size(json_object_get(home, "members")) == 1 ? "" : "s",
	       *planner ? ", planned by " : "", planner);
	json_array_foreach(json_object_get(home, "members"), i, member)
		printf("         %-20s %-10s %-8s %s%s\n", text_of(member, "name"),
		       text_of(member, "short"), text_of(member, "role"), text_of(member, "state"),
		       json_is_true(json_object_get(member, "self")) ? " (this device)" : "");
}

static void show_parts(const json_t *deployment)
{
	const json_t *part;
	size_t i;
	json_array_foreach(json_object_get(deployment, "parts"), i, part) {
		char done[16], total[16];
		const char *state = text_of(part, "state");
		printf("         %-20s %s", text_of(part, "name"), state);
		if (number_of(part, "total_bytes") > 0 && strcmp(state, "ready") != 0)
			printf(" %s of %s", term_size(number_of(part, "done_bytes"), done),
			       term_size(number_of(part, "total_bytes"), total));
		putchar('\n');
	}
}

static void show_deployments(const json_t *status)
{
	const json_t *deployment;
	size_t i;
	json_array_foreach(json_object_get(status, "deployments"), i, deployment) {
		const json_t *plan = json_object_get(deployment, "plan");
		const double forecast =
			json_number_value(json_object_get(deployment, "forecast_token_s"));
		const double measured =
			json_number_value(json_object_get(deployment, "measured_token_s"));
		printf("model    %s%s", text_of(deployment, "model"),
		       json_is_true(json_object_get(plan, "pinned")) ? ", pinned" : "");
		const char *kv_type = text_of(plan, "kv_type");
		if (kv_type[0] && strcmp(kv_type, "f16") != 0)
			printf(", keys and values in %s", kv_type);
		if (forecast > 0)
			printf(", forecast %.1f tokens/s", 1 / forecast);
		if (measured > 0)
			printf(", measured %.1f", 1 / measured);
		putchar('\n');
		show_parts(deployment);
	}
	const size_t requests = json_array_size(json_object_get(status, "requests"));
	if (requests > 0)
		printf("requests %zu under way\n", requests);
}

static void show(const json_t *status)
{
	show_device(status);
	show_home(status);
	show_deployments(status);
}

int ctl_status(struct ctl *ctl)
{
	static const struct ctl_option options[] = { { NULL } };
	const int parsed = ctl_options(ctl, options, NULL, 0, 0);
	if (parsed != CTL_OK)
		return parsed;
	return client_show(ctl, CLIENT_CONTROL, "GET", "/status", NULL, show);
}
