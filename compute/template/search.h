/* search.h: cutting texts at separators, and replacing in them: for filters and methods. */
#ifndef COMPUTE_TEMPLATE_SEARCH_H
#define COMPUTE_TEMPLATE_SEARCH_H

#include "compute/template/value.h"

/* At each `separator` (NULL: at white space), `most` times at most (-1: always). A list. */
struct value search_split(struct run *run, const struct string *string,
			  const struct string *separator, int64_t most);
struct value search_split_last(struct run *run, const struct string *string,
			       const struct string *separator, int64_t most);
struct value search_lines(struct run *run, const struct string *string, bool keep_ends);
/* What stands before, at and after the first (or last) separator: a tuple of three. */
struct value search_partition(struct run *run, const struct string *string,
			      const struct string *separator, bool last);
struct string *search_replace(struct run *run, const struct string *string,
			      const struct string *old, const struct string *new, int64_t most);
struct string *search_join(struct run *run, const struct string *separator,
			   const struct sequence *items, bool strict);
int64_t search_count(struct run *run, const struct string *string, const struct string *needle);

#endif
