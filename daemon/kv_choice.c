#include "daemon/kv_choice.h"

#include "proto/facts.h"

#include <stdio.h>
#include <string.h>

struct entry {
	char model[MODEL_NAME_BYTES]; /* "": all models */
	enum kv_type type;
};

static const char *trim(const char *text, size_t *size)
{
	while (*size > 0 && text[0] == ' ') {
		text++;
		--*size;
	}
	while (*size > 0 && text[*size - 1] == ' ')
		--*size;
	return text;
}

static bool copy(const char *text, size_t size, char *out, size_t room)
{
	text = trim(text, &size);
	if (size == 0 || size >= room)
		return false;
	memcpy(out, text, size);
	out[size] = 0;
	return true;
}

/* One entry of `size` bytes: the type stands behind the last colon, since names may have some. */
static bool read_entry(const char *text, size_t size, struct entry *entry)
{
	size_t name = size;
	char type[8];
	while (name > 0 && text[name - 1] != ':')
		name--;
	entry->model[0] = 0;
	if (name > 0 && !copy(text, name - 1, entry->model, sizeof(entry->model)))
		return false;
	return copy(text + name, size - name, type, sizeof(type)) &&
	       kv_type_find(type, &entry->type);
}

/* The next entry's text; NULL after the last one. */
static const char *next_entry(const char **at, size_t *size)
{
	const char *text = *at;
	if (!text)
		return NULL;
	*size = strcspn(text, ",");
	*at = text[*size] ? text + *size + 1 : NULL;
	return text;
}

/* The first entry for exactly this name. */
static bool find(const char *text, const char *model, enum kv_type *type)
{
	size_t size;
	struct entry entry;
	for (const char *at = text, *one; (one = next_entry(&at, &size));) {
		if (!read_entry(one, size, &entry) || strcmp(entry.model, model) != 0)
			continue;
		*type = entry.type;
		return true;
	}
	return false;
}

static bool is_first(const char *text, const char *until, const char *model)
{
	size_t size;
	struct entry entry;
	for (const char *at = text, *one; (one = next_entry(&at, &size)) && one < until;)
		if (read_entry(one, size, &entry) && strcmp(entry.model, model) == 0)
			return false;
	return true;
}

int kv_choice_check(const char *text, struct fail *fail)
{
	size_t size;
	struct entry entry;
	for (const char *at = text, *one; (one = next_entry(&at, &size));) {
		if (!read_entry(one, size, &entry))
			return fail_set(fail, FAIL_INVALID,
					"\"%.*s\" is neither f16, q8_0 or f32 nor MODEL:TYPE with "
					"one of them",
					(int)(size < 100 ? size : 100), one);
		if (!is_first(text, one, entry.model))
			return fail_set(fail, FAIL_INVALID, "%s has two types",
					entry.model[0] ? entry.model
						       : "the setting for all models");
	}
	return 0;
}

enum kv_type kv_choice_of(const char *text, const char *model)
{
	enum kv_type type = KV_TYPE_F16;
	if (!find(text, model, &type))
		find(text, "", &type);
	return type;
}
