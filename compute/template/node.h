/* node.h: a compiled template: statements and expressions as a tree. */
#ifndef COMPUTE_TEMPLATE_NODE_H
#define COMPUTE_TEMPLATE_NODE_H

#include "compute/template/lexer.h"

/* What the fields hold is said behind each kind; a "?" marks what may be NULL. */
enum node_kind {
	/* expressions */
	NODE_CONSTANT, /* value */
	NODE_NAME,     /* name */
	NODE_LIST,     /* list: items */
	NODE_TUPLE,    /* list: items; as a target of `set` and `for`: targets */
	NODE_DICT,     /* list: pairs */
	NODE_PAIR,     /* a: key, b: value */
	NODE_CHOICE,   /* a: condition, b: then, c: else? */
	NODE_OR,       /* a, b */
	NODE_AND,      /* a, b */
	NODE_NOT,      /* a */
	NODE_COMPARE,  /* a, list: operands */
	NODE_OPERAND,  /* sign, or SIGN_NONE for `in` (negated: `not in`), a */
	NODE_BINARY,   /* sign, a, b */
	NODE_CONCAT,   /* list: what `~` joins */
	NODE_NEGATIVE, /* a */
	NODE_POSITIVE, /* a */
	NODE_FIELD,    /* a: object, name; as a target: the namespace's name in a, name */
	NODE_ITEM,     /* a: object, b: key or slice */
	NODE_SLICE,    /* a: start?, b: stop?, c: step? */
	NODE_CALL,     /* a, list: arguments, keywords */
	NODE_KEYWORD,  /* name, a */
	NODE_FILTER,   /* a? (NULL: the text of a block), name, list, keywords */
	NODE_TEST,     /* a, name, list, keywords, negated */
	/* statements */
	NODE_TEXT,   /* value */
	NODE_PRINT,  /* a */
	NODE_IF,     /* list: branches */
	NODE_BRANCH, /* a: condition?, list: body */
	NODE_FOR,    /* a: target, b: of what, c: condition?, list: body, other: without a pass */
	NODE_SET,    /* a: target, b: value */
	NODE_SET_BLOCK,    /* a: target, b: filters?, list: body */
	NODE_MACRO,        /* name, keywords: parameters, list: body */
	NODE_PARAMETER,    /* name, a: value when it is not given? */
	NODE_CALL_BLOCK,   /* a: call, b: the macro `caller` */
	NODE_FILTER_BLOCK, /* b: filters, list: body */
	NODE_WITH,         /* keywords: names and values, list: body */
	NODE_BREAK,
	NODE_CONTINUE,
};

struct node {
	enum node_kind kind;
	enum sign sign;
	uint32_t line;
	bool negated;
	bool takes_more, takes_names; /* of a macro: it reads `varargs`, `kwargs` */
	struct node *next;            /* in a list */
	const struct string *name;
	struct value value;
	struct node *a, *b, *c;
	struct node *list, *keywords, *other;
};

#endif
