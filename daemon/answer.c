#include "daemon/answer.h"

#include "daemon/http.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

void answer_init(struct answer *answer, const struct ask *ask, const char *model,
		 const uint8_t random[16], int64_t created_s)
{
	memset(answer, 0, sizeof(*answer));
	answer->kind = ask->kind;
	answer->include_usage = ask->include_usage;
	answer->return_tokens = ask->return_tokens;
	answer->created_s = created_s;
	snprintf(answer->model, sizeof(answer->model), "%s", model);
	const int size = snprintf(answer->id, sizeof(answer->id), "%s",
				  ask->kind == ASK_CHAT ? "chatcmpl-" : "cmpl-");
	for (int i = 0; i < 16; i++)
		snprintf(answer->id + size + 2 * i, 3, "%02x", random[i]);
}

/* ---- strings ---- */

/* Bytes of the UTF-8 character at `text`, or 0 when it is none (RFC 3629: no overlong forms, no
 * surrogates, nothing past U+10FFFF). */
static size_t character_size(const uint8_t *text, size_t left)
{
	const uint8_t lead = text[0];
	const size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3
		: lead < 0xf5						     ? 4
									     : 0;
	if (size == 0 || size > left)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ||
	    (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f))
		return 0;
	return size;
}

static void append_ascii(struct buf *out, uint8_t c)
{
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	for (size_t i = 0; i + 1 < sizeof(names); i += 2)
		if (c == (uint8_t)names[i]) {
			buf_u8(out, '\\');
			buf_u8(out, (uint8_t)names[i + 1]);
			return;
		}
	if (c < 0x20 || c == 0x7f)
		buf_printf(out, "\\u%04x", c);
	else
		buf_u8(out, c);
}

void answer_string(struct buf *out, const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)text;
	buf_u8(out, '"');
	while (size > 0) {
		const size_t length = character_size(at, size);
		if (length == 0)
			buf_text(out, REPLACEMENT);
		else if (length == 1)
			append_ascii(out, *at);
		else
			buf_append(out, at, length);
		at += length ? length : 1;
		size -= length ? length : 1;
	}
	buf_u8(out, '"');
}

/* ---- pieces that several answers share ---- */

static void append_head(const struct answer *answer, bool chunk, struct buf *out)
{
	const char *object = answer->kind == ASK_COMPLETION ? "text_completion"
		: chunk						? "chat.completion.chunk"
								: "chat.completion";
	buf_printf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", answer->id,
		   object, (long long)answer->created_s);
	answer_string(out, answer->model, strlen(answer->model));
}

static void append_tokens(const struct answer *answer, const uint32_t *tokens, uint32_t n_tokens,
			  struct buf *out)
{
	if (!answer->return_tokens)
		return;
	buf_text(out, ",\"tokens\":[");
	for (uint32_t i = 0; i < n_tokens; i++)
		buf_printf(out, i ? ",%u" : "%u", tokens[i]);
	buf_text(out, "]");
}

static const char *finish_reason(const struct session_result *result)
{
	return result->end == REQUEST_END_LENGTH ? "length" : "stop";
}

static void append_usage(const struct session_result *result, struct buf *out)
{
	buf_printf(out,
		   "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu}",
		   result->prompt_tokens, result->completion_tokens,
		   (unsigned long long)result->prompt_tokens + result->completion_tokens);
}

static void append_seconds(const char *name, double value, struct buf *out)
{
	buf_printf(out, "\"%s\":%.9g,", name, isfinite(value) ? value : 0.0);
}

