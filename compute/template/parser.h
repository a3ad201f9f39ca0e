/* parser.h: makes the tree of a template; expressions are in expression.h. */
#ifndef COMPUTE_TEMPLATE_PARSER_H
#define COMPUTE_TEMPLATE_PARSER_H

#include "compute/template/node.h"

struct parser {
	struct run *run;
	struct lexer lexer;
	struct token now, ahead;  /* the token to be read, and the one after it */
	uint32_t loops;           /* around what is read, within the macro */
	bool saw_more, saw_names; /* `varargs`, `kwargs` were read in the macro */
};

/* The statements of a whole template, as a list. Memory is the run's. */
struct node *parser_parse(struct run *run, const char *text, size_t size);

/* ---- for expression.c ---- */

void parser_next(struct parser *parser);
struct node *parser_node(struct parser *parser, enum node_kind kind);
bool parser_is_sign(const struct parser *parser, enum sign sign);
bool parser_is_name(const struct parser *parser, const char *name);
bool parser_take_sign(struct parser *parser, enum sign sign); /* skips it if it is there */
bool parser_take_name(struct parser *parser, const char *name);
void parser_want_sign(struct parser *parser, enum sign sign); /* fails if it is not */
void parser_want_name(struct parser *parser, const char *name);
const struct string *parser_identifier(struct parser *parser);
_Noreturn void parser_unexpected(struct parser *parser, const char *wanted);

#endif
