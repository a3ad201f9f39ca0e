/* answers.h: asks a model and reads the streamed answer: what `run` and `bench` share. */
#ifndef DAEMON_CTL_ANSWERS_H
#define DAEMON_CTL_ANSWERS_H

#include "base/buf.h"
#include "daemon/ctl/ctl.h"

#include <jansson.h>

struct answers {
	bool show_text;     /* write the text to standard output as it comes */
	bool show_progress; /* a bar until the first text */
	struct buf text;    /* the whole answer */
	json_t *tokens;     /* array of ids, where return_tokens was asked */
	json_t *figures;    /* the "primad" object of the last piece, or NULL */
	json_t *usage;
	char finish[16];
	bool failed;        /* an error came in the middle; it was told */
	bool began;         /* some text has come */
};

void answers_init(struct answers *answers);
void answers_finish(struct answers *answers);

/* Posts `body` (borrowed; "stream" is set here) to a completions path. An enum ctl_status. */
int answers_ask(struct answers *answers, const struct ctl *ctl, const char *path, json_t *body);

#endif
