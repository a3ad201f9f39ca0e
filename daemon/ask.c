#include "daemon/ask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETION_TOKENS 16 /* OpenAI's default for completions; chats go on until they end */
#define TOKENS_MOST (1 << 30)
#define MESSAGES_MAX 4096
#define TURN_START "<|im_start|>"
#define TURN_END "<|im_end|>"

struct field;

/* Reads a value that is present and not null, or gives a sentence. */
typedef int take_field(struct ask *ask, const struct field *field, const json_t *value,
		       struct fail *fail);

struct field {
	const char *name;
	take_field *take;
	size_t offset; /* in struct ask, of numbers and switches */
	double least, most;
	int only; /* 0: both kinds, else 1 + the kind that knows it */
};

#define COMPLETION_ONLY (1 + ASK_COMPLETION)
#define CHAT_ONLY (1 + ASK_CHAT)

/* ---- numbers and switches ---- */

static int take_float(struct ask *ask, const struct field *field, const json_t *value,
		      struct fail *fail)
{
	const double number = json_number_value(value);
	if (!json_is_number(value) || !isfinite(number) || number < field->least ||
	    number > field->most)
		return fail_set(fail, FAIL_INVALID, "\"%s\" must be a number from %g to %g",
				field->name, field->least, field->most);
	const float narrow = (float)number;
	memcpy((char *)ask + field->offset, &narrow, sizeof(narrow));
	return 0;
}

static int take_count(struct ask *ask, const struct field *field, const json_t *value,
		      struct fail *fail)
{
	const json_int_t number = json_integer_value(value);
	if (!json_is_integer(value) || number < (json_int_t)field->least ||
	    number > (json_int_t)field->most)
		return fail_set(fail, FAIL_INVALID, "\"%s\" must be a whole number from %.0f to %.0f",
				field->name, field->least, field->most);
	const uint32_t narrow = (uint32_t)number;
	memcpy((char *)ask + field->offset, &narrow, sizeof(narrow));
	return 0;
}

static int take_switch(struct ask *ask, const struct field *field, const json_t *value,
		       struct fail *fail)
{
	if (!json_is_boolean(value))
		return fail_set(fail, FAIL_INVALID, "\"%s\" must be true or false", field->name);
	const bool on = json_is_true(value);
	memcpy((char *)ask + field->offset, &on, sizeof(on));
	return 0;
}

static int take_seed(struct ask *ask, const struct field *field, const json_t *value,
		     struct fail *fail)
{
	if (!json_is_integer(value))
		return fail_set(fail, FAIL_INVALID, "\"seed\" must be a whole number of 64 bits");
	ask->request.sampler.seed = (uint64_t)json_integer_value(value);
	return 0;
}

/* ---- texts ---- */

/* A C string: jansson may be told to allow NUL characters, but names and stops have none. */
static const char *plain_string(const json_t *value, size_t most)
{
	const char *text = json_string_value(value);
	const size_t size = json_string_length(value);
	return text && size > 0 && size <= most && strlen(text) == size ? text : NULL;
}

static int take_model(struct ask *ask, const struct field *field, const json_t *value,
		      struct fail *fail)
{
	ask->request.model = plain_string(value, ASK_MODEL_BYTES - 1);
	if (!ask->request.model)
		return fail_set(fail, FAIL_INVALID, "\"model\" must be the name of a model");
	return 0;
}

static int add_stop(struct ask *ask, const json_t *value, struct fail *fail)
{
	const char *text = plain_string(value, DETOKENIZER_STOP_BYTES - 1);
	if (!text)
		return fail_set(fail, FAIL_INVALID,
				"\"stop\" must hold texts of 1 to %d bytes without NUL",
				DETOKENIZER_STOP_BYTES - 1);
	ask->stops[ask->request.n_stops++] = text;
	return 0;
}

