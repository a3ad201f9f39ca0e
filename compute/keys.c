#include "compute/keys.h"

#include <inttypes.h>
#include <stdio.h>

const char *keys_full(struct keys *keys, const char *key)
{
	snprintf(keys->name, sizeof(keys->name), "%s.%s", keys->family->name, key);
	return keys->name;
}

bool keys_has(struct keys *keys, const char *key)
{
	return gguf_has(keys->gguf, keys_full(keys, key));
}

bool keys_set(struct keys *keys, const char *key)
{
	uint64_t number;
	double fraction;
	bool flag;
	keys_full(keys, key);
	if (gguf_u64(keys->gguf, keys->name, &number))
		return number != 0;
	if (gguf_f64(keys->gguf, keys->name, &fraction))
		return fraction != 0;
	if (gguf_bool(keys->gguf, keys->name, &flag))
		return !flag;
	return gguf_has(keys->gguf, keys->name);
}

int keys_missing(struct keys *keys)
{
	return fail_set(keys->fail, FAIL_INVALID, "%s lacks the key %s", gguf_label(keys->gguf),
			keys->name);
}

int keys_wrong_kind(struct keys *keys, const char *wanted)
{
	return fail_set(keys->fail, FAIL_INVALID, "%s: the key %s is not %s",
			gguf_label(keys->gguf), keys->name, wanted);
}

static int check_range(struct keys *keys, uint64_t value, uint32_t least, uint32_t most)
{
	if (value >= least && value <= most)
		return 0;
	return fail_set(keys->fail, FAIL_INVALID,
			"%s: the key %s is %" PRIu64 "; from %" PRIu32 " to %" PRIu32
			" is possible",
			gguf_label(keys->gguf), keys->name, value, least, most);
}

int keys_need_u32(struct keys *keys, const char *key, uint32_t least, uint32_t most,
		  uint32_t *value)
{
	uint64_t found;
	if (!gguf_u64(keys->gguf, keys_full(keys, key), &found))
		return gguf_has(keys->gguf, keys->name) ? keys_wrong_kind(keys, "a whole number")
							: keys_missing(keys);
	*value = (uint32_t)found;
	return check_range(keys, found, least, most);
}

int keys_want_u32(struct keys *keys, const char *key, uint32_t least, uint32_t most,
		  uint32_t *value)
{
	return keys_has(keys, key) ? keys_need_u32(keys, key, least, most, value) : 0;
}

int keys_want_f32(struct keys *keys, const char *key, double least, double most, float *value)
{
	double found;
	if (!keys_has(keys, key))
		return 0;
	if (!gguf_f64(keys->gguf, keys->name, &found))
		return keys_wrong_kind(keys, "a number with a fraction");
	if (!(found >= least && found <= most)) /* NaN too */
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: the key %s is %g; from %g to %g is possible",
				gguf_label(keys->gguf), keys->name, found, least, most);
	*value = (float)found;
	return 0;
}

int keys_need_per_layer(struct keys *keys, const char *key, uint32_t n_layers, uint32_t most,
			uint32_t *values)
{
	struct gguf_array array;
	if (!gguf_array(keys->gguf, keys_full(keys, key), &array)) {
		const int result = keys_need_u32(keys, key, 1, most, &values[0]);
		for (uint32_t i = 1; i < n_layers && result == 0; i++)
			values[i] = values[0];
		return result;
	}
	if (array.count != n_layers && array.count != (uint64_t)n_layers + keys->n_spare)
		return fail_set(keys->fail, FAIL_INVALID,
				"%s: the key %s has %" PRIu64 " numbers for %" PRIu32 " layers",
				gguf_label(keys->gguf), keys->name, array.count, n_layers);
	for (uint32_t i = 0; i < n_layers; i++) {
		uint64_t found;
		if (!gguf_array_u64(&array, i, &found))
			return keys_wrong_kind(keys, "an array of whole numbers");
		if (check_range(keys, found, 1, most) != 0)
			return -FAIL_INVALID;
		values[i] = (uint32_t)found;
	}
	return 0;
}
