/* What clients get: valid JSON whatever the model says, in OpenAI's shapes. */
#include "daemon/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct session_result result = {
	.end = REQUEST_END_LENGTH,
	.prompt_tokens = 3,
	.completion_tokens = 2,
	.first_token_s = 0.5,
	.prompt_s = 0.25,
	.decode_s = 0.125,
	.flights = 5,
	.bytes_sent = 1 << 20,
	.flights_together_max = 2,
	.forecast_token_s = 0.0625,
};

static struct answer make(enum ask_kind kind, bool usage, bool tokens)
{
	struct answer answer;
	struct ask ask = { .kind = kind, .include_usage = usage, .return_tokens = tokens };
	const uint8_t random[16] = { 0xab, 0x01 };
	answer_init(&answer, &ask, "a \"model\"", random, 1234);
	return answer;
}

/* The JSON of the next "data: " event at *at, which moves on. */
static json_t *event(const char **at)
{
	json_error_t error;
	assert_int_equal(strncmp(*at, "data: ", 6), 0);
	const char *end = strstr(*at, "\n\n");
	assert_non_null(end);
	json_t *object = json_loadb(*at + 6, (size_t)(end - *at) - 6, 0, &error);
	if (!object)
		fail_msg("%s in %s", error.text, *at);
	*at = end + 2;
	return object;
}

static const char *text_at(const json_t *object, const char *name)
{
	const json_t *choice = json_array_get(json_object_get(object, "choices"), 0);
	return json_string_value(json_object_get(choice, name));
}

static void strings_survive(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *json;
	} cases[] = {
		{ "plain", 5, "\"plain\"" },
		{ "q\"b\\s/", 6, "\"q\\\"b\\\\s/\"" },
		{ "\n\r\t\b\f", 5, "\"\\n\\r\\t\\b\\f\"" },
		{ "\0\x1f\x7f", 3, "\"\\u0000\\u001f\\u007f\"" },
		{ "h\xc3\xa9 \xf0\x9f\x98\x80", 8, "\"h\xc3\xa9 \xf0\x9f\x98\x80\"" },
		{ "\xc3", 1, "\"\xef\xbf\xbd\"" },
		{ "\xff\xfe", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "", 0, "\"\"" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out;
		buf_init(&out);
		answer_string(&out, cases[i].text, cases[i].size);
		assert_int_equal(out.size, strlen(cases[i].json));
		assert_memory_equal(out.data, cases[i].json, out.size);
		buf_finish(&out);
	}
}

/* Every single byte and random runs of them: jansson, which checks UTF-8, must read them. */
static void any_bytes_are_valid_json(void **state)
{
	srand(7);
	for (int i = 0; i < 3000; i++) {
		char bytes[24];
		const size_t size = i < 256 ? 1 : (size_t)rand() % sizeof(bytes);
		for (size_t j = 0; j < size; j++)
			bytes[j] = (char)(i < 256 ? i : rand() % 3 ? 0x80 + rand() % 128 : rand() % 128);
		struct buf out;
		buf_init(&out);
		answer_string(&out, bytes, size);
		json_t *text = json_loadb((const char *)out.data, out.size,
					  JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(text);
		json_decref(text);
		buf_finish(&out);
	}
}

static void completions_stream(void **state)
{
	const struct answer answer = make(ASK_COMPLETION, true, true);
	const uint32_t tokens[] = { 5, 6 };
	struct buf out;
	buf_init(&out);
	answer_opening(&answer, &out);
	assert_int_equal(out.size, 0);
	answer_piece(&answer, "Hi", 2, tokens, 2, &out);
	answer_closing(&answer, &result, &out);
	buf_u8(&out, 0);
	const char *at = (const char *)out.data;
	json_t *piece = event(&at), *finish = event(&at), *usage = event(&at);
	assert_string_equal(at, "data: [DONE]\n\n");
	assert_string_equal(json_string_value(json_object_get(piece, "object")), "text_completion");
	assert_string_equal(json_string_value(json_object_get(piece, "model")), "a \"model\"");
	assert_int_equal(
		strncmp(json_string_value(json_object_get(piece, "id")), "cmpl-ab0100", 11), 0);
	assert_string_equal(text_at(piece, "text"), "Hi");
	assert_null(text_at(piece, "finish_reason"));
	assert_true(json_is_null(json_object_get(piece, "usage")));
	const json_t *choice = json_array_get(json_object_get(piece, "choices"), 0);
	assert_int_equal(json_array_size(json_object_get(choice, "tokens")), 2);
	assert_string_equal(text_at(finish, "finish_reason"), "length");
	const json_t *figures = json_object_get(finish, "primad");
	assert_int_equal(json_integer_value(json_object_get(figures, "flights")), 5);
	assert_true(json_real_value(json_object_get(figures, "decode_s")) == 0.125);
	assert_int_equal(json_array_size(json_object_get(usage, "choices")), 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(usage, "usage"),
							    "total_tokens")),
			 5);
	json_decref(piece);
	json_decref(finish);
	json_decref(usage);
	buf_finish(&out);
}

