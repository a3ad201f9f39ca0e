/* What clients may ask: defaults, every number at its edges, and a refusal for each field that asks
 * for what is not there. */
#include "daemon/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct outcome {
	int result;
	const char *param;
	struct fail fail;
	struct ask ask;
};

static void parse(struct outcome *out, enum ask_kind kind, const char *text)
{
	json_error_t error;
	json_t *body = json_loads(text, JSON_ALLOW_NUL, &error);
	if (!body)
		fail_msg("%s: %s", text, error.text);
	memset(out, 0, sizeof(*out));
	out->result = ask_init(&out->ask, kind, body, 77, &out->param, &out->fail);
}

/* The field alone, beside a prompt or messages. */
static void parse_field(struct outcome *out, enum ask_kind kind, const char *field)
{
	char text[4096];
	snprintf(text, sizeof(text), "{%s, %s}",
		 kind == ASK_CHAT ? "\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]"
				  : "\"prompt\": \"a\"",
		 field);
	parse(out, kind, text);
}

static void defaults_are_those_of_openai(void **state)
{
	struct outcome out;
	parse(&out, ASK_COMPLETION, "{\"prompt\": \"Hello\"}");
	const struct session_request *request = &out.ask.request;
	assert_int_equal(out.result, 0);
	assert_int_equal(request->text_size, 5);
	assert_memory_equal(request->text, "Hello", 5);
	assert_null(request->model);
	assert_int_equal(request->max_tokens, 16);
	assert_true(request->sampler.temperature == 1.0f);
	assert_true(request->sampler.top_p == 1.0f);
	assert_int_equal(request->sampler.top_k, 0);
	assert_true(request->sampler.min_p == 0.0f);
	assert_true(request->sampler.repeat_penalty == 1.0f);
	assert_int_equal(request->sampler.seed, 77);
	assert_int_equal(request->n_stops, 0);
	assert_false(out.ask.stream);
	ask_finish(&out.ask);
	parse(&out, ASK_CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}");
	assert_int_equal(out.ask.request.max_tokens, 0);
	ask_finish(&out.ask);
}

static void every_field_arrives(void **state)
{
	struct outcome out;
	parse(&out, ASK_COMPLETION,
	      "{\"model\": \"m\", \"prompt\": [1, 2, 3], \"stream\": true, \"temperature\": 0.5,"
	      "\"stream_options\": {\"include_usage\": true}, \"max_tokens\": 7, \"top_p\": 0.25,"
	      "\"top_k\": 40, \"min_p\": 0.125, \"repeat_penalty\": 1.5, \"repeat_last_n\": 9,"
	      "\"seed\": -2, \"stop\": [\"x\", \"yz\"], \"ignore_eos\": true, \"special\": false,"
	      "\"return_tokens\": true, \"chunk_rows\": 5, \"user\": \"u\", \"nobody knows\": {\"this\": 1}}");
	const struct session_request *request = &out.ask.request;
	if (out.result)
		fail_msg("%s", out.fail.text);
	assert_string_equal(request->model, "m");
	assert_null(request->text);
	assert_int_equal(request->n_tokens, 3);
	assert_int_equal(request->tokens[2], 3);
	assert_true(out.ask.stream && out.ask.include_usage && out.ask.return_tokens);
	assert_true(request->sampler.temperature == 0.5f && request->sampler.top_p == 0.25f);
	assert_true(request->sampler.min_p == 0.125f && request->sampler.repeat_penalty == 1.5f);
	assert_int_equal(request->sampler.top_k, 40);
	assert_int_equal(request->sampler.repeat_last, 9);
	assert_true(request->sampler.seed == (uint64_t)-2);
	assert_int_equal(request->max_tokens, 7);
	assert_int_equal(request->chunk_rows, 5);
	assert_int_equal(request->n_stops, 2);
	assert_string_equal(request->stops[1], "yz");
	assert_true(request->ignore_end);
	assert_false(request->special);
	ask_finish(&out.ask);
}

