/* The server's promises: routes, bounds, web pages kept out, clients that leave or do not read. */
#include "daemon/http.h"

#include "daemon/listen.h"
#include "web_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
	uv_loop_t loop;
	struct http *http;
	char folder[64], path[96];
	bool gone;
	struct http_request *held;
	uint64_t uploaded, refuse_after;
};

/* ---- routes under test ---- */

static void echo(struct http_request *request, void *context)
{
	const struct buf *body = http_body(request);
	http_reply(request, 200, "application/octet-stream", body->data, body->size);
}

static void hello(struct http_request *request, void *context)
{
	const char *name = http_query(request, "name");
	char text[256];
	snprintf(text, sizeof(text), "hello %s %s.", http_rest(request), name ? name : "nobody");
	http_reply(request, 200, "text/plain", text, strlen(text));
}

static void object(struct http_request *request, void *context)
{
	json_t *body = http_body_object(request);
	if (body)
		http_reply_json(request, 200, body);
}

static void on_gone(void *context)
{
	struct bench *bench = context;
	bench->gone = true;
	bench->held = NULL;
}

static void hold(struct http_request *request, void *context)
{
	struct bench *bench = context;
	bench->held = request;
	http_watch(request, on_gone, bench);
}

static void answer_late(void *context)
{
	struct bench *bench = context;
	http_reply(bench->held, 200, "text/plain", "late.", 5);
}

static void late(struct http_request *request, void *context)
{
	hold(request, context);
	http_wake(request, 5, answer_late, context);
}

static void stream(struct http_request *request, void *context)
{
	hold(request, context);
	http_stream_begin(request, "text/event-stream");
	http_stream_write(request, "data: 1\n\n", 9);
}

static void upload_begin(struct http_request *request, uint64_t size, void *context)
{
	struct bench *bench = context;
	struct fail fail;
	bench->uploaded = 0;
	if (size > 1000000000) {
		fail_set(&fail, FAIL_SPACE, "the disk is full");
		http_reply_fail(request, &fail, NULL);
		return;
	}
	hold(request, context);
}

static void upload_data(struct http_request *request, const void *bytes, size_t size,
			void *context)
{
	struct bench *bench = context;
	struct fail fail;
	bench->uploaded += size;
	if (bench->refuse_after && bench->uploaded > bench->refuse_after) {
		fail_set(&fail, FAIL_SPACE, "the disk became full");
		http_reply_fail(request, &fail, NULL);
	}
}

static void upload_end(struct http_request *request, void *context)
{
	struct bench *bench = context;
	http_reply_json(request, 200, json_pack("{s:I}", "bytes", (json_int_t)bench->uploaded));
}

static const struct http_upload upload = { upload_begin, upload_data, upload_end };

static const struct http_route routes[] = {
	{ "POST", "/echo", echo },     { "GET", "/hello/*", hello },
	{ "POST", "/object", object }, { "GET", "/hold", hold },
	{ "GET", "/late", late },      { "GET", "/stream", stream },
	{ "PUT", "/files/*", NULL, &upload },
	{ NULL },
};

/* ---- set-up ---- */

static int make(void **state, enum http_trust trust)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct fail fail;
	strcpy(bench->folder, "/tmp/primad-http-XXXXXX");
	if (!bench || !mkdtemp(bench->folder) || uv_loop_init(&bench->loop) != 0)
		return -1;
	snprintf(bench->path, sizeof(bench->path), "%s/s", bench->folder);
	const int fd = listen_unix(bench->path, "primad", &fail);
	/* The web checks do not care for the kind of socket. */
	bench->http = http_create(&bench->loop, fd, trust, routes, bench, &fail);
	*state = bench;
	return bench->http ? 0 : -1;
}

static int make_socket(void **state)
{
	return make(state, HTTP_TRUST_SOCKET);
}

static int make_web(void **state)
{
	return make(state, HTTP_TRUST_LOOPBACK);
}

static int drop(void **state)
{
	struct bench *bench = *state;
	http_destroy(bench->http);
	uv_run(&bench->loop, UV_RUN_DEFAULT);
	const int left = uv_loop_close(&bench->loop);
	unlink(bench->path);
	rmdir(bench->folder);
	free(bench);
	return left;
}

