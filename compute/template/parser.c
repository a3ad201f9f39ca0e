#include "compute/template/parser.h"

#include "compute/template/expression.h"

#include <string.h>

/* ---- tokens ---- */

void parser_next(struct parser *parser)
{
	parser->now = parser->ahead;
	if (parser->ahead.type != TOKEN_END)
		lexer_next(&parser->lexer, &parser->ahead);
	parser->run->line = parser->now.line;
}

struct node *parser_node(struct parser *parser, enum node_kind kind)
{
	struct node *node = run_take(parser->run, sizeof(*node));
	node->kind = kind;
	node->sign = SIGN_NONE;
	node->line = parser->now.line;
	return node;
}

bool parser_is_sign(const struct parser *parser, enum sign sign)
{
	return parser->now.type == TOKEN_SIGN && parser->now.sign == sign;
}

bool parser_is_name(const struct parser *parser, const char *name)
{
	return parser->now.type == TOKEN_NAME && parser->now.size == strlen(name) &&
	       memcmp(parser->now.text, name, parser->now.size) == 0;
}

bool parser_take_sign(struct parser *parser, enum sign sign)
{
	const bool is = parser_is_sign(parser, sign);
	if (is)
		parser_next(parser);
	return is;
}

bool parser_take_name(struct parser *parser, const char *name)
{
	const bool is = parser_is_name(parser, name);
	if (is)
		parser_next(parser);
	return is;
}

void parser_want_sign(struct parser *parser, enum sign sign)
{
	if (!parser_take_sign(parser, sign))
		parser_unexpected(parser, lexer_sign(sign));
}

void parser_want_name(struct parser *parser, const char *name)
{
	if (!parser_take_name(parser, name))
		parser_unexpected(parser, name);
}

const struct string *parser_identifier(struct parser *parser)
{
	if (parser->now.type != TOKEN_NAME)
		parser_unexpected(parser, "a name");
	struct string *name =
		string_create(parser->run, parser->now.text, parser->now.size, STRING_OWN);
	name->text->frozen = true;
	parser_next(parser);
	return name;
}

void parser_unexpected(struct parser *parser, const char *wanted)
{
	static const char *const names[] = {
		[TOKEN_TEXT] = "text",
		[TOKEN_PRINT] = "{{",
		[TOKEN_PRINT_END] = "}}",
		[TOKEN_BLOCK] = "{%",
		[TOKEN_BLOCK_END] = "%}",
		[TOKEN_CONSTANT] = "a constant",
		[TOKEN_END] = "the template ends",
	};
	const struct token *now = &parser->now;
	if (now->type == TOKEN_NAME)
		run_fail(parser->run, FAIL_INVALID, "\"%.*s\" stands where %s is expected",
			 (int)(now->size < 60 ? now->size : 60), now->text, wanted);
	run_fail(parser->run, FAIL_INVALID, "%s where %s is expected",
		 now->type == TOKEN_SIGN ? lexer_sign(now->sign) : names[now->type], wanted);
}

static void want(struct parser *parser, enum token_type type, const char *name)
{
	if (parser->now.type != type)
		parser_unexpected(parser, name);
	parser_next(parser);
}

/* ---- statements ---- */

static struct node *parse_body(struct parser *parser, const char *const ends[]);

/* The body up to {% end %}, which is skipped. */
static struct node *parse_block(struct parser *parser, const char *end)
{
	const char *const ends[] = { end, NULL };
	want(parser, TOKEN_BLOCK_END, "%}");
	struct node *body = parse_body(parser, ends);
	parser_next(parser);
	want(parser, TOKEN_BLOCK_END, "%}");
	return body;
}

static struct node *parse_if(struct parser *parser)
{
	static const char *const ends[] = { "elif", "else", "endif", NULL };
	struct node *node = parser_node(parser, NODE_IF), **last = &node->list;
	bool other = false;
	for (;;) {
		struct node *branch = parser_node(parser, NODE_BRANCH);
		if (!other)
			branch->a = expression_parse_tuple(parser, true);
		want(parser, TOKEN_BLOCK_END, "%}");
		branch->list = parse_body(parser, ends);
		*last = branch;
		last = &branch->next;
		if (parser_take_name(parser, "endif"))
			break;
		if (other)
			parser_unexpected(parser, "endif");
		other = parser_is_name(parser, "else");
		parser_next(parser);
	}
	want(parser, TOKEN_BLOCK_END, "%}");
	return node;
}

