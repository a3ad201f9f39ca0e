#include "watch.h"

#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct proposal {
	struct epoch epoch;
	uint64_t hash;
};

struct watch {
	const struct world *world;
	char verdict[300];
	uint32_t decisions;
	struct epoch decided[SIM_DEVICES_MAX];  /* highest decided plan that a device takes part in */
	struct epoch promised[SIM_DEVICES_MAX]; /* last promise that it sent */
	struct epoch entered[SIM_DEVICES_MAX];
	struct epoch written[SIM_DEVICES_MAX];
	uint32_t n_proposals, capacity;
	struct proposal *proposals;
};

struct watch *watch_create(const struct world *world)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		abort();
	watch->world = world;
	return watch;
}

void watch_destroy(struct watch *watch)
{
	free(watch->proposals);
	free(watch);
}

const char *watch_verdict(const struct watch *watch)
{
	return watch->verdict[0] ? watch->verdict : NULL;
}

uint32_t watch_decisions(const struct watch *watch)
{
	return watch->decisions;
}

void watch_violated(struct watch *watch, const char *format, ...)
{
	va_list args;
	if (watch->verdict[0])
		return;
	const int n = snprintf(watch->verdict, sizeof(watch->verdict), "at %lld ms: ",
			       (long long)watch->world->now_ms);
	va_start(args, format);
	vsnprintf(watch->verdict + n, sizeof(watch->verdict) - (size_t)n, format, args);
	va_end(args);
}

static unsigned long long number(const struct epoch *epoch)
{
	return (unsigned long long)epoch->counter;
}

static uint64_t hash_of(const struct plan *plan)
{
	const uint8_t *bytes = (const uint8_t *)plan;
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a; plans are zeroed before they are filled */
	for (size_t i = 0; i < offsetof(struct plan, stages) + 16 * sizeof(plan->stages[0]); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

/* ---- plans ---- */

static bool is_removed_for(const struct device *device, const struct device_id *id)
{
	return roster_is_removed(device->roster, id);
}

void watch_proposed(struct watch *watch, uint32_t device, const struct plan *plan)
{
	const struct device *planner = watch->world->devices[device];
	struct fail fail;
	if (plan_check(plan, 0, &fail) != 0)
		watch_violated(watch, "device %u proposes a malformed plan: %s", device, fail.text);
	for (uint32_t i = 0; i < plan->n_devices; i++)
		if (is_removed_for(planner, &plan->devices[i].id))
			watch_violated(watch, "device %u plans with %s, which it knows is removed",
				       device, plan->devices[i].name);
}

static void remember(struct watch *watch, const struct plan *plan, uint64_t hash)
{
	if (watch->n_proposals == watch->capacity) {
		watch->capacity = watch->capacity ? 2 * watch->capacity : 64;
		watch->proposals = realloc(watch->proposals,
					   watch->capacity * sizeof(watch->proposals[0]));
		if (!watch->proposals)
			abort();
	}
	watch->proposals[watch->n_proposals++] =
		(struct proposal){ plan->epoch, hash };
}

/* Called with every plan that is seen outside of its planner or takes effect. */
void watch_seen(struct watch *watch, const struct plan *plan)
{
	const uint64_t hash = hash_of(plan);
	for (uint32_t i = watch->n_proposals; i-- > 0;) {
		const struct proposal *proposal = &watch->proposals[i];
		if (epoch_compare(&proposal->epoch, &plan->epoch) != 0)
			continue;
		if (proposal->hash != hash)
			watch_violated(watch, "two plans have epoch %llu", number(&plan->epoch));
		return;
	}
	remember(watch, plan, hash);
}

void watch_decided(struct watch *watch, uint32_t device, const struct plan *plan)
{
	watch->decisions++;
	watch_seen(watch, plan);
	for (uint32_t i = 0; i < watch->world->n_devices; i++) {
		const struct device *at = watch->world->devices[i];
		if (!commit_participates(plan, device_id_of(at)))
			continue;
		if (!at->disk.has_record ||
		    epoch_compare(&at->disk.record.promised, &plan->epoch) < 0)
			watch_violated(watch, "device %u decides plan %llu, but the promise of "
				       "device %u is not on its disk",
				       device, number(&plan->epoch), i);
		if (epoch_compare(&plan->epoch, &watch->decided[i]) > 0)
			watch->decided[i] = plan->epoch;
		watch_device(watch, i);
	}
}

void watch_promised(struct watch *watch, uint32_t device, const struct epoch *epoch)
{
	if (epoch_compare(epoch, &watch->promised[device]) < 0)
		watch_violated(watch, "device %u promises %llu after %llu", device, number(epoch),
			       number(&watch->promised[device]));
	watch->promised[device] = *epoch;
}

void watch_entered(struct watch *watch, uint32_t device, const struct plan *plan)
{
	watch_seen(watch, plan);
	if (epoch_compare(&plan->epoch, &watch->entered[device]) <= 0)
		watch_violated(watch, "device %u enters plan %llu after %llu", device,
			       number(&plan->epoch), number(&watch->entered[device]));
	watch->entered[device] = plan->epoch;
}

void watch_written(struct watch *watch, uint32_t device, const struct commit_record *record)
{
	if (epoch_compare(&record->promised, &watch->written[device]) < 0)
		watch_violated(watch, "the disk of device %u falls from promise %llu to %llu",
			       device, number(&watch->written[device]),
			       number(&record->promised));
	watch->written[device] = record->promised;
}

void watch_device(struct watch *watch, uint32_t device)
{
	const struct device *at = watch->world->devices[device];
	const struct epoch *decided = &watch->decided[device];
	if (!at->commit)
		return;
	const struct plan *live = commit_live(at->commit);
	const struct epoch promised = commit_promised(at->commit);
	if (live && epoch_compare(&live->epoch, decided) < 0)
		watch_violated(watch, "device %u is live in plan %llu though plan %llu was decided "
			       "with it",
			       device, number(&live->epoch), number(decided));
	if (epoch_compare(&promised, decided) < 0)
		watch_violated(watch, "device %u forgot its promise of %llu", device,
			       number(decided));
}
