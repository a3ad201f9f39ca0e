/* session.h: one request of a local client, from prompt to last token. Loop thread only.
 *
 * The device whose client asked is the owner: it tokenizes, keeps the token history, asks the head,
 * turns tokens into text, finds stop strings, and ends the request. Events are called from the loop,
 * never from within session_start. After `end` the session is gone. */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include "base/fail.h"
#include "compute/compute.h"
#include "proto/id.h"
#include "proto/messages.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;
struct session;

#define SESSION_QUEUE_MAX 16 /* of one device, waiting at a head; one more is FAIL_BUSY */

struct session_request {
	const char *model;      /* name or id (hex or short form); NULL: the only model there is */
	const char *text;       /* prompt, or NULL */
	size_t text_size;
	const uint32_t *tokens; /* prompt as ids, taken as they are, or NULL */
	uint32_t n_tokens;
	json_t *chat;           /* a conversation (chat.h), or NULL */
	bool special;           /* read special tokens in the text (templates), see tokenizer.h */
	struct sampler_config sampler;
	uint32_t max_tokens;    /* 0: until the context is full */
	const char *const *stops;
	uint32_t n_stops;       /* at most DETOKENIZER_STOPS_MAX */
	bool ignore_end;        /* benchmarks: go on after an end-of-generation token */
	uint32_t chunk_rows;    /* 0: the plan's */
};

struct session_result {
	enum request_end end;
	struct fail fail;           /* when REQUEST_END_FAILED */
	uint32_t prompt_tokens, completion_tokens;
	double first_token_s;       /* from start to first token, loading and queueing included */
	double prompt_s, decode_s;  /* at the head */
	uint64_t flights, bytes_sent;
	uint32_t flights_together_max;
	double forecast_token_s;    /* of the plan that ran it */
};

struct session_events {
	/* What is happening before the first token: "planning", "fetching", "loading", "queued",
	 * "prompt"; done and total in the phase's own unit (bytes or tokens), 0 when unknown. */
	void (*progress)(void *context, const char *phase, uint64_t done, uint64_t total);
	/* Final text (whole UTF-8 characters) and the tokens taken since the last call. */
	void (*text)(void *context, const char *text, size_t size, const uint32_t *tokens,
		     uint32_t n_tokens);
	void (*end)(void *context, const struct session_result *result);
};

/* Starts; NULL with a sentence when it can be refused at once: no such model (FAIL_NOT_FOUND), bad
 * settings (FAIL_INVALID), prompt longer than the context (FAIL_INVALID, names both numbers). The
 * request's memory is borrowed for the call only. */
struct session *session_start(struct node *node, const struct session_request *request,
			      const struct session_events *events, void *context,
			      struct fail *fail);

/* The client went away or said stop: frees KV on every device. `end` is not called any more; the
 * session is gone on return. */
void session_cancel(struct session *session);

#endif
