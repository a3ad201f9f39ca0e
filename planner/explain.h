/* explain.h: a plan in words, for the person who owns the devices. */
#ifndef PLANNER_EXPLAIN_H
#define PLANNER_EXPLAIN_H

#include "base/buf.h"
#include "planner/forecast.h"

/* Fills forecast, limit sentence and every device's figures and sentence from `forecast`. */
void plan_explain(struct plan *plan, const struct plan_forecast *forecast,
		  const struct plan_candidate *candidates, uint32_t n_candidates,
		  const struct model_facts *facts, const struct plan_options *options);

/* The whole plan as lines of text: forecast, limit, then each device with its layers and reason.
 * `facts` of its model may be NULL. No line is longer than about 200 characters. */
void plan_text(const struct plan *plan, const struct model_facts *facts, struct buf *out);

/* "1.2 GB", "340 MB", "12 kB" (decimal units). Gives `text`. */
const char *plan_size_text(uint64_t bytes, char text[16]);

#endif
