#include "compute/template/scope.h"

#include <string.h>

struct scope *scope_create(struct run *run, struct scope *outer)
{
	struct scope *scope = run_take(run, sizeof(*scope));
	scope->outer = outer;
	return scope;
}

static bool same(const struct string *left, const struct string *right)
{
	return left->size == right->size &&
	       memcmp(string_bytes(left), string_bytes(right), left->size) == 0;
}

static struct variable *find(struct run *run, struct scope *scope, const struct string *name)
{
	uint32_t looked_at = 0;
	struct variable *variable = scope->variables;
	while (variable && !same(variable->name, name)) {
		variable = variable->next;
		looked_at++;
	}
	run_step(run, looked_at / 8);
	return variable;
}

void scope_set(struct run *run, struct scope *scope, const struct string *name, struct value value)
{
	struct variable *variable = find(run, scope, name);
	if (!variable) {
		variable = run_take(run, sizeof(*variable));
		variable->name = name;
		variable->next = scope->variables;
		scope->variables = variable;
	}
	variable->value = value;
}

struct value *scope_find(struct run *run, struct scope *scope, const struct string *name)
{
	for (; scope; scope = scope->outer) {
		struct variable *variable = find(run, scope, name);
		if (variable)
			return &variable->value;
	}
	return NULL;
}
