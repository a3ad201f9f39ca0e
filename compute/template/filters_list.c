#include "compute/template/filters_list.h"

#include "compute/template/access.h"
#include "compute/template/filters.h"
#include "compute/template/lexer.h"
#include "compute/template/operators.h"
#include "compute/template/print.h"
#include "compute/template/search.h"
#include "compute/template/sort.h"
#include "compute/template/tests.h"

static const struct value *keyword(const struct arguments *given, const char *name)
{
	for (uint32_t i = 0; i < given->n_keywords; i++)
		if (string_is(given->keywords[i].name, name))
			return &given->keywords[i].value;
	return NULL;
}

static struct string *name_at(struct run *run, const struct arguments *given, uint32_t index,
			      const char *filter)
{
	if (index >= given->count || given->items[index].type != VALUE_STRING)
		run_fail(run, FAIL_INVALID, "\"%s\" is called without a name", filter);
	return given->items[index].string;
}

static struct arguments rest(const struct arguments *given, uint32_t used)
{
	struct arguments left = *given;
	left.items += used < given->count ? used : given->count;
	left.count -= used < given->count ? used : given->count;
	return left;
}

/* ---- map, select, reject ---- */

static struct value map_field(struct run *run, struct value input, struct value path,
			      const struct value *otherwise)
{
	struct value mapped = value_sequence(run, SEQUENCE_ITERATOR);
	const struct sequence *items = value_items(run, input);
	for (uint32_t i = 0; i < items->count; i++) {
		struct value item = access_path(run, items->items[i], path);
		if (item.type == VALUE_UNDEFINED && otherwise)
			item = *otherwise;
		value_append(run, mapped.sequence, item);
	}
	return mapped;
}

struct value filters_list_map(struct run *run, struct value input, const struct arguments *given)
{
	const struct value *path = keyword(given, "attribute");
	if (!value_truth(run, input))
		return value_sequence(run, SEQUENCE_ITERATOR);
	if (given->count == 0 && path)
		return map_field(run, input, *path, keyword(given, "default"));
	const struct callable *filter = filters_find(run, name_at(run, given, 0, "map"));
	const struct arguments arguments = rest(given, 1);
	const struct sequence *items = value_items(run, input);
	struct value mapped = value_sequence(run, SEQUENCE_ITERATOR);
	for (uint32_t i = 0; i < items->count; i++)
		value_append(run, mapped.sequence,
			     callable_call(run, filter, items->items[i], &arguments));
	return mapped;
}

/* Those items whose test (of themselves, or of a field) gives `wanted`. */
static struct value choose(struct run *run, struct value input, const struct arguments *given,
			   bool by_field, bool wanted)
{
	struct value chosen = value_sequence(run, SEQUENCE_ITERATOR);
	if (!value_truth(run, input))
		return chosen;
	if (by_field)
		name_at(run, given, 0, wanted ? "selectattr" : "rejectattr");
	const struct callable *test = NULL;
	if (given->count > by_field)
		test = tests_find(run, name_at(run, given, by_field, "select"));
	const struct arguments arguments = rest(given, 1u + by_field);
	const struct sequence *items = value_items(run, input);
	for (uint32_t i = 0; i < items->count; i++) {
		struct value item = items->items[i];
		if (by_field)
			item = access_path(run, item, given->items[0]);
		if (test)
			item = callable_call(run, test, item, &arguments);
		run_step(run, 1);
		if (value_truth(run, item) == wanted)
			value_append(run, chosen.sequence, items->items[i]);
	}
	return chosen;
}

struct value filters_list_select(struct run *run, struct value input, const struct arguments *given)
{
	return choose(run, input, given, false, true);
}

struct value filters_list_reject(struct run *run, struct value input, const struct arguments *given)
{
	return choose(run, input, given, false, false);
}

struct value filters_list_select_field(struct run *run, struct value input,
				       const struct arguments *given)
{
	return choose(run, input, given, true, true);
}

struct value filters_list_reject_field(struct run *run, struct value input,
				       const struct arguments *given)
{
	return choose(run, input, given, true, false);
}

/* ---- in order ---- */

