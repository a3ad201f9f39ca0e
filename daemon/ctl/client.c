#include "daemon/ctl/client.h"

#include "base/buf.h"
#include "base/file.h"
#include "compute/compute.h"
#include "daemon/ctl/term.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (64u << 20)

struct client {
	CURL *curl;
	struct curl_slist *headers;
	char socket[PATH_MAX];
	char *text;         /* the request's body */
	struct buf answer;  /* all of it, or of a stream what is no whole line yet */
	struct parts *file; /* to be sent */
	uint64_t sent;
	/* of a stream */
	void (*line)(void *context, const char *text, size_t size);
	void *context;
};

/* ---- what went wrong ---- */

static int unreachable(const struct client *client)
{
	return ctl_complain(CTL_UNREACHABLE,
			    "no primad answers at %s: start it (systemctl start primad, or primad "
			    "in another terminal), or give --run DIR",
			    client->socket);
}

static int denied(const struct client *client, enum client_socket socket)
{
	const char *group = socket == CLIENT_API ? "primad" : "primad-admin";
	return ctl_complain(CTL_DENIED,
			    "this user may not use %s: join the group %s (sudo usermod -aG %s "
			    "$USER, then log in again), or use sudo",
			    client->socket, group, group);
}

static int cannot_talk(const struct client *client, CURLcode code)
{
	term_clear();
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return CTL_INTERRUPTED;
	if (code == CURLE_WRITE_ERROR && term_interrupted())
		return CTL_INTERRUPTED;
	if (code == CURLE_COULDNT_CONNECT)
		return unreachable(client);
	return ctl_complain(CTL_FAILED, "the daemon broke off (%s); primactl logs may tell why",
			    curl_easy_strerror(code));
}

static int refused(const struct client *client, long status)
{
	json_t *body = json_loadb((const char *)client->answer.data, client->answer.size, 0, NULL);
	const char *message =
		json_string_value(json_object_get(json_object_get(body, "error"), "message"));
	term_clear();
	if (message)
		ctl_complain(CTL_FAILED, "%s", message);
	else
		ctl_complain(CTL_FAILED, "the daemon answered with HTTP status %ld", status);
	json_decref(body);
	return CTL_FAILED;
}

/* ---- a request ---- */

static size_t keep(char *bytes, size_t size, size_t count, void *context)
{
	struct client *client = context;
	if (client->answer.size + size * count > ANSWER_BYTES_MAX)
		return 0;
	buf_append(&client->answer, bytes, size * count);
	return client->answer.failed ? 0 : size * count;
}

static int check_interrupt(void *context, curl_off_t down_total, curl_off_t down,
			   curl_off_t up_total, curl_off_t up)
{
	const struct client *client = context;
	if (client->file) {
		if ((uint64_t)up < parts_size(client->file))
			term_bar("sending", (uint64_t)up, parts_size(client->file), true);
		else
			term_bar("checking and storing", 0, 0, false);
	}
	return term_interrupted();
}

static void set_common(struct client *client, const char *method, const char *path)
{
	char url[4096];
	snprintf(url, sizeof(url), "http://localhost%s", path);
	curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(client->curl, CURLOPT_URL, url);
	curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
	curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(client->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(client->curl, CURLOPT_XFERINFOFUNCTION, check_interrupt);
	curl_easy_setopt(client->curl, CURLOPT_XFERINFODATA, client);
}

static int client_init(struct client *client, const struct ctl *ctl, enum client_socket socket,
		       const char *method, const char *path, const json_t *body)
{
	memset(client, 0, sizeof(*client));
	buf_init(&client->answer);
	if (!file_join(client->socket, sizeof(client->socket), ctl->run,
		       socket == CLIENT_API ? "api.sock" : "control.sock"))
		return ctl_complain(CTL_USAGE, "--run: the path is too long");
	if (access(client->socket, F_OK) != 0)
		return errno == EACCES ? denied(client, socket) : unreachable(client);
	if (access(client->socket, R_OK | W_OK) != 0)
		return denied(client, socket);
	client->curl = curl_easy_init();
	client->headers = curl_slist_append(NULL, "Content-Type: application/json");
	client->text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	if (!client->curl || !client->headers || (body && !client->text))
		return ctl_complain(CTL_FAILED, "out of memory");
	set_common(client, method, path);
	if (client->text)
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, client->text);
	return CTL_OK;
}

static void client_finish(struct client *client)
{
	if (client->curl)
		curl_easy_cleanup(client->curl);
	curl_slist_free_all(client->headers);
	free(client->text);
	buf_finish(&client->answer);
	parts_close(client->file);
}

