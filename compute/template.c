#include "compute/template.h"

#include "compute/template/eval.h"
#include "compute/template/parser.h"
#include "compute/utf8.h"

#include <stdlib.h>
#include <string.h>

#define COMPILED_BYTES_MAX (64u << 20)
#define PARSE_DEPTH_MAX    200

struct template
{
	struct arena arena;
	struct node *body; /* in the arena */
};

struct template_values {
	struct arena arena;
	bool lost; /* something did not fit */
};

struct template_value {
	struct value value;
};

/* ---- compiling ---- */

static bool compile(struct template *template, const char *text, size_t size, struct fail *fail)
{
	struct run run = { .arena = &template->arena,
			   .fail = fail,
			   .line = 1,
			   .depth_max = PARSE_DEPTH_MAX,
			   .steps_max = UINT64_MAX };
	if (setjmp(run.exit) != 0)
		return false;
	template->body = parser_parse(&run, text, size);
	return true;
}

struct template *template_create(const char *text, size_t size, struct fail *fail)
{
	struct fail unread;
	if (size > TEMPLATE_TEXT_MAX) {
		fail_set(fail, FAIL_UNSUPPORTED, "the chat template has %zu KiB; %u is the most",
			 size >> 10, TEMPLATE_TEXT_MAX >> 10);
		return NULL;
	}
	struct template *template = malloc(sizeof(*template));
	if (!template) {
		fail_set(fail, FAIL_MEMORY, "no memory for the chat template");
		return NULL;
	}
	arena_init(&template->arena, COMPILED_BYTES_MAX, NULL);
	if (!compile(template, text, size, fail ? fail : &unread)) {
		template_destroy(template);
		return NULL;
	}
	return template;
}

void template_destroy(struct template *template)
{
	if (!template)
		return;
	arena_finish(&template->arena);
	free(template);
}

uint64_t template_memory(const struct template *template)
{
	return sizeof(*template) + template->arena.bytes;
}

/* ---- values ---- */

struct template_values *template_values_create(uint64_t bytes_max, struct account *account)
{
	struct template_values *values = calloc(1, sizeof(*values));
	if (values)
		arena_init(&values->arena, bytes_max, account);
	return values;
}

void template_values_destroy(struct template_values *values)
{
	if (!values)
		return;
	arena_finish(&values->arena);
	free(values);
}

void template_lose(struct template_values *values)
{
	values->lost = true;
}

static void *take(struct template_values *values, size_t size)
{
	void *taken = arena_take(&values->arena, size);
	if (!taken)
		values->lost = true;
	return taken;
}

static struct template_value *make(struct template_values *values, struct value value)
{
	struct template_value *made = take(values, sizeof(*made));
	if (made)
		made->value = value;
	return made;
}

struct template_value *template_none(struct template_values *values)
{
	return make(values, value_none());
}

struct template_value *template_bool(struct template_values *values, bool truth)
{
	return make(values, value_bool(truth));
}

struct template_value *template_integer(struct template_values *values, int64_t integer)
{
	return make(values, value_integer(integer));
}

struct template_value *template_real(struct template_values *values, double real)
{
	return make(values, value_real(real));
}

/* The length of `text` when what is not UTF-8 is replaced; written to `out` unless it is NULL. */
static size_t mend(const char *text, size_t size, char *out)
{
	size_t used = 0;
	for (size_t at = 0; at < size;) {
		uint8_t replacement[4];
		const int found = utf8_scan((const uint8_t *)text + at, size - at);
		const char *from = found > 0 ? text + at : (const char *)replacement;
		const size_t length =
			found > 0 ? (size_t)found : utf8_encode(UTF8_REPLACEMENT, replacement);
		if (out)
			memcpy(out + used, from, length);
		used += length;
		at += found > 0 ? (size_t)found : found < 0 ? (size_t)-found : size - at;
	}
	return used;
}

static struct string *make_string(struct template_values *values, const char *bytes, size_t size,
				  bool trusted)
{
	const size_t mended = mend(bytes, size, NULL);
	struct string *string = take(values, sizeof(*string));
	struct text *text = take(values, sizeof(*text));
	char *copy = mended <= INT32_MAX ? take(values, mended + 1) : NULL;
	if (!string || !text || !copy) {
		values->lost = true;
		return NULL;
	}
	mend(bytes, size, copy);
	*text = (struct text){ .bytes = copy,
			       .size = (uint32_t)mended,
			       .capacity = (uint32_t)mended,
			       .mark = trusted ? STRING_OWN : STRING_USER };
	*string = (struct string){ .text = text, .size = (uint32_t)mended };
	return string;
}

