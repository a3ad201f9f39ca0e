/* halda.h: the best plan for a home and a model.
 *
 * The problem, the cost model and why the search is exact stand at the top of halda.c and cost.h.
 * In short: every choice of head, ring order, rounds k, chunk size and layers per device (none at
 * all is a choice: that is device selection) that fits into every device's memory is compared by
 * the time of the reference turn; the least one is given. Exact for up to PLAN_EXACT_DEVICES usable
 * devices (unless SEARCH_STEPS_MAX steps do not suffice, search.h); for more, a heuristic, exact along
 * the order that it found; and no plan is ever worse than the best device alone. */
#ifndef PLANNER_HALDA_H
#define PLANNER_HALDA_H

#include "planner/home.h"

#define PLAN_EXACT_DEVICES 12u

/* Makes the best plan that the pin admits, with forecast, sentences and limit filled in. All
 * candidates are in plan->devices, those left out with 0 layers and the reason. FAIL_MEMORY when
 * the model fits in no way: the sentence says how much memory is missing and what would help.
 * FAIL_INVALID for impossible pins, naming them, and for options out of range. FAIL_VERSION when
 * a pin asks devices of different numerics to work together. On failure `plan` is undefined. */
int plan_make(struct plan *plan, const struct plan_candidate *candidates, uint32_t n_candidates,
	      const struct model_facts *facts, const struct plan_options *options,
	      struct fail *fail);

#endif
