/* Renders chat templates, for tests that compare: reads lines of JSON {"template", "variables",
 * "now", "steps", "output_bytes", "memory_bytes"} (the limits may be left out) from standard input,
 * writes for each a line {"text", "spans": [[bytes, trusted], ...]} or {"code", "error"}. */
#include "daemon/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number(const json_t *line, const char *name, uint64_t otherwise)
{
	const json_t *value = json_object_get(line, name);
	return value ? (uint64_t)json_integer_value(value) : otherwise;
}

static json_t *spans_json(const struct buf *spans)
{
	json_t *list = json_array();
	struct span span;
	for (size_t at = 0; at < spans->size; at += sizeof(span)) {
		memcpy(&span, spans->data + at, sizeof(span));
		json_array_append_new(list, json_pack("[i, b]", (int)span.size, span.trusted));
	}
	return list;
}

static json_t *failure(const struct fail *fail)
{
	return json_pack("{s:s, s:s}", "code", fail_code_name(fail->code), "error", fail->text);
}

static json_t *render(const json_t *line, const struct template *template)
{
	const struct template_limits limits = { .steps = number(line, "steps", 10000000),
						.output_bytes =
							number(line, "output_bytes", 4u << 20),
						.now_s = (int64_t)number(line, "now", 0) };
	struct template_values *values =
		template_values_create(number(line, "memory_bytes", 64u << 20), NULL);
	struct template_value *variables = chat_value(values, json_object_get(line, "variables"));
	struct buf text, spans;
	struct fail fail;
	json_t *answer;
	buf_init(&text);
	buf_init(&spans);
	if (template_render(template, values, variables, &limits, &text, &spans, &fail) < 0)
		answer = failure(&fail);
	else
		answer = json_pack("{s:s%, s:o}", "text", text.data ? (char *)text.data : "",
				   text.size, "spans", spans_json(&spans));
	buf_finish(&text);
	buf_finish(&spans);
	template_values_destroy(values);
	return answer;
}

static json_t *answer_line(const json_t *line)
{
	const json_t *source = json_object_get(line, "template");
	struct fail fail;
	struct template *template =
		template_create(json_string_value(source), json_string_length(source), &fail);
	if (!template)
		return failure(&fail);
	json_t *answer = render(line, template);
	template_destroy(template);
	return answer;
}

int main(void)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t size;
	int result = 0;
	while (result == 0 && (size = getline(&text, &room, stdin)) > 0) {
		json_t *line = json_loadb(text, (size_t)size, JSON_ALLOW_NUL, NULL);
		json_t *answer =
			json_is_object(line) && json_is_string(json_object_get(line, "template"))
				? answer_line(line)
				: NULL;
		result = !answer || json_dumpf(answer, stdout, JSON_COMPACT) < 0;
		putchar('\n');
		json_decref(answer);
		json_decref(line);
	}
	free(text);
	return result;
}
