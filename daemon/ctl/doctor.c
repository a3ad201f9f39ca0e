/* primactl doctor: what may keep this device from answering, and what to do about it. */
#include "daemon/ctl/client.h"

#include <stdio.h>

static bool is_ok(const json_t *check)
{
	return json_is_true(json_object_get(check, "ok"));
}

static void show(const json_t *answer)
{
	const json_t *check;
	size_t i;
	json_array_foreach(json_object_get(answer, "checks"), i, check) {
		const char *name = json_string_value(json_object_get(check, "name"));
		const char *text = json_string_value(json_object_get(check, "text"));
		const char *advice = json_string_value(json_object_get(check, "advice"));
		printf("%-4s %-12s %s\n", is_ok(check) ? "ok" : "!!", name ? name : "",
		       text ? text : "");
		if (!is_ok(check) && advice && *advice)
			printf("%18s%s\n", "", advice);
	}
}

int ctl_doctor(struct ctl *ctl)
{
	static const struct ctl_option options[] = { { NULL } };
	json_t *answer, *check;
	size_t i;
	int result = ctl_options(ctl, options, NULL, 0, 0);
	if (result == CTL_OK)
		result = client_ask(ctl, CLIENT_CONTROL, "GET", "/doctor", NULL, &answer);
	if (result != CTL_OK)
		return result;
	json_array_foreach(json_object_get(answer, "checks"), i, check)
		if (!is_ok(check))
			result = CTL_FAILED;
	if (ctl->json) {
		client_print(answer);
	} else {
		show(answer);
		json_decref(answer);
	}
	return result;
}
