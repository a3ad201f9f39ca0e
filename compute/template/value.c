#include "compute/template/value.h"

#include <string.h>

/* ---- making ---- */

struct value value_none(void)
{
	return (struct value){ .type = VALUE_NONE };
}

struct value value_bool(bool truth)
{
	return (struct value){ .type = VALUE_BOOL, .truth = truth };
}

struct value value_integer(int64_t integer)
{
	return (struct value){ .type = VALUE_INTEGER, .integer = integer };
}

struct value value_real(double real)
{
	return (struct value){ .type = VALUE_REAL, .real = real };
}

struct value value_string(struct string *string)
{
	return (struct value){ .type = VALUE_STRING, .string = string };
}

struct value value_word(struct run *run, const char *word)
{
	return value_string(string_create(run, word, strlen(word), STRING_OWN));
}

struct value value_undefined(struct run *run, const char *format, const struct string *name)
{
	struct value value = { .type = VALUE_UNDEFINED };
	const char *place = strstr(format, "%s");
	if (name && place) {
		struct text *text = text_create(run, 0);
		text_add(run, text, format, (size_t)(place - format), STRING_OWN);
		text_add_part(run, text, name, 0, name->size < 100 ? name->size : 0);
		text_add(run, text, place + 2, strlen(place + 2), STRING_OWN);
		value.missing = string_whole(run, text);
	}
	return value;
}

struct value value_sequence(struct run *run, enum sequence_kind kind)
{
	struct value value = { .type = VALUE_SEQUENCE };
	value.sequence = run_take(run, sizeof(*value.sequence));
	value.sequence->kind = kind;
	return value;
}

struct value value_dict(struct run *run)
{
	struct value value = { .type = VALUE_DICT };
	value.dict = run_take(run, sizeof(*value.dict));
	return value;
}

/* Room for one more of `size` bytes. */
static void *more(struct run *run, void *items, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	if (count > INT32_MAX / 2)
		run_fail(run, FAIL_MEMORY, "a list grows too long");
	*capacity = count ? count * 2 : 4;
	void *room = run_take(run, *capacity * size);
	if (count > 0)
		memcpy(room, items, count * size);
	return room;
}

void value_append(struct run *run, struct sequence *sequence, struct value item)
{
	sequence->items =
		more(run, sequence->items, sequence->count, &sequence->capacity, sizeof(item));
	sequence->items[sequence->count++] = item;
}

void value_add(struct run *run, struct dict *dict, struct value key, struct value value)
{
	dict->pairs = more(run, dict->pairs, dict->count, &dict->capacity, sizeof(*dict->pairs));
	dict->pairs[dict->count++] = (struct pair){ key, value };
}

void value_set(struct run *run, struct dict *dict, struct value key, struct value value)
{
	struct pair *pair = value_find(run, dict, key);
	if (pair)
		pair->value = value;
	else
		value_add(run, dict, key, value);
}

struct value value_pair(struct run *run, struct value first, struct value second)
{
	struct value pair = value_sequence(run, SEQUENCE_TUPLE);
	value_append(run, pair.sequence, first);
	value_append(run, pair.sequence, second);
	return pair;
}

/* ---- asking ---- */

const char *value_type_name(struct value value)
{
	static const char *const names[VALUE_TYPES] = {
		[VALUE_UNDEFINED] = "Undefined", [VALUE_NONE] = "NoneType",
		[VALUE_BOOL] = "bool",           [VALUE_INTEGER] = "int",
		[VALUE_REAL] = "float",          [VALUE_STRING] = "str",
		[VALUE_DICT] = "dict",           [VALUE_NAMESPACE] = "Namespace",
		[VALUE_LOOP] = "LoopContext",    [VALUE_MACRO] = "Macro",
		[VALUE_FUNCTION] = "function",   [VALUE_METHOD] = "method",
		[VALUE_MISSING] = "nothing",
	};
	static const char *const kinds[] = {
		[SEQUENCE_LIST] = "list",          [SEQUENCE_TUPLE] = "tuple",
		[SEQUENCE_RANGE] = "range",        [SEQUENCE_KEYS] = "dict_keys",
		[SEQUENCE_VALUES] = "dict_values", [SEQUENCE_ITEMS] = "dict_items",
		[SEQUENCE_ITERATOR] = "generator",
	};
	return value.type == VALUE_SEQUENCE ? kinds[value.sequence->kind] : names[value.type];
}

bool value_truth(struct run *run, struct value value)
{
	switch (value.type) {
	case VALUE_UNDEFINED:
	case VALUE_NONE:
		return false;
	case VALUE_BOOL:
		return value.truth;
	case VALUE_INTEGER:
		return value.integer != 0;
	case VALUE_REAL:
		return value.real != 0;
	case VALUE_STRING:
		return value.string->size > 0;
	case VALUE_SEQUENCE:
		return value.sequence->kind == SEQUENCE_ITERATOR || value.sequence->count > 0;
	case VALUE_DICT:
		return value.dict->count > 0;
	case VALUE_NAMESPACE:
	case VALUE_LOOP:
	case VALUE_MACRO:
	case VALUE_FUNCTION:
	case VALUE_METHOD:
	case VALUE_MISSING:
	case VALUE_TYPES:
		break;
	}
	return true;
}

