/* Any JSON body of a completion or a chat: refused with a sentence, or a request within bounds. */
#include "daemon/ask.h"

#include "daemon/answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct ask *ask)
{
	const struct session_request *request = &ask->request;
	const struct sampler_config *sampler = &request->sampler;
	if (!request->text + !request->tokens + !request->chat != 2 || request->n_stops > DETOKENIZER_STOPS_MAX + 1 ||
	    request->max_tokens > 1u << 30 || !(sampler->temperature >= 0) ||
	    !(sampler->temperature <= 2) || !(sampler->top_p >= 0) || !(sampler->top_p <= 1) ||
	    !(sampler->min_p >= 0) || !(sampler->min_p <= 1) || !(sampler->repeat_penalty > 0))
		abort();
	for (uint32_t i = 0; i < request->n_stops; i++)
		if (strlen(request->stops[i]) < 1 ||
		    strlen(request->stops[i]) >= DETOKENIZER_STOP_BYTES)
			abort();
}

/* What a model may say is as free as what a client may ask. */
static void check_string(const char *text, size_t size)
{
	struct buf out;
	buf_init(&out);
	answer_string(&out, text, size);
	json_t *value = json_loadb((const char *)out.data, out.size,
				   JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!value)
		abort();
	json_decref(value);
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_string((const char *)data, size);
	json_t *body = json_loadb((const char *)data, size, 0, NULL);
	for (int kind = ASK_COMPLETION; json_is_object(body) && kind <= ASK_CHAT; kind++) {
		struct ask ask;
		struct fail fail = { 0 };
		const char *param = NULL;
		if (ask_init(&ask, (enum ask_kind)kind, json_incref(body), 1, &param, &fail) == 0)
			check(&ask);
		else if (fail.code == FAIL_NONE || !fail.text[0])
			abort();
		ask_finish(&ask);
	}
	json_decref(body);
	return 0;
}
