#include "daemon/peers.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/timer.h"
#include "daemon/roundtrip.h"
#include "proto/deadlines.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct peer {
	struct device_id id;
	struct link *control; /* ready, or NULL */
	struct message_hello hello;
	/* dialling: one address after another */
	struct link *dial;
	struct address addresses[ADDRESSES_MAX];
	uint32_t n_addresses, next_address;
	bool refused;
	struct address last_good; /* family 0: none yet */
	struct address found[ADDRESSES_MAX];
	uint32_t n_found;
	struct gossip_cursor cursor; /* of the digest it sends us */
	struct roundtrip roundtrip;
};

struct peers {
	const struct link_host *host;
	struct home *home;
	struct peers_events events;
	void *context;
	struct membership *membership;
	struct gossip *gossip;
	uv_timer_t *timer; /* owned by the loop until closed */
	struct peer table[MEMBERSHIP_PEERS_MAX];
	uint32_t n_peers;
	struct address statics[FINDER_STATICS_MAX * 4];
	uint32_t n_statics;
	struct message message; /* decoding */
	struct message sending;
	struct buf scratch;
	bool stopping;
};

static struct peer *peer_find(const struct peers *peers, const struct device_id *id)
{
	for (uint32_t i = 0; i < peers->n_peers; i++)
		if (device_id_equal(&peers->table[i].id, id))
			return (struct peer *)&peers->table[i];
	return NULL;
}

static struct peer *peer_of_link(struct peers *peers, const struct link *link)
{
	return peer_find(peers, &link_peer(link)->id);
}

static const char *short_id(const struct device_id *id)
{
	static char text[ID_TEXT_BYTES]; /* one log line at a time, loop thread only */
	return id_text(id->bytes, text);
}

static void step(struct peers *peers, const struct membership_event *event);

static void tell_membership(struct peers *peers, enum membership_event_kind kind,
			    const struct device_id *id)
{
	const struct membership_event event = { .kind = kind, .peer = *id };
	step(peers, &event);
}

/* ---- dialling ---- */

static void add_address(struct peer *peer, const struct address *address)
{
	if (address->family == 0 || peer->n_addresses == ADDRESSES_MAX)
		return;
	for (uint32_t i = 0; i < peer->n_addresses; i++)
		if (address_equal(&peer->addresses[i], address))
			return;
	peer->addresses[peer->n_addresses++] = *address;
}

static void gather_addresses(struct peers *peers, struct peer *peer)
{
	struct address told[ADDRESSES_MAX];
	peer->n_addresses = 0;
	add_address(peer, &peer->last_good);
	for (uint32_t i = 0; i < peer->n_found; i++)
		add_address(peer, &peer->found[i]);
	const struct fact *fact = gossip_get(peers->gossip, &peer->id, FACT_ADDRESSES, 0);
	const int n = fact ? addresses_decode(told, fact->bytes, fact->size, NULL) : 0;
	for (int i = 0; i < n; i++)
		if (address_is_near(&told[i]) && !(address_is_link_local(&told[i]) && !told[i].scope))
			add_address(peer, &told[i]);
	for (uint32_t i = 0; i < peers->n_statics; i++)
		add_address(peer, &peers->statics[i]);
	for (uint32_t i = 0; i < peers->home->n_known; i++) {
		const struct known_address *known = &peers->home->known[i];
		if (device_id_is_none(&known->id) || device_id_equal(&known->id, &peer->id))
			add_address(peer, &known->address);
	}
}

static void dial_next(struct peers *peers, struct peer *peer);

static void on_dial_closed(void *context, struct link *link, const struct fail *why)
{
	struct peers *peers = context;
	struct peer *peer = peer_of_link(peers, link);
	if (!peer || peer->dial != link)
		return;
	peer->dial = NULL;
	peer->refused = peer->refused || why->code == FAIL_NOT_FOUND;
	dial_next(peers, peer);
}

