#include "daemon/sessions.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/chatml.h"
#include "daemon/writing.h"
#include "proto/deadlines.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_LOOK_MS 500      /* a waiting session looks again at the latest */
#define HEAD_GRACE_MS 1500    /* a plan was lost: its head may still say how the request ended */
#define RETRIES_MAX 16        /* a request that met a change of plans before it said anything */
#define SESSIONS_MAX 64
#define SILENCE_MS 30000      /* without a word from the head: it is asked again */
#define ASK_AGAIN_MS 2000     /* time for the answer to that, before it is asked once more */
#define ASKS_MAX 3            /* then what is missing is lost */

enum session_state {
	SESSION_TOKENIZER, /* waits for the model's metadata */
	SESSION_WRITING,   /* its conversation is being written on a worker */
	SESSION_PLAN,      /* waits for every part of a plan */
	SESSION_SENT,      /* the head has it */
	SESSION_OVER
};

struct session {
	struct list entry;
	struct sessions *sessions;
	uv_timer_t timer;
	enum session_state state;
	struct session_events events;
	void *context;
	struct model_id model;
	char *text; /* prompt until it is tokenized */
	size_t text_size;
	json_t *chat; /* conversation until it is given to be written */
	struct writing *writing;
	bool special;
	struct buf tokens; /* u32: prompt, then what was generated: the history */
	uint32_t n_prompt;
	struct session_request settings; /* pointers in it are not used */
	char *stops[DETOKENIZER_STOPS_MAX];
	struct detokenizer *detokenizer;
	struct request_id id;
	struct epoch epoch;      /* of the plan it was sent to */
	struct device_id head;
	double forecast_token_s;
	int64_t started_us, first_us, planned_ms;
	uint32_t failed_before; /* trouble->failed when it began to wait for a plan */
	uint32_t retries;
	bool lost; /* the plan is gone, the grace time runs */
	uint32_t asks; /* again, since the answer last went on */
	int64_t asked_ms;
};

struct sessions {
	struct sessions_config config;
	struct list all;
	uint32_t count;
	uint64_t boot, next_number;
	struct message message;
};

static uint32_t n_tokens(const struct session *session)
{
	return (uint32_t)(session->tokens.size / sizeof(uint32_t));
}

/* ---- ending ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct session *session = LIST_ITEM(handle, struct session, timer);
	detokenizer_destroy(session->detokenizer);
	for (uint32_t i = 0; i < DETOKENIZER_STOPS_MAX; i++)
		free(session->stops[i]);
	free(session->text);
	json_decref(session->chat);
	buf_finish(&session->tokens);
	free(session);
}

static void session_close(struct session *session)
{
	session->state = SESSION_OVER;
	writing_abandon(session->writing);
	list_remove(&session->entry);
	session->sessions->count--;
	uv_close((uv_handle_t *)&session->timer, on_timer_closed);
}

static void finish(struct session *session, struct session_result *result)
{
	const int64_t now = clock_us();
	result->prompt_tokens = session->n_prompt;
	result->completion_tokens = n_tokens(session) - session->n_prompt;
	result->first_token_s =
		(double)((session->first_us ? session->first_us : now) - session->started_us) / 1e6;
	result->forecast_token_s = session->forecast_token_s;
	const struct session_events events = session->events;
	void *context = session->context;
	session_close(session);
	events.end(context, result);
}

static void fail_session(struct session *session, const struct fail *why)
{
	struct session_result result = { .end = REQUEST_END_FAILED, .fail = *why };
	finish(session, &result);
}

static void tell_head_cancel(struct session *session)
{
	struct sessions *sessions = session->sessions;
	if (session->state != SESSION_SENT)
		return;
	if (device_id_equal(&session->head, home_self(sessions->config.home))) {
		ring_cancel(sessions->config.ring, &session->id);
		return;
	}
	sessions->message.type = MESSAGE_CANCEL;
	sessions->message.cancel.id = session->id;
	peers_send(sessions->config.peers, &session->head, &sessions->message);
}

void session_cancel(struct session *session)
{
	tell_head_cancel(session);
	session_close(session);
}

/* ---- towards the head ---- */

