/* json.h: values as JSON text and back, letter by letter as Python's json module writes it. Source:
 * RFC 8259; Python's documentation of json.dumps. */
#ifndef COMPUTE_TEMPLATE_JSON_H
#define COMPUTE_TEMPLATE_JSON_H

#include "compute/template/value.h"

struct json_style {
	bool ascii; /* other characters as \uXXXX */
	bool sorted;
	bool indented;
	const struct string *indent;    /* of one level, when indented */
	const struct string *separator; /* after an item; NULL: ", ", or "," when indented */
	const struct string *colon;     /* after a key; NULL: ": " */
};

struct string *json_write(struct run *run, struct value value, const struct json_style *style);
/* Fails when the text is not JSON. */
struct value json_read(struct run *run, const struct string *string);

#endif