static void on_ready(void *context, struct link *link, const struct message_hello *hello);

static const struct link_events the_dial_events = { .ready = on_ready, .closed = on_dial_closed };

static const struct member *member_of(const struct peers *peers, const struct device_id *id)
{
	return roster_find(peers->home->roster, id);
}

static bool keys_of(const struct peers *peers, const struct device_id *id, struct device_keys *keys)
{
	const struct member *member = member_of(peers, id);
	if (member)
		*keys = member->keys;
	return member != NULL;
}

static void dial_next(struct peers *peers, struct peer *peer)
{
	struct device_keys keys;
	struct fail why;
	while (!peer->control && peer->next_address < peer->n_addresses &&
	       keys_of(peers, &peer->id, &keys)) {
		struct sockaddr_storage address;
		address_to_sockaddr(&peer->addresses[peer->next_address++], &address);
		peer->dial = link_dial(peers->host, (const struct sockaddr *)&address,
				       CONNECTION_CONTROL, &keys, &the_dial_events, peers, &why);
		if (peer->dial)
			return;
	}
	if (!peer->control)
		tell_membership(peers,
				peer->refused ? MEMBERSHIP_DIAL_REFUSED : MEMBERSHIP_DIAL_FAILED,
				&peer->id);
}

static void dial(struct peers *peers, struct peer *peer)
{
	if (peer->dial || peer->control)
		return;
	gather_addresses(peers, peer);
	peer->next_address = 0;
	peer->refused = false;
	dial_next(peers, peer);
}

/* ---- what membership decides ---- */

static void send_ping(struct peers *peers, const struct membership_action *action)
{
	struct message *message = &peers->sending;
	message->type = MESSAGE_PING;
	message->ping = (struct message_ping){
		.seq = action->seq,
		.incarnation = membership_incarnation(peers->membership),
		.sent_us = clock_us(),
	};
	peers_send(peers, &action->peer, message);
}

static void send_probe(struct peers *peers, const struct membership_action *action,
		       enum message_type type)
{
	struct message *message = &peers->sending;
	message->type = type;
	message->probe = (struct message_probe){ .seq = action->seq,
						 .target = action->target,
						 .alive = action->alive };
	peers_send(peers, &action->peer, message);
}

