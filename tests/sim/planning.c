#include "planning.h"

#include "glue.h"
#include "watch.h"

#include <stdio.h>
#include <string.h>

#define LAYERS 16
#define SERVE_MS 5000 /* a participant that does not serve the plan for so long has lost it */

static bool is_planner(const struct device *device)
{
	return election_is_self(&device->election);
}

static void plan_in(struct device *device, int64_t wait_ms)
{
	const int64_t at_ms = device->world->now_ms + wait_ms;
	if (at_ms < device->plan_at_ms)
		device->plan_at_ms = at_ms;
}

/* ---- a plan of any kind ---- */

/* Members that the planner believes to be there. */
static uint32_t candidates(const struct device *device, uint32_t *list)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < device->world->n_devices; i++) {
		const struct device_id *id = device_id_of(device->world->devices[i]);
		const struct member *member = roster_find(device->roster, id);
		const bool here = i == device->index ||
				  membership_liveness(device->membership, id) == LIVENESS_ALIVE;
		if (member && here && member->role != ROLE_CLIENT && !(device->silent >> i & 1))
			list[n++] = i;
	}
	return n;
}

static void deal(struct world *world, struct plan *plan, uint32_t n_parts)
{
	uint32_t next = 0;
	for (uint32_t i = 0; i < n_parts; i++) {
		const uint32_t left = LAYERS - next, spare = left - (n_parts - 1 - i);
		const uint32_t take = i + 1 == n_parts ? left : 1 + world_below(world, spare);
		struct plan_stage *stage = &plan->stages[plan->n_stages++];
		stage->first_layer = (uint16_t)next;
		next += take;
		stage->end_layer = (uint16_t)next;
		stage->n_group = 1;
		stage->group[0].device = (uint16_t)i;
		stage->group[0].share = 1;
		plan->devices[i].n_layers = take;
	}
}

static bool make(struct device *device, struct plan *plan)
{
	struct world *world = device->world;
	uint32_t list[SIM_DEVICES_MAX];
	const uint32_t n = candidates(device, list);
	if (n == 0)
		return false;
	memset(plan, 0, sizeof(*plan));
	plan->epoch = commit_next_epoch(device->commit);
	plan->model.bytes[0] = (uint8_t)world_dice(world); /* plans of one epoch differ */
	plan->numerics = plan->rounds = 1;
	plan->context = plan->kv_positions = 1024;
	plan->chunk_rows = 32;
	plan->n_devices = (uint16_t)n;
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t j = world_below(world, i + 1);
		plan->devices[i] = plan->devices[j];
		plan->devices[j].id = *device_id_of(world->devices[list[i]]);
		snprintf(plan->devices[j].name, DEVICE_NAME_BYTES, "device %u", list[i]);
	}
	plan->head = (uint16_t)world_below(world, n);
	deal(world, plan, 1 + world_below(world, n));
	return true;
}

static void propose(struct device *device)
{
	static struct plan plan;
	const struct commit_event propose = { .kind = COMMIT_PROPOSE, .plan = &plan };
	const bool made = make(device, &plan);
	device->silent = 0;
	if (!made) {
		plan_in(device, 1000);
		return;
	}
	watch_proposed(device->world->watch, device->index, &plan);
	world_tell(device->world, device->index, "proposes plan %llu",
		   (unsigned long long)plan.epoch.counter);
	glue_commit(device, &propose);
}

void planning_now(struct device *device)
{
	const struct plan *known = commit_known(device->commit);
	device->plan_at_ms = INT64_MAX;
	if (!is_planner(device) || (known && !device->broken))
		return;
	if (commit_proposing(device->commit))
		plan_in(device, 200);
	else
		propose(device);
}

void planning_usurp(struct device *device)
{
	if (!commit_proposing(device->commit))
		propose(device);
}

/* ---- reasons ---- */

