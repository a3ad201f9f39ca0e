/* reference.h: the least turn of a home by a programme without any bound: every head, chunk size, set
 * of devices, last of them, and boundary. Exact for what it covers (no streaming, one version of the
 * arithmetic, nobody barred), slow, and it shares only the cost model with the planner's search. */
#ifndef TESTS_PLANNER_REFERENCE_H
#define TESTS_PLANNER_REFERENCE_H

#include "homes.h"

#define REFERENCE_DEVICES_MAX 10

/* Seconds of the reference turn, for the pinned rounds or one; infinite: nothing fits. */
double reference_turn(const struct test_home *home);

#endif
