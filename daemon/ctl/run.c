/* primactl run: asks a model, shows the answer as it comes, then what it took beside the forecast. */
#include "daemon/ctl/answers.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMPT_BYTES_MAX (4u << 20)
#define TOKENS_DEFAULT 256

struct run {
	const char *max_tokens, *temperature, *top_p, *top_k, *min_p, *repeat_penalty, *seed, *stop;
	bool chat, ignore_eos, plain, quiet;
};

/* ---- the request ---- */

static int read_prompt(struct buf *prompt)
{
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "Type the prompt; Ctrl-D ends it.\n");
	for (;;) {
		uint8_t *to = buf_extend(prompt, 65536);
		const ssize_t n = to ? read(STDIN_FILENO, to, 65536) : -1;
		prompt->size -= to ? 65536 - (size_t)(n > 0 ? n : 0) : 0;
		if (n == 0)
			return CTL_OK;
		if (n < 0)
			return ctl_complain(CTL_FAILED, "cannot read the prompt: %s",
					    strerror(errno));
		if (prompt->size > PROMPT_BYTES_MAX)
			return ctl_complain(CTL_FAILED, "the prompt is longer than 4 MiB");
	}
}

/* Whole numbers stay whole, so that the daemon's own check names what is wrong. */
static bool set_number(json_t *body, const char *name, const char *text)
{
	json_error_t error;
	json_t *value = text ? json_loads(text, JSON_DECODE_ANY, &error) : NULL;
	if (!text)
		return true;
	if (!json_is_number(value)) {
		json_decref(value);
		ctl_complain(CTL_USAGE, "\"%s\" is not a number (%s)", text, name);
		return false;
	}
	json_object_set_new(body, name, value);
	return true;
}

static bool set_numbers(json_t *body, const struct run *run)
{
	return set_number(body, "max_tokens", run->max_tokens) &&
	       set_number(body, "temperature", run->temperature) &&
	       set_number(body, "top_p", run->top_p) && set_number(body, "top_k", run->top_k) &&
	       set_number(body, "min_p", run->min_p) &&
	       set_number(body, "repeat_penalty", run->repeat_penalty) &&
	       set_number(body, "seed", run->seed);
}

/* NULL after a complaint. */
static json_t *make_body(const struct ctl *ctl, const struct run *run, const char *model,
			 const struct buf *prompt)
{
	json_t *body = json_object();
	json_t *text = json_stringn((const char *)prompt->data, prompt->size);
	if (!text || json_object_set_new(body, "model", json_string(model)) < 0) {
		ctl_complain(CTL_USAGE, "the prompt is not UTF-8");
		json_decref(text);
		json_decref(body);
		return NULL;
	}
	if (run->chat)
		json_object_set_new(body, "messages", json_pack("[{s:s, s:o}]", "role", "user",
								"content", text));
	else
		json_object_set_new(body, "prompt", text);
	json_object_set_new(body, "max_tokens", json_integer(TOKENS_DEFAULT));
	json_object_set_new(body, "ignore_eos", json_boolean(run->ignore_eos));
	json_object_set_new(body, "special", json_boolean(!run->plain));
	json_object_set_new(body, "return_tokens", json_boolean(ctl->json));
	if (run->stop)
		json_object_set_new(body, "stop", json_string(run->stop));
	if (set_numbers(body, run))
		return body;
	json_decref(body);
	return NULL;
}

/* ---- what it took ---- */

static double number_at(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static void show_figures(const json_t *figures)
{
	char sent[16];
	const double tokens = number_at(figures, "completion_tokens");
	const double decode_s = number_at(figures, "decode_s");
	const double forecast_s = number_at(figures, "forecast_token_s");
	fprintf(stderr, "[%.0f + %.0f tokens, first after %.2f s",
		number_at(figures, "prompt_tokens"), tokens, number_at(figures, "first_token_s"));
	if (decode_s > 0 && tokens > 1)
		fprintf(stderr, ", then %.1f tokens/s", (tokens - 1) / decode_s);
	if (forecast_s > 0)
		fprintf(stderr, " (forecast %.1f)", 1 / forecast_s);
	if (number_at(figures, "flights") > 0)
		fprintf(stderr, "; %.0f flights, %s sent", number_at(figures, "flights"),
			term_size((uint64_t)number_at(figures, "bytes_sent"), sent));
	fprintf(stderr, "]\n");
}

static void print_json(const struct answers *answers)
{
	client_print(json_pack("{s:i, s:o, s:O, s:s, s:O?, s:O?}", "schema", CTL_SCHEMA, "text",
			       json_stringn((const char *)answers->text.data, answers->text.size),
			       "tokens", answers->tokens, "finish_reason", answers->finish,
			       "usage", answers->usage, "primad", answers->figures));
}

static int ask(struct ctl *ctl, const struct run *run, json_t *body)
{
	struct answers answers;
	answers_init(&answers);
	answers.show_text = !ctl->json;
	answers.show_progress = !run->quiet;
	const int result = answers_ask(
		&answers, ctl, run->chat ? "/v1/chat/completions" : "/v1/completions", body);
	if (ctl->json && result == CTL_OK)
		print_json(&answers);
	else if (answers.began && !answers.failed)
		putchar('\n');
	fflush(stdout);
	if (result == CTL_OK && answers.figures && !run->quiet && !ctl->json &&
	    isatty(STDERR_FILENO))
		show_figures(answers.figures);
	answers_finish(&answers);
	return result;
}

int ctl_run(struct ctl *ctl)
{
	struct run run = { 0 };
	const char *words[2] = { NULL, NULL };
	const struct ctl_option options[] = {
		{ "max-tokens", "N", "most tokens of the answer (default: 256)", &run.max_tokens,
		  NULL },
		{ "temperature", "T", "0: always the likeliest token (default: 1)",
		  &run.temperature, NULL },
		{ "top-p", "P", "only the likeliest tokens that make up P (default: 1)", &run.top_p,
		  NULL },
		{ "top-k", "K", "only the K likeliest tokens (default: 0, all)", &run.top_k, NULL },
		{ "min-p", "P", "only tokens at least P times as likely as the likeliest",
		  &run.min_p, NULL },
		{ "repeat-penalty", "R", "above 1: avoid what was said (default: 1)",
		  &run.repeat_penalty, NULL },
		{ "seed", "N", "equal seeds give equal answers (default: a random one)", &run.seed,
		  NULL },
		{ "stop", "TEXT", "end before this text", &run.stop, NULL },
		{ "chat", NULL, "the prompt is a message of a chat", NULL, &run.chat },
		{ "plain", NULL, "special tokens in the prompt are plain text", NULL, &run.plain },
		{ "ignore-eos", NULL, "go on after the end, up to --max-tokens", NULL,
		  &run.ignore_eos },
		{ "quiet", NULL, "no progress and no figures", NULL, &run.quiet },
		{ NULL },
	};
	struct buf prompt;
	int result = ctl_options(ctl, options, words, 1, 2);
	if (result != CTL_OK)
		return result;
	buf_init(&prompt);
	if (words[1])
		buf_text(&prompt, words[1]);
	else
		result = read_prompt(&prompt);
	json_t *body = result == CTL_OK ? make_body(ctl, &run, words[0], &prompt) : NULL;
	if (body)
		result = ask(ctl, &run, body);
	else if (result == CTL_OK)
		result = CTL_USAGE;
	json_decref(body);
	buf_finish(&prompt);
	return result;
}
