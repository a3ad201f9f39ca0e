/* chat.h: a conversation: checked, and written as its model was trained to read it.
 *
 * A chat is a JSON object with what a template is given: "messages", "tools",
 * "add_generation_prompt", and further variables. Messages are in the form that templates expect:
 * content is one text (parts are joined), the role "developer" is called "system", a tool call's
 * arguments are an object (OpenAI's clients send them as text). */
#ifndef DAEMON_CHAT_H
#define DAEMON_CHAT_H

#include "compute/compute.h"

#include <jansson.h>

/* Without messages. Gives; NULL when memory is short. */
json_t *chat_create(void);
/* Each checks what a client sent, and copies it into the chat. */
int chat_set_messages(json_t *chat, const json_t *messages, struct fail *fail);
int chat_set_tools(json_t *chat, const json_t *tools, struct fail *fail);
int chat_set_variables(json_t *chat, const json_t *variables, struct fail *fail);

/* JSON as a value for templates. What people wrote is not trusted with special tokens; the roles
 * that everybody knows ("user", "tool") are, since templates spell tokens with them. Objects and
 * lists within one another beyond a bound are lost, as if memory were short. */
struct template_value *chat_value(struct template_values *values, const json_t *json);

/* Appends the conversation by the model's template, or in ChatML when `template` is NULL; `spans`
 * (struct span) as template_render. `now_s` is seconds since 1970. */
int chat_write(const json_t *chat, const struct template *template,
	       const struct tokenizer *tokenizer, struct account *account, int64_t now_s,
	       struct buf *text, struct buf *spans, struct fail *fail);
/* Appends the tokens (u32) of what chat_write gave, with BOS first where the vocabulary wants it
 * and the template did not write it. `tokens` is empty at first. */
int chat_tokenize(const struct buf *text, const struct buf *spans,
		  const struct tokenizer *tokenizer, struct buf *tokens, struct fail *fail);

#endif