static void lose_plan(struct device *device)
{
	const struct plan *known = commit_known(device->commit);
	const struct commit_event drop = { .kind = COMMIT_DROP };
	if (!known || device->broken)
		return;
	const struct epoch epoch = known->epoch;
	const bool takes_part = commit_participates(known, device_id_of(device));
	if (!takes_part && !is_planner(device))
		return; /* not for a spectator to judge */
	device->broken = true;
	if (takes_part)
		glue_tell_failed(device, &epoch);
	glue_commit(device, &drop);
	plan_in(device, REPLAN_PAUSE_MS);
}

void planning_follow(struct device *device)
{
	const struct plan *known = commit_known(device->commit);
	if (!known || epoch_compare(&known->epoch, &device->adopted) <= 0)
		return;
	device->adopted = known->epoch;
	device->adopted_ms = device->world->now_ms;
	device->broken = false;
}

static bool all_here(const struct device *device, const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_devices; i++) {
		const struct device_id *id = &plan->devices[i].id;
		if (commit_participates(plan, id) && !device_id_equal(id, device_id_of(device)) &&
		    membership_liveness(device->membership, id) != LIVENESS_ALIVE)
			return false;
	}
	return true;
}

/* A new planner looks at what it takes over. */
void planning_elected(struct device *device)
{
	const struct plan *known = commit_known(device->commit);
	if (!is_planner(device))
		return;
	if (known && !all_here(device, known))
		device->broken = true;
	plan_in(device, REPLAN_PAUSE_MS);
}

void planning_paused(struct device *device)
{
	lose_plan(device);
}

void planning_lost(struct device *device, const struct device_id *id)
{
	const struct commit_event gone = { .kind = COMMIT_GONE, .from = *id };
	glue_commit(device, &gone);
	const struct plan *known = commit_known(device->commit);
	if (known && commit_participates(known, id))
		lose_plan(device);
}

void planning_found(struct device *device)
{
	if (!is_planner(device) || !world_chance(device->world, 0.3))
		return;
	device->broken = true; /* a better plan is possible now */
	plan_in(device, REPLAN_PAUSE_MS);
}

void planning_failed(struct device *device, const struct epoch *epoch)
{
	const struct plan *known = commit_known(device->commit);
	if (known && epoch_compare(&known->epoch, epoch) == 0)
		lose_plan(device);
}

void planning_asked(struct device *device, uint32_t from)
{
	const struct plan *known = commit_known(device->commit);
	if (!is_planner(device))
		return;
	if (known && !device->broken &&
	    !commit_participates(known, device_id_of(device->world->devices[from]))) {
		glue_tell_spectators(device, known);
		return;
	}
	device->broken = true;
	plan_in(device, 0);
}

void planning_silent(struct device *device, const struct commit_actions *actions)
{
	for (uint32_t i = 0; i < actions->n_silent; i++)
		for (uint32_t j = 0; j < device->world->n_devices; j++)
			if (device_id_equal(&actions->silent[i],
					    device_id_of(device->world->devices[j])))
				device->silent |= 1u << j;
	device->broken = true;
	plan_in(device, 0);
}

void planning_outbid(struct device *device)
{
	device->broken = true;
	plan_in(device, 200 + world_below(device->world, 800));
}

static void tell_again(struct device *device, uint32_t to, const struct plan *known)
{
	const struct device_id *id = device_id_of(device->world->devices[to]);
	if (!commit_participates(known, id))
		glue_tell_spectators(device, known);
}

void planning_heard(struct device *device, uint32_t from, const struct epoch *theirs,
		    const struct epoch *live)
{
	const struct plan *known = commit_known(device->commit);
	const struct device_id *id = device_id_of(device->world->devices[from]);
	if (!known || device->broken || !is_planner(device))
		return;
	if (epoch_compare(theirs, &known->epoch) < 0)
		tell_again(device, from, known);
	/* as a broken ring would show */
	if (commit_participates(known, id) && epoch_compare(live, &known->epoch) != 0 &&
	    device->world->now_ms - device->adopted_ms > SERVE_MS) {
		device->broken = true;
		plan_in(device, 0);
	}
	/* a plan of another planner that this one never saw */
	if (epoch_compare(theirs, &known->epoch) > 0) {
		device->broken = true;
		plan_in(device, REPLAN_PAUSE_MS);
	}
}
