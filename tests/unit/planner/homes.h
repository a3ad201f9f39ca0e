/* homes.h: random homes and models for the planner's tests, from a seed. */
#ifndef TESTS_PLANNER_HOMES_H
#define TESTS_PLANNER_HOMES_H

#include "planner/planner.h"

#include <stdint.h>

struct dice {
	uint64_t state;
};

uint64_t dice_next(struct dice *dice);
uint32_t dice_below(struct dice *dice, uint32_t n);             /* 0 to n - 1 */
double dice_between(struct dice *dice, double low, double high); /* even on a logarithmic scale */
bool dice_chance(struct dice *dice, double probability);

struct test_home {
	uint32_t n;
	struct profile profiles[PLAN_DEVICES_MAX];
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	struct model_facts facts;
	struct plan_options options;
};

/* `n` devices with speeds, links and memory of a plausible spread, `n_layers` layers of one to
 * three kinds. `room` scales memory: with 1 the devices together hold about the model. */
void test_home_roll(struct test_home *home, struct dice *dice, uint32_t n, uint32_t n_layers,
		    double room);

/* A device with one rate for everything, no overhead, far more memory than it needs, no links. */
void test_device(struct profile *profile, uint32_t number, const char *name,
		 double weights_per_s);
/* A link both ways. */
void test_link(struct profile *a, struct profile *b, double rtt_s, double bytes_per_s);
/* `n_layers` equal layers of 1,000,000 weights of type 8 and 1,062,500 bytes, 1 kB of KV. */
void test_model(struct model_facts *facts, uint32_t n_layers);

#endif