static void chats_are_kept_for_the_models_template(void **state)
{
	struct outcome out;
	parse(&out, ASK_CHAT,
	      "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"max_tokens\": 4,"
	      "\"max_completion_tokens\": 5, \"stop\": [\"1\", \"2\", \"3\", \"4\"],"
	      "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}],"
	      "\"reasoning_effort\": \"low\", \"documents\": [{\"text\": \"d\"}],"
	      "\"chat_template_kwargs\": {\"enable_thinking\": false}}");
	if (out.result)
		fail_msg("%s", out.fail.text);
	const json_t *chat = out.ask.request.chat;
	assert_int_equal(json_array_size(json_object_get(chat, "messages")), 1);
	assert_int_equal(json_array_size(json_object_get(chat, "tools")), 1);
	assert_int_equal(json_array_size(json_object_get(chat, "documents")), 1);
	assert_string_equal(json_string_value(json_object_get(chat, "reasoning_effort")), "low");
	assert_true(json_is_false(json_object_get(chat, "enable_thinking")));
	assert_true(json_is_true(json_object_get(chat, "add_generation_prompt")));
	assert_null(out.ask.request.text);
	assert_int_equal(out.ask.request.max_tokens, 5);
	assert_int_equal(out.ask.request.n_stops, 4);
	ask_finish(&out.ask);
	parse_field(&out, ASK_CHAT,
		    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}],"
		    "\"tool_choice\": \"none\"");
	assert_int_equal(out.result, 0);
	assert_null(json_object_get(out.ask.request.chat, "tools"));
	ask_finish(&out.ask);
}

static void tools_and_variables_are_checked(void **state)
{
	static const struct {
		const char *field, *param;
	} cases[] = {
		{ "\"tools\": [{\"type\": \"function\"}]", "tools" },
		{ "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": 5}}]", "tools" },
		{ "\"tools\": [{\"function\": {\"name\": \"f\"}}]", "tools" },
		{ "\"tools\": {\"a\": 1}", "tools" },
		{ "\"chat_template_kwargs\": 5", "chat_template_kwargs" },
		{ "\"chat_template_kwargs\": {\"messages\": []}", "chat_template_kwargs" },
		{ "\"chat_template_kwargs\": {\"bos_token\": \"\"}", "chat_template_kwargs" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome out;
		parse_field(&out, ASK_CHAT, cases[i].field);
		if (out.result != -FAIL_INVALID || !out.fail.text[0] ||
		    strcmp(out.param, cases[i].param) != 0)
			fail_msg("%s: %d, %s", cases[i].field, out.result, out.param);
		ask_finish(&out.ask);
	}
}

