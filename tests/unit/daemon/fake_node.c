/* Models of the fake home:
 *   echo    answers with the prompt, a character a token, then stops or meets max_tokens
 *   mute    says nothing until cancelled
 *   flood   says 4 KiB a turn without end
 *   busy    is refused at once with FAIL_BUSY; late-busy a moment later
 *   broken  says one word, then a device is lost
 * Anything else is not found. */
#include "fake_node.h"

#include "daemon/chatml.h"

#include <stdlib.h>
#include <string.h>

struct node {
	uv_loop_t *loop;
	struct fake_counts counts;
};

struct session {
	struct node *node;
	uv_timer_t timer;
	const struct session_events *events;
	void *context;
	char model[16];
	char *text;
	size_t size, said;
	uint32_t max_tokens;
};

struct upload {
	struct node *node;
};

/* ---- sessions ---- */

static void session_closed(uv_handle_t *handle)
{
	struct session *session = handle->data;
	free(session->text);
	free(session);
}

static void session_over(struct session *session, enum request_end end, const char *why)
{
	struct session_result result = { .end = end,
					 .prompt_tokens = (uint32_t)session->size,
					 .completion_tokens = (uint32_t)session->said,
					 .flights = 3 };
	if (why)
		fail_set(&result.fail, FAIL_LOST, "%s", why);
	session->node->counts.ended++;
	uv_close((uv_handle_t *)&session->timer, session_closed);
	session->events->end(session->context, &result);
}

static void say_echo(struct session *session)
{
	if (session->said == session->size) {
		session_over(session, REQUEST_END_STOP, NULL);
	} else if (session->said == session->max_tokens) {
		session_over(session, REQUEST_END_LENGTH, NULL);
	} else {
		const char *text = session->text + session->said;
		size_t size = 1;
		while ((text[size] & 0xc0) == 0x80)
			size++;
		session->said += size;
		session->events->text(session->context, text, size, &(uint32_t){ (uint8_t)*text },
				      1);
	}
}

static void session_turn(uv_timer_t *timer)
{
	struct session *session = timer->data;
	static char flood[4096];
	if (strcmp(session->model, "echo") == 0) {
		say_echo(session);
	} else if (strcmp(session->model, "flood") == 0) {
		memset(flood, 'f', sizeof(flood));
		session->events->text(session->context, flood, sizeof(flood), &(uint32_t){ 1 }, 1);
	} else if (strcmp(session->model, "late-busy") == 0) {
		session_over(session, REQUEST_END_FAILED, "the head was lost");
	} else if (strcmp(session->model, "broken") == 0) {
		if (session->said++ == 0)
			session->events->text(session->context, "Well", 4, &(uint32_t){ 1 }, 1);
		else
			session_over(session, REQUEST_END_FAILED, "the device \"pi\" was lost");
	} else {
		session->events->progress(session->context, "prompt", ++session->said, 0);
	}
}

struct session *session_start(struct node *node, const struct session_request *request,
			      const struct session_events *events, void *context,
			      struct fail *fail)
{
	static const char *const models[] = { "echo", "mute", "flood", "late-busy", "broken" };
	const char *model = request->model ? request->model : "echo";
	bool known = false;
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		known |= strcmp(models[i], model) == 0;
	if (!known) {
		if (strcmp(model, "busy") == 0)
			fail_set(fail, FAIL_BUSY, "16 requests wait already");
		else
			fail_set(fail, FAIL_NOT_FOUND, "there is no model \"%s\"", model);
		return NULL;
	}
	struct session *session = calloc(1, sizeof(*session));
	session->node = node;
	session->events = events;
	session->context = context;
	strcpy(session->model, model);
	struct buf text, spans;
	buf_init(&text);
	buf_init(&spans);
	if (request->chat)
		chatml_write(request->chat, &text, &spans, fail);
	else if (request->text)
		buf_append(&text, request->text, request->text_size);
	session->size = text.size;
	buf_u8(&text, 0);
	session->text = (char *)text.data;
	buf_finish(&spans);
	session->max_tokens = request->max_tokens ? request->max_tokens : UINT32_MAX;
	uv_timer_init(node->loop, &session->timer);
	session->timer.data = session;
	uv_timer_start(&session->timer, session_turn, 1, 1);
	node->counts.started++;
	return session;
}

void session_cancel(struct session *session)
{
	session->node->counts.cancelled++;
	uv_close((uv_handle_t *)&session->timer, session_closed);
}

