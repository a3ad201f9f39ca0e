#include "daemon/api.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/answer.h"
#include "daemon/ask.h"
#include "daemon/node.h"
#include "daemon/session.h"
#include "proto/deadlines.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_PLAIN_MAX (16u << 20) /* of an answer that is not streamed */
#define PROGRESS_EVERY_MS 100

/* ---- an answer under way ---- */

struct call {
	struct http_request *request;
	struct session *session;
	struct answer answer;
	bool stream;
	struct buf text;   /* the whole answer, or the event being written */
	struct buf tokens; /* u32 in host order, of a whole answer */
	int64_t progress_ms;
};

static void call_destroy(struct call *call)
{
	buf_finish(&call->text);
	buf_finish(&call->tokens);
	free(call);
}

static void call_gone(void *context)
{
	struct call *call = context;
	session_cancel(call->session);
	call_destroy(call);
}

static void keep_alive(void *context);

/* Headers wait until there is something to say, so that an early failure has its own status. */
static void call_send(struct call *call)
{
	if (!http_streaming(call->request)) {
		struct buf opening;
		buf_init(&opening);
		answer_opening(&call->answer, &opening);
		http_stream_begin(call->request, "text/event-stream");
		http_stream_write(call->request, opening.data, opening.size);
		buf_finish(&opening);
	}
	http_stream_write(call->request, call->text.data, call->text.size);
	buf_clear(&call->text);
	http_wake(call->request, KEEPALIVE_STREAM_MS, keep_alive, call);
}

static void keep_alive(void *context)
{
	struct call *call = context;
	buf_text(&call->text, ": keep-alive\n\n");
	call_send(call);
}

static void on_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct call *call = context;
	const int64_t now_ms = clock_ms();
	if (!call->stream || !http_streaming(call->request) ||
	    now_ms < call->progress_ms + PROGRESS_EVERY_MS)
		return;
	call->progress_ms = now_ms;
	answer_progress(phase, done, total, &call->text);
	call_send(call);
}

static void on_text(void *context, const char *text, size_t size, const uint32_t *tokens,
		    uint32_t n_tokens)
{
	struct call *call = context;
	if (call->stream) {
		/* A token may give no text yet; clients want pieces, testers every id. */
		if (size == 0 && !call->answer.return_tokens)
			return;
		answer_piece(&call->answer, text, size, tokens, n_tokens, &call->text);
		call_send(call);
		return;
	}
	if (call->text.size + size <= TEXT_PLAIN_MAX)
		buf_append(&call->text, text, size);
	if (call->answer.return_tokens)
		buf_append(&call->tokens, tokens, n_tokens * sizeof(*tokens));
}

static void end_stream(struct call *call, const struct session_result *result,
		       const struct fail *fail)
{
	if (fail && !http_streaming(call->request)) {
		http_reply_fail(call->request, fail, NULL);
		return;
	}
	if (fail)
		answer_failure(fail, &call->text);
	else
		answer_closing(&call->answer, result, &call->text);
	call_send(call);
	http_stream_end(call->request);
}

static void end_whole(struct call *call, const struct session_result *result,
		      const struct fail *fail)
{
	struct buf out;
	buf_init(&out);
	answer_whole(&call->answer, (const char *)call->text.data, call->text.size,
		     (const uint32_t *)(void *)call->tokens.data,
		     (uint32_t)(call->tokens.size / sizeof(uint32_t)), result, &out);
	struct fail memory;
	if (!fail && (out.failed || call->text.failed || call->tokens.failed)) {
		fail_set(&memory, FAIL_MEMORY, "no memory for the answer");
		fail = &memory;
	}
	if (fail)
		http_reply_fail(call->request, fail, NULL);
	else
		http_reply(call->request, 200, "application/json", out.data, out.size);
	buf_finish(&out);
}

static void on_end(void *context, const struct session_result *result)
{
	struct call *call = context;
	struct fail cancelled;
	const struct fail *fail = NULL;
	if (result->end == REQUEST_END_FAILED)
		fail = &result->fail;
	if (result->end == REQUEST_END_CANCELLED) {
		fail_set(&cancelled, FAIL_CANCELLED, "the answer was cancelled on this device");
		fail = &cancelled;
	}
	if (call->stream)
		end_stream(call, result, fail);
	else
		end_whole(call, result, fail);
	call_destroy(call);
}

static const struct session_events events = { on_progress, on_text, on_end };

/* ---- completions and chats ---- */

/* The name to answer with when the client named no model: the only one there is. */
static void model_name(struct node *node, const struct ask *ask, char name[ASK_MODEL_BYTES])
{
	json_t *models = node_models(node);
	const json_t *list = json_object_get(models, "models");
	const char *only = json_string_value(json_object_get(json_array_get(list, 0), "name"));
	const char *asked = ask->request.model;
	snprintf(name, ASK_MODEL_BYTES, "%s", asked ? asked : only ? only : "");
	json_decref(models);
}

static void start_call(struct node *node, struct http_request *request, const struct ask *ask)
{
	struct fail fail;
	uint8_t random[16];
	char name[ASK_MODEL_BYTES];
	struct call *call = calloc(1, sizeof(*call));
	if (!call) {
		fail_set(&fail, FAIL_MEMORY, "no memory for another request");
		http_reply_fail(request, &fail, NULL);
		return;
	}
	randombytes_buf(random, sizeof(random));
	model_name(node, ask, name);
	answer_init(&call->answer, ask, name, random, clock_wall_s());
	buf_init(&call->text);
	buf_init(&call->tokens);
	call->request = request;
	call->stream = ask->stream;
	call->session = session_start(node, &ask->request, &events, call, &fail);
	if (!call->session) {
		http_reply_fail(request, &fail, fail.code == FAIL_NOT_FOUND ? "model" : NULL);
		call_destroy(call);
		return;
	}
	http_watch(request, call_gone, call);
	if (call->stream)
		http_wake(request, KEEPALIVE_STREAM_MS, keep_alive, call);
}

