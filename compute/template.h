/* template.h: a model's chat template: compiled once, rendered for every conversation.
 *
 * Templates are written in the Jinja that the `transformers` library gives them: trim_blocks,
 * lstrip_blocks, loop controls, generation blocks, its `tojson`, `raise_exception` and
 * `strftime_now`, values that behave as Python's do. What is rendered is the same byte for byte;
 * beyond it, lists may be changed by `append` and `pop`, and `from_json` reads JSON. A construct
 * that is not known is refused by name: a statement when the template is compiled, a filter, test
 * or method when it is reached. Source: the Jinja 3.1 template designer documentation; PyPI
 * `jinja2` is the reference of the tests.
 *
 * Every byte of the result says whether the template wrote it or somebody else did: special tokens
 * may stand in the former only. Nothing a template or a conversation does takes more steps, depth,
 * memory or output than was allowed; it then ends with a sentence. */
#ifndef COMPUTE_TEMPLATE_H
#define COMPUTE_TEMPLATE_H

#include "base/account.h"
#include "base/buf.h"
#include "base/fail.h"
#include "compute/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEMPLATE_TEXT_MAX (256u << 10) /* bytes of a template */

struct template; /* immutable after create; may be shared by threads */

/* Compiles. The sentence names the line and what is wrong there (FAIL_INVALID), or the construct
 * that is missing here (FAIL_UNSUPPORTED). `text` is copied. Gives. */
struct template *template_create(const char *text, size_t size, struct fail *fail);
void template_destroy(struct template *template);           /* accepts NULL */
uint64_t template_memory(const struct template *template); /* bytes it holds */

/* ---- what it is rendered with: values, made one by one ----
 *
 * A value belongs to its `template_values` and may be used there only, in one place only. Making
 * one gives NULL when the limit is reached; NULL may be added to a list or an object all the same:
 * the loss is remembered, and told when the template is rendered. */

struct template_values;
struct template_value;

/* `bytes_max` bounds values and all that rendering them makes. `account` (may be NULL) is charged
 * as they grow (ACCOUNT_QUEUES), and relieved at the end. Gives; NULL when memory is short. */
struct template_values *template_values_create(uint64_t bytes_max, struct account *account);
void template_values_destroy(struct template_values *values); /* accepts NULL */

/* Remembers that something could not be made. */
void template_lose(struct template_values *values);
struct template_value *template_none(struct template_values *values);
struct template_value *template_bool(struct template_values *values, bool truth);
struct template_value *template_integer(struct template_values *values, int64_t integer);
struct template_value *template_real(struct template_values *values, double real);
/* Copied; bytes that are not UTF-8 become U+FFFD. Trusted text may hold special tokens. */
struct template_value *template_text(struct template_values *values, const char *text, size_t size,
				     bool trusted);
struct template_value *template_list(struct template_values *values);
void template_list_add(struct template_values *values, struct template_value *list,
		       struct template_value *item);
struct template_value *template_object(struct template_values *values);
/* The key is copied and as trusted as `trusted` says. Keys are not compared: give each once. */
void template_object_set(struct template_values *values, struct template_value *object,
			 const char *key, size_t size, bool trusted,
			 struct template_value *value);

/* ---- rendering ---- */

struct template_limits {
	uint64_t steps;      /* one for each node, each pass of a loop, each 16 bytes moved */
	size_t output_bytes; /* of the result */
	int64_t now_s;       /* what strftime_now tells, in seconds since 1970, in local time */
};

/* Renders with the variables of an object, once for each `values`. Appends the text to `text` and
 * its spans (struct span) to `spans`, both empty at first. FAIL_INVALID: the template
 * raised an exception, or the conversation is not one it can write; FAIL_UNSUPPORTED: it reached a
 * construct that is missing here; FAIL_MEMORY; the sentence says it. */
int template_render(const struct template *template, struct template_values *values,
		    struct template_value *variables, const struct template_limits *limits,
		    struct buf *text, struct buf *spans, struct fail *fail);

#endif
