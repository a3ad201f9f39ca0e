/* primactl join: makes this device a member of a home that invites. */
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_TIMES 20
#define LOOK_PAUSE_US 500000
#define CODE_DIGITS 6

static const char *text_at(const json_t *homes, size_t index, const char *name)
{
	const char *text = json_string_value(json_object_get(json_array_get(homes, index), name));
	return text ? text : "";
}

/* Looks until a home is seen, for about ten seconds. */
static int look(struct ctl *ctl, json_t **answer)
{
	for (int i = 0;; i++) {
		const int result = client_ask(ctl, CLIENT_CONTROL, "GET", "/homes", NULL, answer);
		if (result != CTL_OK ||
		    json_array_size(json_object_get(*answer, "homes")) > 0 || i == LOOK_TIMES)
			return result;
		json_decref(*answer);
		term_bar("looking for a home that invites", 0, 0, false);
		usleep(LOOK_PAUSE_US);
	}
}

/* The person's choice among several, or -1. */
static long choose(const json_t *homes)
{
	char line[16];
	const size_t count = json_array_size(homes);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "  %zu  %s at %s\n", i + 1, text_at(homes, i, "label"),
			text_at(homes, i, "address"));
	if (count == 1)
		return 0;
	if (!isatty(STDIN_FILENO)) {
		ctl_complain(CTL_USAGE, "several homes invite: name one");
		return -1;
	}
	fprintf(stderr, "Which one? ");
	const long number = fgets(line, sizeof(line), stdin) ? strtol(line, NULL, 10) : 0;
	if (number >= 1 && number <= (long)count)
		return number - 1;
	ctl_complain(CTL_USAGE, "there is no such number");
	return -1;
}

/* Fills `home` with the address of the home to join. */
static int find_home(struct ctl *ctl, char *home, size_t size)
{
	json_t *answer;
	int result = look(ctl, &answer);
	term_clear();
	if (result != CTL_OK)
		return result;
	const json_t *homes = json_object_get(answer, "homes");
	if (json_array_size(homes) == 0) {
		result = ctl_complain(CTL_FAILED,
				      "no home invites nearby: run primactl invite on a member; if "
				      "the network blocks multicast, give its HOST:PORT");
	} else {
		fprintf(stderr, "Homes that invite:\n");
		const long index = choose(homes);
		result = index < 0 ? CTL_USAGE : CTL_OK;
		if (index >= 0)
			snprintf(home, size, "%s", text_at(homes, (size_t)index, "address"));
	}
	json_decref(answer);
	return result;
}

/* Six digits, however they are grouped. */
static bool read_code(char code[CODE_DIGITS + 1])
{
	char line[64];
	size_t n = 0;
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "The code that primactl invite shows: ");
	if (!fgets(line, sizeof(line), stdin))
		return false;
	for (const char *at = line; *at; at++) {
		if (strchr(" -\t\r\n", *at))
			continue;
		if (*at < '0' || *at > '9' || n == CODE_DIGITS)
			return false;
		code[n++] = *at;
	}
	code[n] = 0;
	return n == CODE_DIGITS;
}

static void show(const json_t *answer)
{
	const char *label = json_string_value(json_object_get(answer, "label"));
	printf("this device now belongs to %s; primactl status shows it\n",
	       label ? label : "the home");
}

int ctl_join(struct ctl *ctl)
{
	static const struct ctl_option options[] = { { NULL } };
	const char *named = NULL;
	char home[256], code[CODE_DIGITS + 1];
	int result = ctl_options(ctl, options, &named, 0, 1);
	if (result != CTL_OK)
		return result;
	if (named)
		snprintf(home, sizeof(home), "%s", named);
	else if ((result = find_home(ctl, home, sizeof(home))) != CTL_OK)
		return result;
	fprintf(stderr, "Every member of a home can read what is asked in it.\n");
	if (!read_code(code))
		return ctl_complain(CTL_USAGE, "the code has six digits");
	json_t *body = json_pack("{s:s, s:s}", "home", home, "code", code);
	term_bar("joining", 0, 0, false);
	result = client_show(ctl, CLIENT_CONTROL, "POST", "/join", body, show);
	json_decref(body);
	return result;
}