static int tokenize_text(struct session *session, const struct tokenizer *tokenizer,
			 struct fail *fail)
{
	const struct tokenize_options options = { .bos = tokenizer_adds_bos(tokenizer),
						  .special = session->special };
	const int result = tokenizer_encode(tokenizer, session->text, session->text_size, &options,
					    &session->tokens, fail);
	sodium_memzero(session->text, session->text_size);
	free(session->text);
	session->text = NULL;
	return result;
}

/* The prompt is there. */
static int begin_answer(struct session *session, const struct tokenizer *tokenizer,
			struct fail *fail)
{
	session->n_prompt = n_tokens(session);
	if (session->n_prompt == 0)
		return fail_set(fail, FAIL_INVALID, "the prompt is empty");
	session->detokenizer = detokenizer_create(tokenizer, (const char *const *)session->stops,
						  session->settings.n_stops);
	if (!session->detokenizer)
		return fail_set(fail, FAIL_MEMORY, "no memory for the answer");
	return 0;
}

static void progress(struct session *session, const char *phase, uint64_t done, uint64_t total)
{
	if (session->events.progress)
		session->events.progress(session->context, phase, done, total);
}

/* The prompt alone, also when a part of the answer is here: what was sent first is sent again. */
static void fill_request(struct session *session, struct message_request *request)
{
	struct sessions *sessions = session->sessions;
	const struct sampler_config *sampler = &session->settings.sampler;
	*request = (struct message_request){
		.id = session->id,
		.model = session->model,
		.epoch = session->epoch,
		.max_tokens = session->settings.max_tokens,
		.chunk_rows = session->settings.chunk_rows,
		.n_tokens = session->n_prompt,
		.tokens = (const uint32_t *)(const void *)session->tokens.data,
		.sampler = { .temperature = sampler->temperature,
			     .top_k = sampler->top_k,
			     .top_p = sampler->top_p,
			     .min_p = sampler->min_p,
			     .repeat_penalty = sampler->repeat_penalty,
			     .repeat_last = sampler->repeat_last,
			     .seed = sampler->seed },
	};
	if (!session->settings.ignore_end)
		request->n_ends = models_ends(sessions->config.models, &session->model,
					      request->ends);
}

static void on_timer(uv_timer_t *timer);

static void put_request(struct session *session)
{
	struct sessions *sessions = session->sessions;
	struct message *message = &sessions->message;
	struct fail why;
	message->type = MESSAGE_REQUEST;
	fill_request(session, &message->request);
	uv_timer_start(&session->timer, on_timer, SILENCE_MS, SILENCE_MS);
	if (!device_id_equal(&session->head, home_self(sessions->config.home))) {
		peers_send(sessions->config.peers, &session->head, message); /* or after a reconnect */
	} else if (ring_request(sessions->config.ring, &message->request) != 0) {
		fail_set(&why, FAIL_MEMORY, "no memory for the request on this device");
		fail_session(session, &why);
	}
}

static void send_request(struct session *session, const struct plan *plan)
{
	struct sessions *sessions = session->sessions;
	session->id = (struct request_id){ .owner = *home_self(sessions->config.home),
					   .boot = sessions->boot,
					   .number = ++sessions->next_number };
	session->epoch = plan->epoch;
	session->head = plan->devices[plan->head].id;
	session->forecast_token_s = plan->token_s;
	session->state = SESSION_SENT;
	session->asks = 0;
	progress(session, "queued", 0, 0);
	put_request(session);
}

static int check_length(const struct session *session, const struct plan *plan, struct fail *fail)
{
	if (n_tokens(session) < plan->context)
		return 0;
	return fail_set(fail, FAIL_INVALID,
			"the prompt has %u tokens, the context holds %u: shorten the prompt or start "
			"primad with a larger --context",
			n_tokens(session), plan->context);
}