/* What an item is compared by: itself or a field, letters folded unless their case counts. */
static struct value key_of(struct run *run, struct value item, struct value path, bool fold)
{
	if (path.type != VALUE_NONE)
		item = access_path(run, item, path);
	return sort_key(run, item, fold);
}

/* sort(reverse, case_sensitive, attribute) */
struct value filters_list_sort(struct run *run, struct value input, const struct arguments *given)
{
	const bool fold = !callable_truth(run, given, 1, false);
	const struct value path = callable_argument(given, 2, value_none());
	const struct sequence *items = value_items(run, input);
	struct sort_item *sorted = run_take(run, (items->count + 1) * sizeof(*sorted));
	if (path.type == VALUE_STRING &&
	    string_find(path.string, value_word(run, ",").string, 0) != STRING_NONE)
		run_fail(run, FAIL_UNSUPPORTED, "sorting by several fields is not known here");
	for (uint32_t i = 0; i < items->count; i++)
		sorted[i] = (struct sort_item){ key_of(run, items->items[i], path, fold),
						items->items[i] };
	sort_items(run, sorted, items->count, callable_truth(run, given, 0, false));
	struct value list = value_sequence(run, SEQUENCE_LIST);
	for (uint32_t i = 0; i < items->count; i++)
		value_append(run, list.sequence, sorted[i].item);
	return list;
}

/* dictsort(case_sensitive, by, reverse) */
struct value filters_list_sort_dict(struct run *run, struct value input,
				    const struct arguments *given)
{
	const bool fold = !callable_truth(run, given, 0, false);
	const struct value by = callable_argument(given, 1, value_word(run, "key"));
	const bool by_value = value_is_word(by, "value");
	if (input.type == VALUE_UNDEFINED)
		value_fail_undefined(run, input);
	if (input.type != VALUE_DICT)
		run_fail(run, FAIL_INVALID, "dictsort is given %s, no object",
			 value_type_name(input));
	if (!by_value && !value_is_word(by, "key"))
		run_fail(run, FAIL_INVALID, "dictsort sorts by \"key\" or \"value\" only");
	const uint32_t count = input.dict->count;
	struct sort_item *sorted = run_take(run, (count + 1) * sizeof(*sorted));
	for (uint32_t i = 0; i < count; i++) {
		const struct pair *pair = &input.dict->pairs[i];
		sorted[i].key = sort_key(run, by_value ? pair->value : pair->key, fold);
		sorted[i].item = value_pair(run, pair->key, pair->value);
	}
	sort_items(run, sorted, count, callable_truth(run, given, 2, false));
	struct value list = value_sequence(run, SEQUENCE_LIST);
	for (uint32_t i = 0; i < count; i++)
		value_append(run, list.sequence, sorted[i].item);
	return list;
}

/* unique(case_sensitive, attribute) */
struct value filters_list_unique(struct run *run, struct value input, const struct arguments *given)
{
	const bool fold = !callable_truth(run, given, 0, false);
	const struct value path = callable_argument(given, 1, value_none());
	const struct sequence *items = value_items(run, input);
	struct value once = value_sequence(run, SEQUENCE_ITERATOR);
	struct value seen = value_sequence(run, SEQUENCE_LIST);
	for (uint32_t i = 0; i < items->count; i++) {
		const struct value key = key_of(run, items->items[i], path, fold);
		if (!value_hashable(key))
			run_fail(run, FAIL_INVALID, "unique cannot compare %s",
				 value_type_name(key));
		if (value_contains(run, seen, key))
			continue;
		value_append(run, seen.sequence, key);
		value_append(run, once.sequence, items->items[i]);
	}
	return once;
}

/* min and max (case_sensitive, attribute): the first of the best. */
static struct value best(struct run *run, struct value input, const struct arguments *given,
			 int order)
{
	const bool fold = !callable_truth(run, given, 0, false);
	const struct value path = callable_argument(given, 1, value_none());
	const struct sequence *items = value_items(run, input);
	if (items->count == 0)
		return value_undefined(run, "there is no least and no greatest of nothing", NULL);
	struct value best = items->items[0], best_key = key_of(run, best, path, fold);
	for (uint32_t i = 1; i < items->count; i++) {
		const struct value key = key_of(run, items->items[i], path, fold);
		if (value_compare(run, key, best_key) != order)
			continue;
		best = items->items[i];
		best_key = key;
	}
	return best;
}

