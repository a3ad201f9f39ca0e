/* primactl bench: how fast this home reads a prompt and writes an answer, beside the forecast. */
#include "daemon/ctl/answers.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <stdio.h>
#include <stdlib.h>

#define REPEATS_MAX 100

struct figures {
	double prompt_per_s, decode_per_s, first_token_s, forecast_token_s;
};

/* Token ids that every vocabulary has, the same at each run. */
static json_t *make_body(const char *model, long prompt, long generate)
{
	json_t *ids = json_array();
	for (long i = 0; i < prompt; i++)
		json_array_append_new(ids, json_integer(100 + i * 37 % 151));
	json_t *body = json_pack("{s:o, s:I, s:i, s:b, s:b}", "prompt", ids, "max_tokens",
				 (json_int_t)generate, "temperature", 0, "ignore_eos", 1,
				 "return_tokens", 0);
	if (model)
		json_object_set_new(body, "model", json_string(model));
	return body;
}

static double number_at(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static int measure(struct ctl *ctl, json_t *body, struct figures *figures)
{
	struct answers answers;
	answers_init(&answers);
	answers.show_progress = true;
	const int result = answers_ask(&answers, ctl, "/v1/completions", body);
	if (result == CTL_OK) {
		const double prompt_s = number_at(answers.figures, "prompt_s");
		const double decode_s = number_at(answers.figures, "decode_s");
		const double tokens = number_at(answers.figures, "completion_tokens") - 1;
		figures->prompt_per_s =
			prompt_s > 0 ? number_at(answers.figures, "prompt_tokens") / prompt_s : 0;
		figures->decode_per_s = decode_s > 0 ? tokens / decode_s : 0;
		figures->first_token_s = number_at(answers.figures, "first_token_s");
		figures->forecast_token_s = number_at(answers.figures, "forecast_token_s");
	}
	answers_finish(&answers);
	return result;
}

static int compare(const void *a, const void *b)
{
	const double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static double median(double *values, long n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void show(const struct ctl *ctl, double prompt, double decode, double first,
		 const struct figures *last, long n_prompt, long n_generate, long repeats)
{
	const double forecast =
		last->forecast_token_s > 0 ? 1 / last->forecast_token_s : 0;
	if (ctl->json) {
		client_print(json_pack("{s:i, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "schema",
				       CTL_SCHEMA, "prompt_tokens", (json_int_t)n_prompt,
				       "generated_tokens", (json_int_t)n_generate, "repeats",
				       (json_int_t)repeats, "prompt_tokens_per_s", prompt,
				       "generated_tokens_per_s", decode, "first_token_s", first,
				       "forecast_tokens_per_s", forecast));
		return;
	}
	printf("prompt of %ld tokens   %8.1f tokens/s, first token after %.2f s\n", n_prompt, prompt,
	       first);
	printf("answer of %ld tokens   %8.1f tokens/s (forecast %.1f)\n", n_generate, decode,
	       forecast);
	printf("medians of %ld runs after one to warm up\n", repeats);
}

static int repeat(struct ctl *ctl, json_t *body, long n_prompt, long n_generate, long repeats)
{
	double prompt[REPEATS_MAX], decode[REPEATS_MAX], first[REPEATS_MAX];
	struct figures figures = { 0 };
	for (long i = -1; i < repeats; i++) { /* the first loads the model */
		const int result = measure(ctl, body, &figures);
		if (result != CTL_OK)
			return result;
		if (i < 0)
			continue;
		prompt[i] = figures.prompt_per_s;
		decode[i] = figures.decode_per_s;
		first[i] = figures.first_token_s;
	}
	show(ctl, median(prompt, repeats), median(decode, repeats), median(first, repeats),
	     &figures, n_prompt, n_generate, repeats);
	return CTL_OK;
}

int ctl_bench(struct ctl *ctl)
{
	const char *model = NULL, *prompt_text = NULL, *generate_text = NULL, *repeats_text = NULL;
	const struct ctl_option options[] = {
		{ "prompt", "N", "tokens of the prompt (default: 512)", &prompt_text, NULL },
		{ "generate", "N", "tokens of the answer (default: 64)", &generate_text, NULL },
		{ "repeats", "N", "runs after the one that warms up (default: 3)", &repeats_text,
		  NULL },
		{ NULL },
	};
	long prompt = 512, generate = 64, repeats = 3;
	int result = ctl_options(ctl, options, &model, 0, 1);
	if (result != CTL_OK)
		return result;
	if ((prompt_text && !ctl_number(prompt_text, "prompt", 1, 1000000, &prompt)) ||
	    (generate_text && !ctl_number(generate_text, "generate", 2, 1000000, &generate)) ||
	    (repeats_text && !ctl_number(repeats_text, "repeats", 1, REPEATS_MAX, &repeats)))
		return CTL_USAGE;
	json_t *body = make_body(model, prompt, generate);
	result = repeat(ctl, body, prompt, generate, repeats);
	json_decref(body);
	return result;
}