static void append_figures(const struct session_result *result, struct buf *out)
{
	buf_text(out, ",\"primad\":{");
	append_seconds("forecast_token_s", result->forecast_token_s, out);
	append_seconds("first_token_s", result->first_token_s, out);
	append_seconds("prompt_s", result->prompt_s, out);
	append_seconds("decode_s", result->decode_s, out);
	buf_printf(out,
		   "\"flights\":%llu,\"bytes_sent\":%llu,\"flights_together_max\":%u,"
		   "\"prompt_tokens\":%u,\"completion_tokens\":%u}",
		   (unsigned long long)result->flights, (unsigned long long)result->bytes_sent,
		   result->flights_together_max, result->prompt_tokens,
		   result->completion_tokens);
}

/* ---- events ---- */

/* From the head to within choices[0], ready for its text or delta. */
static void open_chunk(const struct answer *answer, struct buf *out)
{
	buf_text(out, "data: ");
	append_head(answer, true, out);
	buf_text(out, ",\"choices\":[{\"index\":0,");
}

static void close_chunk(const struct answer *answer, const char *finish, struct buf *out)
{
	buf_text(out, ",\"logprobs\":null,\"finish_reason\":");
	if (finish)
		answer_string(out, finish, strlen(finish));
	else
		buf_text(out, "null");
	buf_text(out, answer->include_usage ? "}],\"usage\":null" : "}]");
}

void answer_opening(const struct answer *answer, struct buf *out)
{
	if (answer->kind != ASK_CHAT)
		return;
	open_chunk(answer, out);
	buf_text(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
	close_chunk(answer, NULL, out);
	buf_text(out, "}\n\n");
}

void answer_piece(const struct answer *answer, const char *text, size_t size,
		  const uint32_t *tokens, uint32_t n_tokens, struct buf *out)
{
	const bool chat = answer->kind == ASK_CHAT;
	open_chunk(answer, out);
	buf_text(out, chat ? "\"delta\":{\"content\":" : "\"text\":");
	answer_string(out, text, size);
	buf_text(out, chat ? "}" : "");
	append_tokens(answer, tokens, n_tokens, out);
	close_chunk(answer, NULL, out);
	buf_text(out, "}\n\n");
}

void answer_closing(const struct answer *answer, const struct session_result *result,
		    struct buf *out)
{
	open_chunk(answer, out);
	buf_text(out, answer->kind == ASK_CHAT ? "\"delta\":{}" : "\"text\":\"\"");
	append_tokens(answer, NULL, 0, out);
	close_chunk(answer, finish_reason(result), out);
	append_figures(result, out);
	buf_text(out, "}\n\n");
	if (answer->include_usage) {
		buf_text(out, "data: ");
		append_head(answer, true, out);
		buf_text(out, ",\"choices\":[],\"usage\":");
		append_usage(result, out);
		buf_text(out, "}\n\n");
	}
	buf_text(out, "data: [DONE]\n\n");
}

void answer_failure(const struct fail *fail, struct buf *out)
{
	json_t *body = http_fail_json(fail, NULL);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	buf_printf(out, "data: %s\n\n", text ? text : "{\"error\":{\"message\":\"out of memory\"}}");
	free(text);
}

void answer_progress(const char *phase, uint64_t done, uint64_t total, struct buf *out)
{
	buf_text(out, ": {\"phase\":");
	answer_string(out, phase, strlen(phase));
	buf_printf(out, ",\"done\":%llu,\"total\":%llu}\n\n", (unsigned long long)done,
		   (unsigned long long)total);
}

/* ---- in one piece ---- */

void answer_whole(const struct answer *answer, const char *text, size_t size,
		  const uint32_t *tokens, uint32_t n_tokens, const struct session_result *result,
		  struct buf *out)
{
	const bool chat = answer->kind == ASK_CHAT;
	append_head(answer, false, out);
	buf_text(out, ",\"choices\":[{\"index\":0,");
	buf_text(out, chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
	answer_string(out, text, size);
	buf_text(out, chat ? "}" : "");
	append_tokens(answer, tokens, n_tokens, out);
	buf_printf(out, ",\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":",
		   finish_reason(result));
	append_usage(result, out);
	append_figures(result, out);
	buf_text(out, "}");
}
