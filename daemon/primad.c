/* primad.c: the daemon, from its options to its end. */
#include "base/file.h"
#include "base/log.h"
#include "daemon/api.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/http.h"
#include "daemon/listen.h"
#include "daemon/node.h"
#include "daemon/notify.h"
#include "daemon/process.h"
#include "proto/deadlines.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum exit_status { EXIT_STATUS_OK, EXIT_STATUS_FAILED, EXIT_STATUS_USAGE };

/* One local socket. */
struct door {
	int fd;              /* until it is served */
	char path[PATH_MAX]; /* "": TCP, or not ours to remove */
	struct http *http;
};

struct primad {
	struct config config;
	uv_loop_t loop;
	uv_signal_t signals[2]; /* SIGTERM, SIGINT */
	uv_timer_t tick;        /* feeds the watchdog; idle without a service manager */
	uv_timer_t drain;       /* the longest a clean end may take */
	struct node *node;
	struct door api, control, web;
	bool stopping;
	bool forced;
	int lock; /* held while we use the state directory */
};

/* Two daemons on one state would both write it. */
static int lock_state(struct primad *primad, struct fail *fail)
{
	char path[PATH_MAX];
	const int made = file_make_folder(primad->config.state, 0700, fail);
	if (made < 0)
		return made;
	if (!file_join(path, sizeof(path), primad->config.state, "lock"))
		return fail_set(fail, FAIL_INVALID, "--state: the path is too long");
	primad->lock = file_lock(path, fail);
	if (primad->lock == -FAIL_BUSY)
		return fail_set(fail, FAIL_BUSY,
				"another primad uses %s: stop it, or give this one its own --state "
				"and --run",
				primad->config.state);
	return primad->lock < 0 ? primad->lock : 0;
}

/* ---- doors ---- */

static int open_unix(struct primad *primad, struct door *door, const char *name, const char *group,
		     struct fail *fail)
{
	char file[64];
	snprintf(file, sizeof(file), "%s.sock", name);
	door->fd = listen_inherited(name);
	if (door->fd >= 0)
		return 0;
	if (!file_join(door->path, sizeof(door->path), primad->config.run, file))
		return fail_set(fail, FAIL_INVALID, "--run: the path is too long");
	door->fd = listen_unix(door->path, group, fail);
	if (door->fd >= 0)
		return 0;
	door->path[0] = 0;
	return door->fd;
}

/* Clients may connect from here on; they are answered once the node is there. */
static int open_doors(struct primad *primad, struct fail *fail)
{
	int result = file_make_folder(primad->config.run, 0755, fail);
	if (result == 0)
		result = open_unix(primad, &primad->api, "api", "primad", fail);
	if (result == 0)
		result = open_unix(primad, &primad->control, "control", "primad-admin", fail);
	if (result == 0 && primad->config.http[0]) {
		primad->web.fd = listen_loopback(primad->config.http, fail);
		result = primad->web.fd < 0 ? primad->web.fd : 0;
	}
	return result;
}

static int serve_door(struct primad *primad, struct door *door, enum http_trust trust,
		      const struct http_route *routes, struct fail *fail)
{
	if (door->fd < 0)
		return 0;
	door->http = http_create(&primad->loop, door->fd, trust, routes, primad->node, fail);
	door->fd = -1;
	return door->http ? 0 : -1;
}

static int serve_doors(struct primad *primad, struct fail *fail)
{
	int result = serve_door(primad, &primad->api, HTTP_TRUST_SOCKET, api_routes, fail);
	if (result == 0)
		result = serve_door(primad, &primad->control, HTTP_TRUST_SOCKET, control_routes,
				    fail);
	if (result == 0)
		result = serve_door(primad, &primad->web, HTTP_TRUST_LOOPBACK, api_routes, fail);
	return result;
}

static void remove_file(struct door *door)
{
	if (door->path[0])
		unlink(door->path);
	door->path[0] = 0;
}

static void close_door(struct door *door)
{
	http_destroy(door->http);
	door->http = NULL;
	if (door->fd >= 0)
		close(door->fd);
	door->fd = -1;
	remove_file(door);
}

static void close_doors(struct primad *primad)
{
	close_door(&primad->web);
	close_door(&primad->control);
	close_door(&primad->api);
}

/* ---- the service manager ---- */

static void send_status(struct primad *primad, const char *before)
{
	char text[256];
	json_t *status = node_status(primad->node);
	const json_t *home = json_object_get(status, "home");
	snprintf(text, sizeof(text), "%s\nSTATUS=a home of %zu, %zu models in use", before,
		 json_array_size(json_object_get(home, "members")),
		 json_array_size(json_object_get(status, "deployments")));
	json_decref(status);
	notify_send(text);
}

static void tick(uv_timer_t *timer)
{
	struct primad *primad = timer->data;
	if (node_healthy(primad->node))
		send_status(primad, "WATCHDOG=1");
	else
		log_error("primad", "no progress: the watchdog is not fed");
}

