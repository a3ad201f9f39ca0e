/* peers.h: the other members of the home: where they are, the control connection with each, whether
 * they live, and what they tell. Loop thread only.
 *
 * Carries out what discovery/membership.h decides, keeps one control connection per pair (of two
 * made at once the one stays whose dialler has the lower id), reconciles roster and gossip on
 * connect, and hands every other message to its owner. */
#ifndef DAEMON_PEERS_H
#define DAEMON_PEERS_H

#include "daemon/home.h"
#include "daemon/link.h"
#include "discovery/discovery.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>

struct peers;

struct peers_events {
	/* A control message that is none of peers' own; borrowed for the call. False: protocol error. */
	bool (*message)(void *context, const struct device_id *from, const struct message *message);
	void (*liveness)(void *context, const struct device_id *id, enum liveness from,
			 enum liveness to, const char *reason);
	/* It restarted or slept: what was under way with it is void. */
	void (*returned)(void *context, const struct device_id *id);
	/* There is a control connection with it, a first or another one: what was under way on an
	 * older one may be lost. */
	void (*connected)(void *context, const struct device_id *id);
	void (*fact)(void *context, const struct fact *fact); /* news of another device */
	/* Members were added or removed; the roster is saved already. */
	void (*roster)(void *context);
};

struct peers *peers_create(const struct link_host *host, struct home *home,
			   const struct peers_events *events, void *context, struct fail *fail);
/* Says goodbye with `reason` to all, closes. Takes; accepts NULL. */
void peers_destroy(struct peers *peers, enum leaving_reason reason);

/* An accepted socket of kind CONTROL. */
void peers_accept(struct peers *peers, uv_os_sock_t socket, const uint8_t preamble[PREAMBLE_BYTES]);
/* What the finder found. */
void peers_found(struct peers *peers, const struct finding *finding);
/* The roster was changed by us (added, removed, adopted): connections follow, others are told. */
void peers_roster_changed(struct peers *peers);

/* False when there is no connection: the message is lost. */
bool peers_send(struct peers *peers, const struct device_id *to, const struct message *message);
void peers_broadcast(struct peers *peers, const struct message *message);
bool peers_connected(const struct peers *peers, const struct device_id *id);
/* Where the peer can be dialled now: the other end of its control connection, with the port it
 * listens on. False when there is no connection. */
bool peers_address(const struct peers *peers, const struct device_id *id,
		   struct sockaddr_storage *address);
/* Its HELLO; NULL when not connected. */
const struct message_hello *peers_hello(const struct peers *peers, const struct device_id *id);

/* Own facts, told to all when they changed. */
void peers_tell(struct peers *peers, enum fact_kind kind, uint64_t key, const void *bytes,
		size_t size);
const struct gossip *peers_gossip(const struct peers *peers);
const struct membership *peers_membership(const struct peers *peers);
void peers_busy(struct peers *peers, const struct device_id *id, bool busy);

/* Links as measured, for the own profile. Gives their number. */
uint32_t peers_links(const struct peers *peers, struct profile_link links[PROFILE_LINKS_MAX]);

#endif