static int take_stop(struct ask *ask, const struct field *field, const json_t *value,
		     struct fail *fail)
{
	if (json_is_string(value))
		return add_stop(ask, value, fail);
	if (!json_is_array(value) || json_array_size(value) > ASK_STOPS_MAX)
		return fail_set(fail, FAIL_INVALID, "\"stop\" must be a text or up to %d texts",
				ASK_STOPS_MAX);
	for (size_t i = 0; i < json_array_size(value); i++)
		if (add_stop(ask, json_array_get(value, i), fail) < 0)
			return -FAIL_INVALID;
	return 0;
}

static int take_stream_options(struct ask *ask, const struct field *field, const json_t *value,
			       struct fail *fail)
{
	const json_t *usage = json_object_get(value, "include_usage");
	if (!json_is_object(value) || (usage && !json_is_null(usage) && !json_is_boolean(usage)))
		return fail_set(fail, FAIL_INVALID,
				"\"stream_options\" must be {\"include_usage\": true or false}");
	if (!ask->stream)
		return fail_set(fail, FAIL_INVALID,
				"\"stream_options\" is for \"stream\": true only");
	ask->include_usage = json_is_true(usage);
	return 0;
}

/* ---- a completion's prompt ---- */

static int take_ids(struct ask *ask, const json_t *value, struct fail *fail)
{
	const size_t count = json_array_size(value);
	if (count > UINT32_MAX || !(ask->tokens = malloc((count + 1) * sizeof(*ask->tokens))))
		return fail_set(fail, FAIL_MEMORY, "no memory for %zu prompt tokens", count);
	for (size_t i = 0; i < count; i++) {
		const json_t *id = json_array_get(value, i);
		const json_int_t number = json_integer_value(id);
		if (!json_is_integer(id) || number < 0 || number >= INT32_MAX)
			return fail_set(fail, FAIL_INVALID,
					"element %zu of \"prompt\" is not a token id", i);
		ask->tokens[i] = (uint32_t)number;
	}
	ask->request.tokens = ask->tokens;
	ask->request.n_tokens = (uint32_t)count;
	return 0;
}

static int take_prompt(struct ask *ask, const struct field *field, const json_t *value,
		       struct fail *fail)
{
	const json_t *first = json_array_get(value, 0);
	if (json_is_string(first) || json_is_array(first)) { /* a batch */
		if (json_array_size(value) > 1)
			return fail_set(fail, FAIL_UNSUPPORTED,
					"\"prompt\" holds %zu prompts; send one request for each",
					json_array_size(value));
		value = first;
	}
	if (json_is_string(value)) {
		ask->request.text = json_string_value(value);
		ask->request.text_size = json_string_length(value);
		return 0;
	}
	if (json_is_array(value) && json_array_size(value) > 0)
		return take_ids(ask, value, fail);
	return fail_set(fail, FAIL_INVALID, "\"prompt\" must be a text or a list of token ids");
}

/* ---- a chat's messages, in ChatML ---- */

static bool starts_with(const char *text, size_t left, const char *word)
{
	const size_t size = strlen(word);
	return left >= size && memcmp(text, word, size) == 0;
}

/* What a message says must not end its turn or begin another: a zero-width space breaks the
 * markers, visibly for the model and invisibly for people. */
static void append_message(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		buf_u8(out, (uint8_t)text[i]);
		if (text[i] == '<' && (starts_with(text + i, size - i, TURN_START) ||
				       starts_with(text + i, size - i, TURN_END)))
			buf_text(out, "\xe2\x80\x8b");
	}
}

static int append_parts(struct ask *ask, const json_t *parts, size_t number, struct fail *fail)
{
	for (size_t i = 0; i < json_array_size(parts); i++) {
		const json_t *part = json_array_get(parts, i);
		const char *type = json_string_value(json_object_get(part, "type"));
		const json_t *text = json_object_get(part, "text");
		if (!type || strcmp(type, "text") != 0)
			return fail_set(fail, FAIL_UNSUPPORTED,
					"message %zu has a part that is not text: only text is "
					"supported",
					number);
		if (!json_is_string(text))
			return fail_set(fail, FAIL_INVALID, "message %zu has a part without text",
					number);
		append_message(&ask->text, json_string_value(text), json_string_length(text));
	}
	return 0;
}

