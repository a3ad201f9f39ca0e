#include "planner/pin.h"

#include "proto/facts.h"

#include <string.h>

bool pin_empty(const struct plan_pin *pin)
{
	return pin->layers == PIN_LAYERS_FREE && pin->rounds == 0 && !pin->head[0] &&
	       pin->n_order == 0;
}

static int bad(struct fail *fail, const char *field, const char *why)
{
	return fail_set(fail, FAIL_INVALID, "the pin's \"%s\" %s", field, why);
}

/* An integer of `value` from `least` to `most`, or -1. */
static int bounded(const json_t *value, int least, int most)
{
	if (!json_is_integer(value))
		return -1;
	const json_int_t number = json_integer_value(value);
	return number < least || number > most ? -1 : (int)number;
}

static int copy_name(char out[PIN_NAME_BYTES], const char *name, const char *field,
		     struct fail *fail)
{
	const size_t size = strlen(name);
	if (size == 0 || size >= PIN_NAME_BYTES || !text_printable(name, size))
		return bad(fail, field, "holds a device name that is empty, too long or not printable");
	memcpy(out, name, size + 1);
	return 0;
}

static int read_count(struct plan_pin *pin, const char *name, const json_t *value,
		      struct fail *fail)
{
	const int n = bounded(value, 0, MODEL_LAYERS_MAX);
	if (n < 0)
		return bad(fail, "layers", "has a count that is not 0 to 512");
	if (pin->n_counts == PLAN_DEVICES_MAX)
		return bad(fail, "layers", "names more devices than a plan can have");
	struct pin_count *count = &pin->counts[pin->n_counts++];
	count->n_layers = (uint16_t)n;
	return copy_name(count->device, name, "layers", fail);
}

static int read_range(struct plan_pin *pin, const char *name, const json_t *value,
		      struct fail *fail)
{
	const int first = bounded(json_array_get(value, 0), 0, MODEL_LAYERS_MAX);
	const int end = bounded(json_array_get(value, 1), 0, MODEL_LAYERS_MAX);
	if (json_array_size(value) != 2 || first < 0 || end <= first)
		return bad(fail, "layers", "has a range that is not [first, end) with end after first");
	if (pin->n_ranges == PLAN_STAGES_MAX)
		return bad(fail, "layers", "has more ranges than a plan can have");
	struct pin_range *range = &pin->ranges[pin->n_ranges++];
	range->first_layer = (uint16_t)first;
	range->end_layer = (uint16_t)end;
	return copy_name(range->device, name, "layers", fail);
}

static int read_layers(struct plan_pin *pin, const json_t *layers, struct fail *fail)
{
	const char *name;
	json_t *value;
	if (!json_is_object(layers) || json_object_size(layers) == 0)
		return bad(fail, "layers", "is not an object of device names");
	json_object_foreach ((json_t *)layers, name, value) {
		int rc = 0;
		if (json_is_integer(value)) {
			rc = read_count(pin, name, value, fail);
		} else if (json_is_array(value)) {
			for (size_t i = 0; rc == 0 && i < json_array_size(value); i++)
				rc = read_range(pin, name, json_array_get(value, i), fail);
		} else {
			rc = bad(fail, "layers", "has a value that is no count and no list of ranges");
		}
		if (rc < 0)
			return rc;
	}
	if (pin->n_counts > 0 && pin->n_ranges > 0)
		return bad(fail, "layers", "mixes counts and ranges");
	pin->layers = pin->n_ranges > 0 ? PIN_LAYERS_RANGES : PIN_LAYERS_COUNTS;
	return 0;
}

static int read_rounds(struct plan_pin *pin, const json_t *value, struct fail *fail)
{
	const int rounds = bounded(value, 1, MODEL_LAYERS_MAX);
	if (rounds < 0)
		return bad(fail, "rounds", "is not 1 to 512");
	pin->rounds = (uint16_t)rounds;
	return 0;
}

static int read_head(struct plan_pin *pin, const json_t *value, struct fail *fail)
{
	if (!json_is_string(value))
		return bad(fail, "head", "is not a device name");
	return copy_name(pin->head, json_string_value(value), "head", fail);
}

static int read_order(struct plan_pin *pin, const json_t *order, struct fail *fail)
{
	const size_t n = json_array_size(order);
	if (!json_is_array(order) || n == 0 || n > PLAN_DEVICES_MAX)
		return bad(fail, "order", "is not a list of 1 to 32 device names");
	for (size_t i = 0; i < n; i++) {
		const json_t *name = json_array_get(order, i);
		if (!json_is_string(name))
			return bad(fail, "order", "holds something that is not a device name");
		const int rc = copy_name(pin->order[pin->n_order++], json_string_value(name),
					 "order", fail);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct plan_pin *pin, const json_t *value, struct fail *fail);
} fields[] = {
	{ "layers", read_layers },
	{ "rounds", read_rounds },
	{ "head", read_head },
	{ "order", read_order },
};

static int read_field(struct plan_pin *pin, const char *name, const json_t *value,
		      struct fail *fail)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].read(pin, value, fail);
	return fail_set(fail, FAIL_INVALID,
			"the pin has a field \"%.40s\"; it may have layers, rounds, head and order",
			name);
}

int pin_from_json(struct plan_pin *pin, const json_t *object, struct fail *fail)
{
	const char *name;
	json_t *value;
	memset(pin, 0, sizeof(*pin));
	if (!json_is_object(object))
		return fail_set(fail, FAIL_INVALID, "the pin is not a JSON object");
	json_object_foreach ((json_t *)object, name, value) {
		const int rc = read_field(pin, name, value, fail);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int pin_read(struct plan_pin *pin, const char *text, size_t size, struct fail *fail)
{
	json_error_t error;
	memset(pin, 0, sizeof(*pin));
	if (size > PIN_FILE_BYTES_MAX)
		return fail_set(fail, FAIL_INVALID, "the pin has %zu bytes, more than %d", size,
				PIN_FILE_BYTES_MAX);
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return fail_set(fail, FAIL_INVALID, "the pin is not JSON: %s (line %d)", error.text,
				error.line);
	const int rc = pin_from_json(pin, object, fail);
	json_decref(object);
	return rc;
}
