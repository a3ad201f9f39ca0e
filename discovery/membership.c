#include "discovery/membership.h"

#include "proto/deadlines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NEVER    INT64_MAX
#define LONG_AGO INT64_MIN
/* Both ends see a new neighbour at once: the one with the higher id lets the other dial first. */
#define YIELD_MS  500
#define NEARBY_MS 500 /* between dials that are due to announcements */

struct peer {
	struct membership_peer view; /* first: membership_at gives it out */
	int64_t quiet_ms; /* silence counts from here: last heard, or a fresh start of the count */
	int64_t suspected_ms; /* when SUSPECT began, or a fresh start of that count */
	int64_t vouched_ms; /* when another last said, during this suspicion, that it reaches it */
	int64_t ping_sent_ms;
	int64_t probe_due_ms;
	int64_t dial_due_ms;
	int64_t dialled_ms;
	int64_t backoff_ms;
	bool dialling;
	bool refused; /* the last dial was; nobody listens there */
	bool greeted; /* this connection has brought an incarnation */
};

/* Somebody asked us to probe. */
struct asked {
	struct device_id asker;
	struct device_id target;
	uint64_t seq;
	int64_t until_ms;
};

struct membership {
	struct device_id self;
	uint64_t incarnation;
	uint64_t seq;
	int64_t hold_ms;     /* no verdict before */
	int64_t deadline_ms; /* what membership_deadline gives */
	uint32_t n_peers;
	struct peer peers[MEMBERSHIP_PEERS_MAX]; /* in the order of ids */
	uint32_t n_asked;
	struct asked asked[MEMBERSHIP_PROBES_MAX];
	struct membership_actions *actions; /* of the step that runs */
};

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- finding peers ---- */