/* ---- the node ---- */

struct node *node_create(uv_loop_t *loop, const struct config *config, struct fail *fail)
{
	struct node *node = calloc(1, sizeof(*node));
	node->loop = loop;
	return node;
}

void node_stop(struct node *node, void (*stopped)(void *context), void *context)
{
	stopped(context);
}

void node_destroy(struct node *node)
{
	free(node);
}

bool node_healthy(struct node *node)
{
	return true;
}

const struct fake_counts *fake_node_counts(const struct node *node)
{
	return &node->counts;
}

json_t *node_models(struct node *node)
{
	return json_pack("{s:i, s:[{s:s, s:s, s:s}]}", "schema", NODE_SCHEMA, "models", "id",
			 "00ff", "name", "echo", "state", "ready");
}

const struct tokenizer *node_tokenizer(struct node *node, const char *model, struct fail *fail)
{
	if (model && strcmp(model, "busy") == 0)
		fail_set(fail, FAIL_BUSY, "its tokenizer is on its way");
	else
		fail_set(fail, FAIL_NOT_FOUND, "there is no model \"%s\"", model ? model : "");
	return NULL;
}

json_t *node_status(struct node *node)
{
	return json_pack("{s:i, s:s}", "schema", NODE_SCHEMA, "version", PRIMAD_VERSION);
}

int node_invite(struct node *node, const char *role, json_t **result, struct fail *fail)
{
	if (strcmp(role, "admin") != 0 && strcmp(role, "worker") != 0)
		return fail_set(fail, FAIL_INVALID, "there is no role \"%s\"", role);
	snprintf(node->counts.role, sizeof(node->counts.role), "%s", role);
	*result = json_pack("{s:s, s:i}", "code", "482913", "seconds", 120);
	return 0;
}

void node_invite_close(struct node *node)
{
	node->counts.role[0] = 0;
}

json_t *node_homes(struct node *node)
{
	return json_pack("{s:[]}", "homes");
}

void node_join(struct node *node, const char *home, const char *code, node_answer *answer,
	       void *context)
{
	struct fail fail;
	snprintf(node->counts.code, sizeof(node->counts.code), "%s", code);
	if (strcmp(code, "482913") == 0) {
		answer(context, json_pack("{s:s}", "home", home ? home : "the only one"), NULL);
		return;
	}
	fail_set(&fail, FAIL_DENIED, "the code is wrong");
	answer(context, NULL, &fail);
}

int node_leave(struct node *node, json_t **result, struct fail *fail)
{
	return 0;
}

int node_remove(struct node *node, const char *device, json_t **result, struct fail *fail)
{
	return fail_set(fail, FAIL_NOT_FOUND, "there is no device \"%s\"", device);
}

void node_plan(struct node *node, const char *model, const json_t *options, bool commit,
	       node_answer *answer, void *context)
{
	answer(context, json_pack("{s:b, s:O?}", "committed", commit, "pin",
				  json_object_get(options, "pin")), NULL);
}

struct upload *node_upload_begin(struct node *node, const char *name, uint64_t size,
				 struct fail *fail)
{
	if (size > 1000000000) {
		fail_set(fail, FAIL_SPACE, "the store has no room for %s", name);
		return NULL;
	}
	struct upload *upload = calloc(1, sizeof(*upload));
	upload->node = node;
	return upload;
}

int node_upload_write(struct upload *upload, const void *bytes, size_t size, struct fail *fail)
{
	upload->node->counts.uploaded += size;
	if (memmem(bytes, size, "no gguf", 7))
		return fail_set(fail, FAIL_CORRUPT, "this is no GGUF file");
	return 0;
}

void node_upload_end(struct upload *upload, node_answer *answer, void *context)
{
	upload->node->counts.uploads_ended++;
	free(upload);
	answer(context, json_pack("{s:s}", "id", "00ff"), NULL);
}

void node_upload_abort(struct upload *upload)
{
	upload->node->counts.uploads_aborted++;
	free(upload);
}

void node_model_add_path(struct node *node, const char *path, node_answer *answer, void *context)
{
	answer(context, json_pack("{s:s}", "path", path), NULL);
}

void node_model_remove(struct node *node, const char *model, node_answer *answer, void *context)
{
	struct fail why;
	fail_set(&why, FAIL_NOT_FOUND, "there is no model \"%s\"", model);
	answer(context, NULL, &why);
}

json_t *node_doctor(struct node *node)
{
	return json_pack("{s:[]}", "checks");
}