static struct node *parse_for(struct parser *parser)
{
	static const char *const ends[] = { "else", "endfor", NULL };
	struct node *node = parser_node(parser, NODE_FOR);
	node->a = expression_parse_target(parser, false);
	parser_want_name(parser, "in");
	node->b = expression_parse_tuple(parser, true);
	if (parser_take_name(parser, "if"))
		node->c = expression_parse(parser);
	if (parser_is_name(parser, "recursive"))
		run_fail(parser->run, FAIL_UNSUPPORTED,
			 "a recursive loop (`for ... recursive`) is not known here");
	want(parser, TOKEN_BLOCK_END, "%}");
	parser->loops++;
	node->list = parse_body(parser, ends);
	parser->loops--;
	if (parser_take_name(parser, "else")) {
		node->other = parse_block(parser, "endfor");
		return node;
	}
	parser_next(parser);
	want(parser, TOKEN_BLOCK_END, "%}");
	return node;
}

static struct node *parse_set(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_SET);
	node->a = expression_parse_target(parser, true);
	if (parser_take_sign(parser, SIGN_ASSIGN)) {
		node->b = expression_parse_tuple(parser, false);
		want(parser, TOKEN_BLOCK_END, "%}");
		return node;
	}
	node->kind = NODE_SET_BLOCK;
	if (parser_take_sign(parser, SIGN_PIPE))
		node->b = expression_parse_filters(parser);
	node->list = parse_block(parser, "endset");
	return node;
}

static struct node *parse_parameters(struct parser *parser)
{
	struct node *first = NULL, **last = &first;
	parser_want_sign(parser, SIGN_ROUND);
	while (!parser_take_sign(parser, SIGN_ROUND_END)) {
		if (first)
			parser_want_sign(parser, SIGN_COMMA);
		struct node *parameter = parser_node(parser, NODE_PARAMETER);
		parameter->name = parser_identifier(parser);
		if (parser_take_sign(parser, SIGN_ASSIGN))
			parameter->a = expression_parse(parser);
		*last = parameter;
		last = &parameter->next;
	}
	return first;
}

/* A macro's body: loops around the macro are none of its own. */
static void parse_macro_body(struct parser *parser, struct node *macro, const char *end)
{
	const struct parser outer = *parser;
	parser->loops = 0;
	parser->saw_more = parser->saw_names = false;
	macro->list = parse_block(parser, end);
	macro->takes_more = parser->saw_more;
	macro->takes_names = parser->saw_names;
	parser->loops = outer.loops;
	parser->saw_more = outer.saw_more;
	parser->saw_names = outer.saw_names;
}

static struct node *parse_macro(struct parser *parser)
{
	struct node *macro = parser_node(parser, NODE_MACRO);
	macro->name = parser_identifier(parser);
	macro->keywords = parse_parameters(parser);
	parse_macro_body(parser, macro, "endmacro");
	return macro;
}

static struct node *parse_call_block(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_CALL_BLOCK);
	node->b = parser_node(parser, NODE_MACRO);
	node->b->name = value_word(parser->run, "caller").string;
	if (parser_is_sign(parser, SIGN_ROUND))
		node->b->keywords = parse_parameters(parser);
	node->a = expression_parse_call(parser);
	parse_macro_body(parser, node->b, "endcall");
	return node;
}

static struct node *parse_filter_block(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_FILTER_BLOCK);
	node->b = expression_parse_filters(parser);
	node->list = parse_block(parser, "endfilter");
	return node;
}

