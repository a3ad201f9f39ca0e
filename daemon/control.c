#include "daemon/control.h"

#include "base/log.h"
#include "daemon/node.h"
#include "proto/facts.h"

#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

/* Every answer carries the schema's version, also where the node has nothing to say. Takes. */
static void reply(struct http_request *request, json_t *result)
{
	if (!result)
		result = json_object();
	if (!json_object_get(result, "schema"))
		json_object_set_new(result, "schema", json_integer(NODE_SCHEMA));
	http_reply_json(request, 200, result);
}

static void reply_or_fail(struct http_request *request, int status, json_t *result,
			  const struct fail *fail)
{
	if (status < 0) {
		json_decref(result);
		http_reply_fail(request, fail, NULL);
	} else {
		reply(request, result);
	}
}

/* An operation of the node under way. It cannot be called back, so it outlives a client that
 * leaves, and its answer then goes nowhere. */
struct operation {
	struct http_request *request; /* NULL: the client left */
};

static void operation_gone(void *context)
{
	struct operation *operation = context;
	operation->request = NULL;
}

static struct operation *operation_create(struct http_request *request)
{
	struct fail fail;
	struct operation *operation = calloc(1, sizeof(*operation));
	if (!operation) {
		fail_set(&fail, FAIL_MEMORY, "no memory for another request");
		http_reply_fail(request, &fail, NULL);
		return NULL;
	}
	operation->request = request;
	http_watch(request, operation_gone, operation);
	return operation;
}

static void operation_answer(void *context, json_t *result, const struct fail *fail)
{
	struct operation *operation = context;
	if (!operation->request)
		json_decref(result);
	else if (fail)
		reply_or_fail(operation->request, -(int)fail->code, result, fail);
	else
		reply(operation->request, result);
	free(operation);
}

/* ---- fields ---- */

/* A text field: `*text` is NULL when it is absent and not required. False after refusing. */
static bool take_text(struct http_request *request, const json_t *body, const char *name,
		      bool required, const char **text)
{
	struct fail fail;
	const json_t *value = json_object_get(body, name);
	*text = json_string_value(value);
	if (*text || (!required && (!value || json_is_null(value))))
		return true;
	fail_set(&fail, FAIL_INVALID, "\"%s\" must be a text", name);
	http_reply_fail(request, &fail, name);
	return false;
}

/* ---- looking ---- */

static void get_status(struct http_request *request, void *context)
{
	reply(request, node_status(context));
}

static void get_doctor(struct http_request *request, void *context)
{
	reply(request, node_doctor(context));
}

static void append_line(void *context, uint64_t number, const char *text)
{
	json_t *line = json_string(text);
	json_array_append_new(context, json_pack("{s:I, s:o}", "number", (json_int_t)number,
						 "text", line ? line : json_string("?")));
}

static void get_logs(struct http_request *request, void *context)
{
	const char *after = http_query(request, "after");
	json_t *lines = json_array();
	const uint64_t next = log_replay(after ? strtoull(after, NULL, 10) : 0, append_line, lines);
	reply(request, json_pack("{s:I, s:o}", "next", (json_int_t)next, "lines", lines));
}

/* ---- the home ---- */

static void post_invite(struct http_request *request, void *context)
{
	struct fail fail = { 0 };
	const char *role;
	json_t *result = NULL, *body = http_body_object(request);
	if (body && take_text(request, body, "role", false, &role)) {
		const int status = node_invite(context, role ? role : "admin", &result, &fail);
		reply_or_fail(request, status, result, &fail);
	}
	json_decref(body);
}

static void delete_invite(struct http_request *request, void *context)
{
	node_invite_close(context);
	reply(request, NULL);
}

static void get_homes(struct http_request *request, void *context)
{
	reply(request, node_homes(context));
}

static void post_join(struct http_request *request, void *context)
{
	const char *home, *code;
	json_t *body = http_body_object(request);
	if (body && take_text(request, body, "home", false, &home) &&
	    take_text(request, body, "code", true, &code)) {
		struct operation *operation = operation_create(request);
		if (operation)
			node_join(context, home, code, operation_answer, operation);
	}
	json_decref(body);
}

