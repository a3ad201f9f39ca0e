#include "daemon/chatml.h"

#include "compute/compute.h"

#include <string.h>

#define CHATML_START "<|im_start|>"

static void add_span(struct buf *spans, size_t size, bool trusted)
{
	const struct span span = { .size = (uint32_t)size, .trusted = trusted };
	if (size > 0)
		buf_append(spans, &span, sizeof(span));
}

static bool starts_with(const char *text, size_t left, const char *word)
{
	const size_t size = strlen(word);
	return left >= size && memcmp(text, word, size) == 0;
}

/* What a message says must not end its turn or begin another, not even in a vocabulary where the
 * markers are plain text: a zero-width space breaks them, visibly for the model and invisibly for
 * people. */
static void append_content(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		buf_u8(out, (uint8_t)text[i]);
		if (text[i] == '<' && (starts_with(text + i, size - i, CHATML_START) ||
				       starts_with(text + i, size - i, CHATML_END)))
			buf_text(out, "\xe2\x80\x8b");
	}
}

/* `before`: own bytes that stand before this turn and have no span yet; gives those after it. */
static size_t append_turn(const json_t *message, size_t before, struct buf *text, struct buf *spans)
{
	const json_t *content = json_object_get(message, "content");
	const char *role = json_string_value(json_object_get(message, "role"));
	size_t at = text->size;
	buf_printf(text, CHATML_START "%s\n", role);
	const size_t opening = before + (text->size - at);
	at = text->size;
	append_content(text, json_string_value(content), json_string_length(content));
	const size_t said = text->size - at;
	at = text->size;
	buf_text(text, CHATML_END "\n");
	if (said == 0)
		return opening + (text->size - at);
	add_span(spans, opening, true);
	add_span(spans, said, false);
	return text->size - at;
}

static int check(const json_t *chat, struct fail *fail)
{
	const json_t *messages = json_object_get(chat, "messages");
	if (json_object_get(chat, "tools"))
		return fail_set(
			fail, FAIL_UNSUPPORTED,
			"this model's file has no chat template, so it cannot be told of tools");
	for (size_t i = 0; i < json_array_size(messages); i++) {
		const json_t *message = json_array_get(messages, i);
		const char *role = json_string_value(json_object_get(message, "role"));
		if (strcmp(role, "tool") == 0 || json_object_get(message, "tool_calls"))
			return fail_set(
				fail, FAIL_UNSUPPORTED,
				"message %zu is about a tool, but this model's file has no chat "
				"template for it",
				i);
	}
	return 0;
}

int chatml_write(const json_t *chat, struct buf *text, struct buf *spans, struct fail *fail)
{
	const json_t *messages = json_object_get(chat, "messages");
	const int result = check(chat, fail);
	if (result < 0)
		return result;
	size_t own = 0;
	for (size_t i = 0; i < json_array_size(messages); i++)
		own = append_turn(json_array_get(messages, i), own, text, spans);
	const size_t at = text->size;
	buf_text(text, CHATML_START "assistant\n");
	add_span(spans, own + (text->size - at), true);
	if (text->failed || spans->failed)
		return fail_set(fail, FAIL_MEMORY, "no memory for these messages");
	return 0;
}
