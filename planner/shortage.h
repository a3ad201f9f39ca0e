/* shortage.h: why a model fits in no way, and what would help. */
#ifndef PLANNER_SHORTAGE_H
#define PLANNER_SHORTAGE_H

#include "planner/search.h"

/* Sets `fail` and gives its negative code. `cost` is used for trials and left as it was. */
int shortage_tell(struct cost *cost, const struct search_wish *wish, struct fail *fail);

#endif
