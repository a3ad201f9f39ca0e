/* models.h: the models of the home: what is in this device's store, what others announced, their
 * tokenizers, and fetching what a plan gives this device. Loop thread only; disk work and hashing
 * run on a worker, one job at a time. */
#ifndef DAEMON_MODELS_H
#define DAEMON_MODELS_H

#include "base/account.h"
#include "compute/compute.h"
#include "daemon/deployment.h"
#include "daemon/home.h"
#include "daemon/link.h"
#include "daemon/node.h"
#include "daemon/peers.h"
#include "proto/facts.h"

#include <jansson.h>

struct models;

struct models_config {
	const struct link_host *host;
	struct home *home;
	struct account *account;
	const char *state;
	uint64_t store_limit_bytes;
	/* So many bytes of a model came from this device within so long. */
	void (*came)(void *context, const struct device_id *from, uint64_t bytes, int64_t us);
	/* A model appeared or went, or metadata arrived: whoever waits looks again. */
	void (*changed)(void *context);
	void *context;
};

struct models *models_create(const struct models_config *config, struct fail *fail);
/* The home changes: transfers end. Then, in the new one, they may begin again. */
void models_pause(struct models *models);
void models_resume(struct models *models, struct peers *peers);
/* When the loop has ended, after models_pause. Accepts NULL. */
void models_destroy(struct models *models);

/* By name, hex id or short id; NULL: the only one there is. */
bool models_resolve(struct models *models, const char *name, struct model_id *id,
		    struct fail *fail);
const struct model_facts *models_facts(struct models *models, const struct model_id *id);
/* Calls `each` for every model known in the home. */
void models_each(struct models *models,
		 void (*each)(void *context, const struct model_facts *facts), void *context);
/* Weight types to be measured, a bit each: of these models, or where there is none, what most have. */
uint64_t models_types(struct models *models);
/* Names of devices that hold the whole model. */
json_t *models_holders(struct models *models, const struct model_id *id);

/* Borrowed until models_destroy or removal of the model. FAIL_BUSY: its metadata is being fetched,
 * `models_metadata_progress` tells how far; ask again. */
const struct tokenizer *models_tokenizer(struct models *models, const struct model_id *id,
					 struct fail *fail);
/* How the model writes chats, with tools or without, once the tokenizer is there; borrowed as that
 * is, NULL when the file does not say. Fails when it says it in a way that is not known here. */
int models_template(struct models *models, const struct model_id *id, bool tools,
		    const struct template **template, struct fail *fail);
/* End-of-generation tokens, once the tokenizer is there. */
uint32_t models_ends(struct models *models, const struct model_id *id,
		     uint32_t ends[REQUEST_ENDS_MAX]);

/* As deployment_services.fetch. */
void models_fetch(struct models *models, const struct model_id *id,
		  const struct units_wanted *units,
		  void (*progress)(void *context, uint64_t done, uint64_t total),
		  void (*done)(void *context, const char *path, const struct fail *fail),
		  void *context);
void models_fetch_cancel(struct models *models);

/* An accepted socket of kind TRANSFER: serves what this device has. */
void models_accept(struct models *models, uv_os_sock_t socket,
		   const uint8_t preamble[PREAMBLE_BYTES]);
/* A fact of another device about models. */
void models_fact(struct models *models, const struct fact *fact);
/* Other devices' membership changed: a holder may be gone or back. */
void models_peers_changed(struct models *models);

/* ---- local additions: see node.h ---- */
struct upload *models_upload_begin(struct models *models, const char *name, uint64_t size,
				   struct fail *fail);
int models_upload_write(struct upload *upload, const void *bytes, size_t size, struct fail *fail);
void models_upload_end(struct upload *upload, node_answer *answer, void *context);
void models_upload_abort(struct upload *upload);
void models_add_path(struct models *models, const char *path, node_answer *answer, void *context);
int models_remove(struct models *models, const char *name, json_t **result, struct fail *fail);

#endif
