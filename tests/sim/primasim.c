/* primasim: homes of two to eight devices through faults, from seeds, in virtual time.
 *
 *   primasim [first seed] [number of seeds] [--trace]
 *
 * Phase 1 lasts a virtual minute or two: loss, delay, doubling, cuts in one or both directions,
 * crashes with and without what was being written, power losses, pauses, devices that join and that
 * are removed. What must never happen is in watch.h. Phase 2 heals everything and demands that the
 * home agrees within CALM_MS: one planner, one plan, all its participants serving it, removed
 * devices out. A run that fails prints its seed; the same seed gives the same run. */
#include "device.h"
#include "watch.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALM_MS 90000 /* LOST_IDLE_MS, REDIAL_MOST_MS and DEADLINE_COMMIT_MS may follow each other */
#define SETTLE_MS 500 /* steps in which agreement is looked for */

/* ---- the home at the start ---- */

static enum device_role any_role(struct world *world)
{
	return world_chance(world, 0.6) ? ROLE_ADMIN : world_chance(world, 0.8) ? ROLE_WORKER
										: ROLE_CLIENT;
}

/* The first device founds, adds some of the others at once; the rest may join later. */
static void found_home(struct world *world)
{
	struct device *founder = world->devices[0];
	struct roster *roster = roster_found(founder->identity, "device 0");
	const uint32_t n = 2 + world_below(world, world->n_devices - 1);
	if (!roster)
		abort();
	for (uint32_t i = 1; i < n; i++) {
		char name[16];
		snprintf(name, sizeof(name), "device %u", i);
		if (roster_add(roster, founder->identity, &world->devices[i]->identity->keys,
			       i == 1 ? ROLE_ADMIN : any_role(world), name, NULL) != 0)
			abort();
	}
	for (uint32_t i = 0; i < n; i++)
		device_join(world->devices[i], roster);
	roster_destroy(roster);
}

/* ---- faults ---- */

static struct device *any_device(struct world *world)
{
	return world->devices[world_below(world, world->n_devices)];
}

static void cut(struct world *world)
{
	const uint32_t n = world->n_devices;
	const uint32_t side = 1 + world_below(world, (1u << n) - 2); /* bits: one half of the home */
	const bool both = world_chance(world, 0.6);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < n; j++)
			if ((side >> i & 1) && !(side >> j & 1)) {
				world->network.cut[i][j] = true;
				world->network.cut[j][i] = both || world->network.cut[j][i];
			}
	world_tell(world, 0, "-- cut %x, %s", side, both ? "both ways" : "one way");
}

static void cut_one(struct world *world)
{
	const uint32_t i = world_below(world, world->n_devices);
	const uint32_t j = world_below(world, world->n_devices);
	world->network.cut[i][j] = true;
	world_tell(world, 0, "-- cut %u to %u", i, j);
}

static void heal(struct world *world)
{
	memset(world->network.cut, 0, sizeof(world->network.cut));
	world_tell(world, 0, "-- healed");
}

static void change_weather(struct world *world)
{
	world->network.loss = world_chance(world, 0.5) ? 0 : 0.3 * world_below(world, 100) / 100;
	world->network.twice = world_chance(world, 0.5) ? 0 : 0.1;
	world->network.delay_ms = world_exponential(world, 30) + 1;
	world->network.late_ms = world_exponential(world, 600);
}

static void in(struct world *world, enum event_kind kind, uint32_t device, double mean_ms)
{
	const struct event event = {
		.at_ms = world->now_ms + (int64_t)world_exponential(world, mean_ms),
		.kind = kind,
		.to = device,
	};
	world_schedule(world, &event);
}

static void crash(struct world *world)
{
	struct device *device = any_device(world);
	device_crash(device, world_chance(world, 0.3));
	in(world, EVENT_RESTART, device->index, world_chance(world, 0.5) ? 500 : 15000);
}

static void pause_one(struct world *world)
{
	struct device *device = any_device(world);
	device_pause(device);
	in(world, EVENT_RESUME, device->index, world_chance(world, 0.5) ? 800 : 9000);
}

