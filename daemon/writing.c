#include "daemon/writing.h"

#include "base/clock.h"
#include "daemon/chat.h"

#include <sodium.h>
#include <stdlib.h>

struct writing {
	uv_work_t work;
	struct writing_config config;
	json_t *chat; /* owned */
	bool abandoned;
	struct buf tokens;
	struct fail why;
	int result;
};

static void write_on_worker(uv_work_t *work)
{
	struct writing *writing = work->data;
	const struct writing_config *config = &writing->config;
	struct buf text, spans;
	buf_init(&text);
	buf_init(&spans);
	writing->result = chat_write(writing->chat, config->template, config->tokenizer,
				     config->account, clock_wall_s(), &text, &spans, &writing->why);
	if (writing->result == 0)
		writing->result = chat_tokenize(&text, &spans, config->tokenizer, &writing->tokens,
						&writing->why);
	if (text.size > 0)
		sodium_memzero(text.data, text.size);
	buf_finish(&text);
	buf_finish(&spans);
}

static void on_written(uv_work_t *work, int status)
{
	struct writing *writing = work->data;
	if (!writing->abandoned)
		writing->config.done(writing->config.context, &writing->tokens,
				     writing->result < 0 ? &writing->why : NULL);
	json_decref(writing->chat);
	buf_finish(&writing->tokens);
	free(writing);
}

struct writing *writing_start(const struct writing_config *config, json_t *chat, struct fail *fail)
{
	struct writing *writing = calloc(1, sizeof(*writing));
	if (writing) {
		writing->work.data = writing;
		writing->config = *config;
		writing->chat = chat;
		buf_init(&writing->tokens);
		if (uv_queue_work(config->loop, &writing->work, write_on_worker, on_written) == 0)
			return writing;
	}
	json_decref(chat);
	free(writing);
	fail_set(fail, FAIL_MEMORY, "no memory to write a conversation");
	return NULL;
}

void writing_abandon(struct writing *writing)
{
	if (writing)
		writing->abandoned = true;
}
