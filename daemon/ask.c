#include "daemon/ask.h"

#include "daemon/chat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETION_TOKENS 16 /* OpenAI's default for completions; chats go on until they end */
#define TOKENS_MOST (1 << 30)

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

/* ---- a chat ---- */

static bool is_empty(const json_t *value)
{
	return !value || json_is_null(value) || json_is_false(value) ||
	       (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_number(value) && json_number_value(value) == 0);
}

static int take_messages(struct ask *ask, const struct field *field, const json_t *value,
			 struct fail *fail)
{
	return chat_set_messages(ask->chat, value, fail);
}

static int take_tools(struct ask *ask, const struct field *field, const json_t *value,
		      struct fail *fail)
{
	return is_empty(value) ? 0 : chat_set_tools(ask->chat, value, fail);
}

static int take_variable(struct ask *ask, const struct field *field, const json_t *value,
			 struct fail *fail)
{
	json_object_set(ask->chat, field->name, (json_t *)(uintptr_t)value);
	return 0;
}

static int take_variables(struct ask *ask, const struct field *field, const json_t *value,
			  struct fail *fail)
{
	return chat_set_variables(ask->chat, value, fail);
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
	if (is_word(value, "none"))
		json_object_del(ask->chat, "tools"); /* it comes behind them in the table */
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
	{ "chat_template_kwargs", take_variables, .only = CHAT_ONLY },
	{ "documents", take_variable, .only = CHAT_ONLY },
	{ "reasoning_effort", take_variable, .only = CHAT_ONLY },
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
	{ "tools", take_tools, .only = CHAT_ONLY },
	{ "tools", take_nothing, .only = COMPLETION_ONLY },
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
	ask->chat = kind == ASK_CHAT ? chat_create() : NULL;
	if (kind == ASK_CHAT && !ask->chat)
		return fail_set(fail, FAIL_MEMORY, "no memory for a chat");
	const int result = take_fields(ask, param, fail);
	if (result < 0)
		return result;
	*param = kind == ASK_CHAT ? "messages" : "prompt";
	if (kind == ASK_CHAT && json_object_get(ask->chat, "messages"))
		ask->request.chat = ask->chat;
	if (!ask->request.text && !ask->request.tokens && !ask->request.chat)
		return fail_set(fail, FAIL_INVALID, "\"%s\" is missing", *param);
	*param = NULL;
	return 0;
}

void ask_finish(struct ask *ask)
{
	json_decref(ask->body);
	ask->body = NULL;
	json_decref(ask->chat);
	ask->chat = NULL;
	free(ask->tokens);
	ask->tokens = NULL;
}
