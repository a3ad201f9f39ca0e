/* access.h: fields, items and slices of values. */
#ifndef COMPUTE_TEMPLATE_ACCESS_H
#define COMPUTE_TEMPLATE_ACCESS_H

#include "compute/template/callable.h"

/* A loop under way. */
struct loop {
	const struct sequence *items;
	uint32_t count, index; /* index from 0 */
	bool has_last;         /* what `changed` was last told */
	struct value last;
};

/* `object.name`: a method or field first, then an item, else undefined. */
struct value access_field(struct run *run, struct value object, const struct string *name);
/* `object[key]`: an item first, then a method or field, else undefined. */
struct value access_item(struct run *run, struct value object, struct value key);
/* `object[start:stop:step]`; none where nothing is given. */
struct value access_slice(struct run *run, struct value object, struct value start,
			  struct value stop, struct value step);
/* "a.b.0", as `map(attribute=...)` has it. */
struct value access_path(struct run *run, struct value object, struct value path);

#endif
