/* chatml.h: conversations in ChatML, for models whose files have no template of their own. Source:
 * OpenAI's ChatML text, as Qwen and many others use it. Only text: no tools. */
#ifndef DAEMON_CHATML_H
#define DAEMON_CHATML_H

#include "base/buf.h"
#include "base/fail.h"

#include <jansson.h>

#define CHATML_END "<|im_end|>" /* of a turn */

/* Appends the messages of `chat` (chat.h) and the beginning of the answer; `spans` as
 * template_render. */
int chatml_write(const json_t *chat, struct buf *text, struct buf *spans, struct fail *fail);

#endif
