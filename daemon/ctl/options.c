#include "daemon/ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ctl_complain(enum ctl_status status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("primactl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return (int)status;
}

bool ctl_number(const char *text, const char *option, long least, long most, long *value)
{
	char *end;
	*value = strtol(text, &end, 10);
	if (*text && !*end && *value >= least && *value <= most)
		return true;
	ctl_complain(CTL_USAGE, "--%s: \"%s\" is not a whole number from %ld to %ld", option, text,
		     least, most);
	return false;
}

bool ctl_confirm(bool yes, const char *question)
{
	char line[16];
	if (yes || !isatty(STDIN_FILENO))
		return true;
	fprintf(stderr, "%s [y/N] ", question);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* ---- a verb's command line ---- */

static void print_option(const char *name, const char *argument, const char *help)
{
	char left[64];
	snprintf(left, sizeof(left), "--%s%s%s", name, argument ? " " : "",
		 argument ? argument : "");
	printf("  %-22s %s\n", left, help);
}

static void print_help(const struct ctl *ctl, const struct ctl_option *options)
{
	printf("usage: primactl [--run DIR] [--json] %s %s\n\n%s\n\n", ctl->verb->name,
	       ctl->verb->arguments, ctl->verb->summary);
	for (; options->name; options++)
		print_option(options->name, options->argument, options->help);
	print_option("json", NULL, "answer in JSON");
	print_option("run", "DIR", "the daemon's run directory");
	print_option("help", NULL, "this text");
}

static const struct ctl_option *find_option(const struct ctl_option *options, const char *name,
					    size_t size)
{
	for (; options->name; options++)
		if (strlen(options->name) == size && memcmp(options->name, name, size) == 0)
			return options;
	return NULL;
}

/* Options of every verb. */
static const struct ctl_option *find_common(struct ctl *ctl, const char **run, const char *name,
					    size_t size)
{
	static struct ctl_option common[3];
	common[0] = (struct ctl_option){ "json", NULL, NULL, NULL, &ctl->json };
	common[1] = (struct ctl_option){ "run", "DIR", NULL, run, NULL };
	return find_option(common, name, size);
}

/* Reads one option at argv[0]; gives the arguments used, or 0 after a complaint. */
static int take_option(struct ctl *ctl, const struct ctl_option *options, int left, char **argv)
{
	const char *name = argv[0] + 2, *run = NULL;
	const size_t size = strcspn(name, "=");
	const bool joined = name[size] == '=';
	const struct ctl_option *option = find_option(options, name, size);
	if (!option)
		option = find_common(ctl, &run, name, size);
	if (!option || (joined && option->on)) {
		ctl_complain(CTL_USAGE, "%s has no option %s; see primactl %s --help",
			     ctl->verb->name, argv[0], ctl->verb->name);
		return 0;
	}
	if (option->on) {
		*option->on = true;
		return 1;
	}
	if (!joined && left < 2) {
		ctl_complain(CTL_USAGE, "--%s needs a value", option->name);
		return 0;
	}
	*option->text = joined ? name + size + 1 : argv[1];
	if (run)
		snprintf(ctl->run, sizeof(ctl->run), "%s", run);
	return joined ? 1 : 2;
}

int ctl_options(struct ctl *ctl, const struct ctl_option *options, const char **words, int least,
		int most)
{
	int found = 0, used;
	bool only_words = false;
	for (int i = 0; i < ctl->argc; i += used) {
		const char *text = ctl->argv[i];
		used = 1;
		if (!only_words && strcmp(text, "--") == 0) {
			only_words = true;
		} else if (!only_words &&
			   (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
			print_help(ctl, options);
			return -1;
		} else if (!only_words && strncmp(text, "--", 2) == 0) {
			used = take_option(ctl, options, ctl->argc - i, ctl->argv + i);
			if (used == 0)
				return CTL_USAGE;
		} else if (found == most) {
			return ctl_complain(CTL_USAGE, "%s: \"%s\" is one argument too many",
					    ctl->verb->name, text);
		} else {
			words[found++] = text;
		}
	}
	if (found < least)
		return ctl_complain(CTL_USAGE, "usage: primactl %s %s", ctl->verb->name,
				    ctl->verb->arguments);
	return CTL_OK;
}
