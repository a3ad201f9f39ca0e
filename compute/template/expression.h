/* expression.h: reads the expressions of a template. Binding, from loosest: `if`, `or`, `and`,
 * `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs, then fields, items, calls, filters and
 * tests. */
#ifndef COMPUTE_TEMPLATE_EXPRESSION_H
#define COMPUTE_TEMPLATE_EXPRESSION_H

#include "compute/template/parser.h"

struct node *expression_parse(struct parser *parser);
/* Without `x if y else z`, as after `for` and `if`. */
struct node *expression_parse_plain(struct parser *parser);
/* One, or several with commas: a tuple. */
struct node *expression_parse_tuple(struct parser *parser, bool plain);
/* A name, or several with commas; with `fields`, also `namespace.field`. */
struct node *expression_parse_target(struct parser *parser, bool fields);
/* What is called, with its fields and calls, for `{% call %}`. */
struct node *expression_parse_call(struct parser *parser);
/* `name(...)|name`, applied to a block. */
struct node *expression_parse_filters(struct parser *parser);

#endif
