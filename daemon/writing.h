/* writing.h: a conversation that is being written and tokenized on a worker, since a model's
 * template may take its time. Loop thread only. */
#ifndef DAEMON_WRITING_H
#define DAEMON_WRITING_H

#include "compute/compute.h"

#include <jansson.h>
#include <uv.h>

struct writing;

struct writing_config {
	uv_loop_t *loop;
	const struct template *template; /* NULL: ChatML; both outlive the loop */
	const struct tokenizer *tokenizer;
	struct account *account;
	/* The tokens (u32), to be taken from `tokens`; or why there are none. Called from the loop.
	 */
	void (*done)(void *context, struct buf *tokens, const struct fail *fail);
	void *context;
};

/* Takes `chat` (chat.h), which nobody else changes. Gives until `done`; NULL with a sentence. */
struct writing *writing_start(const struct writing_config *config, json_t *chat, struct fail *fail);
/* `done` is not called any more. Accepts NULL. */
void writing_abandon(struct writing *writing);

#endif