static void serve(struct http_request *request, struct node *node, enum ask_kind kind)
{
	struct ask ask;
	struct fail fail;
	const char *param = NULL;
	uint64_t random;
	json_t *body = http_body_object(request);
	if (!body)
		return;
	randombytes_buf(&random, sizeof(random));
	if (ask_init(&ask, kind, body, random, &param, &fail) < 0)
		http_reply_fail(request, &fail, param);
	else
		start_call(node, request, &ask);
	ask_finish(&ask);
}

static void post_completions(struct http_request *request, void *context)
{
	serve(request, context, ASK_COMPLETION);
}

static void post_chat(struct http_request *request, void *context)
{
	serve(request, context, ASK_CHAT);
}

/* ---- models ---- */

static json_t *model_object(const json_t *model)
{
	json_t *meta = json_copy((json_t *)(uintptr_t)model);
	return json_pack("{s:O?, s:s, s:i, s:s, s:o}", "id", json_object_get(model, "name"),
			 "object", "model", "created", 0, "owned_by", "primad", "meta", meta);
}

static void get_models(struct http_request *request, void *context)
{
	json_t *models = node_models(context), *data = json_array(), *model;
	size_t i;
	json_array_foreach(json_object_get(models, "models"), i, model)
		json_array_append_new(data, model_object(model));
	json_decref(models);
	http_reply_json(request, 200, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

static void get_model(struct http_request *request, void *context)
{
	json_t *models = node_models(context), *model, *found = NULL;
	const char *asked = http_rest(request);
	struct fail fail;
	size_t i;
	json_array_foreach(json_object_get(models, "models"), i, model) {
		const char *name = json_string_value(json_object_get(model, "name"));
		const char *id = json_string_value(json_object_get(model, "id"));
		if (!found && ((name && strcmp(name, asked) == 0) || (id && strcmp(id, asked) == 0)))
			found = model_object(model);
	}
	json_decref(models);
	if (found) {
		http_reply_json(request, 200, found);
		return;
	}
	fail_set(&fail, FAIL_NOT_FOUND, "there is no model \"%.100s\" in this home", asked);
	http_reply_fail(request, &fail, "model");
}

/* ---- the rest ---- */

/* An optional field of the wanted type; false after refusing another one. */
static bool optional(struct http_request *request, const json_t *body, const char *name,
		     bool is_text, const json_t **value)
{
	struct fail fail;
	*value = json_object_get(body, name);
	if (!*value || json_is_null(*value) ||
	    (is_text ? json_is_string(*value) : json_is_boolean(*value)))
		return true;
	fail_set(&fail, FAIL_INVALID, "\"%s\" must be %s", name,
		 is_text ? "a text" : "true or false");
	http_reply_fail(request, &fail, name);
	return false;
}

static void tokenize(struct http_request *request, struct node *node, const char *model,
		     const json_t *content, const struct tokenize_options *options)
{
	struct fail fail;
	struct buf ids;
	const struct tokenizer *tokenizer = node_tokenizer(node, model, &fail);
	if (!tokenizer) {
		http_reply_fail(request, &fail, fail.code == FAIL_NOT_FOUND ? "model" : NULL);
		return;
	}
	buf_init(&ids);
	if (tokenizer_encode(tokenizer, json_string_value(content), json_string_length(content),
			     options, &ids, &fail) < 0) {
		http_reply_fail(request, &fail, "content");
	} else {
		json_t *tokens = json_array();
		for (size_t i = 0; i + 4 <= ids.size; i += 4) {
			uint32_t id;
			memcpy(&id, ids.data + i, sizeof(id));
			json_array_append_new(tokens, json_integer(id));
		}
		http_reply_json(request, 200, json_pack("{s:o}", "tokens", tokens));
	}
	buf_finish(&ids);
}

static void post_tokenize(struct http_request *request, void *context)
{
	const json_t *content, *model, *bos, *special;
	struct fail fail;
	json_t *body = http_body_object(request);
	if (body && optional(request, body, "content", true, &content) &&
	    optional(request, body, "model", true, &model) &&
	    optional(request, body, "add_special", false, &bos) &&
	    optional(request, body, "parse_special", false, &special)) {
		const struct tokenize_options options = { .bos = json_is_true(bos),
							  .special = json_is_true(special) };
		if (json_is_string(content)) {
			tokenize(request, context, json_string_value(model), content, &options);
		} else {
			fail_set(&fail, FAIL_INVALID, "\"content\" is missing: the text");
			http_reply_fail(request, &fail, "content");
		}
	}
	json_decref(body);
}

static void get_health(struct http_request *request, void *context)
{
	http_reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

const struct http_route api_routes[] = {
	{ "GET", "/v1/models", get_models },
	{ "GET", "/v1/models/*", get_model },
	{ "POST", "/v1/completions", post_completions },
	{ "POST", "/v1/chat/completions", post_chat },
	{ "POST", "/tokenize", post_tokenize },
	{ "GET", "/health", get_health },
	{ NULL },
};
