/* node.h: where the parts meet. Wires discovery to membership to planner to ring to backend, and is
 * what the local sockets act upon. Loop thread only.
 *
 * JSON given by these functions is the public shape (schema version in "schema"): the caller owns
 * the reference. Operations that take time answer through a callback, called once from the loop,
 * with either a result or a failure. */
#ifndef DAEMON_NODE_H
#define DAEMON_NODE_H

#include "base/fail.h"
#include "compute/compute.h"
#include "daemon/config.h"
#include "proto/id.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define NODE_SCHEMA 1

struct node;

struct node *node_create(uv_loop_t *loop, const struct config *config, struct fail *fail); /* gives */
/* Begins a clean shutdown: tells peers, ends sessions, closes everything; `stopped` is called when
 * nothing of the node is left on the loop and node_destroy may be called. */
void node_stop(struct node *node, void (*stopped)(void *context), void *context);
void node_destroy(struct node *node); /* accepts NULL */

/* True while real progress is made; feeds the service manager's watchdog. */
bool node_healthy(struct node *node);

typedef void node_answer(void *context, json_t *result, const struct fail *fail); /* takes result */

/* ---- asking (api.sock) ---- */
/* {"schema", "models": [{"id" hex, "name", "family", "file_bytes", "layers", "context_max",
 *  "quantization", "state": "idle"|"loading"|"ready", "holders": [device names]}]} */
json_t *node_models(struct node *node);
/* The tokenizer of a model known here, loading it when needed (its metadata may have to be fetched
 * first: then FAIL_BUSY, try again). Borrowed. */
const struct tokenizer *node_tokenizer(struct node *node, const char *model, struct fail *fail);

/* ---- changing and looking (control.sock) ---- */
/* {"schema", "version", "device": {...}, "home": {"id", "label", "members": [...]}, "planner",
 *  "deployments": [...plan, states, forecast, measured...], "memory": {...}, "requests": [...]} */
json_t *node_status(struct node *node);
/* Opens the pairing window; result {"code": "482913", "seconds": 120}. */
int node_invite(struct node *node, const char *role, json_t **result, struct fail *fail);
void node_invite_close(struct node *node);
/* Homes with an open window nearby: {"homes": [{"label", "address"}]}. */
json_t *node_homes(struct node *node);
/* Joins; `home` is a label or address from node_homes, or host:port, NULL when only one is seen. */
void node_join(struct node *node, const char *home, const char *code, node_answer *answer,
	       void *context);
int node_leave(struct node *node, json_t **result, struct fail *fail);
int node_remove(struct node *node, const char *device, json_t **result, struct fail *fail);

/* Plans `model` for the present home without deploying: {"plan": ..., "text": "..."}. `options`:
 * {"context", "pin": {...}, "paper": bool} or NULL. `commit` true deploys it (a pinned plan). With
 * "paper" the answer also has the plan of the paper's method under that name, where there is one,
 * and the text compares both; nothing can be deployed then. */
void node_plan(struct node *node, const char *model, const json_t *options, bool commit,
	       node_answer *answer, void *context);

/* Model upload: bytes of a GGUF file in order. Space is checked against `size` first. */
struct upload;
struct upload *node_upload_begin(struct node *node, const char *name, uint64_t size,
				 struct fail *fail);
int node_upload_write(struct upload *upload, const void *bytes, size_t size, struct fail *fail);
/* Hashes and checks in the background, then answers {"id", "name"}. Takes the upload. */
void node_upload_end(struct upload *upload, node_answer *answer, void *context);
void node_upload_abort(struct upload *upload); /* takes; accepts NULL */
/* Adds a file that the daemon itself can read, where it lies. */
void node_model_add_path(struct node *node, const char *path, node_answer *answer, void *context);
/* Forgets a model on this device. A plan that uses it is given up first, in the whole home; FAIL_BUSY
 * while requests run on it. */
void node_model_remove(struct node *node, const char *model, node_answer *answer, void *context);

/* {"checks": [{"name", "ok", "text", "advice"}]} */
json_t *node_doctor(struct node *node);

#endif
