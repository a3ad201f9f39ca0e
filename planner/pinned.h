/* pinned.h: what a pin means for the devices at hand. */
#ifndef PLANNER_PINNED_H
#define PLANNER_PINNED_H

#include "planner/cost.h"
#include "planner/search.h"

/* Index of the candidate that a person calls `name`: its name, short id or hex id. Refuses unknown
 * and ambiguous names (FAIL_NOT_FOUND), and devices that cannot be used (FAIL_INVALID); `field`
 * says where the name stands. */
int pinned_find(const struct cost *cost, const char *name, const char *field, uint32_t *index,
		struct fail *fail);

/* Head, order and rounds of the pin as a wish for the search; refuses what cannot be. */
int pinned_wish(struct search_wish *wish, const struct cost *cost, struct fail *fail);

/* Fills the stages and rounds of `plan` from pinned layers; devices are the candidates in their
 * order. The head is the pinned one, or else `*head` is -1 and the caller tries them all. */
int pinned_stages(struct plan *plan, const struct cost *cost, int *head, struct fail *fail);

#endif
