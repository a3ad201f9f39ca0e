#include "daemon/chat.h"

#include "daemon/chatml.h"

#include <string.h>

#define DEPTH_MAX 200

/* Beyond what a conversation itself takes. Real templates take 100 steps and 10 KiB for a message;
 * the largest of a thousand messages took 10 million and 64 MiB. */
#define STEPS_MAX  20000000
#define MEMORY_MAX (128u << 20)

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

/* ---- the conversation ---- */

json_t *chat_create(void)
{
	return json_pack("{s:b}", "add_generation_prompt", 1);
}

static void set_token(struct template_values *values, struct template_value *variables,
		      const char *name, const struct tokenizer *tokenizer, uint32_t token)
{
	struct buf spelling;
	if (token == TOKEN_NONE)
		return;
	buf_init(&spelling);
	tokenizer_piece(tokenizer, token, false, true, &spelling);
	if (spelling.failed)
		template_lose(values);
	else
		template_object_set(values, variables, name, strlen(name), true,
				    template_text(values,
						  spelling.size ? (char *)spelling.data : "",
						  spelling.size, true));
	buf_finish(&spelling);
}

/* Templates ask whether there are tools, not only which. */
static void set_none(struct template_values *values, struct template_value *variables,
		     const json_t *chat, const char *name)
{
	if (!json_object_get(chat, name))
		template_object_set(values, variables, name, strlen(name), true,
				    template_none(values));
}

int chat_write(const json_t *chat, const struct template *template,
	       const struct tokenizer *tokenizer, struct account *account, int64_t now_s,
	       struct buf *text, struct buf *spans, struct fail *fail)
{
	const struct template_limits limits = { .steps = STEPS_MAX,
						.output_bytes = TOKENIZER_TEXT_MAX,
						.now_s = now_s };
	if (!template)
		return chatml_write(chat, text, spans, fail);
	struct template_values *values = template_values_create(MEMORY_MAX, account);
	if (!values)
		return fail_set(fail, FAIL_MEMORY, "no memory for the conversation");
	struct template_value *variables = chat_value(values, chat);
	set_none(values, variables, chat, "tools");
	set_none(values, variables, chat, "documents");
	set_token(values, variables, "bos_token", tokenizer, tokenizer_bos(tokenizer));
	set_token(values, variables, "eos_token", tokenizer, tokenizer_eos(tokenizer));
	const int result = template_render(template, values, variables, &limits, text, spans, fail);
	template_values_destroy(values);
	return result;
}

int chat_tokenize(const struct buf *text, const struct buf *spans,
		  const struct tokenizer *tokenizer, struct buf *tokens, struct fail *fail)
{
	const struct tokenize_options options = {
		.bos = tokenizer_adds_bos(tokenizer),
		.special = true,
		.spans = (const struct span *)(const void *)spans->data,
		.n_spans = (uint32_t)(spans->size / sizeof(struct span)),
	};
	const int result = tokenizer_encode(tokenizer, text->size ? (char *)text->data : "",
					    text->size, &options, tokens, fail);
	uint32_t first[2];
	if (result < 0 || !options.bos || tokens->size < sizeof(first))
		return result;
	memcpy(first, tokens->data, sizeof(first));
	if (first[1] == tokenizer_bos(tokenizer))
		buf_consume(tokens, sizeof(first[0]));
	return 0;
}
