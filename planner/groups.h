/* groups.h: searches among the devices that can work together: those of one numerics version. */
#ifndef PLANNER_GROUPS_H
#define PLANNER_GROUPS_H

#include "planner/search.h"

/* Runs search_run for each numerics version among the usable devices that the wish admits.
 * result->found tells. Negative: memory is short. */
int groups_search(struct search_result *result, const struct cost *cost,
		  const struct search_wish *wish, struct fail *fail);

/* The usable devices of the version of device `like`; gives their number. */
uint32_t groups_members(const struct cost *cost, const struct search_wish *wish, uint32_t like,
			uint16_t *devices);

#endif
