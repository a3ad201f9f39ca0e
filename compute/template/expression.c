#include "compute/template/expression.h"

#include <string.h>

static struct node *parse_postfix(struct parser *parser, struct node *node);
static struct node *parse_unary(struct parser *parser, bool filters);

static void add(struct node ***end, struct node *node)
{
	**end = node;
	*end = &node->next;
}

static struct node *pair(struct parser *parser, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *node = parser_node(parser, kind);
	node->a = a;
	node->b = b;
	return node;
}

/* ---- lists ---- */

static struct node *parse_items(struct parser *parser, enum node_kind kind, enum sign end)
{
	struct node *node = parser_node(parser, kind), **last = &node->list;
	parser_next(parser);
	while (!parser_take_sign(parser, end)) {
		if (node->list) {
			parser_want_sign(parser, SIGN_COMMA);
			if (parser_take_sign(parser, end))
				break;
		}
		add(&last, expression_parse(parser));
	}
	return node;
}

static struct node *parse_dict(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_DICT), **last = &node->list;
	parser_next(parser);
	while (!parser_take_sign(parser, SIGN_CURLY_END)) {
		if (node->list) {
			parser_want_sign(parser, SIGN_COMMA);
			if (parser_take_sign(parser, SIGN_CURLY_END))
				break;
		}
		struct node *key = expression_parse(parser);
		parser_want_sign(parser, SIGN_COLON);
		add(&last, pair(parser, NODE_PAIR, key, expression_parse(parser)));
	}
	return node;
}

static bool is_tuple_end(const struct parser *parser)
{
	return parser->now.type == TOKEN_PRINT_END || parser->now.type == TOKEN_BLOCK_END ||
	       parser_is_sign(parser, SIGN_ROUND_END) || parser_is_name(parser, "in") ||
	       parser_is_name(parser, "recursive");
}

static struct node *parse_tuple(struct parser *parser, bool plain, bool empty_is_fine)
{
	struct node *tuple = parser_node(parser, NODE_TUPLE), **last = &tuple->list;
	bool comma = false;
	while (!is_tuple_end(parser)) {
		add(&last, plain ? expression_parse_plain(parser) : expression_parse(parser));
		if (!parser_take_sign(parser, SIGN_COMMA))
			break;
		comma = true;
	}
	if (!tuple->list && !empty_is_fine)
		parser_unexpected(parser, "an expression");
	return tuple->list && !comma ? tuple->list : tuple;
}

struct node *expression_parse_tuple(struct parser *parser, bool plain)
{
	return parse_tuple(parser, plain, false);
}

static struct node *parse_one_target(struct parser *parser, bool fields)
{
	if (parser_take_sign(parser, SIGN_ROUND)) {
		run_enter(parser->run);
		struct node *inner = expression_parse_target(parser, fields);
		run_leave(parser->run);
		parser_want_sign(parser, SIGN_ROUND_END);
		return inner;
	}
	struct node *name = parser_node(parser, NODE_NAME);
	name->name = parser_identifier(parser);
	if (!fields || !parser_take_sign(parser, SIGN_DOT))
		return name;
	struct node *field = pair(parser, NODE_FIELD, name, NULL);
	field->name = parser_identifier(parser);
	return field;
}

struct node *expression_parse_target(struct parser *parser, bool fields)
{
	struct node *tuple = parser_node(parser, NODE_TUPLE), **last = &tuple->list;
	bool comma = false;
	do {
		if (tuple->list &&
		    (parser_is_name(parser, "in") ||
		     (parser->now.type != TOKEN_NAME && !parser_is_sign(parser, SIGN_ROUND))))
			break; /* a comma may end the list */
		add(&last, parse_one_target(parser, fields));
		comma = comma || parser_is_sign(parser, SIGN_COMMA);
	} while (parser_take_sign(parser, SIGN_COMMA));
	return comma ? tuple : tuple->list;
}

/* ---- primaries ---- */

static bool named_constant(const struct token *token, struct value *value)
{
	static const struct {
		const char *name;
		enum value_type type;
		bool truth;
	} constants[] = { { "true", VALUE_BOOL, true },   { "True", VALUE_BOOL, true },
			  { "false", VALUE_BOOL, false }, { "False", VALUE_BOOL, false },
			  { "none", VALUE_NONE, false },  { "None", VALUE_NONE, false } };
	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (strlen(constants[i].name) != token->size ||
		    memcmp(constants[i].name, token->text, token->size) != 0)
			continue;
		*value = (struct value){ .type = constants[i].type, .truth = constants[i].truth };
		return true;
	}
	return false;
}

