/* letters.h: strings in other letters, and what is asked of letters: Python's str methods. */
#ifndef COMPUTE_TEMPLATE_LETTERS_H
#define COMPUTE_TEMPLATE_LETTERS_H

#include "compute/template/string.h"

struct string *letters_upper(struct run *run, const struct string *string);
struct string *letters_lower(struct run *run, const struct string *string);
/* The first character in title case, the rest in lower case. */
struct string *letters_capitalize(struct run *run, const struct string *string);
/* So for each word; with `plain`, words end where Jinja's `title` says (blanks, hyphens, opening
 * brackets), else at whatever has no case. */
struct string *letters_title(struct run *run, const struct string *string, bool plain);

/* True when there is a character and all are such. */
bool letters_all(const struct string *string, bool (*is)(uint32_t character));
/* True when there is a letter with a case, and none of the other case. */
bool letters_are_upper(const struct string *string);
bool letters_are_lower(const struct string *string);

#endif
