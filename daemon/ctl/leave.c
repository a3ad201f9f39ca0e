/* primactl leave, primactl remove: devices that go. */
#include "daemon/ctl/client.h"

#include <stdio.h>

static void show_left(const json_t *answer)
{
	printf("this device is a home of its own again\n");
}

int ctl_leave(struct ctl *ctl)
{
	bool yes = false;
	const struct ctl_option options[] = { { "yes", NULL, "do not ask", NULL, &yes }, { NULL } };
	const int parsed = ctl_options(ctl, options, NULL, 0, 0);
	if (parsed != CTL_OK)
		return parsed;
	if (!ctl_confirm(yes, "Leave this home?"))
		return ctl_complain(CTL_FAILED, "nothing was changed");
	return client_show(ctl, CLIENT_CONTROL, "POST", "/leave", NULL, show_left);
}

static void show_removed(const json_t *answer)
{
	printf("removed; that device can come back by a new invitation only\n");
}

int ctl_remove(struct ctl *ctl)
{
	bool yes = false;
	const char *device = NULL;
	char question[256];
	const struct ctl_option options[] = { { "yes", NULL, "do not ask", NULL, &yes }, { NULL } };
	const int parsed = ctl_options(ctl, options, &device, 1, 1);
	if (parsed != CTL_OK)
		return parsed;
	snprintf(question, sizeof(question), "Remove %.100s from this home?", device);
	if (!ctl_confirm(yes, question))
		return ctl_complain(CTL_FAILED, "nothing was changed");
	json_t *body = json_pack("{s:s}", "device", device);
	if (!body)
		return ctl_complain(CTL_USAGE, "the device's name is not UTF-8");
	const int result = client_show(ctl, CLIENT_CONTROL, "POST", "/remove", body, show_removed);
	json_decref(body);
	return result;
}
