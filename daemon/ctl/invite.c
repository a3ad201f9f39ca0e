/* primactl invite: opens the pairing window of this home. */
#include "daemon/ctl/client.h"

#include <stdio.h>

static void show(const json_t *answer)
{
	const char *code = json_string_value(json_object_get(answer, "code"));
	const json_int_t seconds = json_integer_value(json_object_get(answer, "seconds"));
	if (!code) {
		printf("no device can join any more until the next primactl invite\n");
		return;
	}
	printf("%.3s %s\n", code, code + (code[0] && code[1] && code[2] ? 3 : 0));
	fflush(stdout);
	fprintf(stderr,
		"Run primactl join on the new device within %lld seconds and type this code there.\n"
		"It will be able to read what is asked in this home.\n",
		(long long)seconds);
}

int ctl_invite(struct ctl *ctl)
{
	const char *role = "admin";
	bool stop = false;
	const struct ctl_option options[] = {
		{ "role", "ROLE", "admin (default), worker (computes only) or client (asks only)",
		  &role, NULL },
		{ "stop", NULL, "close the window again", NULL, &stop },
		{ NULL },
	};
	const int parsed = ctl_options(ctl, options, NULL, 0, 0);
	if (parsed != CTL_OK)
		return parsed;
	if (stop)
		return client_show(ctl, CLIENT_CONTROL, "DELETE", "/invite", NULL, show);
	json_t *body = json_pack("{s:s}", "role", role);
	const int result = client_show(ctl, CLIENT_CONTROL, "POST", "/invite", body, show);
	json_decref(body);
	return result;
}
