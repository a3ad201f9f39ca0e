#include "device.h"

#include "glue.h"
#include "planning.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

struct device *device_create(struct world *world, uint32_t index)
{
	struct device *device = calloc(1, sizeof(*device));
	uint8_t seed[KEY_BYTES] = { 0 };
	if (!device)
		abort();
	store_u64le(seed, world->seed);
	seed[8] = (uint8_t)index;
	device->world = world;
	device->index = index;
	device->identity = identity_from_seed(seed, NULL);
	device->disk.incarnation = 1;
	buf_init(&device->disk.roster);
	if (!device->identity)
		abort();
	return device;
}

static void end_process(struct device *device)
{
	membership_destroy(device->membership);
	commit_destroy(device->commit);
	roster_destroy(device->roster);
	device->membership = NULL;
	device->commit = NULL;
	device->roster = NULL;
	device->process = 0;
	device->paused = false;
	for (uint32_t i = 0; i < device->n_waiting; i++)
		parcel_finish(&device->waiting[i].parcel);
	device->n_waiting = 0;
	memset(device->connections, 0, sizeof(device->connections));
	device->heard = 0;
}

void device_destroy(struct device *device)
{
	if (!device)
		return;
	end_process(device);
	identity_destroy(device->identity);
	buf_finish(&device->disk.roster);
	free(device);
}

const struct device_id *device_id_of(const struct device *device)
{
	return &device->identity->keys.id;
}

bool device_runs(const struct device *device)
{
	return device->process != 0 && !device->paused;
}

bool device_is_member(const struct device *device)
{
	return device->roster && roster_find(device->roster, device_id_of(device));
}

bool device_is_member_for(const struct device *device, uint32_t other)
{
	return device->roster &&
	       roster_find(device->roster, device_id_of(device->world->devices[other]));
}

void device_start(struct device *device)
{
	struct fail fail;
	const struct commit_record *record =
		device->disk.has_record ? &device->disk.record : NULL;
	if (device->process || device->out || device->disk.roster.size == 0)
		return;
	device->process = ++device->world->connections; /* unique */
	device->machine_down = false;
	device->roster = roster_decode(device->disk.roster.data, device->disk.roster.size, &fail);
	device->membership = membership_create(device_id_of(device), device->disk.incarnation,
					       device->world->now_ms);
	device->commit = commit_create(device_id_of(device), record);
	if (!device->roster || !device->membership || !device->commit)
		abort();
	device->disk.incarnation += 64;
	device->timer_ms = device->plan_at_ms = INT64_MAX;
	device->written_ms = 0;
	device->broken = false;
	device->adopted = (struct epoch){ 0 };
	device->silent = 0;
	election_init(&device->election, device_id_of(device), device->world->now_ms);
	world_tell(device->world, device->index, "starts, incarnation %llu",
		   (unsigned long long)device->disk.incarnation - 64);
	glue_follow_roster(device);
	glue_arm(device);
}

/* Of writes under way, some of the first may have reached the disk. */
static void settle_writes(struct device *device)
{
	struct world *world = device->world;
	uint64_t done = 0;
	for (uint32_t i = 0; i < world->heap_size; i++) {
		struct event *event = &world->heap[i];
		if (event->kind != EVENT_WRITTEN || event->to != device->index ||
		    event->process != device->process)
			continue;
		if (world_chance(world, 0.5) && event->ticket > done) {
			done = event->ticket;
			device->disk.record = event->record;
			device->disk.has_record = true;
			watch_written(world->watch, device->index, &event->record);
		}
		event->process = 0;
	}
}

void device_crash(struct device *device, bool machine)
{
	if (!device->process)
		return;
	world_tell(device->world, device->index, machine ? "loses power" : "crashes");
	settle_writes(device);
	for (uint32_t i = 0; i < device->world->n_devices; i++)
		if (!machine)
			glue_close(device, i, false);
	device->machine_down = machine;
	end_process(device);
}

void device_pause(struct device *device)
{
	if (device->process)
		device->paused = true;
	world_tell(device->world, device->index, "stands still");
}

void device_resume(struct device *device)
{
	if (!device->paused)
		return;
	device->paused = false;
	world_tell(device->world, device->index, "goes on");
	device->timer_ms = INT64_MAX;
	const uint32_t n = device->n_waiting;
	device->n_waiting = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct event event = device->waiting[i];
		device_take(device, &event);
	}
	if (!device_runs(device))
		return;
	glue_timer(device);
	if (device->process)
		glue_arm(device);
}

