/* client.h: asks the daemon over its local sockets. Every function tells the person on standard
 * error what went wrong and gives the exit status. */
#ifndef DAEMON_CTL_CLIENT_H
#define DAEMON_CTL_CLIENT_H

#include "daemon/ctl/ctl.h"

#include <jansson.h>
#include <stdint.h>

enum client_socket { CLIENT_API, CLIENT_CONTROL };

/* One request, one JSON answer. `body` may be NULL (borrowed). On CTL_OK gives `*answer`. */
int client_ask(const struct ctl *ctl, enum client_socket socket, const char *method,
	       const char *path, const json_t *body, json_t **answer);

/* As client_ask, and prints the answer where --json was said, or calls `show`. */
int client_show(const struct ctl *ctl, enum client_socket socket, const char *method,
		const char *path, const json_t *body, void (*show)(const json_t *answer));

/* Posts to api.sock and hands the answer on line by line as it streams in (without the newline).
 * Ctrl-C breaks off: CTL_INTERRUPTED. An answer that is an error is told and not handed on. */
int client_stream(const struct ctl *ctl, const char *path, const json_t *body,
		  void (*line)(void *context, const char *text, size_t size), void *context);

/* Puts a file to control.sock with a progress bar; Ctrl-C breaks off. On CTL_OK gives `*answer`. */
int client_upload(const struct ctl *ctl, const char *path, const char *file, json_t **answer);

/* Prints with two blanks of indent. Takes `value`. */
void client_print(json_t *value);

/* "/models/" and the name, escaped; owned by the caller, free() it. */
char *client_path(const char *folder, const char *name);

#endif
