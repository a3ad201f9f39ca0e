#include "planner/pinned.h"

#include <stdlib.h>
#include <string.h>

static bool is_called(const struct profile *profile, const char *name)
{
	char short_id[ID_TEXT_BYTES], hex[ID_HEX_BYTES];
	return strcmp(profile->name, name) == 0 ||
	       strcmp(id_text(profile->device.bytes, short_id), name) == 0 ||
	       strcmp(id_hex(profile->device.bytes, hex), name) == 0;
}

int pinned_find(const struct cost *cost, const char *name, const char *field, uint32_t *index,
		struct fail *fail)
{
	uint32_t found = 0;
	for (uint32_t i = 0; i < cost->n_devices; i++) {
		if (!is_called(cost->devices[i].profile, name))
			continue;
		*index = i;
		found++;
	}
	if (found == 0)
		return fail_set(fail, FAIL_NOT_FOUND, "the pin's %s names %s: there is no such device",
				field, name);
	if (found > 1)
		return fail_set(fail, FAIL_NOT_FOUND,
				"the pin's %s names %s: %u devices are called so, use an id", field,
				name, found);
	if (cost->devices[*index].unusable)
		return fail_set(fail, FAIL_INVALID, "the pin's %s names %s, which cannot be used: %s",
				field, name, cost->devices[*index].unusable);
	return 0;
}

static int find_order(struct search_wish *wish, const struct cost *cost, struct fail *fail)
{
	const struct plan_pin *pin = &cost->options->pin;
	for (uint32_t i = 0; i < pin->n_order; i++) {
		uint32_t index = 0;
		const int rc = pinned_find(cost, pin->order[i], "order", &index, fail);
		if (rc < 0)
			return rc;
		for (uint32_t j = 0; j < i; j++)
			if (wish->order[j] == index)
				return fail_set(fail, FAIL_INVALID,
						"the pin's order names %s twice", pin->order[i]);
		wish->order[wish->n_order++] = (uint16_t)index;
	}
	return 0;
}

/* All pinned devices must compute alike. */
static int check_numerics(const struct search_wish *wish, const struct cost *cost,
			  struct fail *fail)
{
	const struct profile *first = NULL;
	for (int i = wish->head >= 0 ? -1 : 0; i < (int)wish->n_order; i++) {
		const uint32_t index = i < 0 ? (uint32_t)wish->head : wish->order[i];
		const struct profile *profile = cost->devices[index].profile;
		if (first && first->numerics != profile->numerics)
			return fail_set(fail, FAIL_VERSION,
					"the pin lets %s and %s work together, but they compute with "
					"different versions of the arithmetic (%u and %u)",
					first->name, profile->name, first->numerics,
					profile->numerics);
		first = profile;
	}
	return 0;
}

int pinned_wish(struct search_wish *wish, const struct cost *cost, struct fail *fail)
{
	const struct plan_pin *pin = &cost->options->pin;
	const uint32_t most = cost->options->rounds_max > 0 ? cost->options->rounds_max : 1;
	uint32_t head = 0;
	*wish = (struct search_wish){ .head = -1, .rounds_least = 1, .rounds_most = 1 };
	if (cost->options->streaming)
		wish->rounds_most = most;
	if (pin->rounds > cost->facts->n_layers)
		return fail_set(fail, FAIL_INVALID,
				"the pin asks for %u rounds, but the model has only %u layers",
				pin->rounds, cost->facts->n_layers);
	if (pin->rounds > 0)
		wish->rounds_least = wish->rounds_most = pin->rounds;
	if (pin->head[0]) {
		const int rc = pinned_find(cost, pin->head, "head", &head, fail);
		if (rc < 0)
			return rc;
		wish->head = (int)head;
	}
	const int rc = find_order(wish, cost, fail);
	return rc < 0 ? rc : check_numerics(wish, cost, fail);
}

/* ---- pinned layers ---- */

static void append_stage(struct plan *plan, uint32_t device, uint32_t first, uint32_t end,
			 uint32_t round)
{
	struct plan_stage *stage = &plan->stages[plan->n_stages++];
	*stage = (struct plan_stage){ .first_layer = (uint16_t)first,
				      .end_layer = (uint16_t)end,
				      .round = (uint16_t)round,
				      .n_group = 1 };
	stage->group[0].device = (uint16_t)device;
	stage->group[0].share = 1;
}

struct counted {
	uint32_t device, n_layers;
};

