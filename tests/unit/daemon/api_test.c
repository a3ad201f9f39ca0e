/* The routes of both local sockets, over a fake home: shapes, statuses, streams, and sessions that
 * end with their client. */
#include "daemon/api.h"

#include "daemon/control.h"
#include "daemon/listen.h"
#include "fake_node.h"
#include "web_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
	uv_loop_t loop;
	struct node *node;
	struct http *http;
	char folder[64], path[96];
};

static int make(void **state, const struct http_route *routes)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct fail fail;
	strcpy(bench->folder, "/tmp/primad-api-XXXXXX");
	if (!mkdtemp(bench->folder) || uv_loop_init(&bench->loop) != 0)
		return -1;
	snprintf(bench->path, sizeof(bench->path), "%s/s", bench->folder);
	bench->node = node_create(&bench->loop, NULL, &fail);
	bench->http = http_create(&bench->loop, listen_unix(bench->path, "primad", &fail),
				  HTTP_TRUST_SOCKET, routes, bench->node, &fail);
	*state = bench;
	return bench->http ? 0 : -1;
}

static int make_api(void **state)
{
	return make(state, api_routes);
}

static int make_control(void **state)
{
	return make(state, control_routes);
}

static int drop(void **state)
{
	struct bench *bench = *state;
	http_destroy(bench->http);
	uv_run(&bench->loop, UV_RUN_DEFAULT);
	node_destroy(bench->node);
	const int left = uv_loop_close(&bench->loop);
	unlink(bench->path);
	rmdir(bench->folder);
	free(bench);
	return left;
}

static struct web_client ask(struct bench *bench, const char *line, const char *body)
{
	struct web_client client;
	char request[8192];
	snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
		 line, strlen(body), body);
	web_client_init(&client, &bench->loop, bench->path);
	web_client_text(&client, request);
	return client;
}

/* Sends, and expects each of up to three texts in the answer. */
static void exchange(struct bench *bench, const char *line, const char *body, const char *first,
		     const char *second, const char *third)
{
	struct web_client client = ask(bench, line, body);
	web_client_expect(&client, first);
	if (second)
		web_client_expect(&client, second);
	if (third)
		web_client_expect(&client, third);
	web_client_finish(&client);
}

static const struct fake_counts *counts(const struct bench *bench)
{
	return fake_node_counts(bench->node);
}

static void until_cancelled(struct bench *bench, int wanted)
{
	for (int i = 0; i < 10000 && counts(bench)->cancelled < wanted; i++) {
		uv_run(&bench->loop, UV_RUN_NOWAIT);
		usleep(500);
	}
	assert_int_equal(counts(bench)->cancelled, wanted);
}

/* ---- asking ---- */

static void whole_answers(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "POST /v1/completions", "{\"prompt\": \"Hello\", \"return_tokens\": true}",
		 "HTTP/1.1 200 ", "\"text\":\"Hello\",\"tokens\":[72,101,108,108,111]",
		 "\"finish_reason\":\"stop\"");
	exchange(bench, "POST /v1/completions",
		 "{\"model\": \"echo\", \"prompt\": \"Hello\", \"max_tokens\": 2}",
		 "\"text\":\"He\"", "\"finish_reason\":\"length\"",
		 "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}");
	exchange(bench, "POST /v1/chat/completions",
		 "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"max_tokens\": 12}",
		 "\"object\":\"chat.completion\"",
		 "\"message\":{\"role\":\"assistant\",\"content\":\"<|im_start|>\"}", NULL);
	assert_int_equal(counts(bench)->ended, 3);
	assert_int_equal(counts(bench)->cancelled, 0);
}

static void streamed_answers(void **state)
{
	struct bench *bench = *state;
	struct web_client client =
		ask(bench, "POST /v1/completions",
		    "{\"prompt\": \"ab\", \"stream\": true, \"stream_options\": "
		    "{\"include_usage\": true}}");
	web_client_expect(&client, "data: [DONE]\n\n");
	const char *got = web_client_got(&client);
	assert_non_null(strstr(got, "Content-Type: text/event-stream"));
	const char *first = strstr(got, "\"text\":\"a\""), *second = strstr(got, "\"text\":\"b\"");
	assert_true(first && second && first < second);
	assert_non_null(strstr(second, "\"choices\":[],\"usage\":{"));
	web_client_finish(&client);
	exchange(bench, "POST /v1/chat/completions",
		 "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"stream\": true}",
		 "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}",
		 "\"delta\":{\"content\":\"<\"}", "[DONE]");
}

