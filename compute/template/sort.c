#include "compute/template/sort.h"

#include "compute/template/letters.h"

#include <string.h>

/* Merges [start, middle) and [middle, end) through `room`. */
static void merge(struct run *run, struct sort_item *items, struct sort_item *room, uint32_t start,
		  uint32_t middle, uint32_t end, bool backwards)
{
	uint32_t left = start, right = middle, used = start;
	while (left < middle && right < end) {
		const int order = value_compare(run, items[right].key, items[left].key);
		const bool takes_right = backwards ? order == 1 : order == -1;
		room[used++] = takes_right ? items[right++] : items[left++];
	}
	while (left < middle)
		room[used++] = items[left++];
	while (right < end)
		room[used++] = items[right++];
	memcpy(items + start, room + start, (end - start) * sizeof(*items));
}

void sort_items(struct run *run, struct sort_item *items, uint32_t count, bool backwards)
{
	if (count < 2)
		return;
	struct sort_item *room = run_take(run, count * sizeof(*room));
	for (uint64_t width = 1; width < count; width *= 2)
		for (uint64_t start = 0; start + width < count; start += 2 * width) {
			const uint64_t end = start + 2 * width;
			merge(run, items, room, (uint32_t)start, (uint32_t)(start + width),
			      (uint32_t)(end < count ? end : count), backwards);
		}
}

const struct dict *sort_dict(struct run *run, const struct dict *dict)
{
	struct sort_item *items = run_take(run, (dict->count + 1) * sizeof(*items));
	for (uint32_t i = 0; i < dict->count; i++)
		items[i] = (struct sort_item){ dict->pairs[i].key, dict->pairs[i].value };
	sort_items(run, items, dict->count, false);
	struct value sorted = value_dict(run);
	for (uint32_t i = 0; i < dict->count; i++)
		value_add(run, sorted.dict, items[i].key, items[i].item);
	return sorted.dict;
}

struct value sort_key(struct run *run, struct value value, bool fold)
{
	if (value.type == VALUE_UNDEFINED)
		value_fail_undefined(run, value);
	if (!fold || value.type != VALUE_STRING)
		return value;
	return value_string(letters_lower(run, value.string));
}
