/* filters.h: `value|filter`. */
#ifndef COMPUTE_TEMPLATE_FILTERS_H
#define COMPUTE_TEMPLATE_FILTERS_H

#include "compute/template/callable.h"

bool filters_known(const struct string *name);
/* Fails, by name, for a filter that is not known. */
const struct callable *filters_find(struct run *run, const struct string *name);

#endif
