#include "daemon/chat.h"

#include <string.h>

#define MESSAGES_MAX 4096
#define TOOLS_MAX    1024

/* What clients call it, and what templates do. */
static const char *known_role(const json_t *message)
{
	static const char *const roles[][2] = { { "system", "system" },
						{ "developer", "system" },
						{ "user", "user" },
						{ "assistant", "assistant" },
						{ "tool", "tool" } };
	const char *role = json_string_value(json_object_get(message, "role"));
	for (size_t i = 0; role && i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(role, roles[i][0]) == 0)
			return roles[i][1];
	return NULL;
}

static bool is_missing(const json_t *value)
{
	return !value || json_is_null(value);
}

/* ---- content ---- */

static int join_parts(const json_t *parts, size_t number, struct buf *text, struct fail *fail)
{
	for (size_t i = 0; i < json_array_size(parts); i++) {
		const json_t *part = json_array_get(parts, i);
		const char *type = json_string_value(json_object_get(part, "type"));
		const json_t *said = json_object_get(part, "text");
		if (!type || strcmp(type, "text") != 0)
			return fail_set(fail, FAIL_UNSUPPORTED,
					"message %zu has a part that is not text: only text is "
					"supported",
					number);
		if (!json_is_string(said))
			return fail_set(fail, FAIL_INVALID, "message %zu has a part without text",
					number);
		buf_append(text, json_string_value(said), json_string_length(said));
	}
	return 0;
}

/* The message's content as one text. Who only calls tools has none: templates print it as nothing,
 * where none would be "None". */
static json_t *content_text(const json_t *message, size_t number, struct fail *fail)
{
	const json_t *content = json_object_get(message, "content");
	struct buf text;
	json_t *joined = NULL;
	if (json_is_string(content))
		return json_copy((json_t *)(uintptr_t)content);
	if (is_missing(content) && json_array_size(json_object_get(message, "tool_calls")) > 0)
		return json_string("");
	if (!json_is_array(content)) {
		fail_set(fail, FAIL_INVALID, "message %zu has no content", number);
		return NULL;
	}
	buf_init(&text);
	if (join_parts(content, number, &text, fail) == 0) {
		joined = text.failed ? NULL
				     : json_stringn(text.size ? (char *)text.data : "", text.size);
		if (!joined)
			fail_set(fail, FAIL_MEMORY, "no memory for message %zu", number);
	}
	buf_finish(&text);
	return joined;
}

/* ---- tool calls ---- */

static int refuse_call(size_t number, struct fail *fail)
{
	return fail_set(
		fail, FAIL_INVALID,
		"message %zu has a tool call that is not {\"type\": \"function\", \"function\": "
		"{\"name\": ..., \"arguments\": ...}}",
		number);
}

/* Arguments that are the text of a JSON object become it; a text that is none stays, since the
 * model wrote it so. */
static int read_arguments(json_t *call, size_t number, struct fail *fail)
{
	json_t *function = json_object_get(call, "function");
	const json_t *arguments = json_object_get(function, "arguments");
	if (!json_is_object(function) || !json_is_string(json_object_get(function, "name")))
		return refuse_call(number, fail);
	if (is_missing(arguments) ||
	    (json_is_string(arguments) && json_string_length(arguments) == 0))
		return json_object_set_new(function, "arguments", json_object());
	if (json_is_object(arguments))
		return 0;
	if (!json_is_string(arguments))
		return refuse_call(number, fail);
	json_t *read = json_loadb(json_string_value(arguments), json_string_length(arguments),
				  JSON_ALLOW_NUL, NULL);
	if (json_is_object(read))
		return json_object_set_new(function, "arguments", read);
	json_decref(read);
	return 0;
}

static int read_calls(json_t *message, size_t number, struct fail *fail)
{
	json_t *calls = json_object_get(message, "tool_calls");
	if (is_missing(calls) || (json_is_array(calls) && json_array_size(calls) == 0)) {
		json_object_del(message, "tool_calls");
		return 0;
	}
	if (!json_is_array(calls))
		return refuse_call(number, fail);
	for (size_t i = 0; i < json_array_size(calls); i++) {
		const int result = read_arguments(json_array_get(calls, i), number, fail);
		if (result != 0)
			return result;
	}
	return 0;
}

/* ---- messages and tools ---- */

/* Gives; NULL with a sentence. */
static json_t *read_message(const json_t *sent, size_t number, struct fail *fail)
{
	const char *role = known_role(sent);
	if (!role) {
		fail_set(fail, FAIL_UNSUPPORTED,
			 "message %zu has no role of: system, developer, user, assistant, tool",
			 number);
		return NULL;
	}
	json_t *content = content_text(sent, number, fail);
	json_t *message = content ? json_deep_copy(sent) : NULL;
	if (!message) {
		json_decref(content);
		return NULL;
	}
	json_object_set_new(message, "role", json_string(role));
	json_object_set_new(message, "content", content);
	if (read_calls(message, number, fail) == 0)
		return message;
	json_decref(message);
	return NULL;
}

int chat_set_messages(json_t *chat, const json_t *messages, struct fail *fail)
{
	const size_t count = json_array_size(messages);
	if (count < 1 || count > MESSAGES_MAX)
		return fail_set(fail, FAIL_INVALID,
				"\"messages\" must be a list of 1 to %d messages", MESSAGES_MAX);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++) {
		fail_set(fail, FAIL_MEMORY, "no memory for message %zu", i);
		json_t *message = read_message(json_array_get(messages, i), i, fail);
		if (!message || json_array_append_new(list, message) != 0) {
			json_decref(list);
			return -(int)fail->code;
		}
	}
	if (json_object_set_new(chat, "messages", list) != 0)
		return fail_set(fail, FAIL_MEMORY, "no memory for these messages");
	return 0;
}

int chat_set_tools(json_t *chat, const json_t *tools, struct fail *fail)
{
	const size_t count = json_array_size(tools);
	if (count < 1 || count > TOOLS_MAX)
		return fail_set(fail, FAIL_INVALID, "\"tools\" must be a list of 1 to %d tools",
				TOOLS_MAX);
	for (size_t i = 0; i < count; i++) {
		const json_t *tool = json_array_get(tools, i);
		const json_t *function = json_object_get(tool, "function");
		const char *type = json_string_value(json_object_get(tool, "type"));
		if (!type || strcmp(type, "function") != 0 ||
		    !json_is_string(json_object_get(function, "name")))
			return fail_set(
				fail, FAIL_INVALID,
				"tool %zu is not {\"type\": \"function\", \"function\": {\"name\": "
				"...}}",
				i);
	}
	if (json_object_set_new(chat, "tools", json_deep_copy(tools)) != 0)
		return fail_set(fail, FAIL_MEMORY, "no memory for these tools");
	return 0;
}

/* What the request says elsewhere is not to be said here. */
int chat_set_variables(json_t *chat, const json_t *variables, struct fail *fail)
{
	static const char *const taken[] = { "messages", "tools", "add_generation_prompt",
					     "bos_token", "eos_token" };
	if (!json_is_object(variables))
		return fail_set(fail, FAIL_INVALID, "\"chat_template_kwargs\" must be an object");
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (json_object_get(variables, taken[i]))
			return fail_set(fail, FAIL_INVALID,
					"\"chat_template_kwargs\" may not set \"%s\"", taken[i]);
	if (json_object_update(chat, (json_t *)(uintptr_t)variables) != 0)
		return fail_set(fail, FAIL_MEMORY, "no memory for the template's variables");
	return 0;
}