static void refusals(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "POST /v1/completions", "{\"prompt\": \"a\", \"n\": 2}", "HTTP/1.1 400 ",
		 "\"type\":\"invalid_request_error\",\"param\":\"n\"", NULL);
	exchange(bench, "POST /v1/completions", "{\"prompt\": \"a\", \"model\": \"none\"}",
		 "HTTP/1.1 404 ", "\"param\":\"model\",\"code\":\"not_found\"", NULL);
	exchange(bench, "POST /v1/completions", "{\"prompt\": \"a\", \"model\": \"busy\"}",
		 "HTTP/1.1 429 ", "Retry-After: 1", "16 requests wait");
	exchange(bench, "POST /v1/completions",
		 "{\"prompt\": \"a\", \"model\": \"late-busy\", \"stream\": true}", "HTTP/1.1 503 ",
		 "\"code\":\"lost\"", NULL);
	exchange(bench, "POST /v1/completions", "{\"prompt\": \"a\", \"model\": \"broken\"}",
		 "HTTP/1.1 503 ", "the device \\\"pi\\\" was lost", NULL);
	exchange(bench, "POST /v1/completions",
		 "{\"prompt\": \"a\", \"model\": \"broken\", \"stream\": true}", "HTTP/1.1 200 ",
		 "\"text\":\"Well\"", "data: {\"error\":{\"message\":\"the device");
	exchange(bench, "POST /v1/completions", "not json", "HTTP/1.1 400 ", "is not JSON", NULL);
	exchange(bench, "POST /status", "", "HTTP/1.1 404 ", NULL, NULL);
}

static void sessions_end_with_their_client(void **state)
{
	struct bench *bench = *state;
	static const char *const bodies[] = {
		"{\"prompt\": \"a\", \"model\": \"mute\"}",
		"{\"prompt\": \"a\", \"model\": \"mute\", \"stream\": true}",
		"{\"prompt\": \"a\", \"model\": \"flood\", \"stream\": true}",
	};
	for (int i = 0; i < 3; i++) {
		struct web_client client = ask(bench, "POST /v1/completions", bodies[i]);
		for (int j = 0; j < 10000 && counts(bench)->started <= i; j++)
			uv_run(&bench->loop, UV_RUN_NOWAIT);
		assert_int_equal(counts(bench)->started, i + 1);
		web_client_finish(&client);
		until_cancelled(bench, i + 1);
	}
	/* One that stays but does not read. */
	struct web_client client = ask(bench, "POST /v1/completions", bodies[2]);
	until_cancelled(bench, 4);
	web_client_finish(&client);
}

static void silent_streams_are_kept_alive(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "POST /v1/chat/completions",
		 "{\"model\": \"mute\", \"stream\": true, \"messages\": [{\"role\": \"user\","
		 "\"content\": \"a\"}]}",
		 "\"role\":\"assistant\"", ": keep-alive\n\n", ": {\"phase\":\"prompt\"");
	until_cancelled(bench, 1);
}

static void models_health_and_tokens(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "GET /health", "", "{\"status\":\"ok\"}", NULL, NULL);
	exchange(bench, "GET /v1/models", "", "\"object\":\"list\"", "\"id\":\"echo\"", NULL);
	exchange(bench, "GET /v1/models/echo", "", "\"id\":\"echo\"", NULL, NULL);
	exchange(bench, "GET /v1/models/none", "", "HTTP/1.1 404 ", NULL, NULL);
	exchange(bench, "POST /tokenize", "{\"content\": \"a\", \"model\": \"busy\"}",
		 "HTTP/1.1 429 ", NULL, NULL);
	exchange(bench, "POST /tokenize", "{\"content\": 5}", "HTTP/1.1 400 ",
		 "\"param\":\"content\"", NULL);
	exchange(bench, "POST /tokenize", "{\"content\": \"a\", \"add_special\": 1}",
		 "HTTP/1.1 400 ", "\"param\":\"add_special\"", NULL);
	exchange(bench, "POST /tokenize", "{}", "HTTP/1.1 400 ", "\"param\":\"content\"", NULL);
}

/* ---- changing ---- */

