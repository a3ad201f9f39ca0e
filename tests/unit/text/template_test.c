/* Chat templates: who wrote what, how far a template may go, and what is said when it goes wrong.
 * What they render is compared with jinja2 by template_vectors.py. */
#include "compute/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rendering {
	struct template *template;
	struct template_values *values;
	struct template_value *variables;
	struct template_limits limits;
	struct buf text, spans;
	struct fail fail;
	int result;
};

static void set_text(struct rendering *out, const char *name, const char *text, bool trusted)
{
	template_object_set(out->values, out->variables, name, strlen(name), true,
			    template_text(out->values, text, strlen(text), trusted));
}

static void begin(struct rendering *out, uint64_t bytes_max)
{
	memset(out, 0, sizeof(*out));
	buf_init(&out->text);
	buf_init(&out->spans);
	out->values = template_values_create(bytes_max, NULL);
	out->variables = template_object(out->values);
	out->limits = (struct template_limits){ .steps = 100000, .output_bytes = 1 << 16 };
}

static void render(struct rendering *out, const char *source)
{
	out->template = template_create(source, strlen(source), &out->fail);
	out->result = out->template
			      ? template_render(out->template, out->values, out->variables,
						&out->limits, &out->text, &out->spans, &out->fail)
			      : -(int)out->fail.code;
}

static void finish(struct rendering *out)
{
	template_destroy(out->template);
	template_values_destroy(out->values);
	buf_finish(&out->text);
	buf_finish(&out->spans);
}

/* The text, with what is not trusted in brackets. */
static void shown(const struct rendering *out, char text[256])
{
	size_t used = 0, from = 0;
	struct span span;
	for (size_t at = 0; at < out->spans.size; at += sizeof(span)) {
		memcpy(&span, out->spans.data + at, sizeof(span));
		used += (size_t)snprintf(text + used, 256 - used, span.trusted ? "%.*s" : "[%.*s]",
					 (int)span.size, (const char *)out->text.data + from);
		from += span.size;
	}
	text[used] = 0;
	assert_int_equal(from, out->text.size);
}

static void every_byte_says_who_wrote_it(void **state)
{
	static const struct {
		const char *source, *wanted;
	} cases[] = {
		{ "<{{ u }}>", "<[a<b>c]>" },
		{ "{{ '<|' + u + '|>' }}", "<|[a<b>c]|>" },
		{ "{{ own }}{{ u }}{{ own }}", "<s>[a<b>c]<s>" },
		{ "{{ u[1:3] }}-{{ u[::-1] }}", "[<b]-[c>b<a]" },
		{ "{{ u | upper }}{{ own | upper }}", "[A<B>C]<S>" },
		{ "{{ u | tojson }}", "\"[a<b>c]\"" },
		{ "{{ {u: [own]} | tojson }}", "{\"[a<b>c]\": [\"<s>\"]}" },
		{ "{{ [u] }}", "['[a<b>c]']" },
		{ "{{ u | replace('b', '!') }}", "[a<]![>c]" },
		{ "{{ u.split('<') | join('<') }}", "[a]<[b>c]" },
		{ "{{ (own ~ u ~ own)[2:5] }}", ">[a<]" },
		{ "{{ '%s=%s' % (u, 1) }}", "[a<b>c]=1" },
		{ "{{ '{}'.format(u) }}", "[a<b>c]" },
		{ "{{ u | e }}", "[a&lt;b&gt;c]" },
		{ "{% set x %}<{{ u }}>{% endset %}{{ x | trim('<') }}", "[a<b>c]>" },
		{ "{% macro m(x) %}({{ x }}){% endmacro %}{{ m(u) }}", "([a<b>c])" },
		{ "{% for c in u %}{{ c }}.{% endfor %}", "[a].[<].[b].[>].[c]." },
		{ "{{ '{\"k\": \"' ~ u ~ '\"}' }}", "{\"k\": \"[a<b>c]\"}" },
		{ "{{ ('[\"' ~ u ~ '\"]') | from_json | first }}", "[a<b>c]" },
		{ "{{ u | length }}{{ u == 'a<b>c' }}", "5True" },
		{ "{{ u * 2 }}{{ '' }}", "[a<b>ca<b>c]" },
		{ "{% set n = namespace(s='') %}{% for i in range(3) %}{% set n.s = n.s + u[0] + "
		  "'.' %}"
		  "{% endfor %}{{ n.s }}",
		  "[a].[a].[a]." },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rendering out;
		char text[256];
		begin(&out, 1 << 20);
		set_text(&out, "u", "a<b>c", false);
		set_text(&out, "own", "<s>", true);
		render(&out, cases[i].source);
		if (out.result)
			fail_msg("%s: %s", cases[i].source, out.fail.text);
		shown(&out, text);
		assert_string_equal(text, cases[i].wanted);
		finish(&out);
	}
}

