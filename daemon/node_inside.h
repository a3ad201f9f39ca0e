/* node_inside.h: what a node consists of. For node.c, which wires it, for node_host.c, and for the
 * files that carry out what the local sockets ask (report.c, doctor.c, join.c, removal.c); nobody
 * else includes it. */
#ifndef DAEMON_NODE_INSIDE_H
#define DAEMON_NODE_INSIDE_H

#include "base/account.h"
#include "daemon/candidates.h"
#include "daemon/deployment.h"
#include "daemon/door.h"
#include "daemon/home.h"
#include "daemon/linkrates.h"
#include "base/mailbox.h"
#include "daemon/models.h"
#include "daemon/node.h"
#include "daemon/pair.h"
#include "daemon/peers.h"
#include "daemon/profiler.h"
#include "daemon/ring.h"
#include "daemon/sessions.h"
#include "discovery/discovery.h"

struct node {
	uv_loop_t *loop;
	struct config config;
	struct account account;
	struct machine machine;
	char budget_rule[256];
	struct home *home;
	struct link_host host;
	struct mailbox *mailbox;
	struct backend *backend;
	struct ring *ring;
	struct peers *peers;
	struct finder *finder;
	struct door *door;
	struct pair *pair;
	struct models *models;
	struct deployment *deployment;
	struct sessions *sessions;
	struct candidates *candidates;
	struct linkrates *linkrates;
	struct profiler *profiler;
	struct profile profile; /* ours */
	bool measured;
	uv_timer_t *refresh;
	struct removal *removal; /* of a model that a plan used; NULL: none */
	uint64_t boot;
	uint32_t running_told; /* FACT_LOAD as told last */
	struct message message; /* sending */
	/* Our home is to be replaced by a fresh one or was by another: the parts that speak in its
	 * name are stopped and made anew, from a timer, since they are the ones that told us. */
	uv_timer_t *replace;
	/* a ring connection that a neighbour closed: its reason is waited for */
	uv_timer_t *closed;
	struct epoch closed_epoch;
	struct device_id closed_device;
	struct fail closed_why;
	bool replacing, found_anew;
	enum leaving_reason leaving;
	void (*stopped)(void *context);
	void *stopped_context;
};

/* The parts that speak in the name of a home begin anew from the loop: after joining (`found_anew`
 * false: the home was adopted already), or with a fresh identity in a home of one. `wait_ms` lets
 * what was just said go out. */
void node_replace_home(struct node *node, bool found_anew, enum leaving_reason reason,
		       uint64_t wait_ms);
/* False, with a sentence, while one home is left for another. */
bool node_settled(const struct node *node, struct fail *fail);
void node_removal_abandon(struct node *node);
/* The home's members say that this device is none any more. */
void node_was_removed(struct node *node);
void node_fill_host(struct node *node);
/* The roster was changed by a person here: tell members, connect or disconnect. */
void node_roster_changed(struct node *node);

#endif