static void look_for_plan(struct session *session)
{
	static const char *const phases[] = {
		[DEPLOYMENT_NONE] = "planning",       [DEPLOYMENT_PLANNING] = "planning",
		[DEPLOYMENT_FETCHING] = "fetching", [DEPLOYMENT_LOADING] = "loading",
		[DEPLOYMENT_READY] = "queued",
	};
	struct deployment *deployment = session->sessions->config.deployment;
	const struct trouble *trouble = deployment_trouble(deployment);
	uint64_t done, total;
	struct fail why;
	if (session->planned_ms == 0) {
		session->planned_ms = clock_ms();
		session->failed_before = trouble->failed;
	}
	deployment_want(deployment, &session->model);
	const enum deployment_state state =
		deployment_state(deployment, &session->model, &done, &total);
	const struct plan *plan = deployment_plan(deployment);
	if (state == DEPLOYMENT_READY && plan) {
		if (check_length(session, plan, &why) != 0)
			fail_session(session, &why);
		else
			send_request(session, plan);
		return;
	}
	if (state == DEPLOYMENT_PLANNING &&
	    trouble_ends(trouble, &session->model, session->failed_before, session->planned_ms,
			 clock_ms())) {
		why = trouble->why;
		fail_session(session, &why);
		return;
	}
	if (clock_ms() - session->planned_ms > DEADLINE_READY_MS) {
		fail_set(&why, FAIL_TIMEOUT, "the model did not become ready in time");
		fail_session(session, &why);
		return;
	}
	progress(session, phases[state], done, total);
}

static void go_on_to_plan(struct session *session, const struct tokenizer *tokenizer)
{
	struct fail why;
	if (begin_answer(session, tokenizer, &why) != 0) {
		fail_session(session, &why);
		return;
	}
	session->state = SESSION_PLAN;
	look_for_plan(session);
}

static void on_written(void *context, struct buf *tokens, const struct fail *fail)
{
	struct session *session = context;
	struct fail why;
	session->writing = NULL;
	if (fail) {
		fail_session(session, fail);
		return;
	}
	buf_finish(&session->tokens);
	session->tokens = *tokens;
	buf_init(tokens);
	const struct tokenizer *tokenizer =
		models_tokenizer(session->sessions->config.models, &session->model, &why);
	if (tokenizer)
		go_on_to_plan(session, tokenizer);
	else
		fail_session(session, &why);
}

static int write_chat(struct session *session, const struct tokenizer *tokenizer, struct fail *fail)
{
	const struct sessions_config *config = &session->sessions->config;
	struct writing_config writing = { .loop = config->loop,
					  .tokenizer = tokenizer,
					  .account = config->account,
					  .done = on_written,
					  .context = session };
	json_t *chat = session->chat;
	const bool tools = json_object_get(chat, "tools") != NULL;
	const int result =
		models_template(config->models, &session->model, tools, &writing.template, fail);
	if (result < 0)
		return result;
	session->chat = NULL;
	session->writing = writing_start(&writing, chat, fail);
	if (!session->writing)
		return -(int)fail->code;
	session->state = SESSION_WRITING;
	/* a vocabulary without ChatML's markers writes them as plain text */
	if (!writing.template && session->settings.n_stops < DETOKENIZER_STOPS_MAX) {
		char *end = strdup(CHATML_END);
		if (end)
			session->stops[session->settings.n_stops++] = end;
	}
	return 0;
}

static void look_for_tokenizer(struct session *session)
{
	struct fail why;
	int result = 0;
	const struct tokenizer *tokenizer =
		models_tokenizer(session->sessions->config.models, &session->model, &why);
	if (!tokenizer && why.code == FAIL_BUSY) {
		progress(session, "fetching", 0, 0);
		return;
	}
	if (tokenizer && session->chat)
		result = write_chat(session, tokenizer, &why);
	else if (tokenizer && session->text)
		result = tokenize_text(session, tokenizer, &why);
	if (!tokenizer || result != 0)
		fail_session(session, &why);
	else if (session->state != SESSION_WRITING)
		go_on_to_plan(session, tokenizer);
}

