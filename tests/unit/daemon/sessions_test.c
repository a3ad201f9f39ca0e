/* Requests of local clients towards a head whose words get lost, come twice, or come from others.
 * The neighbours of sessions.c are played here: what it sends is looked at, what it hears is made
 * up. */
#include "daemon/sessions.h"

#include "base/clock.h"
#include "daemon/writing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PROMPT 3

static const struct device_id self = { { 1 } }, head = { { 2 } }, stranger = { { 3 } };
static const struct model_id model = { { 9 } };
static struct plan plan;
static struct trouble trouble;
static int64_t now_ms = 1000;

/* ---- what sessions.c sends ---- */

static uint32_t requests, cancels;
static struct message_request sent; /* the last request; its tokens are not kept */
static struct device_id sent_to;
static bool no_memory;

bool peers_send(struct peers *peers, const struct device_id *to, const struct message *message)
{
	sent_to = *to;
	if (message->type == MESSAGE_REQUEST) {
		requests++;
		sent = message->request;
	} else if (message->type == MESSAGE_CANCEL) {
		cancels++;
	}
	return true;
}

int ring_request(struct ring *ring, const struct message_request *request)
{
	if (no_memory)
		return -FAIL_MEMORY;
	requests++;
	sent = *request;
	return 0;
}

int ring_cancel(struct ring *ring, const struct request_id *id)
{
	cancels++;
	return 0;
}

/* ---- what it asks ---- */

int64_t clock_ms(void)
{
	return now_ms;
}

int64_t clock_us(void)
{
	return now_ms * 1000;
}

int64_t clock_boot_ms(void)
{
	return now_ms;
}

const struct device_id *home_self(const struct home *home)
{
	return &self;
}

const struct plan *deployment_plan(const struct deployment *deployment)
{
	return &plan;
}

void deployment_want(struct deployment *deployment, const struct model_id *id)
{
}

enum deployment_state deployment_state(const struct deployment *deployment,
				       const struct model_id *id, uint64_t *done, uint64_t *total)
{
	*done = *total = 0;
	return DEPLOYMENT_READY;
}

const struct trouble *deployment_trouble(const struct deployment *deployment)
{
	return &trouble;
}

bool models_resolve(struct models *models, const char *name, struct model_id *id, struct fail *fail)
{
	*id = model;
	return true;
}

const struct model_facts *models_facts(struct models *models, const struct model_id *id)
{
	return NULL;
}

int models_template(struct models *models, const struct model_id *id, bool tools,
		    const struct template **template, struct fail *fail)
{
	*template = NULL;
	return 0;
}

uint32_t models_ends(struct models *models, const struct model_id *id,
		     uint32_t ends[REQUEST_ENDS_MAX])
{
	return 0;
}

const struct tokenizer *models_tokenizer(struct models *models, const struct model_id *id,
					 struct fail *fail)
{
	return (const struct tokenizer *)&model; /* nobody looks into it */
}

struct writing *writing_start(const struct writing_config *config, json_t *chat, struct fail *fail)
{
	json_decref(chat);
	fail_set(fail, FAIL_UNSUPPORTED, "this device writes no chats");
	return NULL;
}

void writing_abandon(struct writing *writing)
{
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
	return false;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
		     const struct tokenize_options *options, struct buf *out, struct fail *fail)
{
	return 0;
}

/* Token n is the letter with the number n. */
struct detokenizer *detokenizer_create(const struct tokenizer *tokenizer, const char *const *stops,
				       uint32_t n_stops)
{
	return malloc(1);
}

void detokenizer_destroy(struct detokenizer *detokenizer)
{
	free(detokenizer);
}

bool detokenizer_push(struct detokenizer *detokenizer, uint32_t token, struct buf *out)
{
	buf_u8(out, (uint8_t)('a' + token));
	return false;
}

void detokenizer_flush(struct detokenizer *detokenizer, struct buf *out)
{
}

/* ---- a client ---- */

static char text[64];
static bool ended;
static struct session_result result;

static void on_text(void *context, const char *more, size_t size, const uint32_t *tokens,
		    uint32_t n_tokens)
{
	strncat(text, more, size);
}

static void on_end(void *context, const struct session_result *how)
{
	ended = true;
	result = *how;
}

static uv_loop_t loop;
static struct sessions *sessions;
static struct session *session;

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

/* A request of three tokens, sent to `to`. */
static void begin(const struct device_id *to)
{
	static const uint32_t prompt[PROMPT] = { 7, 8, 9 };
	const struct sessions_config config = { .loop = &loop };
	const struct session_events events = { .text = on_text, .end = on_end };
	const struct session_request request = { .tokens = prompt,
						 .n_tokens = PROMPT,
						 .max_tokens = 6,
						 .sampler = { .top_p = 1, .repeat_penalty = 1 } };
	struct fail why;
	plan = (struct plan){ .epoch = { 4, *to }, .n_devices = 1, .context = 100 };
	plan.devices[0].id = *to;
	requests = cancels = 0;
	text[0] = 0;
	ended = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	sessions = sessions_create(&config);
	session = sessions_start(sessions, &request, &events, NULL, &why);
	assert_non_null(session);
	turn();
}

