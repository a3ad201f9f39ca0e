/* ask.h: what a client asked for: the JSON of a completion or a chat, checked and made a session's
 * request. Pure: the same body gives the same request.
 *
 * Defaults are OpenAI's. Fields that are known but not supported are refused by name when they ask
 * for something; unknown ones are ignored. Beyond OpenAI's: top_k, min_p, repeat_penalty,
 * repeat_last_n, ignore_eos, special (read special tokens in a completion's prompt; default true),
 * return_tokens (each piece of the answer carries its token ids), chunk_rows (the prompt travels in
 * flights of at most so many tokens, where that is less than the plan's; the answer is the same).
 *
 * Of chats also: tools (functions; described to the model, whose calls come as it writes them),
 * documents, reasoning_effort, and chat_template_kwargs (an object of variables for the model's chat
 * template). */
#ifndef DAEMON_ASK_H
#define DAEMON_ASK_H

#include "base/buf.h"
#include "base/fail.h"
#include "daemon/session.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define ASK_STOPS_MAX 4 /* of a client; OpenAI's limit */
#define ASK_MODEL_BYTES 256

enum ask_kind { ASK_COMPLETION, ASK_CHAT };

struct ask {
	enum ask_kind kind;
	struct session_request request; /* its pointers lead into this struct and its body */
	bool stream;
	bool include_usage;
	bool return_tokens;
	json_t *body;     /* owned */
	json_t *chat;     /* owned; see chat.h */
	uint32_t *tokens; /* owned */
	const char *stops[ASK_STOPS_MAX];
};

/* Takes `body`, an object. `random` seeds a request that names no seed. On failure `*param` is the
 * name of the field, or NULL. Always to be followed by ask_finish. */
int ask_init(struct ask *ask, enum ask_kind kind, json_t *body, uint64_t random,
	     const char **param, struct fail *fail);
void ask_finish(struct ask *ask);

#endif