bool value_is_integer(struct value value)
{
	return value.type == VALUE_BOOL || value.type == VALUE_INTEGER;
}

bool value_is_number(struct value value)
{
	return value_is_integer(value) || value.type == VALUE_REAL;
}

int64_t value_whole(struct value value)
{
	return value.type == VALUE_BOOL ? value.truth : value.integer;
}

double value_number(struct value value)
{
	return value.type == VALUE_REAL ? value.real : (double)value_whole(value);
}

bool value_is_word(struct value value, const char *word)
{
	return value.type == VALUE_STRING && string_is(value.string, word);
}

bool value_hashable(struct value value)
{
	if (value.type == VALUE_DICT)
		return false;
	if (value.type != VALUE_SEQUENCE)
		return true;
	if (value.sequence->kind != SEQUENCE_TUPLE)
		return value.sequence->kind == SEQUENCE_RANGE ||
		       value.sequence->kind == SEQUENCE_ITERATOR;
	for (uint32_t i = 0; i < value.sequence->count; i++) {
		const struct value item = value.sequence->items[i];
		/* tuples within tuples are taken for unhashable: nobody has such keys */
		if (item.type == VALUE_DICT || item.type == VALUE_SEQUENCE)
			return false;
	}
	return true;
}

static bool equal_numbers(struct value left, struct value right)
{
	if (value_is_integer(left) && value_is_integer(right))
		return value_whole(left) == value_whole(right);
	return value_number(left) == value_number(right);
}

static bool equal_sequences(struct run *run, const struct sequence *left,
			    const struct sequence *right)
{
	if (left == right)
		return true;
	if (left->kind != right->kind || left->count != right->count ||
	    left->kind == SEQUENCE_ITERATOR)
		return false;
	for (uint32_t i = 0; i < left->count; i++)
		if (!value_equal(run, left->items[i], right->items[i]))
			return false;
	return true;
}

static bool equal_dicts(struct run *run, const struct dict *left, const struct dict *right)
{
	if (left == right)
		return true;
	if (left->count != right->count)
		return false;
	for (uint32_t i = 0; i < left->count; i++) {
		const struct pair *other = value_find(run, right, left->pairs[i].key);
		if (!other || !value_equal(run, left->pairs[i].value, other->value))
			return false;
	}
	return true;
}

static bool equal_same_type(struct run *run, struct value left, struct value right)
{
	switch (left.type) {
	case VALUE_STRING:
		run_step(run, left.string->size / 16);
		return string_compare(left.string, right.string) == 0;
	case VALUE_SEQUENCE:
		return equal_sequences(run, left.sequence, right.sequence);
	case VALUE_DICT:
		return equal_dicts(run, left.dict, right.dict);
	case VALUE_UNDEFINED:
	case VALUE_NONE:
		return true;
	case VALUE_NAMESPACE:
		return left.dict == right.dict;
	case VALUE_LOOP:
		return left.loop == right.loop;
	case VALUE_MACRO:
		return left.macro == right.macro;
	case VALUE_FUNCTION:
		return left.function == right.function;
	case VALUE_METHOD:
		return left.method == right.method;
	case VALUE_BOOL:
	case VALUE_INTEGER:
	case VALUE_REAL:
	case VALUE_MISSING:
	case VALUE_TYPES:
		break;
	}
	return equal_numbers(left, right);
}

bool value_equal(struct run *run, struct value left, struct value right)
{
	run_step(run, 1);
	if (value_is_number(left) && value_is_number(right))
		return equal_numbers(left, right);
	if (left.type != right.type)
		return false;
	run_enter(run);
	const bool equal = equal_same_type(run, left, right);
	run_leave(run);
	return equal;
}

static int compare_numbers(struct value left, struct value right)
{
	if (value_is_integer(left) && value_is_integer(right)) {
		const int64_t a = value_whole(left), b = value_whole(right);
		return a < b ? -1 : a > b;
	}
	const double a = value_number(left), b = value_number(right);
	return a < b ? -1 : a > b ? 1 : a == b ? 0 : 2;
}

static int compare_sequences(struct run *run, const struct sequence *left,
			     const struct sequence *right)
{
	for (uint32_t i = 0; i < left->count && i < right->count; i++)
		if (!value_equal(run, left->items[i], right->items[i]))
			return value_compare(run, left->items[i], right->items[i]);
	return left->count < right->count ? -1 : left->count > right->count;
}

