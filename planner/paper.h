/* paper.h: the scheduling problem of the paper (arXiv 2504.08791, "Halda"), as a baseline.
 *
 * Its sets M1 to M4, constraints and fixed rounds (k among the divisors of L), solved exactly: for
 * fixed sets and k the problem separates by device, so a dynamic programme over the layers replaces
 * the integer solver. Every device gets at least one layer a round; links do not count, as in the
 * reference code. The plan that comes out is forecast by our own model, so that both can be
 * compared. */
#ifndef PLANNER_PAPER_H
#define PLANNER_PAPER_H

#include "planner/home.h"

/* Makes the paper's plan: head first, ring in the order of candidates. Devices that may not take
 * part (barred, other numerics, unmeasured) are left out beforehand; the paper's own selection
 * (devices whose window stays at one layer are removed, then solved again) follows. FAIL_MEMORY: no
 * assignment meets the paper's constraints. The forecast assumes streaming, as the paper does; the
 * pin may settle head and rounds only. */
int plan_make_paper(struct plan *plan, const struct plan_candidate *candidates,
		    uint32_t n_candidates, const struct model_facts *facts,
		    const struct plan_options *options, struct fail *fail);

#endif