static void start_ticking(struct primad *primad)
{
	const uint64_t within_ms = notify_watchdog_ms() / 2;
	const uint64_t every_ms = within_ms < WATCHDOG_TICK_MS ? within_ms : WATCHDOG_TICK_MS;
	if (every_ms > 0)
		uv_timer_start(&primad->tick, tick, every_ms, every_ms);
}

/* ---- the end ---- */

static void close_handle(uv_handle_t *handle, void *context)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void close_own_handles(struct primad *primad)
{
	close_handle((uv_handle_t *)&primad->signals[0], NULL);
	close_handle((uv_handle_t *)&primad->signals[1], NULL);
	close_handle((uv_handle_t *)&primad->tick, NULL);
	close_handle((uv_handle_t *)&primad->drain, NULL);
}

static void node_stopped(void *context)
{
	struct primad *primad = context;
	close_doors(primad);
	close_own_handles(primad); /* nothing is left: the loop ends */
}

static void force(struct primad *primad, const char *why)
{
	log_warn("primad", "stopping at once: %s", why);
	primad->forced = true;
	uv_stop(&primad->loop);
}

static void drain_over(uv_timer_t *timer)
{
	force(timer->data, "a clean end took too long");
}

static void signalled(uv_signal_t *handle, int number)
{
	struct primad *primad = handle->data;
	if (primad->stopping) {
		force(primad, "asked again");
		return;
	}
	primad->stopping = true;
	log_info("primad", "stopping signal=%d", number);
	notify_send("STOPPING=1");
	uv_timer_stop(&primad->tick);
	uv_timer_start(&primad->drain, drain_over, DEADLINE_DRAIN_MS, 0);
	node_stop(primad->node, node_stopped, primad);
}

/* ---- the beginning ---- */

static void init_handles(struct primad *primad)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	uv_timer_init(&primad->loop, &primad->tick);
	uv_timer_init(&primad->loop, &primad->drain);
	primad->tick.data = primad;
	primad->drain.data = primad;
	for (int i = 0; i < 2; i++) {
		uv_signal_init(&primad->loop, &primad->signals[i]);
		primad->signals[i].data = primad;
		uv_signal_start(&primad->signals[i], signalled, numbers[i]);
	}
}

static void set_log_level(const char *name)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	for (int level = 0; level < 4; level++)
		if (strcmp(name, names[level]) == 0)
			log_set_level((enum log_level)level);
}

/* A node that was made must be stopped before it is destroyed, also when what follows it fails. */
static int serve(struct primad *primad, struct fail *fail)
{
	primad->node = node_create(&primad->loop, &primad->config, fail);
	if (!primad->node) {
		node_stopped(primad);
		uv_run(&primad->loop, UV_RUN_DEFAULT);
		return -1;
	}
	const int result = serve_doors(primad, fail);
	if (result == 0) {
		log_info("primad", "ready version=%s run=%s", PRIMAD_VERSION, primad->config.run);
		send_status(primad, "READY=1");
		start_ticking(primad);
	} else {
		node_stop(primad->node, node_stopped, primad);
	}
	uv_run(&primad->loop, UV_RUN_DEFAULT);
	return result;
}

static int run(struct primad *primad, struct fail *fail)
{
	int result = lock_state(primad, fail);
	if (result == 0)
		result = open_doors(primad, fail);
	umask(0077); /* whatever else is made is for its owner alone */
	if (result == 0) {
		if (uv_loop_init(&primad->loop) != 0)
			return fail_set(fail, FAIL_MEMORY, "cannot make an event loop");
		init_handles(primad);
		result = serve(primad, fail);
	}
	if (primad->forced) {
		remove_file(&primad->api);
		remove_file(&primad->control);
		_exit(EXIT_STATUS_FAILED); /* threads may still use what we would free */
	}
	close_doors(primad);
	node_destroy(primad->node);
	if (result == 0)
		uv_loop_close(&primad->loop);
	return result;
}

int main(int argc, char **argv)
{
	static struct primad primad = { .api.fd = -1, .control.fd = -1, .web.fd = -1 };
	struct fail fail;
	const int loaded = config_load(&primad.config, argc, argv, &fail);
	if (loaded > 0)
		return EXIT_STATUS_OK;
	if (loaded < 0) {
		fprintf(stderr, "primad: %s\n", fail.text);
		return EXIT_STATUS_USAGE;
	}
	set_log_level(primad.config.log_level);
	signal(SIGPIPE, SIG_IGN);
	process_harden();
	if (run(&primad, &fail) < 0) {
		fprintf(stderr, "primad: %s\n", fail.text);
		return EXIT_STATUS_FAILED;
	}
	log_info("primad", "stopped");
	return EXIT_STATUS_OK;
}