static uint32_t place_of(const struct membership *membership, const struct device_id *id)
{
	uint32_t low = 0, high = membership->n_peers;
	while (low < high) {
		const uint32_t middle = (low + high) / 2;
		if (device_id_compare(&membership->peers[middle].view.id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct peer *find(struct membership *membership, const struct device_id *id)
{
	const uint32_t place = place_of(membership, id);
	struct peer *peer = &membership->peers[place];
	return place < membership->n_peers && device_id_equal(&peer->view.id, id) ? peer : NULL;
}

/* ---- actions ---- */

static struct membership_action *act(struct membership *membership, const struct device_id *peer,
				     enum membership_action_kind kind)
{
	struct membership_actions *actions = membership->actions;
	assert(actions->count < MEMBERSHIP_ACTIONS_MAX); /* bounded by the peers and probes */
	struct membership_action *action = &actions->list[actions->count++];
	memset(action, 0, sizeof(*action));
	action->kind = kind;
	action->peer = *peer;
	return action;
}

/* The one door for changes of state. */
static void enter(struct membership *membership, struct peer *peer, enum liveness to,
		  const char *reason, int64_t now_ms)
{
	const enum liveness from = peer->view.liveness;
	if (from == to)
		return;
	struct membership_action *action = act(membership, &peer->view.id, MEMBERSHIP_CHANGED);
	action->from = from;
	action->to = to;
	action->reason = reason;
	peer->view.liveness = to;
	peer->view.since_ms = now_ms;
	if (to == LIVENESS_SUSPECT) {
		peer->suspected_ms = now_ms;
		peer->vouched_ms = LONG_AGO;
		peer->probe_due_ms = now_ms;
	}
	if (to == LIVENESS_LOST && peer->view.connected)
		act(membership, &peer->view.id, MEMBERSHIP_HANG_UP);
}

static void ping(struct membership *membership, struct peer *peer, int64_t now_ms)
{
	peer->ping_sent_ms = now_ms;
	act(membership, &peer->view.id, MEMBERSHIP_SEND_PING)->seq = ++membership->seq;
}

static void dial_at(struct peer *peer, int64_t at_ms)
{
	peer->backoff_ms = REDIAL_FIRST_MS;
	peer->dial_due_ms = at_ms;
}

static void answer_probe(struct membership *membership, const struct asked *asked, bool alive)
{
	struct membership_action *action =
		act(membership, &asked->asker, MEMBERSHIP_SEND_PROBE_RESULT);
	action->target = asked->target;
	action->seq = asked->seq;
	action->alive = alive;
}

/* Answers all who asked for `target`, or whose time is up where it is NULL. */
static void answer_probes(struct membership *membership, const struct device_id *target,
			  int64_t now_ms)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < membership->n_asked; i++) {
		const struct asked asked = membership->asked[i];
		if (target ? device_id_equal(&asked.target, target) : asked.until_ms <= now_ms)
			answer_probe(membership, &asked, target != NULL);
		else
			membership->asked[kept++] = asked;
	}
	membership->n_asked = kept;
}

/* Asks up to MEMBERSHIP_HELPERS others, beginning with another one each time. */
static void send_probes(struct membership *membership, const struct peer *target)
{
	uint32_t sent = 0;
	for (uint32_t i = 0; i < membership->n_peers && sent < MEMBERSHIP_HELPERS; i++) {
		const uint64_t turn = membership->seq + i;
		const struct peer *helper = &membership->peers[turn % membership->n_peers];
		if (helper == target || !helper->view.connected ||
		    helper->view.liveness != LIVENESS_ALIVE)
			continue;
		struct membership_action *action =
			act(membership, &helper->view.id, MEMBERSHIP_SEND_PROBE);
		action->target = target->view.id;
		action->seq = membership->seq + 1 + sent++;
	}
	membership->seq += sent;
}

/* ---- when things are due; NEVER: not at all ---- */

static int64_t suspect_after(const struct peer *peer)
{
	return peer->view.busy ? LOST_BUSY_MS / 2 : SUSPECT_IDLE_MS;
}

/* From suspicion to loss. */
static int64_t grace(const struct peer *peer)
{
	return peer->view.busy ? LOST_BUSY_MS - LOST_BUSY_MS / 2 : LOST_IDLE_MS - SUSPECT_IDLE_MS;
}

static int64_t suspect_due(const struct membership *membership, const struct peer *peer)
{
	if (peer->view.liveness != LIVENESS_ALIVE)
		return NEVER;
	if (!peer->view.connected)
		return membership->hold_ms;
	return later(peer->quiet_ms + suspect_after(peer), membership->hold_ms);
}

/* What others reach is not lost, only unreachable from here: a quiet home waits as long as they say
 * so; running work cannot, and waits twice its usual time. */
static int64_t lost_due(const struct membership *membership, const struct peer *peer)
{
	if (peer->view.liveness != LIVENESS_SUSPECT)
		return NEVER;
	if (!peer->view.connected && peer->refused)
		return membership->hold_ms;
	int64_t due = peer->suspected_ms + grace(peer);
	if (peer->vouched_ms != LONG_AGO)
		due = later(due, peer->vouched_ms + grace(peer));
	if (peer->view.busy)
		due = sooner(due, peer->suspected_ms + LOST_BUSY_MS);
	return later(due, membership->hold_ms);
}

static int64_t ping_interval(const struct peer *peer)
{
	const bool fast = peer->view.busy || peer->view.liveness == LIVENESS_SUSPECT;
	return fast ? PING_BUSY_MS : PING_IDLE_MS;
}

/* Only where nothing was heard: of two devices one pings and the other answers. */
static int64_t ping_due(const struct peer *peer)
{
	if (!peer->view.connected || peer->view.liveness == LIVENESS_LOST ||
	    peer->view.liveness == LIVENESS_LEFT)
		return NEVER;
	return later(peer->ping_sent_ms, peer->view.heard_ms) + ping_interval(peer);
}

static int64_t probe_due(const struct peer *peer)
{
	return peer->view.liveness == LIVENESS_SUSPECT ? peer->probe_due_ms : NEVER;
}

static int64_t dial_due(const struct peer *peer)
{
	return peer->view.connected || peer->dialling ? NEVER : peer->dial_due_ms;
}

static int64_t next_due(const struct membership *membership)
{
	int64_t due = NEVER;
	for (uint32_t i = 0; i < membership->n_peers; i++) {
		const struct peer *peer = &membership->peers[i];
		due = sooner(due, suspect_due(membership, peer));
		due = sooner(due, lost_due(membership, peer));
		due = sooner(due, ping_due(peer));
		due = sooner(due, probe_due(peer));
		due = sooner(due, dial_due(peer));
	}
	for (uint32_t i = 0; i < membership->n_asked; i++)
		due = sooner(due, membership->asked[i].until_ms);
	return due;
}

/* ---- time passes ---- */

static void judge(struct membership *membership, struct peer *peer, int64_t now_ms)
{
	if (suspect_due(membership, peer) <= now_ms)
		enter(membership, peer, LIVENESS_SUSPECT,
		      peer->view.connected ? "silent" : "connection closed", now_ms);
	if (lost_due(membership, peer) > now_ms)
		return;
	const char *reason = "silent, and nobody reaches it";
	if (!peer->view.connected)
		reason = peer->refused ? "connection closed, and nobody listens there"
				       : "connection closed, and no new one comes about";
	enter(membership, peer, LIVENESS_LOST, reason, now_ms);
}

static void advance(struct membership *membership, int64_t now_ms)
{
	bool pinged = false;
	for (uint32_t i = 0; i < membership->n_peers; i++) {
		struct peer *peer = &membership->peers[i];
		judge(membership, peer, now_ms);
		if (probe_due(peer) <= now_ms) {
			peer->probe_due_ms =
				now_ms + (peer->view.busy ? MEMBERSHIP_PROBE_MS : PING_IDLE_MS);
			send_probes(membership, peer);
		}
		if (dial_due(peer) <= now_ms) {
			peer->dialling = true;
			peer->refused = false;
			peer->dialled_ms = now_ms;
			act(membership, &peer->view.id, MEMBERSHIP_DIAL);
		}
		pinged = pinged || ping_due(peer) <= now_ms;
	}
	/* Awake for one, awake for all that are nearly due: a quiet home wakes up less often. */
	for (uint32_t i = 0; pinged && i < membership->n_peers; i++) {
		struct peer *peer = &membership->peers[i];
		const int64_t due = ping_due(peer);
		if (due != NEVER && due - ping_interval(peer) / 4 <= now_ms)
			ping(membership, peer, now_ms);
	}
	answer_probes(membership, NULL, now_ms);
}

/* We did not run, so silence meanwhile means nothing: all counts start again, verdicts wait, and
 * others can see by the incarnation that we were away. */
static void paused(struct membership *membership, int64_t now_ms)
{
	membership->incarnation++;
	membership->hold_ms = now_ms + MEMBERSHIP_PAUSE_HOLD_MS;
	membership->n_asked = 0;
	for (uint32_t i = 0; i < membership->n_peers; i++) {
		struct peer *peer = &membership->peers[i];
		peer->quiet_ms = now_ms;
		peer->suspected_ms = now_ms;
		if (peer->view.connected)
			ping(membership, peer, now_ms);
		else
			dial_at(peer, now_ms);
	}
}

/* ---- events ---- */

/* The first one on a connection is believed even when it fell: its owner lost a state file. After
 * that a lower one is old news; false. */
static bool take_incarnation(struct membership *membership, struct peer *peer, uint64_t incarnation)
{
	const uint64_t before = peer->view.incarnation;
	if (peer->greeted && incarnation < before)
		return false;
	peer->greeted = true;
	peer->view.incarnation = incarnation;
	if (before != 0 && before != incarnation)
		act(membership, &peer->view.id, MEMBERSHIP_RETURNED);
	return true;
}

static void heard(struct membership *membership, struct peer *peer, uint64_t incarnation,
		  int64_t now_ms)
{
	if (incarnation != 0 && !take_incarnation(membership, peer, incarnation))
		return;
	peer->view.heard_ms = now_ms;
	peer->quiet_ms = now_ms;
	if (peer->view.connected && peer->view.liveness != LIVENESS_LEFT)
		enter(membership, peer, LIVENESS_ALIVE, "heard", now_ms);
	answer_probes(membership, &peer->view.id, now_ms);
}

static void connected(struct membership *membership, struct peer *peer, int64_t now_ms)
{
	peer->view.connected = true;
	peer->dialling = false;
	peer->refused = false;
	peer->greeted = false;
	enter(membership, peer, LIVENESS_ALIVE, "connected", now_ms);
	heard(membership, peer, 0, now_ms);
	ping(membership, peer, now_ms); /* brings our incarnation */
}

static void disconnected(struct peer *peer, int64_t now_ms)
{
	peer->view.connected = false;
	peer->refused = false;
	dial_at(peer, peer->view.liveness == LIVENESS_LEFT ? now_ms + REDIAL_MOST_MS : now_ms);
}

static void dial_ended(struct peer *peer, bool refused, int64_t now_ms)
{
	peer->dialling = false;
	peer->refused = refused;
	peer->dial_due_ms = now_ms + peer->backoff_ms;
	peer->backoff_ms = sooner(2 * peer->backoff_ms, REDIAL_MOST_MS);
}

static void joined(struct membership *membership, const struct device_id *id, int64_t now_ms)
{
	const uint32_t place = place_of(membership, id);
	struct peer *peer = &membership->peers[place];
	if (membership->n_peers == MEMBERSHIP_PEERS_MAX || device_id_equal(id, &membership->self) ||
	    (place < membership->n_peers && device_id_equal(&peer->view.id, id)))
		return;
	memmove(peer + 1, peer, (membership->n_peers - place) * sizeof(*peer));
	membership->n_peers++;
	memset(peer, 0, sizeof(*peer));
	peer->view.id = *id;
	peer->view.heard_ms = LONG_AGO;
	peer->view.since_ms = now_ms;
	peer->quiet_ms = peer->suspected_ms = now_ms;
	peer->vouched_ms = peer->dialled_ms = LONG_AGO;
	peer->ping_sent_ms = now_ms;
	const bool yield = device_id_compare(&membership->self, id) > 0;
	dial_at(peer, yield ? now_ms + YIELD_MS : now_ms);
}

static void removed(struct membership *membership, struct peer *peer)
{
	const struct device_id id = peer->view.id;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < membership->n_asked; i++)
		if (!device_id_equal(&membership->asked[i].asker, &id) &&
		    !device_id_equal(&membership->asked[i].target, &id))
			membership->asked[kept++] = membership->asked[i];
	membership->n_asked = kept;
	const uint32_t place = (uint32_t)(peer - membership->peers);
	memmove(peer, peer + 1, (--membership->n_peers - place) * sizeof(*peer));
}

static void nearby(struct membership *membership, struct peer *peer, int64_t now_ms)
{
	if (peer->view.connected || peer->dialling)
		return;
	const bool yield = device_id_compare(&membership->self, &peer->view.id) > 0;
	int64_t at = yield ? now_ms + YIELD_MS : now_ms;
	if (peer->dialled_ms != LONG_AGO)
		at = later(at, peer->dialled_ms + NEARBY_MS);
	if (at < peer->dial_due_ms)
		dial_at(peer, at);
}

static void left(struct membership *membership, struct peer *peer, int64_t now_ms)
{
	enter(membership, peer, LIVENESS_LEFT, "said that it goes", now_ms);
}

static void busy(struct membership *membership, struct peer *peer, bool on, int64_t now_ms)
{
	if (peer->view.busy == on)
		return;
	peer->view.busy = on;
	if (!on)
		return;
	peer->quiet_ms = now_ms; /* the quiet pace says nothing about these last seconds */
	peer->suspected_ms = now_ms;
	if (peer->view.connected)
		ping(membership, peer, now_ms);
}

static void asked_to_probe(struct membership *membership, const struct membership_event *event,
			   int64_t now_ms)
{
	const struct asked asked = { .asker = event->peer,
				     .target = event->target,
				     .seq = event->seq,
				     .until_ms = now_ms + MEMBERSHIP_PROBE_MS };
	struct peer *target = find(membership, &event->target);
	const bool self = device_id_equal(&event->target, &membership->self);
	const bool fresh = target && target->view.connected && target->view.heard_ms != LONG_AGO &&
			   now_ms - target->view.heard_ms <= PING_BUSY_MS;
	const bool possible =
		target && target->view.connected && membership->n_asked < MEMBERSHIP_PROBES_MAX;
	if (self || fresh || !possible) {
		answer_probe(membership, &asked, self || fresh);
		return;
	}
	membership->asked[membership->n_asked++] = asked;
	ping(membership, target, now_ms);
}

static void vouched(struct membership *membership, const struct membership_event *event,
		    int64_t now_ms)
{
	struct peer *target = find(membership, &event->target);
	if (target && event->on && target->view.liveness == LIVENESS_SUSPECT)
		target->vouched_ms = now_ms;
}

static void peer_event(struct membership *membership, struct peer *peer,
		       const struct membership_event *event, int64_t now_ms)
{
	switch (event->kind) {
	case MEMBERSHIP_TICK:
	case MEMBERSHIP_JOINED:
	case MEMBERSHIP_PAUSED:
		break;
	case MEMBERSHIP_REMOVED:
		removed(membership, peer);
		break;
	case MEMBERSHIP_NEARBY:
		nearby(membership, peer, now_ms);
		break;
	case MEMBERSHIP_CONNECTED:
		connected(membership, peer, now_ms);
		break;
	case MEMBERSHIP_DISCONNECTED:
		disconnected(peer, now_ms);
		break;
	case MEMBERSHIP_DIAL_REFUSED:
	case MEMBERSHIP_DIAL_FAILED:
		dial_ended(peer, event->kind == MEMBERSHIP_DIAL_REFUSED, now_ms);
		break;
	case MEMBERSHIP_HEARD:
	case MEMBERSHIP_PONG:
		heard(membership, peer, event->incarnation, now_ms);
		break;
	case MEMBERSHIP_PROBE:
		asked_to_probe(membership, event, now_ms);
		break;
	case MEMBERSHIP_PROBE_RESULT:
		vouched(membership, event, now_ms);
		break;
	case MEMBERSHIP_LEAVING:
		left(membership, peer, now_ms);
		break;
	case MEMBERSHIP_BUSY:
		busy(membership, peer, event->on, now_ms);
		break;
	}
}

void membership_step(struct membership *membership, const struct membership_event *event,
		     int64_t now_ms, struct membership_actions *actions)
{
	actions->count = 0;
	membership->actions = actions;
	const bool late = membership->deadline_ms != NEVER &&
			  now_ms - membership->deadline_ms > MEMBERSHIP_PAUSE_GAP_MS;
	if (late || event->kind == MEMBERSHIP_PAUSED)
		paused(membership, now_ms);
	if (event->kind == MEMBERSHIP_JOINED)
		joined(membership, &event->peer, now_ms);
	struct peer *peer = find(membership, &event->peer);
	if (peer)
		peer_event(membership, peer, event, now_ms);
	advance(membership, now_ms);
	membership->deadline_ms = next_due(membership);
	membership->actions = NULL;
}

/* ---- life and questions ---- */

struct membership *membership_create(const struct device_id *self, uint64_t incarnation,
				     int64_t now_ms)
{
	struct membership *membership = calloc(1, sizeof(*membership));
	if (!membership)
		return NULL;
	membership->self = *self;
	membership->incarnation = incarnation;
	membership->hold_ms = now_ms;
	membership->deadline_ms = NEVER;
	return membership;
}

void membership_destroy(struct membership *membership)
{
	free(membership);
}

int64_t membership_deadline(const struct membership *membership)
{
	return membership->deadline_ms;
}

uint64_t membership_incarnation(const struct membership *membership)
{
	return membership->incarnation;
}

uint32_t membership_count(const struct membership *membership)
{
	return membership->n_peers;
}

const struct membership_peer *membership_at(const struct membership *membership, uint32_t index)
{
	return index < membership->n_peers ? &membership->peers[index].view : NULL;
}

const struct membership_peer *membership_find(const struct membership *membership,
					      const struct device_id *id)
{
	const struct membership_peer *at = membership_at(membership, place_of(membership, id));
	return at && device_id_equal(&at->id, id) ? at : NULL;
}

enum liveness membership_liveness(const struct membership *membership, const struct device_id *id)
{
	const struct membership_peer *at = membership_find(membership, id);
	return at ? at->liveness : LIVENESS_UNKNOWN;
}

const char *liveness_name(enum liveness liveness)
{
	switch (liveness) {
	case LIVENESS_UNKNOWN:
		return "unknown";
	case LIVENESS_ALIVE:
		return "alive";
	case LIVENESS_SUSPECT:
		return "suspect";
	case LIVENESS_LOST:
		return "lost";
	case LIVENESS_LEFT:
		return "left";
	}
	return "unknown";
}