/* ---- the home ---- */

void device_join(struct device *device, const struct roster *roster)
{
	buf_clear(&device->disk.roster);
	roster_encode(roster, &device->disk.roster);
	device_start(device);
}

bool device_add(struct device *device, const struct device *other, enum device_role role)
{
	char name[16];
	snprintf(name, sizeof(name), "device %u", other->index);
	if (!device_runs(device) || roster_add(device->roster, device->identity,
					       &other->identity->keys, role, name, NULL) != 0)
		return false;
	glue_roster_changed(device);
	return true;
}

bool device_remove(struct device *device, const struct device *other)
{
	if (!device_runs(device) ||
	    roster_remove(device->roster, device->identity, device_id_of(other), NULL) != 0)
		return false;
	world_tell(device->world, device->index, "removes device %u", other->index);
	glue_roster_changed(device);
	return true;
}

void device_usurp(struct device *device)
{
	if (!device_runs(device) || !device_is_member(device))
		return;
	planning_usurp(device);
	glue_arm(device);
}

/* ---- events ---- */

static void take_written(struct device *device, const struct event *event)
{
	const struct commit_event written = { .kind = COMMIT_PERSISTED, .ticket = event->ticket };
	device->disk.record = event->record;
	device->disk.has_record = true;
	watch_written(device->world->watch, device->index, &event->record);
	glue_commit(device, &written);
}

static void take_dial_end(struct device *device, const struct event *event)
{
	const struct membership_event ended = {
		.kind = event->kind == EVENT_REFUSED ? MEMBERSHIP_DIAL_REFUSED
						     : MEMBERSHIP_DIAL_FAILED,
		.peer = *device_id_of(device->world->devices[event->from]),
	};
	glue_membership(device, &ended);
}

static void take_closed(struct device *device, const struct event *event)
{
	if (device->connections[event->from] == event->connection)
		glue_close(device, event->from, true);
}

static bool wait_for_it(struct device *device, const struct event *event)
{
	if (device->n_waiting == sizeof(device->waiting) / sizeof(device->waiting[0]))
		return false;
	device->waiting[device->n_waiting++] = *event;
	return true;
}

/* Events of the process are for the one that caused them; a stopped one gets them later. */
static bool reaches_process(const struct device *device, const struct event *event)
{
	switch (event->kind) {
	case EVENT_PARCEL:
	case EVENT_DIALLED:
		return true;
	case EVENT_TIMER:
	case EVENT_CONNECTED:
	case EVENT_REFUSED:
	case EVENT_DIAL_FAILED:
	case EVENT_CLOSED:
	case EVENT_WRITTEN:
	case EVENT_RESTART:
	case EVENT_RESUME:
	case EVENT_FAULT:
		break;
	}
	return device->process != 0 && event->process == device->process;
}

void device_take(struct device *device, struct event *event)
{
	if (!reaches_process(device, event) || (event->kind == EVENT_PARCEL && !device->process)) {
		parcel_finish(&event->parcel);
		return;
	}
	if (device->paused && event->kind != EVENT_DIALLED) {
		if (event->kind == EVENT_TIMER || !wait_for_it(device, event))
			parcel_finish(&event->parcel);
		return;
	}
	switch (event->kind) {
	case EVENT_PARCEL:
		glue_parcel(device, event);
		break;
	case EVENT_TIMER:
		if (event->at_ms == device->timer_ms)
			glue_timer(device);
		break;
	case EVENT_DIALLED:
		glue_dialled(device, event->from, event->process);
		break;
	case EVENT_CONNECTED:
		glue_connected(device, event->from, event->connection);
		break;
	case EVENT_REFUSED:
	case EVENT_DIAL_FAILED:
		take_dial_end(device, event);
		break;
	case EVENT_CLOSED:
		take_closed(device, event);
		break;
	case EVENT_WRITTEN:
		take_written(device, event);
		break;
	case EVENT_RESTART:
	case EVENT_RESUME:
	case EVENT_FAULT:
		break;
	}
	if (device->process && !device->out) {
		watch_device(device->world->watch, device->index);
		glue_arm(device);
	}
}
