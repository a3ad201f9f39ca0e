/* route.h: a plan's ring as a way from stage to stage. Pure. */
#ifndef DAEMON_ROUTE_H
#define DAEMON_ROUTE_H

#include "proto/plan.h"

#include <stdbool.h>
#include <stdint.h>

/* Index of the device that computes a stage; stage n_stages is the head, for the output. */
uint16_t route_device(const struct plan *plan, uint16_t stage);
/* True when no earlier stage is this stage's device's: sequence operations are done here. */
bool route_first_visit(const struct plan *plan, uint16_t stage);
/* The devices that `self` sends flights to, and those that send to it, itself left out. */
uint32_t route_successors(const struct plan *plan, uint16_t self, uint16_t out[PLAN_DEVICES_MAX]);
uint32_t route_predecessors(const struct plan *plan, uint16_t self, uint16_t out[PLAN_DEVICES_MAX]);

#endif
