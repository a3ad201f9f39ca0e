/* primactl logs: the daemon's last lines, and the next ones as they come. */
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <stdio.h>
#include <unistd.h>

#define FOLLOW_PAUSE_US 500000
#define LINES_MOST 1000

static void show_lines(const struct ctl *ctl, const json_t *answer, long most)
{
	const json_t *lines = json_object_get(answer, "lines"), *line;
	const size_t count = json_array_size(lines);
	size_t i;
	json_array_foreach(lines, i, line) {
		const char *text = json_string_value(json_object_get(line, "text"));
		if (count - i > (size_t)most)
			continue;
		if (ctl->json) {
			json_dumpf(line, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			puts(text ? text : "");
		}
	}
	fflush(stdout);
}

int ctl_logs(struct ctl *ctl)
{
	const char *lines = NULL;
	bool follow = false;
	long most = LINES_MOST;
	const struct ctl_option options[] = {
		{ "lines", "N", "at most the last N lines (default: all that are kept, 1000)",
		  &lines, NULL },
		{ "follow", NULL, "go on until Ctrl-C", NULL, &follow },
		{ NULL },
	};
	int result = ctl_options(ctl, options, NULL, 0, 0);
	if (result != CTL_OK)
		return result;
	if (lines && !ctl_number(lines, "lines", 0, LINES_MOST, &most))
		return CTL_USAGE;
	long long after = 0;
	term_catch_interrupt();
	do {
		char path[64];
		json_t *answer;
		snprintf(path, sizeof(path), "/logs?after=%lld", after);
		result = client_ask(ctl, CLIENT_CONTROL, "GET", path, NULL, &answer);
		if (result != CTL_OK)
			break;
		show_lines(ctl, answer, after ? LINES_MOST : most);
		after = json_integer_value(json_object_get(answer, "next"));
		json_decref(answer);
		if (follow)
			usleep(FOLLOW_PAUSE_US);
	} while (follow && !term_interrupted());
	return result;
}
