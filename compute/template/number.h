/* number.h: texts as numbers and numbers made rounder, as Python's int(), float() and round(). */
#ifndef COMPUTE_TEMPLATE_NUMBER_H
#define COMPUTE_TEMPLATE_NUMBER_H

#include "compute/template/value.h"

/* `otherwise` for what is no number. */
struct value number_to_integer(struct run *run, struct value value, int64_t base,
			       struct value otherwise);
struct value number_to_real(struct run *run, struct value value, struct value otherwise);
/* `method`: "common" (halves to even), "ceil" or "floor". */
struct value number_round(struct run *run, struct value value, int64_t precision,
			  struct value method);
int64_t number_of_words(struct run *run, const struct string *string);

#endif