static struct node *parse_name(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_CONSTANT);
	if (named_constant(&parser->now, &node->value)) {
		parser_next(parser);
		return node;
	}
	parser->saw_more = parser->saw_more || parser_is_name(parser, "varargs");
	parser->saw_names = parser->saw_names || parser_is_name(parser, "kwargs");
	node->kind = NODE_NAME;
	node->name = parser_identifier(parser);
	return node;
}

/* Strings that stand side by side are one. */
static struct node *parse_constant(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_CONSTANT);
	node->value = parser->now.value;
	parser_next(parser);
	while (node->value.type == VALUE_STRING && parser->now.type == TOKEN_CONSTANT &&
	       parser->now.value.type == VALUE_STRING) {
		node->value.string =
			string_concat(parser->run, node->value.string, parser->now.value.string);
		node->value.string->text->frozen = true;
		parser_next(parser);
	}
	return node;
}

static struct node *parse_primary(struct parser *parser)
{
	if (parser->now.type == TOKEN_NAME)
		return parse_name(parser);
	if (parser->now.type == TOKEN_CONSTANT)
		return parse_constant(parser);
	if (parser_is_sign(parser, SIGN_SQUARE))
		return parse_items(parser, NODE_LIST, SIGN_SQUARE_END);
	if (parser_is_sign(parser, SIGN_CURLY))
		return parse_dict(parser);
	if (!parser_take_sign(parser, SIGN_ROUND))
		parser_unexpected(parser, "an expression");
	struct node *inner = parse_tuple(parser, false, true);
	parser_want_sign(parser, SIGN_ROUND_END);
	return inner;
}

/* ---- what follows a primary ---- */

static bool is_slice_end(const struct parser *parser)
{
	return parser_is_sign(parser, SIGN_COLON) || parser_is_sign(parser, SIGN_SQUARE_END) ||
	       parser_is_sign(parser, SIGN_COMMA);
}

static struct node *parse_slice(struct parser *parser, struct node *start)
{
	struct node *slice = pair(parser, NODE_SLICE, start, NULL);
	parser_want_sign(parser, SIGN_COLON);
	if (!is_slice_end(parser))
		slice->b = expression_parse(parser);
	if (parser_take_sign(parser, SIGN_COLON) && !is_slice_end(parser))
		slice->c = expression_parse(parser);
	return slice;
}

static struct node *parse_item(struct parser *parser, struct node *object)
{
	struct node *key = NULL;
	parser_next(parser);
	if (!parser_is_sign(parser, SIGN_COLON))
		key = expression_parse(parser);
	if (parser_is_sign(parser, SIGN_COLON))
		key = parse_slice(parser, key);
	if (parser_is_sign(parser, SIGN_COMMA))
		run_fail(parser->run, FAIL_UNSUPPORTED,
			 "an item with several keys (`x[a, b]`) is not known here");
	parser_want_sign(parser, SIGN_SQUARE_END);
	return pair(parser, NODE_ITEM, object, key);
}

static struct node *parse_field(struct parser *parser, struct node *object)
{
	parser_next(parser);
	if (parser->now.type == TOKEN_CONSTANT && parser->now.value.type == VALUE_INTEGER)
		return pair(parser, NODE_ITEM, object, parse_constant(parser));
	struct node *node = pair(parser, NODE_FIELD, object, NULL);
	node->name = parser_identifier(parser);
	return node;
}

static void parse_arguments(struct parser *parser, struct node *call)
{
	struct node **items = &call->list, **keywords = &call->keywords;
	parser_want_sign(parser, SIGN_ROUND);
	while (!parser_take_sign(parser, SIGN_ROUND_END)) {
		if (call->list || call->keywords) {
			parser_want_sign(parser, SIGN_COMMA);
			if (parser_take_sign(parser, SIGN_ROUND_END))
				break;
		}
		if (parser_is_sign(parser, SIGN_MULTIPLY) || parser_is_sign(parser, SIGN_POWER))
			run_fail(parser->run, FAIL_UNSUPPORTED,
				 "a call with `*` or `**` arguments is not known here");
		if (parser->now.type == TOKEN_NAME && parser->ahead.type == TOKEN_SIGN &&
		    parser->ahead.sign == SIGN_ASSIGN) {
			struct node *keyword = parser_node(parser, NODE_KEYWORD);
			keyword->name = parser_identifier(parser);
			parser_next(parser);
			keyword->a = expression_parse(parser);
			add(&keywords, keyword);
		} else if (call->keywords) {
			parser_unexpected(parser, "an argument by name");
		} else {
			add(&items, expression_parse(parser));
		}
	}
}