static void look_at_loss(struct session *session)
{
	struct fail why;
	const struct plan *plan = deployment_plan(session->sessions->config.deployment);
	if (plan && epoch_compare(&plan->epoch, &session->epoch) == 0)
		return;
	if (session->lost) {
		why = deployment_trouble(session->sessions->config.deployment)->why;
		if (why.code == FAIL_NONE)
			fail_set(&why, FAIL_LOST, "the plan changed while the answer was under way");
		fail_session(session, &why);
		return;
	}
	session->lost = true;
	uv_timer_stop(&session->timer);
}

static void look(struct session *session)
{
	switch (session->state) {
	case SESSION_TOKENIZER:
		look_for_tokenizer(session);
		break;
	case SESSION_WRITING:
		break;
	case SESSION_PLAN:
		look_for_plan(session);
		break;
	case SESSION_SENT:
		if (!session->lost)
			look_at_loss(session);
		if (session->lost && !uv_is_active((uv_handle_t *)&session->timer))
			uv_timer_start(&session->timer, on_timer, HEAD_GRACE_MS, 0);
		break;
	case SESSION_OVER:
		break;
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct session *session = LIST_ITEM(timer, struct session, timer);
	const bool sent = session->state == SESSION_SENT;
	if (sent && session->lost) {
		look_at_loss(session);
		return;
	}
	look(session);
	if (sent && session->state == SESSION_SENT && !session->lost)
		put_request(session); /* it was silent for long */
}

void sessions_poke(struct sessions *sessions)
{
	/* what a look tells clients may end any session, and may bring the next poke: from the loop */
	LIST_EACH(at, &sessions->all) {
		struct session *session = LIST_ITEM(at, struct session, entry);
		if (session->state == SESSION_SENT)
			look(session);
		else
			uv_timer_start(&session->timer, on_timer, 0, WAIT_LOOK_MS);
	}
}

/* ---- from the head ---- */

static struct session *session_find(const struct sessions *sessions, const struct device_id *head,
				    const struct request_id *id)
{
	LIST_EACH(at, &sessions->all) {
		struct session *session = LIST_ITEM(at, struct session, entry);
		if (session->state == SESSION_SENT && request_id_equal(&session->id, id) &&
		    device_id_equal(&session->head, head))
			return session;
	}
	return NULL;
}

static void end_at_stop_string(struct session *session)
{
	struct session_result result = { .end = REQUEST_END_STOP };
	result.decode_s = (double)(clock_us() - session->first_us) / 1e6;
	tell_head_cancel(session);
	finish(session, &result);
}

/* Something fell between an old connection and a new one, or found no memory: the head is asked
 * again, and tells all from the beginning. */
static void miss(struct session *session)
{
	struct fail why;
	if (session->asks > 0 && clock_ms() - session->asked_ms < ASK_AGAIN_MS)
		return;
	if (session->asks++ < ASKS_MAX) {
		session->asked_ms = clock_ms();
		put_request(session);
		return;
	}
	fail_set(&why, FAIL_LOST, "a part of the answer was lost on its way; ask again");
	tell_head_cancel(session);
	fail_session(session, &why);
}

static bool take_tokens(struct session *session, const uint32_t *tokens, uint32_t n,
			struct buf *text)
{
	bool stop = false;
	for (uint32_t i = 0; i < n && !stop; i++) {
		stop = detokenizer_push(session->detokenizer, tokens[i], text);
		buf_append(&session->tokens, &tokens[i], sizeof(uint32_t));
	}
	return stop;
}

/* Nobody here waits for it: its end got lost on the way to the head. */
static void tell_unwanted(struct sessions *sessions, const struct device_id *head,
			  const struct request_id *id)
{
	struct message *message = &sessions->message;
	if (device_id_equal(head, home_self(sessions->config.home))) {
		ring_cancel(sessions->config.ring, id);
		return;
	}
	message->type = MESSAGE_CANCEL;
	message->cancel.id = *id;
	peers_send(sessions->config.peers, head, message);
}

static void answer_goes_on(struct session *session, const uint32_t *tokens, uint32_t n)
{
	struct sessions *sessions = session->sessions;
	const struct device_id head = session->head;
	const struct request_id id = session->id;
	struct buf text;
	if (!session->first_us)
		session->first_us = clock_us();
	session->asks = 0;
	buf_init(&text);
	const bool stop = take_tokens(session, tokens, n, &text);
	session->events.text(session->context, (const char *)text.data, text.size, tokens, n);
	buf_finish(&text);
	/* the client may have cancelled within the event */
	session = session_find(sessions, &head, &id);
	if (stop && session)
		end_at_stop_string(session);
}

void sessions_tokens(struct sessions *sessions, const struct device_id *from,
		     const struct message_tokens *tokens)
{
	struct session *session = session_find(sessions, from, &tokens->id);
	if (!session) {
		tell_unwanted(sessions, from, &tokens->id);
		return;
	}
	if (!session->lost)
		uv_timer_again(&session->timer);
	if (tokens->n_tokens == 0) {
		progress(session, "prompt", tokens->prompt_done, session->n_prompt);
		return;
	}
	if (tokens->first_position > n_tokens(session)) {
		miss(session);
		return;
	}
	const uint32_t known = n_tokens(session) - tokens->first_position; /* told twice */
	if (known < tokens->n_tokens)
		answer_goes_on(session, tokens->tokens + known, tokens->n_tokens - known);
}

void sessions_reconnected(struct sessions *sessions, const struct device_id *device)
{
	LIST_EACH(at, &sessions->all) {
		struct session *session = LIST_ITEM(at, struct session, entry);
		if (session->state == SESSION_SENT && !session->lost &&
		    device_id_equal(&session->head, device))
			put_request(session);
	}
}

/* A change of plans before the request ran is no business of the client. */
static bool try_again(struct session *session, const struct message_request_end *end)
{
	const bool replaced = device_id_is_none(&end->device) && n_tokens(session) == session->n_prompt;
	if (end->end != REQUEST_END_FAILED || end->code != FAIL_LOST ||
	    (end->prompt_tokens > 0 && !replaced) || session->retries == RETRIES_MAX)
		return false;
	session->retries++;
	session->state = SESSION_PLAN;
	session->lost = false;
	session->planned_ms = 0;
	uv_timer_start(&session->timer, on_timer, WAIT_LOOK_MS, WAIT_LOOK_MS);
	return true;
}

void sessions_end(struct sessions *sessions, const struct device_id *from,
		  const struct message_request_end *end)
{
	struct session *session = session_find(sessions, from, &end->id);
	struct buf text;
	if (!session || try_again(session, end))
		return;
	if ((end->end == REQUEST_END_STOP || end->end == REQUEST_END_LENGTH) &&
	    end->completion_tokens != n_tokens(session) - session->n_prompt) {
		miss(session);
		return;
	}
	buf_init(&text);
	detokenizer_flush(session->detokenizer, &text);
	if (text.size > 0)
		session->events.text(session->context, (const char *)text.data, text.size, NULL, 0);
	buf_finish(&text);
	session = session_find(sessions, from, &end->id);
	if (!session)
		return;
	struct session_result result = {
		.end = (enum request_end)end->end,
		.prompt_s = end->prompt_s,
		.decode_s = end->decode_s,
		.flights = end->flights,
		.bytes_sent = end->bytes_sent,
		.flights_together_max = end->flights_together_max,
	};
	if (end->end == REQUEST_END_FAILED)
		fail_set(&result.fail, (enum fail_code)end->code, "%s", end->reason);
	finish(session, &result);
}

/* ---- beginning ---- */

static bool copy_prompt(struct session *session, const struct session_request *request)
{
	if (request->tokens) {
		buf_append(&session->tokens, request->tokens,
			   request->n_tokens * sizeof(uint32_t));
		return !session->tokens.failed;
	}
	if (request->chat) {
		session->chat = json_incref(request->chat);
		return true;
	}
	session->text = malloc(request->text_size + 1);
	if (!session->text)
		return false;
	memcpy(session->text, request->text, request->text_size);
	session->text_size = request->text_size;
	return true;
}

static bool copy_stops(struct session *session, const struct session_request *request)
{
	for (uint32_t i = 0; i < request->n_stops; i++) {
		session->stops[i] = strdup(request->stops[i]);
		if (!session->stops[i])
			return false;
	}
	return true;
}

static int check_request(const struct sessions *sessions, const struct session_request *request,
			 struct fail *fail)
{
	const char *reason;
	if (!sampler_config_check(&request->sampler, &reason))
		return fail_set(fail, FAIL_INVALID, "%s", reason);
	if (request->n_stops > DETOKENIZER_STOPS_MAX)
		return fail_set(fail, FAIL_INVALID, "at most %d stop strings are possible",
				DETOKENIZER_STOPS_MAX);
	if (request->n_tokens > PROMPT_TOKENS_MAX)
		return fail_set(fail, FAIL_INVALID, "the prompt has more than %u tokens",
				PROMPT_TOKENS_MAX);
	if (sessions->count >= SESSIONS_MAX)
		return fail_set(fail, FAIL_BUSY, "%u requests run on this device; try again later",
				sessions->count);
	return 0;
}

struct session *sessions_start(struct sessions *sessions, const struct session_request *request,
			       const struct session_events *events, void *context,
			       struct fail *fail)
{
	struct model_id model;
	if (check_request(sessions, request, fail) != 0 ||
	    !models_resolve(sessions->config.models, request->model, &model, fail))
		return NULL;
	struct session *session = calloc(1, sizeof(*session));
	if (!session) {
		fail_set(fail, FAIL_MEMORY, "no memory for a request");
		return NULL;
	}
	uv_timer_init(sessions->config.loop, &session->timer);
	list_append(&sessions->all, &session->entry);
	sessions->count++;
	session->sessions = sessions;
	session->model = model;
	session->settings = *request;
	session->special = request->special;
	session->events = *events;
	session->context = context;
	session->started_us = clock_us();
	if (!copy_prompt(session, request) || !copy_stops(session, request)) {
		fail_set(fail, FAIL_MEMORY, "no memory for a prompt");
		session_close(session);
		return NULL;
	}
	uv_timer_start(&session->timer, on_timer, 0, WAIT_LOOK_MS);
	return session;
}

struct sessions *sessions_create(const struct sessions_config *config)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));
	if (!sessions)
		return NULL;
	sessions->config = *config;
	list_init(&sessions->all);
	randombytes_buf(&sessions->boot, sizeof(sessions->boot));
	return sessions;
}

void sessions_destroy(struct sessions *sessions, const struct fail *why)
{
	if (!sessions)
		return;
	while (!list_empty(&sessions->all)) {
		struct session *session = LIST_ITEM(sessions->all.next, struct session, entry);
		tell_head_cancel(session);
		fail_session(session, why);
	}
	free(sessions);
}

uint32_t sessions_count(const struct sessions *sessions)
{
	return sessions->count;
}

json_t *sessions_json(const struct sessions *sessions)
{
	static const char *const states[] = { "tokenizing", "writing", "waiting", "running", "over" };
	json_t *list = json_array();
	LIST_EACH(at, &sessions->all) {
		const struct session *session = LIST_ITEM(at, struct session, entry);
		const struct model_facts *facts =
			models_facts(sessions->config.models, &session->model);
		json_array_append_new(
			list, json_pack("{s:I, s:s, s:s, s:i, s:i}", "id",
					(json_int_t)session->id.number, "state",
					states[session->state], "model", facts ? facts->name : "",
					"prompt_tokens", (int)session->n_prompt, "completion_tokens",
					(int)(n_tokens(session) - session->n_prompt)));
	}
	return list;
}
