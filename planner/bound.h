/* bound.h: a quick lower bound on any way round the ring, to begin with the promising tasks and to
 * see at once what cannot fit.
 *
 * Slots are taken as divisible mass, and each device may take any of it up to the most mass of a
 * range that it is allowed. Two relaxations are combined by their maximum: hops spread over a
 * device's capacity (the linear relaxation of the fixed charge), and the cheapest hop for each of
 * the fewest devices that can hold the mass. */
#ifndef PLANNER_BOUND_H
#define PLANNER_BOUND_H

#include "planner/ring.h"

/* Least cost of any way for the head and caps of `limits`, output included; infinite when the
 * devices cannot hold the layers. */
double bound_way(const struct ring_problem *problem, const struct ring_limits *limits);

#endif