static void chats_stream(void **state)
{
	const struct answer answer = make(ASK_CHAT, false, false);
	struct buf out;
	buf_init(&out);
	answer_opening(&answer, &out);
	answer_piece(&answer, "Hi", 2, NULL, 0, &out);
	answer_closing(&answer, &result, &out);
	buf_u8(&out, 0);
	const char *at = (const char *)out.data;
	json_t *opening = event(&at), *piece = event(&at), *finish = event(&at);
	assert_string_equal(at, "data: [DONE]\n\n");
	const json_t *delta = json_object_get(
		json_array_get(json_object_get(opening, "choices"), 0), "delta");
	assert_string_equal(json_string_value(json_object_get(delta, "role")), "assistant");
	delta = json_object_get(json_array_get(json_object_get(piece, "choices"), 0), "delta");
	assert_string_equal(json_string_value(json_object_get(delta, "content")), "Hi");
	delta = json_object_get(json_array_get(json_object_get(finish, "choices"), 0), "delta");
	assert_int_equal(json_object_size(delta), 0);
	assert_null(json_object_get(piece, "usage"));
	json_decref(opening);
	json_decref(piece);
	json_decref(finish);
	buf_finish(&out);
}

static void whole_answers(void **state)
{
	for (int kind = ASK_COMPLETION; kind <= ASK_CHAT; kind++) {
		const struct answer answer = make((enum ask_kind)kind, false, true);
		const uint32_t tokens[] = { 5 };
		struct buf out;
		buf_init(&out);
		answer_whole(&answer, "a\xff", 2, tokens, 1, &result, &out);
		json_t *body = json_loadb((const char *)out.data, out.size, 0, NULL);
		assert_non_null(body);
		const json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
		const json_t *text = kind == ASK_CHAT
			? json_object_get(json_object_get(choice, "message"), "content")
			: json_object_get(choice, "text");
		assert_string_equal(json_string_value(text), "a\xef\xbf\xbd");
		assert_string_equal(text_at(body, "finish_reason"), "length");
		assert_non_null(json_object_get(body, "usage"));
		assert_non_null(json_object_get(body, "primad"));
		json_decref(body);
		buf_finish(&out);
	}
}

static void failures_and_progress(void **state)
{
	struct fail fail;
	struct buf out;
	fail_set(&fail, FAIL_LOST, "the device \"pi\" was lost");
	buf_init(&out);
	answer_failure(&fail, &out);
	buf_u8(&out, 0);
	const char *at = (const char *)out.data;
	json_t *body = event(&at);
	const json_t *error = json_object_get(body, "error");
	assert_string_equal(json_string_value(json_object_get(error, "message")), fail.text);
	assert_string_equal(json_string_value(json_object_get(error, "code")), "lost");
	json_decref(body);
	buf_clear(&out);
	answer_progress("prompt", 1, 2, &out);
	buf_u8(&out, 0);
	assert_string_equal((const char *)out.data,
			    ": {\"phase\":\"prompt\",\"done\":1,\"total\":2}\n\n");
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_survive),    cmocka_unit_test(any_bytes_are_valid_json),
		cmocka_unit_test(completions_stream), cmocka_unit_test(chats_stream),
		cmocka_unit_test(whole_answers),      cmocka_unit_test(failures_and_progress),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
