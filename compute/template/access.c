#include "compute/template/access.h"

#include "compute/template/methods.h"
#include "compute/template/print.h"

#include <stdlib.h>

/* ---- items by number ---- */

/* Python's reading of an index: negative ones count from the end. False when out of range. */
static bool find_index(int64_t index, int64_t count, uint32_t *found)
{
	if (index < 0)
		index += count;
	*found = (uint32_t)index;
	return index >= 0 && index < count;
}

static bool item_of_string(struct run *run, struct string *string, int64_t index,
			   struct value *item)
{
	uint32_t found, size;
	run_step(run, string->size / 16);
	if (!find_index(index, string_characters(string), &found))
		return false;
	const uint32_t at = string_place(string, found);
	string_character(string, at, &size);
	*item = value_string(string_part(run, string, at, size));
	return true;
}

static bool item_by_key(struct run *run, struct value object, struct value key, struct value *item)
{
	uint32_t found;
	if (object.type == VALUE_DICT) {
		const struct pair *pair =
			value_hashable(key) ? value_find(run, object.dict, key) : NULL;
		if (pair)
			*item = pair->value;
		return pair != NULL;
	}
	if (!value_is_integer(key))
		return false;
	if (object.type == VALUE_STRING)
		return item_of_string(run, object.string, value_whole(key), item);
	if (object.type != VALUE_SEQUENCE || object.sequence->kind > SEQUENCE_RANGE ||
	    !find_index(value_whole(key), object.sequence->count, &found))
		return false;
	*item = object.sequence->items[found];
	return true;
}

/* ---- fields ---- */

static struct value loop_neighbour(struct run *run, const struct loop *loop, uint32_t index)
{
	if (index < loop->count)
		return loop->items->items[index];
	return value_undefined(run, "there is no such item in the loop", NULL);
}

static bool field_of_loop(struct run *run, const struct loop *loop, const struct string *name,
			  struct value *field)
{
	const int64_t index = loop->index, count = loop->count;
	const struct {
		const char *name;
		struct value value;
	} fields[] = {
		{ "index", value_integer(index + 1) },
		{ "index0", value_integer(index) },
		{ "revindex", value_integer(count - index) },
		{ "revindex0", value_integer(count - index - 1) },
		{ "first", value_bool(index == 0) },
		{ "last", value_bool(index + 1 == count) },
		{ "length", value_integer(count) },
		{ "depth", value_integer(1) }, /* only recursive loops are deeper */
		{ "depth0", value_integer(0) },
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!string_is(name, fields[i].name))
			continue;
		*field = fields[i].value;
		return true;
	}
	if (string_is(name, "previtem"))
		*field = loop_neighbour(run, loop, loop->index - 1); /* wraps: out of range */
	else if (string_is(name, "nextitem"))
		*field = loop_neighbour(run, loop, loop->index + 1);
	else
		return false;
	return true;
}

static bool field_by_name(struct run *run, struct value object, const struct string *name,
			  struct value *field)
{
	if (object.type == VALUE_LOOP && field_of_loop(run, object.loop, name, field))
		return true;
	if (object.type == VALUE_NAMESPACE) {
		const struct pair *pair = value_find(
			run, object.dict, value_string((struct string *)(uintptr_t)name));
		if (pair)
			*field = pair->value;
		return pair != NULL;
	}
	const struct callable *callable = methods_find(run, object, name);
	if (!callable)
		return false;
	*field = (struct value){ .type = VALUE_METHOD };
	field->method = run_take(run, sizeof(*field->method));
	*field->method = (struct method){ .object = object, .callable = callable };
	return true;
}

static struct value nothing(struct run *run, struct value object, struct value key)
{
	if (key.type != VALUE_STRING)
		return value_undefined(run, "a list or text has no such item", NULL);
	if (object.type == VALUE_DICT)
		return value_undefined(run, "an object has no field \"%s\"", key.string);
	if (object.type == VALUE_STRING)
		return value_undefined(run, "a text has no field \"%s\"", key.string);
	if (object.type == VALUE_NONE)
		return value_undefined(run, "none has no field \"%s\"", key.string);
	return value_undefined(run, "a value has no field \"%s\"", key.string);
}

struct value access_field(struct run *run, struct value object, const struct string *name)
{
	struct value found;
	const struct value key = value_string((struct string *)(uintptr_t)name);
	if (object.type == VALUE_UNDEFINED)
		value_fail_undefined(run, object);
	if (field_by_name(run, object, name, &found) || item_by_key(run, object, key, &found))
		return found;
	return nothing(run, object, key);
}

struct value access_item(struct run *run, struct value object, struct value key)
{
	struct value found;
	if (object.type == VALUE_UNDEFINED)
		value_fail_undefined(run, object);
	if (item_by_key(run, object, key, &found))
		return found;
	if (key.type == VALUE_STRING && field_by_name(run, object, key.string, &found))
		return found;
	return nothing(run, object, key);
}

/* ---- slices ---- */

struct slice {
	int64_t start, step;
	uint32_t count;
};