static void the_home_is_changed(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "POST /invite", "", "\"code\":\"482913\"", "\"schema\":1", NULL);
	assert_string_equal(counts(bench)->role, "admin");
	exchange(bench, "POST /invite", "{\"role\": \"worker\"}", "HTTP/1.1 200 ", NULL, NULL);
	assert_string_equal(counts(bench)->role, "worker");
	exchange(bench, "POST /invite", "{\"role\": \"king\"}", "HTTP/1.1 400 ", "king", NULL);
	exchange(bench, "POST /invite", "{\"role\": 5}", "HTTP/1.1 400 ", "\"param\":\"role\"",
		 NULL);
	exchange(bench, "DELETE /invite", "", "HTTP/1.1 200 ", NULL, NULL);
	assert_string_equal(counts(bench)->role, "");
	exchange(bench, "POST /join", "{\"code\": \"482913\"}", "the only one", NULL, NULL);
	exchange(bench, "POST /join", "{\"code\": \"000000\"}", "HTTP/1.1 403 ",
		 "the code is wrong", NULL);
	exchange(bench, "POST /join", "{}", "HTTP/1.1 400 ", "\"param\":\"code\"", NULL);
	exchange(bench, "POST /leave", "", "HTTP/1.1 200 ", NULL, NULL);
	exchange(bench, "POST /remove", "{\"device\": \"x\"}", "HTTP/1.1 404 ", NULL, NULL);
	exchange(bench, "POST /plan", "{\"model\": \"echo\", \"pin\": {\"k\": 2}, \"commit\": true}",
		 "\"committed\":true", "\"k\":2", NULL);
}

static void the_home_is_looked_at(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "GET /status", "", "\"version\"", NULL, NULL);
	exchange(bench, "GET /doctor", "", "\"checks\":[]", NULL, NULL);
	exchange(bench, "GET /homes", "", "\"homes\":[]", NULL, NULL);
	exchange(bench, "GET /logs?after=0", "", "\"lines\":[", "\"next\":", NULL);
	exchange(bench, "POST /v1/completions", "{}", "HTTP/1.1 404 ", NULL, NULL);
}

static void models_come_and_go(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "PUT /models/tiny%20one", "some bytes", "\"id\":\"00ff\"", NULL, NULL);
	assert_int_equal(counts(bench)->uploads_ended, 1);
	assert_int_equal(counts(bench)->uploaded, 10);
	static const char *const bad[] = { "PUT /models/a%2Fb", "PUT /models/.hidden",
					   "PUT /models/a%0Ab", "PUT /models/%ff" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		exchange(bench, bad[i], "some bytes", "HTTP/1.1 400 ", "a model's name", NULL);
	exchange(bench, "PUT /models/bad", "no gguf!", "HTTP/1.1 500 ", "this is no GGUF file",
		 NULL);
	assert_int_equal(counts(bench)->uploads_aborted, 1);
	struct web_client client;
	web_client_init(&client, &bench->loop, bench->path);
	web_client_text(&client,
			"PUT /models/m HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
	for (int i = 0; i < 10000 && counts(bench)->uploaded < 22; i++)
		uv_run(&bench->loop, UV_RUN_NOWAIT);
	web_client_finish(&client);
	for (int i = 0; i < 10000 && counts(bench)->uploads_aborted < 2; i++) {
		uv_run(&bench->loop, UV_RUN_NOWAIT);
		usleep(500);
	}
	assert_int_equal(counts(bench)->uploads_aborted, 2);
	exchange(bench, "POST /models", "{\"path\": \"/x.gguf\"}", "\"path\":\"/x.gguf\"", NULL,
		 NULL);
	exchange(bench, "DELETE /models/none", "", "HTTP/1.1 404 ", NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_answers, make_api, drop),
		cmocka_unit_test_setup_teardown(streamed_answers, make_api, drop),
		cmocka_unit_test_setup_teardown(refusals, make_api, drop),
		cmocka_unit_test_setup_teardown(sessions_end_with_their_client, make_api, drop),
		cmocka_unit_test_setup_teardown(silent_streams_are_kept_alive, make_api, drop),
		cmocka_unit_test_setup_teardown(models_health_and_tokens, make_api, drop),
		cmocka_unit_test_setup_teardown(the_home_is_changed, make_control, drop),
		cmocka_unit_test_setup_teardown(the_home_is_looked_at, make_control, drop),
		cmocka_unit_test_setup_teardown(models_come_and_go, make_control, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
