/* sort.h: puts lists and objects in order, stably. */
#ifndef COMPUTE_TEMPLATE_SORT_H
#define COMPUTE_TEMPLATE_SORT_H

#include "compute/template/value.h"

struct sort_item {
	struct value key, item;
};

/* In place, by key, as Python orders values; equal ones keep their order, backwards too. */
void sort_items(struct run *run, struct sort_item *items, uint32_t count, bool backwards);
/* A copy with its pairs in the order of their keys. */
const struct dict *sort_dict(struct run *run, const struct dict *dict);
/* A string in lower case, when `fold`; else, and for others, the value as it is. */
struct value sort_key(struct run *run, struct value value, bool fold);

#endif
