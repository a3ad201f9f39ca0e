/* print.h: values as texts, letter by letter as Python prints them. */
#ifndef COMPUTE_TEMPLATE_PRINT_H
#define COMPUTE_TEMPLATE_PRINT_H

#include "compute/template/value.h"

/* str(): what {{ }} writes. */
struct string *print_text(struct run *run, struct value value);
/* repr(), added to a text. */
void print_repr(struct run *run, struct value value, struct text *text);
/* A real in the fewest digits that read back as the same; gives its size. */
size_t print_real(double real, char out[40]);
/* printf into a text, as the template's own. */
void print_format(struct run *run, struct text *text, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