static struct node *parse_call(struct parser *parser, struct node *callee)
{
	struct node *call = pair(parser, NODE_CALL, callee, NULL);
	parse_arguments(parser, call);
	return call;
}

static struct node *parse_postfix(struct parser *parser, struct node *node)
{
	for (;;) {
		if (parser_is_sign(parser, SIGN_DOT))
			node = parse_field(parser, node);
		else if (parser_is_sign(parser, SIGN_SQUARE))
			node = parse_item(parser, node);
		else if (parser_is_sign(parser, SIGN_ROUND))
			node = parse_call(parser, node);
		else
			return node;
	}
}

/* "name" or "name.name" */
static const struct string *parse_dotted(struct parser *parser)
{
	const struct string *name = parser_identifier(parser);
	while (parser_take_sign(parser, SIGN_DOT)) {
		struct value dot = value_word(parser->run, ".");
		name = string_concat(parser->run, string_concat(parser->run, name, dot.string),
				     parser_identifier(parser));
	}
	return name;
}

static struct node *parse_filter(struct parser *parser, struct node *input)
{
	struct node *filter = pair(parser, NODE_FILTER, input, NULL);
	filter->name = parse_dotted(parser);
	if (parser_is_sign(parser, SIGN_ROUND))
		parse_arguments(parser, filter);
	return filter;
}

static bool begins_argument(const struct parser *parser)
{
	const struct token *now = &parser->now;
	if (now->type == TOKEN_NAME)
		return !parser_is_name(parser, "else") && !parser_is_name(parser, "or") &&
		       !parser_is_name(parser, "and");
	return now->type == TOKEN_CONSTANT || parser_is_sign(parser, SIGN_ROUND) ||
	       parser_is_sign(parser, SIGN_SQUARE) || parser_is_sign(parser, SIGN_CURLY);
}

static struct node *parse_test(struct parser *parser, struct node *input)
{
	struct node *test = pair(parser, NODE_TEST, input, NULL);
	parser_next(parser);
	test->negated = parser_take_name(parser, "not");
	test->name = parse_dotted(parser);
	if (parser_is_sign(parser, SIGN_ROUND)) {
		parse_arguments(parser, test);
	} else if (begins_argument(parser)) {
		if (parser_is_name(parser, "is"))
			parser_unexpected(parser, "one test, not two in a row");
		test->list = parse_postfix(parser, parse_primary(parser));
	}
	return test;
}

static struct node *parse_filtered(struct parser *parser, struct node *node)
{
	for (;;) {
		if (parser_take_sign(parser, SIGN_PIPE))
			node = parse_filter(parser, node);
		else if (parser_is_name(parser, "is"))
			node = parse_test(parser, node);
		else if (parser_is_sign(parser, SIGN_ROUND))
			node = parse_call(parser, node);
		else
			return node;
	}
}

struct node *expression_parse_call(struct parser *parser)
{
	struct node *node = parse_unary(parser, true);
	if (node->kind != NODE_CALL)
		parser_unexpected(parser, "a call");
	return node;
}

struct node *expression_parse_filters(struct parser *parser)
{
	struct node *node = parse_filter(parser, NULL);
	while (parser_take_sign(parser, SIGN_PIPE))
		node = parse_filter(parser, node);
	return node;
}

/* ---- operators ---- */

static struct node *parse_unary(struct parser *parser, bool filters)
{
	struct node *node;
	run_enter(parser->run);
	if (parser_take_sign(parser, SIGN_SUBTRACT))
		node = pair(parser, NODE_NEGATIVE, parse_unary(parser, false), NULL);
	else if (parser_take_sign(parser, SIGN_ADD))
		node = pair(parser, NODE_POSITIVE, parse_unary(parser, false), NULL);
	else
		node = parse_primary(parser);
	node = parse_postfix(parser, node);
	if (filters)
		node = parse_filtered(parser, node);
	run_leave(parser->run);
	return node;
}

