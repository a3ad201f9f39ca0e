/* watch.h: what must never happen, seen from above. A violation is told and ends the run.
 *
 *  - A plan is decided only when the promise of every participant is on its disk.
 *  - Once a plan is decided, none of its participants is live with a lower epoch: no device is ever
 *    in two committed plans that could both run.
 *  - Epochs never fall: what a device promises rises, and what it enters rises strictly, across its
 *    restarts; its disk never holds a lower promise than before.
 *  - One epoch, one plan.
 *  - A removed device is not in any plan proposed by who knows of the removal, and once all know, in
 *    no live plan and no roster. */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include "world.h"

struct watch;

struct watch *watch_create(const struct world *world); /* gives */
void watch_destroy(struct watch *watch);

void watch_proposed(struct watch *watch, uint32_t device, const struct plan *plan);
void watch_seen(struct watch *watch, const struct plan *plan); /* it is sent to somebody */
void watch_decided(struct watch *watch, uint32_t device, const struct plan *plan);
void watch_promised(struct watch *watch, uint32_t device, const struct epoch *epoch);
void watch_entered(struct watch *watch, uint32_t device, const struct plan *plan);
void watch_written(struct watch *watch, uint32_t device, const struct commit_record *record);
/* After every step of a device. */
void watch_device(struct watch *watch, uint32_t device);

/* NULL, or the first violation as a sentence. */
const char *watch_verdict(const struct watch *watch);
void watch_violated(struct watch *watch, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

uint32_t watch_decisions(const struct watch *watch);

#endif