static uint32_t count_members(const struct world *world)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < world->n_devices; i++)
		n += !world->devices[i]->out && world->devices[i]->disk.roster.size > 0;
	return n;
}

static void remove_one(struct world *world)
{
	struct device *admin = any_device(world), *other = any_device(world);
	if (count_members(world) > 2 && admin != other && device_is_member_for(admin, other->index))
		device_remove(admin, other);
}

static void join_one(struct world *world)
{
	struct device *admin = any_device(world), *other = any_device(world);
	if (other->disk.roster.size > 0 || !device_runs(admin) || !device_is_member(admin) ||
	    !device_add(admin, other, any_role(world)))
		return;
	world_tell(world, other->index, "-- joins");
	device_join(other, admin->roster);
}

/* Two at once, so that they meet. */
static void usurp(struct world *world)
{
	device_usurp(any_device(world));
	device_usurp(any_device(world));
}

static void fault(struct world *world)
{
	static const struct {
		uint32_t weight;
		void (*happen)(struct world *world);
	} faults[] = {
		{ 6, cut },  { 4, cut_one },   { 8, heal },	  { 6, change_weather },
		{ 6, crash }, { 5, pause_one }, { 1, remove_one }, { 2, join_one },
		{ 8, usurp },
	};
	uint32_t total = 0, draw;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		total += faults[i].weight;
	draw = world_below(world, total);
	size_t i = 0;
	while (draw >= faults[i].weight)
		draw -= faults[i++].weight;
	faults[i].happen(world);
}

/* ---- running ---- */

static void restart(struct device *device)
{
	device_start(device);
}

static void happen(struct world *world, struct event *event, bool calm)
{
	struct device *device = world->devices[event->to];
	if (event->kind == EVENT_FAULT) {
		if (calm)
			return;
		fault(world);
		in(world, EVENT_FAULT, 0, 1200);
	} else if (event->kind == EVENT_RESTART) {
		restart(device);
	} else if (event->kind == EVENT_RESUME) {
		device_resume(device);
	} else {
		device_take(device, event);
	}
}

static bool run(struct world *world, int64_t until_ms, bool calm)
{
	struct event event;
	while (world_next(world, until_ms, &event)) {
		happen(world, &event, calm);
		if (watch_verdict(world->watch))
			return false;
	}
	return true;
}

/* ---- what everybody must agree upon in the end ---- */

/* By its own knowledge and another's: an ADD by an admin that was removed meanwhile may be void, and
 * the device that it let in finds every door closed. */
static bool belongs(const struct world *world, uint32_t index)
{
	if (!device_is_member(world->devices[index]))
		return false;
	if (roster_count(world->devices[index]->roster) == 1)
		return true;
	for (uint32_t i = 0; i < world->n_devices; i++)
		if (i != index && device_is_member(world->devices[i]) &&
		    device_is_member_for(world->devices[i], index))
			return true;
	return false;
}

/* NULL, or what is still missing. */
static const char *disagreement(const struct world *world)
{
	static char text[160];
	const struct device *first = NULL;
	for (uint32_t i = 0; i < world->n_devices; i++) {
		const struct device *device = world->devices[i];
		if (!belongs(world, i))
			continue;
		const struct plan *known = commit_known(device->commit);
		const struct device_id *planner = election_planner(&device->election);
		snprintf(text, sizeof(text), "device %u", i);
		if (device_id_is_none(planner))
			return strcat(text, " knows no planner");
		if (!known)
			return strcat(text, " knows no plan");
		if (device->broken && election_is_self(&device->election))
			return strcat(text, " plans, and holds its plan for broken");
		if (commit_participates(known, device_id_of(device)) && !commit_live(device->commit))
			return strcat(text, " does not serve the plan that it is part of");
		for (uint32_t j = 0; j < known->n_devices; j++)
			if (commit_participates(known, &known->devices[j].id) &&
			    roster_is_removed(device->roster, &known->devices[j].id))
				return strcat(text, " has a plan with a removed device");
		if (first && !device_id_equal(planner, election_planner(&first->election)))
			return strcat(text, " follows another planner");
		if (first && epoch_compare(&known->epoch, &commit_known(first->commit)->epoch) != 0)
			return strcat(text, " knows another plan");
		first = first ? first : device;
	}
	return NULL;
}