struct value filters_list_min(struct run *run, struct value input, const struct arguments *given)
{
	return best(run, input, given, -1);
}

struct value filters_list_max(struct run *run, struct value input, const struct arguments *given)
{
	return best(run, input, given, 1);
}

/* ---- all together ---- */

/* sum(attribute, start) */
struct value filters_list_sum(struct run *run, struct value input, const struct arguments *given)
{
	const struct value path = callable_argument(given, 0, value_none());
	struct value sum = callable_argument(given, 1, value_integer(0));
	const struct sequence *items = value_items(run, input);
	for (uint32_t i = 0; i < items->count; i++) {
		struct value item = items->items[i];
		if (path.type != VALUE_NONE)
			item = access_path(run, item, path);
		sum = operators_apply(run, SIGN_ADD, sum, item);
	}
	return sum;
}

/* join(d, attribute) */
struct value filters_list_join(struct run *run, struct value input, const struct arguments *given)
{
	const struct string *separator = given->items[0].type == VALUE_MISSING
						 ? value_word(run, "").string
						 : print_text(run, given->items[0]);
	if (callable_given(given, 1))
		input = map_field(run, input, given->items[1], NULL);
	return value_string(search_join(run, separator, value_items(run, input), false));
}

/* ---- ends ---- */

struct value filters_list_first(struct run *run, struct value input, const struct arguments *given)
{
	struct sequence *sequence = input.sequence;
	if (input.type == VALUE_SEQUENCE && sequence->kind == SEQUENCE_ITERATOR &&
	    sequence->next < sequence->count)
		return sequence->items[sequence->next++]; /* the others stay */
	const struct sequence *items = value_items(run, input);
	return items->count > 0 ? items->items[0]
				: value_undefined(run, "there is no first item of nothing", NULL);
}

static void refuse_iterator(struct run *run, struct value input, const char *filter)
{
	if (input.type == VALUE_SEQUENCE && input.sequence->kind == SEQUENCE_ITERATOR)
		run_fail(run, FAIL_INVALID, "\"%s\" needs a list: put `|list` before it", filter);
}

struct value filters_list_last(struct run *run, struct value input, const struct arguments *given)
{
	refuse_iterator(run, input, "last");
	const struct sequence *items = value_items(run, input);
	return items->count > 0 ? items->items[items->count - 1]
				: value_undefined(run, "there is no last item of nothing", NULL);
}

struct value filters_list_reverse(struct run *run, struct value input,
				  const struct arguments *given)
{
	const struct value none = value_none();
	if (input.type == VALUE_STRING)
		return access_slice(run, input, none, none, value_integer(-1));
	const bool was_iterator =
		input.type == VALUE_SEQUENCE && input.sequence->kind == SEQUENCE_ITERATOR;
	const struct sequence *items = value_items(run, input);
	struct value back = value_sequence(run, was_iterator ? SEQUENCE_LIST : SEQUENCE_ITERATOR);
	for (uint32_t i = items->count; i-- > 0;)
		value_append(run, back.sequence, items->items[i]);
	return back;
}

struct value filters_list_all(struct run *run, struct value input, const struct arguments *given)
{
	const struct sequence *items = value_items(run, input);
	struct value list = value_sequence(run, SEQUENCE_LIST);
	run_step(run, items->count / 4);
	for (uint32_t i = 0; i < items->count; i++)
		value_append(run, list.sequence, items->items[i]);
	return list;
}

struct value filters_list_pairs(struct run *run, struct value input, const struct arguments *given)
{
	struct value pairs = value_sequence(run, SEQUENCE_ITERATOR);
	if (input.type == VALUE_UNDEFINED)
		return pairs;
	if (input.type != VALUE_DICT)
		run_fail(run, FAIL_INVALID, "\"items\" is given %s, no object",
			 value_type_name(input));
	for (uint32_t i = 0; i < input.dict->count; i++) {
		const struct pair *pair = &input.dict->pairs[i];
		run_step(run, 1);
		value_append(run, pairs.sequence, value_pair(run, pair->key, pair->value));
	}
	return pairs;
}
