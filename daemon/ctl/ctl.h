/* ctl.h: what the verbs of primactl share. A verb is a file with one function and one row of the
 * table in primactl.c; its options are a table that also prints its help. */
#ifndef DAEMON_CTL_CTL_H
#define DAEMON_CTL_CTL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define CTL_SCHEMA 1

/* Exit codes, as primactl(1) documents them. */
enum ctl_status {
	CTL_OK = 0,
	CTL_FAILED = 1,      /* the daemon refused, or the work failed */
	CTL_USAGE = 2,       /* the command line is wrong */
	CTL_UNREACHABLE = 3, /* no daemon answers */
	CTL_DENIED = 4,      /* this user may not use the socket */
	CTL_INTERRUPTED = 130
};

/* A row of a verb's options. Exactly one of `text` and `on` is set. */
struct ctl_option {
	const char *name;     /* "max-tokens" */
	const char *argument; /* "N"; NULL for a switch */
	const char *help;
	const char **text;
	bool *on;
};

struct ctl;

struct ctl_verb {
	const char *name;
	const char *arguments; /* "[MODEL]", as the usage line shows it */
	const char *summary;   /* one line */
	int (*run)(struct ctl *ctl); /* gives an enum ctl_status */
};

struct ctl {
	const struct ctl_verb *verb;
	char run[PATH_MAX]; /* the daemon's run directory */
	bool json;
	int argc;    /* what follows the verb */
	char **argv;
};

/* Takes the verb's arguments apart: options (ended by a NULL name) anywhere, up to `most` others
 * into `words` (those missing stay NULL), at least `least`. CTL_OK, CTL_USAGE after a sentence, or
 * -1 when --help was printed. */
int ctl_options(struct ctl *ctl, const struct ctl_option *options, const char **words, int least,
		int most);

/* "primactl: sentence" on standard error; gives `status`. */
int ctl_complain(enum ctl_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A whole number in the text within bounds; false after a complaint that names the option. */
bool ctl_number(const char *text, const char *option, long least, long most, long *value);

/* True when the person answered yes, or said --yes, or is not at a terminal. */
bool ctl_confirm(bool yes, const char *question);

int ctl_bench(struct ctl *ctl);
int ctl_doctor(struct ctl *ctl);
int ctl_invite(struct ctl *ctl);
int ctl_join(struct ctl *ctl);
int ctl_leave(struct ctl *ctl);
int ctl_logs(struct ctl *ctl);
int ctl_model(struct ctl *ctl);
int ctl_plan(struct ctl *ctl);
int ctl_remove(struct ctl *ctl);
int ctl_run(struct ctl *ctl);
int ctl_status(struct ctl *ctl);
int ctl_tokenize(struct ctl *ctl);

#endif