static void carry_out(struct peers *peers, const struct membership_action *action)
{
	struct peer *peer = peer_find(peers, &action->peer);
	switch (action->kind) {
	case MEMBERSHIP_SEND_PING:
		send_ping(peers, action);
		break;
	case MEMBERSHIP_SEND_PROBE:
		send_probe(peers, action, MESSAGE_PROBE);
		break;
	case MEMBERSHIP_SEND_PROBE_RESULT:
		send_probe(peers, action, MESSAGE_PROBE_RESULT);
		break;
	case MEMBERSHIP_DIAL:
		if (peer)
			dial(peers, peer);
		break;
	case MEMBERSHIP_HANG_UP:
		if (peer && peer->control) {
			struct link *link = peer->control;
			peer->control = NULL;
			link_close(link, "no sign of life", true);
			tell_membership(peers, MEMBERSHIP_DISCONNECTED, &action->peer);
		}
		break;
	case MEMBERSHIP_CHANGED:
		log_info("peers", "device=%s from=%s to=%s reason=\"%s\"", short_id(&action->peer),
			 liveness_name(action->from), liveness_name(action->to), action->reason);
		peers->events.liveness(peers->context, &action->peer, action->from, action->to,
				       action->reason);
		break;
	case MEMBERSHIP_RETURNED:
		peers->events.returned(peers->context, &action->peer);
		break;
	}
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct peers *peers)
{
	const int64_t deadline = membership_deadline(peers->membership);
	if (peers->stopping)
		return;
	if (deadline == INT64_MAX) {
		uv_timer_stop(peers->timer);
		return;
	}
	const int64_t wait = deadline - clock_boot_ms();
	uv_timer_start(peers->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

/* Actions may lead to further events (a dial that fails at once): each step works on a copy. */
static void step(struct peers *peers, const struct membership_event *event)
{
	if (peers->stopping)
		return;
	struct membership_actions *actions = malloc(sizeof(*actions));
	if (!actions)
		return;
	membership_step(peers->membership, event, clock_boot_ms(), actions);
	for (uint32_t i = 0; i < actions->count; i++)
		carry_out(peers, &actions->list[i]);
	free(actions);
	arm_timer(peers);
}

static void on_timer(uv_timer_t *timer)
{
	const struct membership_event event = { .kind = MEMBERSHIP_TICK };
	step(timer->data, &event);
}

/* ---- sending ---- */

bool peers_send(struct peers *peers, const struct device_id *to, const struct message *message)
{
	const struct peer *peer = peer_find(peers, to);
	if (!peer || !peer->control)
		return false;
	link_send(peer->control, message);
	return true;
}

void peers_broadcast(struct peers *peers, const struct message *message)
{
	for (uint32_t i = 0; i < peers->n_peers; i++)
		if (peers->table[i].control)
			link_send(peers->table[i].control, message);
}

static void send_fact(struct peers *peers, struct peer *peer, const struct fact *fact)
{
	struct message *message = &peers->sending;
	message->type = MESSAGE_GOSSIP;
	message->gossip.n_facts = 1;
	message->gossip.facts[0] = *fact;
	link_send(peer->control, message);
}

static void spread_fact(struct peers *peers, const struct fact *fact, const struct device_id *but)
{
	for (uint32_t i = 0; i < peers->n_peers; i++) {
		struct peer *peer = &peers->table[i];
		if (peer->control && !(but && device_id_equal(&peer->id, but)) &&
		    !device_id_equal(&peer->id, &fact->origin))
			send_fact(peers, peer, fact);
	}
}

static void send_roster(struct peers *peers, struct peer *peer)
{
	struct message *message = &peers->sending;
	message->type = MESSAGE_ROSTER;
	message->roster.statements =
		roster_statements(peers->home->roster, &message->roster.n_statements);
	link_send(peer->control, message);
}

static void send_digests(struct peers *peers, struct peer *peer)
{
	struct gossip_cursor cursor = { 0 };
	peers->sending.type = MESSAGE_DIGEST;
	while (gossip_digest(peers->gossip, &cursor, &peers->sending.digest))
		link_send(peer->control, &peers->sending);
}

/* ---- the roster ---- */

static struct peer *peer_add(struct peers *peers, const struct device_id *id)
{
	if (peers->n_peers == MEMBERSHIP_PEERS_MAX)
		return NULL;
	struct peer *peer = &peers->table[peers->n_peers++];
	memset(peer, 0, sizeof(*peer));
	peer->id = *id;
	return peer;
}

static void peer_drop_links(struct peer *peer, const char *reason)
{
	if (peer->control)
		link_close(peer->control, reason, true);
	if (peer->dial)
		link_close(peer->dial, reason, true);
	peer->control = peer->dial = NULL;
}

static void peer_removed(struct peers *peers, uint32_t index)
{
	struct peer *peer = &peers->table[index];
	const struct device_id id = peer->id;
	peer_drop_links(peer, "removed from the home");
	peers->table[index] = peers->table[--peers->n_peers];
	tell_membership(peers, MEMBERSHIP_REMOVED, &id);
	gossip_drop(peers->gossip, &id);
}

static void follow_roster(struct peers *peers)
{
	const struct roster *roster = peers->home->roster;
	for (uint32_t i = peers->n_peers; i-- > 0;)
		if (!roster_find(roster, &peers->table[i].id))
			peer_removed(peers, i);
	for (uint32_t i = 0; i < roster_count(roster); i++) {
		const struct device_id *id = &roster_at(roster, i)->keys.id;
		if (device_id_equal(id, home_self(peers->home)) || peer_find(peers, id))
			continue;
		if (peer_add(peers, id))
			tell_membership(peers, MEMBERSHIP_JOINED, id);
	}
}

static void save_roster(struct peers *peers)
{
	struct fail why;
	if (home_save_roster(peers->home, &why) != 0)
		log_error("peers", "the roster could not be saved reason=\"%s\"", why.text);
}

static void spread_roster(struct peers *peers, const struct peer *but)
{
	for (uint32_t i = 0; i < peers->n_peers; i++)
		if (peers->table[i].control && &peers->table[i] != but)
			send_roster(peers, &peers->table[i]);
}

void peers_roster_changed(struct peers *peers)
{
	spread_roster(peers, NULL); /* before connections to removed ones go */
	follow_roster(peers);
}

static void take_roster(struct peers *peers, struct peer *from, const struct message_roster *message)
{
	bool changed = false;
	struct fail why;
	const struct device_id id = from->id;
	if (roster_merge(peers->home->roster, message->statements, message->n_statements, &changed,
			 NULL, &why) != 0)
		log_warn("peers", "roster not taken whole device=%s reason=\"%s\"", short_id(&id),
			 why.text);
	if (!changed)
		return;
	save_roster(peers);
	spread_roster(peers, from);
	follow_roster(peers);
	peers->events.roster(peers->context);
}

/* ---- gossip ---- */

static bool rule_member(void *context, const struct device_id *origin)
{
	const struct peers *peers = context;
	return member_of(peers, origin) != NULL;
}

static void fact_bytes(const struct fact *fact, struct buf *out)
{
	buf_append(out, fact->origin.bytes, ID_BYTES);
	buf_u32(out, fact->kind);
	buf_u64(out, fact->key);
	buf_u64(out, fact->version);
	buf_u32(out, fact->size);
	buf_append(out, fact->bytes, fact->size);
}

static bool rule_verify(void *context, const struct fact *fact)
{
	struct peers *peers = context;
	const struct member *member = member_of(peers, &fact->origin);
	struct buf bytes;
	buf_init(&bytes);
	fact_bytes(fact, &bytes);
	const bool good = member && !bytes.failed &&
			  identity_verify(member->keys.ed_pk, "primad-fact-v1", bytes.data, bytes.size,
					  fact->signature);
	buf_finish(&bytes);
	return good;
}

static void rule_sign(void *context, struct fact *fact)
{
	struct peers *peers = context;
	struct buf bytes;
	buf_init(&bytes);
	fact_bytes(fact, &bytes);
	if (!bytes.failed)
		identity_sign(peers->home->identity, "primad-fact-v1", bytes.data, bytes.size,
			      fact->signature);
	buf_finish(&bytes);
}

static void take_facts(struct peers *peers, struct peer *from, const struct message_gossip *message)
{
	const struct device_id sender = from->id;
	for (uint32_t i = 0; i < message->n_facts; i++) {
		const struct fact *fact = &message->facts[i];
		const enum gossip_merge verdict = gossip_merge(peers->gossip, fact);
		if (verdict == GOSSIP_MERGE_NEWS) {
			spread_fact(peers, fact, &sender);
			peers->events.fact(peers->context, fact);
		} else if (verdict == GOSSIP_MERGE_REFUTED) {
			const struct fact *ours = gossip_raw(peers->gossip, home_self(peers->home),
							     (enum fact_kind)fact->kind, fact->key);
			if (ours)
				spread_fact(peers, ours, NULL);
		}
	}
}

struct newer {
	struct peers *peers;
	struct peer *peer;
};

static void send_newer(void *context, const struct fact *fact)
{
	const struct newer *newer = context;
	send_fact(newer->peers, newer->peer, fact);
}

static bool reserve_versions(struct peers *peers)
{
	struct fail why;
	struct home *home = peers->home;
	const uint64_t first = home->version_end;
	home->version_end += GOSSIP_VERSION_BLOCK;
	if (home_save_numbers(home, &why) != 0) {
		log_error("peers", "numbers could not be saved reason=\"%s\"", why.text);
		return false;
	}
	gossip_reserve(peers->gossip, first, home->version_end);
	return true;
}

void peers_tell(struct peers *peers, enum fact_kind kind, uint64_t key, const void *bytes,
		size_t size)
{
	bool changed = false;
	struct fail why;
	if (gossip_versions_left(peers->gossip) == 0 && !reserve_versions(peers))
		return;
	if (gossip_put(peers->gossip, kind, key, bytes, size, &changed, &why) != 0) {
		log_error("peers", "a fact could not be told kind=%d reason=\"%s\"", kind, why.text);
		return;
	}
	if (changed)
		spread_fact(peers, gossip_raw(peers->gossip, home_self(peers->home), kind, key),
			    NULL);
}

/* ---- messages ---- */

static void answer_ping(struct peers *peers, struct peer *peer, const struct message_ping *ping)
{
	struct message *message = &peers->sending;
	message->type = MESSAGE_PONG;
	message->ping = *ping;
	message->ping.incarnation = membership_incarnation(peers->membership);
	link_send(peer->control, message);
}

static void take_pong(struct peers *peers, struct peer *peer, const struct message_ping *pong)
{
	roundtrip_add(&peer->roundtrip, (double)(clock_us() - pong->sent_us) / 1e6);
	const struct membership_event event = { .kind = MEMBERSHIP_PONG,
						.peer = peer->id,
						.seq = pong->seq,
						.incarnation = pong->incarnation };
	step(peers, &event);
}

static void take_probe(struct peers *peers, struct peer *peer, const struct message *message)
{
	const struct membership_event event = {
		.kind = message->type == MESSAGE_PROBE ? MEMBERSHIP_PROBE : MEMBERSHIP_PROBE_RESULT,
		.peer = peer->id,
		.target = message->probe.target,
		.seq = message->probe.seq,
		.on = message->probe.alive,
	};
	step(peers, &event);
}

static bool take_own(struct peers *peers, struct peer *peer, const struct message *message)
{
	struct newer newer = { peers, peer };
	switch (message->type) {
	case MESSAGE_PING:
		answer_ping(peers, peer, &message->ping);
		return true;
	case MESSAGE_PONG:
		take_pong(peers, peer, &message->ping);
		return true;
	case MESSAGE_PROBE:
	case MESSAGE_PROBE_RESULT:
		take_probe(peers, peer, message);
		return true;
	case MESSAGE_ROSTER:
		take_roster(peers, peer, &message->roster);
		return true;
	case MESSAGE_GOSSIP:
		take_facts(peers, peer, &message->gossip);
		return true;
	case MESSAGE_DIGEST:
		return gossip_compare(peers->gossip, &peer->cursor, &message->digest, send_newer,
				      &newer, NULL) == 0;
	case MESSAGE_LEAVING:
		tell_membership(peers, MEMBERSHIP_LEAVING, &peer->id);
		return true;
	default: /* the node's */
		return peers->events.message(peers->context, &peer->id, message);
	}
}

static bool on_message(void *context, struct link *link, enum message_type type, const uint8_t *body,
		       size_t size)
{
	struct peers *peers = context;
	struct fail why;
	struct peer *peer = peer_of_link(peers, link);
	if (!peer || peer->control != link)
		return false;
	if (message_decode(&peers->message, type, body, size, &peers->scratch, &why) != 0) {
		log_warn("peers", "refused device=%s message=%s reason=\"%s\"", short_id(&peer->id),
			 message_name(type), why.text);
		return false;
	}
	const struct device_id id = peer->id;
	const struct membership_event heard = {
		.kind = MEMBERSHIP_HEARD,
		.peer = id,
		.incarnation = type == MESSAGE_PING ? peers->message.ping.incarnation : 0,
	};
	step(peers, &heard);
	peer = peer_find(peers, &id);
	return !peer || peer->control != link || take_own(peers, peer, &peers->message);
}

static void on_control_closed(void *context, struct link *link, const struct fail *why)
{
	struct peers *peers = context;
	struct peer *peer = peer_of_link(peers, link);
	if (!peer || peer->control != link)
		return;
	peer->control = NULL;
	log_info("peers", "disconnected device=%s reason=\"%s\"", short_id(&peer->id), why->text);
	tell_membership(peers, MEMBERSHIP_DISCONNECTED, &peer->id);
}

static const struct link_events the_control_events = { .message = on_message,
							.closed = on_control_closed };

/* Of two connections made at once the one stays whose dialler has the lower id; of two by the same
 * dialler the newer: the older one is a leftover that has not noticed its end. */
static bool new_one_stays(const struct peers *peers, const struct peer *peer, const struct link *link)
{
	if (!peer->control || link_outgoing(peer->control) == link_outgoing(link))
		return true;
	const bool we_are_lower = device_id_compare(home_self(peers->home), &peer->id) < 0;
	return link_outgoing(link) == we_are_lower;
}

static void remember_address(struct peers *peers, struct peer *peer, const struct link *link)
{
	if (!link_outgoing(link) || peer->next_address == 0)
		return;
	peer->last_good = peer->addresses[peer->next_address - 1];
	home_remember(peers->home, &peer->id, &peer->last_good);
}

static void on_ready(void *context, struct link *link, const struct message_hello *hello)
{
	struct peers *peers = context;
	struct peer *peer = peer_of_link(peers, link);
	if (peer && peer->dial == link)
		peer->dial = NULL;
	if (!peer || !new_one_stays(peers, peer, link)) {
		link_close(link, "another connection of this pair stays", true);
		return;
	}
	const bool again = peer->control != NULL;
	if (peer->control)
		link_close(peer->control, "replaced by a newer connection", true);
	if (peer->dial) {
		link_close(peer->dial, "connected meanwhile", true);
		peer->dial = NULL;
	}
	peer->control = link;
	peer->hello = *hello;
	peer->cursor = (struct gossip_cursor){ 0 };
	remember_address(peers, peer, link);
	link_set_events(link, &the_control_events, peers);
	log_info("peers", "connected device=%s name=\"%s\" address=%s", short_id(&peer->id),
		 hello->name, link_address(link));
	uint8_t digest[ID_BYTES];
	roster_digest(peers->home->roster, digest);
	if (memcmp(digest, hello->roster_digest, ID_BYTES) != 0)
		send_roster(peers, peer);
	send_digests(peers, peer);
	const struct device_id id = peer->id;
	if (!again)
		tell_membership(peers, MEMBERSHIP_CONNECTED, &id);
	peers->events.connected(peers->context, &id);
}

static void on_accept_closed(void *context, struct link *link, const struct fail *why)
{
	log_debug("peers", "a connection did not get through address=%s reason=\"%s\"",
		  link_address(link), why->text);
}

void peers_accept(struct peers *peers, uv_os_sock_t socket, const uint8_t preamble[PREAMBLE_BYTES])
{
	static const struct link_events events = { .ready = on_ready, .closed = on_accept_closed };
	struct fail why;
	if (!link_accept(peers->host, socket, preamble, &events, peers, &why))
		log_warn("peers", "cannot accept reason=\"%s\"", why.text);
}

void peers_found(struct peers *peers, const struct finding *finding)
{
	struct peer *peer = finding->is_member ? peer_find(peers, &finding->id) : NULL;
	if (peer) {
		peer->n_found = finding->n_addresses;
		memcpy(peer->found, finding->addresses,
		       finding->n_addresses * sizeof(peer->found[0]));
		tell_membership(peers, MEMBERSHIP_NEARBY, &peer->id);
	}
	if (!finding->is_static)
		return;
	const uint32_t most = sizeof(peers->statics) / sizeof(peers->statics[0]);
	for (uint32_t i = 0; i < finding->n_addresses; i++) {
		bool known = peers->n_statics == most;
		for (uint32_t j = 0; j < peers->n_statics && !known; j++)
			known = address_equal(&peers->statics[j], &finding->addresses[i]);
		if (!known)
			peers->statics[peers->n_statics++] = finding->addresses[i];
	}
	for (uint32_t i = 0; i < peers->n_peers; i++)
		if (!peers->table[i].control)
			tell_membership(peers, MEMBERSHIP_NEARBY, &peers->table[i].id);
}

/* ---- asking ---- */

bool peers_connected(const struct peers *peers, const struct device_id *id)
{
	const struct peer *peer = peer_find(peers, id);
	return peer && peer->control;
}

bool peers_address(const struct peers *peers, const struct device_id *id,
		   struct sockaddr_storage *address)
{
	const struct peer *peer = peer_find(peers, id);
	if (!peer || !peer->control || !link_address_of_peer(peer->control, address))
		return false;
	/* the port lies at the same place for both families */
	((struct sockaddr_in *)address)->sin_port = htons(peer->hello.port);
	return true;
}

const struct message_hello *peers_hello(const struct peers *peers, const struct device_id *id)
{
	const struct peer *peer = peer_find(peers, id);
	return peer && peer->control ? &peer->hello : NULL;
}

const struct gossip *peers_gossip(const struct peers *peers)
{
	return peers->gossip;
}

const struct membership *peers_membership(const struct peers *peers)
{
	return peers->membership;
}

void peers_busy(struct peers *peers, const struct device_id *id, bool busy)
{
	const struct membership_event event = { .kind = MEMBERSHIP_BUSY, .peer = *id, .on = busy };
	step(peers, &event);
}

uint32_t peers_links(const struct peers *peers, struct profile_link links[PROFILE_LINKS_MAX])
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < peers->n_peers && count < PROFILE_LINKS_MAX; i++) {
		const struct peer *peer = &peers->table[i];
		if (peer->control && peer->roundtrip.count > 0)
			roundtrip_link(&peer->roundtrip, &peer->id, &links[count++]);
	}
	return count;
}

