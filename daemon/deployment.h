/* deployment.h: from "this model is wanted" to "the ring serves it": election, planning, commit,
 * loading, connecting; and back when a device is lost. Loop thread only.
 *
 * A home serves one plan at a time: the epoch fence is per device. Models take turns when several are
 * wanted (wants.h): running answers end first, then a new plan replaces the old one. Who asks for a
 * model is told when every part of its plan is ready, or why it never will be. */
#ifndef DAEMON_DEPLOYMENT_H
#define DAEMON_DEPLOYMENT_H

#include "compute/compute.h"
#include "daemon/home.h"
#include "daemon/link.h"
#include "daemon/peers.h"
#include "daemon/progress.h"
#include "daemon/ring.h"
#include "daemon/trouble.h"
#include "planner/planner.h"
#include "proto/facts.h"

#include <stdbool.h>
#include <stdint.h>

struct deployment;

/* What of a model a part needs on this device. */
struct units_wanted {
	const struct layer_range *ranges;
	uint32_t n_ranges;
	bool head;
};

enum unmeasured { UNMEASURED_SELF, UNMEASURED_OTHER, UNMEASURED_TYPE, UNMEASURED_NOBODY };

struct deployment_services {
	const struct model_facts *(*facts)(void *context, const struct model_id *id);
	/* The present candidates: profiles of live members that compute, ours among them, with why one
	 * may not be used. At most PLAN_DEVICES_MAX; borrowed for the call. Gives their number. */
	uint32_t (*candidates)(void *context, struct plan_candidate *candidates);
	/* Who has not said yet what it can do: this device, another live one, one of them for a
	 * weight type of the model, or nobody. */
	enum unmeasured (*unmeasured)(void *context, const struct model_id *model);
	/* Makes the units present on this device; `done` once, from the loop, with the model's path.
	 * A later call replaces an earlier one, whose `done` is not called. */
	void (*fetch)(void *context, const struct model_id *id, const struct units_wanted *units,
		      void (*progress)(void *context, uint64_t done, uint64_t total),
		      void (*done)(void *context, const char *path, const struct fail *fail),
		      void *done_context);
	/* Ends a fetch, or says that what was fetched is not in use any more. */
	void (*fetch_cancel)(void *context);
	/* Something that people see changed: states, plan, planner. */
	void (*changed)(void *context);
	void *context;
};

struct deployment_config {
	const struct link_host *host;
	struct home *home;
	struct peers *peers;
	struct ring *ring;
	struct backend *backend;
	const enum power_source *power; /* borrowed: of this device, at any time */
	uint32_t context_positions;
	const char *kv_cache; /* borrowed; of plans made here, where a model's heads fit it */
};

struct deployment *deployment_create(const struct deployment_config *config,
				     const struct deployment_services *services, struct fail *fail);
/* Stops what is served; `stopped` from the loop, then destroy. */
void deployment_stop(struct deployment *deployment, void (*stopped)(void *context), void *context);
void deployment_destroy(struct deployment *deployment); /* accepts NULL */

/* ---- asked by sessions ---- */

/* Wants the model for the next seconds: who waits calls again and again, which is cheap. */
void deployment_want(struct deployment *deployment, const struct model_id *model);
/* Where it stands; when READY the plan is deployment_plan. done and total: bytes, over all parts. */
enum deployment_state deployment_state(const struct deployment *deployment,
				       const struct model_id *model, uint64_t *done,
				       uint64_t *total);
/* Why there is no plan, or no longer: for whom that ends the wait, trouble_ends says. Borrowed. */
const struct trouble *deployment_trouble(const struct deployment *deployment);
/* The newest committed plan known here, NULL: none. Borrowed until the loop's next turn. */
const struct plan *deployment_plan(const struct deployment *deployment);
enum part_state deployment_part(const struct deployment *deployment, uint16_t device,
				uint64_t *done, uint64_t *total);
const struct device_id *deployment_planner(const struct deployment *deployment);

/* What is asked of one plan; zero: what the settings say. */
struct plan_wish {
	const struct plan_pin *pin; /* borrowed; NULL: nothing is pinned */
	uint32_t context;
	bool has_kv_type;
	enum kv_type kv_type;
};

/* Plans without deploying; with `commit` the plan (pinned as the options say) replaces the present
 * one: only the planner can, others are refused with a sentence that names it. */
int deployment_try(struct deployment *deployment, const struct model_id *model,
		   const struct plan_wish *wish, bool commit, struct plan *plan, struct fail *fail);
/* Gives up the plan of this model on all devices, with `why`; nothing is planned in its place unless
 * somebody wants it. FAIL_BUSY while requests run on it, FAIL_NOT_FOUND when there is no such plan. */
int deployment_withdraw(struct deployment *deployment, const struct model_id *model,
			const struct fail *why, struct fail *fail);
void deployment_options(const struct deployment *deployment, struct plan_options *options,
			const struct model_facts *facts);
/* The devices as this one knows them now; profiles are borrowed until the next call. */
uint32_t deployment_gather(struct deployment *deployment,
			   struct plan_candidate candidates[PLAN_DEVICES_MAX]);

/* ---- told by the node ---- */

/* True when the message was a deployment's (DEPLOY, PREPARE, PROMISE, COMMIT, PART_STATE). */
bool deployment_message(struct deployment *deployment, const struct device_id *from,
			const struct message *message);
void deployment_liveness(struct deployment *deployment, const struct device_id *id,
			 enum liveness to);
void deployment_returned(struct deployment *deployment, const struct device_id *id);
void deployment_stated(struct deployment *deployment, const struct device_id *from,
		       const struct device_id *planner);
void deployment_members(struct deployment *deployment); /* roster or traits changed */
void deployment_accept(struct deployment *deployment, uv_os_sock_t socket,
		       const uint8_t preamble[PREAMBLE_BYTES]);
/* Running requests at the head of the present plan, as gossip or our own ring say. */
void deployment_load(struct deployment *deployment, uint32_t running);
/* Ring events. */
void deployment_broken(struct deployment *deployment, const struct epoch *epoch,
		       const struct device_id *device, const struct fail *why);
void deployment_connected(struct deployment *deployment, const struct epoch *epoch);

/* For HELLO: the live plan's epoch, zero without one. */
struct epoch deployment_epoch(const struct deployment *deployment);
/* For HELLO of ring connections: the epoch whose part is loaded here and served, or zero. */
struct epoch deployment_served(const struct deployment *deployment);

#endif