static void what_is_missing_or_unsupported_is_named(void **state)
{
	static const struct {
		enum ask_kind kind;
		const char *field;
		const char *param;
	} cases[] = {
		{ ASK_COMPLETION, "\"n\": 2", "n" },
		{ ASK_COMPLETION, "\"n\": 0", "n" },
		{ ASK_COMPLETION, "\"n\": true", "n" },
		{ ASK_COMPLETION, "\"best_of\": 3", "best_of" },
		{ ASK_COMPLETION, "\"echo\": true", "echo" },
		{ ASK_COMPLETION, "\"suffix\": \"end\"", "suffix" },
		{ ASK_COMPLETION, "\"logprobs\": 1", "logprobs" },
		{ ASK_CHAT, "\"logprobs\": true", "logprobs" },
		{ ASK_CHAT, "\"top_logprobs\": 2", "top_logprobs" },
		{ ASK_CHAT, "\"logit_bias\": {\"5\": 1}", "logit_bias" },
		{ ASK_CHAT, "\"presence_penalty\": 0.1", "presence_penalty" },
		{ ASK_CHAT, "\"frequency_penalty\": -0.1", "frequency_penalty" },
		{ ASK_COMPLETION, "\"tools\": [{\"type\": \"function\"}]", "tools" },
		{ ASK_CHAT, "\"tool_choice\": \"required\"", "tool_choice" },
		{ ASK_CHAT, "\"functions\": [1]", "functions" },
		{ ASK_CHAT, "\"function_call\": {\"name\": \"f\"}", "function_call" },
		{ ASK_CHAT, "\"response_format\": {\"type\": \"json_object\"}", "response_format" },
		{ ASK_CHAT, "\"response_format\": \"text\"", "response_format" },
		{ ASK_CHAT, "\"modalities\": [\"text\", \"audio\"]", "modalities" },
		{ ASK_CHAT, "\"audio\": {\"voice\": \"x\"}", "audio" },
		{ ASK_CHAT, "\"web_search_options\": {\"a\": 1}", "web_search_options" },
		{ ASK_COMPLETION, "\"grammar\": \"root ::= x\"", "grammar" },
		{ ASK_COMPLETION, "\"model\": 5", "model" },
		{ ASK_COMPLETION, "\"model\": \"\"", "model" },
		{ ASK_COMPLETION, "\"model\": \"a\\u0000b\"", "model" },
		{ ASK_COMPLETION, "\"stop\": \"\"", "stop" },
		{ ASK_COMPLETION, "\"stop\": 5", "stop" },
		{ ASK_COMPLETION, "\"stop\": [\"a\", 5]", "stop" },
		{ ASK_COMPLETION, "\"stop\": \"a\\u0000b\"", "stop" },
		{ ASK_COMPLETION, "\"stop\": [\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop" },
		{ ASK_COMPLETION, "\"stream\": \"yes\"", "stream" },
		{ ASK_COMPLETION, "\"stream\": 1", "stream" },
		{ ASK_COMPLETION, "\"stream_options\": {}", "stream_options" },
		{ ASK_COMPLETION, "\"stream\": true, \"stream_options\": 1", "stream_options" },
		{ ASK_COMPLETION,
		  "\"stream\": true, \"stream_options\": {\"include_usage\": 1}",
		  "stream_options" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome out;
		parse_field(&out, cases[i].kind, cases[i].field);
		if (out.result >= 0 || !out.param || strcmp(out.param, cases[i].param) != 0)
			fail_msg("%s: %d, %s", cases[i].field, out.result, out.param);
		if (!strstr(out.fail.text, cases[i].param))
			fail_msg("%s: %s", cases[i].field, out.fail.text);
		ask_finish(&out.ask);
	}
}

static void bodies_without_a_usable_prompt(void **state)
{
	static const struct {
		enum ask_kind kind;
		const char *body;
	} cases[] = {
		{ ASK_COMPLETION, "{}" },
		{ ASK_COMPLETION, "{\"prompt\": null}" },
		{ ASK_COMPLETION, "{\"prompt\": 5}" },
		{ ASK_COMPLETION, "{\"prompt\": []}" },
		{ ASK_COMPLETION, "{\"prompt\": [[]]}" },
		{ ASK_COMPLETION, "{\"prompt\": [\"a\", \"b\"]}" },
		{ ASK_COMPLETION, "{\"prompt\": [[1], [2]]}" },
		{ ASK_COMPLETION, "{\"prompt\": [1, \"a\"]}" },
		{ ASK_COMPLETION, "{\"prompt\": [1.5]}" },
		{ ASK_COMPLETION, "{\"prompt\": [-1]}" },
		{ ASK_COMPLETION, "{\"prompt\": [4294967296]}" },
		{ ASK_COMPLETION, "{\"prompt\": [null]}" },
		{ ASK_COMPLETION, "{\"prompt\": [true]}" },
		{ ASK_CHAT, "{\"prompt\": \"a\"}" },
		{ ASK_CHAT, "{\"messages\": []}" },
		{ ASK_CHAT, "{\"messages\": {}}" },
		{ ASK_CHAT, "{\"messages\": [5]}" },
		{ ASK_CHAT, "{\"messages\": [{\"role\": \"user\"}]}" },
		{ ASK_CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": 5}]}" },
		{ ASK_CHAT, "{\"messages\": [{\"role\": \"critic\", \"content\": \"x\"}]}" },
		{ ASK_CHAT, "{\"messages\": [{\"content\": \"x\"}]}" },
		{ ASK_CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": [\"x\"]}]}" },
		{ ASK_CHAT,
		  "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}" },
		{ ASK_CHAT,
		  "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}" },
		{ ASK_CHAT,
		  "{\"messages\": [{\"role\": \"assistant\", \"content\": \"\","
		  "\"tool_calls\": [{\"id\": \"1\"}]}]}" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome out;
		parse(&out, cases[i].kind, cases[i].body);
		const char *name = cases[i].kind == ASK_CHAT ? "messages" : "prompt";
		if (out.result >= 0 || !out.param || strcmp(out.param, name) != 0)
			fail_msg("%s: %d, %s", cases[i].body, out.result, out.param);
		ask_finish(&out.ask);
	}
}

static void fields_that_ask_for_nothing_are_fine(void **state)
{
	static const char *const fields[] = {
		"\"n\": 1", "\"best_of\": 1", "\"n\": null", "\"echo\": false", "\"suffix\": \"\"",
		"\"logprobs\": null", "\"logprobs\": false", "\"top_logprobs\": 0",
		"\"logit_bias\": {}", "\"presence_penalty\": 0", "\"frequency_penalty\": 0.0",
		"\"tools\": []", "\"tool_choice\": \"none\"", "\"tool_choice\": \"auto\"",
		"\"response_format\": {\"type\": \"text\"}", "\"modalities\": [\"text\"]",
		"\"audio\": null", "\"stop\": null", "\"stop\": []", "\"seed\": null",
		"\"max_tokens\": null", "\"stream_options\": null", "\"store\": true",
		"\"parallel_tool_calls\": true", "\"metadata\": {\"a\": \"b\"}",
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		for (int kind = ASK_COMPLETION; kind <= ASK_CHAT; kind++) {
			struct outcome out;
			parse_field(&out, (enum ask_kind)kind, fields[i]);
			if (out.result)
				fail_msg("%s: %s", fields[i], out.fail.text);
			ask_finish(&out.ask);
		}
}

/* Each number at -1, 0, its bounds, 64 bits' ends, 1e308, and as text: taken or refused by name,
 * and what is taken lies within the bounds. */
static void numbers_at_their_edges(void **state)
{
	static const char *const values[] = {
		"-1", "0", "1", "2", "65536", "1073741824", "1073741825", "2147483647", "4294967295",
		"4294967296", "9223372036854775807", "-9223372036854775808", "0.0", "-0.0", "0.5",
		"1.0", "1e308", "-1e308", "5e-324", "\"NaN\"", "\"1\"", "\"inf\"", "true", "[1]",
		"{}",
	};
	static const char *const names[] = {
		"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p",
		"repeat_penalty", "repeat_last_n", "seed",
	};
	int taken = 0, refused = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			struct outcome out;
			char field[128];
			snprintf(field, sizeof(field), "\"%s\": %s", names[i], values[j]);
			parse_field(&out, ASK_COMPLETION, field);
			const struct session_request *request = &out.ask.request;
			const struct sampler_config *sampler = &request->sampler;
			if (out.result < 0 && strcmp(out.param, names[i]) != 0)
				fail_msg("%s: %s", field, out.param);
			assert_in_range(request->max_tokens, 1, 1 << 30);
			assert_true(sampler->temperature >= 0 && sampler->temperature <= 2);
			assert_true(sampler->top_p >= 0 && sampler->top_p <= 1);
			assert_true(sampler->min_p >= 0 && sampler->min_p <= 1);
			assert_true(sampler->repeat_penalty >= 0.1f && sampler->repeat_penalty <= 10);
			assert_true(sampler->top_k <= 1u << 30 && sampler->repeat_last <= 65536);
			taken += out.result == 0;
			refused += out.result < 0;
			ask_finish(&out.ask);
		}
	assert_int_equal(taken + refused, 9 * 25);
	assert_true(taken > 30 && refused > 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_openai),
		cmocka_unit_test(every_field_arrives),
		cmocka_unit_test(chats_are_kept_for_the_models_template),
		cmocka_unit_test(tools_and_variables_are_checked),
		cmocka_unit_test(what_is_missing_or_unsupported_is_named),
		cmocka_unit_test(bodies_without_a_usable_prompt),
		cmocka_unit_test(fields_that_ask_for_nothing_are_fine),
		cmocka_unit_test(numbers_at_their_edges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
