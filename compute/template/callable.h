/* callable.h: filters, tests, methods and functions as rows of tables, and their arguments. */
#ifndef COMPUTE_TEMPLATE_CALLABLE_H
#define COMPUTE_TEMPLATE_CALLABLE_H

#include "compute/template/value.h"

#define CALLABLE_PARAMETERS 4

struct keyword {
	const struct string *name;
	struct value value;
};

struct arguments {
	struct value *items;
	uint32_t count;
	struct keyword *keywords;
	uint32_t n_keywords;
};

/* `input` is what a filter, test or method works on; none for functions. */
typedef struct value callable_fn(struct run *run, struct value input,
				 const struct arguments *arguments);

struct callable {
	const char *name;
	callable_fn *call;
	uint32_t required; /* of the parameters */
	const char *parameters[CALLABLE_PARAMETERS];
	bool any; /* takes what comes, unsorted */
};

/* A method and what it belongs to. */
struct method {
	struct value object;
	const struct callable *callable;
};

/* The row with this name of a table that ends with a NULL name, or NULL. */
const struct callable *callable_find(const struct callable *table, const struct string *name);
/* Sorts the arguments by the row's parameters (those not given are VALUE_MISSING) and calls. */
struct value callable_call(struct run *run, const struct callable *callable, struct value input,
			   const struct arguments *arguments);

/* ---- for the rows: argument `index`, or what stands for it. None counts as not given. ---- */

bool callable_given(const struct arguments *arguments, uint32_t index);
struct value callable_argument(const struct arguments *arguments, uint32_t index,
			       struct value otherwise);
int64_t callable_whole(struct run *run, const struct arguments *arguments, uint32_t index,
		       int64_t otherwise);
bool callable_truth(struct run *run, const struct arguments *arguments, uint32_t index,
		    bool otherwise);
/* A string; NULL when it was not given; fails for other types. */
struct string *callable_string(struct run *run, const struct arguments *arguments, uint32_t index);

#endif