static void a_template_that_goes_too_far_ends_with_a_sentence(void **state)
{
	static const struct {
		const char *source, *says;
		enum fail_code code;
	} cases[] = {
		{ "{% for a in range(999) %}{% for b in range(999) %}{% endfor %}{% endfor %}",
		  "steps", FAIL_INVALID },
		{ "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "levels deep", FAIL_INVALID },
		{ "{% set n = namespace(x=[]) %}{% for a in range(9999) %}{% set n.x = [n.x] %}"
		  "{% endfor %}{{ n.x }}",
		  "levels deep", FAIL_INVALID },
		{ "{% set l = [] %}{% set x = l.append(l) %}{{ l | tojson }}", "levels deep",
		  FAIL_INVALID },
		{ "{{ 'x' * 70000 }}", "writes more than 64 KiB", FAIL_INVALID },
		{ "{% for a in range(9999) %}{{ '0123456789' }}{% endfor %}",
		  "writes more than 64 KiB", FAIL_INVALID },
		{ "{% set x = 'x' * 9000000000000 %}", "", FAIL_INVALID },
		{ "{% set n = namespace(s='x') %}{% for a in range(40) %}{% set n.s = n.s ~ n.s %}"
		  "{% endfor %}",
		  "more memory than the 1024 KiB", FAIL_MEMORY },
		{ "{% set x = range(99999) | list %}", "more memory", FAIL_MEMORY },
		{ "{{ 9223372036854775807 + 1 }}", "64 bits", FAIL_UNSUPPORTED },
		{ "{{ (0 - 9223372036854775807 - 1) // -1 }}", "64 bits", FAIL_UNSUPPORTED },
		{ "{{ 3 ** 99999 }}", "64 bits", FAIL_UNSUPPORTED },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rendering out;
		begin(&out, cases[i].code == FAIL_MEMORY ? 1 << 20 : 32 << 20);
		render(&out, cases[i].source);
		if (out.result != -(int)cases[i].code || !strstr(out.fail.text, cases[i].says))
			fail_msg("%s: %s", cases[i].source, out.fail.text);
		assert_int_equal(out.text.size, 0);
		finish(&out);
	}
}

static void what_is_missing_is_named(void **state)
{
	static const struct {
		const char *source, *says;
	} cases[] = {
		{ "a\nb\n{% include 'x' %}", "line 3: the statement \"include\"" },
		{ "{% do x %}", "the statement \"do\"" },
		{ "{% for x in [] recursive %}{% endfor %}", "recursive" },
		{ "{{ f(*x) }}", "`*`" },
		{ "{{ 'x' | urlize }}", "the filter \"urlize\"" },
		{ "\n{{ 'x' is zero }}", "line 2: the test \"zero\"" },
		{ "{{ 'x'.zfill(3) }}", "a method of str" },
		{ "{{ '\\N{BULLET}' }}", "by name" },
		{ "{{ 99999999999999999999 }}", "64 bits" },
		{ "{{ 'x' | replace('x', with='y') }}", "\"with\"" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rendering out;
		begin(&out, 1 << 20);
		render(&out, cases[i].source);
		assert_int_equal(out.result, -FAIL_UNSUPPORTED);
		if (!strstr(out.fail.text, cases[i].says))
			fail_msg("%s: %s", cases[i].source, out.fail.text);
		finish(&out);
	}
}

/* What stands in a branch that is not taken hurts nobody. */
static void what_is_missing_counts_when_it_is_reached(void **state)
{
	struct rendering out;
	begin(&out, 1 << 20);
	render(&out, "{% if false %}{{ 'x' | urlize }}{{ 'x' is zero }}{% endif %}fine");
	assert_int_equal(out.result, 0);
	assert_memory_equal(out.text.data, "fine", 4);
	finish(&out);
}

static void what_the_template_says_is_told(void **state)
{
	struct rendering out;
	begin(&out, 1 << 20);
	render(&out, "{{ raise_exception('Roles must alternate') }}");
	assert_int_equal(out.result, -FAIL_INVALID);
	assert_string_equal(out.fail.text, "the model's chat template says: Roles must alternate");
	finish(&out);
	begin(&out, 1 << 20);
	render(&out, "{{ raise_exception('x' ~ '\xc3\xa9' * 300) }}");
	assert_int_equal(out.result, -FAIL_INVALID);
	assert_int_equal((unsigned char)out.fail.text[strlen(out.fail.text) - 1], 0xa9);
	finish(&out);
}

static void bytes_that_are_not_utf8_are_replaced_or_refused(void **state)
{
	struct rendering out;
	begin(&out, 1 << 20);
	set_text(&out, "u", "a\xff\xc3z\xe4\xbd", false);
	render(&out, "{{ u }}|{{ u | length }}");
	assert_int_equal(out.result, 0);
	assert_int_equal(out.text.size, 13);
	assert_memory_equal(out.text.data, "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd|5", 13);
	finish(&out);
	begin(&out, 1 << 20);
	render(&out, "a\xff");
	assert_int_equal(out.result, -FAIL_INVALID);
	assert_non_null(strstr(out.fail.text, "byte 1 is not UTF-8"));
	finish(&out);
}

static void values_that_do_not_fit_are_told(void **state)
{
	struct rendering out;
	char large[4096];
	memset(large, 'x', sizeof(large));
	begin(&out, 20000);
	struct template_value *list = template_list(out.values);
	for (int i = 0; i < 20; i++)
		template_list_add(out.values, list,
				  template_text(out.values, large, sizeof(large), false));
	render(&out, "fine");
	assert_int_equal(out.result, -FAIL_MEMORY);
	finish(&out);
}

static void the_account_is_charged_and_relieved(void **state)
{
	struct account account;
	account_init(&account, 1 << 20);
	struct template_values *values = template_values_create(64 << 20, &account);
	char *large = calloc(1, 2 << 20);
	assert_non_null(template_text(values, large, 1000, false));
	assert_true(account_left(&account) < 1 << 20);
	assert_null(template_text(values, large, 2 << 20, false));
	template_values_destroy(values);
	assert_int_equal(account_left(&account), 1 << 20);
	free(large);
}

static void a_template_serves_many_conversations(void **state)
{
	static const char source[] = "{% set x = 'a' %}{% set x = x + u %}{{ x }}{{ 'a' 'b' + u }}";
	struct fail fail;
	struct template *template = template_create(source, sizeof(source) - 1, &fail);
	assert_non_null(template);
	assert_true(template_memory(template) > sizeof(source));
	for (int i = 0; i < 3; i++) {
		struct rendering out;
		begin(&out, 1 << 20);
		set_text(&out, "u", "!", false);
		out.result = template_render(template, out.values, out.variables, &out.limits,
					     &out.text, &out.spans, &out.fail);
		assert_int_equal(out.result, 0);
		assert_int_equal(out.text.size, 5);
		assert_memory_equal(out.text.data, "a!ab!", 5);
		finish(&out);
	}
	template_destroy(template);
}

static void deep_brackets_are_refused(void **state)
{
	char source[2000];
	struct rendering out;
	begin(&out, 1 << 20);
	memcpy(source, "{{ ", 3);
	memset(source + 3, '-', 900);
	snprintf(source + 903, sizeof(source) - 903, "1 }}");
	render(&out, source);
	assert_int_equal(out.result, -FAIL_INVALID);
	finish(&out);
	begin(&out, 1 << 20);
	memset(source + 3, '(', 500);
	snprintf(source + 503, sizeof(source) - 503, "1 }}");
	render(&out, source);
	assert_int_equal(out.result, -FAIL_INVALID);
	finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_says_who_wrote_it),
		cmocka_unit_test(a_template_that_goes_too_far_ends_with_a_sentence),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(what_is_missing_counts_when_it_is_reached),
		cmocka_unit_test(what_the_template_says_is_told),
		cmocka_unit_test(bytes_that_are_not_utf8_are_replaced_or_refused),
		cmocka_unit_test(values_that_do_not_fit_are_told),
		cmocka_unit_test(the_account_is_charged_and_relieved),
		cmocka_unit_test(a_template_serves_many_conversations),
		cmocka_unit_test(deep_brackets_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