static int64_t bound(struct run *run, struct value value, int64_t otherwise, int64_t low,
		     int64_t high, int64_t count)
{
	if (value.type == VALUE_NONE)
		return otherwise;
	if (!value_is_integer(value))
		run_fail(run, FAIL_INVALID, "a slice begins or ends at %s", value_type_name(value));
	int64_t at = value_whole(value);
	if (at < 0)
		at = at < -count ? low : at + count;
	return at < low ? low : at > high ? high : at;
}

/* As Python's slice.indices. */
static struct slice find_slice(struct run *run, struct value start, struct value stop,
			       struct value step, int64_t count)
{
	struct slice slice = { .step = 1 };
	if (step.type != VALUE_NONE && !value_is_integer(step))
		run_fail(run, FAIL_INVALID, "a slice steps by %s", value_type_name(step));
	if (step.type != VALUE_NONE)
		slice.step = value_whole(step);
	if (slice.step == 0 || slice.step < -INT32_MAX || slice.step > INT32_MAX)
		run_fail(run, FAIL_INVALID, "a slice steps by zero, or too far");
	const bool back = slice.step < 0;
	const int64_t low = back ? -1 : 0, high = back ? count - 1 : count;
	slice.start = bound(run, start, back ? high : low, low, high, count);
	const int64_t end = bound(run, stop, back ? low : high, low, high, count);
	const int64_t distance = back ? slice.start - end : end - slice.start;
	const int64_t size = back ? -slice.step : slice.step;
	slice.count = distance > 0 ? (uint32_t)((distance + size - 1) / size) : 0;
	return slice;
}

static struct value slice_string(struct run *run, struct string *string, const struct slice *slice)
{
	run_step(run, string->size / 16);
	if (slice->count == 0)
		return value_string(string_part(run, string, 0, 0));
	if (slice->step == 1) {
		const uint32_t from = string_place(string, (uint32_t)slice->start);
		struct string *rest = string_part(run, string, from, string->size - from);
		rest->size = string_place(rest, slice->count);
		return value_string(rest);
	}
	/* one pass in either direction */
	struct text *text = text_create(run, slice->count);
	uint32_t at = string_place(string, (uint32_t)slice->start), size;
	for (uint32_t i = 0; i < slice->count; i++) {
		string_character(string, at, &size);
		text_add_part(run, text, string, at, size);
		run_step(run, 1);
		for (int64_t step = slice->step; step > 0 && at < string->size; step--)
			at += string_place(&(struct string){ .text = string->text,
							     .start = string->start + at,
							     .size = string->size - at },
					   1);
		for (int64_t step = slice->step; step < 0 && at > 0; step++)
			at = string_before(string, at);
	}
	struct string *whole = string_whole(run, text);
	whole->safe = string->safe;
	return value_string(whole);
}

static struct value slice_sequence(struct run *run, const struct sequence *sequence,
				   const struct slice *slice)
{
	struct value part = value_sequence(run, sequence->kind);
	run_step(run, slice->count / 4);
	for (uint32_t i = 0; i < slice->count; i++)
		value_append(run, part.sequence,
			     sequence->items[slice->start + (int64_t)i * slice->step]);
	return part;
}

struct value access_slice(struct run *run, struct value object, struct value start,
			  struct value stop, struct value step)
{
	if (object.type == VALUE_UNDEFINED)
		value_fail_undefined(run, object);
	if (object.type == VALUE_STRING) {
		const struct slice slice =
			find_slice(run, start, stop, step, string_characters(object.string));
		return slice_string(run, object.string, &slice);
	}
	if (object.type != VALUE_SEQUENCE || object.sequence->kind > SEQUENCE_RANGE)
		run_fail(run, FAIL_INVALID, "%s cannot be sliced", value_type_name(object));
	const struct slice slice = find_slice(run, start, stop, step, object.sequence->count);
	return slice_sequence(run, object.sequence, &slice);
}

/* ---- paths ---- */

static struct value path_part(struct run *run, const struct string *part)
{
	const char *bytes = string_bytes(part);
	int64_t number = 0;
	for (uint32_t i = 0; i < part->size; i++) {
		if (bytes[i] < '0' || bytes[i] > '9' || part->size > 9)
			return value_string((struct string *)(uintptr_t)part);
		number = number * 10 + (bytes[i] - '0');
	}
	return part->size > 0 ? value_integer(number)
			      : value_string((struct string *)(uintptr_t)part);
}

struct value access_path(struct run *run, struct value object, struct value path)
{
	if (path.type != VALUE_STRING)
		return access_item(run, object, path);
	const struct string *dot = value_word(run, ".").string;
	for (uint32_t at = 0;;) {
		const uint32_t end = string_find(path.string, dot, at);
		const uint32_t stop = end == STRING_NONE ? path.string->size : end;
		object = access_item(run, object,
				     path_part(run, string_part(run, path.string, at, stop - at)));
		if (end == STRING_NONE)
			return object;
		at = end + 1;
	}
}
