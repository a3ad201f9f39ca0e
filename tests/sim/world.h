/* world.h: virtual time and a bad network, from one seed.
 *
 * Devices exchange parcels over connections. A parcel may be late, lost, doubled or overtaken; a
 * direction between two devices may be cut without anybody being told. A dial takes time and ends
 * in a connection, a refusal (the machine answers, no process there) or nothing. Each end has its
 * own view of a connection: a cut or a crash can leave one end believing in it. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "discovery/discovery.h"
#include "planner/planner.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_DEVICES_MAX 8

/* A plan that travels in several parcels at once. */
struct shared_plan {
	uint32_t users;
	struct plan plan;
};

struct shared_plan *shared_plan_hold(struct shared_plan *plan);
void shared_plan_drop(struct shared_plan *plan); /* accepts NULL */

enum parcel_kind {
	PARCEL_PING, /* with the sender's statement, newest plan and roster digest */
	PARCEL_PONG,
	PARCEL_PROBE,
	PARCEL_PROBE_RESULT,
	PARCEL_STATED,
	PARCEL_ROSTER,
	PARCEL_PREPARE,
	PARCEL_PROMISE,
	PARCEL_COMMIT,
	PARCEL_FAILED, /* the sender no longer serves `epoch` */
	PARCEL_ASK,    /* please make a plan */
};

struct parcel {
	enum parcel_kind kind;
	uint64_t seq, incarnation;
	uint32_t target;              /* PROBE */
	bool alive;                   /* PROBE_RESULT */
	struct device_id planner;     /* PING, PONG, STATED */
	struct epoch epoch;           /* PING, PONG: newest plan known; COMMIT, FAILED */
	struct epoch live;            /* PING, PONG: that it serves */
	uint8_t digest[ID_BYTES];     /* PING, PONG */
	struct shared_plan *plan;     /* PREPARE; owned by the parcel */
	struct message_promise promise;
	uint8_t *statements; /* ROSTER; owned by the parcel */
	uint32_t n_statements;
};

enum event_kind {
	EVENT_PARCEL,
	EVENT_TIMER,
	EVENT_DIALLED,   /* a dial reaches the other machine */
	EVENT_CONNECTED, /* and its answer is back */
	EVENT_REFUSED,
	EVENT_DIAL_FAILED,
	EVENT_CLOSED,  /* the other end closed */
	EVENT_WRITTEN, /* a record reached the disk */
	EVENT_RESTART,
	EVENT_RESUME,
	EVENT_FAULT
};

struct event {
	int64_t at_ms;
	uint64_t order; /* of two at one time, the older first */
	enum event_kind kind;
	uint32_t to, from;
	uint64_t process;    /* of `to`: an event for a process that ended is nothing */
	uint64_t connection;
	uint64_t ticket;
	struct commit_record record; /* WRITTEN */
	struct parcel parcel;
};

struct network {
	double loss, twice;       /* of a parcel */
	double delay_ms, late_ms; /* mean of an exponential delay; more for one in twenty */
	bool cut[SIM_DEVICES_MAX][SIM_DEVICES_MAX]; /* [from, to] */
};

struct device;

struct world {
	uint64_t seed;
	uint64_t dice;
	int64_t now_ms;
	uint64_t orders, connections;
	bool trace;
	struct network network;
	uint32_t n_devices;
	struct device *devices[SIM_DEVICES_MAX];
	struct watch *watch;
	uint64_t n_events;
	uint32_t heap_size, heap_capacity;
	struct event *heap;
};

uint64_t world_dice(struct world *world);
uint32_t world_below(struct world *world, uint32_t n);
bool world_chance(struct world *world, double probability);
double world_exponential(struct world *world, double mean);

/* Takes what the parcel owns. `event->order` is filled. */
void world_schedule(struct world *world, const struct event *event);
/* The next event, if it is due by `until_ms`; time advances to it. What its parcel owns is the
 * caller's. */
bool world_next(struct world *world, int64_t until_ms, struct event *event);
void world_finish(struct world *world);

/* Sends over a connection; takes what the parcel owns. */
void world_send(struct world *world, uint32_t from, uint32_t to, uint64_t connection,
		const struct parcel *parcel);
void parcel_finish(struct parcel *parcel);

bool world_is_cut(const struct world *world, uint32_t a, uint32_t b); /* in either direction */
int64_t world_delay_ms(struct world *world);

/* Tells on standard error when tracing. */
void world_tell(const struct world *world, uint32_t device, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
