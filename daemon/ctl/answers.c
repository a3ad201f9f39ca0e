#include "daemon/ctl/answers.h"

#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <stdio.h>
#include <string.h>

void answers_init(struct answers *answers)
{
	memset(answers, 0, sizeof(*answers));
	buf_init(&answers->text);
	answers->tokens = json_array();
}

void answers_finish(struct answers *answers)
{
	buf_finish(&answers->text);
	json_decref(answers->tokens);
	json_decref(answers->figures);
	json_decref(answers->usage);
}

static void take_text(struct answers *answers, const char *text)
{
	if (!text || !*text)
		return;
	if (!answers->began)
		term_clear();
	answers->began = true;
	buf_text(&answers->text, text);
	if (answers->show_text) {
		fputs(text, stdout);
		fflush(stdout);
	}
}

static void keep(json_t **slot, json_t *value)
{
	if (!json_is_object(value))
		return;
	json_decref(*slot);
	*slot = json_incref(value);
}

static void take_choice(struct answers *answers, const json_t *choice)
{
	const json_t *delta = json_object_get(choice, "delta");
	const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
	take_text(answers, json_string_value(json_object_get(choice, "text")));
	take_text(answers, json_string_value(json_object_get(delta, "content")));
	json_array_extend(answers->tokens, json_object_get(choice, "tokens"));
	if (finish)
		snprintf(answers->finish, sizeof(answers->finish), "%s", finish);
}

static void take_data(struct answers *answers, const char *text, size_t size)
{
	json_t *object = json_loadb(text, size, 0, NULL);
	const char *error = json_string_value(
		json_object_get(json_object_get(object, "error"), "message"));
	if (error) {
		term_clear();
		if (answers->began && answers->show_text)
			putchar('\n');
		fflush(stdout);
		ctl_complain(CTL_FAILED, "%s", error);
		answers->failed = true;
	}
	take_choice(answers, json_array_get(json_object_get(object, "choices"), 0));
	keep(&answers->figures, json_object_get(object, "primad"));
	keep(&answers->usage, json_object_get(object, "usage"));
	json_decref(object);
}

/* A comment of ours: {"phase", "done", "total"}. */
static void take_comment(struct answers *answers, const char *text, size_t size)
{
	json_t *object = json_loadb(text, size, 0, NULL);
	const char *phase = json_string_value(json_object_get(object, "phase"));
	if (phase && answers->show_progress && !answers->began)
		term_bar(phase,
			 (uint64_t)json_integer_value(json_object_get(object, "done")),
			 (uint64_t)json_integer_value(json_object_get(object, "total")),
			 strcmp(phase, "prompt") != 0 && strcmp(phase, "queued") != 0);
	json_decref(object);
}

static void take_line(void *context, const char *text, size_t size)
{
	if (size > 6 && memcmp(text, "data: ", 6) == 0)
		take_data(context, text + 6, size - 6);
	else if (size > 2 && memcmp(text, ": ", 2) == 0)
		take_comment(context, text + 2, size - 2);
}

int answers_ask(struct answers *answers, const struct ctl *ctl, const char *path, json_t *body)
{
	json_object_set_new(body, "stream", json_true());
	json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
	term_catch_interrupt();
	if (answers->show_progress)
		term_bar("asking", 0, 0, false);
	const int result = client_stream(ctl, path, body, take_line, answers);
	term_clear();
	if (result == CTL_OK && (answers->failed || !answers->finish[0])) {
		if (!answers->failed)
			ctl_complain(CTL_FAILED, "the daemon ended in the middle of the answer");
		return CTL_FAILED;
	}
	return result;
}