/* Runs the request; CTL_OK when the daemon answered with success. */
static int perform(struct client *client)
{
	long status = 0;
	const CURLcode code = curl_easy_perform(client->curl);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400 && client->answer.size > 0)
		return refused(client, status); /* also when an upload was broken off by it */
	if (code != CURLE_OK)
		return cannot_talk(client, code);
	return status >= 400 ? refused(client, status) : CTL_OK;
}

static int take_answer(struct client *client, json_t **answer)
{
	json_error_t error;
	*answer = json_loadb((const char *)client->answer.data, client->answer.size, 0, &error);
	if (*answer)
		return CTL_OK;
	return ctl_complain(CTL_FAILED, "the daemon's answer is not JSON: %s", error.text);
}

int client_ask(const struct ctl *ctl, enum client_socket socket, const char *method,
	       const char *path, const json_t *body, json_t **answer)
{
	struct client client;
	int result = client_init(&client, ctl, socket, method, path, body);
	if (result == CTL_OK)
		result = perform(&client);
	if (result == CTL_OK)
		result = take_answer(&client, answer);
	client_finish(&client);
	return result;
}

int client_show(const struct ctl *ctl, enum client_socket socket, const char *method,
		const char *path, const json_t *body, void (*show)(const json_t *answer))
{
	json_t *answer;
	const int result = client_ask(ctl, socket, method, path, body, &answer);
	if (result != CTL_OK)
		return result;
	if (ctl->json) {
		client_print(answer);
	} else {
		show(answer);
		json_decref(answer);
	}
	return CTL_OK;
}

/* ---- streams ---- */

static size_t split_lines(char *bytes, size_t size, size_t count, void *context)
{
	struct client *client = context;
	long status = 0;
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (keep(bytes, size, count, client) == 0 || term_interrupted())
		return 0;
	if (status >= 400)
		return size * count; /* kept whole, for refused() */
	size_t done = 0;
	for (;;) {
		const char *start = (const char *)client->answer.data + done;
		const char *end = memchr(start, '\n', client->answer.size - done);
		if (!end)
			break;
		client->line(client->context, start, (size_t)(end - start));
		done += (size_t)(end - start) + 1;
	}
	buf_consume(&client->answer, done);
	return size * count;
}

int client_stream(const struct ctl *ctl, const char *path, const json_t *body,
		  void (*line)(void *context, const char *text, size_t size), void *context)
{
	struct client client;
	int result = client_init(&client, ctl, CLIENT_API, "POST", path, body);
	if (result == CTL_OK) {
		client.line = line;
		client.context = context;
		curl_easy_setopt(client.curl, CURLOPT_WRITEFUNCTION, split_lines);
		result = perform(&client);
	}
	client_finish(&client);
	return result;
}

/* ---- uploads ---- */

static size_t read_file(char *to, size_t size, size_t count, void *context)
{
	struct client *client = context;
	const uint64_t left = parts_size(client->file) - client->sent;
	const size_t n = left < size * count ? (size_t)left : size * count;
	struct fail fail;
	if (parts_read(client->file, client->sent, to, n, &fail) != 0) {
		ctl_complain(CTL_FAILED, "%s", fail.text);
		return CURL_READFUNC_ABORT;
	}
	client->sent += n;
	return n;
}

/* What the daemon would refuse is better refused before it is sent. */
static int open_file(struct client *client, const char *path)
{
	struct fail fail = { 0 };
	client->file = parts_open(path, &fail);
	return client->file ? CTL_OK : ctl_complain(CTL_FAILED, "%s", fail.text);
}

int client_upload(const struct ctl *ctl, const char *path, const char *file, json_t **answer)
{
	struct client client;
	int result = client_init(&client, ctl, CLIENT_CONTROL, "PUT", path, NULL);
	if (result == CTL_OK)
		result = open_file(&client, file);
	if (result == CTL_OK) {
		curl_easy_setopt(client.curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(client.curl, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
		curl_easy_setopt(client.curl, CURLOPT_READFUNCTION, read_file);
		curl_easy_setopt(client.curl, CURLOPT_READDATA, &client);
		curl_easy_setopt(client.curl, CURLOPT_INFILESIZE_LARGE,
				 (curl_off_t)parts_size(client.file));
		term_catch_interrupt();
		result = perform(&client);
		term_clear();
	}
	if (result == CTL_OK)
		result = take_answer(&client, answer);
	client_finish(&client);
	return result;
}

/* ---- texts ---- */

void client_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(value);
}

char *client_path(const char *folder, const char *name)
{
	char *escaped = curl_easy_escape(NULL, name, 0);
	const size_t size = strlen(folder) + (escaped ? strlen(escaped) : 0) + 1;
	char *path = malloc(size);
	if (path)
		snprintf(path, size, "%s%s", folder, escaped ? escaped : "");
	curl_free(escaped);
	return path;
}