/* Counts in ring order: the pinned order where there is one, else that of the file. */
static int order_counts(struct counted *out, const struct search_wish *wish,
			const struct cost *cost, struct fail *fail)
{
	const struct plan_pin *pin = &cost->options->pin;
	struct counted counts[PLAN_DEVICES_MAX];
	uint32_t total = 0, n = 0;
	for (uint32_t i = 0; i < pin->n_counts; i++) {
		const int rc = pinned_find(cost, pin->counts[i].device, "layers",
					   &counts[i].device, fail);
		if (rc < 0)
			return rc;
		counts[i].n_layers = pin->counts[i].n_layers;
		total += pin->counts[i].n_layers;
	}
	if (total != cost->facts->n_layers)
		return fail_set(fail, FAIL_INVALID, "the pin places %u layers, but the model has %u",
				total, cost->facts->n_layers);
	if (wish->n_order == 0) {
		memcpy(out, counts, pin->n_counts * sizeof(counts[0]));
		return (int)pin->n_counts;
	}
	for (uint32_t i = 0; i < wish->n_order; i++)
		for (uint32_t j = 0; j < pin->n_counts; j++)
			if (counts[j].device == wish->order[i])
				out[n++] = counts[j];
	if (n != pin->n_counts)
		return fail_set(fail, FAIL_INVALID,
				"the pin gives layers to a device that is not in its order");
	return (int)n;
}

static int stages_from_counts(struct plan *plan, const struct search_wish *wish,
			      const struct cost *cost, struct fail *fail)
{
	struct counted counts[PLAN_DEVICES_MAX];
	const int n = order_counts(counts, wish, cost, fail);
	const uint32_t k = wish->rounds_least;
	uint32_t next = 0;
	if (n < 0)
		return n;
	if (k * (uint32_t)n > PLAN_STAGES_MAX)
		return fail_set(fail, FAIL_INVALID, "%u rounds over %d devices are too many stages",
				k, n);
	plan->rounds = (uint16_t)k;
	for (uint32_t round = 0; round < k; round++) {
		for (int i = 0; i < n; i++) {
			const uint32_t l = counts[i].n_layers;
			const uint32_t window = l * (round + 1) / k - l * round / k;
			if (window > 0)
				append_stage(plan, counts[i].device, next, next + window, round);
			next += window;
		}
	}
	return 0;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct pin_range *a = left, *b = right;
	return (int)a->first_layer - (int)b->first_layer;
}

static int stages_from_ranges(struct plan *plan, const struct search_wish *wish,
			      const struct cost *cost, struct fail *fail)
{
	const struct plan_pin *pin = &cost->options->pin;
	struct pin_range ranges[PLAN_STAGES_MAX];
	uint32_t next = 0, round = 0, seen = 0; /* devices of this round, as bits */
	memcpy(ranges, pin->ranges, pin->n_ranges * sizeof(ranges[0]));
	qsort(ranges, pin->n_ranges, sizeof(ranges[0]), compare_ranges);
	for (uint32_t i = 0; i < pin->n_ranges; i++) {
		uint32_t device = 0;
		const int rc = pinned_find(cost, ranges[i].device, "layers", &device, fail);
		if (rc < 0)
			return rc;
		if (ranges[i].first_layer != next)
			return fail_set(fail, FAIL_INVALID,
					"the pin's ranges leave a gap or overlap at layer %u",
					ranges[i].first_layer < next ? ranges[i].first_layer : next);
		next = ranges[i].end_layer;
		if (seen >> device & 1) {
			seen = 0;
			round++;
		}
		seen |= 1u << device;
		append_stage(plan, device, ranges[i].first_layer, next, round);
	}
	plan->rounds = (uint16_t)(round + 1);
	if (next != cost->facts->n_layers)
		return fail_set(fail, FAIL_INVALID,
				"the pin's ranges end at layer %u, but the model has %u", next,
				cost->facts->n_layers);
	if (pin->rounds > 0 && pin->rounds != plan->rounds)
		return fail_set(fail, FAIL_INVALID, "the pin's ranges make %u rounds, not %u",
				plan->rounds, pin->rounds);
	if (wish->n_order > 0)
		return fail_set(fail, FAIL_INVALID,
				"a pin with ranges settles the order: leave \"order\" out");
	return 0;
}

int pinned_stages(struct plan *plan, const struct cost *cost, int *head, struct fail *fail)
{
	struct search_wish wish;
	int rc = pinned_wish(&wish, cost, fail);
	if (rc < 0)
		return rc;
	*head = wish.head;
	rc = cost->options->pin.layers == PIN_LAYERS_RANGES
		     ? stages_from_ranges(plan, &wish, cost, fail)
		     : stages_from_counts(plan, &wish, cost, fail);
	if (rc < 0)
		return rc;
	/* who holds layers must compute alike */
	wish.n_order = 0;
	for (uint32_t i = 0; i < plan->n_stages && wish.n_order < PLAN_DEVICES_MAX; i++) {
		uint32_t j = 0;
		while (j < wish.n_order && wish.order[j] != plan->stages[i].group[0].device)
			j++;
		if (j == wish.n_order)
			wish.order[wish.n_order++] = plan->stages[i].group[0].device;
	}
	return check_numerics(&wish, cost, fail);
}