static const char *turn_role(const json_t *message)
{
	static const char *const roles[][2] = { { "system", "system" },
						{ "developer", "system" },
						{ "user", "user" },
						{ "assistant", "assistant" } };
	const char *role = json_string_value(json_object_get(message, "role"));
	for (size_t i = 0; role && i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(role, roles[i][0]) == 0)
			return roles[i][1];
	return NULL;
}

static bool is_empty(const json_t *value)
{
	return !value || json_is_null(value) || json_is_false(value) ||
	       (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_number(value) && json_number_value(value) == 0);
}

static int append_turn(struct ask *ask, const json_t *message, size_t number, struct fail *fail)
{
	const json_t *content = json_object_get(message, "content");
	const char *role = turn_role(message);
	if (!role)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"message %zu has no role of: system, developer, user, assistant",
				number);
	if (!is_empty(json_object_get(message, "tool_calls")))
		return fail_set(fail, FAIL_UNSUPPORTED,
				"message %zu has tool calls, which are not supported yet", number);
	buf_printf(&ask->text, TURN_START "%s\n", role);
	if (json_is_string(content))
		append_message(&ask->text, json_string_value(content),
			       json_string_length(content));
	else if (!json_is_array(content))
		return fail_set(fail, FAIL_INVALID, "message %zu has no content", number);
	else if (append_parts(ask, content, number, fail) < 0)
		return -FAIL_INVALID;
	buf_text(&ask->text, TURN_END "\n");
	return 0;
}

static int take_messages(struct ask *ask, const struct field *field, const json_t *value,
			 struct fail *fail)
{
	const size_t count = json_array_size(value);
	if (count < 1 || count > MESSAGES_MAX)
		return fail_set(fail, FAIL_INVALID, "\"messages\" must be a list of 1 to %d messages",
				MESSAGES_MAX);
	for (size_t i = 0; i < count; i++)
		if (append_turn(ask, json_array_get(value, i), i, fail) < 0)
			return -FAIL_INVALID;
	buf_text(&ask->text, TURN_START "assistant\n");
	if (ask->text.failed)
		return fail_set(fail, FAIL_MEMORY, "no memory for these messages");
	ask->request.text = (const char *)ask->text.data;
	ask->request.text_size = ask->text.size;
	ask->request.special = true;
	return 0;
}

/* ---- known, but not supported: fine as long as they ask for nothing ---- */

static int unsupported(const struct field *field, struct fail *fail)
{
	return fail_set(fail, FAIL_UNSUPPORTED, "\"%s\" is not supported with this value: leave it out",
			field->name);
}

static int take_nothing(struct ask *ask, const struct field *field, const json_t *value,
			struct fail *fail)
{
	return is_empty(value) ? 0 : unsupported(field, fail);
}

static int take_one(struct ask *ask, const struct field *field, const json_t *value,
		    struct fail *fail)
{
	return json_is_integer(value) && json_integer_value(value) == 1 ? 0
									 : unsupported(field, fail);
}

static bool is_word(const json_t *value, const char *word)
{
	const char *text = json_string_value(value);
	return text && strcmp(text, word) == 0;
}

static int take_format(struct ask *ask, const struct field *field, const json_t *value,
		       struct fail *fail)
{
	return is_word(json_object_get(value, "type"), "text") ? 0 : unsupported(field, fail);
}

static int take_tool_choice(struct ask *ask, const struct field *field, const json_t *value,
			    struct fail *fail)
{
	return is_word(value, "none") || is_word(value, "auto") ? 0 : unsupported(field, fail);
}

static int take_modalities(struct ask *ask, const struct field *field, const json_t *value,
			   struct fail *fail)
{
	return json_array_size(value) == 1 && is_word(json_array_get(value, 0), "text")
		? 0
		: unsupported(field, fail);
}

/* ---- the table ---- */

#define AT(member) offsetof(struct ask, member)

