/* membership.h: which members of the home are alive, as seen from this device. Pure.
 *
 * Events and time go in, actions come out; the caller owns sockets and timers. A verdict is this
 * device's own: silence makes a suspect, others are asked to probe it, and only then it is lost; a
 * connection that breaks and whose redial is refused is lost at once. A wrong verdict heals when
 * the device is heard again. Two tempos: quiet (pings every PING_IDLE_MS, and only where nothing
 * was heard) and busy, for participants of running work. Numbers: proto/deadlines.h. */
#ifndef DISCOVERY_MEMBERSHIP_H
#define DISCOVERY_MEMBERSHIP_H

#include "proto/id.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>

#define MEMBERSHIP_PEERS_MAX     64
#define MEMBERSHIP_HELPERS       3    /* asked to probe a suspect */
#define MEMBERSHIP_PAUSE_GAP_MS  1000 /* called so much later than asked: we did not run */
#define MEMBERSHIP_PAUSE_HOLD_MS 2000 /* and then no verdict for so long */
#define MEMBERSHIP_PROBE_MS      1000 /* a probe for another is answered within, with no at the end */
#define MEMBERSHIP_PROBES_MAX    64   /* such probes at once; one more is answered with no */
#define MEMBERSHIP_ACTIONS_MAX   640

enum liveness {
	LIVENESS_UNKNOWN, /* a member not heard since we started */
	LIVENESS_ALIVE,
	LIVENESS_SUSPECT, /* silent or disconnected: no new plans with it, running work goes on */
	LIVENESS_LOST,    /* plan without it */
	LIVENESS_LEFT,    /* said that it goes: stopping, sleeping, leaving */
};

enum membership_event_kind {
	MEMBERSHIP_TICK,         /* the time of membership_deadline has come */
	MEMBERSHIP_JOINED,       /* peer is in the roster */
	MEMBERSHIP_REMOVED,      /* peer is no longer in the roster; forgotten */
	MEMBERSHIP_NEARBY,       /* an address of peer was found or changed: dial soon */
	MEMBERSHIP_CONNECTED,    /* an authenticated control connection is up (HELLO received) */
	MEMBERSHIP_DISCONNECTED, /* its last control connection went down, whoever closed it */
	MEMBERSHIP_DIAL_REFUSED, /* a dial ended: the machine answers, nobody listens there. With
				    several addresses: all failed and at least one was refused */
	MEMBERSHIP_DIAL_FAILED,  /* a dial ended otherwise: no answer, no address, no handshake */
	MEMBERSHIP_HEARD, /* any sealed message of peer; incarnation 0 where it carries none */
	MEMBERSHIP_PONG,  /* the answer to a ping; as good as HEARD */
	MEMBERSHIP_PROBE, /* peer asks whether we reach `target` */
	MEMBERSHIP_PROBE_RESULT, /* peer says of `target`: `alive` */
	MEMBERSHIP_LEAVING,      /* peer says that it goes */
	MEMBERSHIP_BUSY,         /* `on`: peer takes part in work that runs; off: it ended */
	MEMBERSHIP_PAUSED,       /* this machine slept, or the process was stopped */
};

struct membership_event {
	enum membership_event_kind kind;
	struct device_id peer;
	struct device_id target; /* PROBE, PROBE_RESULT */
	uint64_t seq;            /* PROBE: comes back with the result */
	uint64_t incarnation;    /* HEARD, PONG */
	bool on;                 /* BUSY, PROBE_RESULT: alive */
};

enum membership_action_kind {
	MEMBERSHIP_SEND_PING,         /* to peer, with seq and membership_incarnation */
	MEMBERSHIP_SEND_PROBE,        /* to peer: please ping target for me, seq */
	MEMBERSHIP_SEND_PROBE_RESULT, /* to peer: target is alive or not, seq */
	MEMBERSHIP_DIAL,              /* connect to peer; answer by CONNECTED or one DIAL_ event */
	MEMBERSHIP_HANG_UP,           /* close peer's connection: nothing comes through it */
	MEMBERSHIP_CHANGED,           /* peer went from `from` to `to`, for `reason` */
	MEMBERSHIP_RETURNED,          /* peer's incarnation rose: it slept, stood still or restarted
					 since we last heard it; what was under way with it is void */
};

struct membership_action {
	enum membership_action_kind kind;
	struct device_id peer;
	struct device_id target;
	uint64_t seq;
	bool alive;
	enum liveness from, to;
	const char *reason; /* static text: "connection closed, nobody listens there" */
};

struct membership_actions {
	uint32_t count;
	struct membership_action list[MEMBERSHIP_ACTIONS_MAX]; /* in the order to be carried out */
};

struct membership_peer {
	struct device_id id;
	enum liveness liveness;
	bool connected;
	bool busy;
	uint64_t incarnation; /* highest heard; 0: none yet */
	int64_t heard_ms;     /* when last heard; INT64_MIN: never */
	int64_t since_ms;     /* when it came into this state */
};

struct membership;

/* `incarnation` comes from the state file: at least 1, higher than any used before. */
struct membership *membership_create(const struct device_id *self, uint64_t incarnation,
				     int64_t now_ms);
void membership_destroy(struct membership *membership); /* accepts NULL */

/* Takes one event; fills `actions` (cleared first). `now_ms` never falls; give clock_boot_ms, which
 * runs on while the machine sleeps. Events of unknown peers do nothing. */
void membership_step(struct membership *membership, const struct membership_event *event,
		     int64_t now_ms, struct membership_actions *actions);
/* When to call with MEMBERSHIP_TICK at the latest; INT64_MAX: not before another event. */
int64_t membership_deadline(const struct membership *membership);

/* Our own incarnation: rises with each pause. Reserve on disk in blocks, as with gossip. */
uint64_t membership_incarnation(const struct membership *membership);

/* In the order of ids. */
uint32_t membership_count(const struct membership *membership);
const struct membership_peer *membership_at(const struct membership *membership, uint32_t index);
const struct membership_peer *membership_find(const struct membership *membership,
					      const struct device_id *id);
/* UNKNOWN for strangers. */
enum liveness membership_liveness(const struct membership *membership, const struct device_id *id);
const char *liveness_name(enum liveness liveness); /* "alive" */

#endif
