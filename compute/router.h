/* router.h: which experts a row goes to, and how much each counts (Shazeer et al. 2017; Mixtral,
 * Jiang et al. 2024). Scalar, in a fixed order: see "Experts" in numerics.md. Inside compute only.
 */
#ifndef COMPUTE_ROUTER_H
#define COMPUTE_ROUTER_H

#include "compute/model.h"

#include <stdint.h>

struct router_choice {
	uint32_t expert;
	float weight;
};

/* Chooses shape->n_expert_used experts with the largest logits [n_expert], the lower index where
 * two are equal, none twice; NaN is less than any number. `choices` are in rising order of experts.
 * `logits` is used up. */
void router_choose(const struct model_shape *shape, float *logits, struct router_choice *choices);

#endif
