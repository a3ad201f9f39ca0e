/* operators.h: arithmetic and joining, as Python does them on whole numbers of 64 bits. */
#ifndef COMPUTE_TEMPLATE_OPERATORS_H
#define COMPUTE_TEMPLATE_OPERATORS_H

#include "compute/template/value.h"

/* SIGN_ADD to SIGN_MODULO, SIGN_POWER. */
struct value operators_apply(struct run *run, int sign, struct value left, struct value right);
struct value operators_negate(struct run *run, struct value value);
/* SIGN_EQUAL to SIGN_LESS_EQUAL; SIGN_NONE is `in`. */
bool operators_compare(struct run *run, int sign, struct value left, struct value right);
/* `+` of two texts: what is added to Markup is escaped. */
struct string *operators_join(struct run *run, struct string *left, struct string *right);

#endif
