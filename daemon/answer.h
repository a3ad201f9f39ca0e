/* answer.h: what a client gets: the JSON of completions and chats, whole or as SSE events.
 *
 * Appends to a buffer; strings are escaped here, and bytes that are not UTF-8 become U+FFFD, so
 * that whatever a model says is valid JSON. Beyond OpenAI's: "tokens" beside each piece of text
 * where asked, and "primad" with the measured figures in the last piece. */
#ifndef DAEMON_ANSWER_H
#define DAEMON_ANSWER_H

#include "base/buf.h"
#include "daemon/ask.h"

#define ANSWER_ID_BYTES 48

struct answer {
	enum ask_kind kind;
	bool include_usage;
	bool return_tokens;
	int64_t created_s; /* wall clock */
	char id[ANSWER_ID_BYTES]; /* "cmpl-..." or "chatcmpl-..." */
	char model[ASK_MODEL_BYTES];
};

/* `random`: 16 bytes that make the id unique. */
void answer_init(struct answer *answer, const struct ask *ask, const char *model,
		 const uint8_t random[16], int64_t created_s);

/* A JSON string with its quotes. */
void answer_string(struct buf *out, const char *text, size_t size);

/* ---- streaming: one SSE event each ---- */
void answer_opening(const struct answer *answer, struct buf *out); /* a chat's role; else nothing */
void answer_piece(const struct answer *answer, const char *text, size_t size,
		  const uint32_t *tokens, uint32_t n_tokens, struct buf *out);
/* The finish, the usage where asked, and [DONE]. */
void answer_closing(const struct answer *answer, const struct session_result *result,
		    struct buf *out);
void answer_failure(const struct fail *fail, struct buf *out);
/* A comment, which other clients skip: {"phase", "done", "total"}. */
void answer_progress(const char *phase, uint64_t done, uint64_t total, struct buf *out);

/* ---- in one piece ---- */
void answer_whole(const struct answer *answer, const char *text, size_t size,
		  const uint32_t *tokens, uint32_t n_tokens, const struct session_result *result,
		  struct buf *out);

#endif