static const char *uneven_rosters(const struct world *world)
{
	static char text[160];
	uint8_t first[ID_BYTES], digest[ID_BYTES];
	bool any = false;
	for (uint32_t i = 0; i < world->n_devices; i++) {
		const struct device *device = world->devices[i];
		if (!belongs(world, i))
			continue;
		roster_digest(device->roster, digest);
		if (any && memcmp(first, digest, sizeof(digest)) != 0) {
			snprintf(text, sizeof(text), "device %u has another roster", i);
			return text;
		}
		memcpy(first, digest, sizeof(digest));
		any = true;
	}
	return NULL;
}

static void make_calm(struct world *world)
{
	heal(world);
	world->network.loss = world->network.twice = 0;
	world->network.delay_ms = 5;
	world->network.late_ms = 50;
	for (uint32_t i = 0; i < world->n_devices; i++) {
		device_resume(world->devices[i]);
		device_start(world->devices[i]);
	}
}

/* Milliseconds until all agree, or -1. */
static int64_t settle(struct world *world)
{
	const int64_t begin_ms = world->now_ms;
	const char *missing = NULL;
	while (world->now_ms - begin_ms < CALM_MS) {
		if (!run(world, world->now_ms + SETTLE_MS, true))
			return -1;
		missing = disagreement(world);
		if (!missing)
			missing = uneven_rosters(world);
		if (!missing)
			return world->now_ms - begin_ms;
	}
	watch_violated(world->watch, "no agreement within %d ms of calm: %s", CALM_MS, missing);
	return -1;
}

struct totals {
	uint64_t events, decisions;
	int64_t slowest_ms;
	uint32_t failed;
};

static void run_seed(uint64_t seed, bool trace, struct totals *totals)
{
	struct world world = { .seed = seed, .dice = seed * 0x2545f4914f6cdd1du, .trace = trace };
	world.n_devices = 2 + world_below(&world, SIM_DEVICES_MAX - 1);
	world.watch = watch_create(&world);
	for (uint32_t i = 0; i < world.n_devices; i++)
		world.devices[i] = device_create(&world, i);
	change_weather(&world);
	found_home(&world);
	in(&world, EVENT_FAULT, 0, 1200);
	int64_t settled_ms = -1;
	if (run(&world, 40000 + world_below(&world, 50000), false)) {
		make_calm(&world);
		settled_ms = settle(&world);
	}
	if (settled_ms > totals->slowest_ms)
		totals->slowest_ms = settled_ms;
	if (watch_verdict(world.watch)) {
		printf("seed %llu: %s\n", (unsigned long long)seed, watch_verdict(world.watch));
		totals->failed++;
	}
	totals->events += world.n_events;
	totals->decisions += watch_decisions(world.watch);
	for (uint32_t i = 0; i < world.n_devices; i++)
		device_destroy(world.devices[i]);
	world_finish(&world);
	watch_destroy(world.watch);
}

int main(int argc, char **argv)
{
	const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
	const bool trace = argc > 3 && strcmp(argv[3], "--trace") == 0;
	struct totals totals = { 0 };
	if (sodium_init() < 0)
		return 1;
	for (uint64_t seed = first; seed < first + count; seed++)
		run_seed(seed, trace, &totals);
	printf("%llu seeds, %u failed; %llu events, %llu plans decided, agreement after at most %lld "
	       "ms of calm\n",
	       (unsigned long long)count, totals.failed, (unsigned long long)totals.events,
	       (unsigned long long)totals.decisions, (long long)totals.slowest_ms);
	return totals.failed == 0 && totals.decisions > count ? 0 : 1;
}
