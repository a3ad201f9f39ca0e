/* eval.h: walks the tree of a template: statements write a text, expressions give values. */
#ifndef COMPUTE_TEMPLATE_EVAL_H
#define COMPUTE_TEMPLATE_EVAL_H

#include "compute/template/callable.h"
#include "compute/template/node.h"
#include "compute/template/scope.h"

struct eval {
	struct run *run;
	const struct dict *variables; /* that the template was given */
	struct text *out;             /* what is being written */
};

/* A macro, and the scope it was made in. */
struct macro {
	const struct node *node;
	struct scope *scope;
};

enum eval_flow { EVAL_ON, EVAL_BREAK, EVAL_CONTINUE };

/* Writes the statements of a list into eval->out. */
enum eval_flow eval_body(struct eval *eval, struct scope *scope, const struct node *body);
struct value eval_expression(struct eval *eval, struct scope *scope, const struct node *node);
/* The text of a body, in a scope of its own. */
struct string *eval_capture(struct eval *eval, struct scope *scope, const struct node *body);
/* A chain of filters, applied to a text. */
struct value eval_filters(struct eval *eval, struct scope *scope, const struct node *filters,
			  struct value input);
/* `caller` may be NULL: what `caller()` means in the macro. */
struct value eval_macro(struct eval *eval, const struct macro *macro,
			const struct arguments *arguments, const struct value *caller);
/* A call's value, with `caller` for a macro. */
struct value eval_call(struct eval *eval, struct scope *scope, const struct node *call,
		       const struct value *caller);

#endif
