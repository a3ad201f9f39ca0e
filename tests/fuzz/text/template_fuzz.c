/* Any template over a conversation of any text: a sentence, or well-formed text within the limits,
 * in which what the conversation brought is never trusted. Input: the text, a byte 0xff, the
 * template; without that byte all is template. */
#include "compute/template.h"
#include "compute/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUT_MAX (64u << 10)
#define MARKER     "\xee\x80\x80" /* U+E000: stands for the conversation's text */

static void add(struct template_values *values, struct template_value *object, const char *key,
		struct template_value *value)
{
	template_object_set(values, object, key, strlen(key), true, value);
}

static struct template_value *message(struct template_values *values, const char *role,
				      const uint8_t *text, size_t size)
{
	struct template_value *object = template_object(values);
	add(values, object, "role", template_text(values, role, strlen(role), true));
	add(values, object, "content", template_text(values, (const char *)text, size, false));
	return object;
}

static struct template_value *variables(struct template_values *values, const uint8_t *text,
					size_t size)
{
	struct template_value *all = template_object(values), *messages = template_list(values);
	template_list_add(values, messages, message(values, "system", text, size));
	template_list_add(values, messages, message(values, "user", text, size));
	struct template_value *call = template_object(values);
	template_object_set(values, call, (const char *)text, size, false,
			    template_real(values, 0.1));
	add(values, call, "n", template_none(values));
	add(values, call, "i", template_integer(values, -7));
	add(values, all, "messages", messages);
	add(values, all, "call", call);
	add(values, all, "add_generation_prompt", template_bool(values, true));
	add(values, all, "bos_token", template_text(values, "<s>", 3, true));
	return all;
}

static void check_text(const struct buf *text)
{
	if (text->size > OUTPUT_MAX)
		abort();
	for (size_t at = 0; at < text->size;) {
		const int length = utf8_scan(text->data + at, text->size - at);
		if (length <= 0)
			abort();
		at += (size_t)length;
	}
}

/* Spans cover the text, alternate, and none that is trusted holds the marker. */
static void check_spans(const struct buf *text, const struct buf *spans, bool marked)
{
	struct span span, last = { 0 };
	size_t from = 0;
	for (size_t at = 0; at < spans->size; at += sizeof(span)) {
		memcpy(&span, spans->data + at, sizeof(span));
		if (span.size == 0 || span.size > text->size - from ||
		    (at > 0 && span.trusted == last.trusted))
			abort();
		if (marked && span.trusted && memmem(text->data + from, span.size, MARKER, 3))
			abort();
		from += span.size;
		last = span;
	}
	if (from != text->size)
		abort();
}

static void render(const struct template *template, const uint8_t *user, size_t size, bool marked)
{
	const struct template_limits limits = { .steps = 200000, .output_bytes = OUTPUT_MAX };
	struct template_values *values = template_values_create(8 << 20, NULL);
	struct buf text, spans;
	struct fail fail = { 0 };
	buf_init(&text);
	buf_init(&spans);
	struct template_value *all = variables(values, user, size);
	if (template_render(template, values, all, &limits, &text, &spans, &fail) == 0) {
		check_text(&text);
		check_spans(&text, &spans, marked);
	} else if (fail.code == FAIL_NONE || !fail.text[0]) {
		abort();
	}
	buf_finish(&text);
	buf_finish(&spans);
	template_values_destroy(values);
}

/* A template may make any character itself; then the marker proves nothing. */
static bool makes_marker(const uint8_t *source, size_t size)
{
	return memmem(source, size, MARKER, 3) || memchr(source, '\\', size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *mark = size > 0 ? memchr(data, 0xff, size) : NULL;
	const uint8_t *source = mark ? mark + 1 : data;
	const size_t source_size = size - (size_t)(source - data);
	struct fail fail = { 0 };
	struct template *template = template_create((const char *)source, source_size, &fail);
	if (!template) {
		if (fail.code == FAIL_NONE || !fail.text[0])
			abort();
		return 0;
	}
	render(template, (const uint8_t *)MARKER, 3, !makes_marker(source, source_size));
	render(template, data, mark ? (size_t)(mark - data) : 0, false);
	template_destroy(template);
	return 0;
}
