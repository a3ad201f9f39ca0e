/* tests.h: `value is test`. */
#ifndef COMPUTE_TEMPLATE_TESTS_H
#define COMPUTE_TEMPLATE_TESTS_H

#include "compute/template/callable.h"

/* Fails, by name, for a test that is not known. A test gives a bool. */
const struct callable *tests_find(struct run *run, const struct string *name);

#endif
