/* scope.h: the names that a template has set, scope within scope. */
#ifndef COMPUTE_TEMPLATE_SCOPE_H
#define COMPUTE_TEMPLATE_SCOPE_H

#include "compute/template/value.h"

struct variable {
	struct variable *next;
	const struct string *name;
	struct value value;
};

struct scope {
	struct scope *outer; /* NULL for the outermost */
	struct variable *variables;
};

struct scope *scope_create(struct run *run, struct scope *outer);
/* In this scope, whatever the outer ones hold. */
void scope_set(struct run *run, struct scope *scope, const struct string *name, struct value value);
/* In this or an outer scope; NULL when nobody set it. */
struct value *scope_find(struct run *run, struct scope *scope, const struct string *name);

#endif
