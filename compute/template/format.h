/* format.h: Python's two ways to fill values into a text: "%s" % value and "{}".format(value). */
#ifndef COMPUTE_TEMPLATE_FORMAT_H
#define COMPUTE_TEMPLATE_FORMAT_H

#include "compute/template/callable.h"

/* `values`: a tuple for several places, anything else for one. Knows %s %d %i %f %x %X %% with
 * flags, width and precision. */
struct string *format_percent(struct run *run, const struct string *format, struct value values);
/* Knows {}, {0}, {name}, {{ and }}; no fields, no conversions. */
struct string *format_braces(struct run *run, const struct string *format,
			     const struct arguments *arguments);

#endif