/* ---- beginning and end ---- */

struct peers *peers_create(const struct link_host *host, struct home *home,
			   const struct peers_events *events, void *context, struct fail *fail)
{
	struct peers *peers = calloc(1, sizeof(*peers));
	if (peers)
		peers->timer = timer_make(host->loop, peers);
	if (!peers || !peers->timer)
		goto fail;
	peers->host = host;
	peers->home = home;
	peers->events = *events;
	peers->context = context;
	buf_init(&peers->scratch);
	const struct gossip_rules rules = { rule_member, rule_verify, rule_sign, peers };
	peers->gossip = gossip_create(home_self(home), &rules);
	peers->membership =
		membership_create(home_self(home), home->incarnation_end - 63, clock_boot_ms());
	if (!peers->gossip || !peers->membership || !reserve_versions(peers))
		goto fail;
	follow_roster(peers);
	return peers;
fail:
	fail_set(fail, FAIL_MEMORY, "cannot begin: no memory, or the state folder is not writable");
	peers_destroy(peers, LEAVING_STOP);
	return NULL;
}

void peers_destroy(struct peers *peers, enum leaving_reason reason)
{
	if (!peers)
		return;
	peers->stopping = true;
	peers->sending.type = MESSAGE_LEAVING;
	peers->sending.leaving.reason = (uint8_t)reason;
	peers_broadcast(peers, &peers->sending);
	for (uint32_t i = 0; i < peers->n_peers; i++)
		peer_drop_links(&peers->table[i], "stopping");
	timer_free(peers->timer);
	membership_destroy(peers->membership);
	gossip_destroy(peers->gossip);
	buf_finish(&peers->scratch);
	free(peers);
}
