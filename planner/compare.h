/* compare.h: our plan for a home beside the one that the paper's method (paper.h) makes of it.
 *
 * Both may read layers from disk at each token, as the paper's model does, whatever the options
 * say: so ours is the best of all plans that theirs could be, and by our forecast its turn is never
 * longer. Where our model cannot hold the paper's plan, the figures of that plan are the paper's
 * own. */
#ifndef PLANNER_COMPARE_H
#define PLANNER_COMPARE_H

#include "base/buf.h"
#include "planner/home.h"

struct plan_comparison {
	struct plan ours, paper; /* as plan_make and plan_make_paper fill them in */
	struct plan_turn turn;   /* the reference turn, and how long it takes with each */
	double ours_turn_s, paper_turn_s;
	bool has_paper;
	struct fail why_no_paper; /* unless has_paper */
};

/* Makes both plans. That the paper's method finds none is a result; that ours finds none, or that
 * the pin settles more than head and rounds, fails as plan_make and plan_make_paper do. */
int plan_compare(struct plan_comparison *comparison, const struct plan_candidate *candidates,
		 uint32_t n_candidates, const struct model_facts *facts,
		 const struct plan_options *options, struct fail *fail);

/* Both forecasts side by side, then who holds which layers, then what limits each; lines of text.
 * `model_name` may be NULL. */
void plan_comparison_text(const struct plan_comparison *comparison, const char *model_name,
			  struct buf *out);

#endif
