/* value.h: the values that templates work with; they behave as Python's do. */
#ifndef COMPUTE_TEMPLATE_VALUE_H
#define COMPUTE_TEMPLATE_VALUE_H

#include "compute/template/string.h"

enum value_type {
	VALUE_UNDEFINED,
	VALUE_NONE,
	VALUE_BOOL,
	VALUE_INTEGER,
	VALUE_REAL,
	VALUE_STRING,
	VALUE_SEQUENCE,
	VALUE_DICT,
	VALUE_NAMESPACE, /* a dict whose fields `set` may change */
	VALUE_LOOP,
	VALUE_MACRO,
	VALUE_FUNCTION,
	VALUE_METHOD,
	VALUE_MISSING, /* an argument that was not given; templates never see it */
	VALUE_TYPES
};

struct value {
	enum value_type type;
	union {
		bool truth;
		int64_t integer;
		double real;
		struct string *string;
		struct sequence *sequence;
		struct dict *dict; /* of namespaces too */
		struct loop *loop;
		struct macro *macro;
		const struct callable *function;
		struct method *method;
		const struct string *missing; /* UNDEFINED: what sentences say of it, or NULL */
	};
};

enum sequence_kind {
	SEQUENCE_LIST,
	SEQUENCE_TUPLE,
	SEQUENCE_RANGE,
	SEQUENCE_KEYS, /* what a dict's methods give: not to be indexed */
	SEQUENCE_VALUES,
	SEQUENCE_ITEMS,
	SEQUENCE_ITERATOR, /* what filters give: to be gone through once, has no length */
};

struct sequence {
	enum sequence_kind kind;
	uint32_t count, capacity;
	uint32_t next; /* of an iterator: what is left begins here */
	struct value *items;
};

struct pair {
	struct value key, value;
};

struct dict {
	uint32_t count, capacity;
	struct pair *pairs; /* in the order in which the keys came */
};

/* ---- making ---- */

struct value value_none(void);
struct value value_bool(bool truth);
struct value value_integer(int64_t integer);
struct value value_real(double real);
struct value value_string(struct string *string);
struct value value_word(struct run *run, const char *word); /* the template's own text */
/* Undefined; `format` makes what sentences say: "'x' is undefined". */
struct value value_undefined(struct run *run, const char *format, const struct string *name);
struct value value_sequence(struct run *run, enum sequence_kind kind);
struct value value_dict(struct run *run);
void value_append(struct run *run, struct sequence *sequence, struct value item);
/* Adds or replaces. The key is hashable (value_hashable). */
void value_set(struct run *run, struct dict *dict, struct value key, struct value value);
/* Adds without looking whether the key is there. */
void value_add(struct run *run, struct dict *dict, struct value key, struct value value);
struct value value_pair(struct run *run, struct value first, struct value second); /* a tuple */

/* ---- asking ---- */

const char *value_type_name(struct value value); /* Python's: "str", "list" */
bool value_truth(struct run *run, struct value value);
bool value_is_number(struct value value);  /* bool, integer or real */
bool value_is_integer(struct value value); /* bool or integer; then value_whole gives it */
int64_t value_whole(struct value value);
double value_number(struct value value);
bool value_is_word(struct value value, const char *word);
bool value_hashable(struct value value);
bool value_equal(struct run *run, struct value left, struct value right);
/* -1, 0 or 1 as Python orders them, 2 for unordered numbers (NaN); fails for what has no order. */
int value_compare(struct run *run, struct value left, struct value right);
/* The pair with this key, or NULL. */
struct pair *value_find(struct run *run, const struct dict *dict, struct value key);
struct value *value_find_word(const struct dict *dict, const char *word);
/* `item in container`, as Python has it. */
bool value_contains(struct run *run, struct value container, struct value item);
/* len(); -1 for what has none. */
int64_t value_length(struct value value);
/* Fails, as using what is undefined does. */
_Noreturn void value_fail_undefined(struct run *run, struct value value);
/* What going through it gives, as a sequence whose items are not to be changed; uses an iterator
 * up. Fails for what cannot be gone through. */
struct sequence *value_items(struct run *run, struct value value);
bool value_iterable(struct value value);

#endif
