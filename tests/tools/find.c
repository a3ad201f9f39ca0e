/* find: runs the finder alone and prints what it tells, one line an event, until SIGTERM or SIGINT.
 *
 *   find --home TEXT --id TEXT --port N [--member TEXT]... [--peer HOST:PORT]... [--no-mdns]
 *
 * Home and ids are made from the texts. SIGUSR1 opens a pairing window, SIGUSR2 closes it. */
#include "discovery/discovery.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 8

struct tool {
	struct finder *finder;
	uv_loop_t *loop;
	uv_signal_t signals[4];
	const char *home;
	const char *id;
	const char *members[MEMBERS_MAX];
	uint32_t n_members;
	const char *statics[MEMBERS_MAX];
	uint32_t n_statics;
	uint16_t port;
	bool mdns;
};

static struct device_id id_of(const char *text)
{
	struct device_id id;
	crypto_generichash(id.bytes, sizeof(id.bytes), (const uint8_t *)text, strlen(text), NULL,
			   0);
	return id;
}

static const char *member_name(const struct tool *tool, const struct finding *finding)
{
	for (uint32_t i = 0; finding->is_member && i < tool->n_members; i++) {
		const struct device_id id = id_of(tool->members[i]);
		if (device_id_equal(&id, &finding->id))
			return tool->members[i];
	}
	return "-";
}

static void on_found(void *context, const struct finding *finding)
{
	printf("found %s member %s pairing %s addresses", finding->key,
	       member_name(context, finding), finding->pairing ? finding->label : "-");
	for (uint32_t i = 0; i < finding->n_addresses; i++) {
		char text[ADDRESS_TEXT_BYTES];
		printf(" %s", address_text(&finding->addresses[i], text));
	}
	printf("\n");
}

static void on_gone(void *context, const char *key)
{
	printf("gone %s\n", key);
}

static void on_state(void *context, enum finder_state state, const char *sentence)
{
	printf("state %s: %s\n", finder_state_name(state), sentence);
}

static void on_closed(void *context)
{
	printf("closed\n");
}

static void stop(struct tool *tool)
{
	finder_destroy(tool->finder, on_closed, tool);
	for (int i = 0; i < 4; i++)
		uv_close((uv_handle_t *)&tool->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct tool *tool = handle->data;
	if (number == SIGUSR1)
		finder_pairing(tool->finder, tool->home);
	else if (number == SIGUSR2)
		finder_pairing(tool->finder, NULL);
	else
		stop(tool);
}

static bool take_option(struct tool *tool, const char *name, const char *value)
{
	if (strcmp(name, "--home") == 0)
		tool->home = value;
	else if (strcmp(name, "--id") == 0)
		tool->id = value;
	else if (strcmp(name, "--port") == 0)
		tool->port = (uint16_t)atoi(value);
	else if (strcmp(name, "--member") == 0 && tool->n_members < MEMBERS_MAX)
		tool->members[tool->n_members++] = value;
	else if (strcmp(name, "--peer") == 0 && tool->n_statics < MEMBERS_MAX)
		tool->statics[tool->n_statics++] = value;
	else
		return false;
	return true;
}

static bool take_options(struct tool *tool, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--no-mdns") == 0)
			tool->mdns = false;
		else if (i + 1 == argc || !take_option(tool, argv[i], argv[i + 1]))
			return false;
		else
			i++;
	}
	return tool->home && tool->id && tool->port > 0;
}

static int run(struct tool *tool)
{
	static const struct finder_events events = { .found = on_found,
						     .gone = on_gone,
						     .state = on_state };
	static const int numbers[4] = { SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };
	const struct finder_settings settings = { .mdns = tool->mdns,
						  .statics = tool->statics,
						  .n_statics = tool->n_statics,
						  .port_default = 47600 };
	struct fail fail;
	tool->finder = finder_create(tool->loop, &settings, &events, tool, &fail);
	if (!tool->finder) {
		fprintf(stderr, "find: %s\n", fail.text);
		return 1;
	}
	for (int i = 0; i < 4; i++) {
		uv_signal_init(tool->loop, &tool->signals[i]);
		tool->signals[i].data = tool;
		uv_signal_start(&tool->signals[i], on_signal, numbers[i]);
	}
	struct device_id members[MEMBERS_MAX];
	for (uint32_t i = 0; i < tool->n_members; i++)
		members[i] = id_of(tool->members[i]);
	const struct device_id self = id_of(tool->id), home = id_of(tool->home);
	finder_members(tool->finder, members, tool->n_members);
	finder_announce(tool->finder, home.bytes, &self, tool->port);
	uv_run(tool->loop, UV_RUN_DEFAULT);
	return uv_loop_close(tool->loop) == 0 ? 0 : 1; /* nothing may be left on it */
}

int main(int argc, char **argv)
{
	struct tool tool = { .loop = uv_default_loop(), .mdns = true };
	if (sodium_init() < 0 || !take_options(&tool, argc, argv)) {
		fprintf(stderr, "usage: find --home TEXT --id TEXT --port N [--member TEXT]... "
				"[--peer HOST:PORT]... [--no-mdns]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	return run(&tool);
}