static const struct field fields[] = {
	{ "model", take_model },
	{ "prompt", take_prompt, .only = COMPLETION_ONLY },
	{ "messages", take_messages, .only = CHAT_ONLY },
	{ "stream", take_switch, AT(stream) },
	{ "stream_options", take_stream_options },
	{ "max_tokens", take_count, AT(request.max_tokens), 1, TOKENS_MOST },
	{ "max_completion_tokens", take_count, AT(request.max_tokens), 1, TOKENS_MOST },
	{ "temperature", take_float, AT(request.sampler.temperature), 0, 2 },
	{ "top_p", take_float, AT(request.sampler.top_p), 0, 1 },
	{ "top_k", take_count, AT(request.sampler.top_k), 0, TOKENS_MOST },
	{ "min_p", take_float, AT(request.sampler.min_p), 0, 1 },
	{ "repeat_penalty", take_float, AT(request.sampler.repeat_penalty), 0.1, 10 },
	{ "repeat_last_n", take_count, AT(request.sampler.repeat_last), 0, 65536 },
	{ "seed", take_seed },
	{ "stop", take_stop },
	{ "ignore_eos", take_switch, AT(request.ignore_end) },
	{ "special", take_switch, AT(request.special), .only = COMPLETION_ONLY },
	{ "return_tokens", take_switch, AT(return_tokens) },
	{ "chunk_rows", take_count, AT(request.chunk_rows), 1, FLIGHT_ROWS_MAX },
	{ "n", take_one },
	{ "best_of", take_one },
	{ "echo", take_nothing },
	{ "suffix", take_nothing },
	{ "logprobs", take_nothing },
	{ "top_logprobs", take_nothing },
	{ "logit_bias", take_nothing },
	{ "presence_penalty", take_nothing },
	{ "frequency_penalty", take_nothing },
	{ "tools", take_nothing },
	{ "tool_choice", take_tool_choice },
	{ "functions", take_nothing },
	{ "function_call", take_tool_choice },
	{ "response_format", take_format },
	{ "modalities", take_modalities },
	{ "audio", take_nothing },
	{ "web_search_options", take_nothing },
	{ "grammar", take_nothing },
	{ "json_schema", take_nothing },
};

static void set_defaults(struct ask *ask, enum ask_kind kind, uint64_t random)
{
	memset(ask, 0, sizeof(*ask));
	buf_init(&ask->text);
	ask->kind = kind;
	ask->request.special = true;
	ask->request.max_tokens = kind == ASK_COMPLETION ? COMPLETION_TOKENS : 0;
	ask->request.stops = ask->stops;
	ask->request.sampler.temperature = 1;
	ask->request.sampler.top_p = 1;
	ask->request.sampler.repeat_penalty = 1;
	ask->request.sampler.repeat_last = 64;
	ask->request.sampler.seed = random;
}

static int take_fields(struct ask *ask, const char **param, struct fail *fail)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *field = &fields[i];
		const json_t *value = json_object_get(ask->body, field->name);
		if (!value || json_is_null(value) ||
		    (field->only && field->only != 1 + (int)ask->kind))
			continue;
		*param = field->name;
		const int result = field->take(ask, field, value, fail);
		if (result < 0)
			return result;
	}
	return 0;
}

int ask_init(struct ask *ask, enum ask_kind kind, json_t *body, uint64_t random,
	     const char **param, struct fail *fail)
{
	set_defaults(ask, kind, random);
	ask->body = body;
	const int result = take_fields(ask, param, fail);
	if (result < 0)
		return result;
	*param = kind == ASK_CHAT ? "messages" : "prompt";
	if (!ask->request.text && !ask->request.tokens)
		return fail_set(fail, FAIL_INVALID, "\"%s\" is missing", *param);
	*param = NULL;
	/* A vocabulary without ChatML's markers writes them as plain text. */
	if (kind == ASK_CHAT && ask->request.n_stops < DETOKENIZER_STOPS_MAX)
		ask->stops[ask->request.n_stops++] = TURN_END;
	return 0;
}

void ask_finish(struct ask *ask)
{
	json_decref(ask->body);
	ask->body = NULL;
	buf_finish(&ask->text);
	free(ask->tokens);
	ask->tokens = NULL;
}