struct template_value *template_text(struct template_values *values, const char *text, size_t size,
				     bool trusted)
{
	struct string *string = make_string(values, text, size, trusted);
	return string ? make(values, value_string(string)) : NULL;
}

struct template_value *template_list(struct template_values *values)
{
	struct value list = { .type = VALUE_SEQUENCE,
			      .sequence = take(values, sizeof(struct sequence)) };
	return list.sequence ? make(values, list) : NULL;
}

struct template_value *template_object(struct template_values *values)
{
	struct value object = { .type = VALUE_DICT, .dict = take(values, sizeof(struct dict)) };
	return object.dict ? make(values, object) : NULL;
}

/* Makes room for one more item of `size` bytes; false when there is none. */
static bool reserve(struct template_values *values, void **items, uint32_t count,
		    uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return true;
	const uint32_t wanted = count > 0 ? count * 2 : 4;
	void *room = count < INT32_MAX / 2 ? take(values, wanted * size) : NULL;
	if (!room) {
		values->lost = true;
		return false;
	}
	if (count > 0)
		memcpy(room, *items, count * size);
	*items = room;
	*capacity = wanted;
	return true;
}

void template_list_add(struct template_values *values, struct template_value *list,
		       struct template_value *item)
{
	if (!list || !item)
		return;
	struct sequence *sequence = list->value.sequence;
	void *items = sequence->items;
	if (!reserve(values, &items, sequence->count, &sequence->capacity, sizeof(struct value)))
		return;
	sequence->items = items;
	sequence->items[sequence->count++] = item->value;
}

void template_object_set(struct template_values *values, struct template_value *object,
			 const char *key, size_t size, bool trusted, struct template_value *value)
{
	struct string *name = make_string(values, key, size, trusted);
	if (!object || !value || !name)
		return;
	struct dict *dict = object->value.dict;
	void *pairs = dict->pairs;
	if (!reserve(values, &pairs, dict->count, &dict->capacity, sizeof(struct pair)))
		return;
	dict->pairs = pairs;
	dict->pairs[dict->count++] = (struct pair){ value_string(name), value->value };
}

/* ---- rendering ---- */

static void add_span(struct buf *spans, uint32_t size, bool trusted)
{
	const struct span span = { .size = size, .trusted = trusted };
	buf_append(spans, &span, sizeof(span));
}

static void tell_spans(const struct text *text, struct buf *spans)
{
	uint32_t start = 0;
	for (uint32_t at = 1; text->marks && at < text->size; at++) {
		if (text->marks[at] == text->marks[start])
			continue;
		add_span(spans, at - start, text->marks[start] == STRING_OWN);
		start = at;
	}
	if (text->size > 0)
		add_span(spans, text->size - start,
			 (text->marks ? text->marks[start] : text->mark) == STRING_OWN);
}

/* NULL when it failed. */
static const struct text *render(const struct template *template, struct run *run,
				 const struct dict *variables)
{
	if (setjmp(run->exit) != 0)
		return NULL;
	struct eval eval = { .run = run, .variables = variables, .out = text_create(run, 0) };
	eval_body(&eval, scope_create(run, NULL), template->body);
	return eval.out;
}

int template_render(const struct template *template, struct template_values *values,
		    struct template_value *variables, const struct template_limits *limits,
		    struct buf *text, struct buf *spans, struct fail *fail)
{
	struct fail unread;
	struct run run = { .arena = &values->arena,
			   .fail = fail ? fail : &unread,
			   .line = 1,
			   .depth_max = RUN_DEPTH_MAX,
			   .steps_max = limits->steps,
			   .output_max = limits->output_bytes,
			   .now_s = limits->now_s };
	if (values->lost || !variables)
		return fail_set(fail, FAIL_MEMORY,
				"the conversation needs more memory than it may take here");
	const struct text *out = render(template, &run, variables->value.dict);
	if (!out)
		return -(int)run.fail->code;
	buf_append(text, out->bytes, out->size);
	tell_spans(out, spans);
	if (text->failed || spans->failed)
		return fail_set(fail, FAIL_MEMORY, "no memory for the text of the conversation");
	return 0;
}
