/* planner.h: who plans, and what: the front door of planner/.
 *
 * Everything here is pure: profiles, events and times come in; plans, actions and sentences go out.
 * No function reads a clock, a file, a socket or a random number, and none keeps state outside the
 * structs it is given. */
#ifndef PLANNER_PLANNER_H
#define PLANNER_PLANNER_H

#include "planner/commit.h"   /* PREPARE, PROMISE, COMMIT: both roles of making a plan live */
#include "planner/compare.h"  /* our plan beside the paper's */
#include "planner/describe.h" /* JSON of homes, profiles and plans */
#include "planner/election.h" /* who plans */
#include "planner/explain.h"  /* a plan in words */
#include "planner/forecast.h" /* what a given plan costs */
#include "planner/halda.h"    /* the best plan for a home and a model */
#include "planner/home.h"     /* what planning reads: candidates and options */
#include "planner/paper.h"    /* the paper's own problem, as a baseline */
#include "planner/pin.h"      /* plans that a person settles in part or wholly */

#endif
