/* pin.h: what a person settles about a plan, for tests and experts.
 *
 * A pin file is JSON; every field may be missing:
 *
 *   {
 *     "layers": {"desk": 10, "laptop": [[10, 14], [16, 18]], "attic": 2},
 *     "rounds": 2,
 *     "head": "desk",
 *     "order": ["desk", "laptop", "attic"]
 *   }
 *
 * Devices are named by name, by short or full id. "layers" places every layer of the model: counts
 * (dealt in ring order, each count split evenly over the rounds) or ranges [first, end), not both
 * kinds in one file; devices that are not named get none. "order" is the ring; devices that are not
 * in it are left out. "head" and "rounds" are as in a plan. What is not pinned, the planner
 * chooses. */
#ifndef PLANNER_PIN_H
#define PLANNER_PIN_H

#include "base/fail.h"
#include "proto/plan.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define PIN_NAME_BYTES (DEVICE_NAME_BYTES + 2) /* room for 64 hex digits */
#define PIN_FILE_BYTES_MAX 65536

enum pin_layers { PIN_LAYERS_FREE, PIN_LAYERS_COUNTS, PIN_LAYERS_RANGES };

struct pin_count {
	char device[PIN_NAME_BYTES]; /* name, short id or hex id, resolved when a plan is made */
	uint16_t n_layers;
};

struct pin_range {
	char device[PIN_NAME_BYTES];
	uint16_t first_layer; /* inclusive */
	uint16_t end_layer;   /* exclusive */
};

struct plan_pin {
	enum pin_layers layers;
	uint16_t n_counts;
	struct pin_count counts[PLAN_DEVICES_MAX];
	uint16_t n_ranges;
	struct pin_range ranges[PLAN_STAGES_MAX]; /* any order; a plan needs them to cover all layers */
	uint16_t rounds; /* 0: free */
	char head[PIN_NAME_BYTES]; /* "": free */
	uint16_t n_order; /* 0: free */
	char order[PLAN_DEVICES_MAX][PIN_NAME_BYTES];
};

/* Reads a pin file's text. Unknown fields, wrong types, counts and ranges out of bounds, and names
 * that are too long are refused with a sentence that names the field (FAIL_INVALID). */
int pin_read(struct plan_pin *pin, const char *text, size_t size, struct fail *fail);

/* As pin_read, from an object that is already parsed (borrowed). */
int pin_from_json(struct plan_pin *pin, const json_t *object, struct fail *fail);

bool pin_empty(const struct plan_pin *pin);

#endif
