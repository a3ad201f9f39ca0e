/* device.h: one daemon of the simulated home: roster, membership, election and plan commit as the
 * daemon joins them, with a disk that forgets what was not written when it crashes.
 *
 * What a plan says does not matter here: a planner takes any devices that it believes to be alive. */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include "world.h"

struct disk {
	bool has_record;
	struct commit_record record;
	struct buf roster;    /* roster_encode */
	uint64_t incarnation; /* next to be used */
};

struct device {
	struct world *world;
	uint32_t index;
	struct identity *identity;
	struct disk disk;
	/* the process */
	uint64_t process; /* 0: none runs */
	bool paused;
	bool machine_down; /* since a crash: dials get no answer at all */
	bool out;          /* it has learned that it was removed */
	int64_t timer_ms;   /* of the EVENT_TIMER that counts */
	int64_t written_ms; /* when the last write will be done */
	struct roster *roster;
	struct membership *membership;
	struct election election;
	struct commit *commit;
	uint64_t connections[SIM_DEVICES_MAX]; /* 0: none */
	uint32_t heard; /* bits: whose profile it knows */
	/* the planner's part */
	int64_t plan_at_ms; /* INT64_MAX: nothing is to be planned */
	bool broken;        /* the newest plan known cannot go on */
	int64_t adopted_ms; /* when it became known */
	struct epoch adopted;
	uint32_t silent;    /* bits: did not promise last time */
	uint32_t n_waiting; /* events kept while it is paused */
	struct event waiting[512];
};

struct device *device_create(struct world *world, uint32_t index); /* gives */
void device_destroy(struct device *device);

const struct device_id *device_id_of(const struct device *device);
bool device_runs(const struct device *device);
bool device_is_member_for(const struct device *device, uint32_t other);
/* Whether `device` is a member by its own knowledge. */
bool device_is_member(const struct device *device);

/* Starts a process from the disk; crash ends it. With `machine`, nobody is told; else the system
 * closes its connections. */
void device_start(struct device *device);
void device_crash(struct device *device, bool machine);
void device_pause(struct device *device);
void device_resume(struct device *device);

/* Gives it the home's statements, as pairing does. */
void device_join(struct device *device, const struct roster *roster);
/* As an admin: adds or removes another. False when its roster does not allow it. */
bool device_add(struct device *device, const struct device *other, enum device_role role);
bool device_remove(struct device *device, const struct device *other);

/* Makes a plan at once, as if it had been elected. */
void device_usurp(struct device *device);

/* Takes an event that is addressed to it (EVENT_FAULT and the like are not), and what its parcel
 * owns. */
void device_take(struct device *device, struct event *event);

#endif
