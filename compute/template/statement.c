#include "compute/template/access.h"
#include "compute/template/eval.h"
#include "compute/template/print.h"

#include <string.h>

/* ---- targets ---- */

static void set_field(struct eval *eval, struct scope *scope, const struct node *target,
		      struct value value)
{
	const struct value object = eval_expression(eval, scope, target->a);
	struct string *name = (struct string *)(uintptr_t)target->name;
	if (object.type != VALUE_NAMESPACE)
		run_fail(eval->run, FAIL_INVALID, "`set` changes a field of %s, no namespace",
			 value_type_name(object));
	value_set(eval->run, object.dict, value_string(name), value);
}

static void assign(struct eval *eval, struct scope *scope, const struct node *target,
		   struct value value)
{
	if (target->kind == NODE_NAME) {
		scope_set(eval->run, scope, target->name, value);
		return;
	}
	if (target->kind == NODE_FIELD) {
		set_field(eval, scope, target, value);
		return;
	}
	const struct sequence *items = value_items(eval->run, value);
	uint32_t i = 0;
	run_enter(eval->run);
	for (const struct node *at = target->list; at; at = at->next) {
		if (i == items->count)
			run_fail(eval->run, FAIL_INVALID, "there are %u values for more names",
				 items->count);
		assign(eval, scope, at, items->items[i++]);
	}
	run_leave(eval->run);
	if (i < items->count)
		run_fail(eval->run, FAIL_INVALID, "there are %u values for %u names", items->count,
			 i);
}

/* ---- loops ---- */

/* Those items that meet the loop's condition. */
static const struct sequence *filter(struct eval *eval, struct scope *scope,
				     const struct node *node, const struct sequence *items)
{
	struct value kept = value_sequence(eval->run, SEQUENCE_LIST);
	for (uint32_t i = 0; i < items->count; i++) {
		struct scope *inner = scope_create(eval->run, scope);
		assign(eval, inner, node->a, items->items[i]);
		if (value_truth(eval->run, eval_expression(eval, inner, node->c)))
			value_append(eval->run, kept.sequence, items->items[i]);
	}
	return kept.sequence;
}

static void eval_for(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct run *run = eval->run;
	const struct sequence *items = value_items(run, eval_expression(eval, scope, node->b));
	if (node->c)
		items = filter(eval, scope, node, items);
	struct value loop = { .type = VALUE_LOOP };
	loop.loop = run_take(run, sizeof(*loop.loop));
	*loop.loop = (struct loop){ .items = items, .count = items->count };
	struct scope *around = scope_create(run, scope);
	scope_set(run, around, value_word(run, "loop").string, loop);
	for (uint32_t i = 0; i < loop.loop->count && i < items->count; i++) {
		struct scope *inner = scope_create(run, around);
		run_step(run, 1);
		loop.loop->index = i;
		assign(eval, inner, node->a, items->items[i]);
		if (eval_body(eval, inner, node->list) == EVAL_BREAK)
			break;
	}
	if (loop.loop->count == 0 && node->other)
		eval_body(eval, scope_create(run, scope), node->other);
}

/* ---- blocks ---- */

struct string *eval_capture(struct eval *eval, struct scope *scope, const struct node *body)
{
	struct text *outer = eval->out;
	eval->out = text_create(eval->run, 0);
	eval_body(eval, scope_create(eval->run, scope), body);
	struct string *captured = string_whole(eval->run, eval->out);
	eval->out = outer;
	return captured;
}

static void write(struct eval *eval, const struct string *string)
{
	if ((uint64_t)eval->out->size + string->size > eval->run->output_max)
		run_fail(eval->run, FAIL_INVALID, "it writes more than %llu KiB",
			 (unsigned long long)(eval->run->output_max >> 10));
	text_add_string(eval->run, eval->out, string);
}

static struct value macro_value(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct value macro = { .type = VALUE_MACRO };
	macro.macro = run_take(eval->run, sizeof(*macro.macro));
	*macro.macro = (struct macro){ .node = node, .scope = scope };
	return macro;
}

static enum eval_flow eval_if(struct eval *eval, struct scope *scope, const struct node *node)
{
	for (const struct node *branch = node->list; branch; branch = branch->next)
		if (!branch->a || value_truth(eval->run, eval_expression(eval, scope, branch->a)))
			return eval_body(eval, scope, branch->list);
	return EVAL_ON;
}

static void eval_set_block(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct value value = value_string(eval_capture(eval, scope, node->list));
	if (node->b)
		value = eval_filters(eval, scope, node->b, value);
	assign(eval, scope, node->a, value);
}

static enum eval_flow eval_with(struct eval *eval, struct scope *scope, const struct node *node)
{
	struct scope *inner = scope_create(eval->run, scope);
	for (const struct node *at = node->keywords; at; at = at->next)
		scope_set(eval->run, inner, at->name, eval_expression(eval, scope, at->a));
	return eval_body(eval, inner, node->list);
}

static enum eval_flow eval_statement(struct eval *eval, struct scope *scope,
				     const struct node *node)
{
	struct value value;
	switch (node->kind) {
	case NODE_TEXT:
		write(eval, node->value.string);
		break;
	case NODE_IF:
		return eval_if(eval, scope, node);
	case NODE_FOR:
		eval_for(eval, scope, node);
		break;
	case NODE_SET:
		assign(eval, scope, node->a, eval_expression(eval, scope, node->b));
		break;
	case NODE_SET_BLOCK:
		eval_set_block(eval, scope, node);
		break;
	case NODE_MACRO:
		scope_set(eval->run, scope, node->name, macro_value(eval, scope, node));
		break;
	case NODE_CALL_BLOCK:
		value = macro_value(eval, scope, node->b);
		value = eval_call(eval, scope, node->a, &value);
		write(eval, print_text(eval->run, value));
		break;
	case NODE_FILTER_BLOCK:
		value = value_string(eval_capture(eval, scope, node->list));
		value = eval_filters(eval, scope, node->b, value);
		write(eval, print_text(eval->run, value));
		break;
	case NODE_WITH:
		return eval_with(eval, scope, node);
	case NODE_BREAK:
		return EVAL_BREAK;
	case NODE_CONTINUE:
		return EVAL_CONTINUE;
	default: /* NODE_PRINT: expressions are never here */
		value = eval_expression(eval, scope, node->a);
		write(eval, print_text(eval->run, value));
		break;
	}
	return EVAL_ON;
}

enum eval_flow eval_body(struct eval *eval, struct scope *scope, const struct node *body)
{
	enum eval_flow flow = EVAL_ON;
	run_enter(eval->run);
	for (; body && flow == EVAL_ON; body = body->next) {
		run_step(eval->run, 1);
		eval->run->line = body->line;
		flow = eval_statement(eval, scope, body);
	}
	run_leave(eval->run);
	return flow;
}