static struct web_client connect_to(struct bench *bench)
{
	struct web_client client;
	web_client_init(&client, &bench->loop, bench->path);
	return client;
}

static void exchange(struct bench *bench, const char *request, const char *answer)
{
	struct web_client client = connect_to(bench);
	web_client_text(&client, request);
	web_client_expect(&client, answer);
	web_client_finish(&client);
}

/* ---- cases ---- */

static void routes_are_found(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "GET /hello/a%20b?name=c HTTP/1.1\r\nHost: x\r\n\r\n", "hello a b c.");
	exchange(bench, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ");
	exchange(bench, "GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n", "\"type\":\"not_found_error\"");
	exchange(bench, "DELETE /hello/a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ");
	exchange(bench, "HEAD /hello/a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ");
}

static void connections_are_kept(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	web_client_text(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none");
	web_client_expect(&client, "\r\n\r\none");
	web_client_text(&client, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	web_client_expect(&client, "late.");
	web_client_text(&client, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
	web_client_expect(&client, "HTTP/1.1 404 ");
	web_client_text(&client, "GET /hello/again HTTP/1.1\r\nHost: x\r\n\r\n");
	web_client_expect(&client, "hello again");
	web_client_finish(&client);
	assert_false(bench->gone);
}

static void bodies_are_bounded(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8388609\r\n\r\n",
		 "HTTP/1.1 413 ");
	exchange(bench, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400 ");
	exchange(bench,
		 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
		 "HTTP/1.1 413 ");
	exchange(bench,
		 "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "5\r\nhello\r\n0\r\n\r\n",
		 "\r\n\r\nhello");
	/* A chunked body without end is cut off. */
	struct web_client client = connect_to(bench);
	static char chunk[65536 + 8];
	memset(chunk, 'x', sizeof(chunk));
	memcpy(chunk, "10000\r\n", 7);
	web_client_text(&client, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 200; i++) {
		web_client_send(&client, chunk, 7 + 65536);
		web_client_send(&client, "\r\n", 2);
	}
	web_client_expect_closed(&client);
	web_client_finish(&client);
}

static void heads_are_bounded(void **state)
{
	struct bench *bench = *state;
	static char line[200000];
	memset(line, 'y', sizeof(line) - 1);
	struct web_client client = connect_to(bench);
	web_client_text(&client, "GET /hello/a HTTP/1.1\r\nHost: x\r\nX-Long: ");
	web_client_text(&client, line);
	web_client_expect_closed(&client);
	assert_null(strstr(web_client_got(&client), "200 OK"));
	web_client_finish(&client);
	client = connect_to(bench);
	web_client_text(&client, "nonsense\r\n\r\n");
	web_client_expect_closed(&client);
	web_client_finish(&client);
}

static void json_bodies_are_objects(void **state)
{
	struct bench *bench = *state;
	exchange(bench, "POST /object HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
		 "\r\n\r\n{\"a\":1}");
	exchange(bench, "POST /object HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n{}");
	exchange(bench, "POST /object HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
		 "must be a JSON object");
	exchange(bench, "POST /object HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{a",
		 "is not JSON: line 1");
}

static void web_pages_are_kept_out(void **state)
{
	struct bench *bench = *state;
	static const struct {
		const char *head;
		const char *status;
	} cases[] = {
		{ "Host: localhost:80\r\nContent-Type: application/json\r\n", "200" },
		{ "Host: 127.0.0.1\r\nContent-Type: Application/JSON; charset=utf-8\r\n", "200" },
		{ "Host: [::1]:80\r\nContent-Type: application/json\r\n"
		  "Origin: http://[::1]:80\r\n",
		  "200" },
		{ "Host: evil.test\r\nContent-Type: application/json\r\n", "403" },
		{ "Host: 0.0.0.0:80\r\nContent-Type: application/json\r\n", "403" },
		{ "Host: localhost.evil.test\r\nContent-Type: application/json\r\n", "403" },
		{ "Host: localhost:80:80\r\nContent-Type: application/json\r\n", "403" },
		{ "Host: localhost\r\nHost: evil.test\r\nContent-Type: application/json\r\n",
		  "403" },
		{ "Host: localhost\r\nOrigin: http://evil.test\r\n"
		  "Content-Type: application/json\r\n",
		  "403" },
		{ "Host: localhost\r\nOrigin: null\r\nContent-Type: application/json\r\n", "403" },
		{ "Host: localhost\r\nOrigin: http://localhost:3000\r\n"
		  "Content-Type: application/json\r\n",
		  "403" },
		{ "Host: evil.test\r\nOrigin: http://evil.test\r\n"
		  "Content-Type: application/json\r\n",
		  "403" },
		{ "Host: localhost\r\nContent-Type: text/plain\r\n", "415" },
		{ "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n", "415" },
		{ "Host: localhost\r\nContent-Type: application/jsonp\r\n", "415" },
		{ "Host: localhost\r\n", "415" },
		{ "Content-Type: application/json\r\n", "403" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char request[512], answer[32];
		snprintf(request, sizeof(request),
			 "POST /echo HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}", cases[i].head);
		snprintf(answer, sizeof(answer), "HTTP/1.1 %s ", cases[i].status);
		exchange(bench, request, answer);
	}
	exchange(bench,
		 "OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\n"
		 "Access-Control-Request-Method: POST\r\n\r\n",
		 "HTTP/1.1 403 ");
	struct web_client client = connect_to(bench);
	web_client_text(&client, "GET /hello/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
	web_client_expect(&client, "hello a");
	assert_null(strstr(web_client_got(&client), "Access-Control"));
	web_client_finish(&client);
}

static void a_client_that_leaves_is_noticed(void **state)
{
	static const char *const paths[] = { "hold", "stream" };
	struct bench *bench = *state;
	for (int i = 0; i < 2; i++) {
		char request[64];
		snprintf(request, sizeof(request), "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
		bench->gone = false;
		struct web_client client = connect_to(bench);
		web_client_text(&client, request);
		const int64_t start = (int64_t)uv_now(&bench->loop);
		while (!bench->held && (int64_t)uv_now(&bench->loop) < start + 10000)
			uv_run(&bench->loop, UV_RUN_ONCE);
		assert_non_null(bench->held);
		web_client_finish(&client);
		web_client_until(&bench->loop, &bench->gone);
	}
}

static void streams_arrive_whole_and_end(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	web_client_text(&client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	web_client_expect(&client, "data: 1\n\n");
	assert_true(http_streaming(bench->held));
	http_stream_write(bench->held, "data: 2\n\n", 9);
	web_client_expect(&client, "data: 2\n\n");
	http_stream_write(bench->held, "data: 3\n\n", 9);
	http_stream_end(bench->held);
	web_client_expect(&client, "data: 3\n\n");
	web_client_expect(&client, "\r\n0\r\n\r\n");
	web_client_finish(&client);
	assert_false(bench->gone);
}

static void a_client_that_does_not_read_is_given_up(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	static char block[1000];
	memset(block, 'z', sizeof(block));
	web_client_text(&client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	web_client_expect(&client, "data: 1\n\n");
	int written = 0;
	while (!bench->gone && written < 100000) {
		http_stream_write(bench->held, block, sizeof(block));
		written++;
		uv_run(&bench->loop, UV_RUN_NOWAIT);
	}
	assert_true(bench->gone);
	/* What the kernel's buffers took, and no more than the bound. */
	assert_true(written * sizeof(block) > HTTP_PENDING_BYTES);
	assert_true(written * sizeof(block) < HTTP_PENDING_BYTES + (16u << 20));
	web_client_finish(&client);
}

static void send_upload(struct web_client *client, uint64_t declared, size_t pieces)
{
	static const char piece[10000];
	char head[128];
	snprintf(head, sizeof(head),
		 "PUT /files/m HTTP/1.1\r\nHost: x\r\nContent-Length: %llu\r\n\r\n",
		 (unsigned long long)declared);
	web_client_text(client, head);
	for (size_t i = 0; i < pieces; i++)
		web_client_send(client, piece, sizeof(piece));
}

static void uploads_stream_through(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	send_upload(&client, 20000000, 2000); /* more than any other body may have */
	web_client_expect(&client, "{\"bytes\":20000000}");
	web_client_finish(&client);
	exchange(bench,
		 "PUT /files/m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		 "HTTP/1.1 411 ");
}

static void uploads_are_refused_before_and_in_the_middle(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	send_upload(&client, 2000000000, 0);
	web_client_expect(&client, "HTTP/1.1 507 ");
	web_client_expect(&client, "the disk is full");
	web_client_finish(&client);

	bench->refuse_after = 100000;
	client = connect_to(bench);
	send_upload(&client, 20000000, 100);
	web_client_expect(&client, "HTTP/1.1 507 ");
	web_client_expect(&client, "the disk became full");
	send_upload(&client, 20000000, 1200); /* it goes on regardless: cut off */
	web_client_expect_closed(&client);
	web_client_finish(&client);
	assert_true(bench->uploaded < 200000);
}

static void an_upload_that_breaks_off_is_noticed(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	send_upload(&client, 20000000, 100);
	web_client_finish(&client);
	web_client_until(&bench->loop, &bench->gone);
}

static void destroying_ends_open_requests(void **state)
{
	struct bench *bench = *state;
	struct web_client client = connect_to(bench);
	web_client_text(&client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	web_client_expect(&client, "data: 1\n\n");
	http_destroy(bench->http);
	bench->http = NULL;
	assert_true(bench->gone);
	web_client_expect_closed(&client);
	web_client_finish(&client);
}

static void sockets_are_made_with_care(void **state)
{
	struct bench *bench = *state;
	struct fail fail = { 0 };
	struct stat info;
	char path[128], long_path[300];
	assert_int_equal(stat(bench->path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0660);
	assert_int_equal(listen_unix(bench->path, "primad", &fail), -FAIL_BUSY); /* alive */
	snprintf(path, sizeof(path), "%s/t", bench->folder);
	int fd = listen_unix(path, "no-such-group", &fail);
	assert_true(fd >= 0);
	close(fd); /* its file stays behind, as after a crash */
	fd = listen_unix(path, "primad", &fail);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	fclose(fopen(path, "w"));
	assert_int_equal(listen_unix(path, "primad", &fail), -FAIL_INVALID);
	assert_int_equal(stat(path, &info), 0); /* a person's file is left alone */
	unlink(path);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = 0;
	assert_int_equal(listen_unix(long_path, "primad", &fail), -FAIL_INVALID);
}

static void only_loopback_is_served(void **state)
{
	struct fail fail = { 0 };
	static const char *const outside[] = { "0.0.0.0:8080", "192.168.1.2:80", "[::]:80",
					       "example.org:80", "127.0.0.1.evil.test:80" };
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		assert_int_equal(listen_loopback(outside[i], &fail), -FAIL_DENIED);
	assert_int_equal(listen_loopback("127.0.0.1", &fail), -FAIL_INVALID);
	int port = 20000 + getpid() % 20000, fd = -1;
	for (int i = 0; i < 50 && fd < 0; i++) {
		char address[32];
		snprintf(address, sizeof(address), "127.0.0.1:%d", port + i);
		fd = listen_loopback(address, &fail);
	}
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(routes_are_found, make_socket, drop),
		cmocka_unit_test_setup_teardown(connections_are_kept, make_socket, drop),
		cmocka_unit_test_setup_teardown(bodies_are_bounded, make_socket, drop),
		cmocka_unit_test_setup_teardown(heads_are_bounded, make_socket, drop),
		cmocka_unit_test_setup_teardown(json_bodies_are_objects, make_socket, drop),
		cmocka_unit_test_setup_teardown(web_pages_are_kept_out, make_web, drop),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_is_noticed, make_socket, drop),
		cmocka_unit_test_setup_teardown(streams_arrive_whole_and_end, make_socket, drop),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_given_up,
						make_socket, drop),
		cmocka_unit_test_setup_teardown(uploads_stream_through, make_socket, drop),
		cmocka_unit_test_setup_teardown(uploads_are_refused_before_and_in_the_middle,
						make_socket, drop),
		cmocka_unit_test_setup_teardown(an_upload_that_breaks_off_is_noticed, make_socket,
						drop),
		cmocka_unit_test_setup_teardown(destroying_ends_open_requests, make_socket, drop),
		cmocka_unit_test_setup_teardown(sockets_are_made_with_care, make_socket, drop),
		cmocka_unit_test(only_loopback_is_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
