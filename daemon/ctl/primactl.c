/* primactl.c: steers a home: a table of verbs. */
#include "base/file.h"
#include "daemon/config.h"
#include "daemon/ctl/ctl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_RUN "/run/primad"

static const struct ctl_verb verbs[] = {
	{ "status", "", "Shows this device, its home, and what is deployed and asked.", ctl_status },
	{ "invite", "[--role ROLE]", "Shows the code with which another device can join.",
	  ctl_invite },
	{ "join", "[HOME]",
	  "Makes this device a member of a home that invites; asks for the code.", ctl_join },
	{ "leave", "", "Makes this device a home of its own again.", ctl_leave },
	{ "remove", "DEVICE", "Removes a device from this home, for good.", ctl_remove },
	{ "model", "add FILE | list | rm MODEL", "Adds, lists and removes models.", ctl_model },
	{ "plan", "[MODEL]", "Shows which device would hold what, and why.", ctl_plan },
	{ "run", "MODEL [PROMPT]",
	  "Asks a model; the prompt is an argument or standard input.", ctl_run },
	{ "bench", "[MODEL]", "Measures prompt and answer speed.", ctl_bench },
	{ "tokenize", "--model FILE",
	  "Turns standard input into token ids; needs no daemon.", ctl_tokenize },
	{ "doctor", "", "Checks what may keep this device from answering.", ctl_doctor },
	{ "logs", "[--follow]", "Shows the daemon's last lines.", ctl_logs },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(void)
{
	printf("usage: primactl [--run DIR] [--json] VERB ...\n\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-10s %s\n", verbs[i].name, verbs[i].summary);
	printf("\nprimactl VERB --help tells more; so does primactl(1).\n"
	       "exit status: 0 done, 1 refused or failed, 2 wrong command line, 3 no daemon\n"
	       "answers, 4 not allowed, 130 interrupted\n");
}

static bool has_socket(const char *folder)
{
	char path[PATH_MAX];
	return file_join(path, sizeof(path), folder, "api.sock") && access(path, F_OK) == 0;
}

/* A daemon of this user's own goes before the system's. */
static void default_run(char *run, size_t size)
{
	const char *variable = getenv("PRIMAD_RUN");
	if (variable && *variable)
		snprintf(run, size, "%s", variable);
	else if (!config_default_run(run, size) || (!has_socket(run) && has_socket(SYSTEM_RUN)))
		snprintf(run, size, SYSTEM_RUN);
}

static const struct ctl_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* What stands before the verb. Gives the verb's position, 0 when help or version was printed,
 * negative after a complaint. */
static int take_leading(struct ctl *ctl, int argc, char **argv)
{
	int i = 1;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help();
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("primactl %s\n", PRIMAD_VERSION);
			return 0;
		}
		if (strcmp(argv[i], "--json") == 0)
			ctl->json = true;
		else if (strncmp(argv[i], "--run=", 6) == 0)
			snprintf(ctl->run, sizeof(ctl->run), "%s", argv[i] + 6);
		else if (strcmp(argv[i], "--run") == 0 && i + 1 < argc)
			snprintf(ctl->run, sizeof(ctl->run), "%s", argv[++i]);
		else
			return -ctl_complain(CTL_USAGE, "there is no option %s before the verb; "
							"see primactl --help", argv[i]);
	}
	if (i == argc)
		return -ctl_complain(CTL_USAGE, "what to do? primactl --help lists the verbs");
	return i;
}

int main(int argc, char **argv)
{
	static struct ctl ctl;
	default_run(ctl.run, sizeof(ctl.run));
	const int at = take_leading(&ctl, argc, argv);
	if (at <= 0)
		return -at;
	ctl.verb = find_verb(argv[at]);
	if (!ctl.verb)
		return ctl_complain(CTL_USAGE, "there is no verb \"%s\"; primactl --help lists them",
				    argv[at]);
	ctl.argc = argc - at - 1;
	ctl.argv = argv + at + 1;
	curl_global_init(CURL_GLOBAL_NOTHING);
	const int status = ctl.verb->run(&ctl);
	curl_global_cleanup();
	return status < 0 ? CTL_OK : status;
}