static void finish(void)
{
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "the test is over");
	sessions_destroy(sessions, &why);
	turn();
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* The head says `word` from the given place of the answer. */
static void hear(const struct device_id *from, uint32_t place, const char *word)
{
	struct message_tokens tokens = { .id = sent.id,
					 .first_position = PROMPT + place,
					 .n_tokens = (uint32_t)strlen(word) };
	for (uint32_t i = 0; i < tokens.n_tokens; i++)
		tokens.tokens[i] = (uint32_t)(word[i] - 'a');
	sessions_tokens(sessions, from, &tokens);
}

static void hear_end(const struct device_id *from, uint32_t n)
{
	const struct message_request_end end = { .id = sent.id,
						 .end = REQUEST_END_LENGTH,
						 .prompt_tokens = PROMPT,
						 .completion_tokens = n };
	sessions_end(sessions, from, &end);
}

/* ---- the tests ---- */

static void an_answer_comes(void **state)
{
	begin(&head);
	assert_int_equal(requests, 1);
	assert_true(device_id_equal(&sent_to, &head));
	assert_int_equal(sent.n_tokens, PROMPT);
	hear(&head, 0, "he");
	hear(&head, 2, "llo");
	hear_end(&head, 5);
	assert_true(ended);
	assert_int_equal(result.end, REQUEST_END_LENGTH);
	assert_int_equal(result.completion_tokens, 5);
	assert_string_equal(text, "hello");
	assert_int_equal(requests, 1);
	finish();
}

static void only_the_head_is_believed(void **state)
{
	begin(&head);
	hear(&stranger, 0, "lies");
	hear_end(&stranger, 0);
	assert_string_equal(text, "");
	assert_false(ended);
	hear(&self, 0, "mine");
	assert_string_equal(text, "");
	hear(&head, 0, "yes");
	assert_string_equal(text, "yes");
	finish();
}

static void what_is_told_twice_counts_once(void **state)
{
	begin(&head);
	hear(&head, 0, "he");
	hear(&head, 0, "he");
	hear(&head, 1, "ell"); /* half of it is known */
	hear(&head, 0, "hello");
	assert_string_equal(text, "hello");
	hear_end(&head, 5);
	assert_true(ended);
	finish();
}

static void a_new_connection_brings_the_request_again(void **state)
{
	begin(&head);
	const struct request_id id = sent.id;
	sessions_reconnected(sessions, &stranger);
	assert_int_equal(requests, 1);
	sessions_reconnected(sessions, &head);
	assert_int_equal(requests, 2);
	assert_true(request_id_equal(&sent.id, &id));
	hear(&head, 0, "he");
	sessions_reconnected(sessions, &head);
	assert_int_equal(requests, 3);
	assert_int_equal(sent.n_tokens, PROMPT); /* as it was, without the answer */
	hear(&head, 0, "hello");
	hear_end(&head, 5);
	assert_string_equal(text, "hello");
	assert_true(ended);
	finish();
}

static void a_gap_is_asked_for(void **state)
{
	begin(&head);
	hear(&head, 0, "h");
	hear(&head, 3, "l");
	assert_int_equal(requests, 2);
	hear(&head, 4, "o"); /* was on its way already */
	assert_int_equal(requests, 2);
	hear(&head, 0, "hello");
	assert_string_equal(text, "hello");
	hear_end(&head, 6); /* the last one was lost */
	assert_false(ended);
	assert_int_equal(requests, 3);
	hear(&head, 0, "hellos");
	hear_end(&head, 6);
	assert_true(ended);
	assert_string_equal(text, "hellos");
	finish();
}

static void a_gap_that_stays_ends_it(void **state)
{
	begin(&head);
	for (int i = 0; i < 3; i++) {
		hear(&head, 3, "l");
		assert_int_equal(requests, 2 + i);
		now_ms += 2500;
	}
	assert_false(ended);
	hear(&head, 3, "l");
	assert_true(ended);
	assert_int_equal(result.end, REQUEST_END_FAILED);
	assert_int_equal(result.fail.code, FAIL_LOST);
	assert_int_equal(cancels, 1);
	finish();
}

static void who_speaks_to_nobody_is_told_to_stop(void **state)
{
	begin(&head);
	hear(&head, 0, "h");
	session_cancel(session);
	assert_int_equal(cancels, 1);
	hear(&head, 1, "e"); /* the cancel was lost */
	assert_int_equal(cancels, 2);
	assert_string_equal(text, "h");
	finish();
}

static void without_memory_it_ends_with_a_sentence(void **state)
{
	no_memory = true;
	begin(&self);
	no_memory = false;
	assert_true(ended);
	assert_int_equal(result.end, REQUEST_END_FAILED);
	assert_int_equal(result.fail.code, FAIL_MEMORY);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes),
		cmocka_unit_test(only_the_head_is_believed),
		cmocka_unit_test(what_is_told_twice_counts_once),
		cmocka_unit_test(a_new_connection_brings_the_request_again),
		cmocka_unit_test(a_gap_is_asked_for),
		cmocka_unit_test(a_gap_that_stays_ends_it),
		cmocka_unit_test(who_speaks_to_nobody_is_told_to_stop),
		cmocka_unit_test(without_memory_it_ends_with_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
