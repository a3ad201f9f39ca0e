/* methods.h: the methods of texts, objects, lists and loops. */
#ifndef COMPUTE_TEMPLATE_METHODS_H
#define COMPUTE_TEMPLATE_METHODS_H

#include "compute/template/callable.h"

/* NULL when the object has no such method. A method that Python has, but that is not known here,
 * or that would change what a template may not change, is found, and refused when it is called. */
const struct callable *methods_find(struct run *run, struct value object,
				    const struct string *name);

#endif