static void post_leave(struct http_request *request, void *context)
{
	struct fail fail = { 0 };
	json_t *result = NULL;
	const int status = node_leave(context, &result, &fail);
	reply_or_fail(request, status, result, &fail);
}

static void post_remove(struct http_request *request, void *context)
{
	struct fail fail = { 0 };
	const char *device;
	json_t *result = NULL, *body = http_body_object(request);
	if (body && take_text(request, body, "device", true, &device)) {
		const int status = node_remove(context, device, &result, &fail);
		reply_or_fail(request, status, result, &fail);
	}
	json_decref(body);
}

static void post_plan(struct http_request *request, void *context)
{
	const char *model;
	json_t *body = http_body_object(request);
	if (body && take_text(request, body, "model", false, &model)) {
		struct operation *operation = operation_create(request);
		if (operation)
			node_plan(context, model, body,
				  json_is_true(json_object_get(body, "commit")), operation_answer,
				  operation);
	}
	json_decref(body);
}

/* ---- models ---- */

/* A name is shown, typed and compared; it never becomes a path, and looks like none. */
static bool name_allowed(const char *name)
{
	const size_t size = strlen(name);
	if (size == 0 || size >= MODEL_NAME_BYTES || name[0] == '.')
		return false;
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '/' || *at == '\\')
			return false;
	json_t *text = json_string(name); /* valid UTF-8? */
	json_decref(text);
	return text != NULL;
}

static void upload_gone(void *upload)
{
	node_upload_abort(upload);
}

static void upload_begin(struct http_request *request, uint64_t size, void *context)
{
	struct fail fail;
	struct upload *upload = NULL;
	const char *name = http_rest(request);
	if (!name_allowed(name))
		fail_set(&fail, FAIL_INVALID,
			 "a model's name has 1 to %d bytes, no slash, no control character, and "
			 "does not begin with a dot",
			 MODEL_NAME_BYTES - 1);
	else
		upload = node_upload_begin(context, name, size, &fail);
	if (upload)
		http_watch(request, upload_gone, upload);
	else
		http_reply_fail(request, &fail, NULL);
}

static void upload_data(struct http_request *request, const void *bytes, size_t size,
			void *context)
{
	struct fail fail;
	struct upload *upload = http_watched(request);
	if (node_upload_write(upload, bytes, size, &fail) == 0)
		return;
	node_upload_abort(upload);
	http_reply_fail(request, &fail, NULL);
}

static void upload_end(struct http_request *request, void *context)
{
	struct upload *upload = http_watched(request);
	struct operation *operation = operation_create(request);
	if (operation)
		node_upload_end(upload, operation_answer, operation);
	else
		node_upload_abort(upload);
}

static const struct http_upload model_upload = { upload_begin, upload_data, upload_end };

static void post_model(struct http_request *request, void *context)
{
	const char *path;
	json_t *body = http_body_object(request);
	if (body && take_text(request, body, "path", true, &path)) {
		struct operation *operation = operation_create(request);
		if (operation)
			node_model_add_path(context, path, operation_answer, operation);
	}
	json_decref(body);
}

static void delete_model(struct http_request *request, void *context)
{
	struct operation *operation = operation_create(request);
	if (operation)
		node_model_remove(context, http_rest(request), operation_answer, operation);
}

const struct http_route control_routes[] = {
	{ "GET", "/status", get_status },
	{ "GET", "/doctor", get_doctor },
	{ "GET", "/logs", get_logs },
	{ "POST", "/invite", post_invite },
	{ "DELETE", "/invite", delete_invite },
	{ "GET", "/homes", get_homes },
	{ "POST", "/join", post_join },
	{ "POST", "/leave", post_leave },
	{ "POST", "/remove", post_remove },
	{ "POST", "/plan", post_plan },
	{ "PUT", "/models/*", NULL, &model_upload },
	{ "POST", "/models", post_model },
	{ "DELETE", "/models/*", delete_model },
	{ NULL },
};