int value_compare(struct run *run, struct value left, struct value right)
{
	int order;
	run_step(run, 1);
	run_enter(run);
	if (value_is_number(left) && value_is_number(right))
		order = compare_numbers(left, right);
	else if (left.type == VALUE_STRING && right.type == VALUE_STRING)
		order = string_compare(left.string, right.string);
	else if (left.type == VALUE_SEQUENCE && right.type == VALUE_SEQUENCE &&
		 left.sequence->kind == right.sequence->kind &&
		 left.sequence->kind <= SEQUENCE_TUPLE)
		order = compare_sequences(run, left.sequence, right.sequence);
	else
		run_fail(run, FAIL_INVALID, "%s and %s cannot be put in order",
			 value_type_name(left), value_type_name(right));
	run_leave(run);
	return order < 0 ? -1 : order > 1 ? 2 : order;
}

struct pair *value_find(struct run *run, const struct dict *dict, struct value key)
{
	for (uint32_t i = 0; i < dict->count; i++)
		if (value_equal(run, dict->pairs[i].key, key))
			return &dict->pairs[i];
	return NULL;
}

struct value *value_find_word(const struct dict *dict, const char *word)
{
	for (uint32_t i = 0; i < dict->count; i++)
		if (value_is_word(dict->pairs[i].key, word))
			return &dict->pairs[i].value;
	return NULL;
}

static bool sequence_contains(struct run *run, struct sequence *sequence, struct value item)
{
	uint32_t *next = sequence->kind == SEQUENCE_ITERATOR ? &sequence->next : &(uint32_t){ 0 };
	while (*next < sequence->count)
		if (value_equal(run, sequence->items[(*next)++], item))
			return true;
	return false;
}

bool value_contains(struct run *run, struct value container, struct value item)
{
	if (container.type == VALUE_STRING) {
		if (item.type != VALUE_STRING)
			run_fail(run, FAIL_INVALID, "`in` looks for %s in a text",
				 value_type_name(item));
		run_step(run, container.string->size / 16);
		return string_find(container.string, item.string, 0) != STRING_NONE;
	}
	if (container.type == VALUE_DICT)
		return value_find(run, container.dict, item) != NULL;
	if (container.type == VALUE_SEQUENCE)
		return sequence_contains(run, container.sequence, item);
	if (container.type != VALUE_UNDEFINED)
		run_fail(run, FAIL_INVALID, "`in` cannot look into %s", value_type_name(container));
	return false;
}

int64_t value_length(struct value value)
{
	if (value.type == VALUE_STRING)
		return string_characters(value.string);
	if (value.type == VALUE_DICT)
		return value.dict->count;
	if (value.type == VALUE_SEQUENCE && value.sequence->kind != SEQUENCE_ITERATOR)
		return value.sequence->count;
	return value.type == VALUE_UNDEFINED ? 0 : -1;
}

bool value_iterable(struct value value)
{
	return value.type == VALUE_STRING || value.type == VALUE_DICT ||
	       value.type == VALUE_SEQUENCE || value.type == VALUE_UNDEFINED ||
	       value.type == VALUE_LOOP;
}

void value_fail_undefined(struct run *run, struct value value)
{
	const struct string *missing = value.missing;
	if (!missing)
		run_fail(run, FAIL_INVALID, "it uses a value that is undefined");
	run_fail(run, FAIL_INVALID, "%.*s", (int)missing->size, string_bytes(missing));
}

static struct sequence *characters(struct run *run, const struct string *string)
{
	struct sequence *items = value_sequence(run, SEQUENCE_LIST).sequence;
	uint32_t size;
	for (uint32_t at = 0; at < string->size; at += size) {
		string_character(string, at, &size);
		run_step(run, 1);
		value_append(run, items, value_string(string_part(run, string, at, size)));
	}
	return items;
}

static struct sequence *keys(struct run *run, const struct dict *dict)
{
	struct sequence *items = value_sequence(run, SEQUENCE_LIST).sequence;
	run_step(run, dict->count);
	for (uint32_t i = 0; i < dict->count; i++)
		value_append(run, items, dict->pairs[i].key);
	return items;
}

/* What is left of an iterator, which then has nothing left. */
static struct sequence *use_up(struct run *run, struct sequence *iterator)
{
	struct sequence *items = value_sequence(run, SEQUENCE_LIST).sequence;
	items->count = items->capacity = iterator->count - iterator->next;
	if (items->count > 0)
		items->items = iterator->items + iterator->next;
	iterator->next = iterator->count;
	return items;
}

struct sequence *value_items(struct run *run, struct value value)
{
	if (value.type == VALUE_STRING)
		return characters(run, value.string);
	if (value.type == VALUE_DICT)
		return keys(run, value.dict);
	if (value.type == VALUE_UNDEFINED)
		return value_sequence(run, SEQUENCE_LIST).sequence;
	if (value.type != VALUE_SEQUENCE)
		run_fail(run, FAIL_INVALID, "%s cannot be gone through item by item",
			 value_type_name(value));
	return value.sequence->kind == SEQUENCE_ITERATOR ? use_up(run, value.sequence)
							 : value.sequence;
}
