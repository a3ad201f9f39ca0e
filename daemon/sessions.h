/* sessions.h: all requests of this device's clients, and what carries them: see session.h for one.
 * Loop thread only. */
#ifndef DAEMON_SESSIONS_H
#define DAEMON_SESSIONS_H

#include "daemon/deployment.h"
#include "daemon/models.h"
#include "daemon/peers.h"
#include "daemon/ring.h"
#include "daemon/session.h"

#include <jansson.h>

struct sessions;

struct sessions_config {
	uv_loop_t *loop;
	struct home *home;
	struct models *models;
	struct deployment *deployment;
	struct peers *peers;
	struct ring *ring;
	struct account *account;
};

struct sessions *sessions_create(const struct sessions_config *config);
/* Ends every session with `why`. Accepts NULL. */
void sessions_destroy(struct sessions *sessions, const struct fail *why);
uint32_t sessions_count(const struct sessions *sessions);

struct session *sessions_start(struct sessions *sessions, const struct session_request *request,
			       const struct session_events *events, void *context,
			       struct fail *fail);

/* The deployment or a model's metadata got further: waiting sessions look again. */
void sessions_poke(struct sessions *sessions);
/* `from` says so: taken when it is the head to which the request was sent. */
void sessions_tokens(struct sessions *sessions, const struct device_id *from,
		     const struct message_tokens *tokens);
void sessions_end(struct sessions *sessions, const struct device_id *from,
		  const struct message_request_end *end);
/* There is a new control connection with this device: what was said on the old one may be lost, so
 * heads are asked again. */
void sessions_reconnected(struct sessions *sessions, const struct device_id *device);

/* [{"id", "state", "model", "prompt_tokens", "completion_tokens"}], without any text. */
json_t *sessions_json(const struct sessions *sessions);

#endif