static struct node *parse_with(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_WITH), **last = &node->keywords;
	while (parser->now.type != TOKEN_BLOCK_END) {
		if (node->keywords)
			parser_want_sign(parser, SIGN_COMMA);
		struct node *keyword = parser_node(parser, NODE_KEYWORD);
		keyword->name = parser_identifier(parser);
		parser_want_sign(parser, SIGN_ASSIGN);
		keyword->a = expression_parse(parser);
		*last = keyword;
		last = &keyword->next;
	}
	node->list = parse_block(parser, "endwith");
	return node;
}

/* What the assistant said, for those who train on it: a scope of its own, no more. */
static struct node *parse_generation(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_WITH);
	node->list = parse_block(parser, "endgeneration");
	return node;
}

static struct node *parse_jump(struct parser *parser, enum node_kind kind)
{
	struct node *node = parser_node(parser, kind);
	if (parser->loops == 0)
		run_fail(parser->run, FAIL_INVALID, "%s stands outside of a loop",
			 kind == NODE_BREAK ? "break" : "continue");
	want(parser, TOKEN_BLOCK_END, "%}");
	return node;
}

static struct node *parse_break(struct parser *parser)
{
	return parse_jump(parser, NODE_BREAK);
}

static struct node *parse_continue(struct parser *parser)
{
	return parse_jump(parser, NODE_CONTINUE);
}

/* ---- bodies ---- */

static const struct {
	const char *name;
	struct node *(*parse)(struct parser *parser);
} statements[] = {
	{ "if", parse_if },           { "for", parse_for },
	{ "set", parse_set },         { "macro", parse_macro },
	{ "call", parse_call_block }, { "filter", parse_filter_block },
	{ "with", parse_with },       { "generation", parse_generation },
	{ "break", parse_break },     { "continue", parse_continue },
};

static struct node *parse_statement(struct parser *parser)
{
	const struct token *now = &parser->now;
	if (now->type != TOKEN_NAME)
		parser_unexpected(parser, "a statement");
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		if (!parser_is_name(parser, statements[i].name))
			continue;
		run_enter(parser->run);
		parser_next(parser);
		struct node *node = statements[i].parse(parser);
		run_leave(parser->run);
		return node;
	}
	const int size = (int)(now->size < 60 ? now->size : 60);
	const bool end = now->size > 3 && memcmp(now->text, "end", 3) == 0;
	if (end || parser_is_name(parser, "else") || parser_is_name(parser, "elif"))
		run_fail(parser->run, FAIL_INVALID, "\"%.*s\" ends nothing that began", size,
			 now->text);
	run_fail(parser->run, FAIL_UNSUPPORTED, "the statement \"%.*s\" is not known here", size,
		 now->text);
}

static bool is_end(const struct parser *parser, const char *const ends[])
{
	for (; *ends; ends++)
		if (parser_is_name(parser, *ends))
			return true;
	return false;
}

static struct node *parse_print(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_PRINT);
	parser_next(parser);
	node->a = expression_parse_tuple(parser, false);
	want(parser, TOKEN_PRINT_END, "}}");
	return node;
}

static struct node *parse_text(struct parser *parser)
{
	struct node *node = parser_node(parser, NODE_TEXT);
	node->value = parser->now.value;
	parser_next(parser);
	return node;
}

/* Up to one of `ends`, which is the token to be read then; NULL: up to the end. */
static struct node *parse_body(struct parser *parser, const char *const ends[])
{
	struct node *first = NULL, **last = &first;
	while (parser->now.type != TOKEN_END) {
		if (parser->now.type == TOKEN_TEXT) {
			*last = parse_text(parser);
		} else if (parser->now.type == TOKEN_PRINT) {
			*last = parse_print(parser);
		} else {
			parser_next(parser);
			if (is_end(parser, ends))
				return first;
			*last = parse_statement(parser);
		}
		last = &(*last)->next;
	}
	if (*ends)
		run_fail(parser->run, FAIL_INVALID, "the template ends where \"%s\" is expected",
			 *ends);
	return first;
}

struct node *parser_parse(struct run *run, const char *text, size_t size)
{
	static const char *const none[] = { NULL };
	struct parser parser = { .run = run };
	lexer_init(&parser.lexer, run, text, size);
	lexer_next(&parser.lexer, &parser.ahead);
	parser_next(&parser);
	return parse_body(&parser, none);
}
