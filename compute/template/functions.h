/* functions.h: the functions that every template has. */
#ifndef COMPUTE_TEMPLATE_FUNCTIONS_H
#define COMPUTE_TEMPLATE_FUNCTIONS_H

#include "compute/template/callable.h"

/* NULL when there is none. */
const struct callable *functions_find(const struct string *name);

#endif
