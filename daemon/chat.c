#include "daemon/chat.h"

#include <string.h>

#define DEPTH_MAX 200

static bool is_known_role(const char *key, const json_t *value)
{
	static const char *const roles[] = { "system", "developer", "user", "assistant", "tool" };
	const char *text = json_string_value(value);
	if (!key || strcmp(key, "role") != 0 || !text)
		return false;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(text, roles[i]) == 0)
			return true;
	return false;
}

static struct template_value *convert(struct template_values *values, const char *key,
				      const json_t *json, uint32_t depth);

static struct template_value *convert_list(struct template_values *values, const json_t *json,
					   uint32_t depth)
{
	struct template_value *list = template_list(values);
	for (size_t i = 0; i < json_array_size(json); i++)
		template_list_add(values, list,
				  convert(values, NULL, json_array_get(json, i), depth + 1));
	return list;
}

static struct template_value *convert_object(struct template_values *values, const json_t *json,
					     uint32_t depth)
{
	struct template_value *object = template_object(values);
	void *at = json_object_iter((json_t *)(uintptr_t)json);
	for (; at; at = json_object_iter_next((json_t *)(uintptr_t)json, at)) {
		const char *key = json_object_iter_key(at);
		template_object_set(values, object, key, strlen(key), false,
				    convert(values, key, json_object_iter_value(at), depth + 1));
	}
	return object;
}

static struct template_value *convert(struct template_values *values, const char *key,
				      const json_t *json, uint32_t depth)
{
	if (depth > DEPTH_MAX) {
		template_lose(values);
		return NULL;
	}
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return convert_object(values, json, depth);
	case JSON_ARRAY:
		return convert_list(values, json, depth);
	case JSON_STRING:
		return template_text(values, json_string_value(json), json_string_length(json),
				     is_known_role(key, json));
	case JSON_INTEGER:
		return template_integer(values, json_integer_value(json));
	case JSON_REAL:
		return template_real(values, json_real_value(json));
	case JSON_TRUE:
	case JSON_FALSE:
		return template_bool(values, json_is_true(json));
	case JSON_NULL:
		break;
	}
	return template_none(values);
}

struct template_value *chat_value(struct template_values *values, const json_t *json)
{
	return convert(values, NULL, json, 0);
}