/* Operators of one strength, from the left; the next stronger ones are within them. */
static const enum sign levels[][4] = {
	{ SIGN_ADD, SIGN_SUBTRACT, SIGN_NONE, SIGN_NONE },
	{ SIGN_CONCAT, SIGN_NONE, SIGN_NONE, SIGN_NONE },
	{ SIGN_MULTIPLY, SIGN_DIVIDE, SIGN_FLOOR_DIVIDE, SIGN_MODULO },
	{ SIGN_POWER, SIGN_NONE, SIGN_NONE, SIGN_NONE },
};
#define N_LEVELS (sizeof(levels) / sizeof(levels[0]))

static bool is_of_level(const struct parser *parser, size_t level)
{
	for (int i = 0; i < 4; i++)
		if (levels[level][i] != SIGN_NONE && parser_is_sign(parser, levels[level][i]))
			return true;
	return false;
}

static struct node *parse_level(struct parser *parser, size_t level)
{
	if (level == N_LEVELS)
		return parse_unary(parser, true);
	struct node *left = parse_level(parser, level + 1);
	while (is_of_level(parser, level)) {
		const enum sign sign = parser->now.sign;
		struct node *node = pair(parser, NODE_BINARY, left, NULL);
		parser_next(parser);
		struct node *right = parse_level(parser, level + 1);
		if (sign == SIGN_CONCAT && left->kind == NODE_CONCAT) {
			/* one list, however long the chain */
			struct node *last = left->list;
			while (last->next)
				last = last->next;
			last->next = right;
			continue;
		}
		node->sign = sign;
		node->b = right;
		if (sign == SIGN_CONCAT) {
			*node = (struct node){ .kind = NODE_CONCAT,
					       .line = node->line,
					       .list = left };
			left->next = right;
		}
		left = node;
	}
	return left;
}

/* The comparison that begins here, or false. `in` has no sign. */
static bool take_comparison(struct parser *parser, enum sign *sign, bool *negated)
{
	static const enum sign signs[] = { SIGN_EQUAL,      SIGN_UNEQUAL, SIGN_LESS,
					   SIGN_LESS_EQUAL, SIGN_GREATER, SIGN_GREATER_EQUAL };
	*sign = SIGN_NONE;
	*negated = false;
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (parser_is_sign(parser, signs[i]))
			*sign = signs[i];
	if (*sign != SIGN_NONE) {
		parser_next(parser);
		return true;
	}
	if (parser_is_name(parser, "not") && parser->ahead.type == TOKEN_NAME &&
	    parser->ahead.size == 2 && memcmp(parser->ahead.text, "in", 2) == 0) {
		*negated = true;
		parser_next(parser);
	}
	return parser_take_name(parser, "in");
}

static struct node *parse_comparison(struct parser *parser)
{
	struct node *first = parse_level(parser, 0), *node = NULL, **last = NULL;
	enum sign sign;
	bool negated;
	while (take_comparison(parser, &sign, &negated)) {
		if (!node) {
			node = pair(parser, NODE_COMPARE, first, NULL);
			last = &node->list;
		}
		struct node *operand = parser_node(parser, NODE_OPERAND);
		operand->sign = sign;
		operand->negated = negated;
		operand->a = parse_level(parser, 0);
		add(&last, operand);
	}
	return node ? node : first;
}

static struct node *parse_not(struct parser *parser)
{
	if (!parser_is_name(parser, "not"))
		return parse_comparison(parser);
	run_enter(parser->run);
	struct node *node = parser_node(parser, NODE_NOT);
	parser_next(parser);
	node->a = parse_not(parser);
	run_leave(parser->run);
	return node;
}

static struct node *parse_and(struct parser *parser)
{
	struct node *left = parse_not(parser);
	while (parser_take_name(parser, "and"))
		left = pair(parser, NODE_AND, left, parse_not(parser));
	return left;
}

struct node *expression_parse_plain(struct parser *parser)
{
	struct node *left = parse_and(parser);
	while (parser_take_name(parser, "or"))
		left = pair(parser, NODE_OR, left, parse_and(parser));
	return left;
}

struct node *expression_parse(struct parser *parser)
{
	run_enter(parser->run);
	struct node *node = expression_parse_plain(parser);
	while (parser_take_name(parser, "if")) {
		struct node *choice = pair(parser, NODE_CHOICE, NULL, node);
		choice->a = expression_parse_plain(parser);
		if (parser_take_name(parser, "else"))
			choice->c = expression_parse(parser);
		node = choice;
	}
	run_leave(parser->run);
	return node;
}
